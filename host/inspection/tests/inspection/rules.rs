//! The rules.

use serde_json::{Value, json};
use uuid::Uuid;
use wrought_inspection::Subject;
use wrought_inspection::rules::{self, Outcome, Rule, RuleFailure};

use crate::{map, rule, subject};

/// Whether a condition holds of the subject.
fn holds(op: &str, args: Value) -> bool {
    holds_with(json!({"op": op, "args": args}))
}

fn holds_with(condition: Value) -> bool {
    let rule = rule(json!([condition]), json!([{"op": "log", "args": {"msg": "x"}}]));
    rule.check().unwrap_or_else(|error| panic!("{condition}: {error}"));
    let outcome = rules::apply(&[rule], &mut subject()).unwrap_or_else(|error| panic!("{condition}: {error}"));
    outcome.applied.len() == 1
}

fn act(actions: Value) -> Result<(Subject, Outcome), RuleFailure> {
    let mut subject = subject();
    let rule = rule(json!([]), actions);
    rule.check().unwrap_or_else(|error| panic!("{rule:?}: {error}"));
    let outcome = rules::apply(&[rule], &mut subject)?;
    Ok((subject, outcome))
}

fn refused(conditions: Value, actions: Value) -> String {
    rule(conditions, actions).check().unwrap_err().to_string()
}

#[test]
fn conditions_compare_as_ironic_documents_them() {
    assert!(holds("eq", json!({"values": ["{inventory[system_vendor][product_name]}", "PowerEdge R640"]})));
    assert!(holds("eq", json!({"values": ["{inventory[cpu][count]}", 64]})));
    assert!(holds("eq", json!({"values": ["{inventory[cpu][count]}", "64"]})), "a field in a text is text in Ironic");
    assert!(!holds("eq", json!({"values": ["{inventory[cpu][count]}", 63]})));
    assert!(holds("!eq", json!({"values": ["{node.driver}", "idrac"]})));
    assert!(holds(" ! eq ", json!({"values": ["{node.driver}", "idrac"]})));
    assert!(holds("eq", json!(["{node.driver}", "redfish"])), "the values as a list");
    assert!(holds("eq", json!([["{node.driver}", "redfish"], true])), "arguments by their order");
    assert!(holds("lt", json!({"values": [9, "{inventory[cpu][count]}", 100]})));
    assert!(holds("gt", json!({"values": ["{inventory[memory][physical_mb]}", 65536]})));
    assert!(!holds("lt", json!({"values": ["{inventory[cpu][count]}", "many"]})));
    assert!(holds("lt", json!({"values": ["{inventory[cpu][count]}", "7"], "force_strings": true})), "by letters: 6 comes before 7");
    assert!(holds("is-none", json!({"value": "{inventory[bmc_v6address]}"})), "what is not there is none");
    assert!(holds("is-empty", json!({"value": "{plugin_data[nothing][there]}"})));
    assert!(!holds("is-empty", json!({"value": "{inventory[disks]}"})));
    assert!(holds("in-net", json!({"address": "{inventory[bmc_address]}", "subnet": "192.0.2.0/24"})));
    assert!(!holds("in-net", json!({"address": "{inventory[hostname]}", "subnet": "192.0.2.0/24"})));
    assert!(holds("matches", json!({"value": "{inventory[system_vendor][manufacturer]}", "regex": "(?i)dell.*"})));
    assert!(!holds("matches", json!({"value": "{inventory[system_vendor][manufacturer]}", "regex": "(?i)dell"})), "all of it");
    assert!(!holds("matches", json!({"value": "ab", "regex": "a|ab c"})), "alternatives are within the whole");
    assert!(holds("contains", json!({"value": "{inventory[system_vendor][manufacturer]}", "regex": "(?i)dell"})));
    assert!(holds("one-of", json!({"value": "{inventory[cpu][count]}", "values": [32, 64]})));
    assert!(holds("is-true", json!({"value": "{inventory[interfaces][0][has_carrier]}"})) && holds("is-true", json!({"value": "Yes"})));
    assert!(holds("is-false", json!({"value": "{plugin_data[absent]}"})) && !holds("is-false", json!({"value": "perhaps"})));
}

