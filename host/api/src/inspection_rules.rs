//! `/v1/inspection_rules`.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::Map;
use wrought_domain::mask::{MASK, is_secret};
use wrought_inspection::rules::{Clause, MAX_PRIORITY, PHASE, Rule};
use wrought_storage::RuleQuery;

use crate::args::{Args, brief, uuid};
use crate::call::{Call, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, check_wanted, checked_body, keep};
use crate::nodes::fields::moment;
use crate::paging::Paging;
use crate::patching::{apply, changes};
use crate::routes::Routes;

/// The minor version that brought them.
const SINCE: u16 = 96;

const fn field(name: &'static str, write: Write, kind: Kind) -> Field {
    Field { name, since: SINCE, write, kind }
}

pub(crate) const FIELDS: &[Field] = &[
    field("uuid", Write::Create, Kind::Uuid),
    field("description", Write::Both, Kind::Text(255)),
    field("priority", Write::Both, Kind::Number(MAX_PRIORITY)),
    field("phase", Write::Both, Kind::Text(16)),
    field("sensitive", Write::Both, Kind::Bool(false)),
    field("conditions", Write::Both, Kind::List),
    field("actions", Write::Both, Kind::List),
    field("created_at", Write::Never, Kind::Shown),
    field("updated_at", Write::Never, Kind::Shown),
    field("links", Write::Never, Kind::Shown),
];

/// What a list shows of a rule unless asked for more.
const BRIEF: &[&str] = &["uuid", "priority", "phase", "description", "links"];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/inspection_rules", list)
        .post("/v1/inspection_rules", create)
        .get("/v1/inspection_rules/{rule}", show)
        .patch("/v1/inspection_rules/{rule}", update)
        .delete("/v1/inspection_rules/{rule}", delete)
}

/// Arguments that tell what is set, and not to what.
const NAMES: &[&str] = &["op", "path", "name", "port_id", "unique"];

/// Whether a text names something secret: `/driver_info/redfish_password`, `{node.driver_info[redfish_password]}`.
fn names_secret(text: &Value) -> bool {
    let text = text.as_str().filter(|text| !text.contains(char::is_whitespace));
    text.is_some_and(|text| text.split(['/', '.', '[', ']', '{', '}']).any(is_secret))
}

/// What may be shown of a value: what stands beside the name of a secret is one, and so is what stands below it.
fn masked(value: Value) -> Value {
    let hidden = |value: Value| if value.is_null() || value.is_boolean() { value } else { MASK.into() };
    match value {
        Value::Object(map) => {
            let secret = map.iter().any(|(key, value)| NAMES.contains(&key.as_str()) && names_secret(value));
            let shown = |(key, value): (String, Value)| match NAMES.contains(&key.as_str()) {
                false if secret || is_secret(&key) => (key, hidden(value)),
                _ => (key, masked(value)),
            };
            Value::Object(map.into_iter().map(shown).collect())
        }
        Value::Array(items) => {
            let mut secret = false;
            let shown = |item: Value| match (secret, names_secret(&item)) {
                (true, _) => hidden(item),
                (false, names) => {
                    secret = names;
                    masked(item)
                }
            };
            Value::Array(items.into_iter().map(shown).collect())
        }
        other => other,
    }
}

/// Whether an answer's mask is sent back.
fn has_mask(value: &Value) -> bool {
    match value {
        Value::String(text) => text == MASK,
        Value::Array(items) => items.iter().any(has_mask),
        Value::Object(map) => map.values().any(has_mask),
        _ => false,
    }
}

/// A rule without the secrets that it sets or compares.
fn without_secrets(rule: &Rule) -> Rule {
    let clause = |clause: &Clause| {
        let args = masked(clause.args.clone());
        // Where the arguments take a secret from the loop, all that it goes through is secret.
        let secret = args != clause.args;
        let item = |value: Value| if secret { Value::from(MASK) } else { masked(value) };
        let over = clause.over.clone().map(|over| match over {
            Value::Array(items) if secret => items.into_iter().map(item).collect(),
            over => item(over),
        });
        Clause { args, over, ..clause.clone() }
    };
    let clauses = |all: &[Clause]| all.iter().map(clause).collect();
    Rule { conditions: clauses(&rule.conditions), actions: clauses(&rule.actions), ..rule.clone() }
}

