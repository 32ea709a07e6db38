//! The resources beside nodes, and what agents call.

use crate::deploy_templates::FIELDS as TEMPLATE;
use crate::inspection_rules::FIELDS as RULE;
use crate::openapi::describe::{
    Answer, Arg, Body, DETAIL, DETAIL_43, FIELDS, FIELDS_8, Op, PAGE, Type, arg, delete, get, needed, patch, post, put,
};
use crate::ports::FIELDS as PORT;
use crate::runbooks::FIELDS as RUNBOOK;

const PORT_FILTERS: &[Arg] = &[
    arg("node", 1, Type::Text, "Ports of this node; by its name since 1.5."),
    arg("node_uuid", 1, Type::Text, "Ports of this node."),
    arg("address", 1, Type::Text, "The port with this MAC address."),
    arg("portgroup", 24, Type::Text, "Ports of this group."),
    arg("shard", 82, Type::Csv, "Ports of nodes of these shards."),
    arg("description_contains", 97, Type::Text, "Ports with this in their description."),
    arg("conductor_groups", 99, Type::Csv, "Ports of nodes of these groups."),
];

/// What a heartbeat says.
const BEAT: [Arg; 6] = [
    needed("callback_url", 22, Type::Text, "Where the agent listens."),
    arg("agent_version", 36, Type::Text, "Its version, which it must tell."),
    arg("agent_token", 62, Type::Text, "Its token, which it must have."),
    arg("agent_verify_ca", 68, Type::Text, "The certificate of its listener, as PEM."),
    arg("agent_status", 72, Type::Text, "Of other deploy interfaces than there are here."),
    arg("agent_status_message", 72, Type::Text, "Of other deploy interfaces than there are here."),
];

/// What it says where the path does not name the node.
const BEAT_OF: &[Arg] =
    &[needed("node_ident", 22, Type::Text, "The node, by its UUID or name."), BEAT[0], BEAT[1], BEAT[2], BEAT[3], BEAT[4], BEAT[5]];

