//! What each stage found, for the operator who uploaded and for whoever asks later.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wrought_domain::Digest;

use super::{Rejected, Rejection, Signature};

/// A stage of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The bytes arrived whole.
    Upload,
    /// Who signed them.
    Verify,
    /// They are a component, and import and export what the contract has.
    Parse,
    /// It is not too large in any respect.
    Check,
    /// To machine code.
    Compile,
    /// Its imports and exports have the contract's types.
    Link,
    /// It says who it is.
    Smoke,
}

impl Stage {
    /// The stage's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Verify => "verify",
            Self::Parse => "parse",
            Self::Check => "check",
            Self::Compile => "compile",
            Self::Link => "link",
            Self::Smoke => "smoke",
        }
    }
}

/// What one stage found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Which one.
    pub stage: Stage,
    /// Whether the component passed.
    pub ok: bool,
    /// How long it took.
    pub millis: f64,
    /// What was found.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// What the operator should know although the component passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Why the component did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All stages that a component came through, in order. The last one is not ok if the component was refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Report {
    /// The stages.
    pub stages: Vec<StageReport>,
}

impl Report {
    /// Whether no stage refused.
    pub fn ok(&self) -> bool {
        self.stages.iter().all(|stage| stage.ok)
    }
}

/// What a stage found, for its line of the report.
#[derive(Debug, Default)]
pub(super) struct Finding {
    pub(super) details: Map<String, Value>,
    pub(super) warning: Option<String>,
}

impl From<Value> for Finding {
    fn from(details: Value) -> Self {
        let details = if let Value::Object(details) = details { details } else { Map::new() };
        Self { details, warning: None }
    }
}

/// What goes with a component from stage to stage.
#[derive(Debug, Clone)]
pub(super) struct Dossier {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) signature: Signature,
    pub(super) report: Report,
}

impl Dossier {
    pub(super) fn new(digest: Digest, size: u64) -> Self {
        Self { digest, size, signature: Signature::Unchecked, report: Report::default() }
    }

    /// Writes down how a stage ended.
    pub(super) fn judge<T>(
        mut self,
        stage: Stage,
        began: Instant,
        found: Result<(T, Finding), Rejection>,
    ) -> Result<(T, Self), Box<Rejected>> {
        let millis = (began.elapsed().as_secs_f64() * 1e5).round() / 100.0;
        let (passed, finding) = match found {
            Ok((passed, finding)) => (Ok(passed), finding),
            Err(why) => (Err(why), Finding::default()),
        };
        let reason = passed.as_ref().err().map(ToString::to_string);
        let Finding { details, warning } = finding;
        self.report.stages.push(StageReport { stage, ok: passed.is_ok(), millis, details, warning, reason });
        match passed {
            Ok(passed) => Ok((passed, self)),
            Err(why) => Err(Box::new(Rejected { digest: Some(self.digest), size: self.size, why, report: self.report })),
        }
    }
}
