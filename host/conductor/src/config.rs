//! `[conductor]`, `[cleaning]` and `[deploy]`: times, defaults, and what drivers may read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wrought_domain::Map;
use wrought_domain::plan::Policy;
use wrought_engine::{Erasure, Settings};

use crate::breakers::Thresholds;

/// How nodes are managed. Seconds are whole; 0 switches a time-out off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConductorConfig {
    /// The name of this host, shown as `reservation` and among the conductors. Empty: the machine's host name.
    pub host: String,
    /// Whether nodes are cleaned when they are provided and when an instance is deleted, unless the node's `automated_clean` says otherwise.
    pub automated_clean: bool,
    /// Seconds that a deployment waits for its agent to be heard, where its driver gives no time; each heartbeat begins them anew.
    pub deploy_callback_timeout: u32,
    /// The same for a cleaning.
    pub clean_callback_timeout: u32,
    /// The same for a service.
    pub service_callback_timeout: u32,
    /// Seconds that a rescue waits for its agent.
    pub rescue_callback_timeout: u32,
    /// Seconds from the begin of an inspection until its agent must have posted what it found.
    pub inspect_wait_timeout: u32,
    /// Seconds for a machine to change its power state.
    pub power_state_change_timeout: u32,
    /// Seconds for a machine to shut down softly.
    pub soft_power_off_timeout: u32,
    /// Seconds between an agent's heartbeats at most, as agents are told; they beat two to three times as often.
    pub ramdisk_heartbeat_timeout: u32,
    /// Milliseconds after which a condition that has to be polled (power, an agent's command) is tested again; grows.
    pub poll_min_ms: u32,
    /// Milliseconds that this spacing grows to.
    pub poll_max_ms: u32,
    /// Seconds that one wait of a step may last at most, whatever time its driver gives; a wait that is longer ends as timed out then.
    pub max_step_wait: u32,
    /// Deployments at work at the same time; others wait for their turn with their node reserved. 0: no limit.
    pub max_concurrent_deploy: u32,
    /// The same for cleanings (also those behind `provide`) and tear-downs.
    pub max_concurrent_clean: u32,
    /// Nodes that may fail to deploy or to clean within an hour because of the same image server, network of controllers or driver, without
    /// one that succeeds in between, before new operations on it are held back in the queue. 0: never.
    pub breaker_failures: u32,
    /// Seconds from the last such failure until one operation is let through to see whether it works again.
    pub breaker_pause: u32,
    /// Deploy steps (`interface.step`) that are never executed: requests for them are refused, and drivers' are left out.
    pub disallow_deploy_steps: Vec<String>,
    /// The same for clean steps.
    pub disallow_clean_steps: Vec<String>,
    /// The same for service steps.
    pub disallow_service_steps: Vec<String>,
    /// Priorities of clean steps in automated cleanings, in place of the drivers': `{ "deploy.erase_devices" = 0 }` switches one off.
    pub clean_step_priority_override: BTreeMap<String, u32>,
    /// The same for verify steps.
    pub verify_step_priority_override: BTreeMap<String, u32>,
    /// Seconds between two looks at the power of each node.
    pub sync_power_state_interval: u32,
    /// Times in a row that the power of a node may not be read or put right; once more, and it is put into maintenance.
    pub power_state_sync_max_retries: u32,
    /// Nodes whose power is looked at side by side.
    pub sync_power_state_workers: u32,
    /// Whether a machine whose power is not as recorded is changed; else the record is.
    pub force_power_state_during_sync: bool,
    /// Seconds between two looks at nodes in maintenance because of a power failure.
    pub power_failure_recovery_interval: u32,
    /// Seconds that a stop waits for calls in flight.
    pub graceful_shutdown_timeout: u32,
    /// Seconds that a restarted host asks a machine what became of a change that was on its way when the host stopped;
    /// after that the node fails by name.
    pub recovery_timeout: u32,
    /// Seconds that an operation may hold a lock that nodes share; after that it is taken away, and the next in line has it.
    pub max_lock_hold: u32,
}

