//! Inspection rules: Ironic's, with its operators, actions, loops and replacement fields, and without anything that computes.
//!
//! A rule has conditions, all of which must hold, and actions, which are then carried out in their order. Rules run by falling
//! priority. Arguments may hold replacement fields such as `{inventory[cpu][count]}`: a path into what is at hand, nothing else. What
//! differs from Ironic, on purpose:
//!
//! - A field that is all of an argument keeps its type: `{inventory[memory][physical_mb]}` is a number, not its text. Comparisons take a
//!   number and its text for the same.
//! - A field that leads nowhere is null in a condition, so that `is-none` can tell, and ends an action with an error. Ironic leaves the
//!   field's own text in its place.
//! - What was filled in is never filled in again, and secrets of the node read as `******`: a machine that calls itself
//!   `{node.driver_info[redfish_password]}` learns and leaks nothing.
//! - States, names and what else the lifecycle depends on cannot be set, and there is no `api-call`: the host sends requests where drivers were
//!   granted them.
//! - Work and text are bounded; regular expressions take linear time.

mod action;
mod condition;
mod signature;
mod text;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::Map;

use crate::Subject;
pub(crate) use action::capability;
use signature::Signature;
use text::{Context, Filled};

/// The one phase that there is.
pub const PHASE: &str = "main";
/// The highest priority of a rule; Ironic's.
pub const MAX_PRIORITY: u16 = 9999;
/// Conditions of a rule, and actions.
pub const MAX_CLAUSES: usize = 64;
/// Items that one condition or action goes through.
pub const MAX_ITEMS: usize = 256;
/// Bytes of a rule's conditions and actions, as JSON.
pub const MAX_RULE: usize = 64 << 10;

/// Bytes that all rules together may read and compare at one inspection, with 64 for each evaluation.
const MAX_WORK: usize = 64 << 20;
/// Bytes that they may write into the node, its ports and the plugin data.
const MAX_WRITTEN: usize = 1 << 20;
/// Lines that they may log.
const MAX_LOGGED: usize = 100;

/// How the results of a loop's rounds become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Multiple {
    /// One of them holds.
    Any,
    /// All of them hold.
    All,
    /// The first one holds.
    First,
    /// The last one holds.
    Last,
}

/// A condition or an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// What it does; `!` before a condition turns it round.
    pub op: String,
    /// Its arguments: an object, or a list in the order of Ironic's documentation.
    pub args: Value,
    /// What it is done for, one after the other, each as `item`: a list, or one object.
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Value>,
    /// Of a condition with a loop; `any` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple: Option<Multiple>,
}

/// A rule, as Ironic's API has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id.
    pub uuid: Uuid,
    /// What it is for.
    pub description: Option<String>,
    /// The highest runs first; at most [`MAX_PRIORITY`].
    pub priority: u16,
    /// [`PHASE`].
    pub phase: String,
    /// Whether its conditions and actions are shown to nobody and logged nowhere.
    pub sensitive: bool,
    /// All must hold.
    pub conditions: Vec<Clause>,
    /// Carried out in this order; one at least.
    pub actions: Vec<Clause>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Option<Timestamp>,
}

/// A rule that can never run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRule(String);

/// Why rules end an inspection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleFailure {
    /// A rule says `fail`.
    #[error("inspection rule {rule} ends the inspection: {text}")]
    Fail {
        /// The rule.
        rule: Uuid,
        /// What it says.
        text: String,
    },
    /// An action cannot be carried out.
    #[error("inspection rule {rule} cannot be carried out: {text}")]
    Broken {
        /// The rule.
        rule: Uuid,
        /// What hinders it.
        text: String,
    },
}

/// What the rules came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The rules whose conditions held.
    pub applied: Vec<Uuid>,
    /// What they log: the rule, the level (`debug`, `info`, `warning`, `error`, `critical`) and the line, without control characters.
    pub logged: Vec<(Uuid, String, String)>,
}

/// Why a clause is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stop {
    /// The rule wants it so.
    Fail(String),
    /// It cannot be.
    Broken(String),
}

fn broken<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Broken(text.into()))
}

/// What may still be spent.
#[derive(Debug)]
struct Budget {
    work: usize,
    written: usize,
}

impl Budget {
    fn work(&mut self, bytes: usize) -> Result<(), Stop> {
        match self.work.checked_sub(bytes.saturating_add(64)) {
            Some(left) => self.work = left,
            None => {
                return broken(format!("the rules have done as much as an inspection allows ({} MiB read and compared)", MAX_WORK >> 20));
            }
        }
        Ok(())
    }

    fn written(&mut self, value: &Value) -> Result<(), Stop> {
        match self.written.checked_sub(text::size(value)) {
            Some(left) => self.written = left,
            None => return broken(format!("the rules have written as much as an inspection allows ({} KiB)", MAX_WRITTEN >> 10)),
        }
        Ok(())
    }
}

impl Clause {
    /// The operation without its `!`, and whether it had one.
    fn operation(&self) -> (&str, bool) {
        let op = self.op.trim();
        op.strip_prefix('!').map_or((op, false), |op| (op.trim_start(), true))
    }

    /// What it is done for: each item, or once without one.
    fn items(&self) -> Vec<Option<&Value>> {
        match &self.over {
            Some(Value::Array(items)) if !items.is_empty() => items.iter().map(Some).collect(),
            Some(Value::Object(map)) if !map.is_empty() => self.over.iter().map(Some).collect(),
            _ => vec![None],
        }
    }

