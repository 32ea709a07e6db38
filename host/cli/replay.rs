//! `wrought replay`: recorded driver calls, run again in this process. Nothing acts: every host call is answered from the
//! record, and the first one that differs is shown.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use wrought_conductor::{Export, RecordedCall, RecordedDriver};
use wrought_domain::{Digest, DriverName};
use wrought_drivers::journal::{Record, Recorded};
use wrought_drivers::{
    Catalog, Compiler, Divergence, Driver, DriversConfig, Fault, Limits, Outcome, Runtime, admission, fault, replay, shipped,
};

use crate::client::{Client, HostArgs};
use crate::config::LogFormat;
use crate::{COMPILE_DRIVER, UsageError, driver, journal, logging, output};

/// Bytes of a file that is read: what it unpacks to is bounded as well.
const MAX_FILE: u64 = 256 << 20;

/// Characters that a host call may take beside the table.
const LINE: usize = 600;

/// What a record may ask for of this machine: limits come from the record, and the record from anybody.
const MOST: Limits = Limits {
    memory_mib: 4096,
    cpu_ms: 120_000,
    wall_s: 300,
    host_calls: 1_000_000,
    log_lines: 10_000,
    value_kib: 64 << 10,
    table_elements: 100_000,
    handles: 65_536,
    state_kib: 1024,
};

/// MiB of a component that is replayed.
const MAX_COMPONENT: u32 = 128;

#[derive(Debug, Args)]
pub struct Replay {
    /// A file of `wrought journal export`; or, of a running host, an operation, a node (UUID or name) for its last
    /// operation, or the number of a call
    #[arg(value_name = "FILE|OPERATION|NODE|CALL")]
    what: String,
    /// Run another build in place of the recorded one; with several drivers in the record say of which
    #[arg(long, value_name = "[NAME=]COMPONENT.wasm")]
    driver: Vec<String>,
    #[command(flatten)]
    host: HostArgs,
    /// Print JSON, with host calls in full
    #[arg(long)]
    json: bool,
}

/// Nothing was compared: status 2, so that it is not taken for a divergence.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct NotReplayed(anyhow::Error);

/// How a call went.
struct Replayed<'a> {
    call: &'a RecordedCall,
    record: &'a Recorded,
    divergence: Option<Divergence>,
}

impl Replay {
    pub async fn run(self, verbose: u8) -> anyhow::Result<()> {
        if verbose > 0 {
            // The drivers' own log lines: that is what somebody who fixes one wants to see.
            logging::start("warn,wrought::driver=debug", verbose, LogFormat::Text)?;
        }
        let (calls, diverged) = self.replay().await.map_err(NotReplayed)?;
        if diverged > 0 {
            bail!("{diverged} of {calls} calls diverged from the record");
        }
        Ok(())
    }

    /// How many calls there are, and how many diverged.
    async fn replay(&self) -> anyhow::Result<(usize, usize)> {
        let export = self.read().await?;
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(std::time::Duration::from_millis(100));
        let replayed = self.all(&export, &spinner).await;
        spinner.finish_and_clear();
        let replayed = replayed?;
        let diverged = replayed.iter().filter(|replayed| replayed.divergence.is_some()).count();
        if self.json {
            let calls: Vec<Value> = replayed.iter().map(Replayed::json).collect();
            output::say_json(&json!({ "operation": export.operation, "identical": diverged == 0, "calls": calls }))?;
        } else {
            output::say(&told(&export, &replayed, diverged))?;
        }
        Ok((replayed.len(), diverged))
    }

