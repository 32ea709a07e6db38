//! What ports, port groups, volume connectors and targets have in common: each belongs to a node, and who sees the node sees it.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::port::mac;
use wrought_domain::{Map, Node, NodeId, Portgroup};
use wrought_storage::{NodeRef, Part, PartQuery, Reserved};

use crate::args::{Args, brief, missing, uuid};
use crate::call::{Call, NAMES, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::{Field, check_wanted, checked_body, find as field_of, keep};
use crate::nodes::fields::moment;
use crate::paging::Paging;
use crate::patching::{apply, changes};
use crate::recipes::taken_uuid;

/// A kind of parts in the API.
pub(crate) trait Shown: Part {
    /// What one is called.
    const ONE: &'static str;
    /// The path below `/v1`.
    const PATH: &'static str;
    /// The key of lists.
    const KEY: &'static str;
    /// The minor version that brought it.
    const SINCE: u16;
    /// The minor version that brought the argument `detail` of its lists.
    const DETAIL_SINCE: u16;
    /// The minor version since which a path may name it by its name.
    const NAMED_SINCE: Option<u16>;
    /// Every field.
    const FIELDS: &'static [Field];
    /// What a list shows unless asked for more.
    const BRIEF: &'static [&'static str];
    /// What must be given for a new one, beside its node.
    const REQUIRED: &'static [&'static str];
    /// Dictionaries in which secrets may be, and so asterisks that stand for them.
    const MASKED: &'static [&'static str];
    /// The minor version that brought the filter `portgroup`, where there is one.
    const GROUPED_SINCE: Option<u16> = None;
    /// Whether one may be made while an operation holds the node.
    const MADE_WHILE: Reserved;

    /// One with the defaults.
    fn fresh(uuid: Uuid, node: NodeId, now: Timestamp) -> Self;

    /// When it was made, and changed last.
    fn moments(&self) -> (Timestamp, Option<Timestamp>);

    /// A field that is not shown as it is stored.
    fn shown_otherwise(&self, _call: &Call, _field: &str) -> Option<Value> {
        None
    }

    /// Takes the filters of its lists, beside `node`.
    fn filter(call: &Call, args: &mut Args, paging: &mut Paging, query: &mut PartQuery) -> Result<(), Fault>;

    /// What holds for each one that is stored, whatever else there is.
    fn check(&mut self) -> Result<(), Fault>;
}

/// Which of them a list is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Those of this node.
    pub(crate) node: Option<NodeId>,
    /// The ports of this group.
    pub(crate) portgroup: Option<Uuid>,
    /// The path below `/v1`, where it is not [`Shown::PATH`].
    pub(crate) below: Option<String>,
    /// Whether the path asks for all fields.
    pub(crate) detail: bool,
}

impl Scope {
    /// What is below a node; `what` is the rest of the path.
    pub(crate) fn of_node(node: NodeId, what: &str, detail: bool) -> Self {
        Self { node: Some(node), below: Some(format!("nodes/{node}/{what}")), detail, ..Self::default() }
    }
}

/// The stored form under the API's names.
fn flat<P: Shown>(part: &P) -> Result<Map, Fault> {
    match serde_json::to_value(part) {
        Ok(Value::Object(mut document)) => {
            let node = document.remove("node").unwrap_or_default();
            document.insert("node_uuid".into(), node);
            Ok(document)
        }
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(Fault::internal("writing a part of a node as JSON", &error)),
    }
}

fn unflat<P: Shown>(mut document: Map) -> Result<P, Fault> {
    let node = document.remove("node_uuid").filter(|node| !node.is_null()).ok_or_else(|| missing("node_uuid"))?;
    document.insert("node".into(), node);
    serde_json::from_value(Value::Object(document))
        .map_err(|error| Fault::invalid(format!("The {} is not valid: {error}", P::ONE.to_lowercase())))
}

fn shown<P: Shown>(call: &Call, part: &P) -> Result<Map, Fault> {
    let mut document = flat(part)?;
    let (created_at, updated_at) = part.moments();
    let visible = P::FIELDS.iter().filter(|field| field.since <= call.version.0);
    Ok(visible
        .map(|field| {
            let value = part.shown_otherwise(call, field.name).unwrap_or_else(|| match field.name {
                "created_at" => moment(Some(created_at)),
                "updated_at" => moment(updated_at),
                "links" => call.base.links(&format!("{}/{}", P::PATH, part.uuid())),
                name => document.remove(name).unwrap_or_default(),
            });
            (field.name.to_owned(), value)
        })
        .collect())
}

