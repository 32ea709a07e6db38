//! The agent's client against an agent of a few lines, over plain HTTP and over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, missing_docs)]

mod tls_server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};
use tls_server::TlsServer;
use wrought_hardware::agent::{AgentClient, AgentClients, AgentEndpoint, AgentTls, CommandStatus};
use wrought_hardware::{AgentConfig, Kind, TlsVersion, VerifyCa};

/// The certificate that an agent made with Python's `cryptography` would have: P-384 signed with SHA-512.
const P384_SHA512: &str = include_str!("../keys/test-agent-p384-sha512.pem");
const P384_SHA512_KEY: &str = include_str!("../keys/test-agent-p384-sha512.TEST-KEY.pem");

#[derive(Default)]
struct Agent {
    commands: Vec<Value>,
    /// What the next POST does.
    post: Post,
    posts: usize,
    gets: usize,
    /// GETs dropped before the first is answered.
    drop_gets: usize,
}

#[derive(Default, Clone)]
enum Post {
    #[default]
    Accept,
    /// Begins the command and drops the connection.
    AcceptAndDrop,
    Drop,
    Answer(u16, Value),
    /// Begins the command and answers late.
    Late,
}

type Shared = Arc<Mutex<Agent>>;

fn record(id: usize, name: &str, status: &str, result: Value) -> Value {
    json!({"id": format!("id-{id}"), "command_name": name, "command_status": status, "command_error": null, "command_result": result})
}

async fn serve(State(agent): State<Shared>, Query(query): Query<Vec<(String, String)>>, request: Request) -> Response {
    if !query.contains(&("agent_token".into(), "canary-token".into())) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"faultcode": "Client", "faultstring": "Token invalid: canary-token."})))
            .into_response();
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if parts.method == "GET" {
        let mut agent = agent.lock().unwrap();
        agent.gets += 1;
        if agent.drop_gets > 0 {
            agent.drop_gets -= 1;
            drop(agent);
            panic!("dropped on purpose");
        }
        return match path.as_str() {
            "/v1/commands/" => Json(json!({"commands": agent.commands})).into_response(),
            "/v1/status" => Json(json!({"started_at": 1.5, "version": "13.0.0"})).into_response(),
            path => {
                let id = path.strip_prefix("/v1/commands/").unwrap();
                let found = agent.commands.iter().find(|command| command["id"] == id).cloned();
                found.map_or(StatusCode::NOT_FOUND.into_response(), |command| Json(command).into_response())
            }
        };
    }
    let body: Value = serde_json::from_slice(&axum::body::to_bytes(body, 1 << 20).await.unwrap()).unwrap();
    let name = body["name"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
    let (post, answer) = {
        let mut agent = agent.lock().unwrap();
        agent.posts += 1;
        let done = query.contains(&("wait".into(), "true".into()));
        let answer =
            record(agent.posts, &name, if done { "SUCCEEDED" } else { "RUNNING" }, if done { body["params"].clone() } else { Value::Null });
        match &agent.post {
            Post::Accept => agent.commands.push(answer.clone()),
            Post::AcceptAndDrop | Post::Late => {
                let begun = record(agent.posts, &name, "RUNNING", Value::Null);
                agent.commands.push(begun);
            }
            _ => {}
        }
        (agent.post.clone(), answer)
    };
    match post {
        Post::Accept => Json(answer).into_response(),
        Post::AcceptAndDrop | Post::Drop => panic!("dropped on purpose"),
        Post::Answer(status, body) => (StatusCode::from_u16(status).unwrap(), Json(body)).into_response(),
        Post::Late => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Json(answer).into_response()
        }
    }
}

fn router(agent: Shared) -> Router {
    Router::new().fallback(serve).with_state(agent)
}

