//! Finds out what became of an effect that was on its way when the host stopped. Looks; the one thing that it changes is
//! the boot device that belongs to a medium which is inserted already.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wrought_domain::{DriverError, ErrorKind};
use wrought_drivers::capability::Agent as _;
use wrought_drivers::contract::agent::{Command, CommandStatus};
use wrought_drivers::contract::redfish::Response;
use wrought_drivers::journal::Entry;
use wrought_hardware::PowerState;

use super::effects::{Look, rule};
use crate::convert;
use crate::world::NodeWorld;

/// Between two looks, at first; grows.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What this pause grows to.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Looks that must agree before a machine's power is taken for unchanged: some controllers show a change late.
const EQUAL_LOOKS: u32 = 3;

/// How long a command that the agent was to end at once is waited for (`wit/agent.wit`).
const CALL_PATIENCE: Duration = Duration::from_secs(9);

/// What became of an effect.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Settled {
    /// It was done; this is its answer, as it would have been recorded.
    Done(Value),
    /// It was not done.
    NotDone,
    /// Nobody can tell.
    Unknown(DriverError),
}

impl Settled {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Settled::Done(_) => "done",
            Settled::NotDone => "not done",
            Settled::Unknown(_) => "not known",
        }
    }
}

/// What one look shows.
enum Seen {
    Settled(Settled),
    /// Look again, until time is up.
    NotYet(DriverError),
}

fn done(answer: Value) -> Seen {
    Seen::Settled(Settled::Done(json!({ "Ok": answer })))
}

fn not_known(entry: &Entry, why: &str) -> DriverError {
    let text = format!("the host stopped while {} was on its way, and whether it was done cannot be told: {why}", entry.function);
    DriverError::new(ErrorKind::OutcomeUnknown, "wrought.NotKnown", text)
}

