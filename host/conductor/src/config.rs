//! `[conductor]` and `[deploy]`: times, defaults, and what drivers may read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wrought_domain::Map;
use wrought_engine::Settings;

/// How nodes are managed. Seconds are whole; 0 switches a time-out off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConductorConfig {
    /// The name of this host, shown as `reservation` and among the conductors. Empty: the machine's host name.
    pub host: String,
    /// Whether nodes are cleaned when they are provided and when an instance is deleted, unless the node's `automated_clean` says otherwise.
    pub automated_clean: bool,
    /// Seconds that a deployment waits for the machine where its driver gives no time.
    pub deploy_callback_timeout: u32,
    /// Seconds that a cleaning waits for the machine where its driver gives no time.
    pub clean_callback_timeout: u32,
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
    /// Seconds that a driver may ask to wait at most; a wait that is longer ends as timed out then.
    pub max_wait: u32,
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
            power_state_change_timeout: settings.power_state_change_timeout,
            soft_power_off_timeout: settings.soft_power_off_timeout,
            ramdisk_heartbeat_timeout: 300,
            poll_min_ms: settings.poll_min_ms,
            poll_max_ms: settings.poll_max_ms,
            max_wait: settings.max_wait,
            graceful_shutdown_timeout: 30,
            recovery_timeout: 300,
            max_lock_hold: 3600,
        }
    }
}

impl ConductorConfig {
    /// What the engine needs of it.
    pub fn settings(&self) -> Settings {
        Settings {
            deploy_callback_timeout: self.deploy_callback_timeout,
            clean_callback_timeout: self.clean_callback_timeout,
            power_state_change_timeout: self.power_state_change_timeout,
            soft_power_off_timeout: self.soft_power_off_timeout,
            automated_clean: self.automated_clean,
            poll_min_ms: self.poll_min_ms.max(1),
            poll_max_ms: self.poll_max_ms.max(self.poll_min_ms).max(1),
            max_wait: self.max_wait,
        }
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
