//! Images: the rules for a node's fields, and servers that answer oddly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, missing_docs)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Map, Value, json};
use wrought_hardware::image::{ImageKind, Images, MaybeSecret};
use wrought_hardware::{ImageConfig, Kind, VerifyCa};

fn sha256() -> String {
    "0123456789abcdef".repeat(4)
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

// The platform of a test may have no authorities.
fn images(config: ImageConfig) -> Images {
    Images::new(ImageConfig { webserver_verify_ca: VerifyCa::Switch(false), ..config }).unwrap()
}

fn loopback() -> Images {
    images(ImageConfig { allow_loopback: true, ..Default::default() })
}

fn validate(change: Value) -> Result<(), String> {
    let mut info = map(json!({"image_source": "https://images.example.org/a.raw", "image_checksum": sha256()}));
    info.extend(map(change));
    info.retain(|_, value| !value.is_null());
    images(ImageConfig::default()).validate(&info, &Map::new()).map_err(|error| format!("{}: {}", error.kind, error.message))
}

#[test]
fn an_image_needs_a_source_and_a_checksum_that_counts() {
    for good in [
        json!({}),
        json!({"image_checksum": "AB".repeat(64)}),
        json!({"image_checksum": "https://images.example.org/SHA256SUMS"}),
        json!({"image_checksum": null, "image_os_hash_algo": "sha512", "image_os_hash_value": "ab".repeat(64)}),
        json!({"image_checksum": "ab".repeat(16), "image_os_hash_algo": "sha256", "image_os_hash_value": sha256()}),
        json!({"image_type": "partition", "image_disk_format": "qcow2"}),
        json!({"image_download_source": "http"}),
    ] {
        assert_eq!(validate(good.clone()), Ok(()), "{good}");
    }
    for (bad, start) in [
        (json!({"image_source": null}), "missing-parameter: image_source"),
        (json!({"image_source": "file:///etc/shadow"}), "invalid-parameter: image_source"),
        (json!({"image_source": "oci://registry/a"}), "invalid-parameter: image_source"),
        (json!({"image_source": "0b5e55ed-1ab0-4000-8000-00000000c0de"}), "invalid-parameter: image_source"),
        (json!({"image_source": 7}), "invalid-parameter: image_source"),
        (json!({"image_checksum": null}), "missing-parameter: image_checksum"),
        (json!({"image_checksum": "ab".repeat(16)}), "invalid-parameter: image_checksum"),
        (json!({"image_checksum": "file:///dev/zero"}), "invalid-parameter: image_checksum"),
        (json!({"image_checksum": "xyz"}), "invalid-parameter: image_checksum"),
        (json!({"image_os_hash_algo": "sha256"}), "missing-parameter: image_os_hash_value"),
        (json!({"image_os_hash_value": sha256()}), "missing-parameter: image_os_hash_algo"),
        (json!({"image_os_hash_algo": "md5", "image_os_hash_value": "ab".repeat(16)}), "invalid-parameter: image_os_hash_algo"),
        (json!({"image_os_hash_algo": "sha512", "image_os_hash_value": sha256()}), "invalid-parameter: image_os_hash_value"),
        (json!({"image_type": "tape"}), "invalid-parameter: image_type"),
        (json!({"image_disk_format": "vmdk"}), "invalid-parameter: image_disk_format"),
        (json!({"image_download_source": "local"}), "invalid-parameter: image_download_source"),
        (json!({"kernel": "file:///vmlinuz"}), "invalid-parameter: kernel"),
    ] {
        let error = validate(bad.clone()).unwrap_err();
        assert!(error.starts_with(start), "{bad}: {error}");
    }
    let proxy = map(json!({"image_http_proxy": "socks://p"}));
    let info = map(json!({"image_source": "https://images.example.org/a.raw", "image_checksum": sha256()}));
    assert_eq!(images(ImageConfig::default()).validate(&info, &proxy).unwrap_err().kind, Kind::InvalidParameter);
    let md5 = map(json!({"image_source": "https://images.example.org/a.raw", "image_checksum": "ab".repeat(16)}));
    images(ImageConfig { allow_md5_checksum: true, ..Default::default() }).validate(&md5, &Map::new()).unwrap();
}

type Log = Arc<Mutex<Vec<(String, HeaderMap)>>>;

async fn serve(State((log, elsewhere)): State<(Log, String)>, request: Request) -> Response<axum::body::Body> {
    log.lock().unwrap().push((format!("{} {}", request.method(), request.uri().path()), request.headers().clone()));
    let answer = Response::builder();
    let answer = match request.uri().path() {
        "/a.raw" => answer.header("content-length", "5242881"),
        "/redirect" => answer.status(302).header("location", "/a.raw"),
        "/signed" => answer.status(307).header("location", "/a.raw?sig=canary"),
        "/away" => answer.status(302).header("location", format!("{elsewhere}/a.raw")),
        "/loop" => answer.status(301).header("location", "/loop"),
        "/metadata" => answer.status(302).header("location", "http://169.254.169.254/latest"),
        "/file" => answer.status(302).header("location", "file:///etc/shadow"),
        _ => answer.status(404),
    };
    answer.body(axum::body::Body::empty()).unwrap()
}

/// A server of images; `/away` redirects to `elsewhere`.
async fn server(elsewhere: &str) -> (String, Log) {
    let log = Log::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).with_state((log.clone(), elsewhere.to_owned()));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, log)
}

