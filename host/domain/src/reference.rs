//! References to secrets that are kept elsewhere, `file:/path` and `env:NAME` in place of a value: what is one, for those who
//! resolve them and those who say who may write them.

use serde_json::Value;

use crate::Map;

/// What a text refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// The file of this path.
    File(&'a str),
    /// The variable of this name.
    Env(&'a str),
}

impl<'a> Reference<'a> {
    /// What the text refers to, blanks around it aside; nothing when it is no reference.
    pub fn of(text: &'a str) -> Option<Self> {
        let text = text.trim();
        text.strip_prefix("file:").map(Self::File).or_else(|| text.strip_prefix("env:").map(Self::Env))
    }
}

/// Whether a value is a reference or has one in it, at any depth.
pub fn refers(value: &Value) -> bool {
    match value {
        Value::String(text) => Reference::of(text).is_some(),
        Value::Array(values) => values.iter().any(refers),
        Value::Object(map) => refers_within(map),
        _ => false,
    }
}

/// Whether any value of a map [`refers`].
pub fn refers_within(map: &Map) -> bool {
    map.values().any(refers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blanks_do_not_hide_a_reference() {
        for text in ["env:A", " env:A", "\tenv:A\n", "\u{a0}env:A", "\u{2003}env:A\r\n"] {
            assert_eq!(Reference::of(text), Some(Reference::Env("A")), "{text:?}");
            assert!(refers(&json!({"deep": [{"a": text}]})), "{text:?}");
        }
        assert_eq!(Reference::of(" file:/a b "), Some(Reference::File("/a b")));
        for text in ["", "env", "ENV:A", "an env:A", "\u{200b}env:A"] {
            assert!(!refers(&json!(text)), "{text:?}");
        }
    }
}
