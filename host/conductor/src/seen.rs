//! What was learnt about a node while a command was carried out, to be stored with its outcome.

use serde_json::Value;
use wrought_domain::{DriverName, Node, PowerState};
use wrought_drivers::Report;
use wrought_drivers::contract::report::Kind;
use wrought_storage::JournalWrite;

use crate::inspection::Inspected;

/// Findings of one command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The power state that was reported last, or that was asked for and accepted.
    pub(crate) power: Option<PowerState>,
    /// What the driver reported.
    pub(crate) reports: Vec<Report>,
    /// The state of each driver, as the store takes it.
    pub(crate) state: Vec<(DriverName, Value)>,
    /// The last chunks of the driver calls.
    pub(crate) journal: Vec<JournalWrite>,
    /// Clean steps with which the host saw the agent succeed.
    pub(crate) covered: Vec<String>,
    /// What was made of an inspection.
    pub(crate) inspected: Option<Inspected>,
}

impl Seen {
    /// Without what a driver found and keeps, when it is not to be believed any more.
    pub(crate) fn without_findings(self) -> Self {
        Self { reports: Vec::new(), state: Vec::new(), covered: Vec::new(), ..self }
    }

    /// Writes the findings into the node.
    pub(crate) fn apply(&self, node: &mut Node) {
        if self.power.is_some() {
            node.power_state = self.power;
        }
        for report in &self.reports {
            match (report.kind, &report.finding) {
                (Kind::Instance, Value::Object(map)) => node.driver_internal_info.extend(map.clone()),
                (Kind::RaidConfig, Value::Object(map)) => node.raid_config = map.clone(),
                (Kind::Health, Value::String(health)) => node.health = Some(health.clone()),
                (Kind::Traits, Value::Array(names)) => {
                    node.traits = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
                }
                // The rest is kept beside the node.
                _ => {}
            }
        }
        if let Some(inspected) = &self.inspected {
            inspected.apply(node);
        }
    }
}
