//! `/v1/runbooks`.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use wrought_domain::{Map, Runbook};

use crate::args::brief;
use crate::call::{Call, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, checked_body, field};
use crate::nodes::fields::moment;
use crate::nodes::traits;
use crate::patching::{apply, changes};
use crate::recipes::{self, Kept};
use crate::routes::Routes;
use crate::steps;

/// Since when runbooks have traits, and names of any kind.
pub(crate) const TRAITS_SINCE: u16 = 112;
/// Traits of one runbook.
const MAX_TRAITS: usize = 50;

pub(crate) const FIELDS: &[Field] = &[
    field("uuid", 92, Write::Create, Kind::Uuid),
    field("name", 92, Write::Both, Kind::Mandatory(255)),
    field("steps", 92, Write::Both, Kind::List),
    field("disable_ramdisk", 92, Write::Both, Kind::Bool(false)),
    field("extra", 92, Write::Both, Kind::Dict),
    field("public", 92, Write::Both, Kind::Bool(false)),
    field("owner", 92, Write::Both, Kind::Text(255)),
    field("description", TRAITS_SINCE, Write::Both, Kind::Text(255)),
    field("traits", TRAITS_SINCE, Write::Never, Kind::Shown),
    field("created_at", 92, Write::Never, Kind::Shown),
    field("updated_at", 92, Write::Never, Kind::Shown),
    field("links", 92, Write::Never, Kind::Shown),
];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/runbooks", list)
        .post("/v1/runbooks", create)
        .get("/v1/runbooks/{runbook}", show)
        .patch("/v1/runbooks/{runbook}", update)
        .delete("/v1/runbooks/{runbook}", delete)
        .get("/v1/runbooks/{runbook}/traits", list_traits)
        .put("/v1/runbooks/{runbook}/traits", replace_traits)
        .delete("/v1/runbooks/{runbook}/traits", delete_traits)
        .put("/v1/runbooks/{runbook}/traits/{trait}", add_trait)
        .delete("/v1/runbooks/{runbook}/traits/{trait}", delete_trait)
}

impl Kept for Runbook {
    const PATH: &'static str = "runbooks";
    const ONE: &'static str = "Runbook";
    const SINCE: u16 = 92;
    const FIELDS: &'static [Field] = FIELDS;

    fn id(&self) -> Uuid {
        self.uuid
    }

    fn shown(&self, call: &Call) -> Map {
        let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
        let value = |name: &str| match name {
            "uuid" => Value::from(self.uuid.to_string()),
            "name" => Value::from(self.name.as_str()),
            "steps" => self.steps.iter().map(|step| steps::shown(&step.call, ("order", step.order))).collect(),
            "disable_ramdisk" => Value::from(self.disable_ramdisk),
            "extra" => Value::Object(self.extra.clone()),
            "public" => Value::from(self.public),
            "owner" => text(&self.owner),
            "description" => text(&self.description),
            "traits" => json!(self.traits),
            "created_at" => moment(Some(self.created_at)),
            "updated_at" => moment(self.updated_at),
            _ => call.base.links(&format!("runbooks/{}", self.uuid)),
        };
        FIELDS.iter().filter(|field| field.since <= call.version.0).map(|field| (field.name.to_owned(), value(field.name))).collect()
    }
}

/// `GET /v1/runbooks`.
async fn list(call: Call) -> Result<Response, Fault> {
    recipes::page::<Runbook>(&call).await
}

/// `GET /v1/runbooks/{runbook}`.
async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::one::<Runbook>(&call, &ident).await
}

/// Whether a runbook may have this name: a trait, or since 1.112 whatever stands in a path as it is.
fn check_name(call: &Call, name: &str) -> Result<(), Fault> {
    if call.version.0 < TRAITS_SINCE {
        return recipes::check_trait_name("Runbook", name);
    }
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    if !plain || Uuid::parse_str(name).is_ok() {
        return Err(Fault::invalid(format!("Cannot use invalid name '{}' for a runbook.", brief(&Value::from(name)))));
    }
    Ok(())
}

/// Takes what a body or a patched document says into a runbook.
fn fill(call: &Call, runbook: &mut Runbook, mut document: Map) -> Result<(), Fault> {
    if let Some(Value::String(name)) = document.remove("name") {
        if name != runbook.name {
            check_name(call, &name)?;
        }
        runbook.name = name;
    }
    if let Some(given) = document.remove("steps") {
        runbook.steps = steps::runbook_steps(given)?;
    }
    if let Some(Value::Object(extra)) = document.remove("extra") {
        runbook.extra = extra;
    }
    if let Some(owner) = document.remove("owner") {
        runbook.owner = owner.as_str().map(str::to_owned);
    }
    if let Some(description) = document.remove("description") {
        runbook.description = description.as_str().map(str::to_owned);
    }
    if let Some(Value::Bool(disable_ramdisk)) = document.remove("disable_ramdisk") {
        runbook.disable_ramdisk = disable_ramdisk;
    }
    if let Some(Value::Bool(public)) = document.remove("public") {
        runbook.public = public;
    }
    if runbook.public && runbook.owner.is_some() {
        return Err(Fault::invalid("There cannot be an owner for a public runbook"));
    }
    Ok(())
}

/// That the runbook is the caller's to change: a project's own. What all use is made and kept by callers without a project.
fn check_own(call: &Call, runbook: &Runbook) -> Result<(), Fault> {
    if call.who.project.is_none() || runbook.owner == call.who.project {
        return Ok(());
    }
    Err(Fault::forbidden("Access was denied to the following resource: this runbook is not your project's."))
}

