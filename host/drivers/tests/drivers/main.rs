//! The driver runtime, with the shipped drivers and with one that breaks every rule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, clippy::panic)]

mod admission;
mod catalog;
mod deploy;
mod flows;
mod grants;
mod host;
mod hostile;
mod journal;
mod limits;
mod property;
mod time;
mod wasi;
mod world;
