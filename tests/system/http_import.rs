//! What a real driver component reaches through the import `http`.

use serde_json::{Value, json};
use wrought_drivers::shipped;

use crate::support::{Api, HostConfig, Outside, Setup, World, run};

const TOKEN: &str = "Bearer canary-token-7c11e0";

/// The test's own server is on loopback; only this much of it is opened.
const HOST: HostConfig = HostConfig { sections: "[driver_http]\nexempt_networks = [\"127.0.0.1/32\"]\n", ..DEFAULT };
const DEFAULT: HostConfig = HostConfig { conductor: "", sections: "", log: "debug,sqlx=info" };

async fn world(host: HostConfig) -> World {
    World::new(Setup { host, servers: 1, ..Setup::default() }).await
}

/// Puts the driver in force, granted all that it imports, of `http` the given destinations.
async fn install(api: &Api, destinations: &[String]) {
    let pushed = api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
    let mut grant: Vec<String> = pushed["requested"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    grant.extend(destinations.iter().map(|destination| format!("http={destination}")));
    api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": grant })).await.ok();
}

fn get(url: &str) -> Value {
    json!({ "do": "get", "url": url })
}

#[test]
fn a_driver_talks_to_what_it_was_granted_and_to_nothing_else() {
    run(async {
        let world = world(HOST).await;
        let (server, other) = (Outside::start().await, Outside::start().await);
        let (url, port) = (&server.url, server.port);
        install(world.api(), &[format!("GET+PUT+POST+DELETE@{url}")]).await;
        let node = world.fake("hostile", json!({})).await;
        let mut cases = vec![
            (get(&format!("{url}/plain?a=b")), "200 plain".to_owned()),
            (json!({ "do": "post", "url": format!("{url}/echo"), "body": "hello", "headers": {"x-a": "b"} }), "200 you said  hello".into()),
            (json!({ "do": "put", "url": format!("{url}/echo"), "body": {"a": 1} }), "200 you said  {\"a\":1}".into()),
            (json!({ "do": "delete", "url": format!("{url}/teapot") }), "418 short and stout".into()),
            (get(&format!("{url}/bytes")), "200 [255, 1]".into()),
            (get(&format!("{url}/to-plain")), "200 plain".into()),
            (get(&format!("http://2130706433:{port}/plain")), "200 plain".into()),
            // Another method, port, scheme, name, or a redirect to one.
            (json!({ "do": "head", "url": url }), "wrought.NotGranted".into()),
            (json!({ "do": "patch", "url": url }), "wrought.NotGranted".into()),
            (get(&other.url), "wrought.NotGranted".into()),
            (get(&format!("https://127.0.0.1:{port}/")), "wrought.NotGranted".into()),
            (get(&format!("http://localhost:{port}/")), "wrought.NotGranted".into()),
            (get(&format!("http://[::ffff:127.0.0.1]:{port}/")), "wrought.NotGranted".into()),
            (get(&format!("{url}/to-metadata")), "wrought.NotGranted".into()),
            (json!({ "do": "get", "url": format!("{url}/to-host"), "headers": {"x-host": other.url} }), "wrought.NotGranted".into()),
            (json!({ "do": "post", "url": format!("{url}/to-plain") }), "302".into()),
            (get(&format!("{url}/larger")), "http.AnswerTooLarge".into()),
            (get(&format!("{url}/encoding")), "200 identity".into()),
            (get(&format!("{url}/packed")), "http.EncodedAnswer".into()),
            (get("file:///etc/passwd"), "http.InvalidUrl".into()),
            (get(&format!("http://user:secret@127.0.0.1:{port}/")), "http.InvalidUrl".into()),
        ];
        for (name, value, code) in [
            ("host", "evil.example", "http.ForbiddenHeader"),
            ("Transfer-Encoding", "chunked", "http.ForbiddenHeader"),
            ("proxy-authorization", "x", "http.ForbiddenHeader"),
            ("Accept-Encoding", "gzip", "http.ForbiddenHeader"),
            ("Range", "bytes=0-3", "http.ForbiddenHeader"),
            ("if-range", "x", "http.ForbiddenHeader"),
            ("x-a", "b\r\nhost: evil.example", "http.InvalidHeader"),
            ("x-a\r\nhost", "b", "http.InvalidHeader"),
        ] {
            cases.push((json!({ "do": "get", "url": url, "headers": {name: value} }), code.into()));
        }
        let answers = node.asked(&cases.iter().map(|(request, _)| request.clone()).collect::<Vec<_>>()).await;
        let expected: Vec<&str> = cases.iter().map(|(_, answer)| answer.as_str()).collect();
        assert_eq!(answers, expected);
        assert_eq!(other.asked(), Vec::<String>::new());
        assert!(server.asked().iter().all(|asked| !asked.starts_with("HEAD") && !asked.starts_with("PATCH")));
    });
}

#[test]
fn no_grant_opens_the_host_itself_and_what_is_around_it() {
    run(async {
        let world = world(DEFAULT).await;
        let server = Outside::start().await;
        let port = server.port;
        let hosts = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "169.254.169.254", "[::ffff:169.254.169.254]"];
        let granted: Vec<String> = hosts.iter().flat_map(|host| [format!("*@http://{host}:{port}"), format!("*@http://{host}")]).collect();
        install(world.api(), &granted).await;
        let node = world.fake("hostile", json!({})).await;
        let mut urls: Vec<String> = hosts.iter().map(|host| format!("http://{host}:{port}/plain")).collect();
        for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "LOCALHOST."] {
            urls.push(format!("http://{host}:{port}/plain"));
        }
        urls.push("http://169.254.169.254/latest/meta-data".into());
        let answers = node.asked(&urls.iter().map(|url| get(url)).collect::<Vec<_>>()).await;
        for (url, answer) in urls.iter().zip(&answers) {
            assert_eq!(answer, "http.AddressDenied", "{url}");
        }
        assert_eq!(answers.len(), urls.len());
        assert_eq!(server.asked(), Vec::<String>::new());
    });
}

