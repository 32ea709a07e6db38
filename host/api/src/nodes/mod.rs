//! `/v1/nodes` and what is below it.

mod allocation;
mod authority;
pub(crate) mod cache;
pub(crate) mod fields;
mod findings;
mod history;
mod indicators;
pub(crate) mod list;
mod management;
mod network_data;
mod page;
mod provision;
mod rendered;
pub(crate) mod rules;
mod states;
mod subresources;
pub(crate) mod traits;
mod vendor;
mod vifs;
mod vmedia;
mod write;

use crate::routes::Routes;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/nodes", list::list)
        .post("/v1/nodes", write::create)
        .delete("/v1/nodes", write::delete_all)
        .get("/v1/nodes/detail", list::detail)
        .get("/v1/nodes/validate", management::validate_by_query)
        .get("/v1/nodes/{node}", list::show)
        .patch("/v1/nodes/{node}", write::update)
        .delete("/v1/nodes/{node}", write::delete)
        .get("/v1/nodes/{node}/states", states::show)
        .put("/v1/nodes/{node}/states/provision", provision::provision)
        .put("/v1/nodes/{node}/states/power", states::set_power)
        .get("/v1/nodes/{node}/states/console", states::console)
        .put("/v1/nodes/{node}/states/console", states::set_console)
        .put("/v1/nodes/{node}/states/raid", states::set_raid)
        .put("/v1/nodes/{node}/states/boot_mode", states::set_boot_mode)
        .put("/v1/nodes/{node}/states/secure_boot", states::set_secure_boot)
        .put("/v1/nodes/{node}/maintenance", management::set_maintenance)
        .delete("/v1/nodes/{node}/maintenance", management::clear_maintenance)
        .get("/v1/nodes/{node}/validate", management::validate)
        .get("/v1/nodes/{node}/management/boot_device", management::boot_device)
        .put("/v1/nodes/{node}/management/boot_device", management::set_boot_device)
        .get("/v1/nodes/{node}/management/boot_device/supported", management::supported_boot_devices)
        .put("/v1/nodes/{node}/management/inject_nmi", management::inject_nmi)
        .get("/v1/nodes/{node}/management/indicators", indicators::list)
        .get("/v1/nodes/{node}/management/indicators/{which}", indicators::show)
        .put("/v1/nodes/{node}/management/indicators/{which}", indicators::set)
        .get("/v1/nodes/{node}/management/indicators/{which}/{indicator}", indicators::state)
        .put("/v1/nodes/{node}/management/indicators/{which}/{indicator}", indicators::set_of_component)
        .get("/v1/nodes/{node}/ports", subresources::ports)
        .get("/v1/nodes/{node}/ports/detail", subresources::ports_detail)
        .get("/v1/nodes/{node}/portgroups", subresources::portgroups)
        .get("/v1/nodes/{node}/portgroups/detail", subresources::portgroups_detail)
        .get("/v1/nodes/{node}/volume", subresources::volume)
        .get("/v1/nodes/{node}/volume/connectors", subresources::connectors)
        .get("/v1/nodes/{node}/volume/targets", subresources::targets)
        .get("/v1/nodes/{node}/history", history::list)
        .get("/v1/nodes/{node}/history/{event}", history::show)
        .get("/v1/nodes/{node}/children", subresources::children)
        .get("/v1/nodes/{node}/allocation", allocation::show)
        .delete("/v1/nodes/{node}/allocation", allocation::delete)
        .get("/v1/nodes/{node}/inventory", findings::inventory)
        .get("/v1/nodes/{node}/bios", findings::bios)
        .get("/v1/nodes/{node}/bios/{setting}", findings::bios_setting)
        .get("/v1/nodes/{node}/firmware", findings::firmware)
        .get("/v1/nodes/{node}/vmedia", vmedia::show)
        .post("/v1/nodes/{node}/vmedia", vmedia::attach)
        .delete("/v1/nodes/{node}/vmedia", vmedia::detach)
        .get("/v1/nodes/{node}/vifs", vifs::list)
        .post("/v1/nodes/{node}/vifs", vifs::attach)
        .delete("/v1/nodes/{node}/vifs/{vif}", vifs::detach)
        .get("/v1/nodes/{node}/vendor_passthru/methods", vendor::methods)
        .get("/v1/nodes/{node}/traits", traits::list)
        .put("/v1/nodes/{node}/traits", traits::replace)
        .delete("/v1/nodes/{node}/traits", traits::delete_all)
        .put("/v1/nodes/{node}/traits/{trait}", traits::add)
        .delete("/v1/nodes/{node}/traits/{trait}", traits::delete)
        .merge(passthru())
}

/// A method may be called in any way; the driver says which ones it takes.
fn passthru() -> Routes {
    ["/v1/nodes/{node}/vendor_passthru", "/v1/nodes/{node}/vendor_passthru/{method}"].iter().fold(Routes::new(), |routes, path| {
        routes
            .get(path, vendor::passthru)
            .post(path, vendor::passthru)
            .put(path, vendor::passthru)
            .patch(path, vendor::passthru)
            .delete(path, vendor::passthru)
    })
}
