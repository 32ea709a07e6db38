//! Secrets by name: filled in on the way out, taken out of what comes back.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::error::{HardwareError, Kind};

/// What a reference begins with.
const PREFIX: &str = "secret-ref:";
/// What stands where a secret was.
const MASK: &str = "******";
/// Shorter texts are not looked for: too much would be masked that is none of them.
const SHORTEST: usize = 4;
/// The same of a part of a URL's query, such as the date of a signature.
const SHORTEST_PART: usize = 8;
/// Longer texts, such as a config drive, are looked for as they are only: they are encoded already.
const LONGEST_ENCODED: usize = 64 << 10;

/// Secrets by name. A driver knows the names only. Others have no name: they are taken out of what comes back, and cannot be
/// filled in.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    /// All that betrays a secret, the longest first.
    forms: Vec<SecretString>,
    /// What secrets begin with that are not known one by one.
    beginnings: Vec<&'static str>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// The reference to the secret `name`, to stand where its value belongs, as a whole JSON string.
    pub fn reference(name: &str) -> String {
        format!("{PREFIX}{name}")
    }

    /// The name in a text that is a reference.
    pub fn name(text: &str) -> Option<&str> {
        text.strip_prefix(PREFIX)
    }

    /// Whether there may be a reference in a text.
    pub fn within(text: &str) -> bool {
        text.contains(PREFIX)
    }

    /// Has what begins with `beginning` taken out of what comes back, up to the first character that is no letter, digit, `-` or `_`.
    pub fn hide_all_from(&mut self, beginning: &'static str) {
        self.beginnings.push(beginning);
    }

    /// Adds the secret `name`, or replaces it.
    pub fn insert(&mut self, name: impl Into<String>, value: SecretString) {
        self.hide(value.expose_secret());
        self.values.insert(name.into(), value);
    }

    /// Has `secret` taken out of what comes back; of a URL its account and what its query says, too.
    pub fn hide(&mut self, secret: &str) {
        self.forms.extend(forms(secret));
        for part in parts(secret) {
            self.forms.extend(forms(&part));
        }
        self.forms.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
    }

    /// Puts the values where their references are. `not-found` when a reference names none of them; `value` is then
    /// filled in part and must not be sent.
    pub fn fill(&self, value: &mut Value) -> Result<(), HardwareError> {
        match value {
            Value::String(text) => {
                if let Some(name) = text.strip_prefix(PREFIX) {
                    let unknown =
                        || HardwareError::new(Kind::NotFound, "secret.Unknown", "a secret reference names no secret of this call");
                    *text = self.values.get(name).ok_or_else(unknown)?.expose_secret().to_owned();
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill(item)),
            Value::Object(map) => map.values_mut().try_for_each(|item| self.fill(item)),
            _ => Ok(()),
        }
    }

    /// Takes the values out: a string that is one becomes its reference again, within other strings it is masked,
    /// in names of members too.
    pub fn scrub(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.scrub_whole(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.scrub(item)),
            Value::Object(map) => {
                if map.keys().any(|key| self.betrays(key)) {
                    *map = std::mem::take(map).into_iter().map(|(key, item)| (self.scrub_text(&key), item)).collect();
                }
                map.values_mut().for_each(|item| self.scrub(item));
            }
            _ => {}
        }
    }

    /// `text` with every secret masked: as it is, in base64 (also within a larger one), percent-encoded, or escaped as in JSON.
    pub fn scrub_text(&self, text: &str) -> String {
        let found = self.forms.iter().map(ExposeSecret::expose_secret).filter(|form| text.contains(form));
        let text = found.fold(text.to_owned(), |text, form| text.replace(form, MASK));
        self.beginnings.iter().fold(text, |text, beginning| masked_from(text, beginning))
    }

    fn scrub_whole(&self, text: &str) -> String {
        let named = self.values.iter().find(|(_, value)| !text.is_empty() && value.expose_secret() == text);
        named.map_or_else(|| self.scrub_text(text), |(name, _)| Self::reference(name))
    }

    fn betrays(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form.expose_secret())) || self.beginnings.iter().any(|part| text.contains(part))
    }
}

fn masked_from(text: String, beginning: &str) -> String {
    if !text.contains(beginning) {
        return text;
    }
    let mut parts = text.split(beginning);
    let first = parts.next().unwrap_or_default().to_owned();
    let of_secret = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    parts.fold(first, |text, part| text + MASK + part.trim_start_matches(of_secret))
}

/// What is secret in a URL, which may come back without the rest of it.
fn parts(secret: &str) -> Vec<String> {
    let Some(url) = secret.contains("://").then(|| Url::parse(secret).ok()).flatten() else { return Vec::new() };
    let query = url.query().map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
    let password = url.password().map(str::to_owned);
    query.into_iter().chain(values).chain(password).filter(|part| part.len() >= SHORTEST_PART).collect()
}

