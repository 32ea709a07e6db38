//! `/v1/nodes` and what is below it.

use crate::nodes::fields::FIELDS as NODE;
use crate::openapi::describe::{
    Answer, Arg, Body, DETAIL, DETAIL_43, FIELDS_8, Op, PAGE, Type, arg, delete, get, needed, patch, post, put,
};

const FILTERS: &[Arg] = &[
    arg("instance_uuid", 1, Type::Uuid, "The node of this instance."),
    arg("chassis_uuid", 1, Type::Uuid, "Nodes of this chassis."),
    arg("associated", 1, Type::Bool, "Nodes with or without an instance."),
    arg("maintenance", 1, Type::Bool, "Nodes in maintenance or not."),
    arg("provision_state", 9, Type::Named("ProvisionState"), "Nodes in this state."),
    arg("driver", 16, Type::Text, "Nodes of this hardware type."),
    arg("resource_class", 21, Type::Text, "Nodes of this resource class."),
    arg("fault", 42, Type::Text, "Nodes with this fault."),
    arg("conductor_group", 46, Type::Text, "Nodes of this group, in any case."),
    arg("conductor", 49, Type::Text, "Nodes of this host."),
    arg("owner", 50, Type::Text, "Nodes of this owner."),
    arg("description_contains", 51, Type::Text, "Nodes with this in their description."),
    arg("retired", 61, Type::Bool, "Retired nodes or the others."),
    arg("lessee", 65, Type::Text, "Nodes leased by this project."),
    arg("project", 65, Type::Text, "Nodes owned or leased by this project."),
    arg("shard", 82, Type::Csv, "Nodes of these shards, 100 at most."),
    arg("sharded", 82, Type::Bool, "Nodes with or without a shard."),
    arg("parent_node", 83, Type::Uuid, "Children of this node."),
    arg("include_children", 83, Type::Bool, "Children too, which are not listed otherwise."),
    arg("instance_name", 104, Type::Text, "Nodes with this instance."),
];

const VERBS: &[&str] = &[
    "active", "deploy", "rebuild", "deleted", "undeploy", "manage", "provide", "inspect", "clean", "adopt", "abort", "rescue", "unrescue",
    "unhold", "service",
];
const POWER: &[&str] = &["power on", "power off", "rebooting", "soft power off", "soft rebooting"];

const PROVISION: &[Arg] = &[
    needed("target", 1, Type::OneOf(VERBS), "What is asked for."),
    arg("configdrive", 1, Type::Named("ConfigDrive"), "With active, and since 1.35 with rebuild."),
    arg("clean_steps", 15, Type::Each("Step"), "With clean, which needs it or a runbook."),
    arg("rescue_password", 38, Type::Text, "With rescue, which needs it."),
    arg("deploy_steps", 69, Type::Each("Step"), "With active and rebuild."),
    arg("disable_ramdisk", 70, Type::Bool, "With clean, and since 1.108 with service: no agent is booted."),
    arg("service_steps", 87, Type::Each("Step"), "With service, which needs it or a runbook."),
    arg("runbook", 92, Type::Text, "With clean and service, in place of steps: its UUID or name."),
];

const LIGHT: &[Arg] = &[needed("state", 63, Type::Text, "Such as on, off or blinking.")];

const BIOS: &[Arg] = &[
    arg("detail", 74, Type::Bool, "Whether all that is known of each setting is shown."),
    arg("fields", 74, Type::Csv, "What is shown of each setting."),
];

