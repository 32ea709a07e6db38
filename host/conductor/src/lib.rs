//! Runs the lifecycle engine: stores its states, carries out its commands, keeps its timers,
//! and answers the API and the agents.

mod refusal;
mod request;

pub use refusal::Refusal;
pub use request::{BootDevice, Heartbeat, InterfaceValidation, Lookup, ProvisionRequest};
