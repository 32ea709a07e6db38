//! Nodes as JSON text: each field's text is made once for each revision of the node, and answers are put together of these texts.
//!
//! What depends on the request is not among them: links (the URL that the client reached), and provision states that old versions
//! do not know. Secrets are masked before the text is made.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;
use wrought_domain::mask::Masked;
use wrought_domain::{Node, NodeId, ProvisionState};
use wrought_storage::Mark;

use crate::call::Call;
use crate::errors::Fault;
use crate::fields::Field;
use crate::links::Base;
use crate::nodes::fields::{FIELDS, flat, is_owners, moment, provision_state, redacted};

/// The fields in the order in which they are shown: by name.
static SHOWN: LazyLock<Vec<&'static Field>> = LazyLock::new(|| {
    let mut fields: Vec<&Field> = FIELDS.iter().collect();
    fields.sort_unstable_by_key(|field| field.name);
    fields
});

/// A node as text.
pub(crate) struct Rendered {
    pub(crate) mark: Mark,
    pub(crate) uuid: NodeId,
    pub(crate) owner: Option<String>,
    pub(crate) lessee: Option<String>,
    provision_state: ProvisionState,
    /// `"name":value,` of each field of [`SHOWN`], nothing for links.
    text: Box<[u8]>,
    /// Where the text of each field ends.
    ends: Box<[u32]>,
}

impl Rendered {
    /// The node, of which only these fields matter if they are given; `host` is the conductor of a node that has none.
    ///
    /// # Errors
    /// 500: a value cannot be written, which does not happen.
    pub(crate) fn of(mark: Mark, node: &Node, host: &str, only: Option<&Plan>) -> Result<Self, Fault> {
        let mut text = Vec::with_capacity(if only.is_some() { 256 } else { 6144 });
        let mut ends = Vec::with_capacity(SHOWN.len());
        let mut rest = None;
        for (place, field) in SHOWN.iter().enumerate() {
            if !is_link(field.name) && only.is_none_or(|plan| plan.has(place)) {
                write!(text, "\"{}\":", field.name).map_err(unwritable)?;
                if !value(&mut text, field.name, node, host)? {
                    let rest = match &mut rest {
                        Some(rest) => rest,
                        none => none.insert(flat(node)?),
                    };
                    json(&mut text, &rest.get(field.name))?;
                }
                text.push(b',');
            }
            ends.push(u32::try_from(text.len()).map_err(unwritable)?);
        }
        Ok(Self {
            mark,
            uuid: node.uuid,
            owner: node.owner.clone(),
            lessee: node.lessee.clone(),
            provision_state: node.provision_state,
            text: text.into(),
            ends: ends.into(),
        })
    }

    /// Bytes of memory that it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(&*self.ends)
    }

    fn texts(&self, first: usize, last: usize) -> &[u8] {
        let end = |place: usize| self.ends.get(place).map_or(0, |end| usize::try_from(*end).unwrap_or(usize::MAX));
        let begin = first.checked_sub(1).map_or(0, end);
        self.text.get(begin..end(last)).unwrap_or_default()
    }
}

fn unwritable(error: impl std::fmt::Display) -> Fault {
    Fault::internal("writing a node as JSON", &error)
}

