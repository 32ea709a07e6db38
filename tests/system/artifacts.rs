//! Files that operators upload for drivers: pushed by the CLI, handed on by a driver as URLs that expire.

use std::time::Duration;

use futures::stream;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use wrought_drivers::shipped;

use crate::admission::SmallDisk;
use crate::support::{Api, Host, HostConfig, Outside, Setup, World, run, until, wrought};

const BYTES: &[u8] = b"firmware-canary-0f3a77 \x00\xff and more";
/// SHA-256 of nothing that is uploaded here.
const OTHER: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn files(host: &Host) -> Vec<String> {
    let entries = std::fs::read_dir(host.data().join("artifacts")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| name != "key").collect()
}

#[test]
fn files_are_pushed_listed_and_deleted_from_the_command_line() {
    run(async {
        let mut host = Host::start(HostConfig::default()).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nic-fw.bin");
        std::fs::write(&file, BYTES).unwrap();
        let (file, url) = (file.to_str().unwrap(), host.api.url().to_owned());
        let run = async |args: &[&str]| wrought(folder.path(), &url, &[&["artifact"], args].concat()).await;
        let ok = async |args: &[&str]| run(args).await.ended(0).text();
        let failed = async |code: i32, args: &[&str]| run(args).await.ended(code).stderr;
        let pushed = run(&["push", file, "--json"]).await.ended(0).json();
        let digest = pushed["digest"].as_str().unwrap().to_owned();
        assert_eq!((&pushed["name"], &pushed["size"]), (&json!("nic-fw.bin"), &json!(BYTES.len())));
        assert!(ok(&["push", file, "--digest", &digest]).await.contains(&digest), "the same again is no error");
        assert!(ok(&["push", file, "--name", "copy"]).await.contains("copy"));
        assert_eq!(files(&host), [digest.trim_start_matches("sha256:")], "bytes are kept once");

        let refused = failed(1, &["push", file, "--name", "third", "--digest", OTHER]).await;
        assert!(refused.contains(OTHER) && refused.contains(&digest), "{refused}");
        std::fs::write(file, "other bytes").unwrap();
        assert!(failed(1, &["push", file]).await.contains("other bytes"), "a name keeps its bytes");
        assert!(failed(2, &["push", folder.path().to_str().unwrap()]).await.contains("not a file"));
        assert!(failed(1, &["push", file, "--name", "../x"]).await.contains("artifact name"));
        std::fs::write(file, "").unwrap();
        assert!(failed(1, &["push", file, "--name", "nothing"]).await.contains("empty"));
        assert_eq!(files(&host).len(), 1, "what is refused is not kept");

        let listed = ok(&["list"]).await;
        assert!(listed.contains("nic-fw.bin") && listed.contains("copy") && !listed.contains("third"), "{listed}");
        assert!(failed(1, &["show", &digest[..20]]).await.contains("copy, nic-fw.bin"));
        assert!(ok(&["show", "copy"]).await.contains(&digest));

        // They are there in the host's next life.
        host.kill().await;
        host.start_again().await;
        assert_eq!(files(&host).len(), 1);
        ok(&["delete", "copy"]).await;
        assert_eq!(files(&host).len(), 1);
        ok(&["delete", &digest]).await;
        assert_eq!(files(&host), Vec::<String>::new());
        assert!(failed(1, &["delete", "copy"]).await.contains("no artifact copy"));
        assert!(host.is_running());
    });
}

#[test]
fn an_upload_that_ends_early_or_is_too_large_leaves_nothing() {
    run(async {
        let host = Host::start(HostConfig { sections: "[artifacts]\nmax_mib = 1\n", ..HostConfig::default() }).await;
        let path = "/wrought/v1/artifacts/fw";
        let endless = stream::unfold(0_u32, |sent| async move {
            if sent > 8 {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            Some((Ok::<_, std::io::Error>(vec![1_u8; 64 << 10]), sent + 1))
        });
        let url = format!("{}{path}", host.api.url());
        let broken = tokio::spawn(reqwest::Client::new().post(url).body(Body::wrap_stream(endless)).send());
        until("some of it has arrived", async || files(&host).iter().any(|name| name.ends_with(".part")).then_some(())).await;
        broken.abort();
        until("it is gone", async || files(&host).is_empty().then_some(())).await;

        let zeros = || stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 64 << 10])));
        let refused = until("the refusal arrives", async || {
            // The host hangs up on who goes on sending, and then its answer may be lost on the way.
            host.api.try_send(Method::POST, path, |request| request.body(Body::wrap_stream(zeros()))).await.ok()
        });
        assert!(refused.await.refused(413).contains("artifacts.max_mib"));
        assert_eq!(files(&host), Vec::<String>::new());
        // Its connection may be the one that the host hung up.
        let listed =
            until("the list arrives", async || host.api.try_send(Method::GET, "/wrought/v1/artifacts", |request| request).await.ok());
        assert_eq!(listed.await.ok(), json!({ "artifacts": [] }));
    });
}

