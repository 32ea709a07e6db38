//! `wait`: tokens are indexes into the call's own list of waits.

use jiff::SignedDuration;
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, ErrorKind};

use crate::contract::import::wait::Host;
use crate::contract::types::{Error, PowerState};
use crate::state::{CallState, NOT_GRANTED};

/// Tokens that one call may make, and conditions that `any-of` may join.
pub(crate) const MAX_TOKENS: usize = 16;

impl CallState {
    /// A token for a condition that shows what a capability shows: who was not granted that may not wait for it either.
    fn granted(&mut self, capability: &str, condition: Condition, timeout_s: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.charge()?;
        if !self.may_use(capability, None) {
            let text = format!("to wait for this takes {capability}, which was not granted to this driver");
            return Ok(Err(DriverError::new(ErrorKind::Denied, NOT_GRANTED, text).into()));
        }
        self.push(condition, timeout_s)
    }

    fn token(&mut self, condition: Condition, timeout_s: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.charge()?;
        self.push(condition, timeout_s)
    }

    fn push(&mut self, condition: Condition, timeout_s: u32) -> wasmtime::Result<Result<u32, Error>> {
        if self.waits.len() >= MAX_TOKENS {
            return Ok(Err(
                DriverError::new(ErrorKind::LimitExceeded, "wrought.TooManyWaits", "a call makes at most 16 wait tokens").into()
            ));
        }
        self.waits.push(Wait { condition, timeout_s });
        let token = u32::try_from(self.waits.len().saturating_sub(1)).unwrap_or(u32::MAX);
        Ok(Ok(token))
    }
}

fn invalid(text: &str) -> DriverError {
    DriverError::new(ErrorKind::InvalidParameter, "wrought.InvalidWait", text)
}

/// The conditions that a condition consists of.
fn alternatives(condition: Condition) -> Vec<Condition> {
    match condition {
        Condition::Any(any) => any,
        one => vec![one],
    }
}

impl Host for CallState {
    async fn agent_booted(&mut self, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.granted("agent", Condition::AgentBooted, timeout_seconds)
    }

    async fn agent_command(&mut self, id: String, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        if id.is_empty() || id.len() > 128 {
            return self.refuse(invalid("that is no id of an agent's command"));
        }
        self.granted("agent", Condition::AgentCommand { id }, timeout_seconds)
    }

    async fn power(&mut self, target: PowerState, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        match target {
            PowerState::On => self.granted("power", Condition::Power { on: true }, timeout_seconds),
            PowerState::Off => self.granted("power", Condition::Power { on: false }, timeout_seconds),
            PowerState::Unknown => self.refuse(invalid("wait for power on or off")),
        }
    }

    async fn seconds(&mut self, seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        // Whole calls are replayed, so the time counts from the recorded start.
        let now = self.header.started_at;
        let at = now.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(jiff::Timestamp::MAX);
        self.token(Condition::Until { at }, 0)
    }

    async fn lock(&mut self, name: String, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        if name.is_empty() || name.len() > 128 {
            return self.refuse(invalid("that is no name of a lock"));
        }
        self.granted("locking", Condition::Lock { name }, timeout_seconds)
    }

    async fn exclusive(&mut self, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.granted("locking", Condition::Exclusive, timeout_seconds)
    }

    async fn bmc_task(&mut self, path: String, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        // The host judges the path when it looks; here only what is no path at all is refused.
        if !path.starts_with("/redfish/v1/") || path.len() > 1024 || path.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return self.refuse(invalid("that is no path of a controller's task"));
        }
        self.granted("redfish", Condition::BmcTask { path }, timeout_seconds)
    }

    async fn artifact_push(&mut self, push: String, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        if push.is_empty() || push.len() > 128 {
            return self.refuse(invalid("that is no push of an artifact"));
        }
        self.granted("artifact", Condition::ArtifactPush { push }, timeout_seconds)
    }

    async fn inspection_data(&mut self, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.granted("agent", Condition::InspectionData { since: self.header.started_at }, timeout_seconds)
    }

    async fn any_of(&mut self, tokens: Vec<u32>) -> wasmtime::Result<Result<u32, Error>> {
        // Checked before anything is copied: tokens may stand for each other's conditions over and over.
        if tokens.is_empty() || tokens.len() > MAX_TOKENS {
            return self.refuse(invalid("any-of joins 1 to 16 tokens"));
        }
        let mut any: Vec<Condition> = Vec::new();
        let (mut timeout, mut by_default) = (0, false);
        for token in tokens {
            let Some(wait) = usize::try_from(token).ok().and_then(|index| self.waits.get(index)).cloned() else {
                return self.refuse(invalid("a token that this call did not make"));
            };
            // A time that passes needs no time-out, so its 0 does not ask for the operator's default.
            by_default |= wait.timeout_s == 0 && !matches!(wait.condition, Condition::Until { .. });
            timeout = timeout.max(wait.timeout_s);
            for condition in alternatives(wait.condition) {
                if !any.contains(&condition) {
                    any.push(condition);
                }
            }
        }
        self.token(Condition::Any(any), if by_default { 0 } else { timeout })
    }
}
