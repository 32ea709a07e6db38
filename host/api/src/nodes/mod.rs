//! `/v1/nodes` and what is below it.

pub(crate) mod fields;
mod findings;
mod list;
mod management;
mod provision;
pub(crate) mod rules;
mod states;
mod subresources;
pub(crate) mod traits;
mod vendor;
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
        .get("/v1/nodes/{node}/management/indicators", management::indicators)
        .get("/v1/nodes/{node}/ports", subresources::ports)
        .get("/v1/nodes/{node}/ports/detail", subresources::ports_detail)
        .get("/v1/nodes/{node}/portgroups", subresources::portgroups)
        .get("/v1/nodes/{node}/volume", subresources::volume)
        .get("/v1/nodes/{node}/volume/connectors", subresources::connectors)
        .get("/v1/nodes/{node}/volume/targets", subresources::targets)
        .get("/v1/nodes/{node}/history", subresources::history)
        .get("/v1/nodes/{node}/history/{event}", subresources::history_event)
        .get("/v1/nodes/{node}/children", subresources::children)
        .get("/v1/nodes/{node}/allocation", subresources::allocation)
        .delete("/v1/nodes/{node}/allocation", subresources::allocation)
        .get("/v1/nodes/{node}/inventory", findings::inventory)
        .get("/v1/nodes/{node}/bios", findings::bios)
        .get("/v1/nodes/{node}/bios/{setting}", findings::bios_setting)
        .get("/v1/nodes/{node}/firmware", findings::firmware)
        .get("/v1/nodes/{node}/vmedia", subresources::vmedia)
        .post("/v1/nodes/{node}/vmedia", subresources::vmedia)
        .delete("/v1/nodes/{node}/vmedia", subresources::vmedia)
        .get("/v1/nodes/{node}/vifs", subresources::vifs)
        .post("/v1/nodes/{node}/vifs", subresources::attach_vif)
        .delete("/v1/nodes/{node}/vifs/{vif}", subresources::detach_vif)
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
