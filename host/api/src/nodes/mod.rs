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

use axum::Router;
use axum::routing::{delete, get, post, put};

use crate::Api;

/// The routes.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/nodes", get(list::list).post(write::create).delete(write::delete_all))
        .route("/v1/nodes/detail", get(list::detail))
        .route("/v1/nodes/validate", get(management::validate_by_query))
        .route("/v1/nodes/{node}", get(list::show).patch(write::update).delete(write::delete))
        .route("/v1/nodes/{node}/states", get(states::show))
        .route("/v1/nodes/{node}/states/provision", put(provision::provision))
        .route("/v1/nodes/{node}/states/power", put(states::set_power))
        .route("/v1/nodes/{node}/states/console", get(states::console).put(states::set_console))
        .route("/v1/nodes/{node}/states/raid", put(states::set_raid))
        .route("/v1/nodes/{node}/states/boot_mode", put(states::set_boot_mode))
        .route("/v1/nodes/{node}/states/secure_boot", put(states::set_secure_boot))
        .route("/v1/nodes/{node}/maintenance", put(management::set_maintenance).delete(management::clear_maintenance))
        .route("/v1/nodes/{node}/validate", get(management::validate))
        .route("/v1/nodes/{node}/management/boot_device", get(management::boot_device).put(management::set_boot_device))
        .route("/v1/nodes/{node}/management/boot_device/supported", get(management::supported_boot_devices))
        .route("/v1/nodes/{node}/management/inject_nmi", put(management::inject_nmi))
        .route("/v1/nodes/{node}/management/indicators", get(management::indicators))
        .route("/v1/nodes/{node}/ports", get(subresources::ports))
        .route("/v1/nodes/{node}/ports/detail", get(subresources::ports_detail))
        .route("/v1/nodes/{node}/portgroups", get(subresources::portgroups))
        .route("/v1/nodes/{node}/volume", get(subresources::volume))
        .route("/v1/nodes/{node}/volume/connectors", get(subresources::connectors))
        .route("/v1/nodes/{node}/volume/targets", get(subresources::targets))
        .route("/v1/nodes/{node}/history", get(subresources::history))
        .route("/v1/nodes/{node}/history/{event}", get(subresources::history_event))
        .route("/v1/nodes/{node}/children", get(subresources::children))
        .route("/v1/nodes/{node}/allocation", get(subresources::allocation).delete(subresources::allocation))
        .route("/v1/nodes/{node}/inventory", get(findings::inventory))
        .route("/v1/nodes/{node}/bios", get(findings::bios))
        .route("/v1/nodes/{node}/bios/{setting}", get(findings::bios_setting))
        .route("/v1/nodes/{node}/firmware", get(findings::firmware))
        .route("/v1/nodes/{node}/vmedia", get(subresources::vmedia).post(subresources::vmedia).delete(subresources::vmedia))
        .route("/v1/nodes/{node}/vifs", get(subresources::vifs).post(subresources::attach_vif))
        .route("/v1/nodes/{node}/vifs/{vif}", delete(subresources::detach_vif))
        .route("/v1/nodes/{node}/vendor_passthru/methods", get(vendor::methods))
        .route("/v1/nodes/{node}/vendor_passthru", passthru())
        .route("/v1/nodes/{node}/vendor_passthru/{method}", passthru())
        .route("/v1/nodes/{node}/traits", get(traits::list).put(traits::replace).delete(traits::delete_all))
        .route("/v1/nodes/{node}/traits/{trait}", put(traits::add).delete(traits::delete))
}

fn passthru() -> axum::routing::MethodRouter<Api> {
    post(vendor::passthru).get(vendor::passthru).put(vendor::passthru).patch(vendor::passthru).delete(vendor::passthru)
}
