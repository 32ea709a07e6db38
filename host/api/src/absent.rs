//! Resources of Ironic's that this host has none of: their lists are empty, so that clients that
//! look into them go on; nothing can be found in them, and nothing can be added.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};

use crate::args::brief;
use crate::call::{Call, ok};
use crate::errors::Fault;
use crate::paging::Paging;
use crate::routes::Routes;

/// A resource that is absent.
#[derive(Debug, Clone, Copy)]
struct Absent {
    /// Its path below `/v1`.
    path: &'static str,
    /// The key of its list.
    key: &'static str,
    /// What one of it is called.
    one: &'static str,
    /// The minor version that brought it.
    since: u16,
    /// Its filters, beside those that every list has.
    filters: &'static [&'static str],
}

const ABSENT: &[Absent] = &[Absent {
    path: "allocations",
    key: "allocations",
    one: "Allocation",
    since: 52,
    filters: &["node", "resource_class", "state", "owner"],
}];

/// The routes.
pub(crate) fn routes() -> Routes {
    ABSENT.iter().fold(Routes::new(), |router, absent| {
        let list = move |call: Call| async move { list(&call, absent) };
        let show = move |Path(ident): Path<String>, call: Call| async move { show(&call, absent, &ident) };
        router.get(&format!("/v1/{}", absent.path), list).get(&format!("/v1/{}/{{ident}}", absent.path), show)
    })
}

fn list(call: &Call, absent: &Absent) -> Result<Response, Fault> {
    call.since(absent.since)?;
    let mut args = call.query();
    let paging = Paging::take(call, &mut args, "id")?;
    if let Some(marker) = &paging.marker {
        return show(call, absent, marker);
    }
    args.boolean("detail")?;
    args.list("fields")?;
    for filter in absent.filters {
        args.text(filter)?;
    }
    args.done()?;
    Ok(ok(json!({absent.key: []})))
}

fn show(call: &Call, absent: &Absent, ident: &str) -> Result<Response, Fault> {
    call.since(absent.since)?;
    Err(Fault::not_found(format!("{} {} could not be found.", absent.one, brief(&Value::from(ident)))))
}
