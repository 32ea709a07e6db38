//! What operators decide about versions of drivers: by the command line and the API, kept over a restart, told by the audit.

use reqwest::Method;
use serde_json::{Value, json};
use wrought_drivers::GRANTABLE;
use wrought_drivers::shipped::{FAKE, hostile, stamp};
use wrought_storage::{AuditRecord, Durability, Revocation, Store};

use crate::support::{Api, Node, Setup, World, rests, run, until, with_note, wrought};

async fn shown(api: &Api, driver: &str) -> Value {
    api.get(&format!("/wrought/v1/drivers/{driver}")).await.ok()
}

async fn status(api: &Api, driver: &str, digest: &str) -> String {
    let shown = shown(api, driver).await;
    let versions = shown["versions"].as_array().unwrap();
    versions.iter().find(|version| version["digest"] == digest).unwrap()["status"].as_str().unwrap().to_owned()
}

async fn events(api: &Api, driver: &str, verb: &str) -> Vec<Value> {
    let answer = api.get(&format!("/wrought/v1/drivers/{driver}/events?limit=1000")).await.ok();
    answer["audit"].as_array().unwrap().iter().filter(|event| event["verb"] == verb).cloned().collect()
}

async fn decide(api: &Api, driver: &str, verb: &str, body: Value) -> crate::support::Answer {
    api.call(Method::POST, &format!("/wrought/v1/drivers/{driver}/{verb}"), &body).await
}

/// A version of `stamp` on the base `fake`; its digest.
async fn install(api: &Api, version: &str, mode: &str) -> String {
    api.install("stamp", stamp(version, "fake", mode)).await
}

/// Uploads one that is not put in force; its digest.
async fn push(api: &Api, version: &str, mode: &str) -> String {
    api.push("stamp", stamp(version, "fake", mode)).await.ok()["digest"].as_str().unwrap().to_owned()
}

async fn stamped(node: &Node<'_>) -> String {
    node.deploy().await;
    node.stamp().await
}

#[test]
fn an_operator_activates_rolls_back_pauses_and_reads_why_from_the_command_line() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let folder = tempfile::tempdir().unwrap();
        let url = world.api().url().to_owned();
        let wrought = async |args: &[&str]| wrought(folder.path(), &url, args).await;
        std::fs::write(folder.path().join("one.wasm"), stamp("1.0.0", "fake", "good")).unwrap();
        std::fs::write(folder.path().join("two.wasm"), stamp("2.0.0", "fake", "good")).unwrap();
        let one = wrought(&["driver", "push", "stamp", "one.wasm", "--json"]).await.ended(0).json()["digest"].as_str().unwrap().to_owned();
        wrought(&["driver", "rollback", "stamp"]).await.ended(1);
        wrought(&["driver", "activate", "stamp", "--grant", "report", "--reason", "the first one"]).await.ended(0);
        wrought(&["driver", "push", "stamp", "two.wasm"]).await.ended(0);
        wrought(&["driver", "activate", "stamp", "2.0.0"]).await.ended(0);
        let node = world.fake("stamp", json!({})).await;
        assert_eq!(stamped(&node).await, "2.0.0");

        let rolled = wrought(&["driver", "rollback", "stamp", "--reason", "two is slow", "--json"]).await.ended(0).json();
        assert_eq!((&rolled["version"], &rolled["status"]), (&json!("1.0.0"), &json!("active")));
        assert_eq!(shown(world.api(), "stamp").await["versions"].as_array().unwrap().len(), 2);
        let again = wrought(&["driver", "rollback", "stamp"]).await.ended(1);
        assert!(again.stderr.contains("No version of driver stamp was in force before"), "a bad one is not gone back to: {}", again.stderr);
        let other = world.fake("stamp", json!({})).await;
        assert_eq!(stamped(&other).await, "1.0.0");

        wrought(&["driver", "pause", "stamp", "--reason", "the vendor looks into it"]).await.ended(0);
        let third = world.fake("fake", json!({})).await;
        third.patch("/deploy_interface", "stamp".into()).await;
        let table = wrought(&["driver", "show", "stamp"]).await.ended(0).text();
        assert!(table.contains("paused by noauth since") && table.contains("the vendor looks into it"), "{table}");
        let told = third.ask(json!({"target": "active"})).await.refused(503);
        assert!(
            told.contains("paused") && told.contains("the vendor looks into it") && told.contains("wrought driver resume stamp"),
            "{told}"
        );
        world.host.kill().await;
        world.host.start_again().await;
        assert_eq!(shown(world.api(), "stamp").await["paused"]["reason"], "the vendor looks into it");
        world
            .api()
            .call(Method::PUT, &format!("/v1/nodes/{}/states/provision", third_uuid(&world).await), &json!({"target": "active"}))
            .await
            .refused(503);
        wrought(&["driver", "resume", "stamp"]).await.ended(0);

        let told = wrought(&["driver", "events", "stamp"]).await.ended(0).text();
        for word in
            ["driver.activate", "the first one", "driver.rollback", "two is slow", "driver.pause", "driver.resume", "noauth", "127.0.0.1"]
        {
            assert!(told.contains(word), "{word}: {told}");
        }
        let audit = wrought(&["audit", "--verb", "driver.rollback", "--json"]).await.ended(0).json();
        assert_eq!(audit["audit"][0]["detail"]["digest"], one);
    });
}

