//! `artifact`: which files this driver may hand on, the URLs that its references stand for, and pushes to the controller.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wrought_domain::artifact::WhichArtifact;
use wrought_domain::{Digest, DriverError, ErrorKind, Map};
use wrought_drivers::capability::{Artifact, Authority as _};
use wrought_drivers::contract::artifact::Info;
use wrought_drivers::contract::redfish::Response;
use wrought_hardware::redfish::guest::path::Verb;
use wrought_hardware::secrets::Secrets;
use wrought_storage::Artifact as Stored;

use super::NodeWorld;
use crate::convert;
use crate::pushes::Errand;

/// What the name of a secret begins with that is the URL of an artifact: then come its digest and until when it may be used.
const NAME: &str = "artifact/";

/// Different URLs of artifacts in one request.
const MOST: usize = 16;

/// Seconds that a URL can be used at least: a machine must have time to begin.
const SHORTEST: u32 = 60;

fn missing() -> DriverError {
    DriverError::new(ErrorKind::NotFound, "artifact.NotFound", "there is no such artifact, or it was not granted to this driver")
}

/// What a reference says: bytes, and until when.
fn parsed(name: &str) -> Option<(Digest, i64)> {
    let (hex, expires) = name.strip_prefix(NAME)?.split_once('/')?;
    Some((format!("sha256:{hex}").parse().ok()?, expires.parse().ok()?))
}

/// The names of artifacts' URLs in `value`. `limit-exceeded` for more than [`MOST`], of which none is looked at.
fn names<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) -> Result<(), DriverError> {
    match value {
        Value::String(text) => found.extend(Secrets::name(text).filter(|name| name.starts_with(NAME))),
        Value::Array(items) => items.iter().try_for_each(|item| names(item, found))?,
        Value::Object(map) => map.values().try_for_each(|item| names(item, found))?,
        _ => {}
    }
    if found.len() > MOST {
        let text = format!("more than {MOST} different URLs of artifacts in one request");
        return Err(DriverError::new(ErrorKind::LimitExceeded, "artifact.TooMany", text));
    }
    Ok(())
}

impl NodeWorld {
    /// The artifacts that this driver may hand on.
    async fn artifacts(&self) -> Result<Vec<Stored>, DriverError> {
        let grants = self.grants();
        let scopes: Vec<WhichArtifact> = grants.scopes("artifact").filter_map(|scope| WhichArtifact::from_str(scope).ok()).collect();
        let whole = grants.scopes("artifact").next().is_none() && grants.allow_any("artifact");
        let all = self.conductor.0.store.artifacts().await.map_err(|error| convert::store_error(&error))?;
        Ok(all.into_iter().filter(|known| whole || scopes.iter().any(|scope| scope.is(&known.name, &known.digest))).collect())
    }

    /// `secrets`, and the URLs of artifacts to which `bodies` refer. A reference is worth no more than what the driver could ask for
    /// at this moment, because it may have been made up.
    ///
    /// # Errors
    /// `limit-exceeded` for more than 16 of them, `not-found` for an artifact that is gone or not granted, `denied` when `artifact.url`
    /// was not granted, or the time of a URL is over or was never allowed.
    pub(crate) async fn with_artifacts<'s>(
        &self,
        secrets: &'s Secrets,
        bodies: impl IntoIterator<Item = &Value>,
    ) -> Result<Cow<'s, Secrets>, DriverError> {
        let mut wanted = BTreeSet::new();
        for body in bodies {
            names(body, &mut wanted)?;
        }
        if wanted.is_empty() {
            return Ok(Cow::Borrowed(secrets));
        }
        if !self.grants().allow("artifact", "url") {
            let text = "the URL of an artifact takes artifact.url, which was not granted to this driver";
            return Err(DriverError::new(ErrorKind::Denied, "wrought.NotGranted", text));
        }
        let mut secrets = secrets.clone();
        let (artifacts, now) = (self.artifacts().await?, Timestamp::now().as_second());
        let files = &self.conductor.0.artifacts;
        let latest = now.saturating_add(i64::from(files.config.max_url_s));
        for name in wanted {
            let (digest, expires) =
                parsed(name).filter(|(digest, _)| artifacts.iter().any(|known| known.digest == *digest)).ok_or_else(missing)?;
            if expires <= now || expires > latest {
                let text = "the time of this artifact's URL is over, or longer than allowed; ask for a new one with artifact.url";
                return Err(DriverError::new(ErrorKind::Denied, "artifact.Expired", text));
            }
            secrets.insert(name, files.url(&digest, expires, self.node.uuid).into());
        }
        Ok(Cow::Owned(secrets))
    }
}

