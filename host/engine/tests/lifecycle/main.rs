//! The lifecycle, driven by hand: each test plays the conductor, the drivers and the clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, clippy::panic)]

mod anything;
mod clean;
mod deploy;
mod exits;
mod host;
mod power;
mod queue;
mod rest;
mod restart;
mod revoked;
mod settings;
mod steps;
mod tear_down;
mod unlock;
mod verbs;
mod wiped;
