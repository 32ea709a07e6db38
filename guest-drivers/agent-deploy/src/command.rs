//! Agent commands that outlive a call: sent once, found again by their id.

use wrought_sdk::agent::{Command, CommandStatus};
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;

/// Key of the id of the command that was last seen to end, so that an old one is never taken for a new one.
const LAST: &str = "agent-command-ended";

/// How far a command is.
pub enum Progress {
    /// It runs: return this.
    Running(Outcome),
    /// It does not run any more.
    Ended(Command),
}

/// Sends a command, once in all calls of a step, and follows it to its end.
pub struct Errand<'a> {
    /// What people call it; also names the state that holds its id.
    pub name: &'a str,
    /// The agent's name of the command, without its extension's prefix.
    pub command: &'a str,
    /// Whether an ended command of that name was sent for this errand.
    pub is_ours: &'a dyn Fn(&Command) -> bool,
    /// Sends it.
    pub send: &'a dyn Fn() -> Result<Command>,
}

impl Errand<'_> {
    /// Sends the command unless it was, and tells how far it is.
    pub fn follow(&self) -> Result<Progress> {
        let key = format!("agent-command.{}", self.name);
        let known: Option<String> = state::get(Scope::Operation, &key)?;
        let command = match &known {
            Some(id) => agent::status(id).map_err(|error| self.explain(error))?,
            None if task::cause() == Cause::Interrupted => match self.find()? {
                Some(command) => command,
                None => self.send_once()?,
            },
            None => self.send_once()?,
        };
        if command.status != CommandStatus::Running {
            state::delete(Scope::Operation, &key);
            state::set(Scope::Operation, LAST, &command.id)?;
            return Ok(Progress::Ended(command));
        }
        if known.is_some() && task::timed_out() {
            return Err(Error::timeout(format!("the agent did not finish {} in time", self.name)).with_code("agent.CommandTimeout"));
        }
        state::set(Scope::Operation, &key, &command.id)?;
        wait::agent_command(&command.id, 0).map(Progress::Running)
    }

    fn send_once(&self) -> Result<Command> {
        match (self.send)() {
            Err(error) if error.kind == ErrorKind::OutcomeUnknown => self.find()?.ok_or_else(|| {
                // The agent answers and never got it: sending it again is the host's repetition of the step.
                Error::agent_unreachable(format!("the agent did not receive {}", self.name)).with_code("agent.CommandLost")
            }),
            answer => answer,
        }
    }

    /// The command among those that the agent has seen since the last one ended. One that runs tells nothing of what it was
    /// sent for, but an agent runs one at a time and the former was seen to end.
    fn find(&self) -> Result<Option<Command>> {
        let last: Option<String> = state::get(Scope::Operation, LAST)?;
        Ok(newest(agent::commands()?, last.as_deref(), |command| {
            command.name == self.command && (command.status == CommandStatus::Running || (self.is_ours)(command))
        }))
    }

    fn explain(&self, error: Error) -> Error {
        match error.kind {
            ErrorKind::NotFound => {
                Error::failed(format!("the agent was restarted while it executed {}: what it did is not known", self.name))
                    .with_code("agent.Restarted")
            }
            _ => error,
        }
    }
}

/// The newest of the commands after `last` that fits.
fn newest(commands: Vec<Command>, last: Option<&str>, fits: impl Fn(&Command) -> bool) -> Option<Command> {
    let seen = commands.iter().position(|command| Some(command.id.as_str()) == last).map_or(0, |index| index.saturating_add(1));
    commands.into_iter().skip(seen).rfind(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_was_seen_to_end_is_never_taken_for_a_new_one() {
        let command = |id: &str, name: &str| Command {
            id: id.to_owned(),
            name: name.to_owned(),
            status: CommandStatus::Succeeded,
            result: "null".to_owned(),
            error: None,
        };
        let commands = || vec![command("1", "execute_clean_step"), command("2", "get_clean_steps"), command("3", "execute_clean_step")];
        let found = |last| newest(commands(), last, |command| command.name == "execute_clean_step").map(|command| command.id);
        assert_eq!(found(None).as_deref(), Some("3"));
        assert_eq!(found(Some("1")).as_deref(), Some("3"));
        assert_eq!(found(Some("3")), None);
        assert_eq!(found(Some("of another boot")).as_deref(), Some("3"));
    }
}
