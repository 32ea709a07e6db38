//! Accounts of a password file in the form of Apache's `htpasswd -B`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::sync::{OnceCell, Semaphore};

use super::{Denied, Failures, SetupError};
use crate::config::UserConfig;

const KEY: &str = "http_basic_auth_user_file";
/// The largest file, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// Doublings of work for a password: with more, one guess would take seconds of CPU.
const COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// The cost of nobody's password where there is no account at all.
const USUAL_COST: u32 = 10;
/// Results that are remembered; with one more all are forgotten.
const MAX_VERIFIED: usize = 1024;
/// Passwords that wait to be verified.
const MAX_WAITING: usize = 256;
/// bcrypt looks at no more of a password, in bytes.
const MAX_PASSWORD: usize = 72;
/// The longest name, in bytes.
const MAX_NAME: usize = 255;

/// Which content of the file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let about = std::fs::metadata(path)?;
        Ok(Self {
            inode: about.ino(),
            size: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

/// What the file said.
#[derive(Debug, Default)]
struct Content {
    hashes: HashMap<String, String>,
    /// A hash that no password has, as costly as the costliest account's.
    nobody: String,
}

/// Reads lines of `name:hash`; and what is wrong with others.
fn parse_file(text: &str) -> (Content, Vec<String>) {
    let (mut hashes, mut problems, mut most) = (HashMap::new(), Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = line.split_once(':').filter(|(name, _)| !name.is_empty() && name.len() <= MAX_NAME);
        match read.and_then(|(name, hash)| Some((name, hash, cost(hash)?))) {
            Some((name, hash, cost)) if COSTS.contains(&cost) => {
                most = most.max(Some(cost));
                hashes.insert(name.to_owned(), hash.to_owned());
            }
            Some((.., cost)) => {
                problems.push(format!("line {}: bcrypt's cost is {cost}, and may be {} to {}", number + 1, COSTS.start(), COSTS.end()));
            }
            None => problems.push(format!("line {}: expected name:hash with a hash of bcrypt, as `htpasswd -B` writes it", number + 1)),
        }
    }
    let nobody = format!("$2b${:02}${}", most.unwrap_or(USUAL_COST), "a".repeat(21) + "u" + &"a".repeat(30) + "u");
    (Content { hashes, nobody }, problems)
}

/// The cost of a hash of bcrypt.
fn cost(hash: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|form| hash.strip_prefix(form))?;
    let (cost, digest) = rest.split_once('$')?;
    let plain = digest.len() == 53 && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    if plain && cost.len() == 2 { cost.parse().ok() } else { None }
}

fn read(path: &Path) -> std::io::Result<(Stamp, Content, Vec<String>)> {
    // Before the content: what is written in between is read anew.
    let stamp = Stamp::of(path)?;
    if stamp.size > MAX_FILE {
        return Err(std::io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
    }
    let (content, problems) = parse_file(&std::fs::read_to_string(path)?);
    Ok((stamp, content, problems))
}

/// That the file can be used, for the start: later, wrong lines let nobody in and are logged. Whoever is to be less than an
/// administrator must be in it: with another spelling it would be one.
pub(super) fn check(path: &Path, users: &BTreeMap<String, UserConfig>) -> Result<(), SetupError> {
    let (_, content, problems) = read(path).map_err(|source| SetupError::Read { key: KEY, path: path.to_owned(), source })?;
    let problem = match problems.into_iter().next() {
        None if content.hashes.is_empty() => "it holds no account; add one with `htpasswd -B FILE NAME`".to_owned(),
        None => match users.keys().find(|name| !content.hashes.contains_key(*name)) {
            Some(name) => format!("it has no account {name:?}, of which [api.users.{name}] tells"),
            None => return Ok(()),
        },
        Some(problem) => problem,
    };
    Err(SetupError::Unfit { key: KEY, path: path.to_owned(), problem })
}

/// The name and password of an `Authorization` header.
pub(super) fn parse(given: &HeaderValue) -> Result<(String, String), Denied> {
    let undecodable = || Denied::Malformed("Could not decode authorization token.");
    let text = given.to_str().map_err(|_| Denied::Malformed("Could not parse Authorization header"))?;
    let (scheme, encoded) = text.trim().split_once(' ').ok_or(Denied::Malformed("Could not parse Authorization header"))?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Denied::Malformed("Unsupported authorization type: use Basic."));
    }
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(undecodable)?;
    let (name, password) = decoded.split_once(':').ok_or_else(undecodable)?;
    Ok((name.to_owned(), password.to_owned()))
}

/// A name with a password, and the hash that it must have.
pub(super) struct Attempt {
    password: String,
    hash: String,
    known: bool,
    /// Under which it is remembered.
    digest: [u8; 32],
}

