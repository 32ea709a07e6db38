//! CPU time of one call, over whatever threads it runs on. Waiting does not count.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts while a poll runs; shared with the epoch callback, which looks in the middle of one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    /// Nanoseconds of the polls that have ended.
    spent: AtomicU64,
    /// The thread's CPU time when the running poll began; [`IDLE`] between polls.
    since: AtomicU64,
}

const IDLE: u64 = u64::MAX;

impl Default for Counters {
    fn default() -> Self {
        Self { spent: AtomicU64::new(0), since: AtomicU64::new(IDLE) }
    }
}

/// A poll that is being counted, until it is dropped: so also when it panics.
struct Running<'a>(&'a Counters);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let since = self.0.since.swap(IDLE, Ordering::Relaxed);
        self.0.spent.fetch_add(thread_cpu_ns().saturating_sub(since), Ordering::Relaxed);
    }
}

impl Meter {
    /// A future whose polls are charged to this meter.
    pub(crate) async fn measure<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            self.0.since.store(thread_cpu_ns(), Ordering::Relaxed);
            let _running = Running(&self.0);
            future.as_mut().poll(context)
        })
        .await
    }

    /// What is spent so far. Inside a poll it must be asked on the thread that runs it.
    pub(crate) fn spent(&self) -> Duration {
        let running = match self.0.since.load(Ordering::Relaxed) {
            IDLE => 0,
            since => thread_cpu_ns().saturating_sub(since),
        };
        Duration::from_nanos(self.0.spent.load(Ordering::Relaxed).saturating_add(running))
    }
}

fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::FutureExt;

    fn burn(time: Duration) {
        let until = thread_cpu_ns() + u64::try_from(time.as_nanos()).unwrap();
        while thread_cpu_ns() < until {
            std::hint::black_box(0);
        }
    }

    #[test]
    fn work_counts_and_waiting_does_not() {
        let meter = Meter::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(meter.measure(async {
            burn(Duration::from_millis(5));
            assert!(meter.spent() >= Duration::from_millis(5), "a look in the middle sees what was spent");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }));
        burn(Duration::from_millis(100));
        assert!((Duration::from_millis(5)..Duration::from_millis(100)).contains(&meter.spent()), "{:?}", meter.spent());
    }

    #[test]
    fn a_dropped_and_a_panicking_future_leave_the_meter_right() {
        let meter = Meter::default();
        let mut dropped = Box::pin(meter.measure(async {
            burn(Duration::from_millis(3));
            std::future::pending::<()>().await;
        }));
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(dropped);
        let panics = std::panic::AssertUnwindSafe(
            meter.measure(async { std::panic::resume_unwind(Box::new("without the hook, whose backtrace would cost CPU")) }),
        );
        assert!(panics.catch_unwind().now_or_never().unwrap().is_err());
        let spent = meter.spent();
        burn(Duration::from_millis(20));
        assert_eq!(meter.spent(), spent, "nothing runs any more");
        assert!(spent >= Duration::from_millis(3), "{spent:?}");
    }
}
