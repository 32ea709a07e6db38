//! Limits of one driver, and a pool that never runs out.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::json;
use wrought_domain::Function;
use wrought_drivers::fault::Cause;
use wrought_drivers::limits::DriverLimits;
use wrought_drivers::{Answer, Compiler, DriversConfig, Limits, Runtime, call, replay, shipped};

use crate::host::{header, hostile, hostile_header, journal, limits, load, runtime};
use crate::world::Scripted;

/// A number as the binary format has it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], leb(content.len()).as_slice(), content].concat()
}

/// A component that also makes instances of a module, so many times.
fn with_instances(component: &[u8], module: &str, count: usize) -> Vec<u8> {
    let (mut depth, mut modules) = (0_usize, 0_usize);
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            wasmparser::Payload::ModuleSection { .. } => {
                modules += usize::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let one = [&[0], leb(modules).as_slice(), &[0]].concat();
    let instances = [leb(count), one.repeat(count)].concat();
    [component.to_vec(), section(1, &wat::parse_str(module).unwrap()), section(2, &instances)].concat()
}

/// A driver that takes as much of the pool as one may.
fn heavy() -> Vec<u8> {
    let memories = with_instances(shipped::FAKE, "(module (memory 1 40))", 7);
    let tables = with_instances(&memories, "(module (table 10 funcref))", 16);
    with_instances(&tables, "(module)", 36)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_heavy_calls_waits_its_turn_and_the_pool_never_refuses() {
    let config = DriversConfig { concurrent_calls: 20, ..limits() };
    for runtime in [Runtime::new(config.clone(), Compiler::InProcess), Runtime::on_demand(config, Compiler::InProcess)] {
        let runtime = runtime.unwrap();
        let (heavy, light) = (load(&runtime, &heavy()).await.unwrap(), load(&runtime, shipped::FAKE).await.unwrap());
        let crowd = (0..300).map(|n| {
            let (runtime, driver) = (runtime.clone(), if n % 3 == 0 { light.clone() } else { heavy.clone() });
            tokio::spawn(async move {
                let mut header = header(&driver, Function::ExecuteDeployStep, json!({}));
                // Two names, so that both lines are used up at once.
                header.driver = if n % 2 == 0 { "one" } else { "two" }.parse().unwrap();
                call(&runtime, &driver, header, Scripted::good(), None).await.record.outcome.answer
            })
        });
        for answer in join_all(crowd).await {
            assert_eq!(answer.unwrap(), Ok(Answer::Done));
        }
    }
}

#[tokio::test]
async fn a_call_has_the_limits_that_are_set_for_its_driver_and_its_record_keeps_them() {
    let runtime = Runtime::new(limits(), Compiler::InProcess).unwrap();
    let driver = load(&runtime, shipped::HOSTILE).await.unwrap();
    let name = "hostile".parse().unwrap();
    let set = DriverLimits { memory_mib: Some(32), host_calls: Some(77), value_kib: Some(64), ..DriverLimits::default() };
    runtime.set_limits(&name, set);
    let cases = [
        ("memory", Cause::Memory { limit_mib: 32 }),
        ("calls", Cause::HostCalls { limit: 77 }),
        ("state-flood", Cause::HostCalls { limit: 77 }),
    ];
    for (how, expected) in cases {
        let mut header = hostile_header(&driver, how, Function::ExecuteDeployStep);
        header.limits = Limits { state_kib: 1024, ..runtime.limits_of(&name) };
        let record = call(&runtime, &driver, header, Scripted::good(), journal().1).await.record;
        assert_eq!(record.outcome.answer.as_ref().unwrap_err().cause, expected, "{how}");
        // Elsewhere, where nothing is set.
        replay(crate::host::runtime().await, hostile().await, &record).await.unwrap();
    }
    runtime.set_limits(&name, DriverLimits::default());
    assert_eq!(runtime.limits_of(&name), limits().limits());
}

#[tokio::test]
async fn handles_and_state_are_bounded_by_what_the_record_says() {
    let driver = hostile().await;
    for (how, narrow) in
        [("state-flood", Limits { state_kib: 8, ..limits().limits() }), ("handles", Limits { handles: 4, ..limits().limits() })]
    {
        let header = wrought_drivers::journal::Header { limits: narrow, ..hostile_header(driver, how, Function::ExecuteDeployStep) };
        let completed = call(runtime().await, driver, header, Scripted::good(), None).await;
        let told = format!("{:?}", completed.record.outcome.answer);
        let word = if how == "handles" { "no free keys" } else { "8 KiB" };
        assert!(told.contains(word), "{how}: {told}");
    }
}

#[tokio::test]
async fn a_table_that_is_too_large_is_a_fault_with_a_name() {
    let small = DriversConfig { table_elements: 5_000, ..limits() };
    let grows = with_instances(
        shipped::FAKE,
        "(module (table 1 funcref) (func $grow (loop (drop (table.grow (ref.null func) (i32.const 1000))) (br 0))) (start $grow))",
        1,
    );
    let refused = load(&Runtime::new(small.clone(), Compiler::InProcess).unwrap(), &grows).await.unwrap_err().to_string();
    assert!(refused.contains("a table of more than 5000 elements"), "{refused}");
    let large = with_instances(shipped::FAKE, "(module (table 6000 funcref))", 1);
    let refused = load(&Runtime::new(small, Compiler::InProcess).unwrap(), &large).await.unwrap_err().to_string();
    assert!(refused.contains("a table of more than 5000 elements"), "{refused}");
    let _fits: Arc<_> = load(runtime().await, &large).await.unwrap();
}
