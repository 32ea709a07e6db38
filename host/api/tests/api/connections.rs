//! Real connections: TLS, its certificate anew, and clients that take their time.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wrought_api::{ApiConfig, Server};

use crate::host::Host;

const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    address: std::net::SocketAddr,
    server: Server,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

async fn serve(router: Router, config: &ApiConfig) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(config).unwrap();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.clone().serve(listener, router, async {
        stopped.await.ok();
    }));
    Served { address, server, stop, ended }
}

/// Writes a new certificate of `name`; its PEM.
fn certify(dir: &Path, name: &str) -> String {
    let made = rcgen::generate_simple_self_signed([name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem()
}

fn tls(dir: &Path) -> ApiConfig {
    ApiConfig { tls_certificate_file: Some(dir.join("cert.pem")), tls_key_file: Some(dir.join("key.pem")), ..ApiConfig::default() }
}

/// A client that trusts this certificate alone.
fn client(pem: &str) -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().timeout(PATIENCE).build().unwrap()
}

async fn is_let_in(client: &reqwest::Client, served: &Served) -> bool {
    client.get(format!("https://{}/v1", served.address)).send().await.is_ok_and(|reply| reply.status().is_success())
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_connections_stay() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::with(ApiConfig::default()).await;
    let first = certify(dir.path(), "first.test");
    let served = serve(host.router.clone(), &tls(dir.path())).await;
    assert_eq!(served.server.scheme(), "https");
    let old = client(&first);
    let reply = old.get(format!("https://{}/v1", served.address)).send().await.unwrap();
    let text = reply.text().await.unwrap();
    assert!(text.contains(&format!("https://{}/v1/", served.address)), "{text}");

    let second = certify(dir.path(), "second.test");
    served.server.reload().await;
    assert!(is_let_in(&client(&second), &served).await);
    assert!(!is_let_in(&client(&first), &served).await);
    // The connection from before is still there and still good.
    assert!(is_let_in(&old, &served).await);

    // A broken one is not taken; nor is a key of another certificate.
    std::fs::write(dir.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    served.server.reload().await;
    assert!(is_let_in(&client(&second), &served).await);
    let other = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cert.pem"), certify(other.path(), "third.test")).unwrap();
    served.server.reload().await;
    assert!(is_let_in(&client(&second), &served).await);

    // Changed files are found without being told of.
    let last = client(&certify(dir.path(), "last.test"));
    let began = Instant::now();
    while !is_let_in(&last, &served).await {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    served.stop.send(()).unwrap();
    drop((old, last));
    tokio::time::timeout(PATIENCE, served.ended).await.unwrap().unwrap().unwrap();
}

#[test]
fn a_server_starts_with_a_good_certificate_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |config: &ApiConfig| Server::new(config).err().expect("it is refused").to_string();
    assert!(refused(&tls(dir.path())).contains("tls_certificate_file: reading"));
    certify(dir.path(), "a.test");
    assert!(Server::new(&tls(dir.path())).is_ok());
    let key = std::fs::read_to_string(dir.path().join("key.pem")).unwrap();
    let other = tempfile::tempdir().unwrap();
    certify(other.path(), "b.test");
    std::fs::copy(other.path().join("cert.pem"), dir.path().join("cert.pem")).unwrap();
    let text = refused(&tls(dir.path()));
    assert!(text.contains("tls_key_file") && !text.contains(key.lines().nth(1).unwrap()), "{text}");
    assert!(refused(&ApiConfig { tls_key_file: None, ..tls(dir.path()) }).contains("belong together"));
    assert!(refused(&ApiConfig { header_timeout: 0, ..ApiConfig::default() }).contains("header_timeout"));
    assert!(refused(&ApiConfig { auth_strategy: wrought_api::Authentication::HttpBasic, ..ApiConfig::default() }).contains("htpasswd"));
}

/// A ClientHello whose newest version is `version`.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = Vec::from(version);
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 4, 0xc0, 0x09, 0xc0, 0x2b]);
    body.extend([1, 0]);
    // Groups, formats of points, signatures.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    handshake.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(handshake.len()).unwrap().to_be_bytes());
    record.extend(handshake);
    record
}

/// The first bytes that come back.
async fn answer(address: std::net::SocketAddr, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut bytes = vec![0; 7];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap();
    read.map(|_| bytes).unwrap_or_default()
}

#[tokio::test]
async fn tls_before_1_2_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::with(ApiConfig::default()).await;
    certify(dir.path(), "a.test");
    let served = serve(host.router.clone(), &tls(dir.path())).await;
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const PROTOCOL_VERSION: u8 = 70;
    for version in [[3, 0], [3, 1], [3, 2]] {
        let bytes = answer(served.address, &hello(version)).await;
        assert_eq!((bytes[0], bytes[6]), (ALERT, PROTOCOL_VERSION), "{version:?}");
    }
    assert_eq!(answer(served.address, &hello([3, 3])).await[0], HANDSHAKE);
    // HTTP without TLS gets no answer that could be taken for one.
    assert!(!answer(served.address, b"GET / HTTP/1.1\r\n\r\n").await.starts_with(b"HTTP"));
}