fn json(text: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Fault> {
    serde_json::to_writer(text, value).map_err(unwritable)
}

fn is_link(field: &str) -> bool {
    matches!(field, "links" | "ports" | "states" | "portgroups" | "volume")
}

/// Writes a field's value; false for one that is not known here.
fn value(text: &mut Vec<u8>, field: &str, node: &Node, host: &str) -> Result<bool, Fault> {
    macro_rules! plain {
        ($($name:ident)*) => {
            match field {
                $(stringify!($name) => json(text, &node.$name)?,)*
                _ => return Ok(false),
            }
        };
    }
    match field {
        "driver_info" => json(text, &Masked::new(&node.driver_info))?,
        "driver_internal_info" => json(text, &Masked::new(&node.driver_internal_info))?,
        "instance_info" => json(text, &Masked::instance_info(&node.instance_info))?,
        "reservation" => json(text, &node.holder())?,
        "conductor" => json(text, &node.conductor.as_deref().unwrap_or(host))?,
        "created_at" => json(text, &moment(Some(node.created_at)))?,
        "provision_updated_at" => json(text, &moment(node.provision_updated_at))?,
        "updated_at" => json(text, &moment(node.updated_at))?,
        "inspection_started_at" => json(text, &moment(node.inspection_started_at))?,
        "inspection_finished_at" => json(text, &moment(node.inspection_finished_at))?,
        name if name.ends_with("_interface") => {
            let chosen = name.strip_suffix("_interface").and_then(|interface| node.interfaces.get(interface));
            json(text, &chosen)?;
        }
        _ => plain! {
            uuid name driver properties extra instance_uuid instance_name chassis_uuid provision_state target_provision_state power_state
            target_power_state last_error maintenance maintenance_reason fault console_enabled clean_step deploy_step service_step
            raid_config target_raid_config resource_class traits conductor_group automated_clean protected protected_reason owner lessee
            description allocation_uuid retired retired_reason network_data boot_mode secure_boot shard parent_node disable_power_off health
        },
    }
    Ok(true)
}

/// What an answer is put together of.
enum Part {
    /// The texts of the fields from the one place to the other.
    Texts(usize, usize),
    /// The links of the resource below the node, or of the node itself.
    Links(&'static str),
    ProvisionState,
    /// The text of a field that is not for those who have only leased the node.
    Owners(usize, &'static str),
}

/// How nodes are shown to a request.
pub(crate) struct Plan {
    parts: Vec<Part>,
    fields: Vec<bool>,
    /// The API's URL as it stands within a JSON text.
    base: String,
    version: u16,
    /// The project of the caller, where it has one.
    project: Option<String>,
}

impl Plan {
    /// With the fields that `wanted` says, of those that the request's version knows; links are always wanted.
    pub(crate) fn new(call: &Call, wanted: impl Fn(&str) -> bool) -> Self {
        let fields: Vec<bool> =
            SHOWN.iter().map(|field| field.since <= call.version.0 && (field.name == "links" || wanted(field.name))).collect();
        let mut parts: Vec<Part> = Vec::new();
        for (place, field) in SHOWN.iter().enumerate().filter(|(place, _)| fields.get(*place) == Some(&true)) {
            match (field.name, parts.last_mut()) {
                (name, _) if is_link(name) => parts.push(Part::Links(name)),
                ("provision_state", _) if call.version.0 < 39 => parts.push(Part::ProvisionState),
                (name, _) if call.who.project.is_some() && is_owners(name) => parts.push(Part::Owners(place, name)),
                (_, Some(Part::Texts(_, last))) if *last + 1 == place => *last = place,
                _ => parts.push(Part::Texts(place, place)),
            }
        }
        Self { parts, fields, base: escaped(&call.base), version: call.version.0, project: call.who.project.clone() }
    }

    fn has(&self, place: usize) -> bool {
        self.fields.get(place) == Some(&true)
    }

    /// The names of its fields that are not links.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        SHOWN.iter().enumerate().filter(|(place, field)| self.has(*place) && !is_link(field.name)).map(|(_, field)| field.name)
    }

    /// Bytes that [`Plan::write`] adds.
    pub(crate) fn length(&self, node: &Rendered) -> usize {
        let parts: usize = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Texts(first, last) => node.texts(*first, *last).len(),
                Part::Links(name) => {
                    let below = if *name == "links" { 0 } else { name.len() + 1 };
                    r#""":[{"href":"/v1/nodes/","rel":"self"},{"href":"/nodes/","rel":"bookmark"}],"#.len()
                        + name.len()
                        + 2 * (self.base.len() + UUID_LENGTH + below)
                }
                Part::ProvisionState => self.provision_state(node).len(),
                Part::Owners(place, name) => self.owners(node, *place, name).len(),
            })
            .sum();
        // The braces; the last comma is none.
        parts + if parts == 0 { 2 } else { 1 }
    }

    /// Adds the node's JSON text.
    pub(crate) fn write(&self, node: &Rendered, text: &mut Vec<u8>) {
        text.push(b'{');
        let empty = text.len();
        for part in &self.parts {
            match part {
                Part::Texts(first, last) => text.extend_from_slice(node.texts(*first, *last)),
                Part::Links(name) => self.links(name, node, text),
                Part::ProvisionState => text.extend_from_slice(self.provision_state(node).as_bytes()),
                Part::Owners(place, name) => text.extend_from_slice(&self.owners(node, *place, name)),
            }
        }
        if text.len() > empty {
            text.pop();
        }
        text.push(b'}');
    }

    fn links(&self, name: &str, node: &Rendered, text: &mut Vec<u8>) {
        let mut buffer = uuid::Uuid::encode_buffer();
        let uuid: &str = node.uuid.0.hyphenated().encode_lower(&mut buffer);
        let (slash, below) = if name == "links" { ("", "") } else { ("/", name) };
        let base = self.base.as_str();
        let parts = [
            "\"",
            name,
            r#"":[{"href":""#,
            base,
            "/v1/nodes/",
            uuid,
            slash,
            below,
            r#"","rel":"self"},{"href":""#,
            base,
            "/nodes/",
            uuid,
            slash,
            below,
            r#"","rel":"bookmark"}],"#,
        ];
        parts.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
    }

    fn owners<'n>(&self, node: &'n Rendered, place: usize, name: &str) -> Cow<'n, [u8]> {
        let shown = node.texts(place, place);
        if self.project == node.owner || shown.ends_with(b":null,") {
            return shown.into();
        }
        format!("\"{name}\":{},", redacted(name)).into_bytes().into()
    }

    fn provision_state(&self, node: &Rendered) -> String {
        format!("\"provision_state\":{},", provision_state(self.version, node.provision_state))
    }
}

const UUID_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

/// A text as it stands within a JSON text.
fn escaped(base: &Base) -> String {
    let quoted = Value::from(base.0.as_str()).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}
