//! What should come out for each route: one row for each, by hand.

use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::Role::{self, Admin, Member, Reader};

use super::World;

/// Who may.
#[derive(Debug, Clone, Copy)]
pub enum May {
    /// Everybody.
    Public,
    /// Callers without a project, with this role.
    System(Role),
    /// Callers with this role in any scope: a list that holds what is theirs, or something new of their own.
    Any(Role),
    /// With the role of those without a project, of the owner's, of the lessee's; strangers are told that it is not there.
    Node(Role, Role, Option<Role>),
    /// The same of something that the project `own` has, and no node: whoever else has a project is told that it is not there.
    Owned(Role, Role),
}
use May::{Any, Node, Owned, Public, System};

/// Whoever sees a node.
const LOOK: May = Node(Reader, Reader, Some(Reader));
/// Ironic's "member, of the owner; administrator, of the lessee".
const USE: May = Node(Member, Member, Some(Admin));
const POWER: May = Node(Member, Member, Some(Member));
const RUN: May = Node(Member, Member, None);
const INSPECT: May = Node(Reader, Reader, None);
const MANAGE: May = Node(Member, Admin, None);
const OWN: May = Node(Admin, Admin, None);

pub struct Row {
    pub route: &'static str,
    pub may: May,
    pub body: fn(&World) -> Value,
    pub query: &'static str,
}

/// A route without a body.
fn row(route: &'static str, may: May) -> Row {
    Row { route, may, body: |_| Value::Null, query: "" }
}

/// One with a body that gets past validation.
fn with(route: &'static str, may: May, body: fn(&World) -> Value) -> Row {
    Row { route, may, body, query: "" }
}

fn asking(route: &'static str, may: May, query: &'static str) -> Row {
    Row { route, may, body: |_| Value::Null, query }
}

pub fn patch(path: &str, value: Value) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

pub fn steps() -> Value {
    json!([{"interface": "deploy", "step": "write_image", "args": {}, "order": 1}])
}

fn why(_: &World) -> Value {
    json!({"reason": "it hangs"})
}

