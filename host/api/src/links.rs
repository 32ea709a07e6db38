//! Links and times as Ironic writes them.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The URL under which the client reaches the API, without a trailing slash.
#[derive(Debug, Clone)]
pub(crate) struct Base(pub(crate) String);

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Base {
    /// The links `self` and `bookmark` of a resource, for example `nodes/<uuid>`.
    pub(crate) fn links(&self, resource: &str) -> Value {
        json!([
            {"href": format!("{self}/v1/{resource}"), "rel": "self"},
            {"href": format!("{self}/{resource}"), "rel": "bookmark"},
        ])
    }
}

/// A time as Python's `isoformat` writes it: UTC as `+00:00`, microseconds unless they are zero.
pub(crate) fn time(at: Timestamp) -> String {
    let text = if at.subsec_nanosecond() / 1000 == 0 { at.strftime("%Y-%m-%dT%H:%M:%S") } else { at.strftime("%Y-%m-%dT%H:%M:%S.%6f") };
    format!("{text}+00:00")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_have_an_offset_and_microseconds_only_where_there_are_any() {
        let at = |text: &str| time(text.parse().unwrap());
        assert_eq!(at("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05+00:00");
        assert_eq!(at("2026-01-02T03:04:05.0204001Z"), "2026-01-02T03:04:05.020400+00:00");
    }
}
