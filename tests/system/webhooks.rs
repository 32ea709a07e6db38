//! Receivers are told of events: signed, in order, at least once; one that is dead holds up nobody.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{HostConfig, Setup, World, run, until, wrought};

/// What the receiver and the host share, and what is in no log.
const KEY: &str = "canary-hook-key-5d7e";
const PATH_TOKEN: &str = "canary-path-token-81aa";

/// A receiver that answers as it is told and remembers what it took.
#[derive(Clone, Default)]
struct Receiver {
    status: Arc<AtomicU16>,
    /// Those that it took and those that it did not.
    seen: Arc<Mutex<Vec<(bool, Message)>>>,
}

#[derive(Debug, Clone)]
struct Message {
    id: String,
    body: Value,
}

impl Receiver {
    async fn start(&self) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{PATH_TOKEN}", listener.local_addr().unwrap());
        let router = Router::new().route("/{token}", post(take)).with_state(self.clone());
        (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
    }

    fn taken(&self) -> Vec<Message> {
        self.seen.lock().unwrap().iter().filter(|(taken, _)| *taken).map(|(_, message)| message.clone()).collect()
    }

    fn tries(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let of = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (id, time) = (of("webhook-id"), of("webhook-timestamp"));
    let now = jiff::Timestamp::now().as_second();
    assert!((now - time.parse::<i64>().unwrap()).abs() < 60, "{time}");
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &body].concat();
    assert_eq!(of("webhook-signature"), format!("v1,{}", STANDARD.encode(hmac_sha256(KEY.as_bytes(), &signed))), "{id}");
    assert_eq!(of("content-type"), "application/json");
    let status = receiver.status.load(Ordering::SeqCst);
    let message = Message { id, body: serde_json::from_slice(&body).unwrap() };
    receiver.seen.lock().unwrap().push((status == 0, message));
    if status == 0 { StatusCode::NO_CONTENT } else { StatusCode::from_u16(status).unwrap() }
}

/// RFC 2104, written out: another hand than the host's.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// A host that tells `url`, with further lines for the webhook, and the folder that its secret lies in.
async fn world(url: &str, more: &str) -> (World, tempfile::TempDir) {
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("hook"), format!("{KEY}\n")).unwrap();
    let root = secrets.path().display();
    let sections = format!(
        "[secrets]\nfile_roots = [\"{root}\"]\n[webhook.ops]\nurl = \"{url}\"\nsecret = \"file:{root}/hook\"\nallow_loopback = true\n{more}"
    );
    let host = HostConfig { sections: String::leak(sections), log: "debug", ..HostConfig::default() };
    (World::new(Setup { host, servers: 0, ..Setup::default() }).await, secrets)
}

