//! The controllers that this process talks to.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use lru::LruCache;
use reqwest::Client;
use tokio::sync::{OnceCell, Semaphore};
use tracing::warn;

use crate::bmc::Bmc;
use crate::config::{RedfishConfig, VerifyCa};
use crate::error::HardwareError;
use crate::http;
use crate::redfish::account::Account;
use crate::redfish::guest::{Guest, Links, Tasks};
use crate::redfish::system::RedfishBmc;
use crate::redfish::target::{AccountKey, RedfishTarget};
use crate::tls;

/// Idle connections are closed soon: controllers choke on many.
const IDLE: Duration = Duration::from_secs(5);
/// Clients with different trust, at most; one serves all controllers with the same.
const CLIENTS: usize = 64;
/// Sessions deleted at the same time when closing.
const CLOSING: usize = 32;

/// The accounts of this process: one session each, whatever number of nodes is behind it. Bounded; an
/// account that is dropped has its session deleted.
pub struct RedfishRegistry {
    config: RedfishConfig,
    inner: Mutex<Inner>,
}

struct Inner {
    accounts: LruCache<AccountKey, Arc<Account>>,
    machines: LruCache<(AccountKey, Option<String>), Arc<RedfishBmc>>,
    clients: LruCache<VerifyCa, Client>,
    /// By authority, so that several accounts at one controller share one gate.
    gates: HashMap<String, Gate>,
}

/// Bounds the requests in flight to one controller. A controller of several machines (a chassis, an
/// emulator) takes as many for each of them, else a busy machine would keep its neighbours waiting.
#[derive(Default)]
struct Gate {
    permits: Weak<Semaphore>,
    machines: HashSet<String>,
}

impl RedfishRegistry {
    /// An empty registry.
    pub fn new(config: RedfishConfig) -> Self {
        let capacity = NonZeroUsize::new(config.connection_cache_size).unwrap_or(NonZeroUsize::MIN);
        let clients = NonZeroUsize::new(CLIENTS).unwrap_or(NonZeroUsize::MIN);
        let inner = Inner {
            accounts: LruCache::new(capacity),
            machines: LruCache::new(capacity),
            clients: LruCache::new(clients),
            gates: HashMap::new(),
        };
        Self { config, inner: Mutex::new(inner) }
    }

    /// The machine of `target`. Asks nobody. Error: `redfish_verify_ca` names a file that is none of certificates.
    pub fn get(&self, target: &RedfishTarget) -> Result<Arc<dyn Bmc>, HardwareError> {
        Ok(self.machine(target)?)
    }

    /// The same machine as a driver may ask it in one host call that begins now, with the shared paths that it was granted.
    pub fn guest(&self, target: &RedfishTarget, granted: &[String]) -> Result<Guest, HardwareError> {
        Ok(Guest::new(self.machine(target)?, granted))
    }

    fn machine(&self, target: &RedfishTarget) -> Result<Arc<RedfishBmc>, HardwareError> {
        let key = (target.account_key(), target.system.clone());
        let mut inner = self.locked();
        if let Some(machine) = inner.machines.get(&key) {
            let machine = machine.clone();
            // Touched as well, so that it is not dropped below a machine in use.
            inner.accounts.promote(&key.0);
            return Ok(machine);
        }
        let account = self.account(&mut inner, target, &key.0)?;
        self.widen(&mut inner, &key.0.base, &key.1);
        let machine = Arc::new(RedfishBmc {
            account,
            system: OnceCell::new_with(target.system.clone()),
            operation_timeout: self.config.operation(),
            attempts: self.config.connection_attempts.max(1),
            links: Links::default(),
            tasks: Tasks::default(),
        });
        inner.machines.put(key, machine.clone());
        Ok(machine)
    }

    /// Lets refused credentials of `target` be tried again at once; for when the operator has corrected them
    /// on the controller.
    pub fn retry_credentials(&self, target: &RedfishTarget) {
        if let Some(account) = self.locked().accounts.get(&target.account_key()) {
            account.release_brake();
        }
    }

