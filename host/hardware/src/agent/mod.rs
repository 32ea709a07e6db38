//! The agent on the machine (ironic-python-agent): its commands, and what may be believed of its address.

mod callback;
mod client;
mod command;

pub use callback::check_callback_url;
pub use client::{AgentClient, AgentClients, AgentEndpoint, AgentTls};
pub use command::{Command, CommandError, CommandStatus};
