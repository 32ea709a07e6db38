//! Secrets by name: filled in on the way out, taken out of what comes back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::echo::{self, LONGEST_ENCODED, SHORTEST, Search};
use crate::error::{HardwareError, Kind};

/// What a reference begins with.
const PREFIX: &str = "secret-ref:";
/// What stands where a secret was.
const MASK: &str = "******";
/// Texts that are looked for, at most; nobody's node has so many secrets.
const MOST: usize = 512;
/// Bytes of those that are looked for in other forms, too.
const MOST_BYTES: usize = 512 << 10;
/// Bytes by which references may make a text larger, beyond each secret once.
const MOST_FILLED: usize = 1 << 20;

/// Secrets by name. A driver knows the names only. Others have no name: they are taken out of what comes back, and cannot be
/// filled in.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    /// What is taken out, whatever form it has.
    hidden: Vec<SecretString>,
    /// Bytes of those of `hidden` that are looked for in other forms.
    bytes: usize,
    /// There is more to hide than can be looked for.
    too_many: bool,
    /// What secrets begin with that are not known one by one.
    beginnings: Vec<&'static str>,
    /// For all that is hidden, made when it is needed first; nothing where that is too much.
    search: OnceLock<Option<Arc<Search>>>,
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

    /// Has `secret` taken out of what comes back, and what of it is secret by itself: the account and the query of a URL, what follows
    /// the scheme of a credential such as `Bearer token`. Where there are more than 512 such texts, or they have more than 512 KiB,
    /// every text counts as secret.
    pub fn hide(&mut self, secret: &str) {
        self.look_for(secret);
        echo::parts(secret).iter().for_each(|part| self.look_for(part));
    }

    fn look_for(&mut self, text: &str) {
        if text.len() < SHORTEST {
            return;
        }
        let bytes = self.bytes.saturating_add(if text.len() > LONGEST_ENCODED { 0 } else { text.len() });
        self.search = OnceLock::new();
        if self.hidden.len() >= MOST || bytes > MOST_BYTES {
            self.too_many = true;
            return;
        }
        self.bytes = bytes;
        self.hidden.push(text.into());
    }

    /// Whether there is more to hide than can be looked for, so that every text counts as secret.
    pub fn hides_all(&self) -> bool {
        self.too_many
    }

    fn search(&self) -> Option<&Search> {
        let made = || Search::of(self.hidden.iter().map(ExposeSecret::expose_secret)).map(Arc::new);
        self.search.get_or_init(|| (!self.too_many).then(made).flatten()).as_deref()
    }

    /// Puts the values where their references are. `not-found` when a reference names none of them, `limit-exceeded` when `value` gets
    /// much larger than by each secret once; it is then filled in part and must not be sent.
    pub fn fill(&self, value: &mut Value) -> Result<(), HardwareError> {
        let once = self.values.values().map(|value| value.expose_secret().len()).sum::<usize>();
        self.fill_within(value, &mut once.saturating_add(MOST_FILLED))
    }

    fn fill_within(&self, value: &mut Value, room: &mut usize) -> Result<(), HardwareError> {
        match value {
            Value::String(text) => {
                if let Some(name) = text.strip_prefix(PREFIX) {
                    let unknown =
                        || HardwareError::new(Kind::NotFound, "secret.Unknown", "a secret reference names no secret of this call");
                    let secret = self.values.get(name).ok_or_else(unknown)?.expose_secret();
                    let too_much =
                        || HardwareError::new(Kind::LimitExceeded, "secret.TooMuch", "the secret references make the body too large");
                    *room = room.checked_sub(secret.len()).ok_or_else(too_much)?;
                    *text = secret.to_owned();
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill_within(item, room)),
            Value::Object(map) => map.values_mut().try_for_each(|item| self.fill_within(item, room)),
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
        match self.search() {
            Some(search) => echo::masked(text, &search.spans(text, &self.beginnings), MASK),
            None if text.is_empty() => String::new(),
            None => MASK.to_owned(),
        }
    }

    fn scrub_whole(&self, text: &str) -> String {
        let named = self.values.iter().find(|(_, value)| !text.is_empty() && value.expose_secret() == text);
        named.map_or_else(|| self.scrub_text(text), |(name, _)| Self::reference(name))
    }

    fn betrays(&self, text: &str) -> bool {
        self.search().is_none_or(|search| !search.spans(text, &self.beginnings).is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
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

    #[test]
    fn the_usual_echoes_of_a_credential_are_found() {
        let mut secrets = Secrets::default();
        secrets.insert("token", "Bearer canary-token".into());
        secrets.insert("basic", format!("Basic {}", STANDARD.encode("admin:pass+word/1")).into());
        secrets.hide("https://files/a?sig=x");
        for leak in
            ["bad token canary-token", "user admin:pass+word/1", "the password pass+word/1 is wrong", "Basic YWRtaW46cGFzcyt3b3JkLzE="]
        {
            let clean = secrets.scrub_text(leak);
            assert!(
                clean.contains(MASK) && !clean.contains("canary") && !clean.contains("word/1") && !clean.contains("YWRtaW46"),
                "{leak} -> {clean}"
            );
        }
        let mut short = Secrets::default();
        short.hide("Token abc");
        assert_eq!(short.scrub_text("abc Token abc"), "abc ******", "what is short is no secret by itself");
    }

    #[test]
    fn a_secret_is_found_as_real_encoders_write_it() {
        let mut secrets = Secrets::default();
        secrets.hide("Ab-._~/c+d e\"f\u{e9}=canary");
        for leak in [
            // RFC 3986, encodeURIComponent; a path; a form; lower case; twice.
            "x=Ab-._~%2Fc%2Bd%20e%22f%C3%A9%3Dcanary&y",
            "/Ab-._~/c+d%20e%22f%C3%A9=canary/y",
            "Ab-._%7E%2Fc%2Bd+e%22f%C3%A9%3Dcanary",
            "Ab-._~%2fc%2bd%20e%22f%c3%a9%3dcanary",
            "Ab-._~%252Fc%252Bd%2520e%2522f%25C3%25A9%253Dcanary",
            // JSON of PHP, of Python, and within a text of JSON.
            r#"{"a": "Ab-._~\/c+d e\"f\u00e9=canary"}"#,
            r#"{"a": "{\"b\": \"Ab-._~\\/c+d e\\\"f\\u00E9=canary\"}"}"#,
        ] {
            let clean = secrets.scrub_text(leak);
            assert!(clean.contains(MASK) && !clean.contains("canary") && !clean.contains("Ab-"), "{leak} -> {clean}");
        }
        assert_eq!(secrets.scrub_text("100%, 5 + 5 \\o/ \u{e9}\\u00"), "100%, 5 + 5 \\o/ \u{e9}\\u00");
    }

    #[test]
    fn what_is_too_much_to_look_for_lets_nothing_through() {
        let mut secrets = Secrets::default();
        (0..40_000).for_each(|number| secrets.hide(&format!("canary-{number:06}")));
        assert_eq!(secrets.scrub_text("nothing secret"), MASK);
        let mut body = json!({"a": ["canary-039999"]});
        secrets.scrub(&mut body);
        assert!(!body.to_string().contains("canary"));
    }

    #[test]
    fn references_cannot_make_a_body_much_larger() {
        let mut secrets = Secrets::default();
        secrets.insert("config-drive", "x".repeat(1 << 20).into());
        secrets.fill(&mut json!(["secret-ref:config-drive"])).unwrap();
        let error = secrets.fill(&mut json!(vec!["secret-ref:config-drive"; 50])).unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::LimitExceeded, "secret.TooMuch"));
    }
}
