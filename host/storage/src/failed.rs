//! The operation that failed last on a node: what a retry goes on with.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wrought_domain::{Digest, Node, NodeId, StepCall};
use wrought_engine::{Operation, Pin};

use crate::document::Table;
use crate::script::Script;
use crate::seal::KeyRing;
use crate::{Store, StoreError, document};

/// An operation that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedOperation {
    /// When.
    pub at: Timestamp,
    /// As it was when it failed.
    pub operation: Operation,
    /// Of all that it was done with.
    inputs: Option<Digest>,
}

impl FailedOperation {
    /// Whether the node, the deploy templates of its instance and the drivers that would serve it are what they were when the
    /// operation failed, so that what it finished is what would be done again.
    pub fn still_fits(&self, node: &Node, templates: &[StepCall], drivers: &[Pin]) -> bool {
        self.inputs.is_some() && self.inputs == inputs(node, templates, drivers)
    }
}

/// What is kept, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Kept<O> {
    operation: O,
    inputs: Option<Digest>,
}

fn inputs(node: &Node, templates: &[StepCall], drivers: &[Pin]) -> Option<Digest> {
    let instance = (&node.instance_uuid, &node.instance_info, &node.traits);
    let machine = (&node.driver, &node.interfaces, &node.driver_info, &node.properties, &node.raid_config, &node.target_raid_config);
    let hash = digest(&SHA256, &serde_json::to_vec(&(instance, machine, templates, drivers)).ok()?);
    Some(Digest::from_sha256(hash.as_ref().try_into().ok()?))
}

/// Keeps it in place of the former; `node` is as the failure leaves it.
pub(crate) fn put(script: &mut Script, keys: &KeyRing, node: &Node, operation: &Operation) -> Result<(), StoreError> {
    let kept = Kept { operation, inputs: inputs(node, &operation.templates, &operation.drivers) };
    let doc = document::seal(keys, Table::FailedOperations, node.uuid, &kept)?;
    script
        .add(
            "INSERT INTO failed_operations (node, failed_at, doc) VALUES (?, ?, ?) \
             ON CONFLICT (node) DO UPDATE SET failed_at = excluded.failed_at, doc = excluded.doc",
        )
        .bind(node.uuid.to_string())
        .bind(Timestamp::now().as_microsecond())
        .bind(doc);
    Ok(())
}

/// Forgets it: another operation begins.
pub(crate) fn forget(script: &mut Script, node: NodeId) {
    script.add("DELETE FROM failed_operations WHERE node = ?").bind(node.to_string());
}

impl Store {
    /// The operation that failed last on the node, until another one begins there that is more than a change of power.
    ///
    /// # Errors
    /// The database fails.
    pub async fn failed_operation(&self, node: NodeId) -> Result<Option<FailedOperation>, StoreError> {
        let query = sqlx::query_as("SELECT failed_at, doc FROM failed_operations WHERE node = $1").bind(node.to_string());
        let found: Option<(i64, Vec<u8>)> = query.fetch_optional(self.reads()).await?;
        let Some((at, doc)) = found else { return Ok(None) };
        let Kept { operation, inputs } = document::open(self.keys(), Table::FailedOperations, node, &doc)?;
        Ok(Some(FailedOperation { at: document::moment(at), operation, inputs }))
    }
}
