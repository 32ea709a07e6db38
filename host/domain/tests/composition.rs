//! Plans of steps against a model that is made in another way: it looks at every step there could be, one by one, and asks
//! what becomes of it, where the real thing goes through lists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use wrought_domain::plan::{self, Offer, Policy};
use wrought_domain::step::{Argument, ArgumentType, Children, PlanError};
use wrought_domain::{Map, Runbook, RunbookStep, Step, StepCall};

const INTERFACES: [&str; 8] = ["vendor", "power", "management", "firmware", "deploy", "bios", "raid", "network"];
const NAMES: [&str; 6] = ["deploy", "erase", "apply", "update", "send_raw", "reboot"];
const RESERVED: [&str; 5] = ["power_on", "power_off", "reboot", "hold", "wait"];
const CASES: u32 = 1500;

type Id = (String, String);

fn id(step: &Step) -> Id {
    (step.interface.clone(), step.step.clone())
}

fn names(call: &StepCall) -> Id {
    (call.interface.clone(), call.step.clone())
}

fn dotted(id: &Id) -> String {
    format!("{}.{}", id.0, id.1)
}

fn step() -> impl Strategy<Value = Step> {
    let argument = |required| Argument { name: "level".into(), description: String::new(), required, kind: ArgumentType::Integer };
    (select(&INTERFACES[..]), select(&NAMES[..]), select(&[0u32, 10, 10, 40, 80, 100][..]), any::<bool>(), any::<Option<bool>>()).prop_map(
        move |(interface, name, priority, requires_ramdisk, takes)| Step {
            interface: interface.into(),
            step: name.into(),
            priority,
            abortable: true,
            requires_ramdisk,
            reboot_requested: false,
            arguments: takes.map(argument).into_iter().collect(),
            args: Map::new(),
            offered_by: None,
            children: None,
        },
    )
}

/// Steps as one driver offers them: each once.
fn offered() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 0..9).prop_map(|steps| {
        let mut seen = BTreeSet::new();
        steps.into_iter().filter(|step| seen.insert(id(step))).collect()
    })
}

fn call(priority: impl Strategy<Value = Option<u32>>) -> impl Strategy<Value = StepCall> {
    let step = select(&["deploy", "erase", "apply", "update", "send_raw", "reboot", "hold", "wait", "unheard_of"][..]);
    let args = prop_oneof![
        4 => Just(json!({})),
        4 => Just(json!({"level": 2})),
        1 => Just(json!({"level": "high"})),
        1 => Just(json!({"speed": 1})),
        1 => Just(json!({"seconds": 1})),
    ];
    let children = prop_oneof![9 => Just(None), 1 => Just(Some(Children::All))];
    (select(&INTERFACES[..]), step, args, priority, children).prop_map(|(interface, step, args, priority, children)| StepCall {
        interface: interface.into(),
        step: step.into(),
        args: args.as_object().cloned().unwrap(),
        priority,
        children,
    })
}

/// Calls, most of which name something that is offered.
fn aimed(offered: &[Step], calls: Vec<(StepCall, usize)>) -> Vec<StepCall> {
    let aim = |(call, at): (StepCall, usize)| match offered.get(at % (offered.len().max(1) + 1)) {
        Some(step) => {
            let fitting = if step.arguments.is_empty() { json!({}) } else { json!({"level": 2}) };
            let args = if at % 5 == 0 { call.args } else { fitting.as_object().cloned().unwrap() };
            StepCall { interface: step.interface.clone(), step: step.step.clone(), args, ..call }
        }
        None => call,
    };
    calls.into_iter().map(aim).collect()
}

type Calls = Vec<(StepCall, usize)>;

fn asked(max: usize) -> impl Strategy<Value = Calls> {
    vec((call(Just(None)), 0usize..100), 0..max)
}

fn with_priorities(max: usize) -> impl Strategy<Value = Calls> {
    vec((call(select(&[0u32, 0, 10, 45, 80, 95][..]).prop_map(Some)), 0usize..100), 0..max)
}

fn policy() -> impl Strategy<Value = Policy> {
    let a_name = || (select(&INTERFACES[..]), select(&NAMES[..])).prop_map(|(interface, name)| format!("{interface}.{name}"));
    let priorities = vec((a_name(), select(&[0u32, 5, 40, 99][..])), 0..6).prop_map(|all| all.into_iter().collect::<BTreeMap<_, _>>());
    (vec(a_name(), 0..3), priorities).prop_map(|(denied, priorities)| Policy { denied, priorities })
}

