//! Documents and numbers, from Rust to the database and back.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// The JSON text of a value.
pub(crate) fn write<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Unwritable(what))
}

/// The value of a JSON text. The error tells the place only: the text may hold secrets.
pub(crate) fn read<T: DeserializeOwned>(what: &'static str, id: impl ToString, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| unreadable(what, id, format!("{:?} error at column {}", e.classify(), e.column())))
}

/// The value of a name kept in a column.
pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|e: T::Err| unreadable(what, "in a column", e.to_string()))
}

fn unreadable(what: &'static str, id: impl ToString, cause: String) -> StoreError {
    StoreError::Unreadable { what, id: id.to_string(), cause }
}

/// The moment of a column.
pub(crate) fn moment(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}

/// A number for the database, whose integers are signed.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of the database that is never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