    async fn read(&self) -> anyhow::Result<Export> {
        let path = Path::new(&self.what);
        let file = if path.is_file() {
            let size = std::fs::metadata(path).map(|about| about.len()).unwrap_or_default();
            if size > MAX_FILE {
                bail!("{}: a file of more than {} MiB is no export", path.display(), MAX_FILE >> 20);
            }
            std::fs::read(path).with_context(|| format!("reading {}", path.display()))?
        } else if self.what.contains('/') || self.what.ends_with(".zst") {
            bail!("there is no file {}", path.display());
        } else {
            journal::fetch(&Client::of(&self.host)?, &self.what, true).await?
        };
        let mut export = Export::read(&file).with_context(|| format!("reading {}", self.what))?;
        if export.calls.is_empty() {
            bail!("there are no calls in {}", self.what);
        }
        for record in export.calls.iter_mut().filter_map(|call| call.record.as_mut()) {
            bound(&mut record.header.limits);
        }
        Ok(export)
    }

    async fn all<'a>(&self, export: &'a Export, spinner: &ProgressBar) -> anyhow::Result<Vec<Replayed<'a>>> {
        let mut others = self.others(&export.drivers)?;
        // What was compiled goes with this folder.
        let folder = tempfile::tempdir().context("making a folder to work in")?;
        let catalog = Catalog::open(Runtime::new(limits(&export.calls), Compiler::this_program(COMPILE_DRIVER))?, folder.path()).await?;
        let mut loaded: HashMap<(DriverName, Digest), Arc<Driver>> = HashMap::new();
        let mut others_loaded: HashMap<DriverName, Arc<Driver>> = HashMap::new();
        let mut all = Vec::with_capacity(export.calls.len());
        for call in &export.calls {
            let record = call.record.as_ref().with_context(|| format!("call {} has no record", call.id))?;
            // The record is what is replayed; what is beside it is for people.
            let (name, digest) = (&record.header.driver, &record.header.digest);
            if let Some(file) = others.remove(name) {
                spinner.set_message(format!("compiling {}", file.display()));
                others_loaded.insert(name.clone(), other(&catalog, &file).await?);
            }
            let key = (name.clone(), digest.clone());
            let driver = match others_loaded.get(name).or_else(|| loaded.get(&key)) {
                Some(driver) => driver.clone(),
                None => {
                    spinner.set_message(format!("compiling {name} {}", digest.short()));
                    let driver = recorded(&catalog, &export.drivers, name, digest).await?;
                    loaded.insert(key, driver.clone());
                    driver
                }
            };
            spinner.set_message(format!("replaying call {}", call.id));
            let divergence = replay(catalog.runtime(), &driver, &whole(record)).await.err();
            all.push(Replayed { call, record, divergence });
        }
        Ok(all)
    }

    /// The files of `--driver` by the name of the driver that each stands for.
    fn others(&self, recorded: &[RecordedDriver]) -> anyhow::Result<HashMap<DriverName, PathBuf>> {
        let mut names: Vec<&DriverName> = recorded.iter().map(|driver| &driver.name).collect();
        names.sort();
        names.dedup();
        let all = || names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let mut others = HashMap::new();
        for text in &self.driver {
            let named = text.split_once('=').and_then(|(name, file)| Some((name.parse::<DriverName>().ok()?, file)));
            let (name, file) = match (named, names.as_slice()) {
                (Some((name, file)), _) if names.contains(&&name) => (name, file),
                (Some((name, _)), _) => {
                    return Err(UsageError(format!("--driver {text}: no driver {name} was called, but {}", all())).into());
                }
                (None, [only]) => ((*only).clone(), text.as_str()),
                (None, _) => {
                    let text =
                        format!("--driver {text}: several drivers were called ({}): say which one it is, --driver NAME={text}", all());
                    return Err(UsageError(text).into());
                }
            };
            if others.insert(name.clone(), PathBuf::from(file)).is_some() {
                return Err(UsageError(format!("--driver {text}: driver {name} is named twice")).into());
            }
        }
        Ok(others)
    }
}

