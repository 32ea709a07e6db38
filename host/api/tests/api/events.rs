//! Events, why, retry and cancel: what of a request reaches the conductor.

use std::time::Duration;

use serde_json::{Value, json};
use wrought_conductor::EventsAsked;

use crate::host::{Asked, Host};

#[tokio::test]
async fn events_are_asked_for_by_node_kind_and_place_with_a_bounded_wait() {
    let host = Host::new().await;
    let told = host.get("/wrought/v1/events").await.expect(200).json();
    assert_eq!(told, json!({ "events": [], "last": 7, "dropped": 0 }));
    host.get("/wrought/v1/nodes/n1/events?kind=failed,%20transition&after=5&limit=5000&wait=60").await.expect(200);
    assert_eq!(
        host.asked(),
        [
            Asked::Events(EventsAsked { limit: 100, ..EventsAsked::default() }),
            Asked::Events(EventsAsked {
                node: Some("n1".into()),
                kinds: vec!["failed".into(), "transition".into()],
                after: Some(5),
                limit: 1000,
                wait: Duration::from_secs(60),
            })
        ]
    );
    for wrong in ["wait=61", "limit=0", "limit=-1", "after=x", "colour=red"] {
        let refused = host.get(&format!("/wrought/v1/events?{wrong}")).await.expect(400).json();
        assert_eq!(refused["error"]["code"], "invalid", "{wrong}");
    }
    assert_eq!(host.asked(), []);
    host.get("/wrought/v1/webhooks").await.expect(200);
    host.call("DELETE", "/wrought/v1/events", "1.109", Value::Null).await.expect(405);
}

#[tokio::test]
async fn a_retry_needs_no_body_and_takes_none_that_says_anything_else() {
    let host = Host::new().await;
    host.post("/wrought/v1/nodes/n1/retry", Value::Null).await.expect(202);
    host.post("/wrought/v1/nodes/n1/retry", json!({ "from_start": true })).await.expect(202);
    for wrong in [json!([true]), json!({ "from_start": "yes" }), json!({ "form_start": true }), json!("x")] {
        host.post("/wrought/v1/nodes/n1/retry", wrong).await.expect(400);
    }
    host.get("/wrought/v1/nodes/n1/why").await.expect(200);
    let refused = host.post("/wrought/v1/nodes/n1/cancel", Value::Null).await.expect(409).json();
    assert_eq!(refused["error"]["message"], "nothing to cancel");
    let asked = [Asked::Retry("n1".into(), false), Asked::Retry("n1".into(), true), Asked::Why("n1".into()), Asked::Cancel("n1".into())];
    assert_eq!(host.asked(), asked);
}