impl Default for ConductorConfig {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            host: String::new(),
            automated_clean: settings.automated_clean,
            deploy_callback_timeout: settings.deploy_callback_timeout,
            clean_callback_timeout: settings.clean_callback_timeout,
            service_callback_timeout: settings.service_callback_timeout,
            rescue_callback_timeout: settings.rescue_callback_timeout,
            inspect_wait_timeout: settings.inspect_wait_timeout,
            power_state_change_timeout: settings.power_state_change_timeout,
            soft_power_off_timeout: settings.soft_power_off_timeout,
            ramdisk_heartbeat_timeout: 300,
            poll_min_ms: settings.poll_min_ms,
            poll_max_ms: settings.poll_max_ms,
            max_step_wait: settings.max_step_wait,
            max_concurrent_deploy: 250,
            max_concurrent_clean: 50,
            breaker_failures: 10,
            breaker_pause: 300,
            disallow_deploy_steps: raw_commands(),
            disallow_clean_steps: raw_commands(),
            disallow_service_steps: raw_commands(),
            clean_step_priority_override: BTreeMap::new(),
            verify_step_priority_override: BTreeMap::new(),
            sync_power_state_interval: 120,
            power_state_sync_max_retries: 3,
            sync_power_state_workers: 8,
            force_power_state_during_sync: true,
            power_failure_recovery_interval: 300,
            graceful_shutdown_timeout: 30,
            recovery_timeout: 300,
            max_lock_hold: 3600,
        }
    }
}

/// Commands to the controller that nobody has looked at, as in Ironic.
fn raw_commands() -> Vec<String> {
    vec!["vendor.send_raw".into()]
}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {value:?} is not of the form {form}")]
pub struct InvalidSetting {
    /// The setting.
    pub key: &'static str,
    /// What was given.
    pub value: String,
    /// What is accepted.
    pub form: &'static str,
}

/// `interface.step`, both there.
fn is_step(text: &str) -> bool {
    text.split_once('.').is_some_and(|(interface, step)| !interface.is_empty() && !step.is_empty() && !step.contains(['.', ':', ' ']))
}

fn check_steps<'a>(key: &'static str, steps: impl IntoIterator<Item = &'a String>) -> Result<(), InvalidSetting> {
    match steps.into_iter().find(|step| !is_step(step)) {
        Some(step) => Err(InvalidSetting { key, value: step.clone(), form: "interface.step" }),
        None => Ok(()),
    }
}

impl ConductorConfig {
    /// What the engine needs of it.
    ///
    /// # Errors
    /// [`InvalidSetting`].
    pub fn settings(&self, cleaning: &CleaningConfig) -> Result<Settings, InvalidSetting> {
        check_steps("[conductor] disallow_deploy_steps", &self.disallow_deploy_steps)?;
        check_steps("[conductor] disallow_clean_steps", &self.disallow_clean_steps)?;
        check_steps("[conductor] disallow_service_steps", &self.disallow_service_steps)?;
        check_steps("[conductor] clean_step_priority_override", self.clean_step_priority_override.keys())?;
        check_steps("[conductor] verify_step_priority_override", self.verify_step_priority_override.keys())?;
        let policy =
            |denied: &[String], priorities: &BTreeMap<String, u32>| Policy { denied: denied.to_vec(), priorities: priorities.clone() };
        let none = BTreeMap::new();
        Ok(Settings {
            deploy_callback_timeout: self.deploy_callback_timeout,
            clean_callback_timeout: self.clean_callback_timeout,
            service_callback_timeout: self.service_callback_timeout,
            rescue_callback_timeout: self.rescue_callback_timeout,
            inspect_wait_timeout: self.inspect_wait_timeout,
            power_state_change_timeout: self.power_state_change_timeout,
            soft_power_off_timeout: self.soft_power_off_timeout,
            automated_clean: self.automated_clean,
            poll_min_ms: self.poll_min_ms.max(1),
            poll_max_ms: self.poll_max_ms.max(self.poll_min_ms).max(1),
            max_step_wait: self.max_step_wait,
            deploy_steps: policy(&self.disallow_deploy_steps, &none),
            clean_steps: policy(&self.disallow_clean_steps, &self.clean_step_priority_override),
            service_steps: policy(&self.disallow_service_steps, &none),
            verify_steps: policy(&[], &self.verify_step_priority_override),
            required: cleaning.erasures()?,
        })
    }