#[async_trait]
impl Artifact for NodeWorld {
    async fn find_artifact(&self, which: String) -> Result<Info, DriverError> {
        let wanted: WhichArtifact = which.parse().map_err(|_| missing())?;
        let found = self.artifacts().await?.into_iter().find(|known| wanted.is(&known.name, &known.digest)).ok_or_else(missing)?;
        let size_kib = u32::try_from(found.size.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        Ok(Info { digest: found.digest.to_string(), name: found.name.to_string(), size_kib })
    }

    async fn artifact_url(&self, digest: String, seconds: u32) -> Result<String, DriverError> {
        let longest = self.conductor.0.artifacts.config.max_url_s;
        if !(SHORTEST..=longest).contains(&seconds) {
            let text = format!("a URL of an artifact lasts {SHORTEST} to {longest} seconds");
            return Err(DriverError::new(ErrorKind::InvalidParameter, "artifact.InvalidTime", text));
        }
        let digest: Digest = digest.parse().map_err(|_| missing())?;
        if !self.artifacts().await?.iter().any(|known| known.digest == digest) {
            return Err(missing());
        }
        let until = Timestamp::now().checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX);
        let noted = self.conductor.0.store.note_artifact_url(&digest, until).await.map_err(|error| convert::store_error(&error))?;
        if noted { Ok(Secrets::reference(&format!("{NAME}{}/{}", digest.hex(), until.as_second()))) } else { Err(missing()) }
    }

    async fn push_artifact(&self, digest: String, path: String, parameters: Map) -> Result<String, DriverError> {
        if !self.grants().allow("redfish", "post") {
            let text = "to push a file to the controller takes redfish.post, which was not granted to this driver";
            return Err(DriverError::new(ErrorKind::Denied, "wrought.NotGranted", text));
        }
        let operation = self.holder()?;
        let digest: Digest = digest.parse().map_err(|_| missing())?;
        let found = self.artifacts().await?.into_iter().find(|known| known.digest == digest).ok_or_else(missing)?;
        let (guest, question) = self.question(Verb::Post, &path, Some(parameters)).await?;
        self.check_lock(&question).await?;
        let push = guest.push(question).await.map_err(|error| self.failed(error))?;
        let file = self.conductor.0.artifacts.read(&digest).await.map_err(|error| {
            tracing::error!(artifact = %found.name, %error, "an artifact cannot be read");
            DriverError::new(ErrorKind::Failed, "artifact.Unreadable", "the host cannot read this artifact; its log says more")
        })?;
        let (node, secrets) = (self.node.clone(), self.secrets.clone());
        self.conductor.push(Errand { node, operation, push, file, size: found.size, name: found.name.to_string(), secrets })
    }

    async fn artifact_pushed(&self, push: String) -> Result<Option<Response>, DriverError> {
        self.conductor.0.artifacts.pushes.outcome(&push, self.holder()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_says_which_bytes_and_until_when() {
        let digest = Digest::from_sha256([7; 32]);
        let name = format!("artifact/{}/1700000000", digest.hex());
        assert_eq!(parsed(&name), Some((digest, 1_700_000_000)));
        for wrong in ["artifact/", "artifact/07/1", "config-drive", "artifact/../1", &name.replace("1700000000", ""), &format!("{name}/x")]
        {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
        let body =
            json!({"a": [Secrets::reference(&name), "secret-ref:config-drive"], "b": format!("x {name}"), "c": Secrets::reference(&name)});
        let mut found = BTreeSet::new();
        names(&body, &mut found).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [name]);
    }

    #[test]
    fn a_body_refers_to_few_artifacts() {
        let many = |count: usize| json!((0..count).map(|time| format!("secret-ref:artifact/07/{time}")).collect::<Vec<_>>());
        names(&many(MOST), &mut BTreeSet::new()).unwrap();
        for count in [MOST + 1, 40_000] {
            let (body, mut found) = (many(count), BTreeSet::new());
            let error = names(&body, &mut found).unwrap_err();
            assert_eq!((error.kind, error.code.as_str(), found.len()), (ErrorKind::LimitExceeded, "artifact.TooMany", MOST + 1));
        }
    }
}
