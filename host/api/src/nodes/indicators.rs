//! `/v1/nodes/{node}/management/indicators`: lamps by which people find a machine.
//!
//! Ironic names an indicator `name@component`; its documents show the two as segments of the path. Both are understood.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use wrought_conductor::Indicator;
use wrought_domain::NodeId;

use crate::args::brief;
use crate::call::{Call, no_content, ok};
use crate::errors::Fault;

/// The minor version that brought indicators.
const SINCE: u16 = 63;

fn shown(call: &Call, node: NodeId, indicator: &Indicator) -> Value {
    let Indicator { component, name, states, .. } = indicator;
    let links = call.base.links(&format!("nodes/{node}/management/indicators/{name}@{component}"));
    json!({"name": format!("{name}@{component}"), "component": component, "readonly": false, "states": states, "links": links})
}

async fn all(call: &Call, ident: &str) -> Result<(NodeId, Vec<Indicator>), Fault> {
    let node = call.node(ident).await?.value.uuid;
    Ok((node, call.api.service.indicators(&call.who, node).await?))
}

/// `GET`: the components that have indicators, and all of these.
pub(crate) async fn list(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    call.query().done()?;
    let (node, found) = all(&call, &ident).await?;
    let mut components: Vec<&str> = found.iter().map(|indicator| indicator.component).collect();
    components.dedup();
    let component = |name: &&str| json!({"name": name, "links": call.base.links(&format!("nodes/{node}/management/indicators/{name}"))});
    Ok(ok(json!({
        "components": components.iter().map(component).collect::<Value>(),
        "indicators": found.iter().map(|indicator| shown(&call, node, indicator)).collect::<Value>(),
    })))
}

fn unknown(which: &str) -> Fault {
    Fault::not_found(format!("Indicator {} could not be found.", brief(&Value::from(which))))
}

fn state_of(found: &[Indicator], component: &str, name: &str) -> Result<Response, Fault> {
    let found = found.iter().find(|indicator| indicator.component == component && indicator.name == name);
    let found = found.ok_or_else(|| unknown(&format!("{name}@{component}")))?;
    Ok(ok(json!({"state": found.state})))
}

/// `GET .../{which}`: the indicators of a component, or the state of one.
pub(crate) async fn show(Path((ident, which)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    call.query().done()?;
    let (node, found) = all(&call, &ident).await?;
    if let Some((name, component)) = which.rsplit_once('@') {
        return state_of(&found, component, name);
    }
    let of_component: Vec<Value> =
        found.iter().filter(|indicator| indicator.component == which).map(|indicator| shown(&call, node, indicator)).collect();
    if of_component.is_empty() {
        return Err(unknown(&which));
    }
    Ok(ok(json!({"indicators": of_component})))
}

/// `GET .../{component}/{indicator}`.
pub(crate) async fn state(Path((ident, component, name)): Path<(String, String, String)>, call: Call) -> Result<Response, Fault> {
    call.since(SINCE)?;
    call.query().done()?;
    let (_, found) = all(&call, &ident).await?;
    state_of(&found, &component, &name)
}

/// `PUT .../{which}`.
pub(crate) async fn set(Path((ident, which)): Path<(String, String)>, call: Call) -> Result<Response, Fault> {
    let (name, component) = which.rsplit_once('@').ok_or_else(|| Fault::invalid("Malformed indicator name: use NAME@COMPONENT."))?;
    switch(&call, &ident, component, name).await
}

/// `PUT .../{component}/{indicator}`.
pub(crate) async fn set_of_component(
    Path((ident, component, name)): Path<(String, String, String)>,
    call: Call,
) -> Result<Response, Fault> {
    switch(&call, &ident, &component, &name).await
}

async fn switch(call: &Call, ident: &str, component: &str, name: &str) -> Result<Response, Fault> {
    call.since(SINCE)?;
    let mut args = call.args()?;
    let state = args.mandatory("state")?.to_lowercase();
    args.done()?;
    let node = call.node(ident).await?.value.uuid;
    call.api.service.set_indicator(&call.who, node, component, name, &state).await?;
    Ok(no_content())
}
