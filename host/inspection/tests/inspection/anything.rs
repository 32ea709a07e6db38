//! Whatever machines say and operators write, rules end, and change only what they may.

use proptest::prelude::*;
use serde_json::{Value, json};
use wrought_inspection::rules::{self, Clause, Rule};
use wrought_inspection::{InspectionConfig, Means, Posted, Source, apply_hooks};

use crate::{map, rule, subject};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "{inventory[interfaces][0][mac_address]}",
            "{item}",
            "{item[a]}",
            "{node.driver_info}",
            "{plugin_data}",
            "{inventory[x]",
            "}{",
            "{node.driver_info[redfish_password]}",
            "52:54:00:00:00:01",
            "192.0.2.0/24",
            "CUSTOM_X",
            "/extra/a",
            "properties.b",
            "(a|b)*c",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..6).prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

fn clause(ops: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let names = ["value", "values", "regex", "address", "subnet", "msg", "level", "path", "name", "port_id", "unique", "force_strings"];
    let args = prop::collection::btree_map(prop::sample::select(names.to_vec()), value(), 0..4)
        .prop_map(|all| Value::Object(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
    let over = prop::option::of(prop::collection::vec(value(), 0..3));
    (prop::sample::select(ops.to_vec()), prop_oneof![3 => args, 1 => prop::collection::vec(value(), 0..4).prop_map(Value::from)], over)
        .prop_map(|(op, args, over)| json!({"op": op, "args": args, "loop": over}))
}

const CONDITIONS: &[&str] =
    &["eq", "!eq", "lt", "gt", "is-empty", "in-net", "matches", "contains", "one-of", "is-none", "is-true", "!is-false", "none"];
const ACTIONS: &[&str] = &[
    "fail",
    "log",
    "set-attribute",
    "extend-attribute",
    "del-attribute",
    "set-capability",
    "unset-capability",
    "add-trait",
    "remove-trait",
    "set-plugin-data",
    "extend-plugin-data",
    "unset-plugin-data",
    "set-port-attribute",
    "extend-port-attribute",
    "del-port-attribute",
];

/// Actions with the arguments that they take, so that most of them run.
fn fitting() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(vec!["/extra/a", "extra.a.b", "properties/c", "/driver_info/d", "description", "x/y", "{item}"]);
    let port = prop::sample::select(vec!["52:54:00:00:00:01", "no"]);
    (prop::sample::select(ACTIONS.to_vec()), path, value(), port, prop::option::of(prop::collection::vec(value(), 0..3))).prop_map(
        |(op, path, value, port, over)| {
            let args = match op {
                "fail" | "log" => json!({"msg": value}),
                "set-capability" => json!({"name": "cap", "value": value}),
                "unset-capability" => json!({"name": "cap"}),
                "add-trait" | "remove-trait" => json!({"name": "CUSTOM_T"}),
                "del-attribute" | "unset-plugin-data" => json!({"path": path}),
                "del-port-attribute" => json!({"port_id": port, "path": path}),
                "set-port-attribute" | "extend-port-attribute" => json!({"port_id": port, "path": path, "value": value}),
                _ => json!({"path": path, "value": value}),
            };
            json!({"op": op, "args": args, "loop": over})
        },
    )
}

fn made(conditions: Vec<Value>, actions: Vec<Value>) -> Option<Rule> {
    let read = |all: Vec<Value>| all.into_iter().map(|clause| serde_json::from_value::<Clause>(clause).unwrap()).collect::<Vec<_>>();
    let rule = Rule { conditions: read(conditions), actions: read(actions), ..rule(json!([]), json!([])) };
    rule.check().is_ok().then_some(rule)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_end_and_leave_alone_what_is_not_theirs(
        conditions in prop::collection::vec(clause(CONDITIONS), 0..2),
        actions in prop::collection::vec(prop_oneof![1 => clause(ACTIONS), 4 => fitting()], 1..5),
        found in prop::collection::btree_map(prop::sample::select(vec!["interfaces", "cpu", "disks", "hostname", "bmc_address"]), value(), 0..5),
    ) {
        let Some(rule) = made(conditions, actions) else { return Ok(()) };
        let mut subject = subject();
        subject.inventory.extend(found.into_iter().map(|(key, value)| (key.to_owned(), value)));
        let before = subject.clone();
        let _ = rules::apply(&[rule], &mut subject);
        let mut node = subject.node.clone();
        (node.properties, node.extra, node.network_data) = (before.node.properties.clone(), before.node.extra.clone(), before.node.network_data.clone());
        (node.driver_info, node.traits, node.description) = (before.node.driver_info.clone(), before.node.traits.clone(), before.node.description.clone());
        prop_assert_eq!(&node, &before.node);
        prop_assert_eq!(subject.inventory, before.inventory);
        prop_assert_eq!((subject.ports[0].uuid, &subject.ports[0].address), (before.ports[0].uuid, &before.ports[0].address));
        let elsewhere = json!([subject.node.properties, subject.node.extra, subject.node.description, subject.plugin_data]).to_string();
        prop_assert!(!elsewhere.contains("hunter2"), "{}", elsewhere);
    }

    #[test]
    fn findings_of_any_shape_break_nothing(inventory in value(), plugin in value(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Posted::read(bytes.into()).is_err());
        let body = json!({"inventory": inventory, "error": plugin, "root_disk": plugin, "boot_interface": plugin}).to_string();
        if let Ok(posted) = Posted::read(body.into()) {
            let (addresses, controllers) = (posted.addresses().to_vec(), posted.bmc_addresses().to_vec());
            let found = posted.findings().unwrap();
            prop_assert_eq!(found.interfaces().into_iter().map(|interface| interface.mac).collect::<Vec<_>>(), addresses);
            prop_assert_eq!(found.bmc_addresses(), controllers);
        }
        let mut subject = subject();
        if let Value::Object(inventory) = inventory {
            subject.inventory.extend(inventory);
        }
        for key in ["interfaces", "cpu", "memory", "disks", "boot"] {
            subject.inventory.insert(key.into(), plugin.clone());
        }
        let known = map(Value::Object(subject.node.driver_info.clone()));
        let _ = apply_hooks(&mut subject, Source::OutOfBand, &InspectionConfig::default(),
            &mut Means { now: subject_time(), fresh: &mut || uuid::Uuid::from_u128(5) });
        prop_assert_eq!(subject.node.driver_info, known);
        prop_assert!(subject.ports.len() <= 65);
    }
}

fn subject_time() -> jiff::Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}