pub fn rows() -> Vec<Row> {
    vec![
        row("GET /", Public),
        row("GET /v1", Public),
        row("GET /openapi.json", Public),
        asking("GET /v1/lookup", Public, "?addresses=52:54:00:ff:ff:ff"),
        row("POST /v1/heartbeat/{node}", Public),
        row("POST /v1/heartbeat", Public),
        row("POST /v1/continue_inspection", Public),
        row("POST /v1/continue_inspection.json", Public),
        row("GET /wrought/v1/artifacts/{name}/content", Public),
        // Nodes.
        row("GET /v1/nodes", Any(Reader)),
        with("POST /v1/nodes", Any(Admin), |_| json!({"driver": "redfish"})),
        row("DELETE /v1/nodes", Any(Admin)),
        row("GET /v1/nodes/detail", Any(Reader)),
        asking("GET /v1/nodes/validate", USE, "?node_uuid={node}"),
        row("GET /v1/nodes/{node}", LOOK),
        with("PATCH /v1/nodes/{node}", USE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/nodes/{node}", OWN),
        row("GET /v1/nodes/{node}/states", LOOK),
        with("PUT /v1/nodes/{node}/states/provision", USE, |_| json!({"target": "manage"})),
        with("PUT /v1/nodes/{node}/states/power", POWER, |_| json!({"target": "power on"})),
        row("GET /v1/nodes/{node}/states/console", RUN),
        with("PUT /v1/nodes/{node}/states/console", RUN, |_| json!({"enabled": true})),
        with("PUT /v1/nodes/{node}/states/raid", RUN, |_| json!({"logical_disks": [{"size_gb": 1, "raid_level": "1"}]})),
        with("PUT /v1/nodes/{node}/states/boot_mode", RUN, |_| json!({"target": "uefi"})),
        with("PUT /v1/nodes/{node}/states/secure_boot", RUN, |_| json!({"target": true})),
        with("PUT /v1/nodes/{node}/maintenance", USE, |_| json!({"reason": "fire"})),
        row("DELETE /v1/nodes/{node}/maintenance", USE),
        row("GET /v1/nodes/{node}/validate", USE),
        row("GET /v1/nodes/{node}/management/boot_device", MANAGE),
        with("PUT /v1/nodes/{node}/management/boot_device", MANAGE, |_| json!({"boot_device": "pxe"})),
        row("GET /v1/nodes/{node}/management/boot_device/supported", MANAGE),
        row("PUT /v1/nodes/{node}/management/inject_nmi", MANAGE),
        row("GET /v1/nodes/{node}/management/indicators", LOOK),
        row("GET /v1/nodes/{node}/management/indicators/{which}", LOOK),
        with("PUT /v1/nodes/{node}/management/indicators/{which}", RUN, |_| json!({"state": "ON"})),
        row("GET /v1/nodes/{node}/management/indicators/{which}/{indicator}", LOOK),
        with("PUT /v1/nodes/{node}/management/indicators/{which}/{indicator}", RUN, |_| json!({"state": "ON"})),
        row("GET /v1/nodes/{node}/ports", LOOK),
        row("GET /v1/nodes/{node}/ports/detail", LOOK),
        row("GET /v1/nodes/{node}/portgroups", LOOK),
        row("GET /v1/nodes/{node}/portgroups/detail", LOOK),
        row("GET /v1/nodes/{node}/volume", LOOK),
        row("GET /v1/nodes/{node}/volume/connectors", LOOK),
        row("GET /v1/nodes/{node}/volume/targets", LOOK),
        row("GET /v1/nodes/{node}/history", INSPECT),
        row("GET /v1/nodes/{node}/history/{event}", INSPECT),
        row("GET /v1/nodes/{node}/children", LOOK),
        row("GET /v1/nodes/{node}/allocation", LOOK),
        row("DELETE /v1/nodes/{node}/allocation", USE),
        row("GET /v1/nodes/{node}/inventory", INSPECT),
        row("GET /v1/nodes/{node}/bios", LOOK),
        row("GET /v1/nodes/{node}/bios/{setting}", LOOK),
        row("GET /v1/nodes/{node}/firmware", LOOK),
        row("GET /v1/nodes/{node}/vmedia", INSPECT),
        with("POST /v1/nodes/{node}/vmedia", RUN, |_| json!({"device_type": "cdrom", "image_url": "http://192.0.2.1/a.iso"})),
        row("DELETE /v1/nodes/{node}/vmedia", RUN),
        row("GET /v1/nodes/{node}/vifs", LOOK),
        with("POST /v1/nodes/{node}/vifs", USE, |_| json!({"id": Uuid::new_v4()})),
        row("DELETE /v1/nodes/{node}/vifs/{vif}", USE),
        row("GET /v1/nodes/{node}/vendor_passthru/methods", OWN),
        asking("GET /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("POST /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PUT /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PATCH /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        asking("DELETE /v1/nodes/{node}/vendor_passthru", System(Admin), "?method=echo"),
        row("GET /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("POST /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("PUT /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("PATCH /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("DELETE /v1/nodes/{node}/vendor_passthru/{method}", System(Admin)),
        row("GET /v1/nodes/{node}/traits", LOOK),
        with("PUT /v1/nodes/{node}/traits", MANAGE, |_| json!({"traits": ["CUSTOM_A"]})),
        row("DELETE /v1/nodes/{node}/traits", MANAGE),
        row("PUT /v1/nodes/{node}/traits/{trait}", MANAGE),
        row("DELETE /v1/nodes/{node}/traits/{trait}", MANAGE),
        row("GET /wrought/v1/nodes/{node}/events", INSPECT),
        row("GET /wrought/v1/nodes/{node}/why", INSPECT),
        row("POST /wrought/v1/nodes/{node}/retry", USE),
        row("POST /wrought/v1/nodes/{node}/cancel", USE),
        with("POST /wrought/v1/nodes/{node}/unlock", System(Admin), why),
        // What nodes have.
        row("GET /v1/ports", Any(Reader)),
        with("POST /v1/ports", OWN, |world| json!({"node_uuid": world.node, "address": world.address()})),
        row("DELETE /v1/ports", Any(Admin)),
        row("GET /v1/ports/detail", Any(Reader)),
        row("GET /v1/ports/{port}", LOOK),
        with("PATCH /v1/ports/{port}", MANAGE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/ports/{port}", OWN),
        row("GET /v1/portgroups", Any(Reader)),
        with("POST /v1/portgroups", OWN, |world| json!({"node_uuid": world.node})),
        row("GET /v1/portgroups/detail", Any(Reader)),
        row("GET /v1/portgroups/{portgroup}", LOOK),
        with("PATCH /v1/portgroups/{portgroup}", MANAGE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/portgroups/{portgroup}", OWN),
        row("GET /v1/portgroups/{portgroup}/ports", LOOK),
        row("GET /v1/portgroups/{portgroup}/ports/detail", LOOK),
        row("GET /v1/volume", Any(Reader)),
        row("GET /v1/volume/connectors", Any(Reader)),
        with("POST /v1/volume/connectors", USE, |world| json!({"node_uuid": world.node, "type": "iqn", "connector_id": world.name()})),
        row("GET /v1/volume/connectors/{connector}", LOOK),
        with("PATCH /v1/volume/connectors/{connector}", USE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/volume/connectors/{connector}", USE),
        row("GET /v1/volume/targets", Any(Reader)),
        with(
            "POST /v1/volume/targets",
            USE,
            |world| json!({"node_uuid": world.node, "volume_type": "iscsi", "volume_id": world.name(), "boot_index": 7}),
        ),
        row("GET /v1/volume/targets/{target}", LOOK),
        with("PATCH /v1/volume/targets/{target}", USE, |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/volume/targets/{target}", USE),
        row("GET /v1/allocations", Any(Reader)),
        with("POST /v1/allocations", Any(Member), |_| json!({"resource_class": "small"})),
        row("GET /v1/allocations/{allocation}", Owned(Reader, Reader)),
        with("PATCH /v1/allocations/{allocation}", Owned(Member, Member), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/allocations/{allocation}", Owned(Member, Member)),
        // What no project has.
        row("GET /v1/chassis", System(Reader)),
        with("POST /v1/chassis", System(Admin), |_| json!({})),
        row("GET /v1/chassis/detail", System(Reader)),
        row("GET /v1/chassis/{chassis}", System(Reader)),
        with("PATCH /v1/chassis/{chassis}", System(Member), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/chassis/{chassis}", System(Admin)),
        row("GET /v1/chassis/{chassis}/nodes", System(Reader)),
        row("GET /v1/chassis/{chassis}/nodes/detail", System(Reader)),
        with(
            "POST /v1/events",
            System(Admin),
            |_| json!({"events": [{"event": "network.bind_port", "port_id": Uuid::nil(), "mac_address": "52:54:00:00:00:01", "status": "ACTIVE"}]}),
        ),
        row("GET /v1/shards", System(Reader)),
        row("GET /v1/drivers", System(Reader)),
        row("GET /v1/drivers/{driver}", System(Reader)),
        row("GET /v1/drivers/{driver}/properties", System(Reader)),
        row("GET /v1/drivers/{driver}/raid/logical_disk_properties", System(Reader)),
        row("GET /v1/drivers/{driver}/vendor_passthru/methods", System(Reader)),
        asking("GET /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("POST /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PUT /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("PATCH /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        asking("DELETE /v1/drivers/{driver}/vendor_passthru", System(Admin), "?method=echo"),
        row("GET /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("POST /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("PUT /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("PATCH /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("DELETE /v1/drivers/{driver}/vendor_passthru/{method}", System(Admin)),
        row("GET /v1/conductors", System(Reader)),
        row("GET /v1/conductors/{hostname}", System(Reader)),
        row("GET /v1/deploy_templates", System(Reader)),
        with(
            "POST /v1/deploy_templates",
            System(Admin),
            |world| json!({"name": format!("CUSTOM_{}", world.name()), "steps": [{"interface": "deploy", "step": "a", "args": {}, "priority": 10}]}),
        ),
        row("GET /v1/deploy_templates/{template}", System(Reader)),
        with("PATCH /v1/deploy_templates/{template}", System(Admin), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/deploy_templates/{template}", System(Admin)),
        row("GET /v1/inspection_rules", System(Reader)),
        with("POST /v1/inspection_rules", System(Admin), rule),
        row("GET /v1/inspection_rules/{rule}", System(Reader)),
        with("PATCH /v1/inspection_rules/{rule}", System(Admin), |_| patch("/description", json!("b"))),
        row("DELETE /v1/inspection_rules/{rule}", System(Admin)),
        // Runbooks: this one is a project's own.
        row("GET /v1/runbooks", Any(Reader)),
        with("POST /v1/runbooks", Any(Member), |world| json!({"name": world.name(), "steps": steps()})),
        row("GET /v1/runbooks/{runbook}", Owned(Reader, Reader)),
        with("PATCH /v1/runbooks/{runbook}", Owned(Member, Member), |_| patch("/extra/a", json!(1))),
        row("DELETE /v1/runbooks/{runbook}", Owned(Member, Member)),
        row("GET /v1/runbooks/{runbook}/traits", Owned(Reader, Reader)),
        with("PUT /v1/runbooks/{runbook}/traits", Owned(Member, Member), |_| json!({"traits": ["CUSTOM_A"]})),
        row("DELETE /v1/runbooks/{runbook}/traits", Owned(Member, Member)),
        row("PUT /v1/runbooks/{runbook}/traits/{trait}", Owned(Member, Member)),
        row("DELETE /v1/runbooks/{runbook}/traits/{trait}", Owned(Member, Member)),
        // Wrought's own.
        row("GET /wrought/v1/stats", System(Reader)),
        row("GET /wrought/v1/drivers", System(Reader)),
        row("GET /wrought/v1/drivers/{name}", System(Reader)),
        row("PUT /wrought/v1/drivers/{name}", System(Admin)),
        row("DELETE /wrought/v1/drivers/{name}/versions/{digest}", System(Admin)),
        row("GET /wrought/v1/drivers/{name}/limits", System(Reader)),
        with("PUT /wrought/v1/drivers/{name}/limits", System(Admin), |_| json!({"memory_mib": 512})),
        row("GET /wrought/v1/drivers/{name}/events", System(Admin)),
        with("POST /wrought/v1/drivers/{name}/activate", System(Admin), |_| json!({"version": "1.0.0", "grant": ["power"]})),
        with("POST /wrought/v1/drivers/{name}/rollback", System(Admin), |_| json!({})),
        with("POST /wrought/v1/drivers/{name}/pause", System(Admin), why),
        with("POST /wrought/v1/drivers/{name}/resume", System(Admin), |_| json!({})),
        with("POST /wrought/v1/drivers/{name}/grant", System(Admin), |_| json!({"grant": ["power"]})),
        with("POST /wrought/v1/drivers/{name}/ungrant", System(Admin), |_| json!({"grant": ["power"]})),
        with("POST /wrought/v1/drivers/{name}/canary", System(Admin), |_| json!({"version": "1.0.0", "percent": 10, "grant": ["power"]})),
        row("DELETE /wrought/v1/drivers/{name}/canary", System(Admin)),
        with("POST /wrought/v1/revocations", System(Admin), |_| json!({"digest": "sha256:00112233", "reason": "it burns"})),
        row("GET /wrought/v1/audit", System(Admin)),
        row("GET /wrought/v1/artifacts", System(Reader)),
        row("GET /wrought/v1/artifacts/{name}", System(Reader)),
        row("POST /wrought/v1/artifacts/{name}", System(Admin)),
        row("DELETE /wrought/v1/artifacts/{name}", System(Admin)),
        row("GET /wrought/v1/locks", System(Reader)),
        with("DELETE /wrought/v1/locks/{name}", System(Admin), why),
        row("GET /wrought/v1/webhooks", System(Admin)),
        row("GET /wrought/v1/events", System(Admin)),
        row("GET /wrought/v1/journal", System(Admin)),
        row("GET /wrought/v1/journal/{which}", System(Admin)),
        row("GET /wrought/v1/journal/{which}/export", System(Admin)),
        row("GET /wrought/v1/tokens", System(Admin)),
        with("POST /wrought/v1/tokens", System(Admin), |world| json!({"name": world.name(), "role": "reader"})),
        row("DELETE /wrought/v1/tokens/{name}", System(Admin)),
    ]
}

pub fn rule(_: &World) -> Value {
    json!({"description": "a", "actions": [{"op": "set-attribute", "args": {"path": "/extra/a", "value": "1"}}]})
}

/// Answers that are no success although the caller may: what is asked for is not there, or cannot be done to such a node.
pub const OTHERWISE: &[(&str, u16)] = &[
    ("POST /v1/heartbeat/{node}", 400),
    ("POST /v1/heartbeat", 400),
    ("POST /v1/continue_inspection", 400),
    ("POST /v1/continue_inspection.json", 400),
    ("GET /v1/lookup", 404),
    ("GET /wrought/v1/artifacts/{name}/content", 403),
    ("DELETE /v1/nodes", 400),
    ("DELETE /v1/ports", 400),
    ("GET /v1/nodes/{node}/states/console", 400),
    ("PUT /v1/nodes/{node}/states/console", 400),
    ("PUT /v1/nodes/{node}/states/raid", 404),
    ("PUT /v1/nodes/{node}/management/inject_nmi", 400),
    ("GET /v1/nodes/{node}/management/indicators/{which}/{indicator}", 404),
    ("GET /v1/nodes/{node}/history/{event}", 404),
    ("GET /v1/nodes/{node}/allocation", 404),
    ("DELETE /v1/nodes/{node}/allocation", 404),
    ("GET /v1/nodes/{node}/inventory", 404),
    ("GET /v1/nodes/{node}/bios/{setting}", 404),
    ("DELETE /v1/nodes/{node}/vifs/{vif}", 400),
    ("DELETE /v1/nodes/{node}/traits/{trait}", 404),
    ("GET /v1/nodes/{node}/management/indicators/{which}", 404),
    ("GET /v1/drivers/{driver}/raid/logical_disk_properties", 404),
    ("GET /v1/drivers/{driver}/vendor_passthru", 400),
    ("POST /v1/drivers/{driver}/vendor_passthru", 400),
    ("PUT /v1/drivers/{driver}/vendor_passthru", 400),
    ("PATCH /v1/drivers/{driver}/vendor_passthru", 400),
    ("DELETE /v1/drivers/{driver}/vendor_passthru", 400),
    ("GET /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("POST /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("PUT /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("PATCH /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("DELETE /v1/drivers/{driver}/vendor_passthru/{method}", 400),
    ("POST /wrought/v1/nodes/{node}/cancel", 409),
    ("GET /wrought/v1/drivers/{name}", 404),
    ("GET /wrought/v1/journal/{which}", 404),
    ("DELETE /wrought/v1/tokens/{name}", 404),
];
