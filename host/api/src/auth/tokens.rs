//! Tokens in memory: one that was shown before costs a hash and a look, and no question to the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use wrought_domain::Principal;
use wrought_storage::{Store, StoreError, TOKEN_PREFIX, Token, token_digest};

/// Tokens that are remembered; with one more all are forgotten.
const MAX: usize = 4096;
/// The longest header that is hashed, in bytes.
const LONGEST: usize = 256;
/// Between two notes that a token was used, in microseconds.
const NOTE: i64 = 60_000_000;

#[derive(Default)]
pub(super) struct Tokens(RwLock<HashMap<[u8; 32], Known>>);

struct Known {
    id: i64,
    who: Principal,
    expires_at: Option<Timestamp>,
    /// How many revocations there were when it was read: with one more it is read anew.
    revocations: u64,
    /// When its use was noted last.
    noted: AtomicI64,
}

fn digest(token: &str) -> Option<[u8; 32]> {
    (token.starts_with(TOKEN_PREFIX) && token.len() <= LONGEST).then(|| token_digest(token))
}

impl Tokens {
    /// Whoever has this token, if it was looked up before and is still in force.
    pub(super) fn known(&self, store: &Store, token: &str) -> Option<Principal> {
        let digest = digest(token)?;
        let now = Timestamp::now();
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&digest)?;
        if known.revocations != store.token_revocations() || known.expires_at.is_some_and(|end| now >= end) {
            return None;
        }
        let (at, last) = (now.as_microsecond(), known.noted.load(Ordering::Relaxed));
        let due = at.saturating_sub(last) >= NOTE;
        if due && known.noted.compare_exchange(last, at, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            note(store, known.id, now);
        }
        Some(known.who.clone())
    }

    /// Whoever has this token, as the database knows it.
    pub(super) async fn find(&self, store: &Store, token: &str) -> Result<Option<Principal>, StoreError> {
        let Some(digest) = digest(token) else { return Ok(None) };
        // Before the look: what is revoked in between is not remembered for longer.
        let revocations = store.token_revocations();
        let now = Timestamp::now();
        let Some(found) = store.token(&digest).await?.filter(|token| token.is_live(now)) else { return Ok(None) };
        let Token { id, expires_at, last_used_at, .. } = found;
        let mut noted = last_used_at.map_or(0, Timestamp::as_microsecond);
        if now.as_microsecond().saturating_sub(noted) >= NOTE {
            noted = now.as_microsecond();
            note(store, id, now);
        }
        let who = found.principal();
        let known = Known { id, who: who.clone(), expires_at, revocations, noted: AtomicI64::new(noted) };
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX {
            all.clear();
        }
        all.insert(digest, known);
        Ok(Some(who))
    }
}

/// Nobody waits for it, and it costs a commit a minute for each token.
fn note(store: &Store, id: i64, now: Timestamp) {
    let store = store.clone();
    tokio::spawn(async move {
        if let Err(error) = store.note_token_use(id, now).await {
            tracing::warn!(%error, "noting the use of a token");
        }
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use secrecy::ExposeSecret;
    use wrought_domain::Role;
    use wrought_storage::{Durability, NewToken};

    use super::*;

    #[tokio::test]
    async fn a_token_that_is_known_costs_microseconds_until_any_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
        let made = async |name: &str| {
            let new = NewToken::new(name, Role::Reader, Some("red".into()), None).unwrap();
            store.create_token(&Principal::host(), new).await.unwrap().0.expose_secret().to_owned()
        };
        let (one, other, tokens) = (made("one").await, made("other").await, Tokens::default());
        assert!(tokens.known(&store, &one).is_none());
        for token in [&one, &other] {
            assert!(tokens.find(&store, token).await.unwrap().is_some());
        }
        const ROUNDS: u32 = 10_000;
        let began = Instant::now();
        for _ in 0..ROUNDS {
            assert!(tokens.known(&store, &one).is_some());
        }
        let each = began.elapsed() / ROUNDS;
        println!("{each:?} for a known token, in this build");
        assert!(each < Duration::from_micros(200), "{each:?}");

        store.revoke_token(&Principal::host(), "other").await.unwrap();
        assert!(tokens.known(&store, &one).is_none() && tokens.known(&store, &other).is_none());
        assert!(tokens.find(&store, &one).await.unwrap().is_some() && tokens.known(&store, &one).is_some());
        assert!(tokens.find(&store, &other).await.unwrap().is_none() && tokens.known(&store, &other).is_none());
    }
}