/// Clauses as Ironic shows them.
fn clauses(all: &[Clause], actions: bool) -> Value {
    let shown = |clause: &Clause| {
        let mut shown = json!({"op": clause.op, "args": clause.args});
        if let Some(map) = shown.as_object_mut() {
            if let Some(over) = &clause.over {
                map.insert("loop".into(), over.clone());
            }
            if let Some(multiple) =
                clause.multiple.or(clause.over.as_ref().filter(|_| !actions).map(|_| wrought_inspection::rules::Multiple::Any))
            {
                map.insert("multiple".into(), json!(multiple));
            }
        }
        shown
    };
    all.iter().map(shown).collect()
}

fn shown(call: &Call, rule: &Rule) -> Map {
    document(call, &without_secrets(rule))
}

/// The rule as it is shown, secrets included.
fn document(call: &Call, rule: &Rule) -> Map {
    let open = |value: Value| if rule.sensitive { Value::Null } else { value };
    let value = |name: &str| match name {
        "uuid" => json!(rule.uuid),
        "description" => json!(rule.description),
        "priority" => json!(rule.priority),
        "phase" => json!(rule.phase),
        "sensitive" => json!(rule.sensitive),
        "conditions" => open(clauses(&rule.conditions, false)),
        "actions" => open(clauses(&rule.actions, true)),
        "created_at" => moment(Some(rule.created_at)),
        "updated_at" => moment(rule.updated_at),
        _ => call.base.links(&format!("inspection_rules/{}", rule.uuid)),
    };
    FIELDS.iter().map(|field| (field.name.to_owned(), value(field.name))).collect()
}

fn wanted(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        check_wanted(FIELDS, wanted, call)?;
    }
    Ok(wanted)
}

/// `GET /v1/inspection_rules`.
async fn list(call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.query();
    let mut paging = Paging::take(&call, &mut args, "id")?;
    let detail = args.boolean("detail")?;
    paging.repeat("detail", detail);
    let wanted = wanted(&call, &mut args)?;
    if detail == Some(true) && wanted.is_some() {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    paging.repeat("fields", wanted.as_ref().map(|fields| fields.join(",")));
    let phase = args.text("phase")?;
    paging.repeat("phase", phase.as_ref());
    args.done()?;
    let asked = RuleQuery {
        phase,
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(uuid).transpose()?,
        sort_key: (paging.sort_key != "id").then(|| paging.sort_key.clone()),
        descending: paging.descending,
    };
    let found = call.api.service.store().inspection_rules(&asked).await?;
    let last = paging.marker_after(&found, |rule| rule.uuid.to_string());
    let items = found.iter().map(|rule| {
        let mut item = shown(&call, rule);
        match &wanted {
            Some(wanted) => keep(&mut item, wanted),
            None if detail == Some(true) => {}
            None => item.retain(|name, _| BRIEF.contains(&name.as_str())),
        }
        Value::Object(item)
    });
    Ok(ok(paging.document(&call, "inspection_rules", "inspection_rules", items.collect(), last)))
}

async fn find(call: &Call, ident: &str) -> Result<Rule, Fault> {
    let gone = || Fault::not_found(format!("Inspection rule {} could not be found.", brief(&Value::from(ident))));
    let uuid = Uuid::parse_str(ident).map_err(|_| gone())?;
    call.api.service.store().inspection_rule(uuid).await?.ok_or_else(gone)
}

/// `GET /v1/inspection_rules/{rule}`.
async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.query();
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    let mut item = shown(&call, &find(&call, &ident).await?);
    if let Some(wanted) = &wanted {
        keep(&mut item, wanted);
    }
    Ok(ok(Value::Object(item)))
}

