//! Locks that nodes share, and limits of drivers.

use serde_json::{Value, json};

use crate::host::{Asked, Host};

#[tokio::test]
async fn a_lock_is_broken_with_a_reason() {
    let host = Host::new().await;
    assert_eq!(host.get("/wrought/v1/locks").await.expect(200).json(), json!({ "locks": [] }));
    let path = "/wrought/v1/locks/chassis%3A4";
    let broken = host.call("DELETE", path, "1.109", json!({ "reason": "it hangs" })).await.expect(200).json();
    assert_eq!(broken, json!({ "name": "chassis:4" }));
    assert_eq!(host.asked(), [Asked::BreakLock("chassis:4".into(), "it hangs".into())]);
    for wrong in [Value::Null, json!({}), json!(["it hangs"]), json!({ "reason": 3 })] {
        host.call("DELETE", path, "1.109", wrong).await.expect(400);
    }
    host.get(path).await.expect(405);
}

#[tokio::test]
async fn limits_of_a_driver_are_an_object_of_numbers() {
    let host = Host::new().await;
    let path = "/wrought/v1/drivers/acme/limits";
    let set = host.put(path, json!({ "memory_mib": 512 })).await.expect(200).json();
    assert_eq!(set, json!({ "name": "acme", "set": { "memory_mib": 512 } }));
    host.put(path, json!([512])).await.expect(400);
    host.get("/wrought/v1/drivers/Not%20A%20Name/limits").await.expect(400);
}
