//! Lamps by which people find a machine: of its System and of its Chassis.
//!
//! | property | states |
//! |---|---|
//! | `IndicatorLED` (older) | off, on (`Lit`), blinking |
//! | `LocationIndicatorActive` | off, on |

use serde_json::{Value, json};

use crate::bmc::{Component, Indicator, IndicatorState};
use crate::error::{HardwareError, Kind};
use crate::http::tame;
use crate::redfish::operation::{Operation, Resource};

const LED: &str = "IndicatorLED";
const LOCATION: &str = "LocationIndicatorActive";

/// Chassis of one System that are looked at, at most.
const MOST: usize = 8;

/// A lamp and the resource that it is a property of.
struct Lamp {
    indicator: Indicator,
    resource: Resource,
}

fn lamp(component: Component, resource: Resource) -> Option<Lamp> {
    let (state, states) = match (resource.value.get(LED).and_then(Value::as_str), resource.value.get(LOCATION).and_then(Value::as_bool)) {
        (Some(led), _) => {
            let state = match led {
                "Lit" => IndicatorState::On,
                "Blinking" => IndicatorState::Blinking,
                "Off" => IndicatorState::Off,
                _ => IndicatorState::Unknown,
            };
            (state, vec![IndicatorState::Off, IndicatorState::On, IndicatorState::Blinking])
        }
        (None, Some(active)) => {
            (if active { IndicatorState::On } else { IndicatorState::Off }, vec![IndicatorState::Off, IndicatorState::On])
        }
        (None, None) => return None,
    };
    let id = resource.value.get("Id").and_then(Value::as_str).unwrap_or_else(|| resource.path.rsplit('/').next().unwrap_or_default());
    let indicator = Indicator { component, name: tame(id, 64), state, states };
    Some(Lamp { indicator, resource })
}

async fn lamps(operation: &Operation<'_>, system: Resource) -> Result<Vec<Lamp>, HardwareError> {
    let chassis = system.value.pointer("/Links/Chassis").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found: Vec<Lamp> = lamp(Component::System, system).into_iter().collect();
    for path in chassis.iter().take(MOST).filter_map(|link| operation.link(Some(link))) {
        match operation.get(&path).await {
            Ok(resource) => found.extend(lamp(Component::Chassis, resource)),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Unsupported) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// All of a machine.
pub(crate) async fn all(operation: &Operation<'_>, system: Resource) -> Result<Vec<Indicator>, HardwareError> {
    Ok(lamps(operation, system).await?.into_iter().map(|lamp| lamp.indicator).collect())
}

/// Switches one.
pub(crate) async fn set(
    operation: &Operation<'_>,
    system: Resource,
    component: Component,
    name: &str,
    state: IndicatorState,
) -> Result<(), HardwareError> {
    let named = |lamp: &Lamp| lamp.indicator.component == component && lamp.indicator.name == name;
    let lamp = lamps(operation, system).await?.into_iter().find(named);
    let lamp = lamp.ok_or_else(|| HardwareError::new(Kind::NotFound, "redfish.NoIndicator", "the machine has no such indicator"))?;
    if lamp.indicator.state == state {
        return Ok(());
    }
    if !lamp.indicator.states.contains(&state) {
        return Err(operation.unsupported("IndicatorState", "the indicator has no such state"));
    }
    let body = match (lamp.resource.value.get(LED), state) {
        (Some(_), IndicatorState::On) => json!({LED: "Lit"}),
        (Some(_), IndicatorState::Blinking) => json!({LED: "Blinking"}),
        (Some(_), _) => json!({LED: "Off"}),
        (None, state) => json!({LOCATION: state == IndicatorState::On}),
    };
    operation.accepted(&operation.patch(&lamp.resource, &body).await?)
}
