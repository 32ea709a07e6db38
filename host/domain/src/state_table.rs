//! The table of transitions as a page to read: `docs/state-machine.md`.

use std::fmt::Write;

use crate::state::{Event, ProvisionState, TRANSITIONS};
use crate::verb::Verb;

fn names<'a>(states: impl IntoIterator<Item = &'a ProvisionState>) -> String {
    states.into_iter().map(|state| format!("`{state}`")).collect::<Vec<_>>().join(", ")
}

fn class(state: ProvisionState) -> &'static str {
    match state {
        state if state.is_stable() => "stable: nothing goes on",
        state if state.is_transient() => "transient: an operation is worked on",
        state if state.is_wait() => "wait: an operation waits for the machine",
        state if state.is_failed() => "failed: the operation ended here",
        _ => "hold: an operation rests until an operator says `unhold`",
    }
}

/// The page, in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Provision states\n\n\
         <!-- Made from the code. Do not edit: change host/domain/src/state.rs and run\n     \
         `cargo run -q -p wrought-domain --example state_table > docs/state-machine.md`. -->\n\n\
         What a node can be, and what leads from one state to another. The names are Ironic's. Any other pair of state and event is refused.\n\n\
         ## Verbs\n\n\
         What `PUT /v1/nodes/{node}/states/provision` takes as its target. A node in a transient state takes none.\n\n\
         | target | since | event | allowed in |\n|---|---|---|---|\n",
    );
    for verb in Verb::ALL {
        let alias = match verb {
            Verb::Active => ", `deploy` (1.73)",
            Verb::Deleted => ", `undeploy` (1.73)",
            _ => "",
        };
        let name = verb.to_string();
        let since = Verb::min_minor(&name).unwrap_or_default();
        let from = names(ProvisionState::ALL.iter().filter(|state| verb.allowed_from(**state)));
        let _ = writeln!(text, "| `{name}`{alias} | 1.{since} | {} | {from} |", verb.event());
    }
    text.push_str(
        "\n## States\n\n\
         The target is what a node in the state is heading for, unless the operation has another: a manual cleaning keeps `manageable`.\n\n\
         | state | class | target | agents may look it up | the API may change the node |\n|---|---|---|---|---|\n",
    );
    for state in ProvisionState::ALL {
        let target = state.default_target().map_or_else(|| "-".to_owned(), |target| format!("`{target}`"));
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        let changes = yes(state.default_target().is_none() || state.allows_update_with_target());
        let _ = writeln!(text, "| `{state}` | {} | {target} | {} | {changes} |", class(*state), yes(state.allows_lookup()));
    }
    text.push_str("\n## Transitions\n\n| event | from | to |\n|---|---|---|\n");
    for event in Event::ALL {
        for to in ProvisionState::ALL {
            let from: Vec<_> = TRANSITIONS.iter().filter(|(_, by, into)| by == event && into == to).map(|(from, _, _)| from).collect();
            if !from.is_empty() {
                let _ = writeln!(text, "| {event} | {} | `{to}` |", names(from));
            }
        }
    }
    text
}
