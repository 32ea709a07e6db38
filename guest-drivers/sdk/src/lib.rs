//! Write deploy drivers for Wrought in Rust.
//!
//! A driver is a WebAssembly component about one node per call. It implements [`Driver`] and whichever of [`Deploy`],
//! [`DeploySteps`], [`Cleaning`], [`Servicing`], [`Verify`], [`Rescue`], [`Inspection`] and [`VendorPassthru`] it serves; [`export_driver!`] exports those and nothing else. What it calls of the modules
//! here becomes an import of the component, and so something that the operator is asked to grant: a driver that never touches
//! [`power`] never asks for it.
//!
//! A whole driver, which adds one step to what the shipped `direct` driver does:
//!
//! ```no_run
//! use wrought_sdk::prelude::*;
//!
//! struct Acme;
//!
//! #[derive(serde::Deserialize)]
//! struct Blink {
//!     seconds: u32,
//! }
//!
//! impl Acme {
//!     fn steps() -> Vec<Step> {
//!         vec![
//!             Step::new("vendor", "blink", 0)
//!                 .abortable()
//!                 .required_argument("seconds", ArgumentType::Integer, "How long the locator blinks"),
//!         ]
//!     }
//! }
//!
//! impl Driver for Acme {
//!     fn describe() -> Description {
//!         Description::new("acme", env!("CARGO_PKG_VERSION"), "Acme Servers")
//!             .summary("Blinks before it deploys")
//!             .base("direct")
//!             .steps(Acme::steps())
//!     }
//!
//!     fn get_properties() -> Vec<Property> {
//!         vec![Property::optional("driver_info/acme_slot", "The slot in the chassis")]
//!     }
//! }
//!
//! impl DeploySteps for Acme {
//!     fn get_deploy_steps() -> Result<Vec<Step>> {
//!         Ok(Acme::steps())
//!     }
//!
//!     fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
//!         match (step.id(), task::cause()) {
//!             (("vendor", "blink"), Cause::Resumed(_)) => Ok(Outcome::Done),
//!             (("vendor", "blink"), _) => {
//!                 let Blink { seconds } = step.arguments()?;
//!                 wrought_sdk::info!("blinking for {seconds} s");
//!                 wait::seconds(seconds)
//!             }
//!             _ => Err(step.unknown()),
//!         }
//!     }
//! }
//!
//! export_driver!(Acme: deploy_steps);
//! ```
//!
//! Its `Cargo.toml` needs `crate-type = ["cdylib"]`, this crate and serde; `cargo build --release --target
//! wasm32-unknown-unknown` makes the module and `wasm-tools component new` the component.
//!
//! **A call returns soon.** No import blocks longer than 10 s and a call lasts 60 s at most. What takes longer is waited for by
//! the host, with the driver gone: return what a function of [`wait`] gives. Then the same function is called again from its
//! top, in a fresh instance: observe first, act on what is missing. What must survive goes into [`state`].
//!
//! **Secrets never cross.** The node's are masked; a config drive or a signed URL is a reference, valid inside the parameters of
//! agent commands, which the host fills in on the way out.
//!
//! Natively, as in unit tests, everything compiles, but the imports panic: keep what you want to test in functions of their own.

extern crate self as wrought_sdk;

pub mod agent;
pub mod artifact;
#[doc(hidden)]
pub mod bindings;
mod error;
mod export;
pub mod http;
pub mod log;
pub mod redfish;
pub mod report;
pub mod state;
mod step;
pub mod task;
pub mod wait;

#[doc(hidden)]
pub use wit_bindgen::rt as __rt;

pub use bindings::cleaning::exports::baremetal::deploy::cleaning::Guest as Cleaning;
pub use bindings::deploy::exports::baremetal::deploy::deploy::Guest as Deploy;
pub use bindings::deploy_steps::exports::baremetal::deploy::deploy_steps::Guest as DeploySteps;
pub use bindings::driver::exports::baremetal::deploy::driver::{Description, Guest as Driver};
pub use bindings::imports::baremetal::deploy::types::{
    Argument, ArgumentType, Error, ErrorKind, Outcome, PowerState, Property, SecretRef, Step, StepCall,
};
pub use bindings::imports::baremetal::deploy::{boot, events, image, locking, network, power};
pub use bindings::inspection::exports::baremetal::deploy::inspection::Guest as Inspection;
pub use bindings::rescue::exports::baremetal::deploy::rescue::Guest as Rescue;
pub use bindings::servicing::exports::baremetal::deploy::servicing::Guest as Servicing;
pub use bindings::state_schema::exports::baremetal::deploy::state_schema::{Guest as StateSchema, Schemas};
pub use bindings::vendor_passthru::exports::baremetal::deploy::vendor_passthru::{Guest as VendorPassthru, Method};
pub use bindings::verify::exports::baremetal::deploy::verify::Guest as Verify;
pub use error::Result;
pub use {serde, serde_json};

/// What nearly every driver uses.
pub mod prelude {
    pub use crate::task::{Cause, WaitResult};
    pub use crate::{
        Argument, ArgumentType, Cleaning, Deploy, DeploySteps, Description, Driver, Error, ErrorKind, Inspection, Method, Outcome,
        PowerState, Property, Rescue, Result, Servicing, Step, StepCall, VendorPassthru, Verify, export_driver,
    };
    pub use crate::{agent, artifact, boot, events, http, image, locking, log, network, power, redfish, report, state, task, wait};
}
