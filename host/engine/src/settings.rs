//! What an operator set, as far as the lifecycle goes.

use std::fmt;

use wrought_domain::Step;
use wrought_domain::plan::Policy;

/// What an operator set, as far as the lifecycle goes. Seconds; 0 is never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Ironic's `deploy_callback_timeout`: how long a deployment waits for its agent to be heard again.
    pub deploy_callback_timeout: u32,
    /// Ironic's `clean_callback_timeout`.
    pub clean_callback_timeout: u32,
    /// Ironic's `service_callback_timeout`.
    pub service_callback_timeout: u32,
    /// Ironic's `rescue_callback_timeout`.
    pub rescue_callback_timeout: u32,
    /// Ironic's `inspect_wait_timeout`, counted from the begin of the inspection.
    pub inspect_wait_timeout: u32,
    /// Ironic's `power_state_change_timeout`.
    pub power_state_change_timeout: u32,
    /// Ironic's `soft_power_off_timeout`.
    pub soft_power_off_timeout: u32,
    /// Ironic's `automated_clean`.
    pub automated_clean: bool,
    /// Milliseconds between the first tests of a condition that has to be polled.
    pub poll_min_ms: u32,
    /// Milliseconds that this spacing grows to.
    pub poll_max_ms: u32,
    /// Seconds that one wait may last at most, whatever time its driver gives.
    pub max_step_wait: u32,
    /// Rules for deploy steps.
    pub deploy_steps: Policy,
    /// Rules for clean steps.
    pub clean_steps: Policy,
    /// Rules for service steps.
    pub service_steps: Policy,
    /// Rules for verify steps.
    pub verify_steps: Policy,
    /// What a cleaning must have erased before a node is available.
    pub required: Vec<Erasure>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deploy_callback_timeout: 1800,
            clean_callback_timeout: 1800,
            service_callback_timeout: 1800,
            rescue_callback_timeout: 1800,
            inspect_wait_timeout: 1800,
            power_state_change_timeout: 60,
            soft_power_off_timeout: 600,
            automated_clean: true,
            poll_min_ms: 500,
            poll_max_ms: 5000,
            max_step_wait: 604_800,
            deploy_steps: Policy::default(),
            clean_steps: Policy::default(),
            service_steps: Policy::default(),
            verify_steps: Policy::default(),
            required: vec![Erasure::metadata()],
        }
    }
}

/// Clean steps of which one at least must have been executed: `interface.step`, which counts when the host saw the agent succeed with it,
/// or `driver:interface.step`, which counts when that driver said that it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure(pub Vec<String>);

impl Erasure {
    /// The agent's erasure of metadata, or of everything.
    pub fn metadata() -> Self {
        Self(vec!["deploy.erase_devices_metadata".into(), "deploy.erase_devices".into(), "deploy.erase_devices_express".into()])
    }

    /// Whether one of these was executed.
    pub fn is_covered_by(&self, covered: &[String]) -> bool {
        self.0.iter().any(|step| covered.contains(step))
    }

    /// Whether one of these is in a plan, so that it may come to be covered.
    pub fn is_planned_in(&self, plan: &[Step]) -> bool {
        plan.iter().any(|step| self.names(step))
    }

    /// Whether a step is one of these.
    pub fn names(&self, step: &Step) -> bool {
        let id = step.id();
        self.0.iter().any(|wanted| match wanted.split_once(':') {
            Some((driver, wanted)) => wanted == id && step.offered_by.as_ref().is_some_and(|name| name.as_str() == driver),
            None => *wanted == id,
        })
    }
}

impl fmt::Display for Erasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}
