//! JSON bodies, read strictly: what two readers might understand in two ways is refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use wrought_domain::Map;

/// The first number that is too large for a whole number of 64 bits; JSON's readers disagree about what it is.
const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
/// The same below zero.
const TOO_SMALL: f64 = -9_223_372_036_854_775_808.0;

/// Reads a body.
///
/// # Errors
/// What is wrong with it and where: it is no JSON, a key is there twice, a text contains a NUL character, or a number is too large to
/// be kept as it is.
pub(crate) fn parse(body: &[u8]) -> Result<Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(body);
    let value = Strict.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

fn plain<E: Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(E::custom("a text contains a NUL character")) } else { Ok(()) }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if (TOO_SMALL..TOO_LARGE).contains(&value) { Ok(Value::from(value)) } else { Err(E::custom("a number is too large")) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        plain(text)?;
        Ok(Value::from(text))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        plain(&text)?;
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            plain(&key)?;
            if map.contains_key(&key) {
                let key: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format!("the key '{key}' is there twice")));
            }
            let value = entries.next_value_seed(Strict)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_as_it_is() {
        for text in [r#"{"a":[1,-2,3.5,null,true,"x\u00e9"],"b":{"":{}}}"#, "null", "18446744073709551615", "-9223372036854775808", "1e18"]
        {
            assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        assert_eq!(parse(b" [] ").unwrap(), json!([]));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for (text, why) in [
            (&br#"{"a":1,"a":2}"#[..], "the key 'a' is there twice"),
            (br#"[{"a":{"b":1,"b":1}}]"#, "the key 'b' is there twice"),
            (br#"{"a":"x\u0000y"}"#, "NUL"),
            (br#"{"\u0000":1}"#, "NUL"),
            (b"18446744073709551616", "too large"),
            (b"-9223372036854775809e1", "too large"),
            (b"1e400", "out of range"),
            (b"NaN", "expected"),
            (b"[Infinity]", "expected"),
            (br#""\ud800""#, "hex escape"),
            (b"\"\xff\"", "unicode"),
            (b"{} {}", "trailing"),
            (b"", "EOF"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{}: {error}", String::from_utf8_lossy(text));
        }
    }
}
