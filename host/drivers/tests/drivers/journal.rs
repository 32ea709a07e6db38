//! Chunks hold a whole call, and a call that is cut off anywhere goes on to the same end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;
use wrought_domain::{DriverError, ErrorKind, Function};
use wrought_drivers::contract::task::Cause;
use wrought_drivers::fault::Cause as Broke;
use wrought_drivers::journal::{Chunk, ChunkError, Encoded, Entry, Header, Journal, JournalError, PartId, Record, Recorded, decode};
use wrought_drivers::{Answer, Grants, call, replay, resume, unsettled};

use crate::host::{direct, header, hostile, hostile_header, journal, runtime, step_call};
use crate::world::Scripted;

/// Packs what it is given, as the host does for its store.
#[derive(Default)]
struct Chunks(Mutex<(Vec<Encoded>, usize)>);

impl Chunks {
    fn add(&self, header: &Header, entries: &[Entry], outcome: Option<&wrought_drivers::Outcome>) {
        let mut inner = self.0.lock().unwrap();
        let (chunks, from) = &mut *inner;
        let header = chunks.is_empty().then_some(header);
        chunks.push(Chunk { header, from: *from, entries: &entries[*from..], outcome }.encode().unwrap());
        *from = entries.len() - 1;
    }

    fn decoded(&self, count: usize) -> Recorded {
        let inner = self.0.lock().unwrap();
        let parts: HashMap<PartId, &[u8]> =
            inner.0.iter().flat_map(|chunk| &chunk.parts).map(|part| (part.id, part.data.as_slice())).collect();
        decode(inner.0[..count].iter().map(|chunk| chunk.data.as_slice()), |id| parts.get(id).copied()).unwrap()
    }
}

#[async_trait]
impl Journal for Chunks {
    async fn intent(&self, header: &Header, entries: &[Entry]) -> Result<(), JournalError> {
        self.add(header, entries, None);
        Ok(())
    }
}

fn prepare_header(driver: &wrought_drivers::Driver) -> Header {
    let mut header = header(driver, Function::Prepare, json!({"deploy_iso": "http://192.0.2.2/agent.iso", "filler": "x".repeat(300)}));
    header.snapshot.cause = Cause::First;
    header
}

async fn whole() -> (Record, Arc<Chunks>) {
    let chunks = Arc::new(Chunks::default());
    let driver = direct().await;
    let record = call(runtime().await, driver, prepare_header(driver), Scripted::good(), Some(chunks.clone())).await.record;
    chunks.add(&record.header, &record.entries, Some(&record.outcome));
    (record, chunks)
}

#[tokio::test]
async fn chunks_hold_the_whole_call() {
    let (record, chunks) = whole().await;
    let count = chunks.0.lock().unwrap().0.len();
    assert!(count > 3, "an intent each for the networks and the ramdisk, and the end: {count}");
    assert_eq!(chunks.decoded(count).ended().unwrap(), record);
    for cut in 1..count {
        let open = chunks.decoded(cut);
        let at = open.entries.len() - 1;
        assert_eq!(open.entries[..at], record.entries[..at]);
        assert_eq!(open.intent().unwrap().function, record.entries[at].function);
    }
    let inner = chunks.0.lock().unwrap();
    let text = serde_json::to_vec(&record).unwrap();
    let stored: usize = inner.0.iter().map(Encoded::size).sum();
    assert!(stored * 3 < text.len(), "{stored} of {}", text.len());
}

#[tokio::test]
async fn what_is_damaged_is_refused_by_name() {
    let (_, chunks) = whole().await;
    let inner = chunks.0.lock().unwrap();
    let first = inner.0[0].data.clone();
    let second = inner.0[1].data.clone();
    let nothing = |_: &PartId| None;
    assert!(matches!(decode([first.as_slice()], nothing), Err(ChunkError::Part(_))));
    assert!(matches!(decode([&[9_u8, 1, 2][..]], nothing), Err(ChunkError::Form(9))));
    assert!(matches!(decode([&first[..first.len() / 2]], nothing), Err(ChunkError::Damaged(_))));
    assert!(matches!(decode([second.as_slice()], nothing), Err(ChunkError::Damaged(_))));
    assert!(matches!(decode([&[][..]], nothing), Err(ChunkError::Damaged(_))));
}