impl NodeWorld {
    /// Looks until it is known what became of an effect, for `patience` at most.
    pub(crate) async fn settle(&self, entry: &Entry, patience: Duration) -> Settled {
        let Some(rule) = rule(&entry.function) else {
            return Settled::Unknown(not_known(entry, "this host does not know how to look for it"));
        };
        let deadline = Instant::now() + patience;
        let (mut pause, mut same) = (FIRST_PAUSE, 0);
        loop {
            let seen = match rule.look {
                Look::Itself => return Settled::NotDone,
                Look::Nothing => return Settled::Unknown(not_known(entry, rule.told)),
                Look::Power { on } => self.look_at_power(on, &mut same).await,
                Look::Agent => self.look_at_agent(entry).await,
                Look::Media => self.look_at_media(entry).await,
                Look::Members => self.look_at_members(entry).await,
                Look::Gone => self.look_whether_gone(entry).await,
            };
            let why = match seen {
                Seen::Settled(settled) => return settled,
                Seen::NotYet(why) => why,
            };
            if Instant::now() + pause > deadline {
                return Settled::Unknown(not_known(entry, &why.to_string()));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn look_at_power(&self, on: bool, same: &mut u32) -> Seen {
        let (wanted, other) = if on { (PowerState::On, PowerState::Off) } else { (PowerState::Off, PowerState::On) };
        let state = match self.bmc() {
            Ok(bmc) => bmc.power_state().await.map_err(|error| self.failed(error)),
            Err(error) => Err(error),
        };
        match state {
            Ok(state) if state == wanted => {
                self.see_power(convert::shown_power(state));
                done(Value::Null)
            }
            Ok(state) if state == other => {
                *same = same.saturating_add(1);
                if *same >= EQUAL_LOOKS {
                    return Seen::Settled(Settled::NotDone);
                }
                Seen::NotYet(DriverError::new(ErrorKind::Timeout, "power.Unsettled", "the machine's power does not rest"))
            }
            Ok(_) => {
                *same = 0;
                Seen::NotYet(DriverError::new(ErrorKind::Timeout, "power.Unsettled", "the machine is between two power states"))
            }
            Err(error) => Seen::NotYet(error),
        }
    }

    async fn look_at_agent(&self, entry: &Entry) -> Seen {
        let name = match entry.function.as_str() {
            "agent.run-step" => match entry.args.get(0).and_then(Value::as_str) {
                Some("Clean") => "execute_clean_step",
                Some("Service") => "execute_service_step",
                _ => "execute_deploy_step",
            },
            _ => entry.args.get(0).and_then(Value::as_str).and_then(|name| name.rsplit('.').next()).unwrap_or_default(),
        };
        let (started_at, commands) = match self.agent_commands().await {
            Ok(found) => found,
            // An agent that powered its machine off as it was told cannot be asked any more; the machine can.
            Err(_) if name == "power_off" && self.is_off().await => return done(json!(ended(name))),
            Err(error) => return Seen::NotYet(error),
        };
        let before = entry.before.as_ref();
        if before.and_then(|before| before.get("started_at")) != Some(&started_at) {
            let why = "the agent has started anew since, and has forgotten what it did";
            return Seen::Settled(Settled::Unknown(not_known(entry, why)));
        }
        let listed = before.and_then(|before| before.get("ids")).and_then(Value::as_array).cloned().unwrap_or_default();
        let new = |command: &&Command| command.name == name && !listed.iter().any(|id| id.as_str() == Some(&command.id));
        let Some(command) = commands.iter().find(new) else { return Seen::Settled(Settled::NotDone) };
        if entry.function == "agent.call" && command.status == CommandStatus::Running {
            return done(json!(self.end_of(command.clone()).await));
        }
        done(json!(command))
    }

    /// A command that is expected to end soon, when it has, or as it is when time is up.
    async fn end_of(&self, mut command: Command) -> Command {
        let deadline = Instant::now() + CALL_PATIENCE;
        while command.status == CommandStatus::Running && Instant::now() < deadline {
            tokio::time::sleep(FIRST_PAUSE).await;
            if let Ok(now) = self.command(command.id.clone()).await {
                command = now;
            }
        }
        command
    }

    async fn is_off(&self) -> bool {
        let Ok(bmc) = self.bmc() else { return false };
        matches!(bmc.power_state().await, Ok(PowerState::Off))
    }

    async fn look_at_members(&self, entry: &Entry) -> Seen {
        let path = entry.args.get(0).and_then(Value::as_str).unwrap_or_default();
        let body = entry.args.get(1).and_then(Value::as_object).cloned().unwrap_or_default();
        match self.resource_shows(path, body).await {
            Ok(Some(resource)) => done(json!(resource)),
            Ok(None) => Seen::Settled(Settled::NotDone),
            Err(error) => unread(entry, error),
        }
    }

    async fn look_whether_gone(&self, entry: &Entry) -> Seen {
        match self.resource_is_gone(entry.args.as_str().unwrap_or_default()).await {
            Ok(true) => done(json!(Response { status: 204, body: "null".into(), etag: None, location: None, task: None })),
            Ok(false) => Seen::Settled(Settled::NotDone),
            Err(error) => unread(entry, error),
        }
    }

    async fn look_at_media(&self, entry: &Entry) -> Seen {
        let wanted = match entry.function.as_str() {
            "boot.insert-media" => self.medium(entry.args.as_str().unwrap_or_default()).await.map(Some),
            _ => self.deploy_iso().await,
        };
        // Fake hardware has no medium: preparing it again does nothing.
        let Ok(Some(wanted)) = wanted else { return Seen::Settled(Settled::NotDone) };
        let media = match self.bmc() {
            Ok(bmc) => bmc.media().await.map_err(|error| self.failed(error)),
            Err(error) => Err(error),
        };
        match media {
            Ok(media) if media.inserted && media.image.as_deref() == Some(&wanted) => {}
            Ok(_) => return Seen::Settled(Settled::NotDone),
            Err(error) if error.kind == ErrorKind::Unsupported => return Seen::Settled(Settled::NotDone),
            Err(error) => return Seen::NotYet(error),
        }
        if entry.function == "boot.insert-media" {
            return done(Value::Null);
        }
        match self.boot_from_medium().await {
            Ok(()) => done(Value::Null),
            Err(error) => Seen::NotYet(error),
        }
    }
}

/// A resource that could not be read: now, or not at all.
fn unread(entry: &Entry, error: DriverError) -> Seen {
    match error.kind {
        ErrorKind::Timeout | ErrorKind::Failed => Seen::NotYet(error),
        _ => Seen::Settled(Settled::Unknown(not_known(entry, &error.to_string()))),
    }
}

/// A command that has ended with its agent.
fn ended(name: &str) -> Command {
    Command { id: String::new(), name: name.to_owned(), status: CommandStatus::Succeeded, result: "null".into(), error: None }
}