/// An agent over plain HTTP, and a client of it.
async fn agent() -> (Shared, AgentClient) {
    let agent = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = router(agent.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let clients = AgentClients::new(AgentConfig { require_tls: false, ..Default::default() });
    let client = clients.client(&endpoint(url, AgentTls::Insecure)).unwrap();
    (agent, client)
}

fn endpoint(url: String, verify: AgentTls) -> AgentEndpoint {
    AgentEndpoint { url, token: "canary-token".into(), verify }
}

#[tokio::test]
async fn commands_are_run_listed_and_looked_up() {
    let (_, client) = agent().await;
    assert!(client.commands().await.unwrap().is_empty());
    client.started_at().await.unwrap();
    let begun = client.run("clean.execute_clean_step", &json!({"step": {}}), false).await.unwrap();
    assert_eq!((begun.name.as_str(), begun.status, &begun.result), ("execute_clean_step", CommandStatus::Running, &Value::Null));
    let done = client.run("standby.sync", &json!({"echo": "my canary-token"}), true).await.unwrap();
    assert_eq!((done.status, &done.result), (CommandStatus::Succeeded, &json!({"echo": "my ******"})), "the token does not come back");
    assert_eq!(client.commands().await.unwrap().iter().map(|command| command.id.clone()).collect::<Vec<_>>(), ["id-1", "id-2"]);
    assert_eq!(client.status("id-1").await.unwrap(), begun);
    for id in ["id-9", "../status", ""] {
        assert_eq!(client.status(id).await.unwrap_err().kind, Kind::NotFound, "{id}");
    }
}

#[tokio::test]
async fn refusals_have_their_kinds() {
    let (agent, client) = agent().await;
    let fault = |text: &str| json!({"faultcode": "Server", "faultstring": text});
    for (status, body, kind, code) in [
        (409, fault("Agent is busy: executing command x"), Kind::AgentInProgress, "agent.Busy"),
        (500, fault("agent is busy"), Kind::AgentInProgress, "agent.Busy"),
        (409, Value::Null, Kind::AgentInProgress, "agent.Busy"),
        (401, fault("Token canary-token invalid"), Kind::Failed, "agent.Unauthorized"),
        (400, fault("Unknown parameter"), Kind::Failed, "agent.ApiError"),
        (500, fault("boom"), Kind::Failed, "agent.ApiError"),
        (200, json!("?"), Kind::Failed, "agent.BadAnswer"),
        (200, json!("x".repeat(300 * 1024)), Kind::LimitExceeded, "agent.AnswerTooLarge"),
    ] {
        agent.lock().unwrap().post = Post::Answer(status, body.clone());
        let error = client.run("standby.sync", &json!({}), true).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code), "{status}");
        assert!(!error.message.contains("canary"), "{error}");
    }
    let mut old = record(1, "install_bootloader", "FAILED", Value::Null);
    old["command_error"] = json!({"type": "TypeError", "message": "unexpected keyword argument"});
    agent.lock().unwrap().post = Post::Answer(200, old);
    assert_eq!(client.run("image.install_bootloader", &json!({}), false).await.unwrap_err().code, "agent.ApiError");
}

#[tokio::test]
async fn a_command_whose_answer_got_lost_is_looked_for() {
    let (agent, client) = agent().await;
    agent.lock().unwrap().post = Post::AcceptAndDrop;
    let found = client.run("deploy.execute_deploy_step", &json!({}), false).await.unwrap();
    assert_eq!((found.name.as_str(), found.status), ("execute_deploy_step", CommandStatus::Running));
    assert_eq!(agent.lock().unwrap().posts, 1, "sent once");

    agent.lock().unwrap().post = Post::Drop;
    let other = client.run("standby.power_off", &json!({}), false).await.unwrap_err();
    assert_eq!(other.kind, Kind::AgentUnreachable, "the last command is another one");

    agent.lock().unwrap().commands = vec![record(1, "power_off", "SUCCEEDED", Value::Null)];
    let ended = client.run("standby.power_off", &json!({}), false).await.unwrap_err();
    assert_eq!(ended.kind, Kind::OutcomeUnknown, "it may have ended, or be an earlier one");

    agent.lock().unwrap().drop_gets = 10;
    assert_eq!(client.run("standby.power_off", &json!({}), false).await.unwrap_err().kind, Kind::OutcomeUnknown);
}

#[tokio::test]
async fn a_command_that_takes_longer_than_there_is_time_is_shown_running() {
    let (agent, client) = agent().await;
    agent.lock().unwrap().post = Post::Late;
    let client = client.within(Duration::from_secs(2));
    let command = client.run("deploy.get_deploy_steps", &json!({}), true).await.unwrap();
    assert_eq!(command.status, CommandStatus::Running);
}

#[tokio::test]
async fn reads_are_repeated_and_an_absent_agent_is_unreachable() {
    let (agent, client) = agent().await;
    agent.lock().unwrap().drop_gets = 2;
    client.commands().await.unwrap();
    assert_eq!(agent.lock().unwrap().gets, 3);

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let clients = AgentClients::new(AgentConfig { require_tls: false, ..Default::default() });
    let absent = clients.client(&endpoint(format!("http://{free}"), AgentTls::Insecure)).unwrap();
    let error = absent.run("standby.sync", &json!({}), true).await.unwrap_err();
    assert_eq!(error.kind, Kind::AgentUnreachable);
    assert!(!error.message.contains("127.0.0.1") && !error.message.contains("canary"), "{error}");
}

