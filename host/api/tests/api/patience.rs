//! A change of a node that is held waits for a while, and not for longer; one that others change at the same time is
//! looked at anew.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use wrought_api::ApiConfig;

use crate::host::Host;

#[tokio::test]
async fn a_held_node_is_waited_for_as_long_as_was_said_and_reads_do_not_wait() {
    let host = Host::with(ApiConfig { node_locked_patience_ms: 400, ..ApiConfig::default() }).await;
    let node = host.enroll("n").await;
    host.hold(node).await;
    let change = json!([{"op": "add", "path": "/extra/a", "value": 1}]);
    let begun = Instant::now();
    let refused = host.patch("/v1/nodes/n", change).await.expect(409);
    assert!(refused.fault().contains("is locked by host"), "{}", refused.fault());
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    assert!(host.stored(node).await.extra.is_empty());

    let begun = Instant::now();
    host.get("/v1/nodes/n").await.expect(200);
    host.call("PATCH", "/v1/nodes/n", crate::host::NEWEST, json!([{"op": "add", "path": "/colour", "value": 1}])).await.expect(400);
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn those_who_change_one_node_at_the_same_time_all_get_their_turn() {
    let host = Host::with(ApiConfig::default()).await;
    let node = host.enroll("n").await;
    join_all((0..8).map(async |client| {
        for change in 0..10 {
            let patch = json!([{"op": "add", "path": format!("/extra/{client}-{change}"), "value": 1}]);
            host.patch("/v1/nodes/n", patch).await.expect(200);
        }
    }))
    .await;
    assert_eq!(host.stored(node).await.extra.len(), 80);
}
