//! What operations do, and the phases in which they do it.

use serde::{Deserialize, Serialize};
use wrought_domain::function::Function;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `manage` from `enroll`: can the controller be talked to?
    Verify,
    /// `active`.
    Deploy,
    /// `rebuild`.
    Rebuild,
    /// `deleted`; becomes `Clean` when the instance is gone.
    TearDown,
    /// Automated cleaning: of `provide` and of a tear-down.
    Clean,
    /// `clean` with steps.
    ManualClean,
    /// `inspect`.
    Inspect,
    /// `adopt`.
    Adopt,
    /// `rescue`.
    Rescue,
    /// `unrescue`.
    Unrescue,
    /// `service` with steps.
    Service,
    /// `abort` of a service that failed: back to the instance.
    AbortService,
    /// One step of a parent's operation; the node's state stays.
    ChildStep,
    /// A vendor's own method; the node's state stays.
    VendorPassthru,
    /// A power request; the node's state stays.
    Power(PowerTarget),
    /// A setting of the machine; the node's state stays.
    Setting(Setting),
}

impl Kind {
    /// As drivers know it (`wit/task.wit`).
    pub fn name(self) -> &'static str {
        match self {
            Kind::Verify => "verify",
            Kind::Deploy => "deploy",
            Kind::Rebuild => "rebuild",
            Kind::TearDown => "tear-down",
            Kind::Clean => "clean",
            Kind::ManualClean => "manual-clean",
            Kind::Inspect => "inspect",
            Kind::Adopt => "adopt",
            Kind::Rescue => "rescue",
            Kind::Unrescue => "unrescue",
            Kind::Service => "service",
            Kind::AbortService => "abort-service",
            Kind::ChildStep => "child-step",
            Kind::VendorPassthru => "vendor-passthru",
            Kind::Power(_) => "power",
            Kind::Setting(_) => "setting",
        }
    }

    /// Whether it moves the node from one provision state to another.
    pub fn moves(self) -> bool {
        !matches!(self, Kind::Power(_) | Kind::Setting(_) | Kind::ChildStep | Kind::VendorPassthru)
    }

    /// Whether it cleans.
    pub fn cleans(self) -> bool {
        matches!(self, Kind::Clean | Kind::ManualClean)
    }

    /// Whether it deploys.
    pub fn deploys(self) -> bool {
        matches!(self, Kind::Deploy | Kind::Rebuild)
    }
}

/// What `PUT /v1/nodes/{node}/states/power` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerTarget {
    /// `power on`.
    #[serde(rename = "power on")]
    On,
    /// `power off`.
    #[serde(rename = "power off")]
    Off,
    /// `rebooting`.
    #[serde(rename = "rebooting")]
    Reboot,
    /// `soft power off`.
    #[serde(rename = "soft power off")]
    SoftOff,
    /// `soft rebooting`.
    #[serde(rename = "soft rebooting")]
    SoftReboot,
}

/// What a request sets on a machine without moving its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// `PUT /v1/nodes/{node}/states/boot_mode`.
    BootMode(BootMode),
    /// `PUT /v1/nodes/{node}/states/secure_boot`.
    SecureBoot(bool),
    /// `PUT /v1/nodes/{node}/states/console`.
    Console(bool),
}

/// How a machine's firmware boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "plain words")]
pub enum BootMode {
    Bios,
    Uefi,
}

impl BootMode {
    /// Ironic's name.
    pub fn as_str(self) -> &'static str {
        match self {
            BootMode::Bios => "bios",
            BootMode::Uefi => "uefi",
        }
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading the power state to verify access.
    Verify,
    /// `verify.get-verify-steps`.
    ListVerifySteps,
    /// `verify.execute-verify-step`.
    VerifyStep,
    /// `deploy.prepare`, in a deployment or an adoption.
    Prepare,
    /// `deploy-steps.get-deploy-steps`.
    ListDeploySteps,
    /// `deploy-steps.execute-deploy-step`.
    DeployStep,
    /// `deploy.clean-up`, in a tear-down or after a failed deploy.
    CleanUp,
    /// `deploy.tear-down`.
    TearDown,
    /// `deploy.take-over`, in an adoption.
    TakeOver,
    /// `cleaning.prepare-cleaning`.
    PrepareCleaning,
    /// `cleaning.get-clean-steps`.
    ListCleanSteps,
    /// `cleaning.execute-clean-step`.
    CleanStep,
    /// `cleaning.tear-down-cleaning`, at the end or after a failure.
    TearDownCleaning,
    /// `servicing.prepare-service`.
    PrepareService,
    /// `servicing.get-service-steps`.
    ListServiceSteps,
    /// `servicing.execute-service-step`.
    ServiceStep,
    /// `servicing.tear-down-service`, at the end, after a failure or an abort.
    TearDownService,
    /// `inspection.inspect-hardware`.
    Inspect,
    /// The host makes use of what was found.
    ApplyInspection,
    /// `inspection.abort`, after a failure or an abort.
    AbortInspection,
    /// `rescue.rescue`.
    Rescue,
    /// `rescue.unrescue`.
    Unrescue,
    /// `rescue.clean-up`, after a failure or an abort, and before a tear-down.
    CleanUpRescue,
    /// `vendor-passthru.call`.
    VendorCall,
    /// Switching the power off, the first half of a reboot or all of a power off.
    PowerOff,
    /// Switching the power on.
    PowerOn,
    /// Setting something on the machine.
    Set,
}

impl Phase {
    /// The driver's function that is called in this phase; nothing where the host itself acts.
    pub fn function(self) -> Option<Function> {
        Some(match self {
            Phase::ListVerifySteps => Function::GetVerifySteps,
            Phase::VerifyStep => Function::ExecuteVerifyStep,
            Phase::Prepare => Function::Prepare,
            Phase::ListDeploySteps => Function::GetDeploySteps,
            Phase::DeployStep => Function::ExecuteDeployStep,
            Phase::CleanUp => Function::CleanUp,
            Phase::TearDown => Function::TearDown,
            Phase::TakeOver => Function::TakeOver,
            Phase::PrepareCleaning => Function::PrepareCleaning,
            Phase::ListCleanSteps => Function::GetCleanSteps,
            Phase::CleanStep => Function::ExecuteCleanStep,
            Phase::TearDownCleaning => Function::TearDownCleaning,
            Phase::PrepareService => Function::PrepareService,
            Phase::ListServiceSteps => Function::GetServiceSteps,
            Phase::ServiceStep => Function::ExecuteServiceStep,
            Phase::TearDownService => Function::TearDownService,
            Phase::Inspect => Function::InspectHardware,
            Phase::AbortInspection => Function::AbortInspection,
            Phase::Rescue => Function::Rescue,
            Phase::Unrescue => Function::Unrescue,
            Phase::CleanUpRescue => Function::CleanUpRescue,
            Phase::VendorCall => Function::VendorCall,
            Phase::Verify | Phase::ApplyInspection | Phase::PowerOff | Phase::PowerOn | Phase::Set => return None,
        })
    }

    /// Whether a step of the plan is executed.
    pub fn is_step(self) -> bool {
        self.function().is_some_and(Function::executes_step)
    }

    /// Whether the steps are listed that drivers offer.
    pub fn lists_steps(self) -> bool {
        self.function().is_some_and(Function::lists_steps)
    }
}
