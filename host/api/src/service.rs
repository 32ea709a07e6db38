//! What the API needs of the host behind it.

use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_conductor::{
    ArtifactTicket, ArtifactUpload, BootDevice, DriverDecision, DriverUpload, EventsAsked, Heartbeat, Indicator, InterfaceValidation,
    Lookup, ProvisionRequest, RecordedCall, RecordedOperation, Refusal, RevokeRequest, VendorMethod, VirtualDrive,
};
use wrought_domain::{Allocation, ArtifactName, DriverName, Map, Node, NodeId, OperationId, Principal, Verb};
use wrought_engine::{PowerTarget, Setting};
use wrought_inspection::Posted;
use wrought_inspection::rules::Rule;
use wrought_storage::{AuditQuery, Store};

/// The conductor as the API sees it. Reads go to the store; whatever changes a node goes through
/// here, so that the conductor checks it under the node's reservation.
///
/// Every method that changes something refuses with [`Refusal::Locked`] while an operation holds
/// the node, unless it says otherwise.
#[async_trait]
pub trait Service: Send + Sync {
    /// The store, for reads and for ports.
    fn store(&self) -> &Store;

    /// The name of this host, as `reservation` and `conductors` show it.
    fn host(&self) -> &str;

    /// Starts, ends or changes an operation. The node's state and target are changed when this
    /// returns; the operation goes on behind it.
    async fn provision(&self, who: &Principal, node: NodeId, verb: Verb, request: ProvisionRequest) -> Result<(), Refusal>;

    /// Starts a change of power; `timeout_s` bounds soft changes.
    async fn set_power(&self, who: &Principal, node: NodeId, target: PowerTarget, timeout_s: Option<u32>) -> Result<(), Refusal>;

    /// Sets or clears maintenance; clearing also clears reason and fault.
    async fn set_maintenance(&self, who: &Principal, node: NodeId, on: bool, reason: Option<String>) -> Result<(), Refusal>;

    /// Asks every interface of the node whether it has what it needs.
    async fn validate(&self, who: &Principal, node: NodeId) -> Result<Vec<InterfaceValidation>, Refusal>;

    /// Stores a new node; a taken name or UUID is a conflict.
    async fn create_node(&self, who: &Principal, node: Node) -> Result<Node, Refusal>;

    /// Stores a changed node if it still has this revision.
    async fn update_node(&self, who: &Principal, node: Node, revision: u64) -> Result<Node, Refusal>;

    /// Forgets a node and its ports if it still has this revision.
    async fn delete_node(&self, who: &Principal, node: NodeId, revision: u64) -> Result<(), Refusal>;

    /// The boot device that the controller reports.
    async fn boot_device(&self, who: &Principal, node: NodeId) -> Result<BootDevice, Refusal>;

    /// Sets the boot device, for the next boot or for good.
    async fn set_boot_device(&self, who: &Principal, node: NodeId, device: &str, persistent: bool) -> Result<(), Refusal>;

    /// The boot devices that the node's management interface knows.
    async fn supported_boot_devices(&self, who: &Principal, node: NodeId) -> Result<Vec<String>, Refusal>;

    /// Begins to set something on the machine of a node, which is held meanwhile.
    async fn set(&self, who: &Principal, node: NodeId, setting: Setting) -> Result<(), Refusal>;

    /// Sends a non-maskable interrupt.
    async fn inject_nmi(&self, who: &Principal, node: NodeId) -> Result<(), Refusal>;

    /// The machine's indicators.
    async fn indicators(&self, who: &Principal, node: NodeId) -> Result<Vec<Indicator>, Refusal>;

    /// Sets an indicator of a component.
    async fn set_indicator(&self, who: &Principal, node: NodeId, component: &str, indicator: &str, state: &str) -> Result<(), Refusal>;

    /// The machine's virtual drives.
    async fn virtual_media(&self, who: &Principal, node: NodeId) -> Result<Vec<VirtualDrive>, Refusal>;

    /// Inserts the image at a URL into a virtual drive of this kind (`cdrom`, `floppy`, `disk`).
    async fn attach_media(&self, who: &Principal, node: NodeId, device: &str, url: &str) -> Result<(), Refusal>;

    /// Ejects what is in drives of these kinds, of every kind if there are none.
    async fn detach_media(&self, who: &Principal, node: NodeId, devices: &[String]) -> Result<(), Refusal>;

    /// Stores an allocation, for which a node is then looked for; with a node, which is deployed already, it has it at once.
    async fn create_allocation(&self, who: &Principal, allocation: Allocation, node: Option<NodeId>) -> Result<Allocation, Refusal>;

    /// The methods of the node's vendor interface.
    async fn vendor_methods(&self, who: &Principal, node: NodeId) -> Result<Vec<VendorMethod>, Refusal>;

    /// Calls one; nothing is answered when it has begun as an operation.
    async fn call_vendor_method(
        &self,
        who: &Principal,
        node: NodeId,
        method: &str,
        http_method: &str,
        body: Value,
    ) -> Result<Option<Value>, Refusal>;

    /// Finds the node of an agent by its MAC addresses or its UUID, and hands out its token once.
    async fn lookup(&self, addresses: &[String], node: Option<NodeId>, peer: IpAddr) -> Result<Lookup, Refusal>;

    /// Takes an agent's heartbeat; the token is checked here.
    async fn heartbeat(&self, node: NodeId, beat: Heartbeat) -> Result<(), Refusal>;

    /// Takes what an agent found on its machine; the node that it is of, and with `lookup` what a lookup says of it.
    async fn continue_inspection(&self, posted: Posted, lookup: bool, peer: IpAddr) -> Result<(NodeId, Option<Lookup>), Refusal>;

