//! Chassis, what belongs to nodes beside ports, allocations, and what stands alone.

use crate::allocations::FIELDS as ALLOCATION;
use crate::chassis::FIELDS as CHASSIS;
use crate::openapi::describe::{
    Answer, Arg, Body, DETAIL, DETAIL_43, FIELDS, FIELDS_8, Op, PAGE, Type, arg, delete, get, needed, patch, post, put,
};
use crate::portgroups::FIELDS as PORTGROUP;
use crate::volumes::{CONNECTOR_FIELDS as CONNECTOR, TARGET_FIELDS as TARGET};

const PORTGROUP_FILTERS: &[Arg] = &[
    arg("node", 23, Type::Text, "Groups of this node."),
    arg("address", 23, Type::Text, "The group with this MAC address."),
    arg("shard", 82, Type::Csv, "Groups of nodes of these shards."),
    arg("conductor_groups", 99, Type::Csv, "Groups of nodes of these groups of hosts."),
];
const NODE: &[Arg] = &[arg("node", 32, Type::Text, "Those of this node.")];

/// The routes.
pub(crate) const OPS: &[Op] = &[
    get("/v1/chassis", 1, "Lists chassis.", Answer::List("chassis", "Chassis")).query(&[PAGE, FIELDS_8, DETAIL_43]),
    post("/v1/chassis", 1, "Creates a chassis.", Answer::One("Chassis")).body(Body::Resource(CHASSIS, &[], &[])),
    get("/v1/chassis/detail", 1, "Lists chassis with all fields.", Answer::List("chassis", "Chassis")).query(&[PAGE]),
    get("/v1/chassis/{chassis}", 1, "Shows a chassis.", Answer::One("Chassis")).query(&[FIELDS_8]),
    patch("/v1/chassis/{chassis}", 1, "Changes a chassis.", CHASSIS, Answer::One("Chassis")),
    delete("/v1/chassis/{chassis}", 1, "Removes a chassis without nodes."),
    get("/v1/chassis/{chassis}/nodes", 1, "Lists a chassis's nodes.", Answer::List("nodes", "Node")).query(&[PAGE, FIELDS_8, DETAIL_43]),
    get("/v1/chassis/{chassis}/nodes/detail", 1, "Lists a chassis's nodes with all fields.", Answer::List("nodes", "Node")).query(&[PAGE]),
    get("/v1/portgroups", 23, "Lists port groups.", Answer::List("portgroups", "Portgroup")).query(&[
        PAGE,
        FIELDS_8,
        DETAIL_43,
        PORTGROUP_FILTERS,
    ]),
    post("/v1/portgroups", 23, "Creates a port group.", Answer::One("Portgroup")).body(Body::Resource(PORTGROUP, &[], &["node_uuid"])),
    get("/v1/portgroups/detail", 23, "Lists port groups with all fields.", Answer::List("portgroups", "Portgroup"))
        .query(&[PAGE, PORTGROUP_FILTERS]),
    get("/v1/portgroups/{portgroup}", 23, "Shows a port group.", Answer::One("Portgroup")).query(&[FIELDS_8]),
    patch("/v1/portgroups/{portgroup}", 23, "Changes a port group.", PORTGROUP, Answer::One("Portgroup")),
    delete("/v1/portgroups/{portgroup}", 23, "Removes a port group."),
    get("/v1/portgroups/{portgroup}/ports", 24, "Lists a group's ports.", Answer::List("ports", "Port"))
        .query(&[PAGE, FIELDS_8, DETAIL_43]),
    get("/v1/portgroups/{portgroup}/ports/detail", 24, "Lists a group's ports with all fields.", Answer::List("ports", "Port"))
        .query(&[PAGE]),
    get("/v1/nodes/{node}/portgroups", 24, "Lists a node's port groups.", Answer::List("portgroups", "Portgroup"))
        .query(&[PAGE, FIELDS_8, DETAIL_43]),
    get("/v1/nodes/{node}/portgroups/detail", 24, "Lists a node's port groups with all fields.", Answer::List("portgroups", "Portgroup"))
        .query(&[PAGE]),
    post("/v1/nodes/{node}/vifs", 28, "Attaches a virtual interface.", Answer::Empty).status(204).body(Body::Named("NewVif", false)),
    get("/v1/volume", 32, "Where volumes are.", Answer::Keys(&["links", "connectors", "targets"])),
    get("/v1/volume/connectors", 32, "Lists volume connectors.", Answer::List("connectors", "VolumeConnector"))
        .query(&[PAGE, FIELDS_8, DETAIL, NODE]),
    post("/v1/volume/connectors", 32, "Creates a volume connector.", Answer::One("VolumeConnector")).body(Body::Resource(
        CONNECTOR,
        &[],
        &["node_uuid", "type", "connector_id"],
    )),
    get("/v1/volume/connectors/{connector}", 32, "Shows a volume connector.", Answer::One("VolumeConnector")).query(&[FIELDS_8]),
    patch("/v1/volume/connectors/{connector}", 32, "Changes a volume connector.", CONNECTOR, Answer::One("VolumeConnector")),
    delete("/v1/volume/connectors/{connector}", 32, "Removes a volume connector."),
    get("/v1/volume/targets", 32, "Lists volume targets.", Answer::List("targets", "VolumeTarget")).query(&[PAGE, FIELDS_8, DETAIL, NODE]),
    post("/v1/volume/targets", 32, "Creates a volume target.", Answer::One("VolumeTarget")).body(Body::Resource(
        TARGET,
        &[],
        &["node_uuid", "volume_type", "boot_index", "volume_id"],
    )),
    get("/v1/volume/targets/{target}", 32, "Shows a volume target.", Answer::One("VolumeTarget")).query(&[FIELDS_8]),
    patch("/v1/volume/targets/{target}", 32, "Changes a volume target.", TARGET, Answer::One("VolumeTarget")),
    delete("/v1/volume/targets/{target}", 32, "Removes a volume target."),
    get("/v1/nodes/{node}/volume", 32, "Where a node's volumes are.", Answer::Keys(&["links", "connectors", "targets"])),
    get("/v1/nodes/{node}/volume/connectors", 32, "Lists a node's volume connectors.", Answer::List("connectors", "VolumeConnector"))
        .query(&[PAGE, FIELDS_8, DETAIL]),
    get("/v1/nodes/{node}/volume/targets", 32, "Lists a node's volume targets.", Answer::List("targets", "VolumeTarget"))
        .query(&[PAGE, FIELDS_8, DETAIL]),
    get("/v1/allocations", 52, "Lists allocations.", Answer::List("allocations", "Allocation")).query(&[
        PAGE,
        FIELDS,
        &[
            arg("node", 52, Type::Text, "The allocation of this node."),
            arg("resource_class", 52, Type::Text, "Allocations of this resource class."),
            arg("state", 52, Type::Text, "Allocations in this state."),
            arg("owner", 60, Type::Text, "Allocations of this owner."),
        ],
    ]),
    post("/v1/allocations", 52, "Asks for a node.", Answer::One("Allocation")).body(Body::Resource(ALLOCATION, &[], &[])),
    get("/v1/allocations/{allocation}", 52, "Shows an allocation.", Answer::One("Allocation")).query(&[FIELDS]),
    patch("/v1/allocations/{allocation}", 57, "Changes an allocation.", ALLOCATION, Answer::One("Allocation")),
    delete("/v1/allocations/{allocation}", 52, "Gives an allocation's node back."),
    get("/v1/nodes/{node}/allocation", 52, "Shows a node's allocation.", Answer::One("Allocation")).query(&[FIELDS]),
    delete("/v1/nodes/{node}/allocation", 52, "Ends a node's allocation."),
    get("/v1/shards", 82, "Lists shards.", Answer::List("shards", "Shard")),
    put("/v1/events", 54, "Another service tells of events.").method("post").status(204).body(Body::Keys(&[needed(
        "events",
        54,
        Type::Each("Event"),
        "What happened.",
    )])),
];
