//! The conductor is the service behind the API.

use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_conductor::{
    ArtifactTicket, ArtifactUpload, BootDevice, Conductor, DriverDecision, DriverUpload, EventsAsked, Heartbeat, Indicator,
    InterfaceValidation, Lookup, ProvisionRequest, RecordedCall, RecordedOperation, Refusal, RevokeRequest, VendorMethod, VirtualDrive,
};
use wrought_domain::{Allocation, ArtifactName, DriverName, Map, Node, NodeId, OperationId, Principal, Verb};
use wrought_engine::{PowerTarget, Setting};
use wrought_inspection::Posted;
use wrought_inspection::rules::Rule;
use wrought_storage::{AuditQuery, Store};

use crate::Service;

#[async_trait]
impl Service for Conductor {
    fn store(&self) -> &Store {
        self.store()
    }

    fn host(&self) -> &str {
        self.host()
    }

    async fn provision(&self, who: &Principal, node: NodeId, verb: Verb, request: ProvisionRequest) -> Result<(), Refusal> {
        self.provision(who, node, verb, request).await
    }

    async fn set_power(&self, who: &Principal, node: NodeId, target: PowerTarget, timeout_s: Option<u32>) -> Result<(), Refusal> {
        self.set_power(who, node, target, timeout_s).await
    }

    async fn set_maintenance(&self, who: &Principal, node: NodeId, on: bool, reason: Option<String>) -> Result<(), Refusal> {
        self.set_maintenance(who, node, on, reason).await
    }

    async fn validate(&self, who: &Principal, node: NodeId) -> Result<Vec<InterfaceValidation>, Refusal> {
        self.validate(who, node).await
    }

    async fn create_node(&self, who: &Principal, node: Node) -> Result<Node, Refusal> {
        self.create_node(who, node).await
    }

    async fn update_node(&self, who: &Principal, node: Node, revision: u64) -> Result<Node, Refusal> {
        self.update_node(who, node, revision).await
    }

    async fn delete_node(&self, who: &Principal, node: NodeId, revision: u64) -> Result<(), Refusal> {
        self.delete_node(who, node, revision).await
    }

    async fn boot_device(&self, who: &Principal, node: NodeId) -> Result<BootDevice, Refusal> {
        self.boot_device(who, node).await
    }

    async fn set_boot_device(&self, who: &Principal, node: NodeId, device: &str, persistent: bool) -> Result<(), Refusal> {
        self.set_boot_device(who, node, device, persistent).await
    }

    async fn supported_boot_devices(&self, who: &Principal, node: NodeId) -> Result<Vec<String>, Refusal> {
        self.supported_boot_devices(who, node).await
    }

    async fn set(&self, who: &Principal, node: NodeId, setting: Setting) -> Result<(), Refusal> {
        self.set(who, node, setting).await
    }

    async fn inject_nmi(&self, who: &Principal, node: NodeId) -> Result<(), Refusal> {
        self.inject_nmi(who, node).await
    }

    async fn indicators(&self, who: &Principal, node: NodeId) -> Result<Vec<Indicator>, Refusal> {
        self.indicators(who, node).await
    }

    async fn set_indicator(&self, who: &Principal, node: NodeId, component: &str, indicator: &str, state: &str) -> Result<(), Refusal> {
        self.set_indicator(who, node, component, indicator, state).await
    }

    async fn virtual_media(&self, who: &Principal, node: NodeId) -> Result<Vec<VirtualDrive>, Refusal> {
        self.virtual_media(who, node).await
    }

    async fn attach_media(&self, who: &Principal, node: NodeId, device: &str, url: &str) -> Result<(), Refusal> {
        self.attach_media(who, node, device, url).await
    }

    async fn detach_media(&self, who: &Principal, node: NodeId, devices: &[String]) -> Result<(), Refusal> {
        self.detach_media(who, node, devices).await
    }

    async fn create_allocation(&self, who: &Principal, allocation: Allocation, node: Option<NodeId>) -> Result<Allocation, Refusal> {
        self.create_allocation(who, allocation, node).await
    }

    async fn vendor_methods(&self, who: &Principal, node: NodeId) -> Result<Vec<VendorMethod>, Refusal> {
        self.vendor_methods(who, node).await
    }

    async fn call_vendor_method(
        &self,
        who: &Principal,
        node: NodeId,
        method: &str,
        http_method: &str,
        body: Value,
    ) -> Result<Option<Value>, Refusal> {
        self.call_vendor_method(who, node, method, http_method, body).await
    }

    async fn lookup(&self, addresses: &[String], node: Option<NodeId>, peer: IpAddr) -> Result<Lookup, Refusal> {
        self.lookup(addresses, node, peer).await
    }

    async fn heartbeat(&self, node: NodeId, beat: Heartbeat) -> Result<(), Refusal> {
        self.heartbeat(node, beat).await
    }

    async fn continue_inspection(&self, posted: Posted, lookup: bool, peer: IpAddr) -> Result<(NodeId, Option<Lookup>), Refusal> {
        self.continue_inspection(posted, lookup, peer).await
    }

    async fn add_inspection_rule(&self, who: &Principal, rule: Rule) -> Result<Rule, Refusal> {
        self.add_inspection_rule(who, rule).await
    }