fn read(what: &str, value: Value, sensitive: bool) -> Result<Vec<Clause>, Fault> {
    let Value::Array(items) = value else { return Err(Fault::invalid(format!("{what} is a list."))) };
    let read = |(at, mut item): (usize, Value)| {
        // What an answer shows of a clause without a loop may be sent back.
        if let Some(map) = item.as_object_mut()
            && map.get("loop").is_some_and(|over| over.is_null() || over.as_array().is_some_and(Vec::is_empty))
        {
            map.remove("loop");
        }
        if has_mask(&item) {
            let text = format!("{MASK} stands for a secret that is not shown: give the secret itself in {what}, item {}", at + 1);
            return Err(Fault::invalid(text));
        }
        // The clause itself may hold secrets, and so may what is wrong with that of a sensitive rule.
        serde_json::from_value(item).map_err(|error| {
            let error = if sensitive { "it is not what it should be".to_owned() } else { error.to_string() };
            Fault::invalid(format!("Validation failed for inspection rule: {error} in {what}, item {}", at + 1))
        })
    };
    items.into_iter().enumerate().map(read).collect()
}

/// Takes what a body or a patched document says into a rule.
fn fill(rule: &mut Rule, mut document: Map) -> Result<(), Fault> {
    if let Some(description) = document.remove("description") {
        rule.description = description.as_str().map(str::to_owned);
    }
    if let Some(priority) = document.remove("priority").and_then(|value| value.as_u64()) {
        rule.priority = u16::try_from(priority).unwrap_or(u16::MAX);
    }
    if let Some(phase) = document.remove("phase") {
        rule.phase = phase.as_str().unwrap_or(PHASE).to_owned();
    }
    if let Some(sensitive) = document.remove("sensitive").and_then(|value| value.as_bool()) {
        rule.sensitive = sensitive;
    }
    if let Some(conditions) = document.remove("conditions") {
        rule.conditions = read("conditions", conditions, rule.sensitive)?;
    }
    if let Some(actions) = document.remove("actions") {
        rule.actions = read("actions", actions, rule.sensitive)?;
    }
    Ok(())
}

/// `POST /v1/inspection_rules`.
async fn create(call: Call) -> Result<Response, Fault> {
    writable(&call)?;
    call.query().done()?;
    let mut body = call.object()?;
    // The command line says so when it is given none.
    if body.get("conditions").is_some_and(Value::is_null) {
        body.remove("conditions");
    }
    let mut document = checked_body("inspection rule", FIELDS, body, &call)?;
    if !document.contains_key("actions") {
        return Err(crate::args::missing("actions"));
    }
    let id = match document.remove("uuid").as_ref().and_then(Value::as_str) {
        Some(text) => uuid(text)?,
        None => Uuid::new_v4(),
    };
    let mut rule = Rule {
        uuid: id,
        description: None,
        priority: 0,
        phase: PHASE.into(),
        sensitive: false,
        conditions: Vec::new(),
        actions: Vec::new(),
        created_at: Timestamp::now(),
        updated_at: None,
    };
    fill(&mut rule, document)?;
    let rule = call.api.service.add_inspection_rule(&call.who, rule).await?;
    let location = format!("{}/v1/inspection_rules/{}", call.base, rule.uuid);
    Ok(created(Value::Object(shown(&call, &rule)), location))
}

/// Ironic answers writes in older versions with 405.
fn writable(call: &Call) -> Result<(), Fault> {
    match call.since(SINCE) {
        Ok(()) => Ok(()),
        Err(_) => Err(Fault::routing(405, "The API version does not allow inspection rules")),
    }
}

/// `PATCH /v1/inspection_rules/{rule}`.
async fn update(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    writable(&call)?;
    call.query().done()?;
    let changes = changes(&call, FIELDS)?;
    let before = find(&call, &ident).await?;
    // Changes are applied to what is stored: a sensitive rule is not shown, but can be changed.
    let document = document(&call, &Rule { sensitive: false, ..before.clone() });
    let document = Map::from_iter(document.into_iter().map(|(name, value)| match name.as_str() {
        "sensitive" => (name, json!(before.sensitive)),
        _ => (name, value),
    }));
    let mut after = before.clone();
    fill(&mut after, apply(&call, FIELDS, &document, &changes, &[])?)?;
    let rule = call.api.service.update_inspection_rule(&call.who, &before, after).await?;
    Ok(ok(Value::Object(shown(&call, &rule))))
}

/// `DELETE /v1/inspection_rules/{rule}`.
async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    writable(&call)?;
    call.args()?.done()?;
    let rule = find(&call, &ident).await?;
    call.api.service.delete_inspection_rule(&call.who, rule.uuid).await?;
    Ok(no_content())
}
