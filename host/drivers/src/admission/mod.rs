//! From bytes that somebody sent to a driver that may serve. Each stage is a type that only the stage before it makes, so
//! bytes that were not looked at cannot be compiled, and what was not tried cannot serve:
//!
//! ```text
//! Uploaded -verify-> Verified -parse-> Parsed -check-> Checked -compile-> Compiled -link-> Linked -smoke-> Admitted
//! ```
//!
//! The fields of a stage are private to it:
//!
//! ```compile_fail,E0451
//! # use wrought_drivers::admission::{Checked, Parsed};
//! fn unchecked(parsed: Parsed) -> Checked {
//!     Checked(parsed)
//! }
//! ```
//!
//! Every stage adds a line to the [`Report`], also the one that refuses.

mod artifacts;
mod compile;
mod compiler;
mod link;
mod load;
mod parse;
mod rejection;
mod report;
mod signature;
mod upload;

pub(crate) use artifacts::Artifacts;
pub use compile::Compiled;
pub use compiler::{CompileOrder, Compiler, compile_driver};
pub use link::{Admitted, Linked};
pub use parse::{Checked, Parsed};
pub use rejection::{Rejected, Rejection};
pub use report::{Report, Stage, StageReport};
pub use signature::{Signature, TrustedKeys, UntrustedKey, Verified};
pub use upload::{Upload, Uploaded, digest};
