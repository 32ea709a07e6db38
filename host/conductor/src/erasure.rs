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

/// The commands in an answer that is no error: one, or a list of them.
fn commands(answer: &Value) -> Vec<&Value> {
    match answer.get("Ok") {
        Some(Value::Array(commands)) => commands.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

fn is_success_of(command: &Value, step: &Step) -> bool {
    let text = |key: &str| command.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("name") != "execute_clean_step" || text("status") != "Succeeded" {
        return false;
    }
    let Ok(result) = serde_json::from_str::<Value>(text("result")) else { return false };
    let executed = result.get("clean_step");
    let is = |key: &str, wanted: &str| executed.and_then(|step| step.get(key)).and_then(Value::as_str) == Some(wanted);
    is("interface", &step.interface) && is("step", &step.step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wrought_domain::DriverError;
    use wrought_drivers::contract::agent::{Command, CommandStatus};
    use wrought_drivers::journal::Class;

    fn step() -> Step {
        serde_json::from_value(json!({
            "interface": "deploy", "step": "erase_devices_metadata", "priority": 99, "abortable": true, "requires_ramdisk": true,
        }))
        .unwrap_or_else(|error| panic!("{error}"))
    }

    /// An answer as the record of a call has it.
    fn entry(function: &str, answer: Result<Value, DriverError>) -> Entry {
        let (function, answer) = (function.into(), Some(json!(answer)));
        Entry { function, class: Class::Observe, args: Value::Null, before: None, at: None, answer }
    }

    fn command(name: &str, status: CommandStatus, executed: &str) -> Value {
        let result = json!({"clean_step": {"interface": "deploy", "step": executed}}).to_string();
        json!(Command { id: "1".into(), name: name.into(), status, result, error: None })
    }

    #[test]
    fn only_the_agents_success_with_exactly_this_step_is_seen() {
        let (clean, erased) = ("execute_clean_step", "erase_devices_metadata");
        let good = command(clean, CommandStatus::Succeeded, erased);
        for function in ["agent.status", "agent.call"] {
            assert!(seen(&[entry(function, Ok(good.clone()))], &step()));
        }
        let other = command(clean, CommandStatus::Succeeded, "erase_pstore");
        assert!(seen(&[entry("agent.commands", Ok(json!([other, good])))], &step()));
        for bad in [
            entry("agent.status", Ok(other)),
            entry("agent.status", Ok(command(clean, CommandStatus::Failed, erased))),
            entry("agent.status", Ok(command(clean, CommandStatus::Running, erased))),
            entry("agent.status", Ok(command("execute_deploy_step", CommandStatus::Succeeded, erased))),
            // What a driver gets from elsewhere may look like anything.
            entry("http.get", Ok(good.clone())),
            entry("agent.status", Err(DriverError::new(wrought_domain::ErrorKind::Failed, "x", good.to_string()))),
            Entry { answer: None, ..entry("agent.status", Ok(good.clone())) },
        ] {
            assert!(!seen(std::slice::from_ref(&bad), &step()), "{bad:?}");
        }
    }
}