impl Replayed<'_> {
    fn json(&self) -> Value {
        let Self { call, record, divergence } = self;
        let divergence = divergence.as_ref().map(|Divergence { at, recorded, replayed }| {
            let expected = record.entries.get(*at).map_or_else(|| json!(recorded), |entry| json!(entry));
            json!({ "at": at, "expected": expected, "made": made(replayed) })
        });
        json!({
            "call": call.id,
            "turn": call.turn,
            "driver": record.header.driver,
            "digest": record.header.digest,
            "function": function(record),
            "step": step(record),
            "host_calls": record.entries.len(),
            "ended": record.outcome.is_some(),
            "identical": divergence.is_none(),
            "divergence": divergence,
        })
    }

    fn result(&self) -> String {
        match &self.divergence {
            Some(Divergence { at, .. }) if *at < self.record.entries.len() => format!("DIVERGED at host call {at}"),
            Some(_) => "DIVERGED at the end".to_owned(),
            None if self.record.outcome.is_none() => "identical as far as it goes: it did not end".to_owned(),
            None => "identical".to_owned(),
        }
    }
}

fn told(export: &Export, replayed: &[Replayed<'_>], diverged: usize) -> String {
    let operation = &export.operation;
    let mut text = format!("{} of node {}, operation {}\n\n", journal::shown(&operation.kind, 40), operation.node, operation.id);
    let mut table = output::table(&["call", "driver", "function", "step", "host calls", "replay"]);
    for replayed in replayed {
        table.add_row([
            replayed.call.id.to_string(),
            replayed.record.header.driver.to_string(),
            function(replayed.record),
            step(replayed.record).unwrap_or_default(),
            replayed.record.entries.len().to_string(),
            replayed.result(),
        ]);
    }
    text.push_str(&table.trim_fmt());
    for Replayed { call, record, divergence } in replayed {
        if let Some(Divergence { at, recorded, replayed }) = divergence {
            let (expected, made) = (journal::shown(recorded, LINE), journal::shown(replayed, LINE));
            text.push_str(&format!("\n\ncall {}, {}, host call {at}\n  expected {expected}\n  made     {made}", call.id, function(record)));
        }
    }
    let end = match diverged {
        0 => format!("{} calls are identical to the record", replayed.len()),
        _ => format!("{diverged} of {} calls diverged from the record", replayed.len()),
    };
    text.push_str(&format!("\n\n{end}"));
    text
}

/// A host call as the record has it, where it is one and whole.
fn made(text: &str) -> Value {
    let call = text.split_once(' ').and_then(|(function, args)| Some((function, serde_json::from_str::<Value>(args).ok()?)));
    call.map_or_else(|| text.into(), |(function, args)| json!({ "function": function, "args": args }))
}

fn function(record: &Recorded) -> String {
    format!("{}.{}", record.header.function.interface(), record.header.function.name())
}

fn step(record: &Recorded) -> Option<String> {
    record.header.step.as_ref().map(|step| journal::shown(&format!("{}.{}", step.interface, step.step), 80))
}

/// A call that never ended is replayed like one that the host gave up.
fn whole(record: &Recorded) -> Record {
    let Recorded { header, entries, outcome } = record.clone();
    let cut_off = || Fault {
        driver: header.driver.clone(),
        version: String::new(),
        digest: header.digest.clone(),
        function: function(record),
        host_calls: u32::MAX,
        cause: fault::Cause::Host("the call did not end".into()),
    };
    let outcome = outcome.unwrap_or_else(|| Outcome { answer: Err(cut_off()), state: None, reports: Vec::new() });
    Record { header, entries, outcome }
}

/// What all the calls may use.
fn limits(calls: &[RecordedCall]) -> DriversConfig {
    let recorded = calls.iter().filter_map(|call| call.record.as_ref()).map(|record| &record.header.limits);
    let memory_mib = recorded.map(|limits| limits.memory_mib).max().unwrap_or_default();
    // As many at once as the largest component weighs: calls come one after the other.
    DriversConfig { max_component_mib: MAX_COMPONENT, memory_mib, concurrent_calls: 8, ..DriversConfig::default() }
}

fn bound(limits: &mut Limits) {
    limits.memory_mib = limits.memory_mib.min(MOST.memory_mib);
    limits.cpu_ms = limits.cpu_ms.min(MOST.cpu_ms);
    limits.wall_s = limits.wall_s.min(MOST.wall_s);
    limits.host_calls = limits.host_calls.min(MOST.host_calls);
    limits.log_lines = limits.log_lines.min(MOST.log_lines);
    limits.value_kib = limits.value_kib.min(MOST.value_kib);
    limits.table_elements = limits.table_elements.min(MOST.table_elements);
    limits.handles = limits.handles.min(MOST.handles);
    limits.state_kib = limits.state_kib.min(MOST.state_kib);
}

/// The build that `--driver` names.
async fn other(catalog: &Catalog, file: &Path) -> anyhow::Result<Arc<Driver>> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let component = driver::component(bytes).with_context(|| format!("making a component of {}", file.display()))?;
    Ok(catalog.admit(component).await.map_err(|rejected| *rejected).with_context(|| format!("loading {}", file.display()))?.driver)
}

