//! How a plan of steps is made of what drivers offer, what users ask for, and what operators rule.
//!
//! Source: Ironic's `conductor/steps.py`: order by priority, then by interface.

use std::collections::BTreeMap;

use crate::step::{Argument, ArgumentType, PlanError, Reserved, Step, StepCall};
use crate::{DriverName, Map};

/// What one driver of a node offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The driver.
    pub driver: DriverName,
    /// By which of the node's interfaces it was chosen: `deploy` (also as the base of a deploy driver) or a step driver's, such
    /// as `raid`.
    pub interfaces: Vec<String>,
    /// Its steps.
    pub steps: Vec<Step>,
}

impl Offer {
    /// A deploy driver may offer steps of every interface, a step driver those of the interfaces that it was chosen for.
    fn counts(&self, step: &Step) -> bool {
        self.owns(&step.interface) || self.interfaces.iter().any(|chosen| chosen == "deploy")
    }

    fn owns(&self, interface: &str) -> bool {
        self.interfaces.iter().any(|chosen| chosen == interface)
    }
}

/// What all drivers of a node offer together, the deploy driver first, then its bases, then step drivers. Of the same step of
/// two drivers the one counts whose driver was chosen for the step's own interface, else the first.
pub fn merged(offers: &[Offer]) -> Vec<Step> {
    let mut all: Vec<(bool, Step)> = Vec::new();
    for offer in offers {
        for step in offer.steps.iter().filter(|step| offer.counts(step)) {
            let own = step.interface != "deploy" && offer.owns(&step.interface);
            let new = Step { offered_by: Some(offer.driver.clone()), ..step.clone() };
            match all.iter_mut().find(|(_, known)| known.is(&new.interface, &new.step)) {
                None => all.push((own, new)),
                Some(known) if own && !known.0 => *known = (own, new),
                Some(_) => {}
            }
        }
    }
    all.into_iter().map(|(_, step)| step).collect()
}

/// What an operator rules about the steps of one kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// `interface.step`: never executed. A request for one is refused, one that drivers offer is left out.
    pub denied: Vec<String>,
    /// `interface.step` and its priority in automatic plans, in place of the driver's; 0 switches the step off.
    pub priorities: BTreeMap<String, u32>,
}

/// The core step of a deployment, which boots the agent.
const CORE: (&str, &str) = ("deploy", "deploy");

impl Policy {
    fn denies(&self, interface: &str, step: &str) -> bool {
        self.denied.iter().any(|denied| denied.split_once('.') == Some((interface, step)))
    }

    /// What drivers offer, as far as the operator lets it count.
    fn of_offered(&self, offered: &[Step]) -> Vec<Step> {
        // The host's own steps are no driver's: it would execute them in its place, and in a verification nobody could end a hold.
        let allowed = offered.iter().filter(|step| !self.denies(&step.interface, &step.step) && step.reserved().is_none());
        allowed.map(|step| Step { priority: self.priorities.get(&step.id()).copied().unwrap_or(step.priority), ..step.clone() }).collect()
    }

    /// Refuses the first request for a step that is never executed.
    ///
    /// # Errors
    /// [`PlanError::Denied`].
    pub fn check<'a>(&self, asked: impl IntoIterator<Item = &'a StepCall>) -> Result<(), PlanError> {
        // A child that rests could be let go by nobody.
        let rests = |call: &StepCall| call.children.is_some() && Reserved::named(&call.step) == Some(Reserved::Hold);
        match asked.into_iter().find(|call| rests(call) || self.denies(&call.interface, &call.step)) {
            Some(call) => Err(PlanError::Denied { interface: call.interface.clone(), step: call.step.clone() }),
            None => Ok(()),
        }
    }
}

/// Ties between equal priorities are broken by interface, higher first.
fn interface_priority(interface: &str) -> u32 {
    match interface {
        "vendor" => 7,
        "power" => 6,
        "management" => 5,
        "firmware" => 4,
        "deploy" => 3,
        "bios" => 2,
        "raid" => 1,
        _ => 0,
    }
}

/// The same for verify steps, which any interface may have.
fn verify_priority(interface: &str) -> u32 {
    const ORDER: [&str; 13] = [
        "rescue",
        "console",
        "storage",
        "network",
        "vendor",
        "raid",
        "bios",
        "boot",
        "deploy",
        "inspect",
        "firmware",
        "management",
        "power",
    ];
    let place = ORDER.iter().position(|known| *known == interface).and_then(|place| u32::try_from(place).ok());
    place.map_or(0, |place| place.saturating_add(1))
}