#[test]
fn redirects_are_judged_by_address_too_and_the_hosts_own_api_stays_closed() {
    run(async {
        let world = world(HOST).await;
        let server = Outside::start().await;
        let api = world.api().url().to_owned();
        let granted = [server.url.clone(), "http://169.254.169.254".into(), "http://127.0.0.2:9".into(), api.clone()];
        install(world.api(), &granted.map(|host| format!("*@{host}"))).await;
        let node = world.fake("hostile", json!({})).await;
        let url = &server.url;
        let requests = [
            get(&format!("{url}/to-metadata")),
            get(&format!("{url}/to-loopback")),
            json!({ "do": "get", "url": format!("{url}/to-host"), "headers": {"x-host": format!("{api}/v1/nodes")} }),
            get(&format!("{api}/v1/nodes")),
            json!({ "do": "delete", "url": format!("{api}/v1/nodes/{}", node.uuid) }),
        ];
        assert_eq!(node.asked(&requests).await, ["http.AddressDenied"; 5]);
    });
}

#[test]
fn a_secret_goes_where_it_belongs_and_comes_back_nowhere() {
    run(async {
        let world = world(HOST).await;
        let (home, other) = (Outside::start().await, Outside::start().await);
        install(world.api(), &[format!("*@{}", home.url), format!("*@{}", other.url)]).await;
        let node = world.fake("hostile", json!({ "http_accounts": {"acme": {"destination": home.url, "secret": TOKEN}} })).await;
        node.patch("/instance_info/configdrive", "Y2FuYXJ5LWRyaXZl".into()).await;
        let with = |url: &str, reference: &str| json!({ "do": "post", "url": format!("{url}/echo"), "headers": {"authorization": reference}, "body": "{}" });
        let body = |url: &str, reference: &str| json!({ "do": "post", "url": format!("{url}/echo"), "body": {"deep": [reference]} });
        let requests = [
            with(&home.url, "secret-ref:http-acme"),
            body(&home.url, "secret-ref:http-acme"),
            json!({ "do": "get", "url": format!("{}/to-host", home.url), "headers": {"authorization": "secret-ref:http-acme", "x-host": other.url} }),
            with(&other.url, "secret-ref:http-acme"),
            body(&other.url, "secret-ref:http-acme"),
            with(&home.url, "secret-ref:config-drive"),
            with(&home.url, "secret-ref:nothing"),
            with(&home.url, "Bearer secret-ref:http-acme"),
            json!({ "do": "get", "url": format!("{}/rest", home.url), "headers": {"authorization": "secret-ref:http-acme"} }),
        ];
        let answers = node.asked(&requests).await;
        assert_eq!(
            answers,
            [
                "200 you said ****** {}",
                "secret.Elsewhere",
                "302",
                "secret.Elsewhere",
                "secret.Elsewhere",
                "secret.Elsewhere",
                "secret.Elsewhere",
                "200 you said Bearer secret-ref:http-acme {}",
                "200 no account ******",
            ]
        );
        let at_home = home.asked();
        assert!(at_home[0].contains(TOKEN) && at_home[1].contains(TOKEN) && at_home.len() == 4, "{at_home:?}");
        assert_eq!(other.asked(), Vec::<String>::new());
        // The reference is recorded, the value nowhere.
        let journal = world.api().get(&format!("/wrought/v1/journal?node={}", node.uuid)).await.ok();
        let deploy = journal["operations"].as_array().unwrap().iter().find(|operation| operation["kind"] == "deploy").unwrap();
        let calls = world.api().get(&format!("/wrought/v1/journal/{}?detail=true", deploy["id"].as_str().unwrap())).await;
        assert_eq!(calls.status, 200, "{}", calls.text);
        assert!(calls.text.contains("secret-ref:http-acme"), "{}", calls.text);
        for told in [&calls.text, &world.host.log(), &node.get().await.to_string()] {
            assert!(!told.contains("canary-token-7c11e0") && !told.contains("canary-drive"), "{told}");
        }
    });
}

#[test]
fn a_grant_of_http_says_where_to() {
    run(async {
        let world = world(DEFAULT).await;
        let api = world.api();
        let pushed = api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
        for wrong in
            ["http=https://fw.example.com", "http=GET@https://fw.example.com/path", "http=GET@https://*.example.com", "artifact=a/b"]
        {
            let refused = api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": [wrong] })).await.refused(400);
            assert!(refused.contains(wrong.split_once('=').unwrap().1), "{refused}");
        }
        // Granted as a whole it leads nowhere.
        install(api, &[]).await;
        let node = world.fake("hostile", json!({})).await;
        assert_eq!(node.asked(&[get("http://192.0.2.1/"), get("http://192.0.2.1/")]).await, ["wrought.NotGranted"; 2]);
        let trail = api.get(&format!("/wrought/v1/audit?object=node/{}", node.uuid)).await.ok();
        let denied = trail["audit"].as_array().unwrap().iter().find(|record| record["outcome"] == "denied").unwrap();
        assert_eq!((&denied["verb"], &denied["detail"]["count"]), (&json!("http.get"), &json!(2)), "{trail}");
    });
}