fn transitions(messages: &[Message], node: &str) -> Vec<String> {
    let of_node = messages.iter().filter(|message| message.body["data"]["node"] == node && message.body["type"] == "node.transition");
    of_node.map(|message| message.body["data"]["to"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn transitions_and_failures_arrive_signed_and_in_order_whatever_fails_on_the_way() {
    run(async {
        let receiver = Receiver::default();
        let (url, serving) = receiver.start().await;
        let (mut world, secrets) = world(&url, "max_pause = 1\n").await;
        let node = world.fake("fake", json!({})).await;
        let uuid = node.uuid.clone();
        until("the webhook is told", async || transitions(&receiver.taken(), &uuid).last().filter(|state| *state == "available").cloned())
            .await;

        // It fails for a while, and meanwhile nothing else waits for it.
        receiver.status.store(500, Ordering::SeqCst);
        node.deploy().await;
        until("the message is tried again", async || (receiver.tries() > receiver.taken().len() + 1).then_some(())).await;
        let shown = world.api().get("/wrought/v1/webhooks").await.ok();
        let hook = &shown["webhooks"][0];
        assert_eq!((&hook["name"], &hook["last_error"]), (&json!("ops"), &json!("the receiver answered 500")), "{shown}");
        let folder = tempfile::tempdir().unwrap();
        let listed = wrought(folder.path(), world.api().url(), &["webhook", "list"]).await.ended(0).text();
        assert!(listed.contains("ops") && listed.contains("the receiver answered 500"), "{listed}");
        assert!(hook["behind"].as_u64().unwrap() > 0 && !hook["failing_since"].is_null(), "{shown}");

        // A kill in between, and a receiver that is back.
        world.host.kill().await;
        world.host.start_again().await;
        receiver.status.store(0, Ordering::SeqCst);
        until("the rest is told", async || transitions(&receiver.taken(), &uuid).last().filter(|state| *state == "active").cloned()).await;

        let taken = receiver.taken();
        let ids: BTreeSet<&str> = taken.iter().map(|message| message.id.as_str()).collect();
        let mut once: Vec<Message> = Vec::new();
        for message in &taken {
            if !once.iter().any(|known| known.id == message.id) {
                once.push(message.clone());
            }
        }
        assert_eq!(ids.len(), once.len());
        let order: Vec<u64> = once.iter().map(|message| message.body["data"]["id"].as_u64().unwrap()).collect();
        assert!(order.windows(2).all(|two| two[0] < two[1]), "{order:?}");
        // Exactly what the record has, of the kinds that are told.
        let path = format!("/wrought/v1/nodes/{uuid}/events?kind=transition,failed,aborted,maintenance&after=0&limit=1000");
        let recorded = world.api().get(&path).await.ok();
        let recorded: Vec<u64> = recorded["events"].as_array().unwrap().iter().map(|event| event["id"].as_u64().unwrap()).collect();
        assert_eq!(order, recorded);
        assert!(taken.iter().all(|message| message.body["skipped"].is_null() && message.body["data"]["host"].is_string()));
        let log = world.host.log();
        assert!(log.contains("the receiver does not take an event"), "{log}");
        assert!(!log.contains(KEY) && !log.contains(PATH_TOKEN), "the log holds a secret");
        serving.abort();
        drop(secrets);
    });
}

#[test]
fn a_receiver_that_is_too_far_behind_is_told_how_many_events_it_missed() {
    run(async {
        let receiver = Receiver::default();
        receiver.status.store(503, Ordering::SeqCst);
        let (url, serving) = receiver.start().await;
        let (world, _secrets) = world(&url, "max_pause = 1\nmax_behind = 5\nkinds = []\n").await;
        let began = std::time::Instant::now();
        let node = world.fake("fake", json!({})).await;
        node.deploy().await;
        assert!(began.elapsed() < std::time::Duration::from_secs(15), "nobody waits for a receiver: {:?}", began.elapsed());
        let newest = world.api().get("/wrought/v1/events").await.ok()["last"].as_u64().unwrap();
        assert!(newest > 9, "{newest}");
        until("events are skipped", async || {
            let shown = world.api().get("/wrought/v1/webhooks").await.ok();
            (shown["webhooks"][0]["skipped"].as_u64().unwrap() >= newest - 5).then_some(())
        })
        .await;
        receiver.status.store(0, Ordering::SeqCst);
        until("the rest is told", async || (receiver.taken().len() == 5).then_some(())).await;
        let taken = receiver.taken();
        assert_eq!(taken[0].body["skipped"], newest - 5, "{taken:?}");
        assert_eq!(taken[0].body["data"]["id"], newest - 4);
        assert!(taken[1..].iter().all(|message| message.body["skipped"].is_null()), "it is told once");
        assert!(world.host.log().contains("the oldest events are skipped"));
        serving.abort();
    });
}

#[test]
fn a_webhook_that_cannot_be_told_does_not_start_and_loopback_needs_to_be_allowed() {
    run(async {
        let receiver = Receiver::default();
        let (url, serving) = receiver.start().await;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("wrong.toml");
        for (section, why) in [
            (format!("[webhook.ops]\nurl = \"{url}\"\nsecret = \"{KEY}\""), "[webhook.ops] secret: name where the secret is kept"),
            ("[webhook.ops]\nsecret = \"env:WROUGHT_SECRET_HOOK\"".to_owned(), "[webhook.ops] url is missing"),
            (format!("[webhook.ops]\nurl = \"{url}\"\nsecret = \"env:X\"\nkinds = [\"colour\"]"), "there is no kind of event \"colour\""),
        ] {
            std::fs::write(&config, section).unwrap();
            let args = ["serve", "--listen", "127.0.0.1:0", "--data", "data", "--config", config.to_str().unwrap()];
            let refused = wrought(folder.path(), "", &args).await.ended(1);
            assert!(refused.stderr.contains(why) && !refused.stderr.contains(KEY), "{}", refused.stderr);
        }
        let (world, _secrets) = world(&url, "[webhook.here]\nurl = \"http://localhost:1/\"\nsecret = \"env:WROUGHT_SECRET_NONE\"\n").await;
        world.fake("fake", json!({})).await;
        // The one has no secret yet, and the other goes on.
        until("the other is told", async || (!receiver.taken().is_empty()).then_some(())).await;
        until("why it cannot be told is shown", async || {
            let shown = world.api().get("/wrought/v1/webhooks").await.ok();
            shown["webhooks"][0]["last_error"].as_str().filter(|why| why.contains("there is no such variable")).map(drop)
        })
        .await;
        serving.abort();
    });
}
