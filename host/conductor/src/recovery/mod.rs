//! After a restart: what is to be done with each open operation, as a value, and how it is found out what an effect did
//! whose answer the former process did not live to see.

pub(crate) mod effects;
mod plan;
mod settle;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::SignedDuration;
use wrought_domain::{DriverName, OperationId};
use wrought_engine::{Event, Returned};
use wrought_storage::StoreError;

use crate::conductor::Conductor;
use crate::gate::Tag;
use crate::seen::Seen;

pub use effects::{EFFECTS, EffectRule};
use plan::OpenCall;
pub use plan::{Planned, RecoveryAction, RecoveryPlan};
pub(crate) use settle::Settled;

/// Operations that are adopted side by side.
const ADOPTIONS: usize = 256;

/// The calls that were cut off, until they are gone on with.
#[derive(Default)]
pub(crate) struct Recovering(Mutex<HashMap<OperationId, OpenCall>>);

impl Recovering {
    fn put(&self, operation: OperationId, open: OpenCall) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(operation, open);
    }

    /// The call of this number and driver, once.
    pub(crate) fn take(&self, operation: OperationId, turn: u64, driver: &DriverName) -> Option<OpenCall> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open.get(&operation).is_some_and(|open| open.turn == turn && open.recorded.header.driver == *driver);
        if found { open.remove(&operation) } else { None }
    }
}

impl Conductor {
    /// Goes on with the operations that were open when the process ended, as [`RecoveryPlan`] says.
    pub(crate) async fn recover(&self) -> Result<(), StoreError> {
        let began = std::time::Instant::now();
        let plan = RecoveryPlan::of(&self.0.store, self.now()).await?;
        let operations = plan.operations.len();
        let open: Vec<_> = plan.operations.iter().map(|planned| planned.whole.clone()).collect();
        self.restore_queue(&open).await?;
        // Side by side, so that the store commits them in groups.
        stream::iter(plan.operations).map(Ok).try_for_each_concurrent(ADOPTIONS, |planned| self.go_on(planned)).await?;
        self.open_queue();
        if operations > 0 {
            tracing::info!(operations, ms = began.elapsed().as_millis(), "all open operations are being worked on again");
        }
        Ok(())
    }

    async fn go_on(&self, planned: Planned) -> Result<(), StoreError> {
        let Planned { node, operation, kind, phase, down_s, action, open, whole, .. } = planned;
        tracing::info!(%node, %operation, kind, ?phase, down_s, %action, "going on after a restart");
        // Two operations of one node cannot be open, so what is adopted is what was planned for.
        self.0.store.adopt(node, &self.0.host).await?;
        if let Some(open) = open {
            self.0.recovering.put(operation, open);
        }
        let event = match action {
            RecoveryAction::Fail { why } => Event::Returned(Returned::Fault(why)),
            _ => Event::Interrupted { down: SignedDuration::from_secs(down_s) },
        };
        let this = self.clone();
        self.spawn(async move {
            // A version may have been revoked just before the stop: what waits on it ends, and the event after that finds nothing.
            this.handle(node, None, Event::Revoked(String::new()), Seen::default()).await;
            // Whoever was quicker than this, such as a heartbeat, has had it go on already.
            this.handle(node, Some(Tag::of(&whole)), event, Seen::default()).await;
        });
        Ok(())
    }
}
