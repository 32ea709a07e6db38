//! Runs the lifecycle engine: stores its states, carries out its commands, keeps its timers, and
//! answers the API and the agents.
//!
//! ```text
//! request, heartbeat, timer --> Conductor::handle (one event at a time per node)
//!     engine::step --> Store::commit --> commands, each a task of its own
//!         driver call, test of a condition, power --> handle again
//! ```
//!
//! A node's events are serialised by its gate; thousands of nodes go on side by side, and a node
//! that waits costs a timer. Nothing is carried out before it is stored.

mod agents;
mod allocations;
mod artifacts;
mod audit;
mod breakers;
mod chain;
mod children;
mod clock;
mod command;
mod condition;
mod conductor;
mod config;
mod contacts;
mod convert;
mod drivers;
mod erasure;
mod events;
mod export;
mod gate;
mod grants;
mod heartbeats;
mod house;
mod inspection;
mod interfaces;
mod journal;
mod journal_reader;
mod limits;
mod locks;
mod machine;
mod management;
mod nodes;
mod passthru;
mod power_sync;
mod provision;
mod pushes;
mod queue;
mod recovery;
mod refusal;
mod request;
mod requests;
mod retry;
mod revocation;
mod rollout;
mod rules;
mod secrets;
mod seen;
mod selection;
mod stats;
mod templates;
mod trial;
mod unlock;
mod uploads;
mod webhooks;
mod why;

mod world;

pub use artifacts::{ArtifactTicket, ArtifactUpload, ArtifactsConfig, ArtifactsError, ArtifactsSetup};
pub use clock::Clock;
pub use conductor::{Conductor, Hardware, Passed, Passing, Setup, StartError};
pub use config::{CleaningConfig, ConductorConfig, DeployConfig, InvalidSetting};
pub use events::{EventsAsked, EventsConfig, EventsSetup, LONGEST_WAIT};
pub use export::{Export, ExportError, RecordedCall, RecordedDriver, RecordedOperation};
pub use journal::JournalConfig;
pub use recovery::{EFFECTS, EffectRule, Planned, RecoveryAction, RecoveryPlan};
pub use refusal::Refusal;
pub use request::{BootDevice, Heartbeat, Indicator, InterfaceValidation, Lookup, ProvisionRequest, VirtualDrive};
pub use revocation::RevokeRequest;
pub use rollout::DriverDecision;
pub use rules::{check_rests, check_unprotected, check_verb, not_in_state, unsupported};
pub use stats::CallTimes;
pub use uploads::{BrokenOff, DriverUpload};
pub use webhooks::WebhookConfig;
pub use wrought_drivers::Method as VendorMethod;
