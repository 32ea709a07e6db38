//! Redfish: a thin layer over JSON, because controllers differ in what they leave out.
//!
//! | file | subject |
//! |---|---|
//! | `target` | which controller, as the node's `driver_info` says |
//! | `account` | one (controller, account): session or Basic, the brake on refused credentials, the gate |
//! | `operation` | requests of one operation: deadline, retries of reads, the ladder of ETags |
//! | `reply` | answers and what their errors mean |
//! | `system` | power, boot and identity of one machine |
//! | `media` | its virtual drives |
//! | `indicators` | its lamps |
//! | `guest` | what drivers may ask of it |
//! | `registry` | the accounts of this process, closed at its end |

mod account;
pub mod guest;
mod indicators;
mod media;
mod operation;
mod registry;
mod reply;
mod system;
mod target;

pub use registry::RedfishRegistry;
pub use target::{AuthType, RedfishTarget, properties};
