//! Each limit has a guest that breaks it. The call fails by name, and a good call beside it does not notice.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use wrought_domain::{ErrorKind, Function};
use wrought_drivers::fault::Cause;
use wrought_drivers::{Answer, Compiler, Completed, DriversConfig, Runtime, call, replay};

use crate::host::{fake, header, hostile, hostile_header, journal, limits, load, misbehave, misbehave_in, runtime};
use crate::world::{Mood, Scripted};

/// Misbehaves while good calls run beside it.
async fn among_good_ones(how: &str) -> Completed {
    let bad = tokio::spawn({
        let how = how.to_owned();
        async move { misbehave(&how).await }
    });
    let (runtime, fake) = (runtime().await, fake().await);
    while !bad.is_finished() {
        let good = call(runtime, fake, header(fake, Function::Validate, json!({})), Scripted::good(), None).await;
        assert_eq!(good.record.outcome.answer, Ok(Answer::Done));
        tokio::task::yield_now().await;
    }
    bad.await.unwrap()
}

/// The cause, after checking that the text names who broke where.
fn cause(completed: &Completed) -> Cause {
    let fault = completed.record.outcome.answer.clone().expect_err("a fault");
    let text = fault.to_string();
    for part in ["driver hostile 0.1.0 (", "deploy-steps.execute-deploy-step"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(completed.record.outcome.state.is_none() && completed.record.outcome.reports.is_empty());
    fault.cause
}

fn refusal(completed: &Completed) -> wrought_domain::DriverError {
    match completed.record.outcome.answer.clone() {
        Ok(Answer::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_ends_at_the_cpu_limit() {
    let completed = among_good_ones("loop").await;
    assert_eq!(cause(&completed), Cause::Cpu { limit_ms: 300 });
    assert!(completed.cpu.as_millis() >= 300 && completed.cpu.as_millis() < 2_000, "{:?}", completed.cpu);
}

#[tokio::test]
async fn an_endless_loop_does_not_block_the_one_thread_that_runs_it() {
    let completed = among_good_ones("loop").await;
    assert_eq!(cause(&completed), Cause::Cpu { limit_ms: 300 });
}

#[tokio::test]
async fn a_memory_bomb_ends_at_the_memory_limit() {
    assert_eq!(cause(&among_good_ones("memory").await), Cause::Memory { limit_mib: 64 });
}

#[tokio::test]
async fn a_trap_ends_only_the_call() {
    for how in ["trap", "panic"] {
        assert!(matches!(cause(&among_good_ones(how).await), Cause::Trap(text) if text.contains("unreachable")), "{how}");
    }
}

#[tokio::test]
async fn deep_recursion_overflows_the_guests_stack_and_not_the_hosts() {
    assert_eq!(cause(&among_good_ones("recursion").await), Cause::StackOverflow);
}

#[tokio::test]
async fn a_flood_of_host_calls_ends_at_its_budget() {
    for how in ["calls", "bad-calls"] {
        assert_eq!(cause(&among_good_ones(how).await), Cause::HostCalls { limit: 10_000 }, "{how}");
    }
}

/// A log that keeps what is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_dropped_and_counted_and_the_call_succeeds() {
    let runtime = Runtime::new(limits(), Compiler::InProcess).unwrap();
    let driver = load(&runtime, wrought_drivers::shipped::HOSTILE).await.unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let header = || hostile_header(&driver, "log-flood", Function::ExecuteDeployStep);
    let completed = call(&runtime, &driver, header(), Scripted::good(), None).await;
    drop(guard);
    assert_eq!(completed.record.outcome.answer, Ok(Answer::Done));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains(" line ")).count(), 200);
    assert!(text.contains("dropped=4800"), "{}", text.lines().last().unwrap_or_default());
    assert!(text.contains("\\u{1b}[31mred\\u{7}") && !text.contains('\u{1b}'), "control characters are escaped");
}

#[tokio::test]
async fn a_giant_value_is_the_drivers_fault() {
    for how in ["giant-log", "giant-answer"] {
        let cause = cause(&among_good_ones(how).await);
        assert!(matches!(&cause, Cause::Value { limit_kib: 4096, .. }), "{how}: {cause:?}");
        assert!(!cause.is_host());
    }
}

#[tokio::test]
async fn a_long_error_is_cut_and_escaped() {
    let error = refusal(&misbehave("long-answer").await);
    assert!(error.message.len() <= 4096 && error.message.starts_with("long\\nlong\\n"), "{}", error.message.len());
    assert!(error.code.len() <= 128);
}

#[tokio::test]
async fn a_token_that_was_never_made_is_nonsense() {
    assert_eq!(cause(&misbehave("bad-token").await), Cause::Answer("wait(7), a token that this call did not make".into()));
}

#[tokio::test]
async fn waits_that_stand_for_each_other_do_not_grow_without_bound() {
    let completed = misbehave("wait-bomb").await;
    let Ok(Answer::Wait(wait)) = &completed.record.outcome.answer else { panic!("{:?}", completed.record.outcome) };
    assert!(serde_json::to_string(wait).unwrap().len() < 10_000);
    assert_eq!(refusal(&misbehave("token-flood").await).kind, ErrorKind::InvalidParameter);
}

#[tokio::test]
async fn what_a_call_makes_the_host_remember_is_bounded() {
    let completed = misbehave("record-flood").await;
    assert_eq!(refusal(&completed).code, "wrought.RecordFull");
    assert!(completed.record.entries.len() <= 8, "{}", completed.record.entries.len());
    replay(runtime().await, hostile().await, &completed.record).await.unwrap();
}

#[tokio::test]
async fn driver_state_is_bounded() {
    let full = misbehave("state-flood").await;
    assert_eq!(refusal(&full).kind, ErrorKind::LimitExceeded);
    assert_eq!(full.record.outcome.state, None);
    assert_eq!(refusal(&misbehave("state-key").await).kind, ErrorKind::LimitExceeded);
}

#[tokio::test]
async fn a_finding_of_the_wrong_shape_is_refused() {
    let error = refusal(&misbehave("report").await);
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::InvalidParameter, "wrought.InvalidReport"));
}

