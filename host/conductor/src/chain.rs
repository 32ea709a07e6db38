//! The drivers that serve an operation, and which of them serves what.

use std::sync::Arc;

use wrought_domain::{DriverName, Function};
use wrought_drivers::Driver;
use wrought_engine::Pin;

/// Interfaces of a node that may name a driver which offers nothing but steps of that interface.
pub(crate) const STEP_INTERFACES: [&str; 5] = ["raid", "bios", "firmware", "management", "vendor"];

/// A driver of an operation.
#[derive(Clone)]
pub(crate) struct Member {
    /// Its registered name.
    pub(crate) name: DriverName,
    /// The version.
    pub(crate) driver: Arc<Driver>,
    /// By which of the node's interfaces it was chosen: `deploy` for the deploy driver and its bases.
    pub(crate) interfaces: Vec<String>,
}

/// The drivers of an operation: the deploy driver, its bases, then those that other interfaces name.
#[derive(Clone, Default)]
pub(crate) struct Chain(pub(crate) Vec<Member>);

impl Member {
    fn is_for(&self, interface: &str) -> bool {
        self.interfaces.iter().any(|chosen| chosen == interface)
    }
}

/// The interface of the node that names the driver which serves a function.
pub(crate) fn chosen_by(function: Function) -> &'static str {
    match function.interface() {
        "inspection" => "inspect",
        "rescue" => "rescue",
        "vendor-passthru" => "vendor",
        _ => "deploy",
    }
}

impl Chain {
    /// Adds a driver, or one more interface that chose it.
    pub(crate) fn add(&mut self, name: DriverName, driver: Arc<Driver>, interface: &str) {
        match self.0.iter_mut().find(|member| member.name == name) {
            Some(member) if member.is_for(interface) => {}
            Some(member) => member.interfaces.push(interface.to_owned()),
            None => self.0.push(Member { name, driver, interfaces: vec![interface.to_owned()] }),
        }
    }

    pub(crate) fn find(&self, name: &DriverName) -> Option<&Member> {
        self.0.iter().find(|member| member.name == *name)
    }

    /// The driver that serves a function, which is no list of steps and no step.
    pub(crate) fn serving(&self, function: Function) -> Option<&Member> {
        let interface = chosen_by(function);
        self.0.iter().find(|member| member.is_for(interface) && member.driver.serves(function))
    }

    /// The drivers that list steps.
    pub(crate) fn listing(&self, function: Function) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(move |member| member.driver.serves(function))
    }

    /// What the operation keeps of it.
    pub(crate) fn pins(&self) -> Vec<Pin> {
        let pin = |member: &Member| Pin {
            name: member.name.clone(),
            digest: member.driver.digest.clone(),
            interfaces: member.interfaces.clone(),
        };
        self.0.iter().map(pin).collect()
    }
}
