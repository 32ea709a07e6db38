//! Pages of lists: limit, marker, order, and the link to the next page.

use serde_json::{Map, Value};

use crate::args::Args;
use crate::call::Call;
use crate::errors::Fault;

/// The part of a list's query that every list has.
#[derive(Debug, Clone)]
pub(crate) struct Paging {
    pub(crate) limit: u32,
    pub(crate) marker: Option<String>,
    pub(crate) sort_key: String,
    pub(crate) descending: bool,
    /// What the next page's link repeats: the filters.
    repeated: Vec<(&'static str, String)>,
}

impl Paging {
    /// Takes `limit`, `marker`, `sort_key` and `sort_dir`.
    ///
    /// # Errors
    /// 400 for a limit below 1 and for another direction than `asc` and `desc`.
    pub(crate) fn take(call: &Call, args: &mut Args, default_key: &str) -> Result<Self, Fault> {
        let cap = call.api.config.max_limit.max(1);
        let limit = match args.integer("limit")? {
            None => cap,
            Some(limit) if limit < 1 => return Err(Fault::invalid("Limit must be positive")),
            Some(limit) => u32::try_from(limit).unwrap_or(cap).min(cap),
        };
        let sort_key = args.text("sort_key")?.filter(|key| !key.is_empty()).unwrap_or_else(|| default_key.to_owned());
        let descending = match args.text("sort_dir")?.as_deref() {
            None | Some("asc" | "") => false,
            Some("desc") => true,
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                return Err(Fault::invalid(format!("Invalid sort direction: {other}. Acceptable values are 'asc' or 'desc'")));
            }
        };
        Ok(Self { limit, marker: args.text("marker")?, sort_key, descending, repeated: Vec::new() })
    }

    /// The next page's link shall carry this argument.
    pub(crate) fn repeat(&mut self, name: &'static str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.repeated.push((name, value.to_string()));
        }
    }

    /// Whether so many items are a whole page, so that there may be more.
    pub(crate) fn is_full(&self, items: usize) -> bool {
        items >= usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// The marker of the next page, if there is one: the last of `found` when the page is full.
    pub(crate) fn marker_after<T>(&self, found: &[T], uuid: impl Fn(&T) -> String) -> Option<String> {
        found.last().filter(|_| self.is_full(found.len())).map(uuid)
    }

    /// The collection's document, with a link to the page that begins after `marker`.
    pub(crate) fn document(&self, call: &Call, key: &str, path: &str, items: Vec<Value>, marker: Option<String>) -> Value {
        let mut document = Map::new();
        document.insert(key.into(), Value::Array(items));
        if let Some(marker) = marker {
            document.insert("next".into(), self.next(call, path, marker).into());
        }
        Value::Object(document)
    }

    /// The link to the page that begins after `marker`.
    pub(crate) fn next(&self, call: &Call, path: &str, marker: String) -> String {
        let mut query = vec![("sort_key", self.sort_key.clone())];
        query.push(("sort_dir", if self.descending { "desc" } else { "asc" }.into()));
        query.extend(self.repeated.iter().cloned());
        query.push(("limit", self.limit.to_string()));
        query.push(("marker", marker));
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        format!("{}/v1/{path}?{}", call.base, query.join("&"))
    }
}

/// Percent-encodes what is not plain in a query; commas stay, as Ironic leaves them.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' | b':' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