/// The rank of an interface among steps of one priority, as Ironic documents it.
fn rank(interface: &str) -> i32 {
    [("vendor", 7), ("power", 6), ("management", 5), ("firmware", 4), ("deploy", 3), ("bios", 2), ("raid", 1)]
        .iter()
        .find(|(name, _)| *name == interface)
        .map_or(0, |(_, rank)| *rank)
}

fn verify_rank(interface: &str) -> i32 {
    [
        ("power", 13),
        ("management", 12),
        ("firmware", 11),
        ("inspect", 10),
        ("deploy", 9),
        ("boot", 8),
        ("bios", 7),
        ("raid", 6),
        ("vendor", 5),
        ("network", 4),
        ("storage", 3),
        ("console", 2),
        ("rescue", 1),
    ]
    .iter()
    .find(|(name, _)| *name == interface)
    .map_or(0, |(_, rank)| *rank)
}

/// Takes the greatest out again and again: the one of higher priority, then of the higher interface, then the one named first.
fn in_order(mut rest: Vec<(u32, Id)>, rank: fn(&str) -> i32) -> Vec<(u32, Id)> {
    let mut order = Vec::new();
    rest.retain(|(priority, _)| *priority > 0);
    while !rest.is_empty() {
        let mut best = 0;
        for (at, (priority, id)) in rest.iter().enumerate() {
            let (of_best, best_id) = &rest[best];
            if priority > of_best || (priority == of_best && rank(&id.0) > rank(&best_id.0)) {
                best = at;
            }
        }
        order.push(rest.remove(best));
    }
    order
}

fn found(plan: &[Step]) -> Vec<(u32, Id)> {
    plan.iter().map(|step| (step.priority, id(step))).collect()
}

fn ruled(policy: &Policy, step: &Step) -> u32 {
    match policy.priorities.get(&dotted(&id(step))) {
        Some(priority) => *priority,
        None => step.priority,
    }
}

fn is_denied(policy: &Policy, id: &Id) -> bool {
    policy.denied.contains(&dotted(id))
}

/// What drivers offer under a name of the host's own is nobody's: the host would execute it in their place.
fn is_left_out(policy: &Policy, id: &Id) -> bool {
    is_denied(policy, id) || RESERVED.contains(&id.1.as_str())
}

/// Nobody could let a child go that holds.
fn may_not_be_asked(policy: &Policy, call: &StepCall) -> bool {
    is_denied(policy, &names(call)) || (call.children.is_some() && call.step == "hold")
}

fn needs_no_offer(call: &StepCall) -> bool {
    call.children.is_some() || RESERVED.contains(&call.step.as_str())
}

/// What is wrong with one call, with the names of the errors that may say so.
fn faults_of(offered: &[Step], call: &StepCall, complete: bool) -> Vec<&'static str> {
    let level = call.args.get("level");
    let others = call.args.keys().any(|name| name != "level");
    if RESERVED.contains(&call.step.as_str()) {
        let seconds = call.args.get("seconds").is_some_and(Value::is_i64) && call.step == "wait";
        return if call.args.is_empty() || seconds { vec![] } else { vec!["unexpected"] };
    }
    if call.children.is_some() {
        return vec![];
    }
    let Some(step) = offered.iter().find(|step| step.interface == call.interface && step.step == call.step) else {
        return if complete { vec!["unknown"] } else { vec![] };
    };
    let takes = step.arguments.first();
    let mut faults = Vec::new();
    if others || (level.is_some() && takes.is_none()) {
        faults.push("unexpected");
    }
    if takes.is_some() && level.is_some_and(|level| !level.is_i64()) {
        faults.push("wrong");
    }
    if takes.is_some_and(|takes| takes.required) && level.is_none() && call.priority != Some(0) {
        faults.push("missing");
    }
    faults
}

fn kind(error: &PlanError) -> &'static str {
    match error {
        PlanError::UnknownStep { .. } => "unknown",
        PlanError::UnexpectedArgument { .. } => "unexpected",
        PlanError::MissingArgument { .. } => "missing",
        PlanError::WrongArgument { .. } => "wrong",
        PlanError::Denied { .. } => "denied",
        PlanError::Twice { .. } => "twice",
        PlanError::Core => "core",
    }
}

