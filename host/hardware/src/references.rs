//! Secrets that are kept elsewhere: `file:/path` and `env:NAME` in place of a value, read at each use and never stored.
//!
//! | form | accepted when |
//! |---|---|
//! | `file:/absolute/path` | the path, its links followed, leads below one of `[secrets] file_roots` |
//! | `env:NAME` | `NAME` begins with `[secrets] env_prefix` |
//!
//! Whoever may write nodes chooses these texts, so all else is refused, and a refusal does not tell whether the file is there.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wrought_domain::mask::is_secret;
use wrought_domain::reference::Reference;

use crate::error::{HardwareError, Kind};

/// The longest secret, in bytes.
const LONGEST: u64 = 64 << 10;

/// `[secrets]`: where values of nodes may refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// Folders below which `file:/path` may lead, as absolute paths. Default none: no file is read.
    pub file_roots: Vec<PathBuf>,
    /// What the name of a variable begins with that `env:NAME` may name. Empty: none is read.
    pub env_prefix: String,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        Self { file_roots: Vec::new(), env_prefix: "WROUGHT_SECRET_".into() }
    }
}

/// Resolves references by `[secrets]`.
#[derive(Debug, Clone, Default)]
pub struct References {
    config: SecretsConfig,
}

impl References {
    /// By these settings.
    pub fn new(config: SecretsConfig) -> Self {
        Self { config }
    }

    /// The secret that `text`, the value of `key`, refers to, or `text` itself when it is no reference. `invalid-parameter` when
    /// it is one that is not allowed or leads to nothing; the error names key and reference, never the content.
    pub fn resolve(&self, key: &str, text: &str) -> Result<SecretString, HardwareError> {
        match Reference::of(text) {
            None => Ok(text.into()),
            Some(Reference::File(path)) => self.file(path).map_err(|why| refused(key, &format!("file:{path}"), &why)),
            Some(Reference::Env(name)) => self.variable(name).map_err(|why| refused(key, &format!("env:{name}"), &why)),
        }
    }

    /// `map` with what its secrets refer to in their places, at any depth, names of accounts among them. For use at once: the
    /// result is not to be stored or shown.
    pub fn resolved<'m>(&self, map: &'m Map<String, Value>) -> Result<Cow<'m, Map<String, Value>>, HardwareError> {
        if !refers(map) {
            return Ok(Cow::Borrowed(map));
        }
        let mut map = map.clone();
        self.resolve_within(&mut map)?;
        Ok(Cow::Owned(map))
    }

    /// The same, for looking for secrets: a reference that leads to nothing stays as it is and hinders no other.
    pub fn resolved_singly<'m>(&self, map: &'m Map<String, Value>) -> Cow<'m, Map<String, Value>> {
        if !refers(map) {
            return Cow::Borrowed(map);
        }
        let mut map = map.clone();
        self.resolve_singly_within(&mut map);
        Cow::Owned(map)
    }

    fn resolve_within(&self, map: &mut Map<String, Value>) -> Result<(), HardwareError> {
        for (key, value) in map {
            match value {
                Value::String(text) if may_refer(key) && Reference::of(text).is_some() => {
                    *text = self.resolve(key, text)?.expose_secret().to_owned();
                }
                Value::Object(inner) => self.resolve_within(inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn resolve_singly_within(&self, map: &mut Map<String, Value>) {
        for (key, value) in map {
            match value {
                Value::String(text) if may_refer(key) && Reference::of(text).is_some() => {
                    if let Ok(secret) = self.resolve(key, text) {
                        *text = secret.expose_secret().to_owned();
                    }
                }
                Value::Object(inner) => self.resolve_singly_within(inner),
                _ => {}
            }
        }
    }

    fn variable(&self, name: &str) -> Result<SecretString, String> {
        let prefix = &self.config.env_prefix;
        if prefix.is_empty() {
            return Err("no variable may be named ([secrets] env_prefix is empty)".into());
        }
        if !name.starts_with(prefix.as_str()) {
            return Err(format!("only variables whose name begins with {prefix} may be named ([secrets] env_prefix)"));
        }
        match std::env::var(name).map(Zeroizing::new) {
            Ok(value) if value.is_empty() => Err("the variable is empty; set it where the host is started".into()),
            Ok(value) => fit(&value),
            Err(std::env::VarError::NotPresent) => Err("there is no such variable; set it where the host is started".into()),
            Err(std::env::VarError::NotUnicode(_)) => Err("the variable is not text in UTF-8".into()),
        }
    }

    fn file(&self, path: &str) -> Result<SecretString, String> {
        let path = self.allowed(Path::new(path))?;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => "the host's user may not read it".into(),
            kind => format!("reading it failed: {kind}"),
        };
        // Before it is opened: opening a pipe would wait for its other end.
        if !path.metadata().map_err(failed)?.is_file() {
            return Err("it is not a file".into());
        }
        let mut bytes = Zeroizing::new(Vec::new());
        File::open(&path).map_err(failed)?.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is not text in UTF-8".to_owned())?;
        fit(text)
    }

    /// The file itself, when it lies below a root.
    fn allowed(&self, path: &Path) -> Result<PathBuf, String> {
        let roots = &self.config.file_roots;
        if roots.is_empty() {
            return Err("no file may be named; list the folders of secrets in [secrets] file_roots".into());
        }
        let outside = || "it does not lead below one of [secrets] file_roots".to_owned();
        let plain = path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        // By its words first: of files elsewhere it is not even told whether they are there.
        if !plain || !roots.iter().any(|root| path.starts_with(root)) {
            return Err(outside());
        }
        let file = path.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "the host's user may not read it".into(),
            _ => outside(),
        })?;
        let below = roots.iter().filter_map(|root| root.canonicalize().ok()).any(|root| file.starts_with(root));
        if below { Ok(file) } else { Err(outside()) }
    }
}

