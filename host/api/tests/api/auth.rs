//! Who is let in: passwords, tokens, public routes, and how often one may ask.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use http::Request;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wrought_api::{ApiConfig, Authentication, UserConfig};
use wrought_domain::{Principal, Role};
use wrought_storage::NewToken;

use crate::host::{Asked, Host, Reply};

/// A request with some headers, from an address.
async fn ask(host: &Host, method: &str, path: &str, from: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path).header("X-OpenStack-Ironic-API-Version", "1.115");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(from.parse().unwrap(), 4711)));
    host.send(request).await
}

async fn get(host: &Host, path: &str, headers: &[(&str, &str)]) -> Reply {
    ask(host, "GET", path, "192.0.2.1", headers).await
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

async fn token(host: &Host, name: &str, role: Role, project: Option<&str>) -> String {
    let new = NewToken::new(name, role, project.map(str::to_owned), None).unwrap();
    host.store.create_token(&Principal::host(), new).await.unwrap().0.expose_secret().to_owned()
}

/// A host with accounts `ada`, an administrator, and `rob`, who looks at what project red has.
async fn with_accounts() -> (Host, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("htpasswd");
    let line = |name: &str, password: &str| format!("{name}:{}\n", bcrypt::hash(password, 4).unwrap());
    std::fs::write(&path, line("ada", "lovelace") + &line("rob", "hunter2")).unwrap();
    let rob = UserConfig { role: Role::Reader, project: Some("red".into()) };
    let config = ApiConfig {
        auth_strategy: Authentication::HttpBasic,
        http_basic_auth_user_file: Some(path),
        users: [("rob".to_owned(), rob)].into(),
        failed_logins_per_minute: 8,
        ..ApiConfig::default()
    };
    (Host::with(config).await, dir)
}

async fn with_tokens(config: ApiConfig) -> Host {
    Host::with(ApiConfig { auth_strategy: Authentication::Token, ..config }).await
}

#[tokio::test]
async fn accounts_are_asked_for_as_ironic_does() {
    let (host, _dir) = with_accounts().await;
    let refused = get(&host, "/v1/nodes", &[]).await.expect(401);
    assert_eq!(refused.json(), json!({"error": {"message": "Authorization required", "code": 401}}));
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"Baremetal API\"");
    assert!(refused.header("x-openstack-request-id").starts_with("req-"));
    assert_eq!(refused.header("x-openstack-ironic-api-version"), "");
    for (name, password) in [("ada", "wrong"), ("nobody", "lovelace"), ("ada", "")] {
        let refused = get(&host, "/v1/nodes", &[("authorization", &basic(name, password))]).await.expect(401);
        assert_eq!(refused.json()["error"]["message"], "Incorrect username or password", "{name}");
    }
    for malformed in ["Digest x", "Basic", "Basic ***", "Basic YWRh"] {
        let refused = get(&host, "/v1/nodes", &[("authorization", malformed)]).await.expect(400);
        assert_eq!(refused.json()["error"]["code"], 400, "{malformed}");
    }
    let ada = basic("ada", "lovelace");
    // The command line sends a token of nobody along.
    get(&host, "/v1/nodes", &[("authorization", &ada), ("x-auth-token", "None")]).await.expect(200);
    get(&host, "/v1/chassis", &[("authorization", &ada)]).await.expect(200);
    let rob = basic("rob", "hunter2");
    get(&host, "/v1/nodes", &[("authorization", &rob)]).await.expect(200);
    get(&host, "/v1/chassis", &[("authorization", &rob)]).await.expect(403);
    // Tokens are good here as well.
    let token = token(&host, "ci", Role::Reader, None).await;
    get(&host, "/v1/chassis", &[("x-auth-token", &token)]).await.expect(200);
    get(&host, "/v1/chassis", &[("authorization", &format!("Bearer {token}"))]).await.expect(200);
    get(&host, "/v1/chassis", &[("x-auth-token", "wrought_wrong")]).await.expect(401);
}

