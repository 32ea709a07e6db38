//! The functions that drivers export for the lifecycle (`wit/`).

use serde::{Deserialize, Serialize};

/// A function that drivers export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "documented in wit/")]
pub enum Function {
    Validate,
    Prepare,
    TearDown,
    CleanUp,
    TakeOver,
    GetDeploySteps,
    ExecuteDeployStep,
    PrepareCleaning,
    GetCleanSteps,
    ExecuteCleanStep,
    TearDownCleaning,
}

impl Function {
    /// The exported interface that holds it.
    pub fn interface(self) -> &'static str {
        match self {
            Function::Validate | Function::Prepare | Function::TearDown | Function::CleanUp | Function::TakeOver => "deploy",
            Function::GetDeploySteps | Function::ExecuteDeployStep => "deploy-steps",
            Function::PrepareCleaning | Function::GetCleanSteps | Function::ExecuteCleanStep | Function::TearDownCleaning => "cleaning",
        }
    }

    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Function::Validate => "validate",
            Function::Prepare => "prepare",
            Function::TearDown => "tear-down",
            Function::CleanUp => "clean-up",
            Function::TakeOver => "take-over",
            Function::GetDeploySteps => "get-deploy-steps",
            Function::ExecuteDeployStep => "execute-deploy-step",
            Function::PrepareCleaning => "prepare-cleaning",
            Function::GetCleanSteps => "get-clean-steps",
            Function::ExecuteCleanStep => "execute-clean-step",
            Function::TearDownCleaning => "tear-down-cleaning",
        }
    }

    /// Whether it may use effects.
    pub fn may_use_effects(self) -> bool {
        !matches!(self, Function::Validate | Function::GetDeploySteps | Function::GetCleanSteps)
    }
}
