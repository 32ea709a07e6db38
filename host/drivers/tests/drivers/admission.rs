//! A bad upload never becomes a driver, and the operator is told what is wrong with it.

use wrought_drivers::{Rejection, check, shipped};

use crate::host::{load, runtime};

/// A component with these imports that claims to be a driver.
fn claims_to_be_a_driver(imports: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(component {imports} (instance $driver) (export "baremetal:deploy/driver@0.1.0" (instance $driver)))"#))
        .unwrap()
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused() {
    assert!(matches!(check(b"MZ\x90 this is a program".to_vec(), 64), Err(Rejection::NotWasm(_))));
    assert!(matches!(check(Vec::new(), 64), Err(Rejection::NotWasm(_))));
    assert!(matches!(check(b"\0asm\x0d\0\x01\0\xff\xff\xff".to_vec(), 64), Err(Rejection::NotWasm(_))));
    assert_eq!(check(wat::parse_str("(module)").unwrap(), 64).unwrap_err(), Rejection::CoreModule);
    assert_eq!(check(vec![0; 65 << 20], 64).unwrap_err(), Rejection::TooLarge { limit_mib: 64 });
    let cut = shipped::FAKE[..shipped::FAKE.len() / 2].to_vec();
    assert!(matches!(check(cut, 64), Err(Rejection::NotWasm(_))));
}

#[tokio::test]
async fn a_component_that_is_no_driver_is_refused() {
    assert_eq!(check(wat::parse_str("(component)").unwrap(), 64).unwrap_err(), Rejection::NoDriverInterface);
    let empty = load(runtime().await, &claims_to_be_a_driver("")).await.unwrap_err();
    assert!(matches!(&empty, Rejection::Contract(text) if text.contains("describe")), "{empty}");
}

#[tokio::test]
async fn an_import_that_the_host_does_not_have_is_named() {
    for import in [
        "foo:bar/baz@1.0.0",
        "wasi:http/outgoing-handler@0.2.0",
        "baremetal:deploy/power@0.9.0",
        "baremetal:deploy/moon@0.1.0",
        "wasi:cli/run@0.3.0",
    ] {
        let refused = check(claims_to_be_a_driver(&format!(r#"(import "{import}" (instance))"#)), 64).unwrap_err();
        assert_eq!(refused, Rejection::UnknownImport { import: import.into() });
        assert!(refused.to_string().contains(import));
    }
}

#[tokio::test]
async fn what_a_component_imports_is_what_it_asks_for() {
    let asks = |bytes: &[u8]| check(bytes.to_vec(), 64).unwrap().requested.to_string();
    assert_eq!(asks(shipped::DIRECT), "agent,boot,image,network,power,report");
    assert_eq!(asks(shipped::FAKE), "");
    assert_eq!(asks(shipped::HOSTILE), "agent,boot,image,locking,network,power,report");
}

#[tokio::test]
async fn an_export_of_another_version_or_type_is_refused() {
    let text = r#"(component
        (instance $empty)
        (export "baremetal:deploy/driver@0.1.0" (instance $empty))
        (export "baremetal:deploy/deploy@0.2.0" (instance $empty)))"#;
    let refused = check(wat::parse_str(text).unwrap(), 64).unwrap_err();
    assert!(matches!(&refused, Rejection::Contract(text) if text.contains("deploy@0.2.0")), "{refused}");

    let odd_type = r#"(component
        (core module $code (func (export "describe")) (func (export "get-properties")))
        (core instance $code (instantiate $code))
        (func $describe (canon lift (core func $code "describe")))
        (func $get-properties (canon lift (core func $code "get-properties")))
        (instance $driver (export "describe" (func $describe)) (export "get-properties" (func $get-properties)))
        (export "baremetal:deploy/driver@0.1.0" (instance $driver)))"#;
    let refused = load(runtime().await, &wat::parse_str(odd_type).unwrap()).await.unwrap_err();
    assert!(matches!(&refused, Rejection::Contract(text) if text.contains("type")), "{refused}");
}

#[tokio::test]
async fn a_driver_that_lies_or_breaks_when_it_is_asked_who_it_is_is_refused() {
    for (mode, word) in
        [("odd-step", "unknown interface \"kitchen\""), ("double-step", "twice"), ("odd-base", "driver name"), ("no-version", "no version")]
    {
        let refused = load(runtime().await, &shipped::hostile(mode, "0.1.0", "")).await.unwrap_err();
        assert!(matches!(&refused, Rejection::Contract(text) if text.contains(word)), "{mode}: {refused}");
    }
    for (mode, word) in [
        ("loops", "300 ms of CPU time"),
        ("traps", "unreachable"),
        ("giant", "4096 KiB"),
        ("uses-task", "no import but log"),
        ("uses-power", "no import but log"),
    ] {
        let refused = load(runtime().await, &shipped::hostile(mode, "0.1.0", "")).await.unwrap_err();
        assert!(matches!(&refused, Rejection::Broken(text) if text.contains(word)), "{mode}: {refused}");
    }
    assert_eq!(load(runtime().await, &shipped::hostile("uses-log", "9.9.9", "")).await.unwrap().about.version, "9.9.9");
}
