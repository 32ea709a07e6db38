//! WASI with nothing behind it: no files, environment, sockets or output. Clocks and randomness
//! follow from the call's record, so that a replay sees the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx};

/// What a clock advances at each look, so that code which waits for time to pass gets on.
const STEP_NS: u64 = 1_000;

struct Wall(Duration, AtomicU64);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(STEP_NS)
    }

    fn now(&self) -> Duration {
        self.0.saturating_add(Duration::from_nanos(self.1.fetch_add(STEP_NS, Ordering::Relaxed)))
    }
}

struct Monotonic(AtomicU64);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        STEP_NS
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(STEP_NS, Ordering::Relaxed)
    }
}

pub(crate) fn nothing_behind(started_at: Timestamp, seed: u64) -> WasiCtx {
    let start = Duration::from_micros(u64::try_from(started_at.as_microsecond()).unwrap_or(0));
    WasiCtx::builder()
        .wall_clock(Wall(start, AtomicU64::new(0)))
        .monotonic_clock(Monotonic(AtomicU64::new(0)))
        .secure_random(StdRng::seed_from_u64(seed))
        .insecure_random(StdRng::seed_from_u64(seed.wrapping_add(1)))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(64 << 10)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_blocking_current_thread(false)
        .build()
}