#[test]
fn loops_of_conditions_combine_their_rounds() {
    let with = |multiple: Value| {
        let mut condition = json!({"op": "eq", "args": {"values": ["{inventory[system_vendor][product_name]}", "{item}"]},
            "loop": ["Cisco UCS", "PowerEdge R640", "HPE"]});
        if !multiple.is_null() {
            condition["multiple"] = multiple;
        }
        holds_with(condition)
    };
    assert_eq!(
        [with(json!(null)), with(json!("any")), with(json!("all")), with(json!("first")), with(json!("last"))],
        [true, true, false, false, false]
    );
    assert!(holds_with(
        json!({"op": "contains", "args": {"value": "{inventory[hostname]}", "regex": "^{item[start]}[a-z]{4}"}, "loop": {"start": "local"}})
    ));
}

#[test]
fn actions_change_node_ports_and_plugin_data() {
    let (subject, outcome) = act(json!([
        {"op": "set-attribute", "args": {"path": "/driver_info/ipmi_address", "value": "{inventory[bmc_address]}"}},
        {"op": "set-attribute", "args": {"path": "properties.memory_mb", "value": "{inventory[memory][physical_mb]}"}},
        {"op": "set-attribute", "args": {"path": "resource_class", "value": "cpu{inventory[cpu][count]}"}},
        {"op": "extend-attribute", "args": {"path": "/extra/seen", "value": {"vendor": "{inventory[system_vendor][manufacturer]}"}}},
        {"op": "extend-attribute", "args": {"path": "/extra/seen", "value": {"vendor": "Dell Inc."}, "unique": true}},
        {"op": "del-attribute", "args": {"path": "/extra/never/was"}},
        {"op": "set-capability", "args": {"name": "gpus", "value": 2}},
        {"op": "set-capability", "args": ["boot_mode", "uefi"]},
        {"op": "unset-capability", "args": {"name": "gpus"}},
        {"op": "add-trait", "args": {"name": "CUSTOM_R640"}},
        {"op": "add-trait", "args": {"name": "CUSTOM_R640"}},
        {"op": "set-plugin-data", "args": {"path": "site/rack", "value": "r1"}},
        {"op": "extend-plugin-data", "args": {"path": "site/tags", "value": "a"}},
        {"op": "unset-plugin-data", "args": {"path": "root_disk"}},
        {"op": "set-port-attribute", "args": {"port_id": "52:54:00:00:00:01", "path": "physical_network", "value": "net-{plugin_data[site][rack]}"}},
        {"op": "set-port-attribute", "args": {"port_id": Uuid::from_u128(1), "path": "/extra/name", "value": "{inventory[interfaces][0][name]}"}},
        {"op": "log", "args": {"msg": "node {node.uuid} has {{{inventory[cpu][count]}}}\n CPUs", "level": "warning"}},
    ]))
    .unwrap();
    assert_eq!(subject.node.driver_info["ipmi_address"], "192.0.2.200");
    assert_eq!(subject.node.properties["memory_mb"], 262_144, "a whole field keeps its type");
    assert_eq!(subject.node.resource_class.as_deref(), Some("cpu64"));
    assert_eq!(subject.node.extra["seen"], json!([{"vendor": "Dell Inc."}]));
    assert_eq!(subject.node.properties["capabilities"], "boot_mode:uefi");
    assert_eq!(subject.node.traits, ["CUSTOM_R640"]);
    assert_eq!(subject.plugin_data, map(json!({"site": {"rack": "r1", "tags": ["a"]}})));
    assert_eq!((subject.ports[0].physical_network.as_deref(), &subject.ports[0].extra["name"]), (Some("net-r1"), &json!("eno1")));
    assert_eq!(
        outcome.logged,
        [(Uuid::from_u128(99), "warning".into(), "node 00000000-0000-0000-0000-000000000007 has {64}  CPUs".into())]
    );
}

#[test]
fn loops_of_actions_fill_in_each_item() {
    let (subject, _) = act(json!([{
        "op": "set-attribute", "args": {"path": "{item[path]}", "value": "{item[value]}"},
        "loop": [{"path": "/driver_info/ipmi_username", "value": "admin"}, {"path": "/extra/bmc", "value": "{inventory[bmc_address]}"}],
    }]))
    .unwrap();
    assert_eq!((&subject.node.driver_info["ipmi_username"], &subject.node.extra["bmc"]), (&json!("admin"), &json!("192.0.2.200")));
    let failure = act(json!([{
        "op": "set-attribute", "args": {"path": "{item}", "value": "available"}, "loop": ["/provision_state"],
    }]));
    assert!(failure.unwrap_err().to_string().contains("\"/provision_state\" cannot be changed by a rule"));
}