/// The node that is `available` with the driver.
async fn third_uuid(world: &World) -> String {
    let nodes = world.api().get("/v1/nodes?provision_state=available&fields=uuid").await.ok();
    nodes["nodes"][0]["uuid"].as_str().unwrap().to_owned()
}

#[test]
fn a_bad_version_on_trial_is_stopped_by_itself_and_the_event_names_the_nodes() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let good = install(world.api(), "1.0.0", "good").await;
        let bad = push(world.api(), "2.0.0", "bad").await;
        // An operator sees what is wrong before anything happens.
        decide(world.api(), "stamp", "canary", json!({"digest": good, "percent": 20})).await.refused(409);
        decide(world.api(), "stamp", "canary", json!({"digest": bad, "percent": 101})).await.refused(400);
        decide(world.api(), "stamp", "canary", json!({"digest": bad})).await.refused(400);
        let bounds = json!({"max_failure_percent": 20, "window": 10, "min_operations": 3});
        decide(world.api(), "stamp", "canary", json!({"digest": bad, "percent": 20, "bounds": bounds, "reason": "a try"})).await.ok();
        assert_eq!(
            (status(world.api(), "stamp", &good).await, status(world.api(), "stamp", &bad).await),
            ("active".into(), "canary".into())
        );
        world.host.kill().await;
        world.host.start_again().await;

        let (mut failed, mut served) = (Vec::new(), 0);
        let stopped = async || events(world.api(), "stamp", "driver.canary-stop").await.pop();
        while stopped().await.is_none() {
            let node = world.fake("stamp", json!({})).await;
            node.provision("active").await;
            let ended = node.rest().await;
            match ended["provision_state"].as_str().unwrap() {
                "deploy failed" => failed.push(node.uuid.clone()),
                "active" => served += 1,
                other => panic!("{other}"),
            }
            assert!(failed.len() < 5 && served < 200, "{failed:?} {served}");
            if failed.len() >= 3 {
                until("the trial is stopped", async || stopped().await).await;
            }
        }
        let event = stopped().await.unwrap();
        println!("stopped after {} failures beside {served} good deployments: {}", failed.len(), event["reason"]);
        assert_eq!(event["principal"], "wrought");
        assert_eq!((&event["detail"]["digest"], &event["detail"]["serving"]), (&json!(bad), &json!(good)));
        assert!(event["reason"].as_str().unwrap().contains("version 2.0.0 was made to fail"), "{event}");
        for node in &failed {
            assert!(event["detail"]["nodes"].as_array().unwrap().contains(&json!(node)), "{event}");
        }
        assert_eq!(
            (status(world.api(), "stamp", &good).await, status(world.api(), "stamp", &bad).await),
            ("active".into(), "retired".into())
        );
        for _ in 0..10 {
            assert_eq!(stamped(&world.fake("stamp", json!({})).await).await, "1.0.0");
        }
    });
}

