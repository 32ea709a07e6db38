//! Limits of drivers from the operator's side: what holds for each, and what is set.

use serde_json::{Map, Value, json};
use wrought_domain::{DriverName, Principal};
use wrought_drivers::limits::{DriverLimits, constants};
use wrought_storage::StoreError;

use crate::Refusal;
use crate::audit::{done, object_of};
use crate::conductor::Conductor;
use crate::refusal::administrator;

impl Conductor {
    /// Puts what is stored in force, at the start.
    pub(crate) async fn load_limits(&self) -> Result<(), StoreError> {
        let runtime = self.0.catalog.runtime();
        for (name, wanted) in self.0.store.driver_limits().await? {
            match DriverLimits::read(&wanted, runtime.config()) {
                Ok(limits) => runtime.set_limits(&name, limits),
                Err(error) => tracing::warn!(driver = %name, %error, "the limits set for a driver cannot be had now; the host's hold"),
            }
        }
        Ok(())
    }

    /// The limits of a driver's calls: `limits` in force, what of it is `set` for this driver, what may be set at most (`maxima`), and
    /// what is the same for all (`constants`).
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn driver_limits(&self, _who: &Principal, name: DriverName) -> Result<Value, Refusal> {
        self.versions_of(&name).await?;
        Ok(self.limits_document(&name))
    }

    /// Sets a driver's limits for all calls from now on, in place of what was set; answers as [`Conductor::driver_limits`].
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] unless it is an administrator who asks; [`Refusal::NotFound`]; [`Refusal::Invalid`] for what the engine has
    /// no room for.
    pub async fn set_driver_limits(&self, who: &Principal, name: DriverName, wanted: Map<String, Value>) -> Result<Value, Refusal> {
        administrator(who)?;
        self.versions_of(&name).await?;
        let limits =
            DriverLimits::read(&wanted, self.0.catalog.runtime().config()).map_err(|error| Refusal::Invalid(format!("{error}.")))?;
        let (this, who) = (self.clone(), who.clone());
        self.through(async move {
            let _one_at_a_time = this.0.deciding.lock().await;
            // What is stored is what was understood, not what was sent.
            let document = serde_json::to_value(limits).ok().and_then(|document| document.as_object().cloned()).unwrap_or_default();
            this.0.store.set_driver_limits(&name, &document).await?;
            this.0.catalog.runtime().set_limits(&name, limits);
            this.note(vec![done(&who, "limits", object_of(&name), String::new(), Value::Object(document.clone()))]).await;
            let shown = Value::Object(document);
            tracing::info!(driver = %name, user = who.user, limits = %shown, "limits of a driver set");
            Ok(this.limits_document(&name))
        })
        .await
    }

    /// What [`Conductor::driver_limits`] answers.
    pub(crate) fn limits_document(&self, name: &DriverName) -> Value {
        let runtime = self.0.catalog.runtime();
        let mut limits = serde_json::to_value(runtime.limits_of(name)).unwrap_or_default();
        if let Some(limits) = limits.as_object_mut() {
            limits.insert("concurrent_calls".into(), runtime.concurrent_calls_of(name).into());
        }
        json!({
            "name": name,
            "limits": limits,
            "set": runtime.limits_set(name),
            "maxima": DriverLimits::maxima(runtime.config()),
            "constants": constants(),
        })
    }
}