#[test]
fn a_driver_hands_on_a_url_that_it_never_sees() {
    run(async {
        let sections = "[driver_http]\nexempt_networks = [\"127.0.0.1/32\"]\n";
        let host = HostConfig { sections, log: "debug,sqlx=info", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 1, ..Setup::default() }).await;
        let (api, server) = (world.api(), Outside::start().await);
        let put = async |name: &str, bytes: &'static [u8]| {
            let sent = api.send(Method::POST, &format!("/wrought/v1/artifacts/{name}"), |request| request.body(bytes)).await;
            sent.ok()["digest"].as_str().unwrap().to_owned()
        };
        let (digest, hidden) = (put("nic-fw.bin", BYTES).await, put("hidden.bin", b"hidden").await);
        let pushed = api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
        let mut grant: Vec<String> = pushed["requested"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        grant.retain(|name| name != "artifact");
        grant.extend(["artifact=nic-fw.bin".to_owned(), format!("http=*@{}", server.url)]);
        api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": grant })).await.ok();
        let node = world.fake("hostile", json!({})).await;

        let tell = json!({ "do": "post", "url": format!("{}/echo", server.url), "body": {"image": "{url}"} });
        let forged = |digest: &str, expires: &str| {
            let body = json!({ "image": format!("secret-ref:artifact/{}/{expires}", digest.trim_start_matches("sha256:")) });
            json!({ "do": "post", "url": server.url, "body": body })
        };
        let requests = [
            json!({ "do": "find", "name": "nic-fw.bin" }),
            json!({ "do": "find", "name": digest }),
            json!({ "do": "find", "name": "hidden.bin" }),
            json!({ "do": "url", "name": hidden }),
            json!({ "do": "url", "name": digest, "seconds": 1 }),
            json!({ "do": "url", "name": digest, "seconds": 60 }),
            tell.clone(),
            json!({ "do": "wait" }),
            tell,
            forged(&hidden, "1900000000"),
            forged(&digest, "1900000000"),
            forged(&digest, "1000000000"),
        ];
        let answers = node.asked(&requests).await;
        let found = format!("{digest} nic-fw.bin 1");
        let echo = format!("200 you said  {{\"image\":\"{}/wrought/v1/artifacts/", api.url());
        assert_eq!(answers[..5], [&found, &found, "artifact.NotFound", "artifact.NotFound", "artifact.InvalidTime"]);
        assert!(answers[5].starts_with(&format!("secret-ref:artifact/{}/", digest.trim_start_matches("sha256:"))), "{}", answers[5]);
        assert!(answers[6].starts_with(&echo) && answers[6].ends_with("signature=******\"}"), "{}", answers[6]);
        assert_eq!(answers[6], answers[8], "the reference leads to the same URL in a later call");
        assert_eq!(answers[9..], ["artifact.NotFound", "artifact.Expired", "artifact.Expired"]);

        // The server was told the URL itself, and whoever has it can fetch the bytes.
        let told = server.asked();
        let body = told[0].split_once('{').map(|(_, body)| format!("{{{body}")).unwrap();
        let url = serde_json::from_str::<Value>(&body).unwrap()["image"].as_str().unwrap().to_owned();
        assert_eq!((told.len(), &told[0]), (2, &told[1]));
        let http = reqwest::Client::new();
        let fetched = http.get(&url).send().await.unwrap();
        assert_eq!((fetched.status(), fetched.bytes().await.unwrap().as_ref()), (StatusCode::OK, BYTES));
        let part = http.get(&url).header("range", "bytes=0-7").send().await.unwrap();
        assert_eq!((part.status(), part.bytes().await.unwrap().as_ref()), (StatusCode::PARTIAL_CONTENT, &BYTES[..8]));
        assert_eq!(http.head(&url).send().await.unwrap().headers()["content-length"], BYTES.len().to_string());
        let signature = url.split("signature=").nth(1).unwrap();
        let expires = url.split("expires=").nth(1).unwrap().split('&').next().unwrap();
        let mut refusals = Vec::new();
        for forged in [
            url.replace(signature, "wsig-00"),
            url.replace(expires, "1900000000"),
            url.replace(&node.uuid, "00000000-0000-0000-0000-000000000000"),
            url.replace(digest.trim_start_matches("sha256:"), hidden.trim_start_matches("sha256:")),
            url.replace(digest.trim_start_matches("sha256:"), "..%2Fkey"),
            url.split_once('?').unwrap().0.to_owned(),
        ] {
            let refused = http.get(&forged).send().await.unwrap();
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{forged}");
            refusals.push(refused.text().await.unwrap());
        }
        refusals.dedup();
        assert_eq!(refusals.len(), 1, "nobody learns what was wrong");

        // The signature is nowhere but in what was sent.
        let journal = api.get(&format!("/wrought/v1/journal?node={}", node.uuid)).await.ok();
        let deploy = journal["operations"].as_array().unwrap().iter().find(|operation| operation["kind"] == "deploy").unwrap();
        let calls = api.get(&format!("/wrought/v1/journal/{}?detail=true", deploy["id"].as_str().unwrap())).await;
        assert!(calls.text.contains(&answers[5]), "{}", calls.text);
        for text in [&calls.text, &world.host.log(), &node.get().await.to_string()] {
            assert!(!text.contains(signature) && !text.contains("firmware-canary"), "{text}");
        }
        let refused = api.send(Method::DELETE, "/wrought/v1/artifacts/nic-fw.bin", |request| request).await.refused(409);
        assert!(refused.contains("may be used until"), "{refused}");
        assert_eq!(api.send(Method::DELETE, "/wrought/v1/artifacts/hidden.bin", |request| request).await.status, 204);
    });
}

