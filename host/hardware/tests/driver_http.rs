//! Requests of drivers against real servers on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use proptest::prelude::*;
use reqwest::{Method, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wrought_hardware::driver_http::{DriverAnswer, DriverHttp, DriverRequest, destination, headers};
use wrought_hardware::{DriverHttpConfig, HardwareError, Kind, VerifyCa};

/// What a server was asked: method, path, and the headers that matter.
type Asked = Arc<Mutex<Vec<String>>>;

struct Server {
    url: String,
    port: u16,
    asked: Asked,
}

impl Server {
    async fn start(other: &str) -> Self {
        let asked = Asked::default();
        let app = Router::new().fallback(answer).with_state((asked.clone(), other.to_owned()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url: format!("http://127.0.0.1:{port}"), port, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn answer(State((asked, other)): State<(Asked, String)>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    asked.lock().unwrap().push(shown(&request));
    drop(request);
    let to = |location: String| (http_status(302), [("location", location)]).into_response();
    match path.as_str() {
        "/to-self" => to("/plain".into()),
        "/to-other" => to(format!("{other}/plain")),
        "/to-metadata" => to("http://169.254.169.254/latest".into()),
        "/to-file" => to("file:///etc/passwd".into()),
        "/round" => to("/round".into()),
        "/large" => vec![b'x'; 1 << 20].into_response(),
        "/larger" => vec![b'x'; (1 << 20) + 1].into_response(),
        "/bytes" => vec![0xff_u8, 0x00].into_response(),
        "/cookie" => [("set-cookie", "a=b"), ("x-seen", "yes")].into_response(),
        "/silent" => std::future::pending().await,
        _ => "plain".into_response(),
    }
}

fn shown(request: &Request) -> String {
    let sent = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    format!("{} {} [{}] [{}]", request.method(), request.uri().path(), sent("authorization"), sent("accept"))
}

fn http_status(code: u16) -> axum::http::StatusCode {
    axum::http::StatusCode::from_u16(code).unwrap()
}

fn local() -> DriverHttpConfig {
    DriverHttpConfig { exempt_networks: vec!["127.0.0.0/8".parse().unwrap()], ..DriverHttpConfig::default() }
}

fn http(config: DriverHttpConfig) -> DriverHttp {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    DriverHttp::new(config, Vec::new()).unwrap()
}

fn request(method: Method, url: &str) -> DriverRequest {
    DriverRequest { method, url: destination(url).unwrap(), headers: headers([]).unwrap(), body: None, secret: false }
}

async fn get(http: &DriverHttp, url: &str) -> Result<DriverAnswer, HardwareError> {
    http.send(request(Method::GET, url), |_, _| true).await
}

fn code<T: std::fmt::Debug>(answer: Result<T, HardwareError>) -> (Kind, String) {
    let error = answer.unwrap_err();
    assert!(!error.message.contains("127.0.0.1") && !error.message.contains("169.254"), "{error}");
    (error.kind, error.code)
}

#[tokio::test]
async fn answers_come_back_whole_up_to_the_limit() {
    let server = Server::start("").await;
    let http = http(local());
    let plain = get(&http, &format!("{}/plain", server.url)).await.unwrap();
    assert_eq!((plain.status, plain.body), (200, b"plain".to_vec()));
    assert_eq!(get(&http, &format!("{}/large", server.url)).await.unwrap().body.len(), 1 << 20);
    assert_eq!(code(get(&http, &format!("{}/larger", server.url)).await), (Kind::LimitExceeded, "http.AnswerTooLarge".into()));
    assert_eq!(get(&http, &format!("{}/bytes", server.url)).await.unwrap().body, [0xff, 0]);
    let cookie = get(&http, &format!("{}/cookie", server.url)).await.unwrap();
    assert!(cookie.headers.iter().any(|(name, _)| name == "x-seen") && cookie.headers.iter().all(|(name, _)| name != "set-cookie"));
    let large = DriverRequest { body: Some(vec![0; (1 << 20) + 1]), ..request(Method::POST, &server.url) };
    assert_eq!(code(http.send(large, |_, _| true).await), (Kind::LimitExceeded, "http.BodyTooLarge".into()));
}

/// Answers `secure` over TLS, with a certificate for `localhost`; its port and the certificate.
async fn tls_server() -> (u16, String) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecure").await;
            let _ = stream.shutdown().await;
        }
    });
    (port, cert.pem())
}

#[tokio::test]
async fn a_name_is_verified_though_its_address_was_looked_up_before() {
    let (port, pem) = tls_server().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let exempt_networks = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let trusting = http(DriverHttpConfig { verify_ca: VerifyCa::File(file.path().into()), exempt_networks, ..DriverHttpConfig::default() });
    assert_eq!(get(&trusting, &format!("https://localhost:{port}/")).await.unwrap().body, b"secure");
    let other_name = get(&trusting, &format!("https://127.0.0.1:{port}/")).await;
    assert_eq!(code(other_name), (Kind::Failed, "http.TlsRefused".into()));
    let suspicious = get(&http(local()), &format!("https://127.0.0.1:{port}/")).await;
    assert_eq!(code(suspicious), (Kind::Failed, "http.TlsRefused".into()));
}

#[tokio::test]
async fn addresses_of_the_host_and_its_surroundings_are_denied() {
    let server = Server::start("").await;
    let strict = http(DriverHttpConfig::default());
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
        let answer = get(&strict, &format!("http://{host}:{}/plain", server.port)).await;
        assert_eq!(code(answer), (Kind::Denied, "http.AddressDenied".into()), "{host}");
    }
    for url in ["http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/", "http://[fd00:ec2::254]/"] {
        assert_eq!(code(get(&strict, url).await), (Kind::Denied, "http.AddressDenied".into()), "{url}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
    // The host's own API stays closed when the network is not.
    let own = DriverHttp::new(local(), vec![server.port]).unwrap();
    for host in ["127.0.0.1", "127.0.0.2", "localhost"] {
        let answer = get(&own, &format!("http://{host}:{}/plain", server.port)).await;
        assert_eq!(code(answer), (Kind::Denied, "http.AddressDenied".into()), "{host}");
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn redirects_are_judged_like_the_first_url() {
    let other = Server::start("").await;
    let server = Server::start(&other.url).await;
    let http = http(local());
    let with = |path: &str| {
        let headers = headers([("authorization", "Basic canary"), ("accept", "text/plain")]).unwrap();
        DriverRequest { headers, ..request(Method::GET, &format!("{}{path}", server.url)) }
    };
    assert_eq!(http.send(with("/to-self"), |_, _| true).await.unwrap().body, b"plain");
    assert_eq!(server.asked(), ["GET /to-self [Basic canary] [text/plain]", "GET /plain [Basic canary] [text/plain]"]);
    assert_eq!(http.send(with("/to-other"), |_, _| true).await.unwrap().body, b"plain");
    assert_eq!(other.asked(), ["GET /plain [] [text/plain]"], "nothing but `accept` goes to another origin");

    let home = Url::parse(&server.url).unwrap();
    let only_home = |_: &Method, url: &Url| url.origin() == home.origin();
    assert_eq!(code(http.send(with("/to-other"), only_home).await), (Kind::Denied, "http.NotGranted".into()));
    assert_eq!(code(http.send(with("/to-metadata"), |_, _| true).await), (Kind::Denied, "http.AddressDenied".into()));
    assert_eq!(code(http.send(with("/to-file"), |_, _| true).await), (Kind::InvalidParameter, "http.InvalidUrl".into()));
    assert_eq!(code(http.send(with("/round"), |_, _| true).await), (Kind::Failed, "http.Redirects".into()));
    other.asked();
    // With a secret in it, or when it changes something, the redirect itself is the answer.
    let secret = DriverRequest { secret: true, ..with("/to-other") };
    assert_eq!(http.send(secret, |_, _| true).await.unwrap().status, 302);
    assert_eq!(http.send(DriverRequest { method: Method::POST, ..with("/to-other") }, |_, _| true).await.unwrap().status, 302);
    assert_eq!(other.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn silence_is_told_by_what_it_may_have_done() {
    let server = Server::start("").await;
    let http = http(DriverHttpConfig { request_timeout: 1, ..local() });
    let silent = format!("{}/silent", server.url);
    assert_eq!(code(get(&http, &silent).await), (Kind::Timeout, "http.NoAnswer".into()));
    assert_eq!(code(http.send(request(Method::PUT, &silent), |_, _| true).await), (Kind::OutcomeUnknown, "http.NoAnswer".into()));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = http.send(request(Method::PUT, &format!("http://{nobody}/")), |_, _| true).await;
    assert_eq!(code(refused), (Kind::Failed, "http.Unreachable".into()));
    let https = format!("https://127.0.0.1:{}/", server.port);
    assert_eq!(get(&http, &https).await.unwrap_err().kind, Kind::Failed);
}

#[test]
fn headers_that_are_the_hosts_business_are_refused() {
    for name in ["Host", "connection", "Transfer-Encoding", "Content-Length", "Proxy-Authorization", "cookie", "TE", "Upgrade", "Expect"] {
        assert_eq!(code(headers([(name, "x")])), (Kind::Denied, "http.ForbiddenHeader".into()), "{name}");
    }
    for (name, value) in
        [("x-a", "b\r\nhost: evil"), ("x-a", "b\nc"), ("x-a", "\0"), ("x a", "b"), ("x-a:", "b"), ("x\r\ny", "b"), ("", "b"), ("x-a", "é")]
    {
        assert_eq!(code(headers([(name, value)])), (Kind::InvalidParameter, "http.InvalidHeader".into()), "{name:?} {value:?}");
    }
    let many = (0..65).map(|_| ("x-a", "b"));
    assert_eq!(code(headers(many)), (Kind::LimitExceeded, "http.TooManyHeaders".into()));
    let long = "x".repeat(17 << 10);
    assert_eq!(code(headers([("x-a", long.as_str())])), (Kind::LimitExceeded, "http.TooManyHeaders".into()));
    for url in ["ftp://h/", "file:///etc/passwd", "//h/", "http://user:pass@h/", "http://h\r\n/", "http:\\\\h/", "http:// h/", ""] {
        assert_eq!(code(destination(url)), (Kind::InvalidParameter, "http.InvalidUrl".into()), "{url:?}");
    }
    assert_eq!(destination("https://Fw.Example.com.:443/a#b").unwrap().as_str(), "https://fw.example.com/a");
}

proptest! {
    /// Whatever a driver writes, what is sent has the headers that it named and no others.
    #[test]
    fn no_header_smuggles_another(name in "\\PC{0,12}|[a-zA-Z-]{1,20}", value in "[\\PC\\r\\n\\t]{0,30}") {
        if let Ok(headers) = headers([(name.as_str(), value.as_str())]) {
            prop_assert_eq!(headers.len(), 1);
            for (name, value) in &headers {
                prop_assert!(!name.as_str().contains(['\r', '\n', ':', ' ']));
                prop_assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
                prop_assert!(!name.as_str().starts_with("proxy-") && name != "host");
            }
        }
    }

    /// A URL that passes leads to the host that it shows, by http or https.
    #[test]
    fn urls_are_what_they_show(url in "(https?:)?(//)?[a-zA-Z0-9@:.\\\\/\\[\\]%#? -]{0,40}") {
        if let Ok(url) = destination(&url) {
            prop_assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        }
    }
}
