//! The steps that the driver brings, and those of the agent beside them.

use wrought_sdk::agent::StepKind;
use wrought_sdk::prelude::*;

use crate::node::Options;
use crate::{in_band, instance, ramdisk};

/// The deploy steps that a driver executes itself, by name and priority.
pub fn own(steps: &[(&str, u32)]) -> Vec<Step> {
    steps.iter().map(|(step, priority)| Step::new("deploy", step, *priority).abortable()).collect()
}

/// `own` and the agent's, when it is up.
pub fn deploy(own: Vec<Step>) -> Result<Vec<Step>> {
    match agent::current()? {
        Some(_) => Ok(merge(own, agent::steps(StepKind::Deploy)?)),
        None => Ok(own),
    }
}

/// Executes what all drivers have in common: the beginning and the end of a deployment, and steps of the agent's.
pub fn execute(step: &StepCall) -> Result<Outcome> {
    match step.id() {
        ("deploy", "deploy") => ramdisk::boot(&task::node()),
        ("deploy", "tear_down_agent") => instance::tear_down_agent(),
        ("deploy", "switch_to_tenant_network") => {
            network::remove_provisioning()?;
            network::configure_tenant()?;
            Ok(Outcome::Done)
        }
        ("deploy", "boot_instance") => instance::boot(),
        _ => in_band::execute(StepKind::Deploy, step),
    }
}

/// `own` and those of the agent's steps that have no namesake there: our `write_image` calls the agent's.
pub fn merge(own: Vec<Step>, agents: Vec<Step>) -> Vec<Step> {
    let mut steps = own;
    for step in agents {
        if !steps.iter().any(|known| (&known.interface, &known.step) == (&step.interface, &step.step)) {
            steps.push(step);
        }
    }
    steps
}

/// The agent's clean steps with the operator's priorities.
pub fn clean(agents: Vec<Step>, options: &Options) -> Vec<Step> {
    agents
        .into_iter()
        .map(|step| {
            let wanted = match (step.interface.as_str(), step.step.as_str()) {
                ("deploy", "erase_devices") => options.erase_devices_priority,
                ("deploy", "erase_devices_metadata") => options.erase_devices_metadata_priority,
                _ => None,
            };
            Step { priority: wanted.unwrap_or(step.priority), requires_ramdisk: true, ..step }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Step> {
        super::own(&[("deploy", 100), ("write_image", 80), ("prepare_instance_boot", 60), ("boot_instance", 20)])
    }

    #[test]
    fn our_step_wins_over_the_agents_of_the_same_name() {
        let agents = vec![
            Step::new("deploy", "write_image", 0),
            Step::new("raid", "apply_configuration", 0),
            Step::new("deploy", "inject_files", 50),
            Step::new("raid", "deploy", 7),
        ];
        let steps = merge(own(), agents);
        let found = |interface: &str, step: &str| {
            steps.iter().filter(|s| s.interface == interface && s.step == step).map(|s| s.priority).collect::<Vec<_>>()
        };
        assert_eq!(found("deploy", "write_image"), [80]);
        assert_eq!(found("deploy", "inject_files"), [50]);
        assert_eq!(found("raid", "apply_configuration"), [0]);
        assert_eq!((found("deploy", "deploy"), found("raid", "deploy")), (vec![100], vec![7]));
        assert_eq!(steps.len(), 7);
    }

    #[test]
    fn the_operator_sets_the_priority_of_erasing_and_of_nothing_else() {
        let agents = || {
            vec![
                Step::new("deploy", "erase_devices", 10),
                Step::new("deploy", "erase_devices_metadata", 99),
                Step::new("raid", "erase_devices", 3),
            ]
        };
        let priorities = |options| clean(agents(), &options).iter().map(|step| step.priority).collect::<Vec<_>>();
        assert_eq!(priorities(Options::default()), [10, 99, 3]);
        assert_eq!(priorities(Options { erase_devices_priority: Some(0), ..Options::default() }), [0, 99, 3]);
        assert_eq!(priorities(Options { erase_devices_metadata_priority: Some(5), ..Options::default() }), [10, 5, 3]);
        assert!(clean(agents(), &Options::default()).iter().all(|step| step.requires_ramdisk));
    }
}