/// The build that was recorded: from the file, or from this program where it is a shipped one.
async fn recorded(catalog: &Catalog, drivers: &[RecordedDriver], name: &DriverName, digest: &Digest) -> anyhow::Result<Arc<Driver>> {
    let in_file = drivers.iter().filter(|driver| driver.digest == *digest).find_map(|driver| driver.component.clone());
    let candidates = in_file.into_iter().chain(shipped::all().into_iter().map(|shipped| shipped.component.to_vec()));
    for component in candidates {
        if admission::digest(&component) == *digest {
            let admitted = catalog.admit(component).await.map_err(|rejected| *rejected);
            return Ok(admitted.with_context(|| format!("loading driver {name}"))?.driver);
        }
    }
    let missing = "is not in the record or does not have its digest";
    bail!("the component of driver {name} {digest} {missing}: give one with --driver {name}=COMPONENT.wasm")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        replay: Replay,
    }

    fn others(flags: &[&str], recorded: &[&str]) -> Result<Vec<(String, PathBuf)>, String> {
        let replay = Line::parse_from([&["replay", "file"], flags].concat()).replay;
        let driver = |name: &&str| RecordedDriver { name: name.parse().unwrap(), digest: Digest::from_sha256([0; 32]), component: None };
        let recorded: Vec<RecordedDriver> = recorded.iter().map(driver).collect();
        let others = replay.others(&recorded).map_err(|error| error.to_string())?;
        Ok(others.into_iter().map(|(name, file)| (name.to_string(), file)).collect())
    }

    #[test]
    fn another_build_stands_for_the_only_driver_or_for_the_one_that_is_named() {
        let one = |name: &str, file: &str| Ok(vec![(name.to_owned(), PathBuf::from(file))]);
        assert_eq!(others(&["--driver", "a.wasm"], &["direct", "direct"]), one("direct", "a.wasm"));
        assert_eq!(others(&["--driver", "acme=a=b.wasm"], &["acme", "direct"]), one("acme", "a=b.wasm"));
        // What is before the sign is no name of a driver, so it belongs to the file.
        assert_eq!(others(&["--driver", "./A=b.wasm"], &["direct"]), one("direct", "./A=b.wasm"));
        assert!(others(&["--driver", "a.wasm"], &["acme", "direct"]).unwrap_err().contains("acme, direct"));
        assert!(others(&["--driver", "other=a.wasm"], &["acme", "direct"]).unwrap_err().contains("no driver other"));
        assert!(others(&["--driver", "a.wasm", "--driver", "direct=b.wasm"], &["direct"]).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_record_cannot_ask_for_more_than_the_machine_is_to_give() {
        let mut limits = Limits { memory_mib: u32::MAX, cpu_ms: u32::MAX, wall_s: u32::MAX, ..Limits::default() };
        bound(&mut limits);
        assert_eq!((limits.memory_mib, limits.cpu_ms, limits.wall_s), (MOST.memory_mib, MOST.cpu_ms, MOST.wall_s));
        assert_eq!(limits.host_calls, Limits::default().host_calls);
    }
}
