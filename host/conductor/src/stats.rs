//! How long driver calls take, and what was denied to drivers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Calls that are remembered.
const WINDOW: usize = 8192;

/// CPU time of the latest driver calls, in microseconds: instantiation, guest and host functions,
/// without waiting for hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallTimes {
    /// Calls since the host started.
    pub count: u64,
    /// Half of the calls took less.
    pub p50_us: u64,
    /// All but one in a hundred took less.
    pub p99_us: u64,
}

#[derive(Default)]
struct Ring {
    micros: Vec<u64>,
    next: usize,
    count: u64,
}

#[derive(Default)]
pub(crate) struct Stats {
    calls: Mutex<Ring>,
    denied: AtomicU64,
}

impl Stats {
    pub(crate) fn record(&self, cpu: Duration) {
        let micros = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        let mut ring = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        ring.count = ring.count.saturating_add(1);
        let next = ring.next;
        match ring.micros.get_mut(next) {
            Some(slot) => *slot = micros,
            None => ring.micros.push(micros),
        }
        ring.next = next.saturating_add(1) % WINDOW;
    }

    /// Adds host calls that were refused for want of a grant.
    pub(crate) fn denied(&self, count: u64) {
        self.denied.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn denials(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    pub(crate) fn times(&self) -> CallTimes {
        let (mut micros, count) = {
            let ring = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            (ring.micros.clone(), ring.count)
        };
        micros.sort_unstable();
        let at = |percent: usize| micros.get((micros.len().saturating_mul(percent) / 100).min(micros.len().saturating_sub(1))).copied();
        CallTimes { count, p50_us: at(50).unwrap_or(0), p99_us: at(99).unwrap_or(0) }
    }
}