    /// When the controller of `target` answered last to this account, whatever it said; nothing since the process began or the
    /// account was forgotten.
    pub fn answered(&self, target: &RedfishTarget) -> Option<SystemTime> {
        self.locked().accounts.peek(&target.account_key())?.answered()
    }

    /// Deletes all sessions and forgets all accounts; at the end of the process.
    pub async fn close_all(&self) {
        let accounts: Vec<_> = {
            let mut inner = self.locked();
            inner.machines.clear();
            std::iter::from_fn(|| inner.accounts.pop_lru()).map(|(_, account)| account).collect()
        };
        for some in accounts.chunks(CLOSING) {
            join_all(some.iter().map(|account| account.close())).await;
        }
    }

    fn account(&self, inner: &mut Inner, target: &RedfishTarget, key: &AccountKey) -> Result<Arc<Account>, HardwareError> {
        if let Some(account) = inner.accounts.get(key) {
            return Ok(account.clone());
        }
        let client = self.client(inner, &target.verify)?;
        let gate = self.gate(inner, &key.base);
        let auth = target.auth.unwrap_or(self.config.auth_type);
        let hold = Duration::from_secs(self.config.auth_failure_hold);
        let account = Arc::new(Account::new(target, auth, client, gate, self.config.request(), hold));
        // The same user with another password: the older one's session is of no more use. Its account stays, and
        // with it the brake: two nodes that disagree about the password must not release it for each other.
        let same_user = |other: &AccountKey| key.username.is_some() && other.base == key.base && other.username == key.username;
        let older = inner.accounts.iter().filter(|(other, _)| same_user(other)).map(|(_, account)| account.clone());
        let mut idle: Vec<_> = older.collect();
        idle.extend(inner.accounts.push(key.clone(), account.clone()).map(|(_, account)| account));
        for account in idle {
            close_later(account);
        }
        Ok(account)
    }

    fn client(&self, inner: &mut Inner, verify: &VerifyCa) -> Result<Client, HardwareError> {
        if let Some(client) = inner.clients.get(verify) {
            return Ok(client.clone());
        }
        if *verify == VerifyCa::Switch(false) {
            warn!("certificates of controllers with redfish_verify_ca false are not verified");
        }
        let tls = tls::verified_by(verify, self.config.tls_min_version)?;
        let client = http::built(http::client(tls, Duration::from_secs(self.config.connect_timeout.max(1)), IDLE))?;
        inner.clients.put(verify.clone(), client.clone());
        Ok(client)
    }

    fn gate(&self, inner: &mut Inner, base: &str) -> Arc<Semaphore> {
        if let Some(permits) = inner.gates.get(base).and_then(|gate| gate.permits.upgrade()) {
            return permits;
        }
        // Bounded by the accounts: what no account holds is swept away when there are twice as many.
        if inner.gates.len() >= 2 * self.config.connection_cache_size.max(8) {
            inner.gates.retain(|_, gate| gate.permits.strong_count() > 0);
        }
        let permits = Arc::new(Semaphore::new(self.share()));
        inner.gates.insert(base.to_owned(), Gate { permits: Arc::downgrade(&permits), machines: HashSet::new() });
        permits
    }

    /// Lets one more named machine behind a controller have its share of requests; the first one has it already.
    fn widen(&self, inner: &mut Inner, base: &str, machine: &Option<String>) {
        let (Some(gate), Some(machine)) = (inner.gates.get_mut(base), machine) else { return };
        if gate.machines.insert(machine.clone())
            && gate.machines.len() > 1
            && let Some(permits) = gate.permits.upgrade()
        {
            permits.add_permits(self.share());
        }
    }

    /// Requests in flight to one machine.
    fn share(&self) -> usize {
        self.config.max_requests_per_bmc.clamp(1, 8)
    }

    // Nothing panics while holding it, and the maps stay whole if something did.
    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn close_later(account: Arc<Account>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move { account.close().await });
    }
}