#[test]
fn a_version_on_trial_serves_the_selected_nodes_and_passes_by_being_activated() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        install(world.api(), "1.0.0", "good").await;
        let two = push(world.api(), "2.0.0", "good").await;
        decide(world.api(), "stamp", "canary", json!({"digest": two, "selector": {"resource_class": "gold"}})).await.ok();
        let (gold, plain) = (world.fake("stamp", json!({})).await, world.fake("stamp", json!({})).await);
        gold.patch("/resource_class", "gold".into()).await;
        assert_eq!((stamped(&gold).await, stamped(&plain).await), ("2.0.0".into(), "1.0.0".into()));
        until("its end is noted", async || (shown(world.api(), "stamp").await["canary"]["ended"].as_array()?.len() == 1).then_some(()))
            .await;
        world.api().activate("stamp", &json!({ "digest": two })).await.ok();
        assert!(shown(world.api(), "stamp").await["canary"].is_null());
        assert_eq!(stamped(&world.fake("stamp", json!({})).await).await, "2.0.0");
        world.api().send(Method::DELETE, "/wrought/v1/drivers/stamp/canary", |request| request).await.refused(409);
    });
}

#[test]
fn revoked_in_the_middle_of_fifty_operations_each_ends_in_its_failed_state_by_name() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        install(world.api(), "1.0.0", "good").await;
        let slow = install(world.api(), "2.0.0", "slow").await;
        let mut nodes = Vec::new();
        for _ in 0..50 {
            let node = world.fake("stamp", json!({})).await;
            node.provision("active").await;
            nodes.push(node);
        }
        let good = world.fake("fake", json!({"fake_deploy_delay": 1})).await;
        good.provision("active").await;
        let began = std::time::Instant::now();
        let body = json!({"digest": &slow["sha256:".len()..][..12], "reason": "it erases the wrong disk", "rollback": true});
        let revoked = world.api().call(Method::POST, "/wrought/v1/revocations", &body).await.ok();
        assert_eq!((&revoked["digest"], &revoked["operations"]), (&json!(slow), &json!(50)));
        for node in &nodes {
            let ended = node.rest().await;
            assert_eq!(ended["provision_state"], "deploy failed");
            let error = ended["last_error"].as_str().unwrap();
            assert!(error.contains("driver stamp") && error.contains("was revoked (it erases the wrong disk)"), "{error}");
            assert!(error.contains("left as it was") && error.contains("`deleted`"), "{error}");
        }
        println!("50 operations ended {} ms after the revocation", began.elapsed().as_millis());
        good.reach("active").await;
        let uuid = nodes[0].uuid.clone();

        // What is revoked never serves again, under no name, after a restart neither.
        assert_eq!(world.api().active_digest("stamp").await, shown(world.api(), "stamp").await["versions"][1]["digest"].as_str().unwrap());
        world.host.kill().await;
        world.host.start_again().await;
        assert_eq!(status(world.api(), "stamp", &slow).await, "revoked");
        let told = world.api().activate("stamp", &json!({ "digest": slow })).await.refused(409);
        assert!(told.contains("it erases the wrong disk"), "{told}");
        let told = world.api().push("other", stamp("2.0.0", "fake", "slow")).await.refused(409);
        assert!(told.contains("was revoked: it erases the wrong disk"), "{told}");
        // The nodes go on with another version.
        world.api().call(Method::PUT, &format!("/v1/nodes/{uuid}/states/provision"), &json!({"target": "active"})).await;
        let node = Node { world: &world, uuid: uuid.clone(), server: None };
        until("deployed by the version before", async || (node.state().await == "active" && node.stamp().await == "1.0.0").then_some(()))
            .await;
    });
}

/// The code of what came of each import, by its name.
fn codes(error: &str) -> Vec<(String, String)> {
    let words = error.split_whitespace().filter_map(|word| word.trim_end_matches('.').split_once('='));
    words.map(|(name, code)| (name.to_owned(), code.to_owned())).collect()
}