#[tokio::test]
async fn a_call_that_was_cut_off_goes_on_to_the_same_end() {
    let (record, chunks) = whole().await;
    let driver = direct().await;
    let count = chunks.0.lock().unwrap().0.len();
    for cut in 1..count {
        for done in [false, true] {
            let mut open = chunks.decoded(cut);
            let at = open.entries.len() - 1;
            if done {
                open.entries[at].answer = Some(json!({"Ok": null}));
            }
            let world = Scripted::good();
            let (intents, kept) = journal();
            let resumed = resume(runtime().await, driver, open.header, open.entries, world.clone(), kept).await.record;
            assert_eq!(resumed, record, "cut at {cut}, done: {done}");
            let expected = count - 1 - cut + usize::from(!done);
            assert_eq!(world.machine().done.len(), expected, "cut at {cut}, done: {done}: {:?}", world.machine().done);
            assert_eq!(intents.intents().len(), expected, "what acts is intended first, under the fence of now");
        }
    }
}

#[tokio::test]
async fn a_call_that_asks_for_something_else_never_goes_live() {
    let (_, chunks) = whole().await;
    let driver = direct().await;
    let mut open = chunks.decoded(2);
    open.header.snapshot.node.disable_power_off = true;
    open.header.snapshot.operation.name = "take-over".into();
    let world = Scripted::good();
    let resumed = resume(runtime().await, driver, open.header, open.entries, world.clone(), journal().1).await.record;
    let fault = resumed.outcome.answer.unwrap_err();
    assert!(matches!(fault.cause, Broke::Diverged { .. }), "{fault}");
    assert!(world.machine().done.is_empty());
}

#[tokio::test]
async fn an_effect_that_was_only_intended_is_not_done_when_its_grant_was_taken_back_meanwhile() {
    let (_, chunks) = whole().await;
    let driver = direct().await;
    let count = chunks.0.lock().unwrap().0.len();
    for cut in 1..count {
        let open = chunks.decoded(cut);
        let world = Scripted::granting([Grants::default()]);
        let resumed = resume(runtime().await, driver, open.header, open.entries, world.clone(), journal().1).await.record;
        assert!(world.machine().done.is_empty(), "{:?}", world.machine().done);
        replay(runtime().await, driver, &resumed).await.unwrap();
    }
}

#[tokio::test]
async fn what_nobody_can_tell_ends_the_call_without_running_it() {
    let (_, chunks) = whole().await;
    let open = chunks.decoded(2);
    let error = DriverError::new(ErrorKind::OutcomeUnknown, "wrought.NotKnown", "nobody can tell");
    let completed = unsettled(direct().await, open.header, open.entries, error.clone());
    let fault = completed.record.outcome.answer.as_ref().unwrap_err();
    assert_eq!(fault.cause, Broke::Unsettled(error));
    assert!(fault.to_string().contains("nobody can tell") && !fault.to_string().contains("broke"), "{fault}");
    replay(runtime().await, direct().await, &completed.record).await.unwrap();
}

/// Refuses the second intent.
struct Refusing(JournalError, Mutex<u32>);

#[async_trait]
impl Journal for Refusing {
    async fn intent(&self, _header: &Header, _entries: &[Entry]) -> Result<(), JournalError> {
        let mut count = self.1.lock().unwrap();
        *count += 1;
        if *count > 1 { Err(self.0.clone()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn nothing_acts_that_could_not_be_recorded() {
    for error in [JournalError::Stale, JournalError::Full { limit_kib: 64 }, JournalError::Failed("disk full".into())] {
        let world = Scripted::good();
        let driver = direct().await;
        let refusing = Arc::new(Refusing(error.clone(), Mutex::new(0)));
        let record = call(runtime().await, driver, prepare_header(driver), world.clone(), Some(refusing)).await.record;
        assert_eq!(world.machine().done.len(), 1, "{error}: {:?}", world.machine().done);
        match (&error, &record.outcome.answer) {
            (JournalError::Stale, Ok(Answer::Refused(refused))) => assert_eq!(refused.kind, ErrorKind::Locked),
            (JournalError::Full { .. }, Err(fault)) => assert_eq!(fault.cause, Broke::JournalFull { limit_kib: 64 }),
            (JournalError::Failed(_), Err(fault)) => assert!(fault.cause.is_host()),
            other => panic!("{other:?}"),
        }
        replay(runtime().await, driver, &record).await.unwrap();
    }
}

#[tokio::test]
async fn a_reboot_is_two_effects() {
    let driver = hostile().await;
    let (intents, kept) = journal();
    let mut header = hostile_header(driver, "reboot", Function::ExecuteDeployStep);
    header.step = Some(step_call("deploy", "deploy"));
    call(runtime().await, driver, header, Scripted::good(), kept).await;
    let functions: Vec<String> = intents.intents().into_iter().map(|entry| entry.function).collect();
    assert_eq!(functions, ["power.reboot-off", "power.reboot-on"]);
}
