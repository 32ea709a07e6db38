//! What a driver answers, and what else comes of a call.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wrought_domain::wait::Wait;
use wrought_domain::{DriverError, Step};

use crate::contract::report;
use crate::fault::Fault;
use crate::snapshot::DriverState;

/// A driver's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The work is complete.
    Done,
    /// The host is to wait.
    Wait(Wait),
    /// The steps that it offers.
    Steps(Vec<Step>),
    /// What a method of the vendor's own answers, any JSON.
    Value(Value),
    /// It refused.
    Refused(DriverError),
}

/// A finding for the host to store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is about.
    pub kind: report::Kind,
    /// The finding, of the shape that its kind asks for.
    pub finding: Value,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The answer, or why there is none.
    pub answer: Result<Answer, Fault>,
    /// The driver's state after the call, where it changed and the call succeeded.
    pub state: Option<DriverState>,
    /// Findings, where the call succeeded.
    pub reports: Vec<Report>,
}
