//! The wall clock: a world that never answers holds up neither the call nor the host.

use std::time::Duration;

use wrought_domain::{ErrorKind, Function};
use wrought_drivers::fault::Cause;
use wrought_drivers::{Answer, Compiler, DriversConfig, Runtime, call, replay};

use crate::host::{hostile, hostile_header, journal, limits, load, misbehave, misbehave_in, runtime};
use crate::world::{Mood, Scripted};

#[tokio::test]
async fn an_import_that_never_answers_ends_at_its_own_deadline() {
    let (runtime, driver) = (runtime().await, hostile().await);
    for (how, kind) in [("observe", ErrorKind::Timeout), ("effect", ErrorKind::OutcomeUnknown)] {
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let header = hostile_header(driver, how, Function::ExecuteDeployStep);
        let completed = call(runtime, driver, header, Scripted::with(Mood::Silent), journal().1).await;
        let took = began.elapsed();
        tokio::time::resume();
        let Ok(Answer::Refused(error)) = &completed.record.outcome.answer else { panic!("{:?}", completed.record.outcome) };
        assert_eq!((error.kind, error.code.as_str()), (kind, "wrought.ImportDeadline"));
        assert!((Duration::from_secs(10)..Duration::from_secs(15)).contains(&took), "{took:?}");
        replay(runtime, driver, &completed.record).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_what_is_recorded_replays() {
    let runtime = Runtime::new(DriversConfig { wall_s: 1, ..limits() }, Compiler::InProcess).unwrap();
    let driver = load(&runtime, wrought_drivers::shipped::HOSTILE).await.unwrap();
    let mut header = hostile_header(&driver, "effect", Function::ExecuteDeployStep);
    header.limits = runtime.limits();
    let completed = call(&runtime, &driver, header, Scripted::with(Mood::Silent), journal().1).await;
    let record = completed.record;
    assert_eq!(record.outcome.answer.as_ref().unwrap_err().cause, Cause::Deadline { limit_s: 1 });
    assert!(completed.cpu < Duration::from_millis(500), "waiting is no CPU time: {:?}", completed.cpu);
    assert_eq!(record.entries[0].answer, None, "the intent has no answer");
    replay(&runtime, &driver, &record).await.unwrap();
}

#[tokio::test]
async fn a_dropped_call_gives_back_what_it_held() {
    let runtime = Runtime::new(DriversConfig { concurrent_calls: 1, ..limits() }, Compiler::InProcess).unwrap();
    let driver = load(&runtime, wrought_drivers::shipped::HOSTILE).await.unwrap();
    let world = Scripted::with(Mood::Silent);
    for _ in 0..20 {
        let header = hostile_header(&driver, "effect", Function::ExecuteDeployStep);
        let stuck = call(&runtime, &driver, header, world.clone(), None);
        assert!(tokio::time::timeout(Duration::from_millis(20), stuck).await.is_err());
    }
    assert_eq!(std::sync::Arc::strong_count(&world), 1, "nothing of the dropped calls is left");
    let good = call(&runtime, &driver, hostile_header(&driver, "progress", Function::Prepare), Scripted::good(), None).await;
    assert_eq!(good.record.outcome.answer, Ok(Answer::Done));
}

#[tokio::test]
async fn a_wait_joins_its_conditions_and_counts_from_the_start_of_the_call() {
    let completed = misbehave("wait").await;
    let Ok(Answer::Wait(wait)) = completed.record.outcome.answer else { panic!("{:?}", completed.record.outcome) };
    assert_eq!(wait.timeout_s, 30);
    assert_eq!(wait.condition.earliest().unwrap().to_string(), "2026-05-01T12:00:05Z");
    assert!(wait.condition.needs_polling());
}

#[tokio::test]
async fn clean_up_of_another_call_goes_on_while_one_is_stuck() {
    let stuck = tokio::spawn(misbehave_in("observe", Function::ExecuteDeployStep, Scripted::with(Mood::Silent)));
    let good = misbehave_in("effect", Function::CleanUp, Scripted::good()).await;
    assert_eq!(good.record.outcome.answer, Ok(Answer::Done));
    stuck.abort();
}
