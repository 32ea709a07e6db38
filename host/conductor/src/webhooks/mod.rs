//! Tells receivers of events, each in its own task, in the order of events, at least once.
//!
//! The events wait in the database, where they are anyway, and a webhook is a place in them: nothing is queued in memory, a
//! receiver that is gone holds up nobody, and a restart goes on where the last one ended.

mod config;
mod message;
mod teller;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use wrought_domain::Principal;
use wrought_hardware::HardwareError;

pub use config::WebhookConfig;

use crate::conductor::{Conductor, StartError};
use crate::events::check_kinds;
use crate::refusal::administrator;
use crate::{Refusal, convert};
use teller::Teller;

/// How each webhook does.
#[derive(Default)]
pub(crate) struct Webhooks(Mutex<BTreeMap<String, Status>>);

/// How a webhook does, since the host started.
#[derive(Debug, Clone, Default)]
struct Status {
    /// The last event that it is done with.
    event: u64,
    delivered: u64,
    skipped: u64,
    delivered_at: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    last_error: Option<String>,
}

impl Webhooks {
    fn with(&self, name: &str, change: impl FnOnce(&mut Status)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default());
    }
}

impl Conductor {
    /// Starts to tell the receivers that are configured.
    ///
    /// # Errors
    /// One of them cannot be told by what its section says.
    pub(crate) async fn start_webhooks(&self) -> Result<(), StartError> {
        let configured = &self.0.events.webhooks;
        self.0.store.keep_webhooks(configured.keys().cloned().collect()).await?;
        for (name, config) in configured {
            let named = |error: HardwareError| HardwareError { message: format!("[webhook.{name}] {}", error.message), ..error };
            config.check().map_err(named)?;
            let receiver = config.receiver().map_err(named)?;
            check_kinds(&config.kinds).map_err(|why| named(config::invalid(format!("kinds: {why}"))))?;
            let cursor = self.0.store.webhook_cursor(name).await?;
            self.0.webhooks.with(name, |status| status.event = cursor.event);
            let teller = Teller::new(self.clone(), name.clone(), config.clone(), receiver, cursor);
            self.spawn(teller.run());
        }
        Ok(())
    }

    /// Every webhook, how far it is and whether its receiver answers.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] unless it is an administrator who asks.
    pub async fn list_webhooks(&self, who: &Principal) -> Result<Value, Refusal> {
        administrator(who)?;
        let (_, newest) = self.0.store.event_bounds().await.map_err(convert::refusal)?;
        let all = self.0.webhooks.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shown = all.into_iter().map(|(name, status)| {
            let kinds = self.0.events.webhooks.get(&name).map(|config| config.kinds.clone());
            json!({
                "name": name,
                "kinds": kinds,
                "behind": newest.saturating_sub(status.event),
                "delivered": status.delivered,
                "skipped": status.skipped,
                "delivered_at": status.delivered_at.map(|at| at.to_string()),
                "failing_since": status.failing_since.map(|at| at.to_string()),
                "last_error": status.last_error,
            })
        });
        Ok(json!({ "webhooks": shown.collect::<Vec<_>>() }))
    }
}
