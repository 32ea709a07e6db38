//! What the instance's image is: checked from the node's fields, and asked of its server.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue, LOCATION};
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::config::ImageConfig;
use crate::egress::{EgressPolicy, denied, web_url};
use crate::error::{HardwareError, Kind};
use crate::http::{self, Trouble};
use crate::tls;

const REDIRECTS: usize = 3;
const MIB: u64 = 1024 * 1024;

/// How an image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageKind {
    /// Over the whole disk.
    WholeDisk,
    /// As a partition of it.
    Partition,
}

/// A text that holds a secret if it is a URL with an account or a query, such as a signature.
#[derive(Debug, Clone)]
pub enum MaybeSecret {
    /// May be shown.
    Plain(String),
    /// May only be handed on.
    Secret(SecretString),
}

impl MaybeSecret {
    /// What a text is.
    pub fn of(text: &str) -> Self {
        match Url::parse(text) {
            Ok(url) if is_secret(&url) => Self::Secret(text.into()),
            _ => Self::Plain(text.to_owned()),
        }
    }

    /// Whether it may only be handed on.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// The text itself, for the machine that needs it.
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(text) => text.expose_secret(),
        }
    }
}

/// What the instance's image resolves to.
#[derive(Debug, Clone)]
pub struct Image {
    /// Safe as a file's name: `[A-Za-z0-9._-]{1,64}`.
    pub id: String,
    /// Where it is fetched, redirects followed.
    pub url: MaybeSecret,
    /// How it is written.
    pub kind: ImageKind,
    /// `image_disk_format`.
    pub disk_format: Option<String>,
    /// `image_container_format`.
    pub container_format: Option<String>,
    /// `image_checksum`: a hash in hex, or the URL of a file of checksums.
    pub checksum: Option<MaybeSecret>,
    /// `image_os_hash_algo`.
    pub hash_algorithm: Option<String>,
    /// `image_os_hash_value`: in hex, or the URL of a file of checksums.
    pub hash_value: Option<MaybeSecret>,
    /// `kernel`.
    pub kernel: Option<MaybeSecret>,
    /// `ramdisk`.
    pub ramdisk: Option<MaybeSecret>,
    /// MiB, rounded up; as its server says.
    pub size_mib: Option<u32>,
}

/// Checks and resolves images.
pub struct Images {
    config: ImageConfig,
    policy: Arc<EgressPolicy>,
    client: Client,
}

impl Images {
    /// Error: `webserver_verify_ca` names a file that is none of certificates.
    pub fn new(config: ImageConfig) -> Result<Self, HardwareError> {
        let timeout = Duration::from_secs(config.webserver_verify_timeout.max(1));
        let tls = tls::verified_by(&config.webserver_verify_ca, crate::TlsVersion::V1_2)?;
        let policy = EgressPolicy::new(&config);
        let builder = http::client(tls, timeout, Duration::from_secs(5)).timeout(timeout).dns_resolver(policy.clone());
        Ok(Self { config, policy, client: http::built(builder)? })
    }

    /// Where URLs of nodes may lead to; for other URLs than an image's.
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// Checks that `instance_info` names an image that can be written, as Ironic's `direct` does. Asks nobody.
    pub fn validate(&self, instance_info: &Map<String, Value>, driver_info: &Map<String, Value>) -> Result<(), HardwareError> {
        let source = text(instance_info, "image_source")?.ok_or_else(|| HardwareError::missing("image_source"))?;
        if !source.contains("://") {
            return Err(HardwareError::invalid("image_source", "must be an http or https URL: there is no image service"));
        }
        web_url("image_source", source)?;
        kind(instance_info)?;
        self.check_format(instance_info)?;
        self.check_checksums(instance_info)?;
        for key in ["kernel", "ramdisk"] {
            if let Some(url) = text(instance_info, key)? {
                web_url(key, url)?;
            }
        }
        for info in [instance_info, driver_info] {
            match text(info, "image_download_source")? {
                None | Some("http" | "swift") => {}
                Some("local") => return Err(HardwareError::invalid("image_download_source", "local is not offered: use http")),
                Some(_) => return Err(HardwareError::invalid("image_download_source", "must be http or swift")),
            }
        }
        for key in ["image_http_proxy", "image_https_proxy"] {
            let proxy = text(driver_info, key)?;
            if proxy.is_some_and(|proxy| proxy.contains("://") && !proxy.starts_with("http://") && !proxy.starts_with("https://")) {
                return Err(HardwareError::invalid(key, "must be an http or https URL, or have no scheme"));
            }
        }
        Ok(())
    }