fn item<P: Shown>(call: &Call, part: &P, detail: bool, wanted: Option<&[String]>) -> Result<Value, Fault> {
    let mut shown = shown(call, part)?;
    match wanted {
        Some(wanted) => keep(&mut shown, wanted),
        None if detail => {}
        None => shown.retain(|name, _| name == "links" || P::BRIEF.contains(&name.as_str())),
    }
    Ok(Value::Object(shown))
}

fn wanted<P: Shown>(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        call.accept(8)?;
        check_wanted(P::FIELDS, wanted, call)?;
    }
    Ok(wanted)
}

/// `GET` of all.
pub(crate) async fn list<P: Shown>(call: Call) -> Result<Response, Fault> {
    page::<P>(&call, Scope::default()).await
}

/// `GET` of all with all fields.
pub(crate) async fn detail<P: Shown>(call: Call) -> Result<Response, Fault> {
    page::<P>(&call, Scope { detail: true, ..Scope::default() }).await
}

/// One page.
pub(crate) async fn page<P: Shown>(call: &Call, scope: Scope) -> Result<Response, Fault> {
    call.since(P::SINCE)?;
    let mut args = call.query();
    let mut paging = Paging::take(call, &mut args, "id")?;
    if let Some(field) = field_of(P::FIELDS, &paging.sort_key) {
        call.accept(field.since)?;
    }
    let detail = args.boolean("detail")?;
    if detail.is_some() {
        call.accept(P::DETAIL_SINCE)?;
        paging.repeat("detail", detail);
    }
    let detailed = scope.detail || detail == Some(true);
    let wanted = wanted::<P>(call, &mut args)?;
    if detailed && wanted.is_some() {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    paging.repeat("fields", wanted.as_ref().map(|fields| fields.join(",")));
    let mut query = PartQuery {
        node: scope.node,
        portgroup: scope.portgroup,
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(uuid).transpose()?,
        sort_key: (paging.sort_key != "id").then(|| paging.sort_key.clone()),
        descending: paging.descending,
        ..PartQuery::default()
    };
    let (mut node, mut group) = (None, None);
    if scope.below.is_none() {
        if let Some(since) = P::GROUPED_SINCE.filter(|_| args.has("portgroup")) {
            call.accept(since)?;
            group = args.text("portgroup")?;
            paging.repeat("portgroup", group.as_ref());
        }
        node = args.text("node")?;
        paging.repeat("node", node.as_ref());
        P::filter(call, &mut args, &mut paging, &mut query)?;
    }
    args.done()?;
    if let Some(ident) = node {
        if Uuid::parse_str(&ident).is_err() {
            call.accept(NAMES)?;
        }
        let named = call.node(&ident).await?.value.uuid;
        if query.node.is_some_and(|other| other != named) {
            return Err(Fault::invalid("The filters node and node_uuid name different nodes."));
        }
        query.node = Some(named);
    } else if let (Some(node), None) = (query.node, scope.node) {
        call.node(&node.to_string()).await?;
    }
    if let Some(ident) = group {
        query.portgroup = Some(find::<Portgroup>(call, &ident).await?.uuid);
    }
    let found: Vec<P> = call.api.service.store().parts(&call.who, &query).await?;
    let last = paging.marker_after(&found, |part| part.uuid().to_string());
    let items: Result<Vec<Value>, Fault> = found.iter().map(|part| item(call, part, detailed, wanted.as_deref())).collect();
    let path = format!("{}{}", scope.below.as_deref().unwrap_or(P::PATH), if scope.detail { "/detail" } else { "" });
    Ok(ok(paging.document(call, P::KEY, &path, items?, last)))
}

/// Takes the filters of ports and groups that look at their nodes, and `address`.
pub(crate) fn filter_wired(call: &Call, args: &mut Args, paging: &mut Paging, query: &mut PartQuery) -> Result<(), Fault> {
    if let Some(address) = args.text("address")? {
        let address = checked_mac(&address)?;
        paging.repeat("address", Some(&address));
        query.address = Some(address);
    }
    for (name, since, filter) in [("shard", 82, &mut query.shards), ("conductor_groups", 99, &mut query.conductor_groups)] {
        if args.has(name) {
            call.accept(since)?;
            *filter = args.list(name)?.unwrap_or_default();
            if filter.len() > 100 {
                return Err(Fault::invalid(format!("At most 100 values of {name} may be given.")));
            }
            paging.repeat(name, Some(filter.join(",")));
        }
    }
    query.conductor_groups.iter_mut().for_each(|group| *group = group.to_lowercase());
    Ok(())
}

/// A MAC address in its canonical form.
///
/// # Errors
/// 400 for what is none.
pub(crate) fn checked_mac(text: &str) -> Result<String, Fault> {
    mac(text).ok_or_else(|| Fault::invalid(format!("Expected a MAC address but received {}.", brief(&Value::from(text)))))
}

fn not_a_uuid(ident: &str) -> Fault {
    Fault::invalid(format!("Expected a UUID but received {}.", brief(&Value::from(ident))))
}

/// The one that a path names, if the caller sees its node.
///
/// # Errors
/// 404.
pub(crate) async fn find<P: Shown>(call: &Call, ident: &str) -> Result<P, Fault> {
    let ident = call.plain(ident);
    let store = call.api.service.store();
    let found = match Uuid::parse_str(ident) {
        Ok(uuid) => store.part(&call.who, uuid).await?,
        Err(_) if P::NAMED_SINCE.is_some_and(|since| since <= call.version.0) => store.named_part(&call.who, ident).await?,
        Err(_) => return Err(not_a_uuid(ident)),
    };
    found.ok_or_else(|| Fault::not_found(format!("{} {} could not be found.", P::ONE, brief(&Value::from(ident)))))
}

/// `GET` of one.
pub(crate) async fn show<P: Shown>(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(P::SINCE)?;
    let mut args = call.query();
    let wanted = wanted::<P>(&call, &mut args)?;
    args.done()?;
    let part: P = find(&call, &ident).await?;
    Ok(ok(item(&call, &part, true, wanted.as_deref())?))
}

/// The node that something belongs, or is to belong, to: the caller must be allowed this with it.
async fn owner(call: &Call, node: &NodeRef) -> Result<Node, Fault> {
    let found = call.api.service.store().node(&call.who, node).await?;
    let node = found.map(|stored| stored.value).ok_or_else(|| {
        let ident = match node {
            NodeRef::Uuid(id) => id.to_string(),
            NodeRef::Name(name) => brief(&Value::from(name.as_str())),
        };
        Fault::invalid(format!("Node {ident} could not be found."))
    })?;
    call.check(&node)?;
    Ok(node)
}

/// `POST` of one.
pub(crate) async fn create<P: Shown>(call: Call) -> Result<Response, Fault> {
    call.since(P::SINCE)?;
    call.query().done()?;
    let body = call.object()?;
    create_in::<P>(&call, body, None).await
}

/// The same with the node named beside the body.
pub(crate) async fn create_in<P: Shown>(call: &Call, body: Map, node: Option<NodeRef>) -> Result<Response, Fault> {
    let mut document = checked_body(&P::ONE.to_lowercase(), P::FIELDS, body, call)?;
    if let Some(name) = P::REQUIRED.iter().find(|name| document.get(**name).is_none_or(Value::is_null)) {
        return Err(missing(name));
    }
    let node = match (document.remove("node_uuid"), node) {
        (_, Some(node)) => node,
        (Some(Value::String(text)), None) => NodeRef::Uuid(NodeId(uuid(&text)?)),
        _ => return Err(missing("node_uuid")),
    };
    let node = owner(call, &node).await?;
    let mut flat = flat(&P::fresh(taken_uuid(&mut document)?, node.uuid, Timestamp::now()))?;
    flat.extend(document);
    let mut part: P = unflat(flat)?;
    part.check()?;
    let part = call.api.service.store().create_part(&call.who, part, P::MADE_WHILE).await?;
    let location = format!("{}/v1/{}/{}", call.base, P::PATH, part.uuid());
    Ok(created(Value::Object(shown(call, &part)?), location))
}

/// `PATCH` of one.
pub(crate) async fn update<P: Shown>(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(P::SINCE)?;
    call.query().done()?;
    let changes = changes(&call, P::FIELDS)?;
    let before: P = find(&call, &ident).await?;
    owner(&call, &NodeRef::Uuid(before.node())).await?;
    let mut after: P = unflat(apply(&call, P::FIELDS, &flat(&before)?, &changes, P::MASKED)?)?;
    after.check()?;
    if after.node() != before.node() {
        owner(&call, &NodeRef::Uuid(after.node())).await?;
    }
    let part = call.api.service.store().update_part(&call.who, &before, after, Reserved::Refuse).await?;
    Ok(ok(Value::Object(shown(&call, &part)?)))
}

/// `DELETE` of one.
pub(crate) async fn delete<P: Shown>(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(P::SINCE)?;
    call.args()?.done()?;
    let part: P = find(&call, &ident).await?;
    owner(&call, &NodeRef::Uuid(part.node())).await?;
    call.api.service.store().delete_part::<P>(&call.who, part.uuid(), Reserved::Refuse).await?;
    Ok(no_content())
}

/// Whether a port or group may have this name.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Fault> {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if !plain || name == "detail" || name.bytes().all(|byte| byte == b'.') || Uuid::parse_str(name).is_ok() {
        return Err(Fault::invalid(format!("Cannot use invalid name '{}' for a {what}.", brief(&Value::from(name)))));
    }
    Ok(())
}
