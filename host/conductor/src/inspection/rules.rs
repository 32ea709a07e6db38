//! The operator's inspection rules.

use wrought_domain::Principal;
use wrought_inspection::rules::{PHASE, Rule};
use wrought_storage::{RuleQuery, StoreError};

use crate::conductor::Conductor;
use crate::convert;
use crate::refusal::{Refusal, administrator};

/// Rules that there may be.
const MOST: u32 = 1000;

fn checked(rule: &Rule) -> Result<(), Refusal> {
    rule.check().map_err(|error| Refusal::Invalid(error.to_string()))
}

impl Conductor {
    /// All rules of the phase that there is, in the order of creation.
    pub(crate) async fn all_rules(&self) -> Result<Vec<Rule>, StoreError> {
        let asked = RuleQuery { phase: Some(PHASE.into()), limit: Some(MOST), ..RuleQuery::default() };
        self.0.store.inspection_rules(&asked).await
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when it can never run, [`Refusal::Conflict`] when its UUID is taken, [`Refusal::Forbidden`].
    pub async fn add_inspection_rule(&self, who: &Principal, rule: Rule) -> Result<Rule, Refusal> {
        administrator(who)?;
        checked(&rule)?;
        if self.0.store.count_inspection_rules().await.map_err(convert::refusal)? >= u64::from(MOST) {
            return Err(Refusal::Conflict(format!("There are {MOST} inspection rules already: delete some first.")));
        }
        self.0.store.add_inspection_rule(rule).await.map_err(convert::refusal)
    }

    /// Changes a rule that was read as `before`.
    ///
    /// # Errors
    /// As [`Conductor::add_inspection_rule`]; [`Refusal::Invalid`] when a sensitive rule would be shown.
    pub async fn update_inspection_rule(&self, who: &Principal, before: &Rule, after: Rule) -> Result<Rule, Refusal> {
        administrator(who)?;
        if before.sensitive && !after.sensitive {
            return Err(Refusal::Invalid("Inspection rules cannot have the sensitive flag unset.".into()));
        }
        checked(&after)?;
        self.0.store.update_inspection_rule(before, after).await.map_err(convert::refusal)
    }

    /// Deletes a rule.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::Forbidden`].
    pub async fn delete_inspection_rule(&self, who: &Principal, rule: uuid::Uuid) -> Result<(), Refusal> {
        administrator(who)?;
        self.0.store.delete_inspection_rule(rule).await.map_err(convert::refusal)
    }
}