    fn check_format(&self, info: &Map<String, Value>) -> Result<(), HardwareError> {
        let permitted = &self.config.permitted_image_formats;
        match text(info, "image_disk_format")? {
            Some(format) if !permitted.iter().any(|known| known == format) => {
                Err(HardwareError::invalid("image_disk_format", format!("must be one of {}", permitted.join(", "))))
            }
            _ => Ok(()),
        }
    }

    /// One checksum that counts, and none that does not.
    fn check_checksums(&self, info: &Map<String, Value>) -> Result<(), HardwareError> {
        let checksum = text(info, "image_checksum")?;
        let pair = (text(info, "image_os_hash_algo")?, text(info, "image_os_hash_value")?);
        match pair {
            (Some(_), None) => return Err(HardwareError::missing("image_os_hash_value")),
            (None, Some(_)) => return Err(HardwareError::missing("image_os_hash_algo")),
            (Some(algorithm), Some(value)) => {
                let digits = match algorithm {
                    "sha256" => 64,
                    "sha384" => 96,
                    "sha512" => 128,
                    "md5" if self.config.allow_md5_checksum => 32,
                    _ => return Err(HardwareError::invalid("image_os_hash_algo", "must be sha256, sha384 or sha512")),
                };
                if !is_url(value) && !is_hex(value, digits) {
                    return Err(HardwareError::invalid("image_os_hash_value", format!("must be {digits} hexadecimal digits, or a URL")));
                }
            }
            (None, None) if checksum.is_none() => return Err(HardwareError::missing("image_checksum")),
            (None, None) => {}
        }
        match checksum {
            None => Ok(()),
            Some(value) if is_url(value) => web_url("image_checksum", value).map(|_| ()),
            Some(value) if [64, 96, 128].iter().any(|digits| is_hex(value, *digits)) => Ok(()),
            Some(value) if is_hex(value, 32) && (self.config.allow_md5_checksum || pair.0.is_some()) => Ok(()),
            Some(value) if is_hex(value, 32) => Err(HardwareError::invalid(
                "image_checksum",
                "MD5 alone is not accepted ([image] allow_md5_checksum): give a SHA-256 or SHA-512",
            )),
            Some(_) => Err(HardwareError::invalid("image_checksum", "must be a hash in hexadecimal digits, or a URL")),
        }
    }

    /// Resolves the image: its server must answer a HEAD request with 200, after at most 3 redirects, and no URL may
    /// lead where [`EgressPolicy`] forbids. `image_request_authorization_secret` of `instance_info` goes to the
    /// image's own server only. Errors: as [`Self::validate`], and `timeout`, `failed` when the server does not
    /// answer so. No error repeats a URL.
    pub async fn resolve(&self, instance_info: &Map<String, Value>, driver_info: &Map<String, Value>) -> Result<Image, HardwareError> {
        self.validate(instance_info, driver_info)?;
        let of = |key| text(instance_info, key);
        for key in ["image_checksum", "image_os_hash_value", "kernel", "ramdisk"] {
            if let Some(url) = of(key)?.filter(|value| is_url(value)) {
                self.policy.check(key, url).await?;
            }
        }
        let source = of("image_source")?.unwrap_or_default();
        let (url, size) = self.head(source, of("image_request_authorization_secret")?).await?;
        let own = |key| Ok::<_, HardwareError>(of(key)?.map(str::to_owned));
        Ok(Image {
            id: file_name(source),
            url: MaybeSecret::of(&url),
            kind: kind(instance_info)?,
            disk_format: own("image_disk_format")?,
            container_format: own("image_container_format")?,
            checksum: of("image_checksum")?.map(MaybeSecret::of),
            hash_algorithm: own("image_os_hash_algo")?,
            hash_value: of("image_os_hash_value")?.map(MaybeSecret::of),
            kernel: of("kernel")?.map(MaybeSecret::of),
            ramdisk: of("ramdisk")?.map(MaybeSecret::of),
            size_mib: size.and_then(|bytes| u32::try_from(bytes.div_ceil(MIB)).ok()),
        })
    }