/// Whether the value of this key may be a reference.
fn may_refer(key: &str) -> bool {
    is_secret(key) || key.to_ascii_lowercase().ends_with("username")
}

fn refers(map: &Map<String, Value>) -> bool {
    map.iter().any(|(key, value)| match value {
        Value::String(text) => may_refer(key) && Reference::of(text).is_some(),
        Value::Object(inner) => refers(inner),
        _ => false,
    })
}

fn fit(text: &str) -> Result<SecretString, String> {
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST) {
        return Err(format!("it is longer than {} KiB", LONGEST >> 10));
    }
    if text.is_empty() {
        return Err("it is empty".into());
    }
    Ok(text.into())
}

fn refused(key: &str, reference: &str, why: &str) -> HardwareError {
    let shown = crate::http::tame(reference, 256);
    HardwareError::new(Kind::InvalidParameter, "secret.Reference", format!("{key}: {shown}: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    fn references(dir: &tempfile::TempDir) -> References {
        References::new(SecretsConfig { file_roots: vec![dir.path().join("roots")], env_prefix: "CARGO_PKG_".into() })
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("roots/deep")).unwrap();
        std::fs::write(dir.path().join("roots/bmc"), "hunter2\n").unwrap();
        std::fs::write(dir.path().join("outside"), "canary").unwrap();
        dir
    }

    #[test]
    fn files_below_a_root_and_variables_with_the_prefix_are_read_at_each_use() {
        let dir = folder();
        let (references, file) = (references(&dir), dir.path().join("roots/bmc"));
        let of = |text: &str| references.resolve("redfish_password", text).unwrap().expose_secret().to_owned();
        assert_eq!(of(&format!("file:{}", file.display())), "hunter2");
        std::fs::write(&file, "changed").unwrap();
        assert_eq!(of(&format!("file:{}", file.display())), "changed");
        assert_eq!(of("env:CARGO_PKG_NAME"), "wrought-hardware");
        assert_eq!(of("plain:text"), "plain:text");
        symlink(&file, dir.path().join("roots/deep/link")).unwrap();
        assert_eq!(of(&format!("file:{}", dir.path().join("roots/deep/link").display())), "changed");
    }

    #[test]
    fn all_else_is_an_error_that_says_what_is_accepted_and_nothing_of_the_file() {
        let dir = folder();
        let at = |name: &str| format!("file:{}", dir.path().join(name).display());
        symlink(dir.path().join("outside"), dir.path().join("roots/escape")).unwrap();
        symlink(dir.path(), dir.path().join("roots/up")).unwrap();
        std::fs::write(dir.path().join("roots/long"), "x".repeat(70_000)).unwrap();
        std::fs::write(dir.path().join("roots/binary"), [0xff, 0xfe]).unwrap();
        std::fs::write(dir.path().join("roots/empty"), "\n").unwrap();
        let outside = "does not lead below one of [secrets] file_roots";
        for (reference, why) in [
            (at("outside"), outside),
            (at("nothing"), outside),
            (at("roots/../outside"), outside),
            (at("roots/escape"), outside),
            (at("roots/up/outside"), outside),
            (at("roots-not"), outside),
            ("file:roots/bmc".into(), outside),
            ("file:".into(), outside),
            ("file://etc/passwd".into(), outside),
            (at("roots/nothing"), "there is no such file"),
            (at("roots/deep"), "it is not a file"),
            (at("roots/long"), "longer than 64 KiB"),
            (at("roots/binary"), "not text"),
            (at("roots/empty"), "it is empty"),
            ("env:PATH".into(), "begins with CARGO_PKG_"),
            ("env:CARGO_PKG_NO_SUCH".into(), "there is no such variable"),
        ] {
            let error = references(&dir).resolve("redfish_password", &reference).unwrap_err();
            assert_eq!((error.kind, error.code.as_str()), (Kind::InvalidParameter, "secret.Reference"));
            let text = error.message;
            assert!(text.starts_with("redfish_password: ") && text.contains(&reference) && text.contains(why), "{reference}: {text}");
            assert!(!text.contains("canary") && !text.contains("xxxx"), "{text}");
        }
        let off = References::default();
        let text = off.resolve("k", &at("roots/bmc")).unwrap_err().message;
        assert!(text.contains("[secrets] file_roots"), "{text}");
        let empty = References::new(SecretsConfig { env_prefix: String::new(), ..SecretsConfig::default() });
        assert!(empty.resolve("k", "env:PATH").unwrap_err().message.contains("env_prefix is empty"));
    }

    #[test]
    fn only_secrets_and_names_of_accounts_may_refer() {
        let dir = folder();
        let info = json!({
            "redfish_username": "env:CARGO_PKG_NAME", "nested": {"snmp_auth_key": "env:CARGO_PKG_NAME"},
            "deploy_iso": "file:/etc/passwd", "redfish_address": "env:CARGO_PKG_NAME"
        });
        let info = info.as_object().unwrap();
        let references = references(&dir);
        let resolved = references.resolved(info).unwrap();
        assert_eq!(
            (&resolved["redfish_username"], &resolved["nested"]["snmp_auth_key"]),
            (&json!("wrought-hardware"), &json!("wrought-hardware"))
        );
        assert_eq!((&resolved["deploy_iso"], &resolved["redfish_address"]), (&info["deploy_iso"], &info["redfish_address"]));
        let none = json!({"redfish_password": "plain"});
        assert!(matches!(references.resolved(none.as_object().unwrap()).unwrap(), Cow::Borrowed(_)));
    }
}