/// Which errors the model would let a deployment end with.
fn faults_of_deployment(
    offered: &[Step],
    user: &[StepCall],
    templates: &[StepCall],
    policy: &Policy,
    complete: bool,
) -> BTreeSet<&'static str> {
    let mut faults = BTreeSet::new();
    for list in [user, templates] {
        for (at, call) in list.iter().enumerate() {
            if may_not_be_asked(policy, call) {
                faults.insert("denied");
            }
            if names(call) == ("deploy".into(), "deploy".into()) && call.children.is_none() && call.priority != Some(0) {
                faults.insert("core");
            }
            let again = list[at + 1..].iter().any(|other| names(other) == names(call) && other.children == call.children);
            if again && !RESERVED.contains(&call.step.as_str()) {
                faults.insert("twice");
            }
        }
    }
    // A user's step stands in for the template's of the same name, whose arguments nobody looks at then.
    let stood_in = |call: &StepCall| user.iter().any(|other| names(other) == names(call) && other.children == call.children);
    let offered: Vec<Step> = offered.iter().filter(|step| !is_left_out(policy, &id(step))).cloned().collect();
    for call in user.iter().chain(templates.iter().filter(|call| !stood_in(call))) {
        faults.extend(faults_of(&offered, call, complete));
    }
    faults
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_automated_plan_is_the_models(offered in offered(), policy in policy()) {
        let counted: Vec<(u32, Id)> =
            offered.iter().filter(|step| !is_left_out(&policy, &id(step))).map(|step| (ruled(&policy, step), id(step))).collect();
        prop_assert_eq!(found(&plan::automated(&offered, &policy)), in_order(counted.clone(), rank));
        prop_assert_eq!(found(&plan::verification(&offered, &policy)), in_order(counted, verify_rank));
    }

    #[test]
    fn what_is_never_executed_is_in_no_plan_whoever_asks(
        offered in offered(), user in with_priorities(5), templates in with_priorities(4), manual in asked(5), policy in policy()
    ) {
        let (user, templates, manual) = (aimed(&offered, user), aimed(&offered, templates), aimed(&offered, manual));
        let plans = [
            Ok(plan::automated(&offered, &policy)),
            Ok(plan::verification(&offered, &policy)),
            plan::manual(&offered, &manual, &policy),
            plan::deployment(&offered, &user, &templates, &policy, true),
            plan::deployment(&offered, &user, &templates, &policy, false),
        ];
        for step in plans.iter().flatten().flatten() {
            prop_assert!(!is_denied(&policy, &id(step)), "{}", step.id());
        }
    }

    #[test]
    fn a_manual_plan_is_what_was_asked_for_or_an_error_that_is_true(offered in offered(), asked in asked(6), policy in policy()) {
        let asked = aimed(&offered, asked);
        let mut faults: BTreeSet<&str> = asked.iter().flat_map(|call| faults_of(&offered, call, true)).collect();
        if asked.iter().any(|call| may_not_be_asked(&policy, call)) {
            faults.insert("denied");
        }
        match plan::manual(&offered, &asked, &policy) {
            Ok(plan) => {
                prop_assert!(faults.is_empty(), "accepted in spite of {:?}", faults);
                prop_assert_eq!(plan.iter().map(id).collect::<Vec<_>>(), asked.iter().map(names).collect::<Vec<_>>());
                for (step, call) in plan.iter().zip(&asked) {
                    prop_assert_eq!(&step.args, &call.args);
                    prop_assert_eq!(&step.children, &call.children);
                }
            }
            Err(error) => prop_assert!(faults.contains(kind(&error)), "{} is not among {:?}", error, faults),
        }
    }

    #[test]
    fn the_machine_is_booted_for_steps_that_need_it_or_are_not_known(offered in offered(), asked in asked(4)) {
        let asked = aimed(&offered, asked);
        let needed = asked.iter().filter(|call| !needs_no_offer(call)).any(|call| {
            offered.iter().find(|step| id(step) == names(call)).is_none_or(|step| step.requires_ramdisk)
        });
        prop_assert_eq!(plan::needs_ramdisk(&offered, &asked), needed);
    }

    #[test]
    fn a_plan_of_a_deployment_is_the_models(
        offered in offered(), user in with_priorities(5), templates in with_priorities(4), policy in policy(), complete in any::<bool>()
    ) {
        let (user, templates) = (aimed(&offered, user), aimed(&offered, templates));
        let faults = faults_of_deployment(&offered, &user, &templates, &policy, complete);
        match plan::deployment(&offered, &user, &templates, &policy, complete) {
            Err(error) => prop_assert!(faults.contains(kind(&error)), "{} is not among {:?}", error, faults),
            Ok(plan) => {
                prop_assert!(faults.is_empty(), "accepted in spite of {:?}", faults);
                let there = |call: &StepCall| {
                    needs_no_offer(call) || offered.iter().any(|step| id(step) == names(call) && !is_left_out(&policy, &id(step)))
                };
                // The last word on each step: the user's, else a template's, else the driver's.
                let mut counted = Vec::new();
                for step in &offered {
                    let spoken = user.iter().chain(&templates).any(|call| names(call) == id(step) && call.children.is_none());
                    if !spoken && !is_left_out(&policy, &id(step)) {
                        counted.push((ruled(&policy, step), id(step)));
                    }
                }
                for call in user.iter().filter(|call| there(call)) {
                    counted.push((call.priority.unwrap(), names(call)));
                }
                for call in templates.iter().filter(|call| there(call)) {
                    if !user.iter().any(|other| names(other) == names(call) && other.children == call.children) {
                        counted.push((call.priority.unwrap(), names(call)));
                    }
                }
                prop_assert_eq!(found(&plan), in_order(counted, rank));
                for step in plan.iter().filter(|step| !step.args.is_empty()) {
                    let given = user.iter().chain(&templates).any(|call| names(call) == id(step) && call.args == step.args);
                    prop_assert!(given, "nobody gave {} its arguments", step.id());
                }
            }
        }
    }

    #[test]
    fn what_agents_offer_later_only_adds_to_a_plan(
        early in offered(), late in offered(), user in with_priorities(4), templates in with_priorities(3), policy in policy()
    ) {
        let (user, templates) = (aimed(&late, user), aimed(&early, templates));
        let mut all = early.clone();
        all.extend(late.into_iter().filter(|step| !early.iter().any(|known| id(known) == id(step))));
        let before = plan::deployment(&early, &user, &templates, &policy, false);
        let after = plan::deployment(&all, &user, &templates, &policy, true);
        if let (Ok(before), Ok(after)) = (before, after) {
            let told = |plan: &[Step]| plan.iter().map(|step| (step.priority, id(step), step.children.is_some())).collect::<Vec<_>>();
            let kept: Vec<_> = told(&after).into_iter().filter(|step| told(&before).contains(step)).collect();
            prop_assert_eq!(kept, told(&before));
        }
    }

    #[test]
    fn each_step_of_several_drivers_comes_once_and_from_the_driver_that_was_chosen_for_it(
        own in offered(), base in offered(), of_raid in offered(), of_two in offered()
    ) {
        let offer = |driver: &str, interfaces: &[&str], steps: &[Step]| Offer {
            driver: driver.parse().unwrap(),
            interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
            steps: steps.to_vec(),
        };
        let offers = [
            offer("own", &["deploy"], &own),
            offer("base", &["deploy"], &base),
            offer("raid-x", &["raid"], &of_raid),
            offer("two-x", &["bios", "firmware"], &of_two),
        ];
        let merged = plan::merged(&offers);
        for interface in INTERFACES {
            for name in NAMES {
                let id = (interface.to_owned(), name.to_owned());
                let has = |steps: &[Step]| steps.iter().any(|step| self::id(step) == id);
                let chosen = match interface {
                    "raid" if has(&of_raid) => Some("raid-x"),
                    "bios" | "firmware" if has(&of_two) => Some("two-x"),
                    _ if has(&own) => Some("own"),
                    _ if has(&base) => Some("base"),
                    _ => None,
                };
                let there: Vec<&Step> = merged.iter().filter(|step| self::id(step) == id).collect();
                prop_assert_eq!(there.len(), usize::from(chosen.is_some()));
                if let (Some(step), Some(chosen)) = (there.first(), chosen) {
                    prop_assert_eq!(step.offered_by.as_ref().unwrap().as_str(), chosen);
                    let offer = offers.iter().find(|offer| offer.driver.as_str() == chosen).unwrap();
                    let original = offer.steps.iter().find(|step| self::id(step) == id).unwrap();
                    prop_assert_eq!(step.priority, original.priority);
                }
            }
        }
    }

    /// All at once: several drivers, a base among them, templates, the user, the operator's rules.
    #[test]
    fn every_step_of_a_whole_composition_comes_from_whom_the_model_says(
        own in offered(), base in offered(), of_raid in offered(), user in with_priorities(4), templates in with_priorities(3),
        policy in policy(), automatic in any::<bool>()
    ) {
        let offer = |driver: &str, interface: &str, steps: &[Step]| Offer {
            driver: driver.parse().unwrap(), interfaces: vec![interface.to_owned()], steps: steps.to_vec(),
        };
        let merged = plan::merged(&[offer("own", "deploy", &own), offer("base", "deploy", &base), offer("raid-x", "raid", &of_raid)]);
        let (user, templates) = (aimed(&merged, user), aimed(&merged, templates));
        let planned = if automatic { Ok(plan::automated(&merged, &policy)) } else { plan::deployment(&merged, &user, &templates, &policy, true) };
        let Ok(planned) = planned else { return Ok(()) };
        let asks = |id: &Id, list: &[StepCall]| list.iter().find(|call| names(call) == *id && call.children.is_none()).cloned();
        let has = |id: &Id, steps: &[Step]| steps.iter().find(|step| self::id(step) == *id).cloned();
        for interface in INTERFACES {
            for name in NAMES {
                let id = (interface.to_owned(), name.to_owned());
                // Who executes it, and with what priority it is offered.
                let by_raid = if interface == "raid" { has(&id, &of_raid).map(|step| ("raid-x", step)) } else { None };
                let offered = by_raid.or(has(&id, &own).map(|step| ("own", step))).or(has(&id, &base).map(|step| ("base", step)));
                let offered = offered.filter(|_| !is_left_out(&policy, &id)).map(|(who, step)| (who, ruled(&policy, &step)));
                let word = if automatic { None } else { asks(&id, &user).or(asks(&id, &templates)) };
                let expected = match (&offered, word) {
                    _ if RESERVED.contains(&name) && !automatic => continue,
                    (Some((who, _)), Some(call)) => Some((*who, call.priority.unwrap())),
                    (Some((who, priority)), None) => Some((*who, *priority)),
                    (None, _) => None,
                };
                let expected = expected.filter(|(_, priority)| *priority > 0);
                let there: Vec<(&str, u32)> = planned
                    .iter()
                    .filter(|step| self::id(step) == id && step.children.is_none())
                    .map(|step| (step.offered_by.as_ref().unwrap().as_str(), step.priority))
                    .collect();
                prop_assert_eq!(there, expected.into_iter().collect::<Vec<_>>(), "{}", dotted(&id));
            }
        }
    }

    /// A runbook is the manual plan of its steps by their order.
    #[test]
    fn a_runbook_gives_the_plan_that_its_order_says(offered in offered(), calls in asked(6), orders in vec(0u32..4, 6), policy in policy()) {
        let calls = aimed(&offered, calls);
        let steps: Vec<RunbookStep> = calls.iter().cloned().zip(orders).map(|(call, order)| RunbookStep { call, order }).collect();
        let runbook = Runbook {
            uuid: uuid::Uuid::nil(), name: "book".into(), steps: steps.clone(), disable_ramdisk: false, extra: Map::new(), public: false,
            owner: None, description: None, traits: Vec::new(), created_at: jiff::Timestamp::UNIX_EPOCH, updated_at: None,
        };
        // The lowest place first, and among equal places the one named first.
        let mut expected = Vec::new();
        for place in 0..4 {
            expected.extend(steps.iter().filter(|step| step.order == place).map(|step| step.call.clone()));
        }
        prop_assert_eq!(&runbook.calls(), &expected);
        let by_runbook = plan::manual(&offered, &runbook.calls(), &policy);
        let by_hand = plan::manual(&offered, &expected, &policy);
        prop_assert_eq!(by_runbook.is_ok(), by_hand.is_ok());
        if let Ok(planned) = by_runbook {
            prop_assert_eq!(planned.iter().map(id).collect::<Vec<_>>(), expected.iter().map(names).collect::<Vec<_>>());
        }
    }
}

/// What is tried is neither mostly refused nor mostly trivial.
#[test]
fn the_generated_compositions_are_worth_trying() {
    let mut runner = TestRunner::deterministic();
    let compositions = (offered(), with_priorities(5), with_priorities(4), policy());
    let (mut accepted, mut refused, mut changed) = (0, 0, 0);
    for _ in 0..CASES {
        let (offered, user, templates, policy) = compositions.new_tree(&mut runner).unwrap().current();
        let (user, templates) = (aimed(&offered, user), aimed(&offered, templates));
        match plan::deployment(&offered, &user, &templates, &policy, true) {
            Ok(planned) => {
                accepted += 1;
                let bare = plan::deployment(&offered, &[], &[], &Policy::default(), true).unwrap();
                changed += u32::from(found(&planned) != found(&bare));
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted >= 300 && refused >= 300 && changed >= 200, "{accepted} accepted, {changed} of them changed, {refused} refused");
}
