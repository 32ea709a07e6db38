//! Wrought's own API: who decided what, and what was denied to drivers. For administrators.
//!
//! | request | answer |
//! |---|---|
//! | `GET /wrought/v1/audit?object=&verb=&after=&limit=` | 200, `audit`: the latest records, or those after a number |
//! | `GET /wrought/v1/drivers/{name}/events?after=&limit=` | the same, of what was decided about the driver |
//!
//! Errors are those of [`wrought_drivers`](crate::wrought_drivers).

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;
use wrought_domain::Principal;
use wrought_storage::{AuditQuery, MAX_AUDIT};

use crate::Api;
use crate::routes::Routes;
use crate::wrought_drivers::{Refused, named};
use crate::wrought_journal::query;

/// Records in a list that says no number.
const DEFAULT_LIMIT: u32 = 100;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().get("/wrought/v1/audit", audit).get("/wrought/v1/drivers/{name}/events", events)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    object: Option<String>,
    verb: Option<String>,
    after: Option<u64>,
    limit: Option<u32>,
}

impl Asked {
    fn query(self) -> Result<AuditQuery, Refused> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 {
            return Err(Refused::new(StatusCode::BAD_REQUEST, "limit: give a number of 1 or more"));
        }
        Ok(AuditQuery { object: self.object, verb: self.verb, after: self.after, limit: limit.min(MAX_AUDIT) })
    }
}

async fn audit(State(api): State<Api>, Extension(who): Extension<Principal>, uri: Uri) -> Result<Json<Value>, Refused> {
    let asked: Asked = query(&uri)?;
    Ok(Json(api.service.audit_trail(&who, &asked.query()?).await?))
}

async fn events(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Refused> {
    let asked: Asked = query(&uri)?;
    let object = Some(format!("driver/{}", named(&name)?));
    Ok(Json(api.service.audit_trail(&who, &Asked { object, ..asked }.query()?).await?))
}
