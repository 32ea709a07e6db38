//! Files for drivers: what the conductor is asked for, and what machines are served.

use axum::body::Body;
use http::Request;
use serde_json::json;
use wrought_domain::Digest;

use crate::host::{Asked, Host};

#[tokio::test]
async fn a_file_is_uploaded_named_and_digested() {
    let host = Host::new().await;
    let post = |rest: &str| Request::post(format!("/wrought/v1/artifacts/{rest}"));
    let digest = Digest::from_sha256([7; 32]);
    let sent = post(&format!("fw.bin?digest={digest}")).header("Content-Length", "1000").body(Body::from(vec![7; 1000])).unwrap();
    assert_eq!(host.send(sent).await.expect(201).json(), json!({ "name": "fw.bin" }));
    let name = "fw.bin".parse::<wrought_domain::ArtifactName>().unwrap();
    assert_eq!(host.asked(), [Asked::UploadArtifact(name.clone(), Some(1000), Some(digest), 1000)]);
    let chunks = futures::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![7; 100])));
    host.send(post("fw.bin").body(Body::from_stream(chunks)).unwrap()).await.expect(201);
    assert_eq!(host.asked(), [Asked::UploadArtifact(name, None, None, 1100)]);
    let broken = futures::stream::iter([Ok(vec![7; 100]), Err(std::io::Error::other("gone"))]);
    host.send(post("fw.bin").body(Body::from_stream(broken)).unwrap()).await.expect(400);
    for wrong in ["fw.bin?digest=sha256:00", "fw.bin?digets=x", ".hidden", "..%2Fx", "a%20b"] {
        assert_eq!(host.send(post(wrong).body(Body::from("x")).unwrap()).await.expect(400).json()["error"]["code"], "invalid", "{wrong}");
    }
    assert!(host.asked().is_empty());
    host.send(Request::delete("/wrought/v1/artifacts/fw.bin").body(Body::empty()).unwrap()).await.expect(204);
    assert_eq!(host.asked(), [Asked::DeleteArtifact("fw.bin".into())]);
    assert_eq!(host.get("/wrought/v1/artifacts").await.expect(200).json(), json!({ "artifacts": [] }));
}

#[tokio::test]
async fn bytes_are_served_to_whoever_has_a_url() {
    let host = Host::new().await;
    let url = |signature: &str| {
        format!("/wrought/v1/artifacts/00/content?expires=1&node=00000000-0000-0000-0000-000000000000&signature={signature}")
    };
    let get = |url: &str| Request::get(url).body(Body::empty()).unwrap();
    let all = host.send(get(&url("good"))).await.expect(200);
    assert!(all.bytes.starts_with(b"[package]"));
    let part = Request::get(url("good")).header("range", "bytes=0-8").body(Body::empty()).unwrap();
    assert_eq!(host.send(part).await.expect(206).bytes.as_ref(), b"[package]");
    let head = Request::head(url("good")).body(Body::empty()).unwrap();
    let head = host.send(head).await.expect(200);
    assert_eq!((head.bytes.len(), &head.headers["content-length"]), (0, &all.headers["content-length"]));
    for wrong in [url("bad"), url("good").replace("expires=1", "expires=x"), "/wrought/v1/artifacts/00/content".into()] {
        assert_eq!(host.send(get(&wrong)).await.expect(403).json()["error"]["code"], "forbidden", "{wrong}");
    }
    host.send(Request::post(url("good")).body(Body::empty()).unwrap()).await.expect(405);
}