/// The accounts of a file.
pub(super) struct Accounts {
    path: PathBuf,
    read: Mutex<(Option<Stamp>, Arc<Content>)>,
    /// Passwords that were right, as keyed hashes over name, password and hash: so a change of the file outdates them.
    verified: Mutex<HashSet<[u8; 32]>>,
    key: hmac::Key,
    /// What is being verified: whoever sends the same meanwhile has the same answer.
    checks: Mutex<Checks>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Whether a password is right, by the digest of the attempt, once that is known.
type Checks = HashMap<[u8; 32], Arc<OnceCell<bool>>>;

impl Accounts {
    pub(super) fn new(path: PathBuf) -> Self {
        let places = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let mut key = [0; 32];
        // Without random numbers nothing is remembered under a guessable key: an unfilled one would be all zeros.
        if aws_lc_rs::rand::fill(&mut key).is_err() {
            tracing::error!("the system has no random numbers");
        }
        Self {
            path,
            read: Mutex::new((None, Arc::default())),
            verified: Mutex::default(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            checks: Mutex::default(),
            places: Arc::new(Semaphore::new(places)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// What the file says now. A file that cannot be read lets nobody in.
    fn content(&self) -> Arc<Content> {
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path).ok();
        if stamp.is_some() && kept.0 == stamp {
            return Arc::clone(&kept.1);
        }
        match read(&self.path) {
            Ok((stamp, content, problems)) => {
                for problem in problems {
                    tracing::error!(file = %self.path.display(), "{KEY}: {problem}; this account is not let in");
                }
                tracing::info!(file = %self.path.display(), accounts = content.hashes.len(), "password file read");
                *kept = (Some(stamp), Arc::new(content));
            }
            Err(error) => {
                tracing::error!(file = %self.path.display(), %error, "{KEY}: it cannot be read, and nobody is let in");
                *kept = (None, Arc::new(parse_file("").0));
            }
        }
        Arc::clone(&kept.1)
    }

    pub(super) fn attempt(&self, name: &str, password: String) -> Attempt {
        let content = self.content();
        let found = content.hashes.get(name);
        let hash = found.unwrap_or(&content.nobody).clone();
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name, &hash, &password] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        Attempt { password, hash, known: found.is_some(), digest }
    }

    /// Whether the same was right before.
    pub(super) fn known(&self, attempt: &Attempt) -> bool {
        attempt.known && self.verified().contains(&attempt.digest)
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That the password is right; takes as long for a name that nobody has. A wrong one is counted.
    ///
    /// # Errors
    /// [`Denied::WrongAccount`]; [`Denied::TooOften`]; [`Denied::Busy`] when too many wait.
    pub(super) async fn verify(&self, attempt: Attempt, failures: &Failures) -> Result<(), Denied> {
        failures.check()?;
        let check = Check::join(&self.checks, attempt.digest);
        let mut counted = None;
        let compute = || async {
            let right;
            (right, counted) = self.compute(attempt, failures).await?;
            Ok::<_, Denied>(right)
        };
        if *check.right.get_or_try_init(compute).await? {
            return Ok(());
        }
        Err(counted.unwrap_or_else(|| failures.count(Denied::WrongAccount)))
    }

    /// Whether the password is right, and what is answered if not: that is counted even if nobody waits for it any more.
    async fn compute(&self, attempt: Attempt, failures: &Failures) -> Result<(bool, Option<Denied>), Denied> {
        let _waiting = Waiting::enter(&self.waiting).ok_or(Denied::Busy)?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Denied::Busy)?;
        // It may have been verified, and others may have turned out to be wrong, in the meantime.
        if self.known(&attempt) {
            return Ok((true, None));
        }
        failures.check()?;
        let (Attempt { password, hash, known, digest }, failures) = (attempt, failures.clone());
        let computed = tokio::task::spawn_blocking(move || {
            // The place goes along: work that nobody waits for any more still takes it.
            let _place = place;
            let right = bcrypt::verify(password.as_bytes(), &hash).unwrap_or(false) && password.len() <= MAX_PASSWORD && known;
            (right, (!right).then(|| failures.count(Denied::WrongAccount)))
        });
        let (right, counted) = computed.await.map_err(|_| Denied::Busy)?;
        if right {
            let mut verified = self.verified();
            if verified.len() >= MAX_VERIFIED {
                verified.clear();
            }
            verified.insert(digest);
        }
        Ok((right, counted))
    }
}

/// A part in a check, which is forgotten with the last one.
struct Check<'a> {
    checks: &'a Mutex<Checks>,
    digest: [u8; 32],
    right: Arc<OnceCell<bool>>,
}

impl<'a> Check<'a> {
    fn join(checks: &'a Mutex<Checks>, digest: [u8; 32]) -> Self {
        let right = Arc::clone(checks.lock().unwrap_or_else(PoisonError::into_inner).entry(digest).or_default());
        Self { checks, digest, right }
    }
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        drop(std::mem::take(&mut self.right));
        if checks.get(&self.digest).is_some_and(|right| Arc::strong_count(right) == 1) {
            checks.remove(&self.digest);
        }
    }
}

/// One of those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let entered = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < MAX_WAITING).then_some(now + 1));
        entered.ok().map(|_| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `secret`, as three programs write it.
    fn line(name: &str, form: &str, cost: u32) -> String {
        let hash = bcrypt::hash_with_result("secret", cost).unwrap();
        let form = match form {
            "2a" => bcrypt::Version::TwoA,
            "2y" => bcrypt::Version::TwoY,
            _ => bcrypt::Version::TwoB,
        };
        format!("{name}:{}\n", hash.format_for_version(form))
    }

    async fn enters(accounts: &Accounts, name: &str, password: &str) -> bool {
        let attempt = accounts.attempt(name, password.to_owned());
        accounts.known(&attempt) || accounts.verify(attempt, &Failures(None)).await.is_ok()
    }

    #[tokio::test]
    async fn passwords_are_verified_remembered_and_forgotten_when_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, format!("# people\n{}{}\n{}", line("ada", "2y", 4), line("bob", "2b", 4), line("eve", "2a", 4))).unwrap();
        check(&path, &BTreeMap::new()).unwrap();
        let missing = BTreeMap::from([("bob ".to_owned(), UserConfig::default())]);
        assert!(check(&path, &missing).unwrap_err().to_string().contains("no account \"bob \""));
        let accounts = Accounts::new(path.clone());
        for name in ["ada", "bob", "eve"] {
            assert!(enters(&accounts, name, "secret").await, "{name}");
            assert!(accounts.known(&accounts.attempt(name, "secret".into())), "{name}");
            assert!(!enters(&accounts, name, "wrong").await && !enters(&accounts, name, "").await, "{name}");
            assert!(!accounts.known(&accounts.attempt(name, "wrong".into())), "{name}");
        }
        assert!(!enters(&accounts, "nobody", "secret").await);
        // Another hash of the same password: nothing that was remembered counts.
        std::fs::write(&path, line("ada", "2y", 5)).unwrap();
        assert!(!accounts.known(&accounts.attempt("ada", "secret".into())));
        assert!(enters(&accounts, "ada", "secret").await && !enters(&accounts, "bob", "secret").await);
        std::fs::remove_file(&path).unwrap();
        assert!(!enters(&accounts, "ada", "secret").await);
    }

    #[tokio::test]
    async fn the_same_sent_at_once_is_verified_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, line("ada", "2y", 4)).unwrap();
        let accounts = Accounts::new(path);
        // More than may wait for a verification each.
        for (password, right) in [("secret", true), ("wrong", false)] {
            let asked = (0..MAX_WAITING + 50).map(|_| accounts.verify(accounts.attempt("ada", password.into()), &Failures(None)));
            let all = futures::future::join_all(asked).await;
            let wrong = |denied: &Result<(), Denied>| matches!(denied, Err(Denied::WrongAccount));
            assert!(all.iter().all(|one| if right { one.is_ok() } else { wrong(one) }), "{password}: {all:?}");
        }
        assert!(accounts.checks.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_costs_as_much() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, line("ada", "2y", 6) + &line("bob", "2b", 5)).unwrap();
        let accounts = Accounts::new(path);
        let nobody = accounts.attempt("nobody", "secret".into());
        // It is computed, and not refused as malformed: that would cost nothing.
        assert_eq!(cost(&nobody.hash), Some(6));
        assert!(matches!(bcrypt::verify("secret", &nobody.hash), Ok(false)));
        assert!(matches!(bcrypt::verify("secret", &parse_file("").0.nobody), Ok(false)));
        assert!(!nobody.known && !accounts.known(&nobody) && accounts.verify(nobody, &Failures(None)).await.is_err());
    }

    #[test]
    fn absurd_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        let digest = "a".repeat(21) + "u" + &"a".repeat(30) + "u";
        for (text, told) in [
            (format!("ada:$2y$31${digest}"), "cost is 31"),
            (format!("ada:$2y$15${digest}"), "cost is 15"),
            ("ada:secret".to_owned(), "line 1: expected name:hash"),
            ("ada:$apr1$x$y".to_owned(), "htpasswd -B"),
            (format!(":$2y$10${digest}"), "line 1"),
            (String::new(), "no account"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let error = check(&path, &BTreeMap::new()).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains(&digest), "{error}");
        }
        assert!(check(&dir.path().join("none"), &BTreeMap::new()).unwrap_err().to_string().contains("reading"));
    }

    #[test]
    fn headers_are_decoded_or_refused_as_malformed() {
        let header = |text: &str| parse(&HeaderValue::from_str(text).unwrap());
        assert_eq!(header("Basic YWRhOnM6eA==").unwrap(), ("ada".into(), "s:x".into()));
        assert_eq!(header("basic  YWRhOg==").unwrap(), ("ada".into(), String::new()));
        for text in ["Basic", "Digest abc", "Basic %%%", "Basic YWRh", "Basic /w=="] {
            assert!(matches!(header(text), Err(Denied::Malformed(_))), "{text}");
        }
    }
}