fn sorted(steps: impl IntoIterator<Item = Step>, rank: fn(&str) -> u32) -> Vec<Step> {
    let mut plan: Vec<Step> = steps.into_iter().filter(|step| step.priority > 0).collect();
    // Equal steps keep their order.
    plan.sort_by_key(|step| std::cmp::Reverse((step.priority, rank(&step.interface))));
    plan
}

/// The step that is asked for: one that is offered, or one that needs no offer, because the host itself or a child executes it.
fn find(offered: &[Step], call: &StepCall) -> Result<Step, PlanError> {
    if call.children.is_some() || Reserved::named(&call.step).is_some() {
        return Ok(own(call));
    }
    let found = offered.iter().find(|step| step.is(&call.interface, &call.step));
    found.cloned().ok_or_else(|| PlanError::UnknownStep {
        interface: call.interface.clone(),
        step: call.step.clone(),
        offered: offered.iter().map(Step::id).collect::<Vec<_>>().join(", "),
    })
}

/// A step that no driver of the node executes. What a child's step takes is checked against the child's driver.
fn own(call: &StepCall) -> Step {
    let arguments = match Reserved::named(&call.step) {
        Some(Reserved::Wait) => {
            let description = "How long to wait; until the agent is heard again if not given".into();
            vec![Argument { name: "seconds".into(), description, required: false, kind: ArgumentType::Integer }]
        }
        _ => Vec::new(),
    };
    Step {
        interface: call.interface.clone(),
        step: call.step.clone(),
        priority: 0,
        abortable: true,
        requires_ramdisk: false,
        reboot_requested: false,
        arguments,
        args: Map::new(),
        offered_by: None,
        children: None,
    }
}

/// The step with what the request says of it, its arguments checked.
fn given(offered: &[Step], call: &StepCall) -> Result<Step, PlanError> {
    let step = find(offered, call)?;
    let elsewhere = call.children.is_some() && step.reserved().is_none();
    match step.check_args(&call.args) {
        _ if elsewhere => {}
        // What is switched off needs nothing.
        Err(PlanError::MissingArgument { .. }) if call.priority == Some(0) => {}
        checked => checked?,
    }
    let priority = call.priority.unwrap_or(step.priority);
    Ok(Step { args: call.args.clone(), priority, children: call.children.clone(), ..step })
}

/// The steps of an automated cleaning: all with a priority, in order.
pub fn automated(offered: &[Step], policy: &Policy) -> Vec<Step> {
    sorted(policy.of_offered(offered), interface_priority)
}

/// The steps of a verification: all with a priority, in order.
pub fn verification(offered: &[Step], policy: &Policy) -> Vec<Step> {
    sorted(policy.of_offered(offered), verify_priority)
}

/// The steps of a manual cleaning or a service: as asked for, in the given order.
///
/// # Errors
/// A step that nobody offers or that is denied, or arguments that it does not take.
pub fn manual(offered: &[Step], asked: &[StepCall], policy: &Policy) -> Result<Vec<Step>, PlanError> {
    policy.check(asked)?;
    asked.iter().map(|call| given(offered, call)).collect()
}

/// Whether one of these steps needs the machine booted into the agent, as far as is known without an agent: what is not
/// offered yet may be the agent's own.
pub fn needs_ramdisk(offered: &[Step], asked: &[StepCall]) -> bool {
    asked.iter().any(|call| find(offered, call).map_or(true, |step| step.requires_ramdisk))
}