#[test]
fn each_import_that_is_not_granted_is_denied_by_type_and_stands_in_the_audit() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let api = world.api();
        api.install("hostile", hostile("honest", "1.0.0", "")).await;
        let imports = json!({"hostile": "imports"});
        for taken in GRANTABLE {
            decide(api, "hostile", "ungrant", json!({"grant": [taken]})).await.ok();
            let node = world.fake("hostile", imports.clone()).await;
            node.provision("active").await;
            let ended = node.rest().await;
            // Without a destination `http` allows nothing, so it stands in every answer.
            let others = |name: &str| taken == "http" || !name.starts_with("http");
            let mut tried = codes(ended["last_error"].as_str().unwrap());
            tried.retain(|(name, _)| others(name));
            assert!(tried.iter().any(|(name, _)| name.starts_with(taken)), "{taken} was not tried: {tried:?}");
            for (name, code) in &tried {
                let interface = if name == "config-drive" { "image" } else { name.split('.').next().unwrap() };
                let denied = code == "wrought.NotGranted" || name == "config-drive";
                assert_eq!(interface == taken && denied, interface == taken, "{name}={code} without {taken}");
                assert!(interface == taken || code != "wrought.NotGranted", "{name}={code} without {taken}");
            }
            let audit = api.get(&format!("/wrought/v1/audit?object=node/{}", node.uuid)).await.ok();
            let mut records = audit["audit"].as_array().unwrap().clone();
            records.retain(|record| others(record["verb"].as_str().unwrap()));
            assert!(!records.is_empty(), "{taken}");
            for record in &records {
                assert!(record["verb"].as_str().unwrap().starts_with(taken), "{record}");
                assert_eq!((&record["outcome"], &record["principal"]), (&json!("denied"), &json!("noauth")));
                assert_eq!((&record["detail"]["driver"], &record["source"]), (&json!("hostile"), &json!("127.0.0.1")));
            }
            decide(api, "hostile", "grant", json!({"grant": [taken], "reason": "back"})).await.ok();
        }
        assert!(api.get("/wrought/v1/stats").await.ok()["driver_denials"].as_u64().unwrap() >= 7);
        // What is not granted is not activated either, and says so.
        decide(api, "hostile", "ungrant", json!({"grant": ["power"]})).await.ok();
        let told = api.activate("hostile", &json!({})).await.refused(409);
        assert!(told.contains("not granted: power"), "{told}");
        decide(api, "hostile", "ungrant", json!({"grant": ["power"]})).await.refused(409);
        decide(api, "hostile", "grant", json!({"grant": ["power.explode"]})).await.refused(400);
    });
}

#[test]
fn a_node_stays_with_the_version_that_wrote_its_state_until_it_is_torn_down() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let api = world.api();
        let one = api.install("keeper", hostile("schema-1", "1.0.0", "")).await;
        let remember = json!({"hostile": "remember"});
        let (old, other) = (world.fake("keeper", remember.clone()).await, world.fake("keeper", remember.clone()).await);
        old.deploy().await;
        other.deploy().await;
        let pushed = api.push("keeper", hostile("schema-2", "2.0.0", "")).await.ok();
        let two = pushed["digest"].as_str().unwrap().to_owned();
        let activated = api.activate("keeper", &json!({ "digest": two })).await.ok();
        let warning = activated["warnings"][0].as_str().unwrap();
        assert!(warning.contains(&old.uuid) && warning.contains(&other.uuid), "{warning}");

        // The new version cannot read it, so the old one goes on with it, and cannot be deleted.
        old.provision("rebuild").await;
        old.reach("active").await;
        assert_eq!(old.driver_digest().await, one);
        let path = format!("/wrought/v1/drivers/keeper/versions/{one}");
        let told = api.send(Method::DELETE, &path, |request| request).await.refused(409);
        assert!(told.contains(&old.uuid) || told.contains(&other.uuid) || told.contains("journal"), "{told}");
        old.provision("deleted").await;
        old.reach("available").await;
        old.deploy().await;
        assert_eq!(old.driver_digest().await, two, "torn down, it is the new version's");

        // A version that reads both forms takes over at once.
        let three = api.push("keeper", hostile("schema-2-1", "3.0.0", "")).await.ok()["digest"].as_str().unwrap().to_owned();
        let activated = api.activate("keeper", &json!({ "digest": three })).await.ok();
        assert_eq!(activated["warnings"], json!([]));
        other.provision("rebuild").await;
        other.reach("active").await;
        assert_eq!(other.driver_digest().await, three);

        // Who wrote a state that nobody else reads cannot be revoked away: the verb is refused by name.
        api.activate("keeper", &json!({ "digest": one })).await.ok();
        let body = json!({"digest": three, "reason": "it lies"});
        api.call(Method::POST, "/wrought/v1/revocations", &body).await.ok();
        let told = other.ask(json!({"target": "rebuild"})).await.refused(409);
        assert!(told.contains("it lies") && told.contains("form 2"), "{told}");
    });
}

