//! A fleet of simulated bare-metal servers that speaks the real protocols over real sockets.
//!
//! ```text
//!                    one listener (--listen)                          one listener per booted node
//! host --- Redfish ---> /redfish/v1      BMCs of all nodes            https://127.0.0.1:<port>/v1  agent
//! host --- HTTP ------> /images/<name>   images to deploy or boot          ^ commands
//! test --- HTTP ------> /simulator/v1    counts, faults                    |
//!                                        power on + ramdisk boot ----------+---> lookup, heartbeat (--api-url)
//! ```
//!
//! - [`machine`]: what one server is, without any I/O: power, boot override, virtual media.
//! - `redfish`: the BMCs; `agent`: the life of the software that a ramdisk boot starts; `images`; `control`.
//! - [`Fleet`] owns every socket and task: dropping it ends them.
//!
//! A node costs one small record while it is off. Only a node whose ramdisk runs has a listener and a task.

mod agent;
mod control;
mod fleet;
mod hardware;
mod http;
mod images;
pub mod machine;
mod node;
mod options;
mod power;
mod redfish;

pub use fleet::{Fleet, NodeInfo, StartError, run};
pub use node::{AgentStage, Counts, Faults, NodeView, Told};
pub use options::Options;
pub use redfish::PushedFile;