#[tokio::test]
async fn wrong_passwords_are_counted_for_each_address_and_right_ones_are_not() {
    let (host, _dir) = with_accounts().await;
    let (ada, wrong) = (basic("ada", "lovelace"), basic("ada", "wrong"));
    for _ in 0..20 {
        ask(&host, "GET", "/v1/nodes", "192.0.2.7", &[("authorization", &ada)]).await.expect(200);
    }
    let mut limited = None;
    for _ in 0..12 {
        let refused = ask(&host, "GET", "/v1/nodes", "192.0.2.7", &[("authorization", &wrong)]).await;
        match refused.status.as_u16() {
            401 => assert!(limited.is_none()),
            429 => limited = Some(refused),
            other => panic!("{other}"),
        }
    }
    let limited = limited.expect("it is limited");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    // Who was let in before goes on, and so does everybody elsewhere.
    ask(&host, "GET", "/v1/nodes", "192.0.2.7", &[("authorization", &ada)]).await.expect(200);
    ask(&host, "GET", "/v1/nodes", "192.0.2.8", &[("authorization", &wrong)]).await.expect(401);
}

#[tokio::test]
async fn many_requests_at_once_with_the_right_credentials_are_all_let_in() {
    let (host, _dir) = with_accounts().await;
    let all_at_once = async |headers: [(&str, &str); 1]| {
        let asked =
            (0..300).map(|_| ask(&host, "GET", "/v1/nodes", "192.0.2.9", &headers).map(|reply| reply.status.as_u16()).boxed_local());
        futures::future::join_all(asked).await
    };
    let ada = basic("ada", "lovelace");
    assert_eq!(all_at_once([("authorization", &ada)]).await, [200; 300]);
    let (ci, _other) = (token(&host, "ci", Role::Reader, None).await, token(&host, "other", Role::Reader, None).await);
    assert_eq!(all_at_once([("x-auth-token", &ci)]).await, [200; 300]);
    ask(&host, "DELETE", "/wrought/v1/tokens/other", "192.0.2.1", &[("authorization", &ada)]).await.expect(200);
    assert_eq!(all_at_once([("x-auth-token", &ci)]).await, [200; 300]);
    // Wrong ones at once are limited as if they came one after another.
    let wrong = basic("ada", "wrong");
    let refused = all_at_once([("authorization", &wrong)]).await;
    assert_eq!(refused.iter().filter(|status| **status == 401).count(), 8);
    assert_eq!(refused.iter().filter(|status| **status == 429).count(), 292);
}

#[tokio::test]
async fn tokens_let_in_until_they_are_revoked_or_expire() {
    let host = with_tokens(ApiConfig::default()).await;
    let refused = get(&host, "/v1/nodes", &[]).await.expect(401);
    assert_eq!(refused.json()["error"]["message"], "The request you have made requires authentication.");
    assert!(refused.header("www-authenticate").starts_with("Keystone uri=\"http://"), "{}", refused.header("www-authenticate"));
    let wrong = get(&host, "/wrought/v1/audit", &[("x-auth-token", "wrought_x")]).await.expect(401);
    assert_eq!(wrong.json()["error"]["code"], "unauthorized");

    let root = token(&host, "root", Role::Admin, None).await;
    let body = json!({"name": "ci", "role": "member", "project": "red"});
    let create = |body: Value, token: &str| {
        let request = Request::post("/wrought/v1/tokens").header("x-auth-token", token).body(Body::from(body.to_string()));
        host.send(request.unwrap())
    };
    let made = create(body.clone(), &root).await.expect(201).json();
    let ci = made["token"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["name"], &made["role"], &made["project"], &made["created_by"]),
        (&"ci".into(), &"member".into(), &"red".into(), &"root".into())
    );
    assert_eq!(create(body, &root).await.expect(409).json()["error"]["code"], "conflict");
    for wrong in
        [json!({"name": "x"}), json!({"name": "x", "role": "god"}), json!({"name": "a/b", "role": "reader"}), json!(["x", "reader"])]
    {
        create(wrong, &root).await.expect(400);
    }
    create(json!({"name": "y", "role": "reader"}), &ci).await.expect(403);

    get(&host, "/v1/nodes", &[("x-auth-token", &ci)]).await.expect(200);
    get(&host, "/v1/nodes", &[("authorization", &format!("Bearer {ci}"))]).await.expect(200);
    let listed = get(&host, "/wrought/v1/tokens", &[("x-auth-token", &root)]).await.expect(200);
    assert!(!String::from_utf8_lossy(&listed.bytes).contains(ci.as_str()));
    ask(&host, "DELETE", "/wrought/v1/tokens/ci", "192.0.2.1", &[("x-auth-token", &root)]).await.expect(200);
    get(&host, "/v1/nodes", &[("x-auth-token", &ci)]).await.expect(401);
    ask(&host, "DELETE", "/wrought/v1/tokens/ci", "192.0.2.1", &[("x-auth-token", &root)]).await.expect(404);

    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(300);
    let new = NewToken::new("brief", Role::Reader, None, Some(end)).unwrap();
    let brief = host.store.create_token(&Principal::host(), new).await.unwrap().0.expose_secret().to_owned();
    get(&host, "/v1/nodes", &[("x-auth-token", &brief)]).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(350)).await;
    get(&host, "/v1/nodes", &[("x-auth-token", &brief)]).await.expect(401);
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_without_a_commit_for_each_request() {
    let host = with_tokens(ApiConfig::default()).await;
    let root = token(&host, "root", Role::Admin, None).await;
    get(&host, "/v1/nodes", &[("x-auth-token", &root)]).await.expect(200);
    let noted = async {
        while host.store.tokens().await.unwrap()[0].last_used_at.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), noted).await.unwrap();
    let before = host.store.writes();
    for _ in 0..100 {
        get(&host, "/v1/nodes", &[("x-auth-token", &root)]).await.expect(200);
    }
    assert_eq!(host.store.writes(), before);
}