/// `POST /v1/runbooks`. A project's own belongs to it.
async fn create(call: Call) -> Result<Response, Fault> {
    recipes::writable::<Runbook>(&call, 92)?;
    call.query().done()?;
    let mut document = checked_body("runbook", FIELDS, call.object()?, &call)?;
    for name in ["name", "steps"] {
        if !document.contains_key(name) {
            return Err(crate::args::missing(name));
        }
    }
    let uuid = recipes::taken_uuid(&mut document)?;
    let mut runbook = Runbook {
        uuid,
        name: String::new(),
        steps: Vec::new(),
        disable_ramdisk: false,
        extra: Map::new(),
        public: false,
        owner: call.who.project.clone(),
        description: None,
        traits: Vec::new(),
        created_at: Timestamp::now(),
        updated_at: None,
    };
    fill(&call, &mut runbook, document)?;
    check_own(&call, &runbook)?;
    let runbook = call.api.service.store().add_recipe(&call.who, runbook).await?;
    let location = format!("{}/v1/runbooks/{}", call.base, runbook.uuid);
    Ok(created(Value::Object(runbook.shown(&call)), location))
}

/// `PATCH /v1/runbooks/{runbook}`.
async fn update(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<Runbook>(&call, 92)?;
    call.query().done()?;
    let changes = changes(&call, FIELDS)?;
    let before: Runbook = recipes::find(&call, &call.who, &ident).await?;
    check_own(&call, &before)?;
    let mut document = before.shown(&call);
    // Changes are applied to what is stored: a patch of one step leaves the others' secrets alone.
    let stored = before.steps.iter();
    let stored =
        stored.map(|step| json!({"interface": step.call.interface, "step": step.call.step, "args": step.call.args, "order": step.order}));
    document.insert("steps".into(), stored.collect());
    let document = apply(&call, FIELDS, &document, &changes, &[])?;
    let mut after = before.clone();
    // What becomes public belongs to nobody any more.
    let owned = changes.iter().any(|change| change.path == "/owner");
    if document.get("public") == Some(&Value::Bool(true)) && !before.public && !owned {
        after.owner = None;
    }
    let document = if owned { document } else { document.into_iter().filter(|(name, _)| name != "owner").collect() };
    fill(&call, &mut after, document)?;
    steps::restore(after.steps.iter_mut().map(|step| &mut step.call), &before.steps.iter().map(|step| &step.call).collect::<Vec<_>>());
    check_own(&call, &after)?;
    let runbook = call.api.service.store().update_recipe(&call.who, &before, after).await?;
    Ok(ok(Value::Object(runbook.shown(&call))))
}

/// `DELETE /v1/runbooks/{runbook}`.
async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<Runbook>(&call, 92)?;
    call.args()?.done()?;
    let runbook: Runbook = recipes::find(&call, &call.who, &ident).await?;
    check_own(&call, &runbook)?;
    call.api.service.store().delete_recipe(&call.who, &runbook).await?;
    Ok(no_content())
}

/// Rewrites the traits of a runbook.
async fn change(call: &Call, ident: &str, change: impl FnOnce(&mut Vec<String>)) -> Result<(), Fault> {
    let before: Runbook = recipes::find(call, &call.who, ident).await?;
    check_own(call, &before)?;
    let mut after = before.clone();
    change(&mut after.traits);
    after.traits.sort_unstable();
    after.traits.dedup();
    if after.traits.len() > MAX_TRAITS {
        return Err(Fault::invalid(format!("Runbook {} may have at most {MAX_TRAITS} traits.", before.uuid)));
    }
    if after.traits != before.traits {
        call.api.service.store().update_recipe(&call.who, &before, after).await?;
    }
    Ok(())
}

/// `GET .../traits`.
async fn list_traits(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(TRAITS_SINCE)?;
    call.query().done()?;
    let runbook: Runbook = recipes::find(&call, &call.who, &ident).await?;
    Ok(ok(json!({"traits": runbook.traits})))
}

/// `PUT .../traits`.
async fn replace_traits(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<Runbook>(&call, TRAITS_SINCE)?;
    let traits = traits::given(&call)?;
    change(&call, &ident, |stored| *stored = traits).await?;
    Ok(no_content())
}

/// `PUT .../traits/{trait}`.
async fn add_trait(Path((ident, name)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<Runbook>(&call, TRAITS_SINCE)?;
    call.args()?.done()?;
    traits::check(&name)?;
    let location = format!("{}/v1/runbooks/{ident}/traits/{name}", call.base);
    change(&call, &ident, |stored| stored.push(name)).await?;
    Ok((StatusCode::NO_CONTENT, [(header::LOCATION, location)]).into_response())
}

/// `DELETE .../traits/{trait}`; one that is not there is gone already.
async fn delete_trait(Path((ident, name)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<Runbook>(&call, TRAITS_SINCE)?;
    call.args()?.done()?;
    change(&call, &ident, |stored| stored.retain(|known| *known != name)).await?;
    Ok(no_content())
}

/// `DELETE .../traits`.
async fn delete_traits(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<Runbook>(&call, TRAITS_SINCE)?;
    call.args()?.done()?;
    change(&call, &ident, Vec::clear).await?;
    Ok(no_content())
}
