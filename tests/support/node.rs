//! A node of a world.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use wrought_simulator::{Counts, Faults};

use super::{Answer, World, until, until_patience_ends};

/// Part of the user data in the config drives of tests; found nowhere else.
pub const DRIVE_TEXT: &str = "drive-content-91b7d4";

pub struct Node<'a> {
    pub world: &'a World,
    pub uuid: String,
    /// Its place in the fleet; nothing for fake hardware.
    pub server: Option<usize>,
}

/// Whether no operation is on the node: one that waits for the machine shows no reservation.
pub fn rests(node: &Value) -> bool {
    node["reservation"].is_null() && !node["provision_state"].as_str().is_some_and(|state| state.contains("wait"))
}

impl Node<'_> {
    pub fn path(&self, below: &str) -> String {
        format!("/v1/nodes/{}{below}", self.uuid)
    }

    /// The node as the API shows it.
    pub async fn get(&self) -> Value {
        self.world.api().get(&self.path("")).await.ok()
    }

    /// The version of the first component of the firmware that a driver has reported, as the driver `stamp` writes its own there.
    pub async fn stamp(&self) -> String {
        let shown = self.world.api().get(&self.path("/firmware")).await.ok();
        shown["firmware"][0]["current_version"].as_str().unwrap_or_default().to_owned()
    }

    pub async fn state(&self) -> String {
        self.get().await["provision_state"].as_str().unwrap().to_owned()
    }

    pub async fn last_error(&self) -> String {
        self.get().await["last_error"].as_str().unwrap_or_default().to_owned()
    }

    /// Asks for a provision target, with more in the body.
    pub async fn ask(&self, body: Value) -> Answer {
        self.world.api().call(Method::PUT, &self.path("/states/provision"), &body).await
    }

    /// Asks for a provision target that is granted.
    pub async fn provision(&self, target: &str) {
        let answer = self.ask(json!({ "target": target })).await;
        assert_eq!(answer.status, 202, "{target}: {}", answer.text);
    }

    pub async fn power(&self, target: &str) -> Answer {
        self.world.api().call(Method::PUT, &self.path("/states/power"), &json!({ "target": target })).await
    }

    pub async fn patch(&self, path: &str, value: Value) -> Value {
        let change = json!([{"op": "add", "path": path, "value": value}]);
        self.world.api().call(Method::PATCH, &self.path(""), &change).await.ok()
    }

    /// Waits until the node rests in a state: nobody holds it. Panics when it rests in another failed one.
    pub async fn reach(&self, state: &str) -> Value {
        self.see(state, |node| {
            let now = node["provision_state"].as_str().unwrap();
            let rests = rests(node);
            assert!(!rests || now == state || !now.ends_with("failed"), "{now} instead of {state}: {}", node["last_error"]);
            rests && now == state
        })
        .await
    }

    /// Waits until nobody holds the node.
    pub async fn rest(&self) -> Value {
        self.see("any state, at rest", rests).await
    }

    /// Waits until nothing has happened to the node for a while.
    pub async fn left_alone(&self) {
        let mut seen = (Instant::now(), Value::Null);
        until("the node is left alone", async || {
            let now = self.get().await;
            if now != seen.1 {
                seen = (Instant::now(), now);
            }
            (seen.0.elapsed() > Duration::from_millis(250)).then_some(())
        })
        .await;
    }

    /// Waits until the node passes through a state.
    pub async fn pass(&self, state: &str) {
        self.see(state, |node| node["provision_state"] == state).await;
    }

    async fn see(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let seen = until_patience_ends(async || Some(self.get().await).filter(&wanted)).await;
        match seen {
            Some(node) => node,
            None => {
                let machine = self.server.and_then(|server| self.world.fleet.node(server));
                panic!("not in {what} in time: {}\n{machine:#?}", self.get().await);
            }
        }
    }

    pub async fn make_available(&self) {
        self.provision("manage").await;
        self.reach("manageable").await;
        self.provision("provide").await;
        self.reach("available").await;
    }

    /// Deploys it and waits for the end.
    pub async fn deploy(&self) -> Value {
        self.provision("active").await;
        self.reach("active").await
    }

    /// Has its driver, `hostile`, make these requests, in this order; what it was answered.
    pub async fn asked(&self, requests: &[Value]) -> Vec<String> {
        self.patch("/extra/hostile_outside", json!(requests)).await;
        let deployed = self.deploy().await;
        let answers = deployed["driver_internal_info"]["root_uuid_or_disk_id"].as_str().unwrap().to_owned();
        self.provision("deleted").await;
        self.reach("available").await;
        answers.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits for the power state.
    pub async fn reach_power(&self, power: &str) {
        until(&format!("node {} {power}", self.uuid), async || {
            let node = self.get().await;
            (node["power_state"] == power && node["reservation"].is_null()).then_some(())
        })
        .await;
    }

    /// The digest of the driver that began its last deployment.
    pub async fn driver_digest(&self) -> String {
        self.get().await["driver_internal_info"]["wrought_driver_digest"].as_str().unwrap().to_owned()
    }

    pub fn counts(&self) -> Counts {
        self.world.fleet.counts(self.server.unwrap()).unwrap()
    }

    pub fn set_faults(&self, faults: Faults) {
        assert!(self.world.fleet.set_faults(self.server.unwrap(), faults));
    }

    /// Every provision state that is seen until `last`, from now on.
    pub async fn states_until(&self, last: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        until(&format!("node {} in {last}", self.uuid), async || {
            let shown = self.world.api().get(&self.path("/states")).await.ok();
            let now = shown["provision_state"].as_str().unwrap().to_owned();
            if seen.last() != Some(&now) {
                seen.push(now.clone());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            (now == last && shown["target_provision_state"].is_null()).then_some(())
        })
        .await;
        seen
    }
}
