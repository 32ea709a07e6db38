//! The API over a real store, with a conductor that does what the tests look at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, missing_docs)]

mod agents;
mod allocations;
mod artifacts;
mod auth;
mod callers;
mod chassis;
mod connections;
mod drivers;
mod errors;
mod events;
mod host;
mod inspection;
mod journal;
mod locks;
mod management;
mod matrix;
mod microversions;
mod nodes;
mod openapi;
mod patch;
mod patience;
mod portgroups;
mod ports;
mod provision;
mod recipes;
mod requests;
mod rules;
mod shown;
mod validation;
mod versions;
mod vifs;
mod volumes;
mod waits;
