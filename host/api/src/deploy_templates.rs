//! `/v1/deploy_templates`.

use axum::extract::Path;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use wrought_domain::{DeployTemplate, Map};

use crate::call::{Call, created, no_content, ok};
use crate::errors::Fault;
use crate::fields::{Field, Kind, Write, checked_body, field};
use crate::nodes::fields::moment;
use crate::patching::{apply, changes};
use crate::recipes::{self, Kept};
use crate::routes::Routes;
use crate::steps::{self, Form};

pub(crate) const FIELDS: &[Field] = &[
    field("uuid", 55, Write::Create, Kind::Uuid),
    field("name", 55, Write::Both, Kind::Mandatory(255)),
    field("steps", 55, Write::Both, Kind::List),
    field("extra", 55, Write::Both, Kind::Dict),
    field("description", 112, Write::Both, Kind::Text(255)),
    field("created_at", 55, Write::Never, Kind::Shown),
    field("updated_at", 55, Write::Never, Kind::Shown),
    field("links", 55, Write::Never, Kind::Shown),
];

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/v1/deploy_templates", list)
        .post("/v1/deploy_templates", create)
        .get("/v1/deploy_templates/{template}", show)
        .patch("/v1/deploy_templates/{template}", update)
        .delete("/v1/deploy_templates/{template}", delete)
}

impl Kept for DeployTemplate {
    const PATH: &'static str = "deploy_templates";
    const ONE: &'static str = "Deploy template";
    const SINCE: u16 = 55;
    const FIELDS: &'static [Field] = FIELDS;

    fn id(&self) -> Uuid {
        self.uuid
    }

    fn shown(&self, call: &Call) -> Map {
        let value = |name: &str| match name {
            "uuid" => Value::from(self.uuid.to_string()),
            "name" => Value::from(self.name.as_str()),
            "steps" => self.steps.iter().map(|step| steps::shown(step, ("priority", step.priority.unwrap_or_default()))).collect(),
            "extra" => Value::Object(self.extra.clone()),
            "description" => self.description.clone().map_or(Value::Null, Value::from),
            "created_at" => moment(Some(self.created_at)),
            "updated_at" => moment(self.updated_at),
            _ => call.base.links(&format!("deploy_templates/{}", self.uuid)),
        };
        FIELDS.iter().filter(|field| field.since <= call.version.0).map(|field| (field.name.to_owned(), value(field.name))).collect()
    }
}

/// `GET /v1/deploy_templates`.
async fn list(call: Call) -> Result<Response, Fault> {
    recipes::page::<DeployTemplate>(&call).await
}

/// `GET /v1/deploy_templates/{template}`.
async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::one::<DeployTemplate>(&call, &ident).await
}

/// Takes what a body or a patched document says into a template.
fn fill(template: &mut DeployTemplate, mut document: Map) -> Result<(), Fault> {
    if let Some(Value::String(name)) = document.remove("name") {
        recipes::check_trait_name("Deploy template", &name)?;
        template.name = name;
    }
    if let Some(given) = document.remove("steps") {
        template.steps = steps::steps("deploy template", given, Form::Template)?;
        let core = template.steps.iter().any(|call| call.interface == "deploy" && call.step == "deploy" && call.priority != Some(0));
        if core {
            return Err(Fault::invalid(wrought_domain::step::PlanError::Core.to_string()));
        }
    }
    if let Some(Value::Object(extra)) = document.remove("extra") {
        template.extra = extra;
    }
    if let Some(description) = document.remove("description") {
        template.description = description.as_str().map(str::to_owned);
    }
    Ok(())
}

/// `POST /v1/deploy_templates`.
async fn create(call: Call) -> Result<Response, Fault> {
    recipes::writable::<DeployTemplate>(&call, 55)?;
    call.query().done()?;
    let mut document = checked_body("deploy template", FIELDS, call.object()?, &call)?;
    for name in ["name", "steps"] {
        if !document.contains_key(name) {
            return Err(crate::args::missing(name));
        }
    }
    let uuid = recipes::taken_uuid(&mut document)?;
    let mut template = DeployTemplate {
        uuid,
        name: String::new(),
        steps: Vec::new(),
        extra: Map::new(),
        description: None,
        created_at: Timestamp::now(),
        updated_at: None,
    };
    fill(&mut template, document)?;
    let template = call.api.service.store().add_recipe(&call.who, template).await?;
    let location = format!("{}/v1/deploy_templates/{}", call.base, template.uuid);
    Ok(created(Value::Object(template.shown(&call)), location))
}

/// `PATCH /v1/deploy_templates/{template}`.
async fn update(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<DeployTemplate>(&call, 55)?;
    call.query().done()?;
    let changes = changes(&call, FIELDS)?;
    let before: DeployTemplate = recipes::find(&call, &call.who, &ident).await?;
    let mut document = before.shown(&call);
    // Changes are applied to what is stored: a patch of one step leaves the others' secrets alone.
    document.insert(
        "steps".into(),
        before
            .steps
            .iter()
            .map(|call| serde_json::json!({"interface": call.interface, "step": call.step, "args": call.args, "priority": call.priority}))
            .collect(),
    );
    let document = apply(&call, FIELDS, &document, &changes, &[])?;
    let mut after = before.clone();
    fill(&mut after, document)?;
    steps::restore(&mut after.steps, &before.steps.iter().collect::<Vec<_>>());
    let template = call.api.service.store().update_recipe(&call.who, &before, after).await?;
    Ok(ok(Value::Object(template.shown(&call))))
}

/// `DELETE /v1/deploy_templates/{template}`.
async fn delete(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    recipes::writable::<DeployTemplate>(&call, 55)?;
    call.args()?.done()?;
    let template: DeployTemplate = recipes::find(&call, &call.who, &ident).await?;
    call.api.service.store().delete_recipe(&call.who, &template).await?;
    Ok(no_content())
}
