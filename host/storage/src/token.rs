//! Tokens by which callers of the API prove who they are. A token itself is shown once and never kept: the SHA-256 of 32 random bytes
//! tells as much as a salted hash would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use wrought_domain::{Principal, Role};

use crate::error::is_unique_violation;
use crate::{AuditRecord, Duplicate, Store, StoreError, audit, document};

/// What every token begins with, so that one that was left lying somewhere can be found.
pub const TOKEN_PREFIX: &str = "wrought_";

/// Tokens that may be in force at a time.
const MAX_LIVE: i64 = 10_000;
/// Revoked tokens that are remembered, the latest ones.
const MAX_REVOKED: i64 = 1000;
/// The longest name of a token or a project, in bytes.
const MAX_NAME: usize = 64;
const MAX_PROJECT: usize = 255;
/// Users that the host itself writes into the audit.
const TAKEN: [&str; 5] = ["agent", "local", "noauth", "nobody", "wrought"];

/// A token that is in force, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Its name, which is the user's in the audit. No two tokens in force share one.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Within which project; nothing for everything.
    pub project: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Until when it is in force.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to within a minute or so.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is not in force any more.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether it is in force.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whoever shows it.
    pub fn principal(&self) -> Principal {
        Principal { user: self.name.clone(), project: self.project.clone(), roles: vec![self.role.to_string()], source: None }
    }
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    name: String,
    role: Role,
    project: Option<String>,
    expires_at: Option<Timestamp>,
}

/// Why no token can be made like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitToken {
    /// The name stands in paths and in the audit.
    #[error("a token's name has 1 to {MAX_NAME} letters, digits, '.', '_' or '-', begins with a letter or digit, and is none of {}", TAKEN.join(", "))]
    Name,
    /// The project is compared with `owner` and `lessee` of nodes.
    #[error("a project has 1 to {MAX_PROJECT} characters on one line")]
    Project,
    /// It would never be in force.
    #[error("a token must expire in the future")]
    Expired,
}

impl NewToken {
    /// A token of this name, for `role` within `project` or everything.
    ///
    /// # Errors
    /// [`UnfitToken`].
    pub fn new(name: &str, role: Role, project: Option<String>, expires_at: Option<Timestamp>) -> Result<Self, UnfitToken> {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !plain || !begins || name.len() > MAX_NAME || TAKEN.contains(&name) {
            return Err(UnfitToken::Name);
        }
        if project.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_PROJECT || text.contains(char::is_control)) {
            return Err(UnfitToken::Project);
        }
        if expires_at.is_some_and(|end| end <= Timestamp::now()) {
            return Err(UnfitToken::Expired);
        }
        Ok(Self { name: name.to_owned(), role, project, expires_at })
    }
}

/// Counts revocations, for those who remember tokens.
#[derive(Debug, Default)]
pub(crate) struct Forgotten(AtomicU64);

/// The SHA-256 of a token.
pub fn token_digest(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

fn new_secret() -> Result<String, StoreError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoreError::Unsealable("token"))?;
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn record(who: &Principal, verb: &str, name: &str, detail: serde_json::Value) -> AuditRecord {
    AuditRecord {
        at: Timestamp::now(),
        principal: who.user.clone(),
        source: who.source.map(|source| source.to_string()),
        verb: verb.to_owned(),
        object: format!("token/{name}"),
        outcome: "done".into(),
        reason: String::new(),
        detail,
    }
}

type Row = (i64, String, String, Option<String>, i64, String, Option<i64>, Option<i64>, Option<i64>);

const COLUMNS: &str = "id, name, role, project, created_at, created_by, expires_at, last_used_at, revoked_at";

fn token(row: Row) -> Result<Token, StoreError> {
    let (id, name, role, project, created_at, created_by, expires_at, last_used_at, revoked_at) = row;
    let unreadable = |cause: String| StoreError::Unreadable { what: "token", id: name.clone(), cause };
    let role = role.parse().map_err(|error: wrought_domain::principal::UnknownRole| unreadable(error.to_string()))?;
    let moment = |at: Option<i64>| at.map(document::moment);
    Ok(Token {
        id,
        name,
        role,
        project,
        created_at: document::moment(created_at),
        created_by,
        expires_at: moment(expires_at),
        last_used_at: moment(last_used_at),
        revoked_at: moment(revoked_at),
    })
}

