//! The figures, next to Ironic's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::host::Memory;

/// One round of one kind of request.
#[derive(Default)]
pub struct Round {
    /// How long each request took, sorted.
    pub micros: Vec<u64>,
    pub wall: Duration,
    /// Of the host.
    pub cpu: Duration,
    /// Of bodies.
    pub bytes: usize,
    pub commits: u64,
}

/// What Ironic needs, as far as it is known.
#[derive(Clone, Copy)]
pub struct Ironic {
    per_second: Option<f64>,
    takes_ms: Option<f64>,
    cpu_ms: Option<f64>,
}

impl Ironic {
    pub const UNKNOWN: Self = Self { per_second: None, takes_ms: None, cpu_ms: None };

    /// Requests that it answers in a second at this concurrency.
    pub fn per_second(rate: f64) -> Self {
        Self { per_second: Some(rate), ..Self::UNKNOWN }
    }

    /// Milliseconds that one request takes when it is the only one.
    pub fn takes(ms: f64) -> Self {
        Self { takes_ms: Some(ms), ..Self::UNKNOWN }
    }

    /// Milliseconds of CPU for one request.
    pub fn cpu(self, ms: f64) -> Self {
        Self { cpu_ms: Some(ms), ..self }
    }
}

/// A kind of request and its rounds.
pub struct Line {
    name: &'static str,
    concurrency: usize,
    ironic: Ironic,
    pub rounds: Vec<Round>,
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[allow(clippy::cast_precision_loss, clippy::as_conversions)]
fn real(count: usize) -> f64 {
    count as f64
}

impl Line {
    pub fn new(name: &'static str, concurrency: usize, ironic: Ironic) -> Self {
        Self { name, concurrency, ironic, rounds: Vec::new() }
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    }

    fn rate(&self) -> f64 {
        self.median(|round| real(round.micros.len()) / round.wall.as_secs_f64())
    }

    fn at(&self, percent: usize) -> f64 {
        self.median(|round| {
            let last = round.micros.len().saturating_sub(1);
            let micros = round.micros.get((round.micros.len() * percent / 100).min(last)).copied().unwrap_or_default();
            real(usize::try_from(micros).unwrap_or(usize::MAX)) / 1000.0
        })
    }

    fn cpu_us(&self) -> f64 {
        self.median(|round| micros(round.cpu) / real(round.micros.len().max(1)))
    }

    fn kib(&self) -> f64 {
        self.median(|round| real(round.bytes) / real(round.micros.len().max(1)) / 1024.0)
    }

    fn commits(&self) -> u64 {
        self.rounds.iter().map(|round| round.commits).sum()
    }

    /// How many times as fast as Ironic, by what is known of it.
    fn times(&self) -> Option<f64> {
        let rate = self.ironic.per_second.map(|ironic| self.rate() / ironic);
        rate.or(self.ironic.takes_ms.map(|ironic| ironic / self.at(50)))
    }

    fn times_by_cpu(&self) -> Option<f64> {
        self.ironic.cpu_ms.map(|ironic| ironic * 1000.0 / self.cpu_us())
    }
}

pub fn json(lines: &[Line], memory: Memory) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "name": line.name, "concurrency": line.concurrency, "per_second": line.rate(), "p50_ms": line.at(50), "p99_ms": line.at(99),
                "cpu_us": line.cpu_us(), "kib": line.kib(), "commits": line.commits(),
                "ironic_per_second": line.ironic.per_second, "ironic_ms": line.ironic.takes_ms,
                "times_ironic": line.times(), "times_ironic_by_cpu": line.times_by_cpu(),
            })
        })
        .collect();
    json!({"requests": lines, "memory_mib": memory.now, "memory_peak_mib": memory.peak})
}

pub fn print(lines: &[Line], memory: Memory) {
    println!(
        "{:<36} {:>5} {:>9} {:>9} {:>9} {:>10} {:>9} {:>8}  {:<16} {:>8}",
        "", "", "per s", "p50 ms", "p99 ms", "CPU us", "KiB", "commits", "Ironic", "times"
    );
    for line in lines {
        let ironic = match (line.ironic.per_second, line.ironic.takes_ms) {
            (Some(rate), _) => format!("{rate:.0}/s"),
            (None, Some(ms)) => format!("{ms:.0} ms"),
            _ => String::new(),
        };
        let mut times = line.times().map(|times| format!("{times:.0}")).unwrap_or_default();
        if let Some(cpu) = line.times_by_cpu() {
            times.push_str(&format!(" (CPU {cpu:.0})"));
        }
        println!(
            "{:<36} {:>5} {:>9.0} {:>9.2} {:>9.2} {:>10.0} {:>9.1} {:>8}  {:<16} {:>8}",
            line.name,
            format!("x{}", line.concurrency),
            line.rate(),
            line.at(50),
            line.at(99),
            line.cpu_us(),
            line.kib(),
            line.commits(),
            ironic,
            times
        );
    }
    println!("memory: {:.0} MiB, {:.0} MiB at most", memory.now, memory.peak);
}
