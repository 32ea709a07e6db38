//! What deploy templates and runbooks have in common: pages, and one by its name.

use axum::response::Response;
use serde_json::Value;
use wrought_domain::{Map, Principal};
use wrought_storage::{Recipe, RecipeQuery};

use crate::args::{Args, brief};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::fields::{Field, check_wanted, keep};
use crate::nodes::traits;
use crate::paging::Paging;

/// A kind of recipe in the API.
pub(crate) trait Kept: Recipe {
    /// The path below `/v1` and the key of lists.
    const PATH: &'static str;
    /// What one is called.
    const ONE: &'static str;
    /// The minor version that brought it.
    const SINCE: u16;
    /// Every field.
    const FIELDS: &'static [Field];
    fn id(&self) -> uuid::Uuid;
    /// All fields that the requested version knows, secrets masked.
    fn shown(&self, call: &Call) -> Map;
}

/// Ironic's 405 for writes of versions that do not know the kind of recipe, or this of its fields; reads are answered 404.
pub(crate) fn writable<R: Kept>(call: &Call, since: u16) -> Result<(), Fault> {
    let what = format!("{}s", R::ONE.to_lowercase());
    call.since(since).map_err(|_| Fault::routing(405, format!("The API version does not allow {what}")))
}

/// The fields asked for.
fn wanted<R: Kept>(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        check_wanted(R::FIELDS, wanted, call)?;
    }
    Ok(wanted)
}

/// One page, brief unless asked for more.
pub(crate) async fn page<R: Kept>(call: &Call) -> Result<Response, Fault> {
    call.since(R::SINCE)?;
    let mut args = call.query();
    let mut paging = Paging::take(call, &mut args, "id")?;
    let detail = args.boolean("detail")?;
    paging.repeat("detail", detail);
    let wanted = wanted::<R>(call, &mut args)?;
    if detail == Some(true) && wanted.is_some() {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    paging.repeat("fields", wanted.as_ref().map(|fields| fields.join(",")));
    let own = if R::ONE == "Runbook" { args.text("project")? } else { None };
    paging.repeat("project", own.as_ref());
    args.done()?;
    let query = RecipeQuery {
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(crate::args::uuid).transpose()?,
        sort_key: (paging.sort_key != "id").then(|| paging.sort_key.clone()),
        descending: paging.descending,
        project: own,
    };
    let found: Vec<R> = call.api.service.store().recipes(&call.who, &query).await?;
    let last = paging.marker_after(&found, |recipe| recipe.id().to_string());
    let items = found.iter().map(|recipe| {
        let mut shown = recipe.shown(call);
        match &wanted {
            Some(wanted) => keep(&mut shown, wanted),
            None if detail == Some(true) => {}
            None => shown.retain(|name, _| matches!(name.as_str(), "uuid" | "name" | "links")),
        }
        Value::Object(shown)
    });
    Ok(ok(paging.document(call, R::PATH, R::PATH, items.collect(), last)))
}

/// The one that a path names.
pub(crate) async fn find<R: Kept>(call: &Call, who: &Principal, ident: &str) -> Result<R, Fault> {
    let ident = call.plain(ident);
    let found = call.api.service.store().recipe(who, ident).await?;
    found.ok_or_else(|| Fault::not_found(format!("{} {} could not be found.", R::ONE, brief(&Value::from(ident)))))
}

/// One of them.
pub(crate) async fn one<R: Kept>(call: &Call, ident: &str) -> Result<Response, Fault> {
    call.since(R::SINCE)?;
    let mut args = call.query();
    let wanted = wanted::<R>(call, &mut args)?;
    args.done()?;
    let recipe: R = find(call, &call.who, ident).await?;
    let mut shown = recipe.shown(call);
    if let Some(wanted) = &wanted {
        keep(&mut shown, wanted);
    }
    Ok(ok(Value::Object(shown)))
}

/// The UUID that a body gives, or a new one.
pub(crate) fn taken_uuid(document: &mut Map) -> Result<uuid::Uuid, Fault> {
    match document.remove("uuid").as_ref().and_then(Value::as_str) {
        Some(text) => crate::args::uuid(text),
        None => Ok(uuid::Uuid::new_v4()),
    }
}

/// Whether a name is a trait.
pub(crate) fn check_trait_name(what: &str, name: &str) -> Result<(), Fault> {
    traits::check(name).map_err(|fault| Fault::invalid(format!("{what} name must be a valid trait: {}", fault.text())))
}