/// The routes.
pub(crate) const OPS: &[Op] = &[
    get("/v1/nodes", 1, "Lists nodes.", Answer::List("nodes", "Node")).query(&[PAGE, FIELDS_8, DETAIL_43, FILTERS]),
    post("/v1/nodes", 1, "Enrolls a node.", Answer::One("Node")).body(Body::Resource(NODE, &[], &["driver"])),
    delete("/v1/nodes", 1, "Always refused: a node must be named.").any_query().body(Body::Free),
    get("/v1/nodes/detail", 1, "Lists nodes with all fields.", Answer::List("nodes", "Node")).query(&[PAGE, FILTERS]),
    get("/v1/nodes/validate", 1, "What a node's interfaces lack, by query.", Answer::Map(Type::Named("Validation")))
        .query(&[&[arg("node_uuid", 1, Type::Text, "The node; or node."), arg("node", 1, Type::Text, "The node; or node_uuid.")]]),
    get("/v1/nodes/{node}", 1, "Shows a node.", Answer::One("Node")).query(&[FIELDS_8]),
    patch("/v1/nodes/{node}", 1, "Changes a node.", NODE, Answer::One("Node")).query(&[&[arg(
        "reset_interfaces",
        45,
        Type::Bool,
        "Only with a change of the driver: the other interfaces are its defaults again.",
    )]]),
    delete("/v1/nodes/{node}", 1, "Removes a node."),
    get("/v1/nodes/{node}/states", 1, "Shows a node's states.", Answer::One("Node")),
    put("/v1/nodes/{node}/states/provision", 1, "Asks for another provision state.").body(Body::Args(PROVISION)),
    put("/v1/nodes/{node}/states/power", 1, "Asks for another power state.").body(Body::Args(&[
        needed("target", 1, Type::OneOf(POWER), "What is asked for; the soft ones since 1.27."),
        arg("timeout", 27, Type::Int(1, 86_400), "Seconds to wait."),
    ])),
    get("/v1/nodes/{node}/states/console", 1, "Shows a node's console.", Answer::Keys(&["console_enabled", "console_info"])),
    put("/v1/nodes/{node}/states/console", 1, "Switches a node's console.").body(Body::Args(&[needed(
        "enabled",
        1,
        Type::Bool,
        "On or off.",
    )])),
    put("/v1/nodes/{node}/states/raid", 12, "Sets what RAID a node shall have.").body(Body::Named("RaidConfig", false)).status(204),
    put("/v1/nodes/{node}/states/boot_mode", 76, "Asks for another boot mode.").body(Body::Args(&[needed(
        "target",
        76,
        Type::OneOf(&["bios", "uefi"]),
        "The mode.",
    )])),
    put("/v1/nodes/{node}/states/secure_boot", 76, "Switches secure boot.").body(Body::Args(&[needed(
        "target",
        76,
        Type::Bool,
        "On or off.",
    )])),
    put("/v1/nodes/{node}/maintenance", 1, "Puts a node into maintenance.").body(Body::Args(&[arg("reason", 1, Type::Text, "Why.")])),
    delete("/v1/nodes/{node}/maintenance", 1, "Ends a node's maintenance.").status(202),
    get("/v1/nodes/{node}/validate", 1, "What a node's interfaces lack.", Answer::Map(Type::Named("Validation"))),
    get("/v1/nodes/{node}/management/boot_device", 1, "Shows the boot device.", Answer::Keys(&["boot_device", "persistent"])),
    put("/v1/nodes/{node}/management/boot_device", 1, "Sets the boot device.").status(204).body(Body::Args(&[
        needed("boot_device", 1, Type::Text, "One of those that are supported."),
        arg("persistent", 1, Type::Bool, "For more than the next boot."),
    ])),
    get(
        "/v1/nodes/{node}/management/boot_device/supported",
        1,
        "Shows the boot devices there are.",
        Answer::Keys(&["supported_boot_devices"]),
    ),
    put("/v1/nodes/{node}/management/inject_nmi", 29, "Interrupts a node's processors.").status(204),
    get("/v1/nodes/{node}/management/indicators", 63, "Lists a node's lights.", Answer::Keys(&["components", "indicators"])),
    get("/v1/nodes/{node}/management/indicators/{which}", 63, "Lists a component's lights, or shows one.", Answer::Free),
    put("/v1/nodes/{node}/management/indicators/{which}", 63, "Switches a light.").status(204).body(Body::Args(LIGHT)),
    get("/v1/nodes/{node}/management/indicators/{which}/{indicator}", 63, "Shows a light.", Answer::Keys(&["state"])),
    put("/v1/nodes/{node}/management/indicators/{which}/{indicator}", 63, "Switches a light.").status(204).body(Body::Args(LIGHT)),
    get("/v1/nodes/{node}/vmedia", 93, "Lists a node's virtual drives.", Answer::Array),
    put("/v1/nodes/{node}/vmedia", 89, "Attaches an image to a virtual drive.").method("post").status(204).body(Body::Args(&[
        needed("device_type", 89, Type::Text, "Such as cdrom."),
        needed("image_url", 89, Type::Text, "Where the image is."),
        arg("image_download_source", 89, Type::Text, "http, the only one here."),
    ])),
    delete("/v1/nodes/{node}/vmedia", 89, "Detaches what is in the virtual drives.").query(&[&[arg(
        "device_types",
        89,
        Type::Csv,
        "Only of these kinds.",
    )]]),
    get("/v1/nodes/{node}/ports", 1, "Lists a node's ports.", Answer::List("ports", "Port")).query(&[PAGE, FIELDS_8, DETAIL_43]),
    get("/v1/nodes/{node}/ports/detail", 1, "Lists a node's ports with all fields.", Answer::List("ports", "Port")).query(&[PAGE]),
    get("/v1/nodes/{node}/history", 78, "Lists what happened to a node.", Answer::List("history", "HistoryEvent")).query(&[PAGE, DETAIL]),
    get("/v1/nodes/{node}/history/{event}", 78, "Shows one of these events.", Answer::One("HistoryEvent")),
    get("/v1/nodes/{node}/children", 83, "Lists a node's children.", Answer::Keys(&["children", "links"])),
    get("/v1/nodes/{node}/inventory", 81, "Shows what an inspection found.", Answer::Keys(&["inventory", "plugin_data"])),
    get("/v1/nodes/{node}/bios", 40, "Lists the settings of a node's firmware.", Answer::List("bios", "BiosSetting")).query(&[BIOS]),
    get("/v1/nodes/{node}/bios/{setting}", 40, "Shows one of these settings.", Answer::Map(Type::Named("BiosSetting"))),
    get("/v1/nodes/{node}/firmware", 86, "Lists a node's firmware.", Answer::List("firmware", "Firmware"))
        .query(&[&[arg("detail", 86, Type::Bool, "Whether all fields are shown."), arg("fields", 86, Type::Csv, "The fields to show.")]]),
    get("/v1/nodes/{node}/vifs", 28, "Lists a node's virtual interfaces.", Answer::List("vifs", "Vif")),
    delete("/v1/nodes/{node}/vifs/{vif}", 28, "Detaches a virtual interface."),
    get("/v1/nodes/{node}/traits", 37, "Lists a node's traits.", Answer::Keys(&["traits"])),
    put("/v1/nodes/{node}/traits", 37, "Replaces a node's traits.").status(204).body(Body::Args(&[needed(
        "traits",
        37,
        Type::Texts,
        "50 at most.",
    )])),
    delete("/v1/nodes/{node}/traits", 37, "Removes all traits of a node."),
    put("/v1/nodes/{node}/traits/{trait}", 37, "Adds a trait.").status(204),
    delete("/v1/nodes/{node}/traits/{trait}", 37, "Removes a trait."),
    get("/v1/nodes/{node}/vendor_passthru/methods", 1, "Lists the methods of a node's driver.", Answer::Map(Type::Named("VendorMethod"))),
    passthru("get", "/v1/drivers/{driver}/vendor_passthru"),
    passthru("post", "/v1/drivers/{driver}/vendor_passthru"),
    passthru("put", "/v1/drivers/{driver}/vendor_passthru"),
    passthru("patch", "/v1/drivers/{driver}/vendor_passthru"),
    passthru("delete", "/v1/drivers/{driver}/vendor_passthru"),
    passthru("get", "/v1/drivers/{driver}/vendor_passthru/{method}"),
    passthru("post", "/v1/drivers/{driver}/vendor_passthru/{method}"),
    passthru("put", "/v1/drivers/{driver}/vendor_passthru/{method}"),
    passthru("patch", "/v1/drivers/{driver}/vendor_passthru/{method}"),
    passthru("delete", "/v1/drivers/{driver}/vendor_passthru/{method}"),
    passthru("get", "/v1/nodes/{node}/vendor_passthru"),
    passthru("post", "/v1/nodes/{node}/vendor_passthru"),
    passthru("put", "/v1/nodes/{node}/vendor_passthru"),
    passthru("patch", "/v1/nodes/{node}/vendor_passthru"),
    passthru("delete", "/v1/nodes/{node}/vendor_passthru"),
    passthru("get", "/v1/nodes/{node}/vendor_passthru/{method}"),
    passthru("post", "/v1/nodes/{node}/vendor_passthru/{method}"),
    passthru("put", "/v1/nodes/{node}/vendor_passthru/{method}"),
    passthru("patch", "/v1/nodes/{node}/vendor_passthru/{method}"),
    passthru("delete", "/v1/nodes/{node}/vendor_passthru/{method}"),
];

const METHOD: &[&[Arg]] = &[&[arg("method", 1, Type::Text, "The method, where the path does not name it.")]];

const fn passthru(method: &'static str, path: &'static str) -> Op {
    get(path, 1, "Calls a method of the vendor, named in the path or as the argument method.", Answer::Free)
        .method(method)
        .query(METHOD)
        .any_query()
        .body(Body::Free)
        .also(&[202])
}
