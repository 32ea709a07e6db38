//! `report`: findings are checked here, and stored by the conductor when the call succeeds.

use serde_json::Value;
use wrought_domain::{DriverError, ErrorKind};

use crate::answer::Report;
use crate::contract::import::report::Host;
use crate::contract::report::Kind;
use crate::contract::types::Error;
use crate::state::{CallState, NOT_GRANTED};

/// Bytes of a finding.
pub(crate) const MAX_FINDING: usize = 64 << 10;

/// Findings of a call.
pub(crate) const MAX_REPORTS: usize = 16;

/// Keys of `driver_internal_info` that a driver may report; the rest are the host's own.
const INSTANCE_KEYS: [&str; 4] = ["root_uuid_or_disk_id", "is_whole_disk_image", "deploy_boot_mode", "efi_system_partition_uuid"];

fn well_formed(kind: Kind, finding: &Value) -> Result<(), &'static str> {
    match (kind, finding) {
        (Kind::Health, Value::String(text)) if ["ok", "warning", "critical"].contains(&text.as_str()) => Ok(()),
        (Kind::Health, _) => Err("health is one of \"ok\", \"warning\", \"critical\""),
        (Kind::Traits, Value::Array(names)) if names.iter().all(is_trait) && names.len() <= 50 => Ok(()),
        (Kind::Traits, _) => Err("traits are at most 50 names of CUSTOM_ and A-Z, 0-9, _"),
        (Kind::Instance, Value::Object(map)) if map.keys().all(|key| INSTANCE_KEYS.contains(&key.as_str())) => Ok(()),
        (Kind::Instance, _) => {
            Err("instance is an object with root_uuid_or_disk_id, is_whole_disk_image, deploy_boot_mode, efi_system_partition_uuid")
        }
        (Kind::BiosSettings | Kind::Firmware, Value::Array(_) | Value::Object(_)) => Ok(()),
        (Kind::Inventory | Kind::RaidConfig, Value::Object(_)) => Ok(()),
        _ => Err("the finding is not a JSON object"),
    }
}

fn is_trait(name: &Value) -> bool {
    name.as_str().is_some_and(|name| {
        name.len() <= 255 && name.starts_with("CUSTOM_") && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    })
}

impl Host for CallState {
    async fn put(&mut self, kind: Kind, finding: String) -> wasmtime::Result<Result<(), Error>> {
        self.charge()?;
        let refused = |kind: ErrorKind, text: &str| Ok(Err(DriverError::new(kind, "wrought.InvalidReport", text).into()));
        if !self.may_use("report", Some("put")) {
            return Ok(Err(DriverError::new(ErrorKind::Denied, NOT_GRANTED, "report.put was not granted to this driver").into()));
        }
        if finding.len() > MAX_FINDING || self.reports.len() >= MAX_REPORTS {
            return refused(ErrorKind::LimitExceeded, "a finding has at most 64 KiB, and a call at most 16 findings");
        }
        let Ok(finding) = serde_json::from_str::<Value>(&finding) else {
            return refused(ErrorKind::InvalidParameter, "the finding is not JSON");
        };
        if let Err(text) = well_formed(kind, &finding) {
            return refused(ErrorKind::InvalidParameter, text);
        }
        self.reports.push(Report { kind, finding });
        Ok(Ok(()))
    }
}
