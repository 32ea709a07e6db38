//! A driver that misbehaves on demand, for tests of the host; it is never shipped.
//!
//! `driver_info/hostile` names the misbehaviour, see [`misbehave`]; `driver_info/hostile_in` the function that shows it
//! (`execute-deploy-step` if not set). `driver_info/hostile_effect` names an effect that the step has, without any fault, see [`effect`].
//! Everything else succeeds, as `fake` does. How it describes itself is said by its own bytes, see [`MARK`].

mod effect;
mod locks;
mod more;
mod outside;
mod redfish;
mod tell;
mod wasi;

use core::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, Value};
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;
use wrought_sdk::{Schemas, StateSchema};

/// The driver.
pub struct Hostile;

/// How this copy describes itself: `mode;version;base;` and padding. A test changes these bytes in the component, so that one build
/// makes many drivers.
#[used]
static MARK: [u8; 64] = *b"HOSTILE:honest;0.1.0;;..........................................";

/// The fields of [`MARK`]: mode, version, base.
fn mark() -> [String; 3] {
    // SAFETY: reads a static; volatile, because its bytes are not what the compiler saw.
    let bytes = unsafe { core::ptr::read_volatile(&MARK) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut fields = text.trim_start_matches("HOSTILE:").split(';').map(str::to_owned);
    core::array::from_fn(|_| fields.next().unwrap_or_default())
}

fn driver_info(key: &str) -> Option<String> {
    let info: Map<String, Value> = task::node().driver_info().ok()?;
    info.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// What `function` does on this node.
fn behaviour(function: &str) -> Option<String> {
    let place = driver_info("hostile_in").unwrap_or_else(|| "execute-deploy-step".to_owned());
    if place == function { driver_info("hostile") } else { None }
}

fn run(function: &str) -> Result<Outcome> {
    match behaviour(function) {
        Some(how) => misbehave(&how),
        None => Ok(Outcome::Done),
    }
}

/// Breaks one rule.
fn misbehave(how: &str) -> Result<Outcome> {
    match how {
        "loop" => loop {
            core::hint::black_box(());
        },
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        "trap" => trap(),
        "panic" => std::process::abort(),
        "recursion" => Err(Error::failed(recurse(1).to_string())),
        "calls" => loop {
            core::hint::black_box(task::cause());
        },
        "bad-calls" => loop {
            let _ = wrought_sdk::bindings::imports::baremetal::deploy::agent::run("x", "not JSON");
        },
        "log-flood" => {
            for line in 0..5_000 {
                wrought_sdk::info!("line {line} \u{1b}[31mred\u{7}");
            }
            Ok(Outcome::Done)
        }
        "giant-log" => {
            wrought_sdk::info!("{}", "x".repeat(8 << 20));
            Ok(Outcome::Done)
        }
        "giant-answer" => Err(Error::failed("x".repeat(8 << 20))),
        "long-answer" => Err(Error::failed("long\n".repeat(10_000)).with_code("c".repeat(1_000))),
        "bad-token" => Ok(Outcome::Wait(7)),
        "wait-bomb" => {
            let mut outcome = wait::agent_command(&"x".repeat(128), 1)?;
            for _ in 0..14 {
                let Outcome::Wait(token) = outcome else { break };
                outcome = wait::any_of((0..16).map(|_| Outcome::Wait(token)))?;
            }
            Ok(outcome)
        }
        "token-flood" => {
            let Outcome::Wait(token) = wait::seconds(1)? else { return Ok(Outcome::Done) };
            wait::any_of((0..500_000).map(|_| Outcome::Wait(token)))
        }
        "record-flood" => loop {
            let asked = agent::status(&"x".repeat(1 << 20));
            if let Err(error) = asked
                && error.kind == ErrorKind::LimitExceeded
            {
                return Err(error);
            }
        },
        "state-flood" => {
            for key in 0.. {
                state::set(Scope::Operation, &format!("{key}"), &"x".repeat(4_000))?;
            }
            Ok(Outcome::Done)
        }
        "state-key" => state::set(Scope::Node, &"k".repeat(200), &1).map(|()| Outcome::Done),
        "remember" => {
            let count = state::get::<u32>(Scope::Node, "count")?.unwrap_or(0);
            state::set(Scope::Node, "count", &count.saturating_add(1))?;
            Ok(Outcome::Done)
        }
        "remember-and-fail" => {
            state::set(Scope::Node, "count", &99)?;
            report::put(report::Kind::Health, &"critical")?;
            Err(Error::failed("after writing"))
        }
        "report" => {
            report::put(report::Kind::Traits, &["CUSTOM_GPU"])?;
            report::put(report::Kind::Traits, &["not a trait"]).map(|()| Outcome::Done)
        }
        "locks" => locks::hold(),
        "exclusive" => locks::exclusive(),
        "tell" => tell::everything(),
        "huge-answer" => Err(Error::failed("x".repeat(10 << 20))),
        "log-storm" => {
            let calls = state::get::<u32>(Scope::Operation, "calls")?.unwrap_or(0);
            state::set(Scope::Operation, "calls", &calls.saturating_add(1))?;
            for line in 0..300 {
                wrought_sdk::info!("storm {calls}.{line} \u{1b}[31mred\u{7}\u{202e}");
                events::progress(Some(1), "storm\n");
            }
            if calls < 30 { wait::seconds(0) } else { Ok(Outcome::Done) }
        }
        "wait-never" if task::timed_out() => Err(Error::new(ErrorKind::Timeout, "hostile.NobodyCame", "nobody came")),
        "wait-never" => wait::agent_booted(u32::MAX),
        "sleep-for-ever" if task::timed_out() => Err(Error::new(ErrorKind::Timeout, "hostile.WokenUp", "woken up")),
        "sleep-for-ever" => wait::seconds(u32::MAX),
        "leave-traces" => leave_traces(),
        "imports" => Err(Error::failed(every_import())),
        "observe" => agent::current().map(|_| Outcome::Done),
        "effect" => power::on().map(|()| Outcome::Done),
        "reboot" => power::reboot().map(|()| Outcome::Done),
        "progress" => {
            events::progress(Some(250), "half way\u{1b}");
            Ok(Outcome::Done)
        }
        "wasi" => Err(Error::failed(wasi::look_around())),
        "handles" => wasi::hoard(),
        "random" => Err(Error::failed(wasi::random(1 << 30))),
        "exit" => wasi::exit(),
        "wait" => wait::any_of([wait::power(PowerState::On, 30)?, wait::seconds(5)?]),
        other => Err(Error::invalid_parameter(format!("driver_info/hostile: there is no misbehaviour {other}"))),
    }
}

fn recurse(depth: u64) -> u64 {
    let here = core::hint::black_box([depth; 4]);
    if depth == u64::MAX { 0 } else { recurse(core::hint::black_box(here.iter().sum())) + 1 }
}

/// Looks for what an earlier call left in memory, and leaves something there.
fn leave_traces() -> Result<Outcome> {
    static TRACE: AtomicU32 = AtomicU32::new(0);
    let found = TRACE.fetch_add(1, Ordering::Relaxed) != 0;
    // As large as it is, this is memory fresh from the host, which the allocator takes for zeroed.
    let mut fresh = vec![0_u8; 3 << 20];
    if found || core::hint::black_box(&fresh).iter().any(|byte| *byte != 0) {
        return Err(Error::failed("an earlier call left traces"));
    }
    core::hint::black_box(&mut fresh).fill(7);
    Ok(Outcome::Done)
}

/// One function of each interface that has to be granted, and what came of it.
fn every_import() -> String {
    fn word<T>(name: &str, result: Result<T>) -> String {
        match result {
            Ok(_) => format!("{name}=ok"),
            Err(error) => format!("{name}={}", error.code),
        }
    }
    [
        word("agent", agent::current()),
        word("agent.run", agent::run("standby.sync", &Map::new())),
        word("boot", boot::get_mode()),
        word("boot.set", boot::set_mode(boot::Mode::Uefi)),
        word("image", image::resolve()),
        word("image.validate", image::validate()),
        format!("config-drive={}", image::config_drive().is_some()),
        word("http", http::get("https://192.0.2.1/", &[])),
        word("http.post", http::post("https://192.0.2.1/", &[], None)),
        word("artifact", artifact::find("firmware")),
        word("locking", locking::acquire("chassis")),
        word("network", network::validate()),
        word("network.add", network::add_provisioning()),
        word("power", power::get()),
        word("power.on", power::on()),
        word("redfish", wrought_sdk::redfish::get("/redfish/v1/Systems/1")),
        word("redfish.patch", wrought_sdk::redfish::patch("/redfish/v1/Systems/1", &Map::new())),
        word("report", report::put(report::Kind::Health, &"ok")),
    ]
    .join(" ")
}

fn deploy_steps() -> Vec<Step> {
    vec![Step::new("deploy", "deploy", 100).abortable()]
}

impl Driver for Hostile {
    fn describe() -> Description {
        let [mode, version, base] = mark();
        let mut description = Description::new("hostile", &version, "Nobody").summary("Misbehaves on demand.").steps(deploy_steps());
        if !base.is_empty() {
            description = description.base(&base);
        }
        match mode.as_str() {
            "uses-task" => description.summary(&task::node().uuid),
            "uses-power" => description.summary(&format!("{:?}", power::get().is_ok())),
            "uses-log" => {
                wrought_sdk::info!("asked who it is");
                description
            }
            "loops" => loop {
                core::hint::black_box(());
            },
            "traps" => trap(),
            "odd-step" => description.steps(vec![Step::new("kitchen", "cook", 1)]),
            "double-step" => description.steps([deploy_steps(), deploy_steps()].concat()),
            "odd-base" => description.base("Not A Name!"),
            "no-version" => Description { version: String::new(), ..description },
            "giant" => description.summary(&"x".repeat(8 << 20)),
            _ => description,
        }
    }

    fn get_properties() -> Vec<Property> {
        vec![Property::optional("driver_info/hostile", "What it does wrong.")]
    }
}

impl Deploy for Hostile {
    fn validate() -> Result<()> {
        run("validate").map(drop)
    }

    fn prepare() -> Result<Outcome> {
        match driver_info("hostile_effect") {
            Some(effect) => effect::prepare(&effect),
            None => run("prepare"),
        }
    }

    fn tear_down() -> Result<Outcome> {
        run("tear-down")
    }

    fn clean_up() -> Result<Outcome> {
        run("clean-up")
    }

    fn take_over() -> Result<Outcome> {
        run("take-over")
    }
}

impl DeploySteps for Hostile {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        match behaviour("get-deploy-steps").as_deref() {
            None => Ok(deploy_steps()),
            Some("odd-step") => Ok(vec![Step::new("kitchen", "cook", 1)]),
            Some("odd-name") => Ok(vec![Step::new("deploy", "two words", 1)]),
            Some("double-step") => Ok([deploy_steps(), deploy_steps()].concat()),
            Some("huge-step") => Ok(vec![Step::new("deploy", &"s".repeat(1 << 20), 1)]),
            Some("many-steps") => Ok((0..1_000).map(|n| Step::new("deploy", &format!("s{n}"), 1)).collect()),
            Some(how) => misbehave(how).map(|_| Vec::new()),
        }
    }

    fn execute_deploy_step(_: StepCall) -> Result<Outcome> {
        if let Some(requests) = outside::requests() {
            return outside::play(&requests);
        }
        if let Some(requests) = redfish::requests() {
            return redfish::play(&requests);
        }
        match driver_info("hostile_effect") {
            Some(effect) => effect::provoke(&effect),
            None => run("execute-deploy-step"),
        }
    }
}

impl Cleaning for Hostile {
    fn prepare_cleaning() -> Result<Outcome> {
        run("prepare-cleaning")
    }

    fn get_clean_steps() -> Result<Vec<Step>> {
        run("get-clean-steps").map(|_| vec![Step::new("deploy", "erase_devices", 10).abortable()])
    }

    fn execute_clean_step(_: StepCall) -> Result<Outcome> {
        run("execute-clean-step")
    }

    fn tear_down_cleaning() -> Result<Outcome> {
        run("tear-down-cleaning")
    }
}

/// Mode `schema-2` writes form 2, `schema-2-1` reads form 1 as well.
impl StateSchema for Hostile {
    fn get_schemas() -> Schemas {
        let [mode, ..] = mark();
        let mut numbers = mode.strip_prefix("schema-").into_iter().flat_map(|forms| forms.split('-')).filter_map(|form| form.parse().ok());
        Schemas { writes: numbers.next().unwrap_or(1), reads: numbers.collect() }
    }
}

export_driver!(Hostile: deploy, deploy_steps, cleaning, servicing, verify, rescue, inspection, vendor_passthru, state_schema);

/// Traps as no Rust code does by itself.
fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    // Natively this crate is only checked, never run.
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}
