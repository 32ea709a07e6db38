//! The requests of one operation: one deadline over all, reads repeated, changes sent once.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::error::{HardwareError, Kind};
use crate::redfish::account::{Account, Ask, Follow};
use crate::redfish::reply::Reply;

/// A resource as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) path: String,
    pub(crate) value: Value,
    pub(crate) etag: Option<String>,
}

/// One operation on a controller, such as "set the boot device".
pub(crate) struct Operation<'a> {
    pub(crate) account: &'a Account,
    pub(crate) deadline: Instant,
    pub(crate) attempts: u32,
    /// For errors: what is being done.
    pub(crate) what: &'static str,
    /// Where redirects may lead to; `None`: everywhere at this controller.
    pub(crate) follow: Option<Follow<'a>>,
}

impl Operation<'_> {
    /// Reads a resource; repeated while the controller does not answer and there is time.
    pub(crate) async fn get(&self, path: &str) -> Result<Resource, HardwareError> {
        self.repeated(|| self.get_once(path)).await
    }

    /// Reads a resource, and gives whatever is answered; repeated as [`Self::get`].
    pub(crate) async fn read(&self, path: &str) -> Result<Reply, HardwareError> {
        let ask = self.asks(path);
        self.repeated(|| self.account.send(&ask, self.deadline)).await
    }

    fn asks<'a>(&'a self, path: &'a str) -> Ask<'a> {
        Ask { follow: self.follow, ..Ask::get(path, self.what) }
    }

    /// Deletes a resource, once.
    pub(crate) async fn delete(&self, path: &str) -> Result<Reply, HardwareError> {
        let ask = Ask { method: Method::DELETE, ..self.asks(path) };
        self.account.send(&ask, self.deadline).await
    }

    async fn repeated<T, F: Future<Output = Result<T, HardwareError>>>(&self, once: impl FnMut() -> F) -> Result<T, HardwareError> {
        let ladder = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(0))
            .with_jitter();
        let again = |error: &HardwareError| error.kind == Kind::Timeout && Instant::now() < self.deadline;
        once.retry(ladder).when(again).await
    }

    async fn get_once(&self, path: &str) -> Result<Resource, HardwareError> {
        let reply = self.account.send(&self.asks(path), self.deadline).await?;
        if !reply.is_success() {
            return Err(self.refusal(&reply));
        }
        Ok(Resource { path: path.to_owned(), etag: reply.tag(), value: reply.body })
    }

    /// Sends an action, once.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Reply, HardwareError> {
        self.change(Method::POST, path, body, None).await
    }

    /// Changes `resource`. If the controller refuses its ETag (412) nothing was done: the resource is read
    /// again and the change tried with the new one, then without any.
    pub(crate) async fn patch(&self, resource: &Resource, body: &Value) -> Result<Reply, HardwareError> {
        let reply = self.change(Method::PATCH, &resource.path, body, resource.etag.as_deref()).await?;
        if reply.status != StatusCode::PRECONDITION_FAILED {
            return Ok(reply);
        }
        let fresh = self.get(&resource.path).await?;
        // Some give a weak ETag and take only its strong form.
        let etag = fresh.etag.as_deref().map(|etag| if resource.etag == fresh.etag { etag.trim_start_matches("W/") } else { etag });
        let reply = self.change(Method::PATCH, &resource.path, body, etag.or(Some("*"))).await?;
        if reply.status != StatusCode::PRECONDITION_FAILED {
            return Ok(reply);
        }
        self.change(Method::PATCH, &resource.path, body, None).await
    }

    async fn change(&self, method: Method, path: &str, body: &Value, if_match: Option<&str>) -> Result<Reply, HardwareError> {
        let ask = Ask { method, path, body: Some(body), if_match, what: self.what, follow: self.follow };
        self.account.send(&ask, self.deadline).await
    }

    /// Waits, if there is time for it.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        let fits = Instant::now() + time < self.deadline;
        if fits {
            tokio::time::sleep(time).await;
        }
        fits
    }

    /// The path of the link `value["@odata.id"]`, when it leads to this controller.
    pub(crate) fn link(&self, value: Option<&Value>) -> Option<String> {
        value?.get("@odata.id").and_then(Value::as_str).and_then(|link| self.account.own_path(link))
    }

    /// The path of an action's target.
    pub(crate) fn action(&self, resource: &Resource, name: &str) -> Option<String> {
        let target = resource.value.get("Actions")?.get(name)?.get("target")?.as_str()?;
        self.account.own_path(target)
    }

    /// What a refusal means, fit to leave.
    pub(crate) fn refusal(&self, reply: &Reply) -> HardwareError {
        self.account.scrub(reply.refusal(self.what))
    }

    /// `Ok` for success, else [`Self::refusal`].
    pub(crate) fn accepted(&self, reply: &Reply) -> Result<(), HardwareError> {
        if reply.is_success() { Ok(()) } else { Err(self.refusal(reply)) }
    }

    pub(crate) fn unsupported(&self, code: &str, why: &str) -> HardwareError {
        HardwareError::new(Kind::Unsupported, format!("redfish.{code}"), format!("{}: {why}", self.what))
    }
}
