//! `/v1/nodes/{node}/traits`.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::call::{Call, no_content, ok};
use crate::errors::Fault;

/// Since when nodes have traits.
const SINCE: u16 = 37;
/// Traits of one node.
pub(crate) const MOST: usize = 50;
/// The name spaces of the standard traits (os-traits) and `CUSTOM_`.
const NAMESPACES: &[&str] = &["CUSTOM_", "COMPUTE_", "HW_", "MISC_", "OWNER_", "STORAGE_"];

/// Whether it is a trait: of a standard name space, or `CUSTOM_`.
pub(crate) fn check(name: &str) -> Result<(), Fault> {
    let plain = name.len() <= 255 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if plain && NAMESPACES.iter().any(|space| name.len() > space.len() && name.starts_with(space)) {
        return Ok(());
    }
    let name: String = name.chars().take(80).collect();
    Err(Fault::invalid(format!(
        "Invalid trait '{name}'. A valid trait must be no longer than 255 characters, and either a standard trait or CUSTOM_[A-Z0-9_]+."
    )))
}

/// Rewrites the traits of a node.
async fn change(call: &Call, ident: &str, change: impl FnOnce(&mut Vec<String>) -> Result<(), Fault>) -> Result<(), Fault> {
    let stored = call.node(ident).await?;
    let mut node = stored.value;
    let before = node.traits.clone();
    change(&mut node.traits)?;
    node.traits.sort_unstable();
    node.traits.dedup();
    if node.traits.len() > MOST {
        return Err(Fault::invalid(format!("Node {} may have at most {MOST} traits.", node.uuid)));
    }
    if node.traits != before {
        call.api.service.update_node(&call.who, node, stored.revision.0).await?;
    }
    Ok(())
}

/// That the version has traits; before, Ironic has a status of its own for each method.
fn known(call: &Call, status: u16) -> Result<(), Fault> {
    call.since(SINCE).map_err(|absent| match status {
        406 => Fault::not_acceptable(),
        405 => Fault::routing(405, "The method is not allowed for this resource."),
        _ => absent,
    })
}

/// `GET`.
pub(crate) async fn list(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    known(&call, 406)?;
    call.query().done()?;
    let node = call.node(&ident).await?.value;
    Ok(ok(json!({"traits": node.traits})))
}

/// `PUT` of all.
pub(crate) async fn replace(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    known(&call, 405)?;
    let traits = given(&call)?;
    change(&call, &ident, |stored| {
        *stored = traits;
        Ok(())
    })
    .await?;
    Ok(no_content())
}

/// The traits that a body gives.
pub(crate) fn given(call: &Call) -> Result<Vec<String>, Fault> {
    let mut args = call.args()?;
    let Some(Value::Array(given)) = args.value("traits") else {
        return Err(Fault::invalid("Missing mandatory parameter: traits, a list of names"));
    };
    args.done()?;
    let mut traits = Vec::with_capacity(given.len().min(MOST));
    for name in &given {
        let name = name.as_str().ok_or_else(|| Fault::invalid("Invalid trait: expected a string."))?;
        check(name)?;
        traits.push(name.to_owned());
    }
    Ok(traits)
}

/// `PUT` of one.
pub(crate) async fn add(Path((ident, name)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    known(&call, 405)?;
    call.args()?.done()?;
    check(&name)?;
    let location = format!("{}/v1/nodes/{ident}/traits/{name}", call.base);
    change(&call, &ident, |stored| {
        stored.push(name);
        Ok(())
    })
    .await?;
    Ok((StatusCode::NO_CONTENT, [(header::LOCATION, location)]).into_response())
}

/// `DELETE` of one.
pub(crate) async fn delete(Path((ident, name)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    known(&call, 404)?;
    call.args()?.done()?;
    let uuid = call.node(&ident).await?.value.uuid;
    change(&call, &ident, |stored| {
        let count = stored.len();
        stored.retain(|known| *known != name);
        let name: String = name.chars().take(80).collect();
        if stored.len() == count { Err(Fault::not_found(format!("Node {uuid} doesn't have a trait '{name}'"))) } else { Ok(()) }
    })
    .await?;
    Ok(no_content())
}

/// `DELETE` of all.
pub(crate) async fn delete_all(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    known(&call, 404)?;
    call.args()?.done()?;
    change(&call, &ident, |stored| {
        stored.clear();
        Ok(())
    })
    .await?;
    Ok(no_content())
}
