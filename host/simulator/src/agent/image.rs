//! `write_image`: fetches the image, checks it as the real agent does, and forgets the bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use sha2::digest::DynDigest;
use sha2::{Sha256, Sha512};
use tokio::time::Instant;

use super::Agent;
use super::commands::Failure;

/// Id of the partition table that is found on the disk once an image is written.
pub(super) const DISK_ID: &str = "0x00000000";
const DEVICE: &str = "/dev/vda";
const MAX_IMAGE: u64 = 64 << 30;
const MAX_CHECKSUM_FILE: usize = 1 << 20;
const LONGEST_DOWNLOAD: Duration = Duration::from_secs(600);
/// A real agent tries ten times, ten seconds apart.
const TRIES: u32 = 3;

/// What of `image_info` counts here.
#[derive(Debug, Deserialize)]
struct ImageInfo {
    id: String,
    urls: Vec<String>,
    disk_format: Option<String>,
    #[serde(default)]
    stream_raw_images: bool,
    checksum: Option<String>,
    os_hash_algo: Option<String>,
    os_hash_value: Option<String>,
    image_server_auth_strategy: Option<String>,
    image_server_user: Option<String>,
    image_server_password: Option<String>,
    /// The header's value in base64.
    image_request_authorization: Option<String>,
}

/// Why a download ended early.
enum Broken {
    /// Trying again may help.
    Later(String),
    Now(String),
}

/// Writes the image; the text of success.
pub(super) async fn write(agent: &Arc<Agent>, told: &Value) -> Result<String, Failure> {
    let began = Instant::now();
    let info = validate(told)?;
    // Validated: not empty.
    let url = info.urls.first().map(String::as_str).unwrap_or_default();
    let authorization = authorization(&info)?;
    let (algorithm, expected) = expected_checksum(agent, &info).await?;
    let streamed = info.stream_raw_images && info.disk_format.as_deref() == Some("raw");
    let mut tries = 0;
    let actual = loop {
        tries += 1;
        let mut hash = hasher(&algorithm)?;
        let fetched = tokio::time::timeout(LONGEST_DOWNLOAD, fetch(agent, url, authorization.as_ref(), hash.as_mut(), streamed)).await;
        match fetched.unwrap_or_else(|_| Err(Broken::Now(format!("took longer than {} s", LONGEST_DOWNLOAD.as_secs())))) {
            Ok(()) => break hex::encode(hash.finalize()),
            Err(Broken::Later(why)) if tries < TRIES => {
                tracing::debug!(%why, "image download");
                tokio::time::sleep(agent.fleet.timing.heartbeat_retry).await;
            }
            Err(Broken::Later(why) | Broken::Now(why)) => return Err(not_downloaded(&info.id, url, &why)),
        }
    };
    if !streamed {
        check(&info, &format!("/tmp/{}", info.id), &expected, &actual)?;
        agent.node.count(|counts| counts.image_writes += 1);
    }
    tokio::time::sleep_until(began + agent.fleet.timing.write).await;
    if agent.node.lock().faults.fail_write_image {
        let mut details = format!("Writing image to device {DEVICE} failed with exit code 1. stdout: . stderr: simulated fault");
        if agent.node.lock().faults.echo {
            details = format!("{details}: token {}, image {told}", agent.token.as_deref().unwrap_or_default());
        }
        return Err(Failure::new("ImageWriteError", "Error writing image to device", details));
    }
    if streamed {
        // A streamed image is on the disk before its checksum is known.
        check(&info, DEVICE, &expected, &actual)?;
    }
    agent.written.store(true, Ordering::Relaxed);
    Ok(format!("image ({}) written to device {DEVICE} root_uuid={DISK_ID}", info.id))
}

fn validate(info: &Value) -> Result<ImageInfo, Failure> {
    for field in ["id", "urls"] {
        if info.get(field).is_none_or(Value::is_null) {
            return Err(Failure::parameters(format!("Image is missing '{field}' field.")));
        }
    }
    let info: ImageInfo = serde_json::from_value(info.clone()).map_err(|error| Failure::parameters(format!("Image: {error}")))?;
    if info.urls.is_empty() {
        return Err(Failure::parameters("Image 'urls' must be a list with at least one element."));
    }
    if info.os_hash_algo.is_some() != info.os_hash_value.is_some() {
        return Err(Failure::parameters("Image 'os_hash_algo' and 'os_hash_value' belong together."));
    }
    if info.checksum.is_none() && info.os_hash_value.is_none() {
        return Err(Failure::parameters("Image checksum is not available: 'checksum' or 'os_hash_value' is needed."));
    }
    Ok(info)
}

