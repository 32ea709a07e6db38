//! The whole system from outside: the real binary as a child process, simulated servers over real sockets, an API client.
//!
//! One file is one subject; `support` holds what they share. The name of a test is what it promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

#[allow(dead_code, unused_imports, reason = "each binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod admission;
mod adopt;
mod agents;
mod allocations;
mod artifacts;
mod auth;
mod bad_requests;
mod burst;
mod canary;
mod children;
mod deploy_interfaces;
mod disconnects;
mod events;
mod failures;
mod fake_hardware;
mod holds;
mod hostile_guests;
mod hostile_matrix;
mod http_import;
mod inspect;
mod journal;
mod lifecycle;
mod limits;
mod locks;
mod maintenance;
mod management;
mod patience;
mod power_sync;
mod pushes;
mod queue;
mod redfish_import;
mod reload;
mod replay;
mod rescue;
mod retry;
mod rollout;
mod runbooks;
mod sealed;
mod secrets;
mod service;
mod signed_urls;
mod step_drivers;
mod step_rules;
mod swap;
mod templates;
mod unlock;
mod uploads;
mod vendor_passthru;
mod verify;
mod vifs;
mod webhooks;
mod why;
mod wiped;
