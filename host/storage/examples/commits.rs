//! How many advances of operations are committed in a second, by durability and by how many
//! nodes advance at once. Each is a node document of about 2 kB, an operation, an entry of the
//! history and a driver's state.
//!
//! `cargo run -p wrought-storage --example commits`

use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use uuid::Uuid;
use wrought_domain::hardware_type::FAKE_HARDWARE;
use wrought_domain::{Node, NodeId, OperationId, Principal};
use wrought_engine::{Advance, HistoryEntry, Kind, Request, Settings, Severity};
use wrought_storage::{Commit, Durability, Store};

const TIME: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    for durability in [Durability::Normal, Durability::Full] {
        for committers in [1, 8, 64, 256] {
            let dir = tempfile::tempdir()?;
            let store = Store::open(dir.path(), durability).await?;
            let start = Instant::now();
            let workers: Vec<_> = (0..committers).map(|_| tokio::spawn(advance(store.clone(), start))).collect();
            let mut commits = 0u32;
            let mut longest = Duration::ZERO;
            for worker in workers {
                let (done, slowest) = worker.await??;
                commits += done;
                longest = longest.max(slowest);
            }
            let rate = f64::from(commits) / start.elapsed().as_secs_f64();
            println!("{durability:?}, {committers} at once: {rate:.0} commits/s, longest {} ms", longest.as_millis());
            store.close().await;
        }
    }
    Ok(())
}

async fn advance(store: Store, start: Instant) -> anyhow::Result<(u32, Duration)> {
    let mut node = Node::new(NodeId(Uuid::new_v4()), "fake-hardware", FAKE_HARDWARE.defaults(), Timestamp::now());
    node.extra.insert("padding".into(), "x".repeat(500).into());
    let stored = store.create_node(&Principal::host(), node).await?;
    let request = Request::new(OperationId(Uuid::new_v4()), Kind::Verify, Principal::host());
    let begun = wrought_engine::begin(stored.value, request, &Settings::default(), Timestamp::now()).context("beginning")?;
    let held = store.begin(&begun, stored.revision, "host", "u").await?;
    let entry = HistoryEntry::new(Severity::Info, "test", "a step of some kind is done");
    let advance = Advance { commands: vec![], history: vec![entry], events: vec![], wipe: None, ..begun };
    let state = [("direct".parse()?, serde_json::json!({"operation": {"k": "v"}, "node": {}}))];
    let (mut revision, mut commits, mut longest) = (held.revision, 0, Duration::ZERO);
    while start.elapsed() < TIME {
        let asked = Instant::now();
        let commit = Commit {
            advance: &advance,
            was: &advance.next.node,
            revision,
            fence: held.fence,
            driver_state: &state,
            journal: &[],
            user: "u",
        };
        revision = store.commit(commit).await?;
        longest = longest.max(asked.elapsed());
        commits += 1;
    }
    Ok((commits, longest))
}
