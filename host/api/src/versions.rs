//! Microversions of the v1 API and the two version documents.

use std::fmt;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::errors::Fault;
use crate::links::Base;

/// A minor version `N` of the API `1.N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u16);

/// The oldest version that is served, and the one of a request that names none.
pub(crate) const MIN: Version = Version(1);
/// The newest version that is served.
pub(crate) const MAX: Version = Version(115);

/// Ironic's own header.
pub(crate) const HEADER: &str = "x-openstack-ironic-api-version";
/// The header that all of OpenStack shares; it wins.
const COMMON_HEADER: &str = "openstack-api-version";
/// The service's name in [`COMMON_HEADER`].
const SERVICE: &str = "baremetal";

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl Version {
    /// The version that a request asks for.
    ///
    /// # Errors
    /// 406 for a text that is no version and for a version that is not served.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Self, Fault> {
        let text = match headers.get(COMMON_HEADER).and_then(|v| v.to_str().ok()).and_then(of_service) {
            Some(text) => text,
            None => match headers.get(HEADER) {
                None => return Ok(MIN),
                Some(value) => value.to_str().map_err(|_| invalid())?.trim(),
            },
        };
        if text.eq_ignore_ascii_case("latest") {
            return Ok(MAX);
        }
        let (major, minor) = text.split_once('.').ok_or_else(invalid)?;
        let number = |digits: &str| match digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            true => Err(invalid()),
            false => Ok(digits.parse::<u16>().unwrap_or(u16::MAX)),
        };
        let (major, minor) = (number(major)?, number(minor)?);
        let range = format!("The supported version range is: [{MIN}, {MAX}].");
        if major != 1 {
            return Err(Fault::routing(
                406,
                format!(
                    "Mutually exclusive versions requested. Version {major}.{minor} requested but not supported by this service. {range}"
                ),
            ));
        }
        if !(MIN.0..=MAX.0).contains(&minor) {
            return Err(Fault::routing(
                406,
                format!("Version 1.{minor} was requested but the minor version is not supported by this service. {range}"),
            ));
        }
        Ok(Version(minor))
    }
}

fn of_service(header: &str) -> Option<&str> {
    header.split(',').find_map(|entry| entry.trim().strip_prefix(SERVICE)?.strip_prefix(' ')).map(str::trim)
}

fn invalid() -> Fault {
    Fault::routing(406, "Invalid value for X-OpenStack-Ironic-API-Version header")
}

fn version_entry(base: &Base) -> Value {
    json!({
        "id": "v1",
        "links": [{"href": format!("{base}/v1/"), "rel": "self"}],
        "status": "CURRENT",
        "min_version": MIN.to_string(),
        "version": MAX.to_string(),
    })
}

/// `GET /`.
pub(crate) fn root(base: &Base) -> Value {
    json!({
        "name": "OpenStack Ironic API",
        "description": "Ironic is an OpenStack project which enables the provision and management of baremetal machines.",
        "default_version": version_entry(base),
        "versions": [version_entry(base)],
    })
}

/// The resources of `GET /v1` and the minor version that brought them.
const RESOURCES: &[(&str, u16)] = &[
    ("chassis", 1),
    ("nodes", 1),
    ("ports", 1),
    ("drivers", 1),
    ("lookup", 22),
    ("heartbeat", 22),
    ("portgroups", 23),
    ("volume", 32),
    ("conductors", 49),
    ("allocations", 52),
    ("events", 54),
    ("deploy_templates", 55),
    ("shards", 82),
    ("continue_inspection", 84),
    ("runbooks", 92),
    ("inspection_rules", 96),
];

/// `GET /v1`.
pub(crate) fn v1(base: &Base, version: Version) -> Value {
    let mut document = Map::new();
    document.insert("id".into(), json!("v1"));
    document.insert(
        "links".into(),
        json!([
            {"href": format!("{base}/v1/"), "rel": "self"},
            {"href": "https://docs.openstack.org/ironic/latest/contributor/webapi.html", "rel": "describedby", "type": "text/html"},
        ]),
    );
    document.insert("media_types".into(), json!({"base": "application/json", "type": "application/vnd.openstack.ironic.v1+json"}));
    document.insert("version".into(), version_entry(base));
    for (resource, since) in RESOURCES {
        if version.0 >= *since {
            document.insert(
                (*resource).into(),
                json!([
                    {"href": format!("{base}/v1/{resource}/"), "rel": "self"},
                    {"href": format!("{base}/{resource}/"), "rel": "bookmark"},
                ]),
            );
        }
    }
    Value::Object(document)
}
