//! Declaring steps and reading their arguments.

use serde::de::DeserializeOwned;

use crate::bindings::driver::exports::baremetal::deploy::driver::Description;
use crate::bindings::imports::baremetal::deploy::types::{Argument, ArgumentType, Error, Property, Step, StepCall};
use crate::bindings::vendor_passthru::exports::baremetal::deploy::vendor_passthru::Method;
use crate::error::Result;

impl Step {
    /// A step of `interface` (`deploy`, `raid`, `bios`, `management`, `power`, `firmware`, `vendor`) that runs by itself at
    /// `priority`, higher earlier; 0 runs only when asked for. Not abortable, without ramdisk, without arguments until said.
    pub fn new(interface: &str, step: &str, priority: u32) -> Self {
        Self {
            interface: interface.to_owned(),
            step: step.to_owned(),
            priority,
            abortable: false,
            requires_ramdisk: false,
            arguments: Vec::new(),
            reboot_requested: false,
        }
    }

    /// An operator's abort may end the operation while this step waits.
    #[must_use]
    pub fn abortable(self) -> Self {
        Self { abortable: true, ..self }
    }

    /// Needs the machine booted into the agent.
    #[must_use]
    pub fn in_ramdisk(self) -> Self {
        Self { requires_ramdisk: true, ..self }
    }

    /// Has the machine booted into the agent anew before the next step: the driver sees to that.
    #[must_use]
    pub fn reboots(self) -> Self {
        Self { reboot_requested: true, ..self }
    }

    /// Takes this argument, too.
    #[must_use]
    pub fn argument(mut self, name: &str, type_: ArgumentType, description: &str) -> Self {
        self.arguments.push(Argument { name: name.to_owned(), description: description.to_owned(), required: false, type_ });
        self
    }

    /// Takes this argument, too, and does not run without it.
    #[must_use]
    pub fn required_argument(mut self, name: &str, type_: ArgumentType, description: &str) -> Self {
        self.arguments.push(Argument { name: name.to_owned(), description: description.to_owned(), required: true, type_ });
        self
    }

    /// Whether this is the step that `call` asks for.
    pub fn is(&self, call: &StepCall) -> bool {
        self.interface == call.interface && self.step == call.step
    }
}

impl StepCall {
    /// A call of a step with `args`, which become a JSON object.
    pub fn new(interface: &str, step: &str, args: &impl serde::Serialize) -> Result<Self> {
        Ok(Self { interface: interface.to_owned(), step: step.to_owned(), args: serde_json::to_string(args)? })
    }

    /// `interface.step`, as people write it.
    pub fn name(&self) -> String {
        format!("{}.{}", self.interface, self.step)
    }

    /// Interface and step, to match on.
    pub fn id(&self) -> (&str, &str) {
        (&self.interface, &self.step)
    }

    /// The arguments as the driver's own type. `invalid-parameter` when they do not fit.
    ///
    /// ```
    /// # use wrought_sdk::prelude::*;
    /// #[derive(serde::Deserialize)]
    /// struct Blink {
    ///     seconds: u32,
    /// }
    ///
    /// let call = StepCall { interface: "vendor".into(), step: "blink".into(), args: r#"{"seconds": 5}"#.into() };
    /// assert_eq!(call.arguments::<Blink>()?.seconds, 5);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T> {
        let args = if self.args.trim().is_empty() { "{}" } else { &self.args };
        serde_json::from_str(args).map_err(|e| Error::invalid_parameter(format!("arguments of step {}: {e}", self.name())))
    }

    /// The error for a step that this driver does not have.
    pub fn unknown(&self) -> Error {
        Error::not_found(format!("this driver has no step {}", self.name()))
    }
}

impl Method {
    /// A method of the vendor's own that only looks; `http_methods` are upper case.
    pub fn new(name: &str, http_methods: &[&str], description: &str) -> Self {
        let http_methods = http_methods.iter().map(|method| (*method).to_owned()).collect();
        Self { name: name.to_owned(), description: description.to_owned(), http_methods, effects: false }
    }

    /// Changes the world: its calls run as operations.
    #[must_use]
    pub fn with_effects(self) -> Self {
        Self { effects: true, ..self }
    }
}

impl Property {
    /// A property that may be absent, for example `driver_info/acme_profile`.
    pub fn optional(name: &str, description: &str) -> Self {
        Self { name: name.to_owned(), description: description.to_owned(), required: false }
    }

    /// A property that must be there.
    pub fn required(name: &str, description: &str) -> Self {
        Self { name: name.to_owned(), description: description.to_owned(), required: true }
    }
}

impl Description {
    /// A driver with its name, its semantic version (`env!("CARGO_PKG_VERSION")`) and its vendor; no base, no steps until said.
    pub fn new(name: &str, version: &str, vendor: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            vendor: vendor.to_owned(),
            summary: String::new(),
            base: None,
            steps: Vec::new(),
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn summary(self, summary: &str) -> Self {
        Self { summary: summary.to_owned(), ..self }
    }

    /// The driver that serves the interfaces which this one does not export, for example `direct`.
    #[must_use]
    pub fn base(self, base: &str) -> Self {
        Self { base: Some(base.to_owned()), ..self }
    }

    /// All steps that the driver can offer, whatever the node.
    #[must_use]
    pub fn steps(self, steps: Vec<Step>) -> Self {
        Self { steps, ..self }
    }
}
