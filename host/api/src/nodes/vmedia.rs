//! `/v1/nodes/{node}/vmedia`: the virtual drives of the machine's controller.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};

use crate::args::brief;
use crate::call::{Call, no_content, ok};
use crate::errors::Fault;

/// `GET`.
pub(crate) async fn show(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(93)?;
    call.query().done()?;
    let node = call.node(&ident).await?.value.uuid;
    let drives = call.api.service.virtual_media(&call.who, node).await?;
    let shown = drives.into_iter().map(|drive| json!({"media_types": drive.media_types, "inserted": drive.inserted, "image": drive.image}));
    Ok(ok(shown.collect()))
}

/// `POST`: attaches an image.
pub(crate) async fn attach(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(89)?;
    let mut args = call.args()?;
    let device = args.mandatory("device_type")?;
    let url = args.mandatory("image_url")?;
    let source = args.text("image_download_source")?;
    args.done()?;
    let node = call.node(&ident).await?.value.uuid;
    match source.as_deref() {
        None | Some("http") => {}
        Some(source @ ("local" | "swift")) => {
            return Err(Fault::invalid(format!(
                "image_download_source '{source}' is not supported: the controller fetches the image by itself, so use 'http'."
            )));
        }
        Some(other) => {
            let other = brief(&Value::from(other));
            return Err(Fault::invalid(format!("Invalid image_download_source '{other}': use one of http, local, swift.")));
        }
    }
    call.api.service.attach_media(&call.who, node, &device, &url).await?;
    Ok(no_content())
}

/// `DELETE`: detaches what is in the drives, or in those of some kinds.
pub(crate) async fn detach(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    call.since(89)?;
    let mut args = call.args()?;
    let devices = args.list("device_types")?.unwrap_or_default();
    args.done()?;
    let node = call.node(&ident).await?.value.uuid;
    call.api.service.detach_media(&call.who, node, &devices).await?;
    Ok(no_content())
}