    /// Adds an inspection rule that can run.
    async fn add_inspection_rule(&self, who: &Principal, rule: Rule) -> Result<Rule, Refusal>;

    /// Changes an inspection rule that was read as `before`.
    async fn update_inspection_rule(&self, who: &Principal, before: &Rule, after: Rule) -> Result<Rule, Refusal>;

    /// Deletes an inspection rule.
    async fn delete_inspection_rule(&self, who: &Principal, rule: Uuid) -> Result<(), Refusal>;

    /// The active drivers that can be a node's `deploy_interface`.
    fn deploy_interfaces(&self) -> Vec<String>;

    /// The active drivers that another interface of a node, such as `raid`, may name.
    fn interface_drivers(&self, interface: &str) -> Vec<String>;

    /// The keys of `driver_info` that a hardware type knows, with their descriptions.
    fn driver_properties(&self, hardware_type: &str) -> Option<Vec<(String, String)>>;

    /// Receives, judges and keeps a component as a version of the driver; answers its record.
    async fn upload_driver(&self, who: &Principal, name: DriverName, upload: DriverUpload) -> Result<Value, Refusal>;

    /// Deletes a version (its digest, or the beginning of it) that nothing refers to.
    async fn delete_driver(&self, who: &Principal, name: DriverName, digest: String) -> Result<(), Refusal>;

    /// Receives a file for drivers and keeps it under a name; answers its record.
    async fn upload_artifact(&self, who: &Principal, name: ArtifactName, upload: ArtifactUpload) -> Result<Value, Refusal>;

    /// All files for drivers.
    async fn list_artifacts(&self, who: &Principal) -> Result<Value, Refusal>;

    /// One of them, by its name or digest.
    async fn show_artifact(&self, who: &Principal, which: &str) -> Result<Value, Refusal>;

    /// Deletes one to which no URL leads any more.
    async fn delete_artifact(&self, who: &Principal, which: &str) -> Result<(), Refusal>;

    /// The file of a digest, for whoever has a URL that this host made.
    fn artifact_content(&self, digest: &str, ticket: Option<&ArtifactTicket>) -> Result<PathBuf, Refusal>;

    /// Decides something about a driver: which version serves whom, what is granted, a pause.
    async fn decide(&self, who: &Principal, name: DriverName, decision: DriverDecision) -> Result<Value, Refusal>;

    /// Revokes a version under all its names; the operations on it end by name.
    async fn revoke_driver(&self, who: &Principal, request: RevokeRequest) -> Result<Value, Refusal>;

    /// Records of the audit.
    async fn audit_trail(&self, who: &Principal, asked: &AuditQuery) -> Result<Value, Refusal>;

    /// What happened to one node or to all.
    async fn node_events(&self, who: &Principal, asked: EventsAsked) -> Result<Value, Refusal>;

    /// What a node (UUID or name) waits for, or why it failed, and what to do.
    async fn why(&self, who: &Principal, node: &str) -> Result<Value, Refusal>;

    /// Begins the operation again that failed last on a node, after its last finished step unless `from_start`.
    async fn retry(&self, who: &Principal, node: &str, from_start: bool) -> Result<Value, Refusal>;

    /// Ends an operation that waits for its turn. A node without one is a conflict.
    async fn cancel(&self, who: &Principal, node: &str) -> Result<Value, Refusal>;

    /// Every webhook, and how far it is.
    async fn list_webhooks(&self, who: &Principal) -> Result<Value, Refusal>;

    /// Every driver with its versions.
    async fn list_drivers(&self, who: &Principal) -> Result<Value, Refusal>;

    /// One driver with its versions.
    async fn show_driver(&self, who: &Principal, name: DriverName) -> Result<Value, Refusal>;

    /// Operations in the journal, the latest first: of one node (UUID or name) or of all.
    async fn journal(
        &self,
        who: &Principal,
        node: Option<String>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RecordedOperation>, Refusal>;

    /// An operation in the journal with its calls: by its id, by a node whose last one it is, or by one call, then with that
    /// one alone. With `detail` the calls have their records.
    async fn journaled(&self, who: &Principal, which: &str, detail: bool) -> Result<(RecordedOperation, Vec<RecordedCall>), Refusal>;

    /// The same as a file.
    async fn export_journal(&self, who: &Principal, which: &str, components: bool) -> Result<(OperationId, Vec<u8>), Refusal>;

    /// Ends the operation that holds a node (UUID or name) by name, and leaves the machine as it is; answers what was
    /// ended. A node that nothing holds is a conflict.
    async fn unlock(&self, who: &Principal, node: &str, reason: String) -> Result<Value, Refusal>;

    /// The limits of a driver's calls.
    async fn driver_limits(&self, who: &Principal, name: DriverName) -> Result<Value, Refusal>;

    /// Sets those that differ from the host's, in place of what was set.
    async fn set_driver_limits(&self, who: &Principal, name: DriverName, wanted: Map) -> Result<Value, Refusal>;

    /// Every lock that nodes share and that is held or waited for.
    async fn list_locks(&self, who: &Principal) -> Result<Value, Refusal>;

    /// Takes a lock away from its holder; answers who held it.
    async fn break_lock(&self, who: &Principal, name: &str, reason: &str) -> Result<Value, Refusal>;

    /// Figures of this host: `driver_call_us` (CPU time of driver calls: count, p50, p99), `driver_compilations` since its start, and
    /// `rss_mib`.
    fn stats(&self) -> Value;
}
