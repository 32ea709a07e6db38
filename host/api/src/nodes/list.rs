//! `GET` of nodes: lists, details and one.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;
use wrought_domain::{NodeId, ProvisionState};
use wrought_storage::{COLUMNS, Mark, NodeFilter, NodeQuery, NodeRef, Revision};

use crate::args::{Args, brief, uuid};
use crate::call::Call;
use crate::errors::Fault;
use crate::fields::{check_wanted, find};
use crate::nodes::fields::{BRIEF, FIELDS};
use crate::nodes::page;
use crate::nodes::rendered::{Plan, Rendered};
use crate::paging::Paging;

/// Documents that are opened before others get their turn.
const AT_ONCE: usize = 100;

/// What Ironic notes as a node's `fault`.
const FAULTS: &[&str] = &["power failure", "clean failure", "rescue abort failure", "service failure"];

/// `GET /v1/nodes`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let detail = args.boolean("detail")?;
    if detail.is_some() {
        call.accept(43)?;
    }
    if detail == Some(true) && args.has("fields") {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    page(&call, args, detail == Some(true), "nodes", detail).await
}

/// `GET /v1/nodes/detail`.
pub(crate) async fn detail(call: Call) -> Result<Response, Fault> {
    let args = call.query();
    if args.has("fields") {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    page(&call, args, true, "nodes/detail", None).await
}

/// `GET /v1/chassis/{chassis}/nodes`.
pub(crate) async fn of_chassis(call: &Call, chassis: uuid::Uuid, detail_path: bool) -> Result<Response, Fault> {
    let mut args = call.query();
    let detail = args.boolean("detail")?;
    if detail.is_some() {
        call.accept(43)?;
    }
    let detailed = detail_path || detail == Some(true);
    if detailed && args.has("fields") {
        return Err(Fault::invalid("Can't fetch a subset of fields with 'detail' set"));
    }
    let path = format!("chassis/{chassis}/nodes{}", if detail_path { "/detail" } else { "" });
    let args = args.with(serde_json::Map::from_iter([("chassis_uuid".to_owned(), Value::from(chassis.to_string()))]));
    page(call, args, detailed, &path, detail).await
}

async fn page(call: &Call, mut args: Args, detail: bool, path: &str, repeat_detail: Option<bool>) -> Result<Response, Fault> {
    let mut paging = Paging::take(call, &mut args, "id")?;
    if let Some(field) = find(FIELDS, &paging.sort_key) {
        call.accept(field.since)?;
    }
    paging.repeat("detail", repeat_detail);
    let wanted = wanted(call, &mut args)?;
    paging.repeat("fields", wanted.as_ref().map(|fields| fields.join(",")));
    let filter = filter(call, &mut args, &mut paging)?;
    args.done()?;
    let query = NodeQuery {
        filter,
        limit: Some(paging.limit),
        marker: paging.marker.as_deref().map(uuid).transpose()?.map(NodeId),
        sort_key: (paging.sort_key != "id").then(|| paging.sort_key.clone()),
        descending: paging.descending,
    };
    let plan = plan(call, detail, wanted.as_deref());
    let (nodes, full) = nodes(call, &query, &plan).await?;
    let next = nodes.last().filter(|_| full).map(|last| paging.next(call, path, last.uuid.to_string()));
    Ok(page::answer(plan, nodes, next.as_deref()))
}

/// What is shown of each node.
fn plan(call: &Call, detail: bool, wanted: Option<&[String]>) -> Plan {
    match wanted {
        Some(wanted) => Plan::new(call, |field| wanted.iter().any(|wanted| wanted == field)),
        None => Plan::new(call, |field| if detail { true } else { BRIEF.contains(&field) }),
    }
}

/// The nodes of a page as text, and whether there may be more.
async fn nodes(call: &Call, query: &NodeQuery, plan: &Plan) -> Result<(Vec<Arc<Rendered>>, bool), Fault> {
    let (store, host) = (call.api.service.store(), call.api.service.host());
    let full = |count: usize| query.limit.is_some_and(|limit| u32::try_from(count).is_ok_and(|count| count >= limit));
    let columns: Vec<&str> = plan.names().collect();
    // What columns tell of nodes needs no document.
    if columns.iter().all(|field| COLUMNS.contains(field)) {
        let nodes = store.nodes_by_columns(&call.who, query, &columns).await?;
        let unmarked = Mark { row: 0, revision: Revision(0) };
        let rendered = nodes.iter().map(|node| Ok(Arc::new(Rendered::of(unmarked, node, host, Some(plan))?)));
        return Ok((rendered.collect::<Result<_, Fault>>()?, full(nodes.len())));
    }
    let marks = store.peek_nodes(&call.who, query).await?;
    let mut found = call.api.nodes.of(&marks);
    let missing: Vec<i64> = marks.iter().zip(&found).filter(|(_, node)| node.is_none()).map(|(mark, _)| mark.row).collect();
    if !missing.is_empty() {
        let places: HashMap<i64, usize> = marks.iter().enumerate().map(|(place, mark)| (mark.row, place)).collect();
        for some in missing.chunks(AT_ONCE) {
            for (mark, node) in store.nodes_of_rows(&call.who, &query.filter, some).await? {
                let node = Arc::new(Rendered::of(mark, &node, host, None)?);
                call.api.nodes.keep(&node);
                if let Some(place) = places.get(&mark.row).and_then(|place| found.get_mut(*place)) {
                    *place = Some(node);
                }
            }
        }
    }
    // One that is gone by now, or is not what was asked for any more, is not there.
    Ok((found.into_iter().flatten().collect(), full(marks.len())))
}

fn wanted(call: &Call, args: &mut Args) -> Result<Option<Vec<String>>, Fault> {
    let wanted = args.list("fields")?;
    if let Some(wanted) = &wanted {
        call.accept(8)?;
        check_wanted(FIELDS, wanted, call)?;
    }
    Ok(wanted)
}

/// The filters, each with the version that brought it.
fn filter(call: &Call, args: &mut Args, paging: &mut Paging) -> Result<NodeFilter, Fault> {
    let mut filter = NodeFilter::default();
    macro_rules! take {
        ($field:ident, $since:literal, $read:ident) => {
            if args.has(stringify!($field)) {
                call.accept($since)?;
                let value = args.$read(stringify!($field))?;
                paging.repeat(stringify!($field), value.clone());
                filter.$field = value;
            }
        };
    }
    take!(instance_uuid, 1, uuid);
    take!(chassis_uuid, 1, uuid);
    take!(associated, 1, boolean);
    take!(maintenance, 1, boolean);
    take!(driver, 16, text);
    take!(resource_class, 21, text);
    take!(fault, 42, text);
    take!(conductor_group, 46, text);
    take!(conductor, 49, text);
    take!(owner, 50, text);
    take!(description_contains, 51, text);
    take!(retired, 61, boolean);
    take!(lessee, 65, text);
    take!(project, 65, text);
    take!(sharded, 82, boolean);
    take!(parent_node, 83, uuid);
    take!(instance_name, 104, text);
    if let Some(fault) = filter.fault.as_deref().filter(|fault| !FAULTS.contains(fault)) {
        let fault = brief(&Value::from(fault));
        return Err(Fault::invalid(format!("Unrecognized fault \"{fault}\"; known are: {}.", FAULTS.join(", "))));
    }
    if let Some(group) = &mut filter.conductor_group {
        *group = group.to_lowercase();
    }
    if args.has("provision_state") {
        call.accept(9)?;
        if let Some(state) = args.text("provision_state")? {
            let known = state.parse::<ProvisionState>();
            filter.provision_state = Some(
                known.map_err(|_| Fault::invalid(format!("Provision state \"{}\" is not valid", brief(&Value::from(state.as_str())))))?,
            );
            paging.repeat("provision_state", Some(state));
        }
    }
    if args.has("shard") {
        call.accept(82)?;
        filter.shard = args.list("shard")?.unwrap_or_default();
        if filter.shard.len() > 100 {
            return Err(Fault::invalid("At most 100 shards may be given."));
        }
        paging.repeat("shard", Some(filter.shard.join(",")));
    }
    if args.has("include_children") {
        call.accept(83)?;
        filter.include_children = args.boolean("include_children")?.unwrap_or_default();
        paging.repeat("include_children", Some(filter.include_children));
    }
    Ok(filter)
}

/// `GET /v1/nodes/{node}`.
pub(crate) async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let mut args = call.query();
    let wanted = wanted(&call, &mut args)?;
    args.done()?;
    let asked = call.node_ref(&ident)?;
    let known = match &asked {
        NodeRef::Uuid(id) => call.api.nodes.find(*id),
        NodeRef::Name(_) => None,
    };
    let mut found = call.api.service.store().peek_node(&call.who, &asked, known.as_ref().map(|known| known.mark)).await?;
    if found.is_none() && call.plain(&ident) != ident {
        found = call.api.service.store().peek_node(&call.who, &call.node_ref(call.plain(&ident))?, None).await?;
    }
    let (mark, node) = found.ok_or_else(|| Fault::no_node(brief(&Value::from(ident.as_str()))))?;
    let node = match (node, known) {
        (None, Some(known)) => known,
        (node, _) => {
            let node = node.ok_or_else(|| Fault::no_node(&ident))?;
            let node = Arc::new(Rendered::of(mark, &node, call.api.service.host(), None)?);
            call.api.nodes.keep(&node);
            node
        }
    };
    call.check_parties(node.owner.as_deref(), node.lessee.as_deref())?;
    Ok(page::one(&plan(&call, true, wanted.as_deref()), &node))
}
