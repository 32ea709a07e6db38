//! What operators decide about the versions of a driver: activate, roll back, try on a share of the nodes, pause, grant.
//!
//! Decisions are made one at a time. Each is stored in one transaction with its record in the audit, and only then published as a
//! new generation; operations that are under way keep what they began with.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use wrought_domain::rollout::{Bounds, Canary, MAX_WINDOW, Paused, Rollout, Selector};
use wrought_domain::{Digest, DriverName, Principal};
use wrought_drivers::{Driver, Grants as Set, InForce};
use wrought_storage::{Decision, DriverStatus, DriverVersion};

use crate::audit::{done, must_say_why, object_of, reason};
use crate::conductor::Conductor;
use crate::refusal::administrator;
use crate::uploads::refused;
use crate::{Refusal, convert};

/// Nodes that a warning names.
pub(crate) const NAMED: u32 = 20;

/// What is decided about one driver.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DriverDecision {
    /// A version serves all operations that begin from now on. A version on trial that becomes active has passed.
    Activate {
        /// The version or its digest; the newest one if not given.
        #[serde(default, alias = "digest")]
        version: Option<String>,
        /// Granted beside what was granted before.
        #[serde(default)]
        grant: Vec<String>,
        /// For the audit.
        #[serde(default)]
        reason: Option<String>,
    },
    /// The version that was in force before serves again, and the present one retires.
    Rollback {
        /// Another version to go back to.
        #[serde(default, alias = "digest")]
        version: Option<String>,
        /// For the audit.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A version serves a share of the new operations, until it is activated, stopped, or fails too often.
    Canary {
        /// The version or its digest; the newest one if not given.
        #[serde(default, alias = "digest")]
        version: Option<String>,
        /// Granted beside what was granted before.
        #[serde(default)]
        grant: Vec<String>,
        /// The share of new operations on the selected nodes. Without it the selector must name some nodes, and all of them take part.
        #[serde(default)]
        percent: Option<u8>,
        /// The nodes that take part; all if not given.
        #[serde(default)]
        selector: Selector,
        /// When it is stopped.
        #[serde(default)]
        bounds: Bounds,
        /// For the audit.
        #[serde(default)]
        reason: Option<String>,
    },
    /// The trial ends, and the version in force serves everybody again.
    StopCanary {
        /// For the audit.
        #[serde(default)]
        reason: Option<String>,
    },
    /// No new operation begins on the driver.
    Pause {
        /// Shown to who asks for one.
        #[serde(default)]
        reason: Option<String>,
    },
    /// New operations begin again.
    Resume {
        /// For the audit.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Something is granted beside what was granted before, from the next host call on.
    Grant {
        /// What.
        grant: Vec<String>,
        /// For the audit.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Something is not granted any more, from the next host call on. A capability by its name takes all that is granted of it.
    Ungrant {
        /// What.
        grant: Vec<String>,
        /// For the audit.
        #[serde(default)]
        reason: Option<String>,
    },
}

/// A decision with what follows from it.
pub(crate) struct Decided {
    pub(crate) store: Decision,
    pub(crate) in_force: InForce,
    grants: Option<Set>,
    /// Said to who decided.
    warnings: Vec<String>,
    /// What is answered with.
    shown: Option<DriverVersion>,
}

impl Conductor {
    /// Decides something about a driver. Operations that are under way are not affected, but by what is granted.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] without the version; [`Refusal::Conflict`] when it asks for more than is granted, naming what is missing,
    /// was revoked, or there is nothing to go back to. Nothing has changed then.
    pub async fn decide(&self, who: &Principal, name: DriverName, decision: DriverDecision) -> Result<Value, Refusal> {
        administrator(who)?;
        let (this, who) = (self.clone(), who.clone());
        self.through(async move {
            let _one_at_a_time = this.0.deciding.lock().await;
            let decided = this.consider(&who, &name, decision).await?;
            this.carry_decision(&name, decided).await
        })
        .await
    }

    async fn consider(&self, who: &Principal, name: &DriverName, decision: DriverDecision) -> Result<Decided, Refusal> {
        use DriverDecision as D;
        match decision {
            D::Activate { version, grant, reason: why } => {
                let (version, driver, grants) = self.fit(name, version.as_deref(), &grant).await?;
                let mut warnings = self.left_behind(name, &driver).await?;
                let in_force = self.in_force(name);
                warnings.extend(in_force.rollout.paused.as_ref().map(|paused| format!("driver {name} is paused: {}", paused.reason)));
                let detail = json!({"version": version.version, "digest": version.digest, "grant": grant, "warnings": warnings});
                let record = done(who, "driver.activate", object_of(name), reason(why.as_deref()), detail);
                let activated = activated(in_force, driver, Decision::new(name.clone(), record));
                Ok(Decided { grants, warnings, shown: Some(version), ..activated })
            }
            D::Rollback { version, reason: why } => {
                let in_force = self.in_force(name);
                let (version, driver) = self.former(name, &in_force, version.as_deref()).await?;
                let left = in_force.active.as_ref().map(|driver| driver.digest.clone());
                let warnings = self.left_behind(name, &driver).await?;
                let detail = json!({"version": version.version, "digest": version.digest, "from": left, "warnings": warnings});
                let record = done(who, "driver.rollback", object_of(name), reason(why.as_deref()), detail);
                Ok(Decided { warnings, shown: Some(version), ..rolled_back(in_force, driver, Decision::new(name.clone(), record)) })
            }
            D::Canary { version, grant, percent, selector, bounds, reason: why } => {
                let (version, driver, grants) = self.fit(name, version.as_deref(), &grant).await?;
                let in_force = self.in_force(name);
                let percent = match percent {
                    Some(percent) => percent,
                    None if selector != Selector::default() => 100,
                    None => return Err(Refusal::Invalid("Give the percent of new operations, or a selector of nodes, or both.".into())),
                };
                if percent > 100 || bounds.max_failure_percent > 100 || !(1..=MAX_WINDOW).contains(&bounds.window) {
                    return Err(Refusal::Invalid(format!("Percentages go to 100, and the window from 1 to {MAX_WINDOW} operations.")));
                }
                if bounds.min_operations > bounds.window {
                    return Err(Refusal::Invalid("min_operations is larger than the window, so the trial would never be judged.".into()));
                }
                match &in_force.active {
                    None => {
                        return Err(Refusal::Conflict(format!("No version of driver {name} is active, so there is none to compare with.")));
                    }
                    Some(active) if active.digest == driver.digest => {
                        return Err(Refusal::Conflict(format!("Version {} of driver {name} is active already.", version.version)));
                    }
                    Some(_) => {}
                }
                let warnings = self.left_behind(name, &driver).await?;
                // A trial that goes on with another share keeps what it has seen.
                let same = in_force.rollout.canary.as_ref().filter(|canary| canary.digest == driver.digest);
                let ended = same.map(|canary| canary.ended.clone()).unwrap_or_default();
                let canary =
                    Canary { digest: driver.digest.clone(), percent, selector, bounds, by: who.user.clone(), at: self.now(), ended };
                let detail = json!({
                    "version": version.version, "digest": version.digest, "percent": percent, "selector": canary.selector, "bounds": bounds,
                    "grant": grant, "warnings": warnings,
                });
                let record = done(who, "driver.canary", object_of(name), reason(why.as_deref()), detail);
                let mut store = Decision::new(name.clone(), record);
                let former = in_force.rollout.canary.as_ref().filter(|former| former.digest != driver.digest);
                store.statuses = former.map(|former| (former.digest.clone(), DriverStatus::Available)).into_iter().collect();
                store.statuses.push((driver.digest.clone(), DriverStatus::Canary));
                let rollout = Rollout { canary: Some(canary), ..Rollout::clone(&in_force.rollout) };
                let in_force = InForce { canary: Some(driver), ..in_force };
                Ok(Decided { grants, warnings, shown: Some(version), ..Decided::of(store, in_force, rollout) })
            }
            D::StopCanary { reason: why } => {
                let in_force = self.in_force(name);
                let Some(canary) = in_force.rollout.canary.clone() else {
                    return Err(Refusal::Conflict(format!("No version of driver {name} is on trial.")));
                };
                let record = done(who, "driver.canary-stop", object_of(name), reason(why.as_deref()), json!({"digest": canary.digest}));
                Ok(stopped(in_force, &canary.digest, DriverStatus::Available, Decision::new(name.clone(), record)))
            }
            D::Pause { reason: why } => {
                let why = why.map_or_else(|| Ok("no reason was given".to_owned()), |why| must_say_why(&why))?;
                self.versions_of(name).await?;
                let in_force = self.in_force(name);
                let paused = Paused { reason: why.clone(), by: who.user.clone(), at: self.now() };
                let rollout = Rollout { paused: Some(paused), ..Rollout::clone(&in_force.rollout) };
                let record = done(who, "driver.pause", object_of(name), why, json!({}));
                Ok(Decided::of(Decision::new(name.clone(), record), in_force, rollout))
            }
            D::Resume { reason: why } => {
                let in_force = self.in_force(name);
                if in_force.rollout.paused.is_none() {
                    return Err(Refusal::Conflict(format!("Driver {name} is not paused.")));
                }
                let rollout = Rollout { paused: None, ..Rollout::clone(&in_force.rollout) };
                let record = done(who, "driver.resume", object_of(name), reason(why.as_deref()), json!({}));
                Ok(Decided::of(Decision::new(name.clone(), record), in_force, rollout))
            }
            D::Grant { grant, reason: why } => {
                let more = granting(&grant)?;
                let all = self.0.grants.granted(name).union(&more);
                self.regrant(who, name, "driver.grant", all, &grant, why.as_deref()).await
            }
            D::Ungrant { grant, reason: why } => {
                let less = granting(&grant)?;
                let before = self.0.grants.granted(name);
                let all = before.without(&less);
                if all == *before {
                    return Err(Refusal::Conflict(format!(
                        "Nothing of {less} was granted to driver {name} by an operator. What a driver of this host's own may use comes with it."
                    )));
                }
                self.regrant(who, name, "driver.ungrant", all, &grant, why.as_deref()).await
            }
        }
    }

    async fn regrant(
        &self,
        who: &Principal,
        name: &DriverName,
        verb: &str,
        all: Set,
        named: &[String],
        why: Option<&str>,
    ) -> Result<Decided, Refusal> {
        self.versions_of(name).await?;
        let record = done(who, verb, object_of(name), reason(why), json!({"grant": named, "granted": all.names()}));
        let in_force = self.in_force(name);
        let rollout = Rollout::clone(&in_force.rollout);
        Ok(Decided { grants: Some(all), ..Decided::of(Decision::new(name.clone(), record), in_force, rollout) })
    }

    /// Stores a decision, then lets it hold.
    async fn carry_decision(&self, name: &DriverName, decided: Decided) -> Result<Value, Refusal> {
        let Decided { mut store, in_force, grants, warnings, shown } = decided;
        store.grants = grants.as_ref().map(Set::names);
        let verb = store.record.verb.clone();
        let detail = store.record.detail.to_string();
        self.0.store.decide(store).await.map_err(convert::refusal)?;
        if let Some(grants) = grants {
            self.0.grants.grant(name, grants);
        }
        self.0.catalog.publish(name.clone(), in_force);
        tracing::info!(driver = %name, verb, detail, "decided");
        for warning in &warnings {
            tracing::warn!(driver = %name, "{warning}");
        }
        let versions = self.versions_of(name).await?;
        let version = shown.and_then(|shown| versions.iter().find(|version| version.digest == shown.digest));
        let mut document = version.map_or_else(|| self.driver_document(name, &versions), |version| self.shown(version));
        if let Some(document) = document.as_object_mut() {
            document.insert("warnings".into(), warnings.into());
        }
        Ok(document)
    }

    /// What serves under a name now; nothing of it where nothing was decided yet.
    pub(crate) fn in_force(&self, name: &DriverName) -> InForce {
        self.0.catalog.current().drivers.get(name).cloned().unwrap_or_default()
    }

    /// A version that may serve, loaded, and all that is granted then where that changes.
    async fn fit(
        &self,
        name: &DriverName,
        wanted: Option<&str>,
        grant: &[String],
    ) -> Result<(DriverVersion, Arc<Driver>, Option<Set>), Refusal> {
        let versions = self.versions_of(name).await?;
        let missing = || Refusal::NotFound(format!("Driver {name} has no version {}.", wanted.unwrap_or("that could serve")));
        let version = choose(&versions, wanted).ok_or_else(missing)?.clone();
        self.not_revoked(name, &version)?;
        let driver = self.0.catalog.version(&version.digest).await.map_err(|rejected| refused(&rejected))?;
        let granted = granting(grant)?;
        let missing = self.0.grants.of(name, &driver.digest).union(&granted).missing(&driver.requested);
        if !missing.is_empty() {
            return Err(Refusal::Conflict(format!(
                "Driver {name} {version} requests {requested}; not granted: {lacking}. Grant them with: wrought driver activate {name} \
                 {version} --grant {grant}",
                version = version.version,
                requested = driver.requested,
                lacking = missing.join(", "),
                grant = missing.join(","),
            )));
        }
        let grants = (!grant.is_empty()).then(|| self.0.grants.granted(name).union(&granted));
        Ok((version, driver, grants))
    }

    /// The version to go back to: the one that is named, or the last one that was in force and may still serve.
    pub(crate) async fn former(
        &self,
        name: &DriverName,
        in_force: &InForce,
        wanted: Option<&str>,
    ) -> Result<(DriverVersion, Arc<Driver>), Refusal> {
        if let Some(wanted) = wanted {
            return self.fit(name, Some(wanted), &[]).await.map(|(version, driver, _)| (version, driver));
        }
        let versions = self.versions_of(name).await?;
        let active = in_force.active.as_ref().map(|driver| &driver.digest);
        for digest in in_force.rollout.former.iter().rev().filter(|digest| Some(*digest) != active) {
            let Some(version) = versions.iter().find(|version| version.digest == *digest) else { continue };
            if version.status == DriverStatus::Revoked {
                continue;
            }
            return self.fit(name, Some(digest.as_str()), &[]).await.map(|(version, driver, _)| (version, driver));
        }
        Err(Refusal::Conflict(format!("No version of driver {name} was in force before. Name the one to go back to.")))
    }

    fn not_revoked(&self, name: &DriverName, version: &DriverVersion) -> Result<(), Refusal> {
        match self.0.grants.revoked(&version.digest) {
            Some(reason) => Err(Refusal::Conflict(format!(
                "Version {} ({}) of driver {name} was revoked: {reason}. A version that is revoked never serves again; upload another one.",
                version.version,
                version.digest.short()
            ))),
            None => Ok(()),
        }
    }

    /// Nodes that stay with the version that wrote the driver's state, because this one cannot read it.
    async fn left_behind(&self, name: &DriverName, driver: &Driver) -> Result<Vec<String>, Refusal> {
        let nodes = self.0.store.unreadable_states(name, &driver.about.schemas.reads, NAMED).await.map_err(convert::refusal)?;
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let more = if u32::try_from(nodes.len()) == Ok(NAMED) { " and maybe more" } else { "" };
        let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        Ok(vec![format!(
            "this version cannot read what driver {name} keeps about these nodes, so they stay with the version that wrote it until they \
             are torn down: {}{more}",
            names.join(", ")
        )])
    }
}

impl Decided {
    pub(crate) fn of(mut store: Decision, mut in_force: InForce, rollout: Rollout) -> Self {
        store.rollout = Some(rollout.clone());
        in_force.rollout = Arc::new(rollout);
        Self { store, in_force, grants: None, warnings: Vec::new(), shown: None }
    }
}

/// The driver takes the place of the one in force.
fn activated(in_force: InForce, driver: Arc<Driver>, mut store: Decision) -> Decided {
    let mut rollout = Rollout::clone(&in_force.rollout);
    rollout.succeed(in_force.active.as_ref().map(|former| former.digest.clone()), &driver.digest);
    let canary = in_force.canary.clone().filter(|_| rollout.canary.is_some());
    store.active = Some(Some(driver.digest.clone()));
    Decided::of(store, InForce { active: Some(driver), canary, ..in_force }, rollout)
}

/// The same, but what it leaves is not gone back to.
fn rolled_back(in_force: InForce, driver: Arc<Driver>, mut store: Decision) -> Decided {
    let left = in_force.active.as_ref().map(|left| left.digest.clone()).filter(|left| *left != driver.digest);
    store.statuses = left.clone().map(|left| (left, DriverStatus::Retired)).into_iter().collect();
    let decided = activated(in_force, driver, store);
    let mut rollout = Rollout::clone(&decided.in_force.rollout);
    let serving = decided.in_force.active.as_ref().map(|driver| driver.digest.clone());
    rollout.former.retain(|former| Some(former) != left.as_ref() && Some(former) != serving.as_ref());
    Decided::of(decided.store, decided.in_force, rollout)
}

/// The trial of a version ends.
pub(crate) fn stopped(in_force: InForce, digest: &Digest, status: DriverStatus, mut store: Decision) -> Decided {
    store.statuses.push((digest.clone(), status));
    let rollout = Rollout { canary: None, ..Rollout::clone(&in_force.rollout) };
    Decided::of(store, InForce { canary: None, ..in_force }, rollout)
}

/// A version by its number or its digest (whole or its beginning); the one uploaded last where several match, or where none is
/// named: then of those that nobody took out of service.
fn choose<'a>(versions: &'a [DriverVersion], wanted: Option<&str>) -> Option<&'a DriverVersion> {
    let is = |version: &&DriverVersion| match wanted {
        None => !matches!(version.status, DriverStatus::Retired | DriverStatus::Revoked),
        Some(text) => {
            let hex = text.strip_prefix("sha256:").unwrap_or(text);
            version.version == text || (hex.len() >= 8 && version.digest.hex().starts_with(hex))
        }
    };
    versions.iter().filter(is).max_by_key(|version| version.uploaded_at)
}

fn granting(texts: &[String]) -> Result<Set, Refusal> {
    Set::of(texts).map_err(|error| Refusal::Invalid(error.to_string()))
}
