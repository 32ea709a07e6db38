//! The control API below `/simulator/v1`: what tests and demos look at, and how they make things go wrong. No authentication.
//!
//! | request | answer |
//! |---|---|
//! | `GET nodes` | all nodes |
//! | `GET nodes/{index}` | one |
//! | `PUT nodes/{index}/faults` | body [`Faults`]; absent keys are off; answers the node |
//! | `POST reset-counts` | sets all counts to zero |

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::json;

use crate::fleet::Shared;
use crate::node::{Counts, Faults, Node};

pub(crate) fn router(fleet: &Arc<Shared>) -> Router {
    Router::new()
        .route("/simulator/v1/nodes", get(list))
        .route("/simulator/v1/nodes/{index}", get(show))
        .route("/simulator/v1/nodes/{index}/faults", put(set_faults))
        .route("/simulator/v1/reset-counts", post(reset_counts))
        .with_state(Arc::clone(fleet))
}

async fn list(State(fleet): State<Arc<Shared>>) -> Response {
    let nodes: Vec<_> = fleet.nodes.iter().map(|node| node.view()).collect();
    Json(json!({ "nodes": nodes })).into_response()
}

async fn show(State(fleet): State<Arc<Shared>>, Path(index): Path<usize>) -> Response {
    answer(&fleet, index, |_| ())
}

async fn set_faults(State(fleet): State<Arc<Shared>>, Path(index): Path<usize>, Json(faults): Json<Faults>) -> Response {
    answer(&fleet, index, |node| node.lock().faults = faults)
}

async fn reset_counts(State(fleet): State<Arc<Shared>>) -> StatusCode {
    for node in &fleet.nodes {
        node.count(|counts| *counts = Counts::default());
    }
    StatusCode::NO_CONTENT
}

fn answer(fleet: &Shared, index: usize, act: impl FnOnce(&Node)) -> Response {
    let Some(node) = fleet.nodes.get(index) else {
        let error = format!("no node {index}: there are {}", fleet.nodes.len());
        return (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response();
    };
    act(node);
    Json(node.view()).into_response()
}
