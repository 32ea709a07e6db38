//! The task of one webhook.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::time::Instant;
use wrought_hardware::webhook::{Receiver, Undelivered};
use wrought_storage::{EventQuery, NodeEvent, StoreError, WebhookCursor};

use super::config::WebhookConfig;
use super::message::Message;
use crate::conductor::Conductor;

/// Events that are read at once.
const PAGE: u32 = 50;

/// Its place is stored after so long at most while it tells, and after so many events that it need not tell of: a restart tells
/// again of what came behind the place.
const STORE_EVERY: Duration = Duration::from_secs(1);
const STORE_BEHIND: u64 = 1000;

/// The pause before the second try of a message; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Pauses from this length on are told in the log one by one.
const LONG_PAUSE: Duration = Duration::from_secs(30);

/// What a round came to.
enum Round {
    /// Everything is told.
    Done,
    /// There may be more at once.
    More,
    /// The receiver does not take it.
    Failed,
    /// The host stops.
    Stopped,
}

/// Tells one receiver.
pub(super) struct Teller {
    conductor: Conductor,
    name: String,
    config: WebhookConfig,
    receiver: Receiver,
    /// Where it stands, and where it stands in the database.
    cursor: WebhookCursor,
    stored: WebhookCursor,
    stored_at: Instant,
    /// Tries of the present message that failed.
    failed: u32,
}

impl Teller {
    pub(super) fn new(conductor: Conductor, name: String, config: WebhookConfig, receiver: Receiver, cursor: WebhookCursor) -> Self {
        Self { conductor, name, config, receiver, cursor, stored: cursor, stored_at: Instant::now(), failed: 0 }
    }

    /// Tells until the host stops.
    pub(super) async fn run(mut self) {
        let stopping = self.conductor.stopping().clone();
        let mut watch = self.conductor.0.store.event_watch();
        loop {
            watch.mark_unchanged();
            let round = match self.round().await {
                Ok(round) => round,
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::error!(webhook = self.name, %error, "events could not be read; they are told of later");
                    self.failed = self.failed.saturating_add(1);
                    Round::Failed
                }
            };
            let pause = match round {
                Round::Stopped => break,
                Round::More => continue,
                Round::Done => None,
                Round::Failed => Some(self.pause()),
            };
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                _ = watch.changed(), if pause.is_none() => {}
            }
        }
        if let Err(error) = self.store_place().await {
            tracing::warn!(webhook = self.name, %error, "its place could not be stored; the next start tells again of some events");
        }
    }

    async fn round(&mut self) -> Result<Round, StoreError> {
        let (oldest, newest) = self.conductor.0.store.event_bounds().await?;
        self.skip(oldest, newest).await?;
        let kinds = self.config.kinds.clone();
        let query = EventQuery { kinds, after: Some(self.cursor.event), limit: PAGE, ..EventQuery::default() };
        let events = self.conductor.0.store.events(&query).await?;
        if events.is_empty() {
            // None of those up to the newest is one to tell of.
            self.cursor.event = self.cursor.event.max(newest);
            self.conductor.0.webhooks.with(&self.name, |status| status.event = self.cursor.event);
            let far = self.cursor.event.saturating_sub(self.stored.event) > STORE_BEHIND;
            if far || self.cursor.skipped != self.stored.skipped {
                self.store_place().await?;
            }
            return Ok(Round::Done);
        }
        for event in events {
            match self.deliver(event).await {
                Round::Done if self.stored_at.elapsed() > STORE_EVERY => self.store_place().await?,
                Round::Done => {}
                other => {
                    self.store_place().await?;
                    return Ok(other);
                }
            }
        }
        self.store_place().await?;
        Ok(Round::More)
    }

    /// Passes over events when there are too many, and over those that were dropped before they could be told of.
    async fn skip(&mut self, oldest: u64, newest: u64) -> Result<(), StoreError> {
        let gone = oldest.saturating_sub(1);
        let bound = newest.saturating_sub(self.config.max_behind.into()).max(gone);
        let passed = bound.saturating_sub(self.cursor.event);
        if passed == 0 {
            return Ok(());
        }
        self.cursor = WebhookCursor { event: bound, skipped: self.cursor.skipped.saturating_add(passed) };
        // Another message is the next one.
        self.conductor.0.webhooks.with(&self.name, |status| {
            status.event = bound;
            status.skipped = status.skipped.saturating_add(passed);
        });
        tracing::warn!(
            webhook = self.name,
            skipped = passed,
            max_behind = self.config.max_behind,
            "the receiver is too far behind: the oldest events are skipped"
        );
        self.store_place().await
    }

    async fn deliver(&mut self, event: NodeEvent) -> Round {
        let id = event.id;
        let message = Message::about(event, self.conductor.host(), self.cursor.skipped);
        let stopping = self.conductor.stopping().clone();
        let sent = tokio::select! {
            sent = self.send(message) => sent,
            () = stopping.cancelled() => return Round::Stopped,
        };
        match sent {
            Ok(()) => {
                if self.failed > 0 {
                    tracing::info!(
                        webhook = self.name,
                        event = id,
                        tries = self.failed.saturating_add(1),
                        "the receiver takes events again"
                    );
                }
                self.failed = 0;
                self.cursor = WebhookCursor { event: id, skipped: 0 };
                self.conductor.0.webhooks.with(&self.name, |status| {
                    status.event = id;
                    status.delivered = status.delivered.saturating_add(1);
                    status.delivered_at = Some(Timestamp::now());
                    (status.failing_since, status.last_error) = (None, None);
                });
                Round::Done
            }
            Err(why) => {
                self.failed = self.failed.saturating_add(1);
                if self.failed == 1 || self.longest_pause() >= LONG_PAUSE {
                    tracing::warn!(
                        webhook = self.name,
                        event = id,
                        tries = self.failed,
                        why,
                        "the receiver does not take an event; it is tried again"
                    );
                }
                self.conductor.0.webhooks.with(&self.name, |status| {
                    status.failing_since.get_or_insert_with(Timestamp::now);
                    status.last_error = Some(why);
                });
                Round::Failed
            }
        }
    }

    async fn send(&self, message: Message) -> Result<(), String> {
        let secret = self.conductor.0.machines.references.resolve("secret", &self.config.secret).map_err(|error| error.message)?;
        let headers = message.headers(secret.expose_secret(), Timestamp::now());
        let headers = headers.ok_or("the secret is no key: what follows whsec_ must be base64")?;
        self.receiver.post(&headers, message.body).await.map_err(|error: Undelivered| error.to_string())
    }

    fn longest_pause(&self) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.failed.saturating_sub(1).min(20)).unwrap_or(u32::MAX));
        doubled.min(Duration::from_secs(self.config.max_pause.into()))
    }

    /// The pause before the next try: between the half and the whole of the longest, by chance, so that hosts do not call together.
    fn pause(&self) -> Duration {
        let longest = self.longest_pause();
        longest.saturating_sub((longest / 2).mul_f64(f64::from(rand::random::<u8>()) / 255.0))
    }

    async fn store_place(&mut self) -> Result<(), StoreError> {
        if self.cursor != self.stored {
            self.conductor.0.store.put_webhook_cursor(&self.name, self.cursor).await?;
            self.stored = self.cursor;
        }
        self.stored_at = Instant::now();
        Ok(())
    }
}
