//! `GET` of nodes: lists, details and one.

use axum::extract::Path;
use axum::response::Response;
use serde_json::Value;
use wrought_domain::{Map, Node, NodeId, ProvisionState};
use wrought_storage::{NodeFilter, NodeQuery};

use crate::args::{Args, brief, uuid};
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::fields::{check_wanted, keep};
use crate::nodes::fields::{BRIEF, FIELDS, shown};
use crate::paging::Paging;

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

async fn page(call: &Call, mut args: Args, detail: bool, path: &str, repeat_detail: Option<bool>) -> Result<Response, Fault> {
    let mut paging = Paging::take(call, &mut args, "id")?;
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
    let nodes = call.api.service.store().nodes(&call.who, &query).await?;
    let last = paging.marker_after(&nodes, |node| node.uuid.to_string());
    let items: Result<Vec<Value>, Fault> =
        nodes.iter().map(|node| item(call, node, detail, wanted.as_deref()).map(Value::Object)).collect();
    Ok(ok(paging.document(call, "nodes", path, items?, last)))
}

fn item(call: &Call, node: &Node, detail: bool, wanted: Option<&[String]>) -> Result<Map, Fault> {
    match wanted {
        Some(wanted) => {
            let mut node = shown(call, node, None)?;
            keep(&mut node, wanted);
            Ok(node)
        }
        None if detail => shown(call, node, None),
        None => {
            let mut brief = BRIEF.to_vec();
            brief.push("links");
            shown(call, node, Some(&brief))
        }
    }
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
    let node = call.node(&ident).await?.value;
    Ok(ok(Value::Object(item(&call, &node, true, wanted.as_deref())?)))
}
