//! Guests of ordinary toolchains import WASI; nothing is behind it.

use wrought_drivers::fault::Cause;
use wrought_drivers::{Answer, replay};

use crate::host::{hostile, misbehave, runtime};

/// The smallest component that is a driver: everything that it says is empty but its name and version.
pub fn only_driver_interface() -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("identified")).unwrap();
    let mut module = wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (data (i32.const 0) "\40\00\00\00\04\00\00\00" "\44\00\00\00\05\00\00\00")
            (data (i32.const 64) "tiny1.0.0")
            (func (export "baremetal:deploy/driver@0.1.0#describe") (result i32) (i32.const 0))
            (func (export "baremetal:deploy/driver@0.1.0#get-properties") (result i32) (i32.const 128)))"#,
    )
    .unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    wit_component::ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

async fn seen(how: &str) -> String {
    match misbehave(how).await.record.outcome.answer {
        Ok(Answer::Refused(error)) => error.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_guest_of_wasi_sees_no_machine_and_the_time_of_its_record() {
    let first = seen("wasi").await;
    assert!(first.starts_with("env=0 args=0 cwd=false dirs=0 now=1777636800.000000000 later=true random="), "{first}");
    assert_eq!(first, seen("wasi").await, "randomness follows from the record's seed");
    let completed = misbehave("wasi").await;
    replay(runtime().await, hostile().await, &completed.record).await.unwrap();
}

#[tokio::test]
async fn a_hoard_of_handles_and_a_flood_of_randomness_end_the_call() {
    for how in ["handles", "random"] {
        let fault = misbehave(how).await.record.outcome.answer.unwrap_err();
        assert!(!fault.cause.is_host(), "{how}: {fault}");
    }
}

#[tokio::test]
async fn a_guest_that_exits_ends_its_call() {
    let fault = misbehave("exit").await.record.outcome.answer.unwrap_err();
    assert_eq!(fault.cause, Cause::Trap("it ended itself with exit code 1".into()));
}
