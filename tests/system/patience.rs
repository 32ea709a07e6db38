//! A change of a node that an operation holds for a moment only is not refused.

use reqwest::Method;
use serde_json::json;

use crate::support::{HostConfig, Setup, World, run};

#[test]
fn a_change_waits_for_the_end_of_a_change_of_power() {
    run(async {
        // As it is by default; in other tests nothing is waited for.
        let host = HostConfig { sections: "[api]\nnode_locked_patience_ms = 3000\n", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 0, ..Setup::default() }).await;
        let node = world.fake("fake", json!({})).await;
        for (round, target) in ["power on", "power off", "rebooting", "power off"].iter().enumerate() {
            assert_eq!(node.power(target).await.status, 202, "{target}");
            let patch = json!([{"op": "add", "path": "/extra/round", "value": round}]);
            let changed = world.api().call(Method::PATCH, &node.path(""), &patch).await;
            assert_eq!((changed.status, changed.ok()["extra"]["round"].as_u64()), (200, Some(round as u64)), "{target}");
        }
        node.reach_power("power off").await;
    });
}