fn forms(secret: &str) -> Vec<SecretString> {
    if secret.len() > LONGEST_ENCODED {
        return vec![secret.into()];
    }
    let escaped = serde_json::to_string(secret).unwrap_or_default();
    let mut forms =
        vec![secret.to_owned(), utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(), escaped.trim_matches('"').to_owned()];
    // In a larger base64 text the secret begins at one of three places of a group; its first and last
    // character may also hold bits of the neighbours.
    for shift in 0..3 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(secret.as_bytes());
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            let end = bytes.len() * 8 / 6;
            let begin = (shift * 8).div_ceil(6);
            forms.extend(encoded.get(begin..end).map(str::to_owned));
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.sort();
    forms.dedup();
    forms.into_iter().map(SecretString::from).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert("config-drive", "H4sIAA+canary/one==".into());
        secrets.insert("password", "hunter\"2 canary".into());
        secrets
    }

    #[test]
    fn references_are_filled_and_come_back_as_references() {
        let sent = json!({"configdrive": "secret-ref:config-drive", "list": [{"p": "secret-ref:password"}], "n": 1, "text": "no secret-ref:password"});
        let mut body = sent.clone();
        secrets().fill(&mut body).unwrap();
        assert_eq!(body["configdrive"], "H4sIAA+canary/one==");
        assert_eq!(body["list"][0]["p"], "hunter\"2 canary");
        assert_eq!(body["text"], "no secret-ref:password", "only whole strings are references");
        secrets().scrub(&mut body);
        assert_eq!(body, sent);
    }

    #[test]
    fn an_unknown_reference_is_refused() {
        let error = secrets().fill(&mut json!(["secret-ref:bmc-password"])).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::NotFound, "secret.Unknown"));
    }

    #[test]
    fn a_secret_is_found_in_every_usual_form() {
        let secret = "hunter\"2 canary";
        for leak in [
            format!("failed: {secret}!"),
            STANDARD.encode(secret),
            STANDARD.encode(format!("admin:{secret}")),
            URL_SAFE_NO_PAD.encode(format!("x{secret}y")),
            STANDARD.encode(format!("xy{secret} and more")),
            format!("https://h/?p={}", utf8_percent_encode(secret, NON_ALPHANUMERIC)),
            json!({ "p": secret }).to_string(),
        ] {
            let clean = secrets().scrub_text(&leak);
            assert!(clean.contains(MASK) && !clean.contains("canary"), "{leak} -> {clean}");
        }
        let mut keyed = json!({"hunter\"2 canary": {"deep": ["say hunter\"2 canary"]}});
        secrets().scrub(&mut keyed);
        assert_eq!(keyed, json!({"******": {"deep": ["say ******"]}}));
        assert_eq!(secrets().scrub_text("nothing here"), "nothing here");
    }

    #[test]
    fn what_begins_like_a_secret_is_taken_out() {
        let mut secrets = secrets();
        secrets.hide_all_from("wsig-");
        assert_eq!(secrets.scrub_text("GET /a?s=wsig-0a_9-f&b=1 and wsig-1, wsig-"), "GET /a?s=******&b=1 and ******, ******");
        assert_eq!(secrets.scrub_text("nothing here"), "nothing here");
        let mut keyed = json!({"x wsig-12 y": 1});
        secrets.scrub(&mut keyed);
        assert_eq!(keyed, json!({"x ****** y": 1}));
    }

    #[test]
    fn a_hidden_secret_is_taken_out_and_never_filled_in() {
        let mut secrets = secrets();
        secrets.hide("https://user:passw0rd@h/a.iso?sig=a%2Bcanary-sig&x=1");
        for leak in [
            "https://user:passw0rd@h/a.iso?sig=a%2Bcanary-sig&x=1",
            "GET /a.iso?sig=a%2Bcanary-sig&x=1 403",
            "bad a+canary-sig",
            "passw0rd",
        ] {
            let clean = secrets.scrub_text(leak);
            assert!(clean.contains(MASK) && !clean.contains("canary") && !clean.contains("passw0rd"), "{leak} -> {clean}");
        }
        let mut body = json!("bad a+canary-sig");
        secrets.scrub(&mut body);
        assert_eq!(body, json!("bad ******"));
        assert_eq!(format!("{secrets:?}"), r#"{"config-drive", "password"}"#);
        let long = "x".repeat(LONGEST_ENCODED + 1);
        secrets.hide(&long);
        assert_eq!(secrets.scrub_text(&format!("<{long}>")), "<******>");
    }
}