fn info(source: &str) -> Map<String, Value> {
    map(json!({"image_source": source, "image_checksum": sha256(), "image_disk_format": "raw"}))
}

#[tokio::test]
async fn an_image_resolves_with_one_head() {
    let (base, log) = server("").await;
    let image = loopback().resolve(&info(&format!("{base}/a.raw")), &Map::new()).await.unwrap();
    assert_eq!((image.id.as_str(), image.kind, image.size_mib), ("a.raw", ImageKind::WholeDisk, Some(6)));
    assert_eq!(image.disk_format.as_deref(), Some("raw"));
    assert!(matches!(&image.url, MaybeSecret::Plain(url) if *url == format!("{base}/a.raw")));
    assert_eq!(log.lock().unwrap().iter().map(|(line, _)| line.clone()).collect::<Vec<_>>(), ["HEAD /a.raw"]);
}

#[tokio::test]
async fn redirects_are_followed_and_signed_urls_are_secrets() {
    let (base, _) = server("").await;
    let images = loopback();
    let image = images.resolve(&info(&format!("{base}/redirect")), &Map::new()).await.unwrap();
    assert_eq!((image.id.as_str(), image.url.expose()), ("redirect", format!("{base}/a.raw").as_str()));
    let signed = images.resolve(&info(&format!("{base}/signed")), &Map::new()).await.unwrap();
    assert!(matches!(signed.url, MaybeSecret::Secret(_)));
    assert!(!format!("{signed:?}").contains("canary"));
    let account = format!("{}/a.raw", base.replace("http://", "http://user:canary@"));
    let image = images.resolve(&info(&account), &Map::new()).await.unwrap();
    assert!(matches!(&image.url, MaybeSecret::Secret(_)) && image.url.expose() == account);
}

#[tokio::test]
async fn odd_servers_are_refused() {
    let (base, _) = server("").await;
    let images = loopback();
    for (path, code) in
        [("/missing", "image.Refused"), ("/loop", "image.Redirects"), ("/metadata", "egress.Denied"), ("/file", "node.InvalidParameter")]
    {
        let error = images.resolve(&info(&format!("{base}{path}")), &Map::new()).await.unwrap_err();
        assert_eq!(error.code, code, "{path}");
        assert!(!error.message.contains("127.0.0.1") && !error.message.contains("169.254"), "{error}");
    }
}

#[tokio::test]
async fn the_host_itself_is_out_of_reach_unless_allowed() {
    let (base, log) = server("").await;
    let strict = images(ImageConfig::default());
    for source in [format!("{base}/a.raw"), format!("{}/a.raw", base.replace("127.0.0.1", "localhost"))] {
        assert_eq!(strict.resolve(&info(&source), &Map::new()).await.unwrap_err().code, "egress.Denied");
    }
    let mut with_checksum = info("http://192.0.2.1/a.raw");
    with_checksum.insert("image_checksum".into(), json!(format!("{base}/SUMS")));
    assert_eq!(strict.resolve(&with_checksum, &Map::new()).await.unwrap_err().code, "egress.Denied");
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_authorization_goes_to_the_images_own_server_only() {
    let (other, other_log) = server("").await;
    let (base, log) = server(&other).await;
    let mut info = info(&format!("{base}/away"));
    info.insert("image_request_authorization_secret".into(), json!("Bearer canary"));
    let image = loopback().resolve(&info, &Map::new()).await.unwrap();
    assert_eq!(image.url.expose(), format!("{other}/a.raw"));
    assert_eq!(log.lock().unwrap()[0].1["authorization"], "Bearer canary");
    assert!(!other_log.lock().unwrap()[0].1.contains_key("authorization"));
}

#[tokio::test]
async fn ids_are_safe_as_names_of_files() {
    let (base, _) = server("").await;
    let images = loopback();
    let mut long = info(&format!("{base}/redirect"));
    long.insert("image_source".into(), json!(format!("{base}/a.raw/../redirect")));
    assert_eq!(images.resolve(&long, &Map::new()).await.unwrap().id, "redirect");
}
