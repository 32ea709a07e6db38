//! What drivers did is recorded, and can be run again without hardware.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wrought_api::{ApiConfig, Service};
use wrought_conductor::{Conductor, ConductorConfig, Hardware, RecordedOperation, Setup};
use wrought_domain::Principal;
use wrought_drivers::journal::{Class, Record};
use wrought_drivers::{Catalog, Compiler, DriversConfig, Runtime, replay, shipped};
use wrought_hardware::ImageConfig;
use wrought_simulator::Fleet;
use wrought_storage::{Durability, Store};

use crate::support::{Api, BMC_PASSWORD, DRIVE_TEXT, fleet_options, image_sha256, redfish_node, run, until};

const AUTHORIZATION: &str = "Bearer image-secret-5d2a90";

#[test]
fn every_call_of_a_nodes_life_is_replayed_exactly_and_no_record_holds_a_secret() {
    run(async {
        let host = InProcess::start().await;
        let fleet = Fleet::start(fleet_options(host.api.url(), 1)).await.unwrap();
        let mut body = redfish_node(&fleet, 0, &image_sha256(&fleet).await);
        body["instance_info"]["image_request_authorization_secret"] = AUTHORIZATION.into();
        let uuid = host.api.call(Method::POST, "/v1/nodes", &body).await.ok()["uuid"].as_str().unwrap().to_owned();
        let port = json!({"node_uuid": uuid, "address": fleet.nodes()[0].mac});
        host.api.call(Method::POST, "/v1/ports", &port).await.ok();

        host.to(&uuid, json!({"target": "manage"}), "manageable").await;
        host.to(&uuid, json!({"target": "provide"}), "available").await;
        let drive = json!({"meta_data": {"uuid": uuid}, "user_data": DRIVE_TEXT});
        let (token, drive_in_store) =
            tokio::join!(host.agent_token(&uuid), host.to(&uuid, json!({"target": "active", "configdrive": drive}), "active"));
        host.to(&uuid, json!({"target": "deleted"}), "available").await;

        let (operations, records) = host.journal(&uuid).await;
        host.stop().await;
        let kinds: Vec<&str> = operations.iter().map(|operation| operation.kind.as_str()).collect();
        assert_eq!(kinds, ["clean", "deploy", "clean"], "a tear-down becomes a cleaning");
        for operation in &operations {
            assert!(operation.ended_at.is_some() && operation.error.is_none() && operation.user == "noauth", "{operation:?}");
            assert!((1..64 << 10).contains(&operation.bytes), "{operation:?}");
        }
        let functions: Vec<&str> = records.iter().map(|record| record.header.function.name()).collect();
        for function in ["prepare", "get-deploy-steps", "execute-deploy-step", "clean-up", "tear-down", "execute-clean-step"] {
            assert!(functions.contains(&function), "{function} is not in {functions:?}");
        }
        let text = serde_json::to_string(&records).unwrap();
        assert!(text.contains("secret-ref:config-drive"), "the driver handed the drive over by its name");
        let basic = STANDARD.encode(AUTHORIZATION);
        for secret in [BMC_PASSWORD, DRIVE_TEXT, &drive_in_store[40..80], &token, AUTHORIZATION, &basic] {
            assert!(!text.contains(secret), "{secret} is in the records");
        }
        replay_all(&serde_json::from_str(&text).unwrap()).await;
    });
}

/// On a runtime that has never seen the calls.
async fn replay_all(records: &Vec<Record>) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(Runtime::new(DriversConfig::default(), Compiler::InProcess).unwrap(), folder.path()).await.unwrap();
    let driver = catalog.admit(shipped::DIRECT).await.unwrap().driver;
    for record in records {
        assert_eq!(record.header.digest, driver.digest);
        replay(catalog.runtime(), &driver, record).await.unwrap_or_else(|error| panic!("{:?}: {error}", record.header.function));
    }
    // A record that is not of this call is noticed.
    let acting = records.iter().find(|record| record.entries.iter().any(|entry| entry.class == Class::Effect)).unwrap();
    let mut other = acting.clone();
    other.entries.pop();
    replay(catalog.runtime(), &driver, &other).await.unwrap_err();
    let mut other = acting.clone();
    other.outcome.state = None;
    other.outcome.answer = Ok(wrought_drivers::Answer::Steps(Vec::new()));
    replay(catalog.runtime(), &driver, &other).await.unwrap_err();
}

/// A host in this process, with its store at hand.
struct InProcess {
    conductor: Conductor,
    closing: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    api: Api,
    _folder: TempDir,
}

impl InProcess {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data"), Durability::Normal).await.unwrap();
        let runtime = Runtime::new(DriversConfig::default(), Compiler::InProcess).unwrap();
        let catalog = Arc::new(Catalog::open(runtime, &folder.path().join("drivers")).await.unwrap());
        let setup = Setup {
            conductor: ConductorConfig { poll_min_ms: 50, poll_max_ms: 500, ..ConductorConfig::default() },
            hardware: Hardware { image: ImageConfig { allow_loopback: true, ..ImageConfig::default() }, ..Hardware::default() },
            ..Setup::new(store, catalog, folder.path().join("artifacts"))
        };
        let conductor = Conductor::start(setup).await.unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let api = Api::new(&format!("http://{}", listener.local_addr().unwrap()));
        let service: Arc<dyn Service> = Arc::new(conductor.clone());
        let closing = CancellationToken::new();
        let router = wrought_api::router(service, ApiConfig::default());
        let server = tokio::spawn(wrought_api::serve(listener, router, closing.clone().cancelled_owned()));
        Self { conductor, closing, server, api, _folder: folder }
    }

    /// Asks for a provision target and waits for its end; the config drive in the store.
    async fn to(&self, uuid: &str, body: serde_json::Value, state: &str) -> String {
        let answer = self.api.call(Method::PUT, &format!("/v1/nodes/{uuid}/states/provision"), &body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        until(state, async || {
            let node = self.api.get(&format!("/v1/nodes/{uuid}")).await.ok();
            assert!(!node["provision_state"].as_str().unwrap().ends_with("failed"), "{node}");
            (node["provision_state"] == state && node["reservation"].is_null()).then_some(())
        })
        .await;
        let stored = self.conductor.store().node(&Principal::host(), &wrought_storage::NodeRef::parse(uuid)).await.unwrap().unwrap();
        stored.value.instance_info.get("configdrive").and_then(|drive| drive.as_str()).unwrap_or_default().to_owned()
    }

    /// The token that the node's next agent is given.
    async fn agent_token(&self, uuid: &str) -> String {
        let node = wrought_domain::NodeId(uuid.parse().unwrap());
        until("an agent is known", async || self.conductor.store().agent_session(node).await.unwrap()).await.token
    }

    /// The node's operations, the first one first, and all of their calls.
    async fn journal(&self, node: &str) -> (Vec<RecordedOperation>, Vec<Record>) {
        let host = Principal::host();
        let mut operations = self.conductor.journal(&host, Some(node), None, 100).await.unwrap();
        operations.reverse();
        let mut records = Vec::new();
        for operation in &operations {
            let (_, calls) = self.conductor.journaled(&host, &operation.id.to_string(), true).await.unwrap();
            assert_eq!(u64::try_from(calls.len()).unwrap(), operation.calls);
            records.extend(calls.into_iter().map(|call| call.record.unwrap().ended().expect("every call has ended")));
        }
        (operations, records)
    }

    async fn stop(self) {
        self.closing.cancel();
        self.server.await.unwrap().unwrap();
        self.conductor.stop().await;
    }
}
