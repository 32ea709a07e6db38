//! Answers that consist of nodes. A list is written out piece by piece as the client takes it: a long one takes no memory of its own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::Value;

use crate::nodes::rendered::{Plan, Rendered};

/// Bytes of a piece, about.
const PIECE: usize = 64 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A node.
pub(crate) fn one(plan: &Plan, node: &Rendered) -> Response {
    let mut text = Vec::with_capacity(plan.length(node));
    plan.write(node, &mut text);
    ([(header::CONTENT_TYPE, JSON)], text).into_response()
}

/// A page of a list of nodes, with the link to the next one.
pub(crate) fn answer(plan: Plan, nodes: Vec<Arc<Rendered>>, next: Option<&str>) -> Response {
    let begin = match next {
        Some(next) => format!("{{\"next\":{},\"nodes\":[", Value::from(next)),
        None => "{\"nodes\":[".to_owned(),
    };
    let commas = nodes.len().saturating_sub(1);
    let length = begin.len() + nodes.iter().map(|node| plan.length(node)).sum::<usize>() + commas + END.len();
    let pieces = Pieces { plan, nodes: nodes.into(), begin: Some(begin), length };
    let headers = [(header::CONTENT_TYPE, JSON), (header::CONTENT_LENGTH, HeaderValue::from(length))];
    (headers, Body::from_stream(futures::stream::iter(pieces.map(Ok::<_, Infallible>)))).into_response()
}

const END: &str = "]}";

/// The text of a list.
struct Pieces {
    plan: Plan,
    nodes: VecDeque<Arc<Rendered>>,
    begin: Option<String>,
    /// What is left of it.
    length: usize,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.length == 0 {
            return None;
        }
        let mut piece = Vec::with_capacity(self.length.min(PIECE + PIECE / 4));
        if let Some(begin) = self.begin.take() {
            piece.extend_from_slice(begin.as_bytes());
        }
        while let Some(node) = self.nodes.pop_front() {
            self.plan.write(&node, &mut piece);
            if !self.nodes.is_empty() {
                piece.push(b',');
            }
            if piece.len() >= PIECE {
                break;
            }
        }
        if self.nodes.is_empty() {
            piece.extend_from_slice(END.as_bytes());
            self.length = 0;
        } else {
            self.length = self.length.saturating_sub(piece.len());
        }
        Some(piece.into())
    }
}