    /// The final URL and the size in bytes, if the server tells.
    async fn head(&self, source: &str, authorization: Option<&str>) -> Result<(String, Option<u64>), HardwareError> {
        const KEY: &str = "image_source";
        let mut url = self.policy.check(KEY, source).await?;
        let home = url.origin();
        // A source without redirects stays as it was written.
        let mut followed = source.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = self.client.head(url.clone());
            if let Some(authorization) = authorization.filter(|_| url.origin() == home) {
                let mut value = HeaderValue::from_str(authorization)
                    .map_err(|_| HardwareError::invalid("image_request_authorization_secret", "is not fit for a header"))?;
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
            }
            let response = request.send().await.map_err(|error| no_answer(KEY, Trouble::of(&error)))?;
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
            match (response.status(), header(LOCATION)) {
                (StatusCode::OK, _) => return Ok((followed, header(CONTENT_LENGTH).and_then(|length| length.parse().ok()))),
                (status, Some(location)) if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) => {
                    let next = url.join(location).map_err(|_| HardwareError::invalid(KEY, "the image server redirects to nowhere"))?;
                    followed = next.as_str().to_owned();
                    url = self.policy.check(KEY, &followed).await?;
                }
                (status, _) => {
                    let text = format!("{KEY}: the image server answered {}, not 200", status.as_u16());
                    return Err(HardwareError::new(Kind::Failed, "image.Refused", text));
                }
            }
        }
        Err(HardwareError::new(Kind::Failed, "image.Redirects", format!("{KEY}: more than {REDIRECTS} redirects")))
    }
}

fn no_answer(key: &str, trouble: Trouble) -> HardwareError {
    let text = format!("{key}: the image server does not answer: {}", trouble.text());
    match trouble {
        Trouble::Forbidden => denied(key),
        Trouble::TlsRefused => HardwareError::new(Kind::Failed, "image.TlsRefused", text),
        _ => HardwareError::new(Kind::Timeout, "image.Unreachable", text),
    }
}

/// The text of `key`; empty and null are as good as absent.
fn text<'a>(info: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, HardwareError> {
    match info.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim())),
        Some(_) => Err(HardwareError::invalid(key, "must be a string")),
    }
}

/// A whole disk's unless the node says otherwise, or names the parts of a partition's.
fn kind(info: &Map<String, Value>) -> Result<ImageKind, HardwareError> {
    match text(info, "image_type")? {
        Some("whole-disk") => Ok(ImageKind::WholeDisk),
        Some("partition") => Ok(ImageKind::Partition),
        Some(_) => Err(HardwareError::invalid("image_type", "must be whole-disk or partition")),
        None if text(info, "kernel")?.is_some() || text(info, "ramdisk")?.is_some() => Ok(ImageKind::Partition),
        None => Ok(ImageKind::WholeDisk),
    }
}

fn is_url(value: &str) -> bool {
    value.contains("://")
}

fn is_hex(value: &str, digits: usize) -> bool {
    value.len() == digits && value.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_secret(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.query().is_some()
}

/// The last segment of the source's path, made safe: the agent uses it as a file's name.
fn file_name(source: &str) -> String {
    let path = Url::parse(source).map(|url| url.path().to_owned()).unwrap_or_default();
    let last = path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or_default();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = last.chars().take(64).map(safe).collect();
    if name.chars().all(|c| c == '.') { "image".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn ids_are_safe_as_names_of_files() {
        for (source, id) in [
            ("http://h/images/debian-12.qcow2?sig=x", "debian-12.qcow2"),
            ("http://h/a/", "a"),
            ("http://h/", "image"),
            ("http://h/...", "image"),
            ("http://h/a%2f..%2fb", "a_2f.._2fb"),
            ("http://h/a;rm -rf", "a_rm_20-rf"),
            ("no url", "image"),
        ] {
            assert_eq!(file_name(source), id, "{source}");
        }
        assert_eq!(file_name(&format!("http://h/{}", "x".repeat(300))).len(), 64);
    }
}