#[test]
fn agents_and_controllers_fetch_what_a_driver_hands_on() {
    run(async {
        let world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let api = world.api();
        let sent = api.send(Method::POST, "/wrought/v1/artifacts/disk.raw", |request| request.body(BYTES)).await.ok();
        let digest = sent["digest"].as_str().unwrap().to_owned();
        let pushed = api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
        let mut grant = pushed["requested"].as_array().unwrap().clone();
        grant.push("redfish=/redfish/v1/UpdateService".into());
        api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": grant })).await.ok();
        let node = world
            .enrol_with(|body| {
                body["deploy_interface"] = "hostile".into();
                body["automated_clean"] = false.into();
                body["properties"] = json!({ "shared_locks": ["chassis"] });
                // Has the driver boot an agent first.
                body["driver_info"]["hostile_effect"] = "agent.run".into();
            })
            .await;
        node.make_available().await;
        let info = json!({
            "id": "disk.raw", "urls": ["{url}"], "disk_format": "raw",
            "os_hash_algo": "sha256", "os_hash_value": digest.trim_start_matches("sha256:"),
        });
        let update = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate";
        let requests = [
            json!({ "do": "url", "name": digest }),
            json!({ "do": "agent", "name": "standby.prepare_image", "body": {"image_info": info} }),
            json!({ "do": "wait" }),
            json!({ "do": "commands" }),
            json!({ "do": "lock", "name": "chassis" }),
            json!({ "do": "redfish", "url": update, "body": {"ImageURI": "{url}"} }),
            json!({ "do": "media", "url": "{url}" }),
            json!({ "do": "media", "url": "secret-ref:config-drive" }),
        ];
        let before = node.counts();
        let answers = node.asked(&requests).await;
        assert_eq!(answers[1], "prepare_image");
        assert!(answers[3].contains("Succeeded") && answers[3].contains("image (disk.raw) written"), "{}", answers[3]);
        // A reference in place of a URL would be refused.
        assert_eq!(answers[4..], ["locked", "202", "inserted", "secret.Unknown"]);
        assert_eq!(node.counts().media_inserts, before.media_inserts + 2, "the agent's medium, and this one");
        assert_eq!(node.counts().image_writes, 1);
        let trail = api.get("/wrought/v1/audit?object=artifact/disk.raw").await.ok();
        assert_eq!(trail["audit"][0]["verb"], "artifact.upload", "{trail}");
    });
}

