//! Which versions of which drivers a new operation takes, and keeps to its end.

use wrought_domain::{DriverName, Node, OperationId};
use wrought_drivers::BrokenChain;
use wrought_engine::Kind;
use wrought_storage::KeptState;

use crate::command::Chain;
use crate::conductor::Conductor;
use crate::{Refusal, convert};

/// A number from 0 to 99 that an operation's random id stands for: it decides whether the operation takes part in a trial.
pub(crate) fn roll(operation: OperationId) -> u8 {
    u8::try_from(operation.0.as_u128() % 100).unwrap_or(0)
}

impl Conductor {
    /// The drivers in force for a node: its deploy interface, and that one's bases.
    pub(crate) fn chain(&self, node: &Node) -> Result<Chain, Refusal> {
        self.0.catalog.current().chain(&deploy_interface(node)?).map_err(|broken| Refusal::Invalid(broken.to_string()))
    }

    /// The drivers that a new operation on the node runs on. A version on trial may be among them; a driver that keeps something
    /// about the node in a form that the version in force cannot read stays with the version that wrote it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] where no version serves, [`Refusal::Unavailable`] for a driver that is paused,
    /// [`Refusal::Conflict`] where the version that could read a state was revoked.
    pub(crate) async fn select(&self, node: &Node, operation: OperationId, kind: Kind) -> Result<Chain, Refusal> {
        let generation = self.0.catalog.current();
        let kept = self.0.store.kept_states(node.uuid).await.map_err(convert::refusal)?;
        let broken = |broken: BrokenChain| Refusal::Invalid(broken.to_string());
        let mut chain = Chain::new();
        let mut next = Some(deploy_interface(node)?);
        while let Some(name) = next {
            if chain.iter().any(|(seen, _)| *seen == name) {
                return Err(broken(BrokenChain::Circle(name)));
            }
            let in_force = generation.drivers.get(&name);
            if let Some(paused) = in_force.and_then(|driver| driver.rollout.paused.as_ref()) {
                return Err(Refusal::Unavailable(format!(
                    "Driver {name} is paused by {} since {}: {}. It takes new operations again after: wrought driver resume {name}",
                    paused.by, paused.at, paused.reason
                )));
            }
            let chosen = in_force.and_then(|driver| driver.choose(node, roll(operation)));
            let state = kept.iter().find(|state| state.driver == name);
            let driver = match (chosen, state) {
                (Some(chosen), Some(state)) if !reads(&chosen.about.schemas.reads, state) => self.writer_of(node, state).await?,
                // What was begun on a driver that is out of service can be ended, and nothing else be begun.
                (None, Some(state)) if ends(kind) && state.digest.is_some() => self.writer_of(node, state).await?,
                (Some(chosen), _) => chosen.clone(),
                (None, _) => return Err(broken(BrokenChain::NotActive(name))),
            };
            next = driver.about.base.clone();
            chain.push((name, driver));
        }
        Ok(chain)
    }

    /// The version that wrote what a driver keeps about a node.
    async fn writer_of(&self, node: &Node, state: &KeptState) -> Result<std::sync::Arc<wrought_drivers::Driver>, Refusal> {
        let KeptState { driver: name, schema, digest } = state;
        let about = format!(
            "what driver {name} keeps about node {} is in form {}, which the version in force does not read; activate one whose \
             state-schema reads it",
            node.uuid,
            schema.unwrap_or(1)
        );
        let Some(digest) = digest else { return Err(Refusal::Conflict(format!("{about}: which one wrote it was not recorded."))) };
        if let Some(reason) = self.0.grants.revoked(digest) {
            return Err(Refusal::Conflict(format!("{about}: {}, which wrote it, was revoked: {reason}", digest.short())));
        }
        self.0
            .catalog
            .version(digest)
            .await
            .map_err(|error| Refusal::Conflict(format!("{about}: {}, which wrote it: {error}", digest.short())))
    }
}

/// Whether an operation takes back what an earlier one did.
fn ends(kind: Kind) -> bool {
    matches!(kind, Kind::TearDown | Kind::Clean | Kind::ManualClean)
}

fn reads(schemas: &[u32], state: &KeptState) -> bool {
    state.schema.is_none_or(|schema| schemas.contains(&schema))
}

fn deploy_interface(node: &Node) -> Result<DriverName, Refusal> {
    node.interfaces.deploy.parse().map_err(|error: wrought_domain::id::InvalidId| Refusal::Invalid(error.to_string()))
}