#[test]
fn driver_and_interfaces_are_set_and_a_path_with_braces_leads_nowhere() {
    let (subject, _) = act(json!([
        {"op": "set-attribute", "args": ["/driver", "idrac"]},
        {"op": "set-attribute", "args": ["/rescue_interface", "agent"]},
    ]))
    .unwrap();
    assert_eq!((subject.node.driver.as_str(), subject.node.interfaces.rescue.as_str()), ("idrac", "agent"));
    // As Ironic's: stored, since only a run tells what it means.
    let failure = act(json!([{"op": "set-attribute", "args": ["{{ /properties/cpu_model }}", "x"]}])).unwrap_err();
    assert!(failure.to_string().contains("write a/b/c"), "{failure}");
    let failure = act(json!([{"op": "del-attribute", "args": ["/driver"]}])).unwrap_err();
    assert!(failure.to_string().contains("driver is a text"), "{failure}");
}

#[test]
fn the_highest_priority_runs_first_and_failures_say_which_rule() {
    let set = |id: u128, priority: u16, value: &str| {
        let actions = json!([{"op": "set-attribute", "args": {"path": "description", "value": value}}]);
        Rule { uuid: Uuid::from_u128(id), priority, ..rule(json!([]), actions) }
    };
    let mut subject = subject();
    let outcome = rules::apply(&[set(1, 1, "last"), set(2, 50, "first"), set(3, 1, "very last")], &mut subject).unwrap();
    assert_eq!(outcome.applied, [2, 1, 3].map(Uuid::from_u128));
    assert_eq!(subject.node.description.as_deref(), Some("very last"));

    let failure = act(json!([{"op": "fail", "args": {"msg": "{inventory[cpu][count]} CPUs are too few"}}])).unwrap_err();
    assert_eq!(failure.to_string(), "inspection rule 00000000-0000-0000-0000-000000000063 ends the inspection: 64 CPUs are too few");
    let failure = act(json!([{"op": "set-attribute", "args": {"path": "extra/x", "value": "{inventory[gpu]}"}}])).unwrap_err();
    assert!(failure.to_string().ends_with("cannot be carried out: there is nothing at inventory/gpu"));
    let failure =
        act(json!([{"op": "set-port-attribute", "args": {"port_id": "52:54:00:00:00:09", "path": "vendor", "value": "x"}}])).unwrap_err();
    assert!(failure.to_string().ends_with("the node has no port \"52:54:00:00:00:09\""));
}

#[test]
fn secrets_are_never_copied_nor_told() {
    let (found, _) = act(json!([
        {"op": "set-attribute", "args": {"path": "extra/a", "value": "{node.driver_info[redfish_password]}"}},
        {"op": "set-attribute", "args": {"path": "extra/b", "value": "{node.driver_info}"}},
    ]))
    .unwrap();
    assert!(!Value::Object(found.node.extra.clone()).to_string().contains("hunter2"), "{:?}", found.node.extra);
    assert_eq!(found.node.extra["a"], "******");

    let sensitive = Rule {
        sensitive: true,
        ..rule(json!([]), json!([{"op": "log", "args": {"msg": "x"}}, {"op": "fail", "args": {"msg": "secret-1"}}]))
    };
    let failure = rules::apply(&[sensitive], &mut subject()).unwrap_err();
    assert!(!failure.to_string().contains("secret-1"));
}

#[test]
fn what_a_machine_says_is_never_filled_in_again() {
    let mut hostile = subject();
    hostile.inventory.insert("hostname".into(), json!("{node.driver_info[redfish_password]} {inventory} }{"));
    let copy = rule(
        json!([]),
        json!([
            {"op": "set-attribute", "args": {"path": "extra/name", "value": "host {inventory[hostname]}"}},
            {"op": "set-attribute", "args": {"path": "extra/again", "value": "{node.extra[name]}"}},
            {"op": "set-plugin-data", "args": {"path": "x", "value": "{item[y]}"}, "loop": [{"y": "{inventory[hostname]}"}]},
        ]),
    );
    rules::apply(&[copy], &mut hostile).unwrap();
    assert_eq!(hostile.node.extra["again"], "host {node.driver_info[redfish_password]} {inventory} }{");
    assert_eq!(hostile.plugin_data["x"], "{node.driver_info[redfish_password]} {inventory} }{");
}