impl Store {
    /// Makes a token, with a record in the audit. It is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] while one of this name is in force, [`StoreError::TooMany`], or the database fails.
    pub async fn create_token(&self, who: &Principal, new: NewToken) -> Result<(SecretString, Token), StoreError> {
        let secret = new_secret()?;
        let digest = token_digest(&secret).to_vec();
        let NewToken { name, role, project, expires_at } = new;
        let detail = json!({ "role": role, "project": project, "expires_at": expires_at.map(|at| at.to_string()) });
        let note = record(who, "token.create", &name, detail);
        let by = who.user.clone();
        let made = self.write(move |db| {
            Box::pin(async move {
                let live: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tokens WHERE revoked_at IS NULL").fetch_one(&mut *db).await?;
                if live >= MAX_LIVE {
                    return Err(StoreError::TooMany { what: "tokens", most: MAX_LIVE });
                }
                let sql = "INSERT INTO tokens (name, digest, role, project, created_at, created_by, expires_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) \
                     RETURNING id, name, role, project, created_at, created_by, expires_at, last_used_at, revoked_at";
                let query = sqlx::query_as(sql).bind(name.clone()).bind(digest).bind(role.as_str()).bind(project);
                let query = query.bind(note.at.as_microsecond()).bind(by).bind(expires_at.map(Timestamp::as_microsecond));
                let row: Result<Row, sqlx::Error> = query.fetch_one(&mut *db).await;
                let row = row.map_err(|error| match is_unique_violation(&error) {
                    true => StoreError::Duplicate(Duplicate::TokenName(name)),
                    false => error.into(),
                })?;
                audit::add(db, &note).await?;
                token(row)
            })
        });
        Ok((SecretString::from(secret), made.await?))
    }

    /// The token whose SHA-256 this is, if it is not revoked; it may have expired.
    ///
    /// # Errors
    /// The database fails.
    pub async fn token(&self, digest: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let sql = "SELECT id, name, role, project, created_at, created_by, expires_at, last_used_at, revoked_at FROM tokens \
             WHERE digest = $1 AND revoked_at IS NULL";
        let row: Option<Row> = sqlx::query_as(sql).bind(digest.to_vec()).fetch_optional(self.reads()).await?;
        row.map(token).transpose()
    }

