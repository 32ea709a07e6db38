//! What a cleaning has erased, as the host itself saw it: not what a driver says, but what the agent answered.

use serde_json::Value;
use wrought_domain::Step;
use wrought_drivers::journal::Entry;

/// Whether the agent, as it answered the host calls of one call of `execute-clean-step`, succeeded with exactly this step.
///
/// The answers are those of the record, so a call that was resumed after a stop counts like one that was not.
pub(crate) fn seen(entries: &[Entry], step: &Step) -> bool {
    let answers = entries.iter().filter(|entry| entry.function.starts_with("agent.")).filter_map(|entry| entry.answer.as_ref());
    answers.flat_map(commands).any(|command| is_success_of(command, step))
}

/// The commands in an answer: one, or a list of them, behind `ok`.
fn commands(answer: &Value) -> Vec<&Value> {
    let ok = answer.get("ok").or_else(|| answer.get("Ok")).unwrap_or(answer);
    match ok {
        Value::Array(commands) => commands.iter().collect(),
        one => vec![one],
    }
}

fn is_success_of(command: &Value, step: &Step) -> bool {
    let text = |key: &str| command.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("name") != "execute_clean_step" || !text("status").eq_ignore_ascii_case("succeeded") {
        return false;
    }
    let Ok(result) = serde_json::from_str::<Value>(text("result")) else { return false };
    let executed = result.get("clean_step");
    let is = |key: &str, wanted: &str| executed.and_then(|step| step.get(key)).and_then(Value::as_str) == Some(wanted);
    is("interface", &step.interface) && is("step", &step.step)
}
