//! `/v1/events`: what other services tell of. It is checked and noted in the log, as Ironic does; nothing here waits for it.

use axum::response::Response;
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::{Map, port::mac};

use crate::args::brief;
use crate::call::{Call, no_content};
use crate::errors::Fault;
use crate::routes::Routes;

/// The events that are known.
const EVENTS: [&str; 3] = ["network.bind_port", "network.unbind_port", "network.delete_port"];
/// What each must have.
const REQUIRED: [&str; 4] = ["event", "port_id", "mac_address", "status"];
/// What each may have.
const OPTIONAL: [&str; 3] = ["device_id", "binding:host_id", "binding:vnic_type"];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().post("/v1/events", create)
}

fn wrong(text: impl std::fmt::Display) -> Fault {
    Fault::invalid(format!("Schema error for events: {text}"))
}

/// `POST /v1/events`.
async fn create(call: Call) -> Result<Response, Fault> {
    call.since(54)?;
    call.query().done()?;
    let mut body = call.object()?;
    let events = body.remove("events").ok_or_else(|| wrong("'events' is a required property"))?;
    if let Some(name) = body.keys().next() {
        let name = brief(&Value::from(name.as_str()));
        return Err(wrong(format!("Additional properties are not allowed ('{name}' was unexpected)")));
    }
    let Value::Array(events) = events else { return Err(wrong("'events' is not a list")) };
    if events.is_empty() {
        return Err(wrong("[] should be non-empty"));
    }
    for event in &events {
        let event = event.as_object().ok_or_else(|| wrong("an event is not an object"))?;
        check(event)?;
        tracing::debug!(event = ?event.get("event"), port = ?event.get("port_id"), status = ?event.get("status"), "told of an event");
    }
    Ok(no_content())
}

fn check(event: &Map) -> Result<(), Fault> {
    if let Some(name) = REQUIRED.iter().find(|name| !event.contains_key(**name)) {
        return Err(wrong(format!("'{name}' is a required property")));
    }
    for (name, value) in event {
        let shown = brief(value);
        let text = match (name.as_str(), value) {
            (name, Value::Null) if OPTIONAL.contains(&name) => continue,
            (name, Value::String(text)) if REQUIRED.contains(&name) || OPTIONAL.contains(&name) => text,
            (name, _) if REQUIRED.contains(&name) || OPTIONAL.contains(&name) => {
                return Err(wrong(format!("{name}: {shown} is not a string")));
            }
            _ => {
                let name = brief(&Value::from(name.as_str()));
                return Err(wrong(format!("Additional properties are not allowed ('{name}' was unexpected)")));
            }
        };
        match name.as_str() {
            "event" if !EVENTS.contains(&text.as_str()) => return Err(wrong(format!("'{shown}' is not one of {}", EVENTS.join(", ")))),
            "port_id" | "device_id" | "binding:host_id" if Uuid::parse_str(text).is_err() => {
                return Err(Fault::invalid(format!("Expected UUID for {name}: {shown}")));
            }
            "mac_address" if mac(text).is_none() => return Err(Fault::invalid(format!("Expected valid MAC address for {name}: {shown}"))),
            _ => {}
        }
    }
    Ok(())
}