/// How long a connection lives on which this is sent.
async fn life(address: std::net::SocketAddr, sent: &[u8]) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("it is cut").ok();
    began.elapsed()
}

#[tokio::test]
async fn slow_headers_and_handshakes_are_cut() {
    let host = Host::with(ApiConfig::default()).await;
    let plain = serve(host.router.clone(), &ApiConfig { header_timeout: 1, ..ApiConfig::default() }).await;
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path(), "a.test");
    let config = ApiConfig { tls_handshake_timeout: 1, ..tls(dir.path()) };
    let secure = serve(host.router.clone(), &config).await;
    let half = hello([3, 3]);
    let lives = futures::future::join_all([
        life(plain.address, b""),
        life(plain.address, b"GET /v1 HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        // After a whole request, too.
        life(plain.address, b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\nGET /v1 HT"),
        life(secure.address, b""),
        life(secure.address, &half[..20]),
    ]);
    for (n, life) in lives.await.into_iter().enumerate() {
        assert!(life > Duration::from_millis(800) && life < Duration::from_secs(10), "{n}: {life:?}");
    }
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let host = Host::with(ApiConfig::default()).await;
    let served = serve(host.router.clone(), &ApiConfig { max_connections: 1, ..ApiConfig::default() }).await;
    let first = TcpStream::connect(served.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = TcpStream::connect(served.address).await.unwrap();
    second.write_all(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut byte = [0; 4];
    assert!(tokio::time::timeout(Duration::from_millis(300), second.read_exact(&mut byte)).await.is_err());
    drop(first);
    tokio::time::timeout(PATIENCE, second.read_exact(&mut byte)).await.unwrap().unwrap();
    assert_eq!(&byte, b"HTTP");
}

#[tokio::test]
async fn who_takes_no_answers_is_cut() {
    let host = Host::with(ApiConfig::default()).await;
    let served = serve(host.router.clone(), &ApiConfig { write_timeout: 1, ..ApiConfig::default() }).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let greedy = async {
        let requests = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
        while stream.write_all(&requests).await.is_ok() {}
    };
    tokio::time::timeout(PATIENCE, greedy).await.expect("the connection ends");
    // Whoever asks for nothing more is not late.
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    idle.write_all(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    tokio::time::timeout(PATIENCE, idle.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
}

#[tokio::test]
async fn silent_clients_take_no_turns_of_handshakes() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::with(ApiConfig::default()).await;
    let pem = certify(dir.path(), "a.test");
    let config = ApiConfig { tls_max_handshakes: 2, tls_handshake_timeout: 15, ..tls(dir.path()) };
    let served = serve(host.router.clone(), &config).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    assert!(is_let_in(&client(&pem), &served).await);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let life = life(served.address, b"").await;
    assert!(life < Duration::from_secs(10), "{life:?}");
}

#[tokio::test]
async fn a_body_that_trickles_ends() {
    let config = ApiConfig { body_timeout: 1, ..ApiConfig::default() };
    let served = serve(Host::with(config.clone()).await.router.clone(), &config).await;
    for request in ["GET /v1", "POST /v1/nodes", "POST /v1/heartbeat"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n").as_bytes()).await.unwrap();
        let began = Instant::now();
        let (mut read, mut write) = stream.split();
        let trickle = async {
            while write.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let mut start = [0; 12];
        tokio::select! {
            read = read.read_exact(&mut start) => { read.unwrap(); }
            () = trickle => panic!("no answer"),
            () = tokio::time::sleep(PATIENCE) => panic!("{request} never ends"),
        }
        assert_eq!(&start, b"HTTP/1.1 408", "{request}");
        assert!(began.elapsed() < Duration::from_secs(8), "{request}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn bodies_find_no_more_memory_than_was_said() {
    let config = ApiConfig { max_body_memory_bytes: 1 << 20, ..ApiConfig::default() };
    let host = Host::with(config.clone()).await;
    let served = serve(host.router.clone(), &config).await;
    let length = 700 << 10;
    let head = format!("POST /v1/nodes HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let mut first = TcpStream::connect(served.address).await.unwrap();
    first.write_all(head.as_bytes()).await.unwrap();
    first.write_all(&vec![b' '; length / 2]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let send = || {
        let url = format!("http://{}/v1/nodes", served.address);
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap().post(url).body(vec![b' '; length]).send()
    };
    let refused = send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    // Small ones need no room, and what ends makes some.
    host.enroll("n").await;
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(send().await.unwrap().status(), 400);
}
