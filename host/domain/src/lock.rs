//! Locks that nodes share: which ones a node's record names.

use crate::Map;

/// The key of `properties` that lists them.
pub const SHARED_LOCKS: &str = "shared_locks";

/// Locks that a node's record may name.
pub const MAX_NAMED: usize = 16;

/// Bytes of a lock's name.
pub const MAX_NAME: usize = 128;

/// Locks that one operation may hold.
pub const MAX_HELD: usize = 2;

/// Whether a lock may have this name: it is part of a URL's path and of log lines.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// Whether a node's record names a lock.
pub fn names(properties: &Map, name: &str) -> bool {
    let listed = properties.get(SHARED_LOCKS).and_then(|locks| locks.as_array());
    listed.is_some_and(|locks| locks.iter().any(|lock| lock.as_str() == Some(name)))
}

/// Looks whether `properties/shared_locks` is a list of names, if it is there.
///
/// # Errors
/// What it has to be.
pub fn check(properties: &Map) -> Result<(), String> {
    let Some(listed) = properties.get(SHARED_LOCKS) else { return Ok(()) };
    let fits = |locks: &Vec<serde_json::Value>| locks.len() <= MAX_NAMED && locks.iter().all(|lock| lock.as_str().is_some_and(is_name));
    if listed.as_array().is_some_and(fits) {
        return Ok(());
    }
    Err(format!(
        "properties/{SHARED_LOCKS} is a list of at most {MAX_NAMED} names of locks, each of 1 to {MAX_NAME} printable ASCII characters \
         without spaces and slashes"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn properties(locks: serde_json::Value) -> Map {
        Map::from_iter([(SHARED_LOCKS.to_owned(), locks)])
    }

    #[test]
    fn a_record_names_locks_by_a_bounded_list_of_plain_names() {
        assert_eq!(check(&Map::new()), Ok(()));
        let good = properties(json!(["chassis-4", "rack:7.b"]));
        assert_eq!(check(&good), Ok(()));
        assert!(names(&good, "chassis-4") && !names(&good, "chassis") && !names(&Map::new(), "chassis-4"));
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        let bad = [
            json!("chassis"),
            json!([1]),
            json!([""]),
            json!(["a b"]),
            json!(["a/b"]),
            json!(["x".repeat(129)]),
            json!(["é"]),
            json!(many),
        ];
        for locks in bad {
            assert!(check(&properties(locks.clone())).is_err(), "{locks}");
        }
    }
}