#[tokio::test]
async fn steps_that_make_no_sense_are_an_answer_that_makes_no_sense() {
    for (how, word) in
        [("odd-step", "unknown interface \"kitchen\""), ("odd-name", "two words"), ("double-step", "twice"), ("many-steps", "1000 steps")]
    {
        let completed = misbehave_in(how, Function::GetDeploySteps, Scripted::good()).await;
        let fault = completed.record.outcome.answer.unwrap_err();
        assert!(matches!(&fault.cause, Cause::Answer(text) if text.contains(word)), "{how}: {fault}");
        assert!(fault.to_string().contains("deploy-steps.get-deploy-steps"), "{fault}");
    }
}

#[tokio::test]
async fn progress_is_escaped_and_stays_below_a_hundred_percent() {
    let world = Scripted::good();
    misbehave_in("progress", Function::ExecuteDeployStep, world.clone()).await;
    assert_eq!(world.machine().progress, [(Some(100), "half way\\u{1b}".to_owned())]);
}

#[tokio::test]
async fn a_panic_in_the_host_fails_the_call_and_blames_the_host() {
    let completed = misbehave_in("effect", Function::ExecuteDeployStep, Scripted::with(Mood::Panics)).await;
    let fault = completed.record.outcome.answer.unwrap_err();
    assert!(fault.cause.is_host() && fault.to_string().contains("a bug in power On"), "{fault}");
}

#[tokio::test]
async fn faults_replay_as_exactly_as_answers() {
    for how in ["memory", "trap", "recursion", "calls", "giant-answer", "bad-token", "log-flood", "wait-bomb", "remember"] {
        let driver = hostile().await;
        let header = hostile_header(driver, how, Function::ExecuteDeployStep);
        let record = call(runtime().await, driver, header, Scripted::good(), journal().1).await.record;
        replay(runtime().await, driver, &record).await.unwrap_or_else(|diverged| panic!("{how}: {diverged}"));
    }
}

#[tokio::test]
async fn nothing_in_memory_outlives_a_call() {
    let runtime = Runtime::new(DriversConfig { concurrent_calls: 1, ..limits() }, Compiler::InProcess).unwrap();
    let driver = load(&runtime, wrought_drivers::shipped::HOSTILE).await.unwrap();
    for _ in 0..20 {
        let header = hostile_header(&driver, "leave-traces", Function::ExecuteDeployStep);
        let completed = call(&runtime, &driver, header, Scripted::good(), None).await;
        assert_eq!(completed.record.outcome.answer, Ok(Answer::Done));
    }
}
