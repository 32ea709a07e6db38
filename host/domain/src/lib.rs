//! Nodes, ports, provision states, steps and ids: what Wrought talks about. Pure: no I/O, no
//! clock, no randomness, no async. Time and fresh ids are given by the caller.

pub mod allocation;
pub mod artifact;
pub mod chassis;
pub mod error;
pub mod function;
pub mod hardware_type;
pub mod id;
pub mod json;
pub mod lock;
pub mod mask;
pub mod node;
pub mod part;
pub mod patch;
pub mod plan;
pub mod port;
pub mod portgroup;
pub mod principal;
pub mod raid;
pub mod recipe;
pub mod reference;
pub mod rights;
pub mod rollout;
pub mod state;
pub mod state_table;
pub mod step;
pub mod verb;
pub mod vif;
pub mod volume;
pub mod wait;

/// A JSON object, as Ironic's free-form dictionaries are.
pub type Map = serde_json::Map<String, serde_json::Value>;

pub use allocation::{Allocation, AllocationState};
pub use artifact::ArtifactName;
pub use chassis::Chassis;
pub use error::{DriverError, ErrorKind};
pub use function::Function;
pub use id::{Digest, DriverName, Fence, NodeId, OperationId};
pub use node::Node;
pub use part::PartError;
pub use port::Port;
pub use portgroup::Portgroup;
pub use principal::{Principal, Role};
pub use recipe::{DeployTemplate, Runbook, RunbookStep};
pub use rights::Rights;
pub use state::{Event, PowerState, ProvisionState};
pub use step::{Step, StepCall};
pub use verb::Verb;
pub use volume::{VolumeConnector, VolumeTarget};
pub use wait::Condition;