/// The routes.
pub(crate) const OPS: &[Op] = &[
    get("/", 1, "The versions of the API.", Answer::One("Root")).any_query(),
    get("/v1", 1, "What this version of the API has.", Answer::One("V1")).any_query(),
    get("/v1/lookup", 22, "An agent asks for its node.", Answer::Keys(&["node", "config"])).query(&[&[
        arg("addresses", 22, Type::Csv, "MAC addresses, 64 at most."),
        arg("node_uuid", 22, Type::Text, "The node, where the agent knows it."),
    ]]),
    put("/v1/heartbeat/{node}", 22, "An agent is alive.").method("post").body(Body::Args(&BEAT)),
    put("/v1/heartbeat", 22, "An agent is alive, which says in the body whose it is.").method("post").body(Body::Args(BEAT_OF)),
    inspection("/v1/continue_inspection"),
    inspection("/v1/continue_inspection.json"),
    get("/v1/ports", 1, "Lists ports.", Answer::List("ports", "Port")).query(&[PAGE, FIELDS_8, DETAIL_43, PORT_FILTERS]),
    post("/v1/ports", 1, "Creates a port.", Answer::One("Port")).body(Body::Resource(
        PORT,
        &[arg("node_ident", 94, Type::Text, "The node by its UUID or name, in place of node_uuid.")],
        &["address"],
    )),
    delete("/v1/ports", 1, "Always refused: a port must be named.").any_query().body(Body::Free),
    get("/v1/ports/detail", 1, "Lists ports with all fields.", Answer::List("ports", "Port")).query(&[PAGE, PORT_FILTERS]),
    get("/v1/ports/{port}", 1, "Shows a port.", Answer::One("Port")).query(&[FIELDS_8]),
    patch("/v1/ports/{port}", 1, "Changes a port.", PORT, Answer::One("Port")),
    delete("/v1/ports/{port}", 1, "Removes a port."),
    get("/v1/drivers", 1, "Lists hardware types.", Answer::List("drivers", "Driver")).query(&[&[
        arg("type", 30, Type::OneOf(&["classic", "dynamic"]), "Hardware types of this kind; all are dynamic."),
        arg("detail", 30, Type::Bool, "Whether the interfaces are shown."),
        arg("fields", 77, Type::Csv, "The fields to show."),
    ]]),
    get("/v1/drivers/{driver}", 1, "Shows a hardware type.", Answer::One("Driver")).query(&[&[arg(
        "fields",
        77,
        Type::Csv,
        "The fields to show.",
    )]]),
    get("/v1/drivers/{driver}/properties", 1, "What driver_info may have.", Answer::Map(Type::Text)),
    get("/v1/drivers/{driver}/raid/logical_disk_properties", 12, "What a logical disk may have.", Answer::Map(Type::Text)),
    get("/v1/drivers/{driver}/vendor_passthru/methods", 1, "Lists methods of the hardware type's own.", Answer::Free),
    get("/v1/conductors", 49, "Lists hosts.", Answer::List("conductors", "Conductor")).query(&[
        &[
            arg("limit", 0, Type::Int(1, 1_000_000), "The most items on the page."),
            arg("marker", 0, Type::Text, "The name of the last host of the page before."),
            arg("sort_key", 0, Type::Short(64), "Hosts are sorted by their name."),
            arg("sort_dir", 0, Type::OneOf(&["asc", "desc"]), "The direction."),
        ],
        DETAIL,
        FIELDS,
    ]),
    get("/v1/conductors/{hostname}", 49, "Shows a host.", Answer::One("Conductor")).query(&[FIELDS]),
    get("/v1/deploy_templates", 55, "Lists deploy templates.", Answer::List("deploy_templates", "DeployTemplate"))
        .query(&[PAGE, DETAIL, FIELDS]),
    post("/v1/deploy_templates", 55, "Creates a deploy template.", Answer::One("DeployTemplate")).body(Body::Resource(
        TEMPLATE,
        &[],
        &["name", "steps"],
    )),
    get("/v1/deploy_templates/{template}", 55, "Shows a deploy template.", Answer::One("DeployTemplate")).query(&[FIELDS]),
    patch("/v1/deploy_templates/{template}", 55, "Changes a deploy template.", TEMPLATE, Answer::One("DeployTemplate")),
    delete("/v1/deploy_templates/{template}", 55, "Removes a deploy template."),
    get("/v1/runbooks", 92, "Lists runbooks.", Answer::List("runbooks", "Runbook")).query(&[
        PAGE,
        DETAIL,
        FIELDS,
        &[arg("project", 92, Type::Text, "Runbooks of this project.")],
    ]),
    post("/v1/runbooks", 92, "Creates a runbook.", Answer::One("Runbook")).body(Body::Resource(RUNBOOK, &[], &["name", "steps"])),
    get("/v1/runbooks/{runbook}", 92, "Shows a runbook.", Answer::One("Runbook")).query(&[FIELDS]),
    patch("/v1/runbooks/{runbook}", 92, "Changes a runbook.", RUNBOOK, Answer::One("Runbook")),
    delete("/v1/runbooks/{runbook}", 92, "Removes a runbook."),
    get("/v1/runbooks/{runbook}/traits", 112, "Lists a runbook's traits.", Answer::Keys(&["traits"])),
    put("/v1/runbooks/{runbook}/traits", 112, "Replaces a runbook's traits.").status(204).body(Body::Args(&[needed(
        "traits",
        112,
        Type::Texts,
        "50 at most.",
    )])),
    delete("/v1/runbooks/{runbook}/traits", 112, "Removes all traits of a runbook."),
    put("/v1/runbooks/{runbook}/traits/{trait}", 112, "Adds a trait.").status(204),
    delete("/v1/runbooks/{runbook}/traits/{trait}", 112, "Removes a trait."),
    get("/v1/inspection_rules", 96, "Lists inspection rules.", Answer::List("inspection_rules", "InspectionRule"))
        .query(&[PAGE, DETAIL, FIELDS]),
    post("/v1/inspection_rules", 96, "Creates an inspection rule.", Answer::One("InspectionRule")).body(Body::Resource(
        RULE,
        &[],
        &["actions"],
    )),
    get("/v1/inspection_rules/{rule}", 96, "Shows an inspection rule.", Answer::One("InspectionRule")).query(&[FIELDS]),
    patch("/v1/inspection_rules/{rule}", 96, "Changes an inspection rule.", RULE, Answer::One("InspectionRule")),
    delete("/v1/inspection_rules/{rule}", 96, "Removes an inspection rule."),
];

const fn inspection(path: &'static str) -> Op {
    post(path, 1, "An agent says what it found; since 1.84 it is answered as to a lookup.", Answer::Free)
        .status(202)
        .body(Body::Named("Findings", false))
}
