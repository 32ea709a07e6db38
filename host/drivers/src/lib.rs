//! Everything WebAssembly: whether an upload is a driver, what a driver may use, and calls.
//!
//! ```text
//! bytes --Catalog::receive, judge--> Admitted { Driver, .. } --Catalog::publish--> Generation
//! Generation::chain --> call(driver, header, world, journal) --> Completed, replayable; resume after a crash
//! ```
//!
//! A call gets a fresh instance and loses it. Everything that a guest asks of the world passes
//! through one place, which charges, authorises, records, acts and maps. Wasmtime's types stop at
//! this crate; so do the guests' faults, which become a [`fault::Fault`].

pub mod admission;
mod answer;
mod call;
pub mod capability;
mod catalog;
mod config;
pub mod contract;
mod convert;
mod destination;
mod driver;
pub mod fault;
mod generation;
mod grants;
mod invoke;
pub mod journal;
pub mod limits;
mod meter;
pub mod partial;
pub mod private;
#[doc(hidden)]
pub mod property;
mod runtime;
pub mod shipped;
mod snapshot;
mod state;
mod throttle;
mod wasi;

pub use admission::{Admitted, Compiler, Rejected, Rejection};
pub use answer::{Answer, Outcome, Report};
pub use call::{Completed, Divergence, call, journal_full, replay, resume, unsettled};
pub use catalog::{Catalog, CatalogError, InUse};
pub use config::{CompileLimits, ComponentLimits, DriversConfig, Limits, SignaturePolicy};
pub use convert::{passthru_call, steps};
pub use destination::{Destination, InvalidDestination, METHODS};
pub use driver::{About, Driver, Method, Schemas};
pub use fault::Fault;
pub use generation::{BrokenChain, Generation, InForce, serving};
pub use grants::{FREE, GRANTABLE, Grants, NotAGrant};
pub use runtime::{Runtime, RuntimeError};
pub use snapshot::{DriverState, Snapshot};
