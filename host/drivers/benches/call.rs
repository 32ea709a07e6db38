//! What one driver call costs beside the least that the engine can do under the same configuration: store, instance, call, drop of
//! a component with one empty function. A driver cannot be that small: it has a memory, which has to be mapped, dirtied and reset. So
//! there are two of them, without and with a memory. Ends with the ratios.
//!
//! `cargo bench -p wrought-drivers`
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::as_conversions, clippy::disallowed_methods)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};
use wrought_domain::{Fence, Function, NodeId};
use wrought_drivers::contract::task;
use wrought_drivers::journal::Header;
use wrought_drivers::{Answer, Catalog, Compiler, Driver, DriverState, DriversConfig, Grants, Limits, Runtime, Snapshot, call, shipped};

#[path = "../tests/drivers/world.rs"]
#[allow(dead_code)]
mod world;

fn header(driver: &Driver) -> Header {
    let at = "2026-05-01T12:00:00Z".parse().unwrap();
    let node = task::Node { driver_info: r#"{"fake_deploy_delay": 0}"#.into(), ..Snapshot::of_nobody().node };
    Header {
        operation: None,
        node: NodeId(uuid::Uuid::nil()),
        fence: Fence(1),
        driver: "fake".parse().unwrap(),
        digest: driver.digest.clone(),
        function: Function::Validate,
        step: None,
        started_at: at,
        seed: 42,
        grants: Grants::default(),
        limits: Limits::default(),
        state: DriverState::default(),
        snapshot: Snapshot { node, now: at, ..Snapshot::of_nobody() },
    }
}

/// The least that is a component: one function without arguments, results or imports.
const NOTHING: &str = r#"(component
    (core module $code (func (export "nop")))
    (core instance $code (instantiate $code))
    (func (export "nop") (canon lift (core func $code "nop"))))"#;

/// The same with a memory as guests in Rust have it, of which one page is written.
const WITH_MEMORY: &str = r#"(component
    (core module $code
        (memory 17)
        (data (i32.const 1048576) "data")
        (func (export "nop") (i32.store (i32.const 1048500) (i32.const 1))))
    (core instance $code (instantiate $code))
    (func (export "nop") (canon lift (core func $code "nop"))))"#;

fn bare(engine: &Engine, text: &str) -> InstancePre<()> {
    Linker::new(engine).instantiate_pre(&Component::new(engine, wat::parse_str(text).unwrap()).unwrap()).unwrap()
}

/// Store, instance, call, drop.
async fn call_bare(component: &InstancePre<()>) {
    let mut store = Store::new(component.engine(), ());
    store.set_epoch_deadline(u64::from(u32::MAX));
    let instance = component.instantiate_async(&mut store).await.unwrap();
    let nop = instance.get_typed_func::<(), ()>(&mut store, "nop").unwrap();
    nop.call_async(&mut store, ()).await.unwrap();
}

/// The medians of many rounds, taken in turns, so that all meet the same noise.
fn medians<const N: usize>(rounds: usize, mut work: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut times = [(); N].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (work, times) in work.iter_mut().zip(&mut times) {
            let began = Instant::now();
            work();
            times.push(began.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times.get(rounds / 2).copied().unwrap_or_default()
    })
}

fn main() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let runtime = Runtime::new(DriversConfig::default(), Compiler::InProcess).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let catalog = tokio.block_on(Catalog::open(runtime.clone(), folder.path())).unwrap();
    let driver = tokio.block_on(catalog.admit(shipped::FAKE)).unwrap().driver;
    let (nothing, with_memory) = (bare(runtime.engine(), NOTHING), bare(runtime.engine(), WITH_MEMORY));
    let (header, world) = (header(&driver), world::Scripted::good());
    let one_call = || {
        let completed = tokio.block_on(call(&runtime, &driver, header.clone(), Arc::clone(&world) as _, None));
        assert_eq!(black_box(completed).record.outcome.answer, Ok(Answer::Done));
    };
    let one_bare = || tokio.block_on(call_bare(&nothing));
    let one_with_memory = || tokio.block_on(call_bare(&with_memory));

    let mut criterion = Criterion::default().configure_from_args().sample_size(50).measurement_time(Duration::from_secs(3));
    criterion.bench_with_input(BenchmarkId::new("call", "fake validate"), &(), |bencher, ()| bencher.iter(one_call));
    criterion.bench_with_input(BenchmarkId::new("call", "bare engine"), &(), |bencher, ()| bencher.iter(one_bare));
    criterion.bench_with_input(BenchmarkId::new("call", "bare engine with a memory"), &(), |bencher, ()| bencher.iter(one_with_memory));
    criterion.final_summary();

    let [call, bare, memory] = medians(5_000, [&mut { one_call }, &mut { one_bare }, &mut { one_with_memory }]);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!("one driver call: {:.1} us, bare engine: {:.1} us, with a memory: {:.1} us", us(call), us(bare), us(memory));
    println!("ratio to a component without a memory: {:.1}", us(call) / us(bare));
    println!("ratio: {:.1}", us(call) / us(memory));
}
