use serde_json::{Value, json};

use crate::host::{Asked, Host, recorded};

#[tokio::test]
async fn the_journal_is_listed_shown_and_exported() {
    let host = Host::new().await;
    let told = json!(recorded());
    assert_eq!(host.get("/wrought/v1/journal").await.expect(200).json(), json!({"operations": [told]}));
    host.get("/wrought/v1/journal?node=n1&limit=5000&before=1970-01-01T00:00:00.000001Z").await.expect(200);
    let before = "1970-01-01T00:00:00.000001Z".parse().unwrap();
    assert_eq!(host.asked(), [Asked::Journal(None, None, 100), Asked::Journal(Some("n1".into()), Some(before), 1000)]);
    for wrong in ["limit=0", "limit=many", "before=yesterday", "nod=n1", "limit=-1"] {
        let refused = host.get(&format!("/wrought/v1/journal?{wrong}")).await.expect(400).json();
        assert_eq!(refused["error"]["code"], "invalid", "{wrong}");
    }
    assert!(host.asked().is_empty());

    assert_eq!(host.get("/wrought/v1/journal/n1").await.expect(404).json()["error"]["message"], "n1 is not in the journal");
    let shown = host.get("/wrought/v1/journal/n1?detail=true").await.expect(200).json();
    assert_eq!(shown, json!({"operation": told, "calls": []}));
    host.get("/wrought/v1/journal/n1?detail=maybe").await.expect(400);

    let file = host.get("/wrought/v1/journal/a%20b/export").await.expect(200);
    assert_eq!((file.header("content-type"), &*file.bytes), ("application/octet-stream", [0, 159, 255].as_slice()));
    let name = format!("attachment; filename=\"wrought-journal-{}.json.zst\"", recorded().id);
    assert_eq!(file.header("content-disposition"), name);
    host.get("/wrought/v1/journal/17/export?components=false").await.expect(200);
    assert_eq!(host.asked(), [Asked::Export("a b".into(), true), Asked::Export("17".into(), false)]);
}

#[tokio::test]
async fn a_node_is_unlocked_with_a_reason() {
    let host = Host::new().await;
    let path = "/wrought/v1/nodes/n1/unlock";
    assert_eq!(host.post(path, json!({"reason": "it hangs"})).await.expect(200).json(), json!({"node": "n1"}));
    assert_eq!(host.asked(), [Asked::Unlock("n1".into(), "it hangs".into())]);
    for wrong in [Value::Null, json!({}), json!(["it hangs"]), json!({"reason": 3}), json!({"reason": "x", "force": true})] {
        let refused = host.post(path, wrong.clone()).await.expect(400).json();
        assert!(refused["error"]["message"].as_str().unwrap().contains("reason"), "{wrong}: {refused}");
    }
    assert_eq!(host.post(path, json!({"reason": ""})).await.expect(409).json()["error"]["code"], "conflict");
    assert!(host.asked().is_empty());
    host.get(path).await.expect(405);
}