    /// When starts on what is failing are held back.
    pub(crate) fn breakers(&self) -> Thresholds {
        Thresholds { failures: self.breaker_failures, pause_s: self.breaker_pause }
    }
}

/// What a cleaning must have erased. A machine of `fake-hardware` has no disks, and needs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CleaningConfig {
    /// What must have been executed before a node becomes available, each line one of the steps between `|`. `interface.step` counts when
    /// this host saw the agent succeed with it; `driver:interface.step`, an erasure without the agent, when that driver says that it is
    /// done. Empty: whatever was executed is enough.
    pub required: Vec<String>,
}

impl Default for CleaningConfig {
    fn default() -> Self {
        Self { required: vec![Erasure::metadata().0.join("|")] }
    }
}

impl CleaningConfig {
    fn erasures(&self) -> Result<Vec<Erasure>, InvalidSetting> {
        let erasure = |line: &String| {
            let steps: Vec<String> = line.split('|').map(|step| step.trim().to_owned()).collect();
            let bad = steps.iter().find(|step| !is_step(step.split_once(':').map_or(step.as_str(), |(_, step)| step)));
            match bad {
                Some(bad) => Err(InvalidSetting {
                    key: "[cleaning] required",
                    value: bad.clone(),
                    form: "interface.step or driver:interface.step, several of them separated by |",
                }),
                None => Ok(Erasure(steps)),
            }
        };
        self.required.iter().map(erasure).collect()
    }
}

/// What drivers read of the operator's wishes (`task.get-options`), and what agents are told to erase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeployConfig {
    /// Write raw images straight to the disk instead of to the agent's memory first.
    pub stream_raw_images: bool,
    /// Priority of the clean step `erase_devices`; unset leaves the agent's own.
    pub erase_devices_priority: Option<u32>,
    /// Priority of the clean step `erase_devices_metadata`; unset leaves the agent's own.
    pub erase_devices_metadata_priority: Option<u32>,
    /// The boot mode of nodes that name none: `uefi` or `bios`.
    pub default_boot_mode: String,
    /// The file system of ephemeral partitions.
    pub default_ephemeral_format: String,
    /// How many times a disk is overwritten.
    pub shred_random_overwrite_iterations: u32,
    /// Whether zeros follow.
    pub shred_final_overwrite_with_zeros: bool,
    /// Disks that are erased side by side.
    pub disk_erasure_concurrency: u32,
}

impl Default for DeployConfig {
    fn default() -> Self {
        Self {
            stream_raw_images: true,
            erase_devices_priority: None,
            erase_devices_metadata_priority: None,
            default_boot_mode: "uefi".into(),
            default_ephemeral_format: "ext4".into(),
            shred_random_overwrite_iterations: 1,
            shred_final_overwrite_with_zeros: true,
            disk_erasure_concurrency: 4,
        }
    }
}

impl DeployConfig {
    /// The options that drivers see.
    pub(crate) fn options(&self) -> Map {
        let mut options = Map::new();
        options.insert("stream_raw_images".into(), self.stream_raw_images.into());
        options.insert("default_boot_mode".into(), self.default_boot_mode.clone().into());
        options.insert("default_ephemeral_format".into(), self.default_ephemeral_format.clone().into());
        for (key, priority) in [
            ("erase_devices_priority", self.erase_devices_priority),
            ("erase_devices_metadata_priority", self.erase_devices_metadata_priority),
        ] {
            if let Some(priority) = priority {
                options.insert(key.into(), priority.into());
            }
        }
        options
    }

    /// What the agent reads of `driver_internal_info` when it erases disks.
    pub(crate) fn erasure(&self) -> [(&'static str, Value); 8] {
        [
            ("agent_erase_devices_iterations", self.shred_random_overwrite_iterations.into()),
            ("agent_erase_devices_zeroize", self.shred_final_overwrite_with_zeros.into()),
            ("agent_continue_if_secure_erase_failed", false.into()),
            ("agent_continue_if_ata_erase_failed", false.into()),
            ("agent_enable_nvme_secure_erase", true.into()),
            ("agent_enable_ata_secure_erase", true.into()),
            ("disk_erasure_concurrency", self.disk_erasure_concurrency.into()),
            ("agent_erase_skip_read_only", false.into()),
        ]
    }
}
