//! Maintenance holds a deployment where the machine is waited for.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Shared, run};

#[test]
fn an_operation_rests_in_maintenance_and_goes_on_afterwards() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.provision("active").await;
        node.pass("wait call-back").await;
        let maintenance = node.path("/maintenance");
        assert_eq!(world.api().call(Method::PUT, &maintenance, &json!({"reason": "a fan is loud"})).await.status, 202);
        node.pass("wait call-back").await;
        // Long enough for a whole deployment in this fleet.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(node.state().await, "wait call-back");
        assert_eq!(world.api().call(Method::DELETE, &maintenance, &json!({})).await.status, 202);
        node.reach("active").await;
    });
}

#[test]
fn a_node_that_waits_in_maintenance_for_ever_is_deleted() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.provision("active").await;
        node.pass("wait call-back").await;
        assert_eq!(node.get().await["reservation"], json!(null), "nobody is at work on it");
        let refused = world.api().call(Method::DELETE, &node.path(""), &json!({})).await.refused(409);
        assert!(refused.contains("wait call-back"), "{refused}");
        let maintenance = node.path("/maintenance");
        assert_eq!(world.api().call(Method::PUT, &maintenance, &json!({"reason": "it hangs"})).await.status, 202);
        node.pass("wait call-back").await;
        assert_eq!(world.api().call(Method::DELETE, &node.path(""), &json!({})).await.status, 204);
        assert_eq!(world.api().get(&node.path("")).await.status, 404);
        // Whatever was under way for it finds nothing any more, and the host serves others.
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.available().await.deploy().await;
    });
}