#[test]
fn a_reference_that_a_driver_makes_up_is_worth_no_more_than_its_grants() {
    run(async {
        let sections = "[driver_http]\nexempt_networks = [\"127.0.0.1/32\"]\n";
        let host = HostConfig { sections, ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 1, ..Setup::default() }).await;
        let (api, server) = (world.api(), Outside::start().await);
        let sent = api.send(Method::POST, "/wrought/v1/artifacts/fw", |request| request.body(BYTES)).await.ok();
        let digest = sent["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let pushed = api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
        let grant = |artifact: &str| {
            let mut grant: Vec<String> =
                pushed["requested"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
            grant.retain(|name| name != "artifact");
            grant.extend([artifact.to_owned(), format!("http=*@{}", server.url)]);
            json!({ "digest": pushed["digest"], "grant": grant })
        };
        let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 120;
        let references =
            |count: u64| -> Vec<String> { (0..count).map(|more| format!("secret-ref:artifact/{digest}/{}", soon + more)).collect() };
        let tell = |count: u64| json!({ "do": "post", "url": format!("{}/echo", server.url), "body": {"images": references(count)} });
        api.activate("hostile", &grant("artifact.find")).await.ok();
        let node = world.fake("hostile", json!({})).await;
        let answers = node.asked(&[json!({ "do": "find", "name": "fw" }), tell(1)]).await;
        assert_eq!((answers[0].ends_with(" fw 1"), answers[1].as_str(), server.asked().len()), (true, "wrought.NotGranted", 0));
        api.activate("hostile", &grant("artifact")).await.ok();
        let answers = node.asked(&[tell(16), tell(17)]).await;
        assert!(answers[0].starts_with("200 "), "{answers:?}");
        assert_eq!((answers[1].as_str(), server.asked().len()), ("artifact.TooMany", 1));
    });
}

#[test]
fn on_a_full_disk_a_file_is_refused_in_words_and_nothing_of_it_stays() {
    run(async {
        let mut host = Host::start(HostConfig::default()).await;
        host.kill().await;
        let Some(disk) = SmallDisk::mount(&host.data().join("artifacts"), 1) else {
            eprintln!("NOT TESTED: this user may not mount a small disk");
            return;
        };
        host.start_again().await;
        let push = async || {
            let bytes = vec![7_u8; 256 << 10];
            host.api.send(Method::POST, "/wrought/v1/artifacts/fw", |request| request.body(bytes)).await
        };
        disk.fill(64 << 10);
        let reason = push().await.refused(503);
        assert!(reason.contains("no space left"), "{reason}");
        disk.empty();
        assert_eq!(files(&host), Vec::<String>::new());
        push().await.ok();
        assert_eq!(files(&host).len(), 1);
        host.kill().await;
    });
}

#[test]
fn a_reference_leads_to_the_same_url_in_the_next_life_of_the_host() {
    run(async {
        let sections = "[driver_http]\nexempt_networks = [\"127.0.0.1/32\"]\n";
        let mut host = Host::start(HostConfig { sections, ..HostConfig::default() }).await;
        let server = Outside::start().await;
        let sent = host.api.send(Method::POST, "/wrought/v1/artifacts/fw", |request| request.body(BYTES)).await.ok();
        let pushed = host.api.push("hostile", shipped::hostile("honest", "6.6.6", "")).await.ok();
        let mut grant = pushed["requested"].as_array().unwrap().clone();
        grant.push(format!("http=*@{}", server.url).into());
        host.api.activate("hostile", &json!({ "digest": pushed["digest"], "grant": grant })).await.ok();
        let tell = json!({ "do": "put", "url": server.url, "body": "{url}" });
        let requests = [json!({ "do": "url", "name": sent["digest"] }), tell.clone(), json!({ "do": "wait" }), tell];
        let body = json!({
            "driver": "fake-hardware", "deploy_interface": "hostile", "automated_clean": false, "extra": {"hostile_outside": requests},
        });
        let node = host.api.call(Method::POST, "/v1/nodes", &body).await.ok()["uuid"].as_str().unwrap().to_owned();
        let ask = async |api: &Api, target: &str| {
            let path = format!("/v1/nodes/{node}/states/provision");
            assert_eq!(api.call(Method::PUT, &path, &json!({ "target": target })).await.status, 202);
        };
        let reach = async |api: &Api, state: &str| {
            until(state, async || {
                let shown = api.get(&format!("/v1/nodes/{node}")).await.ok();
                (shown["provision_state"] == state && shown["reservation"].is_null()).then_some(())
            })
            .await;
        };
        for (target, state) in [("manage", "manageable"), ("provide", "available")] {
            ask(&host.api, target).await;
            reach(&host.api, state).await;
        }
        ask(&host.api, "active").await;
        let mut told = Vec::new();
        until("the server was told once", async || {
            told.extend(server.asked());
            (!told.is_empty()).then_some(())
        })
        .await;
        host.kill().await;
        host.start_again().await;
        reach(&host.api, "active").await;
        told.extend(server.asked());
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
        let url = told[0].rsplit(' ').next().unwrap();
        assert_eq!(reqwest::get(url).await.unwrap().bytes().await.unwrap().as_ref(), BYTES);
    });
}
