//! `wait`: tokens are indexes into the call's own list of waits.

use jiff::SignedDuration;
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, ErrorKind};

use crate::contract::import::wait::Host;
use crate::contract::types::{Error, PowerState};
use crate::state::CallState;

/// Tokens that one call may make.
const MAX_TOKENS: usize = 16;

impl CallState {
    fn token(&mut self, condition: Condition, timeout_s: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.charge()?;
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

fn invalid(text: &str) -> Error {
    DriverError::new(ErrorKind::InvalidParameter, "wrought.InvalidWait", text).into()
}

impl Host for CallState {
    async fn agent_booted(&mut self, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        self.token(Condition::AgentBooted, timeout_seconds)
    }

    async fn agent_command(&mut self, id: String, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        if id.is_empty() || id.len() > 128 {
            return Ok(Err(invalid("that is no id of an agent's command")));
        }
        self.token(Condition::AgentCommand { id }, timeout_seconds)
    }

    async fn power(&mut self, target: PowerState, timeout_seconds: u32) -> wasmtime::Result<Result<u32, Error>> {
        match target {
            PowerState::On => self.token(Condition::Power { on: true }, timeout_seconds),
            PowerState::Off => self.token(Condition::Power { on: false }, timeout_seconds),
            PowerState::Unknown => Ok(Err(invalid("wait for power on or off"))),
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
            return Ok(Err(invalid("that is no name of a lock")));
        }
        self.token(Condition::Lock { name }, timeout_seconds)
    }

    async fn any_of(&mut self, tokens: Vec<u32>) -> wasmtime::Result<Result<u32, Error>> {
        let chosen: Option<Vec<Wait>> =
            tokens.iter().map(|token| usize::try_from(*token).ok().and_then(|index| self.waits.get(index)).cloned()).collect();
        match chosen {
            None => Ok(Err(invalid("a token that this call did not make"))),
            Some(chosen) if chosen.is_empty() => Ok(Err(invalid("any-of needs at least one token"))),
            Some(chosen) => {
                let timeout = chosen.iter().map(|wait| wait.timeout_s).max().unwrap_or(0);
                self.token(Condition::Any(chosen.into_iter().map(|wait| wait.condition).collect()), timeout)
            }
        }
    }
}
