//! `state`: the driver's own state on the node; writes take effect with the call's outcome.

use std::collections::BTreeMap;

use wrought_domain::{DriverError, ErrorKind};

use crate::contract::import::state::Host;
use crate::contract::state::Scope;
use crate::contract::types::Error;
use crate::state::CallState;

/// Bytes of a key.
pub(crate) const MAX_KEY: usize = 128;

impl CallState {
    fn scope(&mut self, scope: Scope) -> &mut BTreeMap<String, String> {
        match scope {
            Scope::Operation => &mut self.driver_state.operation,
            Scope::Node => &mut self.driver_state.node,
        }
    }
}

impl Host for CallState {
    async fn get(&mut self, scope: Scope, key: String) -> wasmtime::Result<Option<String>> {
        self.charge()?;
        Ok(self.scope(scope).get(&key).cloned())
    }

    async fn set(&mut self, scope: Scope, key: String, value: String) -> wasmtime::Result<Result<(), Error>> {
        self.charge()?;
        let kib = self.limits.state_kib;
        let refused = |text: &str| Ok(Err(DriverError::new(ErrorKind::LimitExceeded, "wrought.StateTooLarge", text).into()));
        if key.len() > MAX_KEY {
            return refused("a key of driver state has at most 128 bytes");
        }
        let old = self.scope(scope).get(&key).map_or(0, |old| old.len().saturating_add(key.len()));
        let size = self.driver_state.size().saturating_sub(old).saturating_add(key.len()).saturating_add(value.len());
        if size > usize::try_from(kib).unwrap_or(usize::MAX).saturating_mul(1 << 10) {
            return refused(&format!("a driver's state on a node has at most {kib} KiB"));
        }
        self.state_changed = true;
        self.scope(scope).insert(key, value);
        Ok(Ok(()))
    }

    async fn delete(&mut self, scope: Scope, key: String) -> wasmtime::Result<()> {
        self.charge()?;
        self.state_changed |= self.scope(scope).remove(&key).is_some();
        Ok(())
    }

    async fn keys(&mut self, scope: Scope) -> wasmtime::Result<Vec<String>> {
        self.charge()?;
        Ok(self.scope(scope).keys().cloned().collect())
    }
}