#[tokio::test]
async fn plain_http_is_refused_where_tls_is_required() {
    let clients = AgentClients::new(AgentConfig::default());
    let refused = clients.client(&endpoint("http://127.0.0.1:9999".into(), AgentTls::Roots)).err().unwrap();
    assert_eq!(refused.code, "agent.TlsRequired");
}

/// A self-signed P-384 certificate for `name`: PEM of the certificate and of the key.
fn self_signed(name: &str, change: impl Fn(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// What a client that trusts `verify` makes of an agent that shows `certificate`.
async fn ping(certificate: &(String, String), verify: AgentTls, config: AgentConfig) -> Result<(), Kind> {
    let server = TlsServer::start(&certificate.0, &certificate.1, router(Shared::default())).await;
    let client = AgentClients::new(config).client(&endpoint(server.url(), verify)).unwrap();
    client.started_at().await.map(drop).map_err(|error| error.kind)
}

#[tokio::test]
async fn the_agents_own_certificate_is_accepted_when_it_is_exactly_that() {
    let real = (P384_SHA512.to_owned(), P384_SHA512_KEY.to_owned());
    assert_eq!(ping(&real, AgentTls::PinnedCa(real.0.clone()), AgentConfig::default()).await, Ok(()));

    let generated = self_signed("127.0.0.1", |_| ());
    assert_eq!(ping(&generated, AgentTls::PinnedCa(generated.0.clone()), AgentConfig::default()).await, Ok(()));
    let same_name = self_signed("127.0.0.1", |_| ());
    for pinned in [&same_name.0, &real.0] {
        assert_eq!(ping(&generated, AgentTls::PinnedCa(pinned.clone()), AgentConfig::default()).await, Err(Kind::AgentUnreachable));
    }
}

#[tokio::test]
async fn a_pinned_certificate_for_another_address_or_time_is_refused() {
    let elsewhere = self_signed("192.0.2.1", |_| ());
    let expired = self_signed("127.0.0.1", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = self_signed("127.0.0.1", |params| {
        params.not_before = rcgen::date_time_ymd(2090, 1, 1);
        params.not_after = rcgen::date_time_ymd(2091, 1, 1);
    });
    for certificate in [elsewhere, expired, early] {
        assert_eq!(
            ping(&certificate, AgentTls::PinnedCa(certificate.0.clone()), AgentConfig::default()).await,
            Err(Kind::AgentUnreachable)
        );
    }
}

#[tokio::test]
async fn an_authority_may_be_pinned_instead() {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let signed = (leaf.pem(), key.serialize_pem());
    assert_eq!(ping(&signed, AgentTls::PinnedCa(ca_pem.clone()), AgentConfig::default()).await, Ok(()));
    let stranger = self_signed("127.0.0.1", |_| ());
    assert_eq!(ping(&stranger, AgentTls::PinnedCa(ca_pem.clone()), AgentConfig::default()).await, Err(Kind::AgentUnreachable));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &ca_pem).unwrap();
    let config = AgentConfig { verify_ca: VerifyCa::File(file.path().to_owned()), ..Default::default() };
    assert_eq!(ping(&signed, AgentTls::Roots, config.clone()).await, Ok(()));
    assert_eq!(ping(&stranger, AgentTls::Roots, config).await, Err(Kind::AgentUnreachable));
}

#[tokio::test]
async fn an_unverified_agent_is_accepted_only_when_asked_for() {
    let stranger = self_signed("192.0.2.1", |_| ());
    assert_eq!(ping(&stranger, AgentTls::Insecure, AgentConfig::default()).await, Ok(()));
    let clients = AgentClients::new(AgentConfig { tls_min_version: TlsVersion::V1_2, ..Default::default() });
    assert!(clients.client(&endpoint("https://127.0.0.1:1".into(), AgentTls::PinnedCa("not PEM".into()))).is_err());
}

#[tokio::test]
async fn commands_of_one_session_share_a_connection() {
    let certificate = self_signed("127.0.0.1", |_| ());
    let agent = Shared::default();
    let server = TlsServer::start(&certificate.0, &certificate.1, router(agent)).await;
    let clients = AgentClients::new(AgentConfig::default());
    for _ in 0..5 {
        let client = clients.client(&endpoint(server.url(), AgentTls::PinnedCa(certificate.0.clone()))).unwrap();
        client.started_at().await.unwrap();
    }
    assert_eq!(server.handshakes(), 1);
}