    fn loops(&self) -> bool {
        self.items().iter().any(Option::is_some)
    }

    fn check(&self, what: &str, signature: Option<&'static Signature>) -> Result<(), InvalidRule> {
        let invalid = |text: String| InvalidRule(format!("{what} {:?}: {text}", wrought_domain::node::cut(&self.op, 40)));
        let signature = signature.ok_or_else(|| invalid(format!("it is not supported; supported are {}", signature::names(what))))?;
        match &self.over {
            None | Some(Value::Object(_)) => {}
            Some(Value::Array(items)) if items.len() <= MAX_ITEMS => {}
            Some(Value::Array(_)) => return Err(invalid(format!("a loop has at most {MAX_ITEMS} items"))),
            Some(_) => return Err(invalid("loop is a list or an object".into())),
        }
        let args = signature.named(&self.args).map_err(&invalid)?;
        for (name, value) in &args {
            // Braces mean something else in a regular expression.
            if signature.fills(name, self.loops()) && name != "regex" {
                text::check(value, self.loops()).map_err(|text| invalid(format!("{name}: {text}")))?;
            }
        }
        if !self.loops() {
            signature.check(&args).map_err(invalid)?;
        }
        Ok(())
    }

    /// The arguments of one round.
    fn filled(
        &self,
        signature: &Signature,
        item: Option<&Value>,
        missing: Filled,
        subject: &Subject,
        budget: &mut Budget,
    ) -> Result<Map, Stop> {
        let args = signature.named(&self.args).map_err(Stop::Broken)?;
        let outer = Context { subject, item: None };
        let item = item.map(|item| text::fill(item, &outer, missing, budget)).transpose()?;
        let context = Context { subject, item: item.as_ref() };
        let mut filled = Map::new();
        for (name, value) in args {
            let value = match &value {
                value if !signature.fills(&name, item.is_some()) => value.clone(),
                Value::String(regex) if name == "regex" => text::fill_items(regex, &context, budget)?,
                value => text::fill(value, &context, missing, budget)?,
            };
            filled.insert(name, value);
        }
        Ok(filled)
    }
}

impl Rule {
    /// Whether the rule can run.
    ///
    /// # Errors
    /// [`InvalidRule`] says which condition or action cannot, and why.
    pub fn check(&self) -> Result<(), InvalidRule> {
        let invalid = |text: String| Err(InvalidRule(text));
        if self.phase != PHASE {
            return invalid(format!("Invalid phase: {}. Valid phases are: {PHASE}", wrought_domain::node::cut(&self.phase, 40)));
        }
        if self.priority > MAX_PRIORITY {
            return invalid(format!("Priority must be between 0 and {MAX_PRIORITY} for user-defined rules."));
        }
        if self.actions.is_empty() {
            return invalid("A rule has at least one action.".into());
        }
        if self.actions.len() > MAX_CLAUSES || self.conditions.len() > MAX_CLAUSES {
            return invalid(format!("A rule has at most {MAX_CLAUSES} conditions and {MAX_CLAUSES} actions."));
        }
        let clauses = self.conditions.iter().chain(&self.actions);
        let bytes: usize = clauses.map(|clause| text::size(&clause.args) + clause.over.as_ref().map_or(0, text::size)).sum();
        if bytes > MAX_RULE {
            return invalid(format!("The conditions and actions of a rule have at most {MAX_RULE} bytes."));
        }
        for condition in &self.conditions {
            condition.check("condition", signature::condition(condition.operation().0))?;
        }
        for action in &self.actions {
            if action.multiple.is_some() {
                return invalid("multiple is for conditions".into());
            }
            action.check("action", signature::action(&action.op))?;
        }
        Ok(())
    }

    fn holds(&self, subject: &Subject, budget: &mut Budget) -> Result<bool, Stop> {
        for clause in &self.conditions {
            if !condition::holds(clause, subject, budget)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Runs the rules: the highest priority first, those of the same in the order in which they are given. A failure leaves the subject as
/// far as they came.
///
/// # Errors
/// [`RuleFailure`]: the inspection fails.
pub fn apply(rules: &[Rule], subject: &mut Subject) -> Result<Outcome, RuleFailure> {
    let mut ordered: Vec<&Rule> = rules.iter().collect();
    ordered.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
    let mut budget = Budget { work: MAX_WORK, written: MAX_WRITTEN };
    let mut outcome = Outcome::default();
    for rule in ordered {
        run(rule, subject, &mut budget, &mut outcome).map_err(|stop| match stop {
            Stop::Fail(text) => RuleFailure::Fail { rule: rule.uuid, text: shown(rule, text) },
            Stop::Broken(text) => RuleFailure::Broken { rule: rule.uuid, text: shown(rule, text) },
        })?;
    }
    Ok(outcome)
}

fn run(rule: &Rule, subject: &mut Subject, budget: &mut Budget, outcome: &mut Outcome) -> Result<(), Stop> {
    if !rule.holds(subject, budget)? {
        return Ok(());
    }
    outcome.applied.push(rule.uuid);
    for clause in &rule.actions {
        for (level, line) in action::carry_out(clause, subject, budget)? {
            if outcome.logged.len() < MAX_LOGGED && !rule.sensitive {
                outcome.logged.push((rule.uuid, level, line));
            }
        }
    }
    Ok(())
}

/// What of a failure may be seen by those who do not see the rule.
fn shown(rule: &Rule, text: String) -> String {
    if rule.sensitive { "the rule is sensitive, so what it says is not shown".into() } else { text }
}