    /// How often tokens were revoked since the store was opened: what was read before a revocation may not hold any more.
    pub fn token_revocations(&self) -> u64 {
        self.forgotten().0.load(Ordering::Acquire)
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// The database fails.
    pub async fn note_token_use(&self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query("UPDATE tokens SET last_used_at = $2 WHERE id = $1");
                query.bind(id).bind(at.as_microsecond()).execute(db).await?;
                Ok(())
            })
        })
        .await
    }

    /// Every token: those in force by name, then those that were revoked, the latest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tokens ORDER BY revoked_at IS NOT NULL, revoked_at DESC, name");
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(self.reads()).await?;
        rows.into_iter().map(token).collect()
    }

    /// Revokes the token of this name, with a record in the audit. Nobody is let in by it from the moment that this returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when none of this name is in force, or the database fails.
    pub async fn revoke_token(&self, who: &Principal, name: &str) -> Result<Token, StoreError> {
        let note = record(who, "token.revoke", name, json!({}));
        let name = name.to_owned();
        let forgotten = Arc::clone(self.forgotten());
        // By the writer: it must be known even when whoever revokes does not wait for the answer.
        let count = move |_: &Token| {
            forgotten.0.fetch_add(1, Ordering::AcqRel);
        };
        let revoked = self.write_then(count, move |db| {
            Box::pin(async move {
                let sql = "UPDATE tokens SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL \
                     RETURNING id, name, role, project, created_at, created_by, expires_at, last_used_at, revoked_at";
                let query = sqlx::query_as(sql).bind(name.clone()).bind(note.at.as_microsecond());
                let row: Option<Row> = query.fetch_optional(&mut *db).await?;
                let row = row.ok_or(StoreError::NotFound { what: "token", id: name })?;
                let sql = "DELETE FROM tokens WHERE revoked_at IS NOT NULL AND id NOT IN \
                     (SELECT id FROM tokens WHERE revoked_at IS NOT NULL ORDER BY revoked_at DESC, id DESC LIMIT $1)";
                sqlx::query(sql).bind(MAX_REVOKED).execute(&mut *db).await?;
                audit::add(db, &note).await?;
                token(row)
            })
        });
        revoked.await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{AuditQuery, Durability};

    fn new(name: &str) -> NewToken {
        NewToken::new(name, Role::Member, Some("red".into()), None).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_found_by_itself_alone_and_not_after_its_revocation() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
        let who = Principal { user: "ada".into(), ..Principal::noauth() };
        let (secret, token) = store.create_token(&who, new("ci")).await.unwrap();
        let text = secret.expose_secret();
        assert!(text.starts_with(TOKEN_PREFIX) && text.len() == TOKEN_PREFIX.len() + 43, "{}", text.len());
        assert_eq!(store.token(&token_digest(text)).await.unwrap(), Some(token.clone()));
        assert_eq!(store.token(&token_digest("wrought_x")).await.unwrap(), None);
        assert_eq!((token.principal().user.as_str(), token.principal().role()), ("ci", Some(Role::Member)));
        assert!(matches!(store.create_token(&who, new("ci")).await, Err(StoreError::Duplicate(Duplicate::TokenName(_)))));

        let before = store.token_revocations();
        store.revoke_token(&who, "ci").await.unwrap();
        assert!(store.token_revocations() > before);
        assert_eq!(store.token(&token_digest(text)).await.unwrap(), None);
        assert!(matches!(store.revoke_token(&who, "ci").await, Err(StoreError::NotFound { .. })));
        // The name is free again, and the audit tells the two apart by their times.
        store.create_token(&who, new("ci")).await.unwrap();
        assert_eq!(store.tokens().await.unwrap().iter().map(|token| token.revoked_at.is_some()).collect::<Vec<_>>(), [false, true]);
        let asked = AuditQuery { object: Some("token/ci".into()), limit: 10, ..AuditQuery::default() };
        let verbs: Vec<String> = store.audit_records(&asked).await.unwrap().into_iter().map(|(_, record)| record.verb).collect();
        assert_eq!(verbs, ["token.create", "token.revoke", "token.create"]);
        // Nothing in the files of the store is the token.
        drop(store);
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()));
        }
    }

    #[tokio::test]
    async fn a_revocation_is_known_even_when_whoever_revokes_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
        let (secret, token) = store.create_token(&Principal::host(), new("ci")).await.unwrap();
        let before = store.token_revocations();
        {
            let revoker = Principal::host();
            let asked = std::pin::pin!(store.revoke_token(&revoker, "ci"));
            assert!(futures::poll!(asked).is_pending());
        }
        // The writer has done what was asked for before.
        store.note_token_use(token.id, Timestamp::now()).await.unwrap();
        assert_eq!(store.token(&token_digest(secret.expose_secret())).await.unwrap(), None);
        assert_eq!(store.token_revocations(), before + 1);
    }

    #[test]
    fn names_of_the_hosts_own_and_past_ends_are_refused() {
        for name in ["", "wrought", "nobody", "-x", "a b", "a/b", "é", &"x".repeat(65)] {
            assert_eq!(NewToken::new(name, Role::Reader, None, None), Err(UnfitToken::Name), "{name}");
        }
        assert_eq!(NewToken::new("x", Role::Reader, Some(String::new()), None), Err(UnfitToken::Project));
        assert_eq!(NewToken::new("x", Role::Reader, None, Some(Timestamp::UNIX_EPOCH)), Err(UnfitToken::Expired));
    }
}
