//! The functions that drivers export for the lifecycle (`wit/`).

use serde::{Deserialize, Serialize};

macro_rules! functions {
    ($($case:ident = $interface:literal $name:literal),+ $(,)?) => {
        /// A function that drivers export.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[allow(missing_docs, reason = "documented in wit/")]
        pub enum Function { $($case),+ }

        impl Function {
            /// Every function.
            pub const ALL: &'static [Function] = &[$(Function::$case),+];

            /// The exported interface that holds it.
            pub fn interface(self) -> &'static str {
                match self { $(Function::$case => $interface),+ }
            }

            /// Its name in the contract.
            pub fn name(self) -> &'static str {
                match self { $(Function::$case => $name),+ }
            }
        }
    };
}

functions! {
    Validate = "deploy" "validate",
    Prepare = "deploy" "prepare",
    TearDown = "deploy" "tear-down",
    CleanUp = "deploy" "clean-up",
    TakeOver = "deploy" "take-over",
    GetDeploySteps = "deploy-steps" "get-deploy-steps",
    ExecuteDeployStep = "deploy-steps" "execute-deploy-step",
    PrepareCleaning = "cleaning" "prepare-cleaning",
    GetCleanSteps = "cleaning" "get-clean-steps",
    ExecuteCleanStep = "cleaning" "execute-clean-step",
    TearDownCleaning = "cleaning" "tear-down-cleaning",
    PrepareService = "servicing" "prepare-service",
    GetServiceSteps = "servicing" "get-service-steps",
    ExecuteServiceStep = "servicing" "execute-service-step",
    TearDownService = "servicing" "tear-down-service",
    GetVerifySteps = "verify" "get-verify-steps",
    ExecuteVerifyStep = "verify" "execute-verify-step",
    ValidateRescue = "rescue" "validate",
    Rescue = "rescue" "rescue",
    Unrescue = "rescue" "unrescue",
    CleanUpRescue = "rescue" "clean-up",
    ValidateInspection = "inspection" "validate",
    InspectHardware = "inspection" "inspect-hardware",
    AbortInspection = "inspection" "abort",
    VendorMethods = "vendor-passthru" "methods",
    VendorCall = "vendor-passthru" "call",
}

impl Function {
    /// Whether it may use effects. `vendor-passthru.call` may where its method says so, and then it runs as an operation.
    pub fn may_use_effects(self) -> bool {
        !self.lists_steps()
            && !matches!(self, Function::Validate | Function::ValidateRescue | Function::ValidateInspection | Function::VendorMethods)
    }

    /// Whether it answers with the steps that a driver offers.
    pub fn lists_steps(self) -> bool {
        matches!(self, Function::GetDeploySteps | Function::GetCleanSteps | Function::GetServiceSteps | Function::GetVerifySteps)
    }

    /// Whether it executes one step.
    pub fn executes_step(self) -> bool {
        matches!(
            self,
            Function::ExecuteDeployStep | Function::ExecuteCleanStep | Function::ExecuteServiceStep | Function::ExecuteVerifyStep
        )
    }

    /// Whether it checks a node and changes nothing.
    pub fn validates(self) -> bool {
        matches!(self, Function::Validate | Function::ValidateRescue | Function::ValidateInspection)
    }
}
