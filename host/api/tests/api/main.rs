//! The API over a real store, with a conductor that does what the tests look at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, missing_docs)]

mod agents;
mod artifacts;
mod drivers;
mod errors;
mod events;
mod host;
mod inspection;
mod journal;
mod locks;
mod microversions;
mod nodes;
mod openapi;
mod patch;
mod ports;
mod provision;
mod recipes;
mod requests;
mod rules;
mod shown;
mod versions;