    async fn update_inspection_rule(&self, who: &Principal, before: &Rule, after: Rule) -> Result<Rule, Refusal> {
        self.update_inspection_rule(who, before, after).await
    }

    async fn delete_inspection_rule(&self, who: &Principal, rule: Uuid) -> Result<(), Refusal> {
        self.delete_inspection_rule(who, rule).await
    }

    fn deploy_interfaces(&self) -> Vec<String> {
        self.deploy_interfaces()
    }

    fn interface_drivers(&self, interface: &str) -> Vec<String> {
        self.interface_drivers(interface)
    }

    fn driver_properties(&self, hardware_type: &str) -> Option<Vec<(String, String)>> {
        self.driver_properties(hardware_type)
    }

    async fn upload_driver(&self, who: &Principal, name: DriverName, upload: DriverUpload) -> Result<Value, Refusal> {
        self.upload_driver(who, name, upload).await
    }

    async fn upload_artifact(&self, who: &Principal, name: ArtifactName, upload: ArtifactUpload) -> Result<Value, Refusal> {
        self.upload_artifact(who, name, upload).await
    }

    async fn list_artifacts(&self, who: &Principal) -> Result<Value, Refusal> {
        self.list_artifacts(who).await
    }

    async fn show_artifact(&self, who: &Principal, which: &str) -> Result<Value, Refusal> {
        self.show_artifact(who, which).await
    }

    async fn delete_artifact(&self, who: &Principal, which: &str) -> Result<(), Refusal> {
        self.delete_artifact(who, which).await
    }

    fn artifact_content(&self, digest: &str, ticket: Option<&ArtifactTicket>) -> Result<PathBuf, Refusal> {
        self.artifact_content(digest, ticket)
    }

    async fn delete_driver(&self, who: &Principal, name: DriverName, digest: String) -> Result<(), Refusal> {
        self.delete_driver(who, name, digest).await
    }

    async fn decide(&self, who: &Principal, name: DriverName, decision: DriverDecision) -> Result<Value, Refusal> {
        self.decide(who, name, decision).await
    }

    async fn revoke_driver(&self, who: &Principal, request: RevokeRequest) -> Result<Value, Refusal> {
        self.revoke_driver(who, request).await
    }

    async fn audit_trail(&self, who: &Principal, asked: &AuditQuery) -> Result<Value, Refusal> {
        self.audit_trail(who, asked).await
    }

    async fn node_events(&self, who: &Principal, asked: EventsAsked) -> Result<Value, Refusal> {
        self.node_events(who, asked).await
    }

    async fn why(&self, who: &Principal, node: &str) -> Result<Value, Refusal> {
        self.why(who, node).await
    }

    async fn retry(&self, who: &Principal, node: &str, from_start: bool) -> Result<Value, Refusal> {
        self.retry(who, node, from_start).await
    }

    async fn cancel(&self, who: &Principal, node: &str) -> Result<Value, Refusal> {
        self.cancel(who, node).await
    }

    async fn list_webhooks(&self, who: &Principal) -> Result<Value, Refusal> {
        self.list_webhooks(who).await
    }

    async fn list_drivers(&self, who: &Principal) -> Result<Value, Refusal> {
        self.list_drivers(who).await
    }

    async fn show_driver(&self, who: &Principal, name: DriverName) -> Result<Value, Refusal> {
        self.show_driver(who, name).await
    }

    async fn journal(
        &self,
        who: &Principal,
        node: Option<String>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RecordedOperation>, Refusal> {
        self.journal(who, node.as_deref(), before, limit).await
    }

    async fn journaled(&self, who: &Principal, which: &str, detail: bool) -> Result<(RecordedOperation, Vec<RecordedCall>), Refusal> {
        self.journaled(who, which, detail).await
    }

    async fn export_journal(&self, who: &Principal, which: &str, components: bool) -> Result<(OperationId, Vec<u8>), Refusal> {
        self.export_journal(who, which, components).await
    }

    async fn unlock(&self, who: &Principal, node: &str, reason: String) -> Result<Value, Refusal> {
        self.unlock(who, node, reason).await
    }

    async fn driver_limits(&self, who: &Principal, name: DriverName) -> Result<Value, Refusal> {
        self.driver_limits(who, name).await
    }

    async fn set_driver_limits(&self, who: &Principal, name: DriverName, wanted: Map) -> Result<Value, Refusal> {
        self.set_driver_limits(who, name, wanted).await
    }

    async fn list_locks(&self, who: &Principal) -> Result<Value, Refusal> {
        self.list_locks(who).await
    }

    async fn break_lock(&self, who: &Principal, name: &str, reason: &str) -> Result<Value, Refusal> {
        self.break_lock(who, name, reason).await
    }

    fn stats(&self) -> Value {
        let times = self.call_times();
        serde_json::json!({
            "driver_call_us": {"count": times.count, "p50": times.p50_us, "p99": times.p99_us},
            "driver_compilations": self.compilations(),
            "driver_denials": self.denials(),
            "commits": self.store().writes().transactions,
            "rss_mib": rss_mib(),
        })
    }
}

/// Resident memory of this process, as Linux tells it.
fn rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