#[tokio::test]
async fn only_public_routes_are_public() {
    let host = with_tokens(ApiConfig::default()).await;
    for path in ["/", "/v1", "/v1/"] {
        get(&host, path, &[]).await.expect(200);
    }
    // They do their own checks; credentials, even wrong ones, are not looked at.
    for headers in [&[][..], &[("x-auth-token", "wrong"), ("authorization", "Digest x")]] {
        get(&host, "/v1/lookup", headers).await.expect(400);
        ask(&host, "POST", "/v1/heartbeat/7", "192.0.2.1", headers).await.expect(400);
        ask(&host, "POST", "/v1/continue_inspection", "192.0.2.1", headers).await.expect(400);
    }
    // What is not there, and what is not served, is nobody's business either.
    for (method, path) in [
        ("GET", "/v1/nowhere"),
        ("GET", "/nowhere"),
        ("GET", "/v2"),
        ("GET", "/wrought/v1/nowhere"),
        ("POST", "/v1"),
        ("DELETE", "/v1/lookup"),
        ("GET", "/v1/heartbeat/7"),
        ("OPTIONS", "/v1/nodes"),
        ("GET", "/v1/heartbeat/7/../../nodes"),
        ("GET", "/v1/lookup/../nodes"),
        ("GET", "//v1/nodes"),
        ("GET", "/metrics"),
        ("GET", "/v1/nodes/%FF"),
    ] {
        ask(&host, method, path, "192.0.2.1", &[]).await.expect(401);
    }
}

