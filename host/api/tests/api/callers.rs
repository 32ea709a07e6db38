//! Callers with roles in projects, by tokens.

use axum::body::Body;
use http::Method;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;
use wrought_api::{ApiConfig, Authentication};
use wrought_domain::{Node, NodeId, OperationId, Principal, ProvisionState, Role};
use wrought_engine::{Kind, Request, Settings};
use wrought_storage::NewToken;

use crate::host::{Host, NEWEST, Reply};

/// A host that asks for tokens.
pub async fn guarded() -> Host {
    Host::with(ApiConfig { auth_strategy: Authentication::Token, ..ApiConfig::default() }).await
}

impl Host {
    /// Lets an operation hold a node.
    pub async fn hold(&self, node: NodeId) {
        let stored = self.store.node(&Principal::host(), &node.into()).await.unwrap().unwrap();
        let enrolled = Node { provision_state: ProvisionState::Enroll, ..stored.value };
        let request = Request::new(OperationId(uuid::Uuid::new_v4()), Kind::Verify, Principal::host());
        let advance = wrought_engine::begin(enrolled, request, &Settings::default(), Timestamp::now()).unwrap();
        self.store.begin(&advance, stored.revision, "testhost", "u").await.unwrap();
    }
}

/// Somebody with a token.
pub struct Caller<'a> {
    host: &'a Host,
    token: String,
}

impl<'a> Caller<'a> {
    pub async fn new(host: &'a Host, role: Role, project: Option<&str>) -> Self {
        let name = format!("{role}-{}", project.unwrap_or("all"));
        let new = NewToken::new(&name, role, project.map(str::to_owned), None).unwrap();
        let (token, _) = host.store.create_token(&Principal::host(), new).await.unwrap();
        Self { host, token: token.expose_secret().to_owned() }
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = http::Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        let request = request.header("X-OpenStack-Ironic-API-Version", NEWEST).header("X-Auth-Token", &self.token);
        self.host.send(request.header("Content-Type", "application/json").body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, body).await
    }
}