#[test]
fn rules_that_can_never_run_are_refused_when_they_are_made() {
    let log = json!([{"op": "log", "args": {"msg": "x"}}]);
    for (conditions, actions, text) in [
        (json!([]), json!([]), "at least one action"),
        (json!([{"op": "near", "args": {}}]), log.clone(), "supported are eq, lt"),
        (json!([{"op": "!!eq", "args": {"values": []}}]), log.clone(), "it is not supported"),
        (json!([{"op": "eq", "args": {}}]), log.clone(), "missing required argument(s): values"),
        (json!([{"op": "eq", "args": {"values": [], "x": 1}}]), log.clone(), "unexpected argument(s): x"),
        (json!([{"op": "eq", "args": {"values": ["{item}"]}}]), log.clone(), "in a loop only"),
        (json!([{"op": "eq", "args": {"values": ["{os.environ}"]}}]), log.clone(), "does not begin with one of"),
        (json!([{"op": "contains", "args": {"value": "a", "regex": "(a"}}]), log.clone(), "invalid regular expression: unclosed group"),
        (json!([{"op": "contains", "args": {"value": "a", "regex": "(?=a)"}}]), log.clone(), "look-around"),
        (json!([{"op": "contains", "args": {"value": "a", "regex": "(\\w{500}){500}"}}]), log.clone(), "too large"),
        (json!([{"op": "in-net", "args": {"address": "a", "subnet": "10.0.0.0/33"}}]), log.clone(), "is not a network"),
        (json!([{"op": "eq", "args": {"values": []}, "loop": vec![1; 257]}]), log.clone(), "at most 256 items"),
        (json!(vec![json!({"op": "eq", "args": {"values": []}}); 65]), log, "at most 64 conditions"),
        (json!([]), json!([{"op": "api-call", "args": {"url": "http://169.254.169.254/"}}]), "it is not supported"),
        (
            json!([]),
            json!([{"op": "set-attribute", "args": {"path": "/provision_state", "value": "active"}}]),
            "cannot be changed by a rule",
        ),
        (json!([]), json!([{"op": "set-attribute", "args": {"path": "/driver_info", "value": {}}}]), "driver_info as a whole"),
        (json!([]), json!([{"op": "set-attribute", "args": {"path": "extra//x", "value": 1}}]), "write a/b/c"),
        (json!([]), json!([{"op": "add-trait", "args": {"name": "custom"}}]), "is not a trait"),
        (json!([]), json!([{"op": "set-capability", "args": {"name": "a:b", "value": 1}}]), "is not the name of a capability"),
        (json!([]), json!([{"op": "log", "args": {"msg": "x", "level": "loud"}}]), "level is one of"),
        (json!([]), json!([{"op": "log", "args": {"msg": "x"}, "multiple": "any"}]), "multiple is for conditions"),
    ] {
        let said = refused(conditions, actions);
        assert!(said.contains(text), "{said:?} should say {text:?}");
    }
    let many = Rule { priority: 10_000, ..rule(json!([]), json!([{"op": "log", "args": {"msg": "x"}}])) };
    assert!(many.check().unwrap_err().to_string().contains("between 0 and 9999"));
    let early = Rule { phase: "early".into(), ..rule(json!([]), json!([{"op": "log", "args": {"msg": "x"}}])) };
    assert!(early.check().unwrap_err().to_string().contains("Invalid phase: early"));
}

#[test]
fn work_and_text_come_to_an_end() {
    let mut large = subject();
    large.inventory.insert("blob".into(), json!("x".repeat(4 << 20)));
    let read = json!({"op": "contains", "args": {"value": "{inventory[blob]}", "regex": "y$"}, "loop": vec![0; 256]});
    let reads = rule(json!([read]), json!([{"op": "log", "args": {"msg": "x"}}]));
    assert!(rules::apply(&[reads], &mut large.clone()).unwrap_err().to_string().contains("MiB read and compared"));
    let write = json!([{"op": "set-plugin-data", "args": {"path": "copy", "value": "{inventory[blob]}"}}]);
    assert!(rules::apply(&[rule(json!([]), write)], &mut large).unwrap_err().to_string().contains("have written as much"));
}
