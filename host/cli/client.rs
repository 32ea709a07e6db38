//! A client of a running host's HTTP API.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::{Body, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use wrought_storage::TOKEN_PREFIX;

/// The microversion of Ironic's API that the commands speak.
const MICROVERSION: &str = "1.109";
/// Answers larger than this come from something else than a host.
const MAX_ANSWER: usize = 64 << 20;
/// As much as an export of the journal may be: components included.
const MAX_FILE: usize = 256 << 20;
/// What to do about a 401.
const HINT: &str = "; set WROUGHT_TOKEN (the first token is made with `wrought token create NAME --role admin --data DIR` while the host \
     is stopped), or give --username and WROUGHT_PASSWORD";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An upload is answered after its compilation.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Which host to talk to.
#[derive(Debug, Clone, Args)]
pub struct HostArgs {
    /// URL of the host's API
    #[arg(long, env = "WROUGHT_URL", default_value = "http://127.0.0.1:6385")]
    pub url: String,
    /// Token, as `wrought token create` prints it; better in WROUGHT_TOKEN, as others see command lines
    #[arg(long, env = "WROUGHT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Account, when the host asks for one; its password is taken from WROUGHT_PASSWORD
    #[arg(long, env = "WROUGHT_USERNAME")]
    pub username: Option<String>,
    /// PEM file of the authorities of the host's certificate [default: those of the system]
    #[arg(long, env = "WROUGHT_CACERT", value_name = "FILE")]
    pub cacert: Option<PathBuf>,
}

/// Why the host gave no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no answer from {url} ({reason}): is a host running there? start one with `wrought serve`, or name it with --url or WROUGHT_URL"
    )]
    Unreachable { url: String, reason: String },
    #[error("{method} {path}: {status}: {message}{hint}")]
    Refused { method: Method, path: String, status: StatusCode, message: String, hint: &'static str },
    #[error("{method} {path}: the answer is not what a Wrought host sends ({reason}): is {url} one?")]
    Strange { method: Method, path: String, url: String, reason: String },
    #[error("{url:?} is no URL of a host: use one such as http://127.0.0.1:6385")]
    Url { url: String },
    #[error("--cacert {}: {reason}", path.display())]
    Authorities { path: PathBuf, reason: String },
    #[error("setting up the HTTP client")]
    Setup(#[from] reqwest::Error),
}

/// One host. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    proof: Proof,
}

/// What is shown to the host.
#[derive(Clone)]
enum Proof {
    Nothing,
    Account(String, String),
    Token(String),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Account(..) => "Account",
            Self::Token(_) => "Token",
        })
    }
}

