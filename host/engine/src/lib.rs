//! The lifecycle of a node as a state machine without I/O: [`step`] takes the present state, an
//! event and the time, and answers with the next state and the commands to carry out. Clock,
//! randomness, store, controllers and agents are given by whoever drives it: the conductor, or
//! a simulator with a clock of its own.
//!
//! The caller stores the next state in one transaction, then carries out the commands, and
//! hands what comes of them back as events. Nothing here may block, wait or look at a clock.

mod adopt;
mod clean;
mod deploy;
mod events;
mod exits;
mod failing;
mod inspect;
mod kind;
mod operation;
mod operator;
mod power;
mod rescue;
mod service;
mod setting;
mod settings;
mod step;
mod steps;
mod tear_down;
mod verify;
mod wait;

pub use wrought_domain::Function;

pub use events::{EventKind, LifecycleEvent};
pub use exits::{FailureKind, exits};
pub use kind::{BootMode, Kind, Phase, PowerTarget, Setting};
pub use operation::{
    Advance, Cause, Command, Event, Failure, HistoryEntry, Lifecycle, Operation, Pin, PowerAction, Request, Returned, Severity, VendorCall,
    Waiting, Wipe,
};
pub use settings::{Erasure, Settings};
pub use step::{Impossible, begin, step};
