//! Files that an operator uploads for drivers to hand on: firmware, profiles.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Hexadecimal digits that the beginning of a digest has at least, where one is taken for the whole.
const SHORTEST_PREFIX: usize = 8;

/// The name of an artifact, fit for a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactName(String);

/// A text that is no [`ArtifactName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("artifact name {0:?}: use 1 to 64 of letters, digits, '.', '_' and '-', not beginning with '.'")]
pub struct InvalidArtifactName(String);

impl ArtifactName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactName {
    type Err = InvalidArtifactName;

    fn from_str(text: &str) -> Result<Self, InvalidArtifactName> {
        let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = (1..=64).contains(&text.len()) && !text.starts_with('.') && text.chars().all(fit);
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidArtifactName(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = InvalidArtifactName;

    fn try_from(text: String) -> Result<Self, InvalidArtifactName> {
        text.parse()
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> Self {
        name.0
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The artifacts that a text names: those of a name, or of digests that begin with it, `sha256:` first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichArtifact {
    /// The one of this name.
    Named(ArtifactName),
    /// Those whose digests begin with this, at least 8 digits.
    Digested(String),
}

/// A text that names no artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("artifact {0:?}: give its name, or \"sha256:\" and at least {SHORTEST_PREFIX} digits of its digest")]
pub struct InvalidWhich(String);

impl FromStr for WhichArtifact {
    type Err = InvalidWhich;

    fn from_str(text: &str) -> Result<Self, InvalidWhich> {
        let invalid = || InvalidWhich(text.chars().take(80).collect());
        match text.strip_prefix("sha256:") {
            Some(hex) if (SHORTEST_PREFIX..=64).contains(&hex.len()) && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) => {
                Ok(Self::Digested(text.to_owned()))
            }
            Some(_) => Err(invalid()),
            None => text.parse().map(Self::Named).map_err(|_| invalid()),
        }
    }
}

impl WhichArtifact {
    /// Whether it names the artifact of this name and digest.
    pub fn is(&self, name: &ArtifactName, digest: &Digest) -> bool {
        match self {
            Self::Named(named) => named == name,
            Self::Digested(prefix) => digest.as_str().starts_with(prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_fit_for_files() {
        for good in ["a", "nic-fw_1.2.bin", "A.9", &"x".repeat(64)] {
            assert!(good.parse::<ArtifactName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä", "a\n", "sha256:12345678", "%2e", &"x".repeat(65)] {
            assert!(bad.parse::<ArtifactName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_artifact_is_named_or_digested() {
        let (name, digest) = ("fw.bin".parse().unwrap(), Digest::from_sha256([0xab; 32]));
        let is = |which: &str| which.parse::<WhichArtifact>().unwrap().is(&name, &digest);
        assert!(is("fw.bin") && is("sha256:abababab") && is(digest.as_str()));
        assert!(!is("fw") && !is("sha256:abababac") && !is("abababab"));
        for bad in ["sha256:", "sha256:abab", "sha256:ABABABAB", "sha256:zzzzzzzz", "../x", ""] {
            assert!(bad.parse::<WhichArtifact>().is_err(), "{bad}");
        }
    }
}