fn authorization(info: &ImageInfo) -> Result<Option<HeaderValue>, Failure> {
    let value = if let Some(encoded) = &info.image_request_authorization {
        let bytes = STANDARD.decode(encoded).map_err(|_| Failure::parameters("image_request_authorization is not base64"))?;
        HeaderValue::from_bytes(&bytes)
    } else if info.image_server_auth_strategy.as_deref() == Some("http_basic") {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let pair = format!("{}:{}", part(&info.image_server_user), part(&info.image_server_password));
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
    } else {
        return Ok(None);
    };
    value.map(Some).map_err(|_| Failure::parameters("the image server's credentials cannot be sent in a header"))
}

/// Algorithm and lower-case hex value, the `os_hash` pair first.
async fn expected_checksum(agent: &Agent, info: &ImageInfo) -> Result<(String, String), Failure> {
    let (algorithm, value) = match (&info.os_hash_algo, &info.os_hash_value, &info.checksum) {
        (Some(algorithm), Some(value), _) => (Some(algorithm.to_lowercase()), value),
        (_, _, Some(checksum)) => (None, checksum),
        _ => return Err(Failure::parameters("Image checksum is not available.")),
    };
    let value = if value.starts_with("http://") || value.starts_with("https://") {
        checksum_file(agent, value, info).await?
    } else {
        value.to_lowercase()
    };
    let algorithm = match (algorithm, value.len()) {
        (Some(algorithm), _) => algorithm,
        (None, 128) => "sha512".into(),
        (None, 64) => "sha256".into(),
        (None, 32) => "md5".into(),
        _ => return Err(Failure::parameters("Image 'checksum' has the length of no known algorithm.")),
    };
    Ok((algorithm, value))
}

/// The checksum of the image in a file of one checksum, or of lines `<checksum>  <file name>`.
async fn checksum_file(agent: &Agent, url: &str, info: &ImageInfo) -> Result<String, Failure> {
    let broken = |why: &str| not_downloaded(&info.id, url, why);
    let text = async {
        let mut response = agent.fleet.client.get(url).send().await.map_err(|error| broken(&error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(broken(&format!("Received status code {} from {url}, expected 200", response.status().as_u16())));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error.to_string()))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_CHECKSUM_FILE {
                return Err(broken("the checksum file is too large"));
            }
        }
        String::from_utf8(bytes).map_err(|_| broken("the checksum file is no text"))
    }
    .await?;
    let name = info.urls.first().and_then(|image| image.rsplit('/').next()).unwrap_or_default();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let found = match (lines.clone().count(), lines.next()) {
        (1, Some(line)) => line.split_whitespace().next(),
        _ => text.lines().find(|line| line.trim_end().ends_with(name)).and_then(|line| line.split_whitespace().next()),
    };
    found.map(str::to_lowercase).ok_or_else(|| broken(&format!("the checksum file does not name {name}")))
}

fn hasher(algorithm: &str) -> Result<Box<dyn DynDigest + Send>, Failure> {
    match algorithm {
        "sha256" => Ok(Box::<Sha256>::default()),
        "sha512" => Ok(Box::<Sha512>::default()),
        // As a real agent with MD5 switched off, which is how it comes.
        other => Err(Failure::parameters(format!("Checksum algorithm {other} is not supported: use sha256 or sha512."))),
    }
}

async fn fetch(
    agent: &Agent,
    url: &str,
    authorization: Option<&HeaderValue>,
    hash: &mut (dyn DynDigest + Send),
    streamed: bool,
) -> Result<(), Broken> {
    let mut request = agent.fleet.client.get(url);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let later = |error: reqwest::Error| Broken::Later(error.without_url().to_string());
    let mut response = request.send().await.map_err(later)?;
    let status = response.status();
    if status != StatusCode::OK {
        let why = format!("Received status code {} from {url}, expected 200", status.as_u16());
        return Err(if status.is_server_error() { Broken::Later(why) } else { Broken::Now(why) });
    }
    if streamed {
        agent.node.count(|counts| counts.image_writes += 1);
    }
    let mut size = 0_u64;
    while let Some(chunk) = response.chunk().await.map_err(later)? {
        size = size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if size > MAX_IMAGE {
            return Err(Broken::Now(format!("the image is larger than the disk of {MAX_IMAGE} bytes")));
        }
        hash.update(&chunk);
    }
    Ok(())
}

fn check(info: &ImageInfo, location: &str, expected: &str, actual: &str) -> Result<(), Failure> {
    if expected == actual {
        return Ok(());
    }
    let details = format!(
        "Image failed to verify against checksum. location: {}; image ID: {location}; image checksum: {expected}; \
         verification checksum: {actual}",
        info.id
    );
    Err(Failure::new("ImageChecksumError", "Error verifying image checksum", details))
}

fn not_downloaded(id: &str, url: &str, why: &str) -> Failure {
    Failure::new("ImageDownloadError", "Error downloading image", format!("Download of image {id} failed: URL: {url}; Error: {why}"))
}