#[test]
fn what_was_decided_about_a_shipped_driver_outlives_the_host() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let shipped = world.api().active_digest("fake").await;
        let own = world.api().install("fake", with_note(FAKE, "ours")).await;
        let restarted = async |world: &mut World| {
            world.host.kill().await;
            world.host.start_again().await;
            shown(world.api(), "fake").await["active"]["digest"].as_str().map(str::to_owned)
        };
        assert_eq!(restarted(&mut world).await.as_deref(), Some(&*own));
        decide(world.api(), "fake", "rollback", json!({})).await.ok();
        assert_eq!(restarted(&mut world).await.as_deref(), Some(&*shipped));
        world.api().activate("fake", &json!({ "digest": own })).await.ok();
        // Revoked without another in its place there is none, and a start brings none.
        world.api().call(Method::POST, "/wrought/v1/revocations", &json!({"digest": own, "reason": "it lies"})).await.ok();
        assert_eq!(restarted(&mut world).await, None);
        let node = json!({"driver": "fake-hardware", "deploy_interface": "fake"});
        world.api().call(Method::POST, "/v1/nodes", &node).await.refused(400);
        decide(world.api(), "fake", "rollback", json!({})).await.ok();
        assert_eq!(restarted(&mut world).await.as_deref(), Some(&*shipped));
    });
}

#[test]
fn what_is_revoked_is_not_gone_back_to() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let one = install(world.api(), "1.0.0", "good").await;
        let two = install(world.api(), "2.0.0", "good").await;
        world.api().activate("stamp", &json!({ "digest": one })).await.ok();
        let revoke = async |digest: &str| {
            let body = json!({"digest": digest, "reason": "it burns", "rollback": true});
            world.api().call(Method::POST, "/wrought/v1/revocations", &body).await.ok()
        };
        revoke(&two).await;
        let revoked = revoke(&one).await;
        assert!(revoked["warnings"][0].as_str().unwrap().contains("No version of driver stamp was in force before"), "{revoked}");
        assert!(shown(world.api(), "stamp").await["active"].is_null());
        decide(world.api(), "stamp", "rollback", json!({})).await.refused(409);
    });
}

#[test]
fn a_version_that_serves_again_after_a_revocation_is_on_trial_no_more() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let one = install(world.api(), "1.0.0", "good").await;
        let two = install(world.api(), "2.0.0", "good").await;
        decide(world.api(), "stamp", "canary", json!({"digest": one, "percent": 10})).await.ok();
        let body = json!({"digest": two, "reason": "it burns", "rollback": true});
        world.api().call(Method::POST, "/wrought/v1/revocations", &body).await.ok();
        let shown = shown(world.api(), "stamp").await;
        assert_eq!((&shown["active"]["digest"], &shown["canary"], &shown["former"]), (&json!(one), &Value::Null, &json!([])));
    });
}

#[test]
fn operations_that_waited_on_a_revoked_version_end_after_a_kill_too() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let slow = install(world.api(), "1.0.0", "slow").await;
        let node = world.fake("stamp", json!({})).await;
        node.provision("active").await;
        node.pass("wait call-back").await;
        let path = node.path("");
        // As if the host had been killed between the revocation and its consequences.
        world.host.kill().await;
        let store = Store::open(&world.host.data(), Durability::Normal).await.unwrap();
        let record = AuditRecord {
            at: jiff::Timestamp::now(),
            principal: "ada".into(),
            source: None,
            verb: "driver.revoke".into(),
            object: "driver/stamp".into(),
            outcome: "done".into(),
            reason: "it burns".into(),
            detail: json!({}),
        };
        let revocation = Revocation { digest: slow.parse().unwrap(), reason: "it burns".into(), by: "ada".into() };
        store.revoke(revocation, Vec::new(), record).await.unwrap();
        store.close().await;
        drop(store);
        world.host.start_again().await;
        let ended = until("it ends", async || {
            let node = world.api().get(&path).await.ok();
            rests(&node).then_some(node)
        })
        .await;
        assert_eq!(ended["provision_state"], "deploy failed");
        assert!(ended["last_error"].as_str().unwrap().contains("was revoked (it burns)"), "{ended}");
    });
}
