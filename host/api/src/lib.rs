//! The HTTP API: Ironic's v1 API with its microversions, and Wrought's own below `/wrought/v1`
//! (see [`wrought_drivers`] and [`wrought_journal`]).
//!
//! Requests pass in this order: the tolerated spellings of a path become one, the request gets an
//! id, a microversion and a [`Principal`](wrought_domain::Principal), it is routed, and its handler
//! reads it as a `Call`. Reads go to the store, changes to the conductor behind [`Service`].

mod access;
mod addresses;
mod agent_routes;
mod allocations;
mod args;
mod auth;
mod bodies;
mod call;
mod chassis;
mod conductor;
mod conductors;
mod config;
mod deploy_templates;
mod drivers;
mod errors;
mod fields;
mod inspection_bodies;
mod inspection_rules;
mod ironic_events;
mod json;
mod links;
mod middleware;
mod nodes;
pub mod openapi;
mod paging;
mod parts;
mod patching;
mod patience;
mod portgroups;
mod ports;
mod progress;
mod recipes;
mod routes;
mod runbooks;
mod server;
mod service;
mod shards;
mod steps;
mod tls;
mod versions;
mod volumes;
pub mod wrought_artifacts;
pub mod wrought_audit;
pub mod wrought_drivers;
pub mod wrought_events;
pub mod wrought_journal;
pub mod wrought_limits;
pub mod wrought_locks;
pub mod wrought_rollout;
pub mod wrought_tokens;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use jiff::Timestamp;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

pub use auth::SetupError;
pub use config::{ApiConfig, Authentication, UserConfig};
use routes::Routes;
pub use server::{Server, serve};
pub use service::Service;

/// What every handler has at hand.
#[derive(Clone)]
pub(crate) struct Api {
    service: Arc<dyn Service>,
    config: Arc<ApiConfig>,
    door: Arc<auth::Door>,
    /// When this host began to serve.
    started: Timestamp,
    /// Nodes that were shown lately.
    nodes: Arc<nodes::cache::Cache>,
    /// For bodies in memory.
    room: Arc<bodies::Room>,
}

/// The whole API. Serve it with [`serve`], or with connect information of one's own.
pub fn router(service: Arc<dyn Service>, config: ApiConfig) -> Router {
    let door = auth::Door::new(&config, false);
    finish(all_routes(), service, config, door)
}

fn all_routes() -> Routes {
    agent_routes::routes()
        .merge(nodes::routes())
        .merge(ports::routes())
        .merge(portgroups::routes())
        .merge(volumes::routes())
        .merge(chassis::routes())
        .merge(shards::routes())
        .merge(ironic_events::routes())
        .merge(drivers::routes())
        .merge(allocations::routes())
        .merge(conductors::routes())
        .merge(deploy_templates::routes())
        .merge(runbooks::routes())
        .merge(inspection_rules::routes())
        .merge(openapi::routes())
        .merge(wrought_artifacts::routes())
        .merge(wrought_audit::routes())
        .merge(wrought_drivers::routes())
        .merge(wrought_events::routes())
        .merge(wrought_journal::routes())
        .merge(wrought_limits::routes())
        .merge(wrought_locks::routes())
        .merge(wrought_rollout::routes())
        .merge(wrought_tokens::routes())
}

/// What agents need and nothing else: the version documents, lookup, heartbeat, what inspections
/// post, and the artifacts that drivers hand on. For an address on the provisioning network.
pub fn agent_router(service: Arc<dyn Service>, config: ApiConfig) -> Router {
    let door = auth::Door::new(&config, true);
    finish(agent_routes::routes().merge(wrought_artifacts::public_routes()), service, config, door)
}

fn finish(routes: Routes, service: Arc<dyn Service>, config: ApiConfig, door: auth::Door) -> Router {
    let room = Arc::new(bodies::Room::new(&config));
    let api = Api { service, config: Arc::new(config), door: Arc::new(door), started: Timestamp::now(), nodes: Arc::default(), room };
    let routed = routes
        .into_router()
        .fallback(middleware::not_found)
        .method_not_allowed_fallback(middleware::method_not_allowed)
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn_with_state(api.clone(), patience::wait_for_node))
        .layer(from_fn_with_state(api.clone(), bodies::pace))
        .layer(from_fn_with_state(api.clone(), middleware::around))
        .with_state(api);
    // The path is rewritten outside of the router: its own layers run after it has matched.
    Router::new().fallback_service(routed.map_request(middleware::normalise))
}

/// Every method and path that is served; `{name}` stands for one segment.
pub fn served() -> Vec<(http::Method, String)> {
    all_routes().served().to_vec()
}