/// The steps of a deployment: the driver's, with those replaced, added or (priority 0) removed that the user asked for, and
/// then those that templates have. While the agent is not up yet, steps that nobody offers so far are left out (`complete`
/// is false); the agent may offer them later.
///
/// # Errors
/// As [`manual`], an unknown step only when `complete`; a step that is named twice; the core step with a priority.
pub fn deployment(
    offered: &[Step],
    user: &[StepCall],
    templates: &[StepCall],
    policy: &Policy,
    complete: bool,
) -> Result<Vec<Step>, PlanError> {
    check_deployment(user, templates, policy)?;
    let of_templates = templates.iter().filter(|call| !user.iter().any(|other| other.names(call)));
    let asked: Vec<&StepCall> = user.iter().chain(of_templates).collect();
    let offered = policy.of_offered(offered);
    // What children are to do says nothing about the node itself.
    let replaced = |step: &Step| asked.iter().any(|call| call.children.is_none() && step.is(&call.interface, &call.step));
    let untouched = offered.iter().filter(|step| !replaced(step));
    let mut plan: Vec<Step> = untouched.cloned().collect();
    for call in asked {
        match given(&offered, call) {
            Ok(step) => plan.push(step),
            Err(PlanError::UnknownStep { .. }) if !complete => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sorted(plan, interface_priority))
}

/// What can be told of the steps of a deployment before anybody offers one.
///
/// # Errors
/// As [`deployment`].
pub fn check_deployment(user: &[StepCall], templates: &[StepCall], policy: &Policy) -> Result<(), PlanError> {
    policy.check(user.iter().chain(templates))?;
    for calls in [user, templates] {
        for (at, call) in calls.iter().enumerate() {
            let again = calls.iter().take(at).any(|other| other.names(call));
            if again && Reserved::named(&call.step).is_none() {
                return Err(PlanError::Twice { interface: call.interface.clone(), step: call.step.clone() });
            }
            if (&*call.interface, &*call.step) == CORE && call.children.is_none() && call.priority != Some(0) {
                return Err(PlanError::Core);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(interface: &str, name: &str, priority: u32) -> Step {
        Step {
            interface: interface.into(),
            step: name.into(),
            priority,
            abortable: true,
            requires_ramdisk: true,
            arguments: vec![Argument { name: "level".into(), description: String::new(), required: false, kind: ArgumentType::Integer }],
            reboot_requested: false,
            args: Map::new(),
            offered_by: None,
            children: None,
        }
    }

    fn call(interface: &str, name: &str, priority: Option<u32>, args: serde_json::Value) -> StepCall {
        StepCall {
            interface: interface.into(),
            step: name.into(),
            args: args.as_object().cloned().unwrap_or_default(),
            priority,
            children: None,
        }
    }

    fn ids(plan: &[Step]) -> Vec<String> {
        plan.iter().map(Step::id).collect()
    }

    #[test]
    fn steps_are_ordered_by_priority_then_by_interface() {
        let offered = [step("raid", "a", 10), step("vendor", "b", 10), step("deploy", "c", 99), step("bios", "off", 0)];
        assert_eq!(ids(&automated(&offered, &Policy::default())), ["deploy.c", "vendor.b", "raid.a"]);
    }

    #[test]
    fn a_manual_plan_keeps_the_given_order_and_refuses_what_nobody_offers() {
        let offered = [step("deploy", "a", 1), step("bios", "b", 9)];
        let plan =
            manual(&offered, &[call("deploy", "a", None, json!({"level": 2})), call("bios", "b", None, json!({}))], &Policy::default())
                .unwrap();
        assert_eq!(ids(&plan), ["deploy.a", "bios.b"]);
        assert_eq!(plan[0].args["level"], 2);
        let refused = manual(&offered, &[call("deploy", "erase", None, json!({}))], &Policy::default()).unwrap_err();
        assert_eq!(refused.to_string(), "node does not support step deploy.erase; it offers: deploy.a, bios.b");
    }

    #[test]
    fn arguments_are_checked_against_the_declaration() {
        let offered = [step("deploy", "a", 1)];
        let wrong = manual(&offered, &[call("deploy", "a", None, json!({"level": "high"}))], &Policy::default());
        assert!(matches!(wrong, Err(PlanError::WrongArgument { .. })));
        let unexpected = manual(&offered, &[call("deploy", "a", None, json!({"speed": 1}))], &Policy::default());
        assert!(matches!(unexpected, Err(PlanError::UnexpectedArgument { .. })));
    }

    #[test]
    fn user_steps_replace_add_and_remove_deploy_steps() {
        let offered = [step("deploy", "deploy", 100), step("deploy", "write_image", 80), step("raid", "apply", 0)];
        let asked = [call("deploy", "write_image", Some(0), json!({})), call("raid", "apply", Some(95), json!({}))];
        assert_eq!(ids(&deployment(&offered, &asked, &[], &Policy::default(), true).unwrap()), ["deploy.deploy", "raid.apply"]);
        let later = [call("vendor", "in_band", Some(90), json!({}))];
        assert_eq!(ids(&deployment(&offered, &later, &[], &Policy::default(), false).unwrap()), ["deploy.deploy", "deploy.write_image"]);
        assert!(deployment(&offered, &later, &[], &Policy::default(), true).is_err());
    }
}
