//! What becomes of what an inspection found: it is read, checked and bounded, the hooks take what every operator wants of it, and the
//! operator's rules do the rest.
//!
//! ```text
//! body of the agent --> Posted, report of a driver --> Findings --> hooks --> rules --> Subject: node, ports, inventory, plugin data
//! ```
//!
//! Everything here is pure. Findings come from a machine that nobody vouches for: whatever is taken from them is parsed into what it
//! should be, or left where it is. Rules are the operator's, but what they copy is the machine's, so they name what they may change,
//! compute nothing, and end after a bounded amount of work.

mod config;
mod findings;
mod hooks;
mod posted;
pub mod rules;

pub use config::{AddPorts, Hook, InspectionConfig, KeepPorts};
pub use findings::{Findings, Interface, MAX_BODY, MAX_DEPTH, MAX_INTERFACES, MAX_VALUES, Unfit};
pub use hooks::{HookError, Means, apply_hooks};
pub use posted::Posted;

use wrought_domain::{Map, Node, Port};

/// Where findings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The agent posted them: without a network interface they are nobody's.
    InBand,
    /// The node's driver reported them; some controllers know no network interface.
    OutOfBand,
}

/// What hooks and rules work on.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// The node; its properties and the like are what changes.
    pub node: Node,
    /// Its ports: new ones are added at the end, those that shall go are taken out.
    pub ports: Vec<Port>,
    /// What was found, as Ironic's `inventory`.
    pub inventory: Map,
    /// What else was found, and what hooks and rules add, as Ironic's `plugin_data`.
    pub plugin_data: Map,
}