#[tokio::test]
async fn a_flood_of_agents_is_slowed_down_address_by_address() {
    let config = ApiConfig { agent_requests_per_second: 1, agent_requests_burst: 5, ..ApiConfig::default() };
    let host = Host::with(config).await;
    let lookups = async |from: &str| {
        let mut answers = Vec::new();
        for _ in 0..8 {
            answers.push(ask(&host, "GET", "/v1/lookup?addresses=52:54:00:00:00:01", from, &[]).await);
        }
        answers
    };
    let answers = lookups("192.0.2.1").await;
    assert_eq!(answers.iter().map(|reply| reply.status.as_u16()).collect::<Vec<_>>(), [404, 404, 404, 404, 404, 429, 429, 429]);
    assert!(answers[7].header("retry-after").parse::<u64>().unwrap() > 0 && answers[7].fault().contains("retry later"));
    assert_eq!(lookups("2001:db8::1").await[4].status.as_u16(), 404);
    assert_eq!(lookups("2001:db8::2").await[0].status.as_u16(), 429);
    // The versions, and everything that is not an agent's, are not slowed down.
    ask(&host, "GET", "/v1", "192.0.2.1", &[]).await.expect(200);
    ask(&host, "GET", "/v1/nodes", "192.0.2.1", &[]).await.expect(200);

    let config = ApiConfig { agent_requests_per_second_total: 1, agent_requests_burst_total: 3, ..ApiConfig::default() };
    let host = Host::with(config).await;
    let mut passed = 0;
    for n in 1..10 {
        let reply = ask(&host, "POST", "/v1/heartbeat/7", &format!("192.0.2.{n}"), &[]).await;
        passed += usize::from(reply.status.as_u16() != 429);
    }
    assert_eq!(passed, 3);
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_who_asks_and_under_which_url() {
    let config = ApiConfig {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        agent_requests_per_second: 1,
        agent_requests_burst: 1,
        ..ApiConfig::default()
    };
    let host = Host::with(config).await;
    let said =
        [("host", "inner:6385"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example"), ("x-forwarded-for", "192.0.2.9")];
    let link = |reply: Reply| reply.json()["links"][0]["href"].as_str().unwrap().to_owned();
    assert_eq!(link(ask(&host, "GET", "/v1", "10.0.0.1", &said).await), "https://api.example/v1/");
    assert_eq!(link(ask(&host, "GET", "/v1", "192.0.2.1", &said).await), "http://inner:6385/v1/");
    // The limit is of the client, and not of the proxy.
    for (client, status) in [("192.0.2.9", 404), ("192.0.2.9", 429), ("192.0.2.10", 404)] {
        let said = [("x-forwarded-for", client)];
        ask(&host, "GET", "/v1/lookup?addresses=52:54:00:00:00:01", "10.0.0.1", &said).await.expect(status);
    }
}

#[tokio::test]
async fn an_agent_behind_a_proxy_is_known_by_its_own_address() {
    let host = Host::with(ApiConfig { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..ApiConfig::default() }).await;
    let node = host.enroll("n1").await;
    let beat = async |from: &str| {
        let body = json!({"callback_url": "https://192.0.2.9:9999", "agent_token": "t", "agent_version": "13.0.0"});
        let request = Request::post(format!("/v1/heartbeat/{node}"))
            .header("X-OpenStack-Ironic-API-Version", "1.68")
            .header("Content-Type", "application/json")
            .header("X-Forwarded-For", "192.0.2.9");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(from.parse().unwrap(), 4711)));
        host.send(request).await.expect(202);
        match host.asked().pop() {
            Some(Asked::Heartbeat(_, beat)) => beat.peer.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(beat("10.1.1.1").await, "192.0.2.9");
    assert_eq!(beat("203.0.113.5").await, "203.0.113.5");
}

#[tokio::test]
async fn who_comes_through_a_proxy_on_this_machine_is_no_program_of_it() {
    let config = ApiConfig {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        agent_requests_per_second: 1,
        agent_requests_burst: 1,
        ..ApiConfig::default()
    };
    let host = Host::with(config).await;
    // Unknown clients are one.
    let unknown: [&[(&str, &str)]; 4] =
        [&[], &[("forwarded", "for=unknown")], &[("x-forwarded-for", "x")], &[("x-forwarded-for", "127.0.0.1")]];
    for (n, said) in unknown.into_iter().enumerate() {
        let reply = ask(&host, "GET", "/v1/lookup?addresses=52:54:00:00:00:01", "127.0.0.1", said).await;
        reply.expect(if n == 0 { 404 } else { 429 });
    }
    let twofold = [("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.2")];
    ask(&host, "GET", "/v1", "127.0.0.1", &twofold).await.expect(400);
    ask(&host, "GET", "/v1", "192.0.2.1", &twofold).await.expect(200);
    let agreed = [("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "192.0.2.1")];
    ask(&host, "GET", "/v1", "127.0.0.1", &agreed).await.expect(200);
    // No address is taken for the agent's own where none is known.
    let node = host.enroll("n1").await;
    let body = json!({"callback_url": "https://127.0.0.1:9999", "agent_token": "t", "agent_version": "13.0.0"});
    for (said, peer) in [(None, "0.0.0.0"), (Some("127.0.0.1"), "0.0.0.0"), (Some("192.0.2.77"), "192.0.2.77")] {
        let mut request = Request::post(format!("/v1/heartbeat/{node}"))
            .header("X-OpenStack-Ironic-API-Version", "1.68")
            .header("Content-Type", "application/json");
        if let Some(said) = said {
            request = request.header("X-Forwarded-For", said);
        }
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new("127.0.0.1".parse().unwrap(), 4711)));
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        host.send(request).await.expect(202);
        match host.asked().pop() {
            Some(Asked::Heartbeat(_, beat)) => assert_eq!(beat.peer.to_string(), peer),
            other => panic!("{other:?}"),
        }
    }
}
