//! Methods of the vendor's own, over the API and with the driver behind it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Node, Shared, run, until};

async fn call(node: &Node<'_>, http: Method, method: &str, body: Value) -> Answer {
    node.world.api().call(http, &node.path(&format!("/vendor_passthru?method={method}")), &body).await
}

#[test]
fn methods_are_listed_and_called_at_once_or_as_operations() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        let methods = world.api().get(&node.path("/vendor_passthru/methods")).await.ok();
        assert_eq!((&methods["first_method"]["async"], &methods["third_method_sync"]["async"]), (&json!(true), &json!(false)));
        assert_eq!(methods["first_method"]["http_methods"], json!(["POST"]));

        for (bar, expected) in [("meow", true), ("woof", false)] {
            assert_eq!(call(&node, Method::POST, "third_method_sync", json!({ "bar": bar })).await.ok(), json!(expected));
        }
        let in_path = node.path("/vendor_passthru/fourth_method_shared_lock");
        assert_eq!(world.api().call(Method::POST, &in_path, &json!({"bar": "woof"})).await.ok(), json!(true));

        // What changes something runs as an operation, and what it keeps is seen by the next call.
        assert_eq!(call(&node, Method::POST, "first_method", json!({"bar": 7})).await.status, 202);
        until("the method has run", async || {
            let noted = world.api().get(&node.path("/vendor_passthru?method=what_was_noted")).await;
            (noted.status == 200 && noted.json() == json!({"bar": 7})).then_some(())
        })
        .await;
        let rests = node.rest().await;
        assert_eq!((&rests["provision_state"], &rests["last_error"]), (&json!("available"), &Value::Null));
    });
}

#[test]
fn what_cannot_be_called_is_refused() {
    run(async {
        let world = Shared::world().await;
        let node = world.fake("fake", json!({})).await;
        let unknown = call(&node, Method::POST, "no_such_method", json!({})).await.refused(400);
        assert!(unknown.contains("no_such_method"), "{unknown}");
        let wrong = call(&node, Method::PUT, "first_method", json!({"bar": 1})).await.refused(400);
        assert!(wrong.contains("POST"), "{wrong}");
        let missing = call(&node, Method::POST, "third_method_sync", json!({})).await.refused(400);
        assert!(missing.contains("`bar`"), "{missing}");
        // An operation that fails says so on the node.
        assert_eq!(call(&node, Method::POST, "first_method", json!({})).await.status, 202);
        until("the failure is told", async || node.last_error().await.contains("`bar`").then_some(())).await;

        let real = world.enrol().await;
        assert_eq!(world.api().get(&real.path("/vendor_passthru/methods")).await.ok(), json!({}));
        call(&real, Method::POST, "first_method", json!({"bar": 1})).await.refused(400);
    });
}
