//! Files that the update service takes: `HttpPushUri` as they are, `MultipartHttpPushUri` as part of a form.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::error::Refusal;
use super::{link, tasks};
use crate::fleet::Shared;

const SERVICE: &str = "/redfish/v1/UpdateService";
pub(super) const PUSH: &str = "/redfish/v1/UpdateService/update";
pub(super) const PUSH_PARTS: &str = "/redfish/v1/UpdateService/update-multipart";
const SIMPLE_UPDATE: &str = "UpdateService.SimpleUpdate";

/// Bytes of a request.
const LARGEST: usize = 1 << 30;
/// Files that are remembered.
const MOST: usize = 64;

/// A file that was pushed.
#[derive(Debug, Clone, Serialize)]
pub struct PushedFile {
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: usize,
    /// `filename` of the form; empty when there was none.
    pub name: String,
    /// `UpdateParameters`; null when there was none.
    pub parameters: Value,
}

/// The files of the update service.
pub(crate) struct Updates {
    files: Mutex<Vec<PushedFile>>,
    arriving: AtomicUsize,
    held: watch::Sender<bool>,
}

impl Default for Updates {
    fn default() -> Self {
        Self { files: Mutex::default(), arriving: AtomicUsize::new(0), held: watch::Sender::new(false) }
    }
}

impl Updates {
    pub fn files(&self) -> Vec<PushedFile> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn arriving(&self) -> usize {
        self.arriving.load(Ordering::Relaxed)
    }

    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    fn keep(&self, file: PushedFile) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() < MOST {
            files.push(file);
        }
    }
}

/// A request that is being read, until it is dropped.
struct Arriving<'a>(&'a AtomicUsize);

impl<'a> Arriving<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn service() -> Json<Value> {
    Json(json!({
        "@odata.type": "#UpdateService.v1_11_0.UpdateService",
        "@odata.id": SERVICE,
        "Id": "UpdateService",
        "Name": "Update Service",
        "ServiceEnabled": true,
        "FirmwareInventory": link(&format!("{SERVICE}/FirmwareInventory")),
        "HttpPushUri": PUSH,
        "MultipartHttpPushUri": PUSH_PARTS,
        "Actions": { format!("#{SIMPLE_UPDATE}"): { "target": format!("{SERVICE}/Actions/{SIMPLE_UPDATE}") } },
    }))
}

/// The body, read a piece at a time, and not at all while the service is held.
async fn body(fleet: &Shared, request: Request) -> Result<Vec<u8>, Refusal> {
    let updates = &fleet.updates;
    let _arriving = Arriving::new(&updates.arriving);
    let mut held = updates.held.subscribe();
    let (mut pieces, mut whole) = (request.into_body().into_data_stream(), Vec::new());
    loop {
        // Cannot fail: the fleet has the sender.
        drop(held.wait_for(|held| !held).await);
        match pieces.next().await {
            Some(Ok(piece)) if whole.len().saturating_add(piece.len()) <= LARGEST => whole.extend_from_slice(&piece),
            Some(Ok(_)) => return Err(Refusal::malformed("it is too large")),
            Some(Err(error)) => return Err(Refusal::malformed(&error.to_string())),
            None => return Ok(whole),
        }
    }
}

fn kept(fleet: &Shared, at: &str, file: &[u8], name: String, parameters: Value) -> Response {
    fleet.updates.keep(PushedFile { sha256: hex::encode(Sha256::digest(file)), size: file.len(), name, parameters });
    tasks::begin(fleet, at, "Update")
}

pub(super) async fn push(State(fleet): State<Arc<Shared>>, request: Request) -> Result<Response, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind != Some("application/octet-stream") || !request.headers().contains_key(header::CONTENT_LENGTH) {
        return Err(Refusal::fault(StatusCode::UNSUPPORTED_MEDIA_TYPE, ""));
    }
    let file = body(&fleet, request).await?;
    Ok(kept(&fleet, PUSH, &file, String::new(), Value::Null))
}

pub(super) async fn push_parts(State(fleet): State<Arc<Shared>>, request: Request) -> Result<Response, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").map(str::to_owned);
    let boundary = boundary.filter(|_| request.headers().contains_key(header::CONTENT_LENGTH));
    let Some(boundary) = boundary else { return Err(Refusal::fault(StatusCode::UNSUPPORTED_MEDIA_TYPE, "")) };
    let whole = body(&fleet, request).await?;
    let (parameters, name, file) = parts(&whole, &boundary).ok_or_else(|| Refusal::malformed("it is not the form of DSP0266"))?;
    Ok(kept(&fleet, PUSH_PARTS, file, name, parameters))
}

/// What stands before and behind the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &str) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark.as_bytes())?;
    Some((bytes.get(..at)?, bytes.get(at.checked_add(mark.len())?..)?))
}

/// The parameters, the name and the bytes of the file: two parts, in this order.
fn parts<'a>(whole: &'a [u8], boundary: &str) -> Option<(Value, String, &'a [u8])> {
    let rest = whole.strip_prefix(format!("--{boundary}\r\n").as_bytes())?;
    let (first, rest) = split(rest, &format!("\r\n--{boundary}\r\n"))?;
    let (headers, parameters) = split(first, "\r\n\r\n")?;
    let is_first = String::from_utf8_lossy(headers).contains("form-data; name=\"UpdateParameters\"");
    let (headers, rest) = split(rest, "\r\n\r\n")?;
    let headers = String::from_utf8_lossy(headers);
    let (_, name) = headers.split_once("form-data; name=\"UpdateFile\"; filename=\"")?;
    let name = name.split('"').next()?.to_owned();
    let file = rest.strip_suffix(format!("\r\n--{boundary}--\r\n").as_bytes())?;
    is_first.then_some((serde_json::from_slice(parameters).ok()?, name, file))
}
