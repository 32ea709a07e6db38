//! The host is stopped, killed and started again, at every moment, with one node and with many.
//!
//! A binary of its own, so that what takes the whole machine does not let the other tests wait. The name of a test is what it promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

#[allow(dead_code, unused_imports, reason = "each binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod effects;
mod fleet;
mod points;
mod recover;
mod restarts;

use tokio::sync::Mutex;

static ALONE: Mutex<()> = Mutex::const_new(());

/// Runs a test that does many things side by side: one such test at a time.
fn run_alone<T>(test: impl Future<Output = T>) -> T {
    support::run(async {
        let _alone = ALONE.lock().await;
        test.await
    })
}