impl Client {
    /// A client of the host at `url`, without an account.
    ///
    /// # Errors
    /// [`ClientError::Url`] when `url` is no HTTP URL.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        Self::with(url, None)
    }

    fn with(url: &str, cacert: Option<&Path>) -> Result<Self, ClientError> {
        let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = parsed.ok_or_else(|| ClientError::Url { url: url.to_owned() })?.as_str().trim_end_matches('/').to_owned();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("wrought/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT);
        if let Some(path) = cacert {
            let unfit = |reason: String| ClientError::Authorities { path: path.to_owned(), reason };
            let pem = std::fs::read(path).map_err(|error| unfit(error.to_string()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unfit(root_cause(&error)))?;
            if authorities.is_empty() {
                return Err(unfit("there is no certificate in PEM form in it".to_owned()));
            }
            http = http.tls_certs_only(authorities);
        }
        Ok(Self { http: http.build()?, base, proof: Proof::Nothing })
    }

    /// A client as the command line asks for.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn of(args: &HostArgs) -> Result<Self, ClientError> {
        let mut client = Self::with(&args.url, args.cacert.as_deref())?;
        // A token of another service is not shown to this one.
        let common = || std::env::var("OS_TOKEN").ok().filter(|token| token.starts_with(TOKEN_PREFIX));
        let account = args.username.clone().map(|name| Proof::Account(name, std::env::var("WROUGHT_PASSWORD").unwrap_or_default()));
        client.proof = match args.token.clone() {
            Some(token) => Proof::Token(token),
            None => account.or_else(|| common().map(Proof::Token)).unwrap_or(Proof::Nothing),
        };
        Ok(client)
    }

    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.send(Method::GET, path, |request| request).await
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.send(method, path, |request| request.json(body)).await
    }

    /// Sends a component of `length` bytes, with the text of its signature.
    pub async fn upload(&self, path: &str, length: u64, signature: Option<&str>, body: Body) -> Result<Value, ClientError> {
        let headers = |request: RequestBuilder| {
            let request = request.header("Content-Type", "application/wasm").header("Content-Length", length);
            match signature {
                Some(signature) => request.header("X-Wrought-Signature", STANDARD.encode(signature)),
                None => request,
            }
            .body(body)
        };
        self.send(Method::PUT, path, headers).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value, ClientError> {
        self.send(Method::DELETE, path, |request| request).await
    }

    /// The bytes of a file.
    pub async fn download(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        self.answer(Method::GET, path, |request| request, MAX_FILE).await
    }

    /// The answer's JSON, or null when it is empty.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value, ClientError> {
        let bytes = self.answer(method.clone(), path, fill, MAX_ANSWER).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        let strange = |reason: String| ClientError::Strange { method, path: path.to_owned(), url: self.base.clone(), reason };
        serde_json::from_slice(&bytes).map_err(|error| strange(error.to_string()))
    }

    /// The body of a good answer, of `limit` bytes at most.
    async fn answer(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
        limit: usize,
    ) -> Result<Vec<u8>, ClientError> {
        let mut request =
            self.http.request(method.clone(), format!("{}{path}", self.base)).header("X-OpenStack-Ironic-API-Version", MICROVERSION);
        request = match &self.proof {
            Proof::Nothing => request,
            Proof::Account(name, password) => request.basic_auth(name, Some(password)),
            Proof::Token(token) => request.bearer_auth(token),
        };
        let unreachable = |error: reqwest::Error| ClientError::Unreachable { url: self.base.clone(), reason: root_cause(&error) };
        let mut response = fill(request).send().await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > limit {
                let reason = format!("more than {limit} bytes");
                return Err(ClientError::Strange { method, path: path.to_owned(), url: self.base.clone(), reason });
            }
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        let hint = if status == StatusCode::UNAUTHORIZED { HINT } else { "" };
        Err(ClientError::Refused { method, path: path.to_owned(), status, message: message(&body), hint })
    }
}

/// The sentence in an error's body. Ironic wraps it as JSON text within JSON.
fn message(body: &Value) -> String {
    let text = match body.get("error_message").or_else(|| body.get("error")).unwrap_or(body) {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) => inner,
            _ => return text.trim().to_owned(),
        },
        other => other.clone(),
    };
    let sentence = ["faultstring", "description", "message"].iter().find_map(|key| text.get(*key).and_then(Value::as_str));
    sentence.map_or_else(|| text.to_string(), str::to_owned)
}

/// The innermost cause says what happened; the outer ones only repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// `text` as one segment of a path.
pub fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{message, segment};

    #[test]
    fn errors_are_read_in_every_form_that_the_api_has() {
        let wrapped = json!({"error_message": "{\"faultcode\":\"Client\",\"faultstring\":\"Node x is locked\",\"debuginfo\":null}"});
        assert_eq!(message(&wrapped), "Node x is locked");
        let routing = json!({"error_message": "{\"code\":404,\"title\":\"Not Found\",\"description\":\"no such path\"}"});
        assert_eq!(message(&routing), "no such path");
        assert_eq!(message(&json!({"error": {"message": "Authorization required", "code": 401}})), "Authorization required");
        assert_eq!(message(&json!({"faultcode": "Client", "faultstring": "too deep"})), "too deep");
        assert_eq!(message(&json!("bad gateway")), "bad gateway");
    }

    #[test]
    fn a_name_cannot_leave_its_segment_of_a_path() {
        assert_eq!(segment("../nodes?x=1"), "..%2Fnodes%3Fx%3D1");
    }
}
