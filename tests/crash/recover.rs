//! What the next start will do is a plan that can be read; what was resumed replays; what may be recorded is bounded.

use reqwest::Method;
use serde_json::Value;

use crate::support::{HostConfig, Node, Setup, World, run, until, wrought};

#[test]
fn the_plan_names_every_operation_and_changes_nothing_and_what_was_resumed_replays() {
    run(async {
        let setup = Setup { servers: 3, fleet: |options| options.write_delay = 8.0, ..Setup::default() };
        let mut world = World::new(setup).await;
        let (writing, idle, calling) = (world.available().await, world.available().await, world.available().await);
        let folder = tempfile::tempdir().unwrap();
        let data = world.host.data();
        let data = data.to_str().unwrap();
        let url = world.api().url().to_owned();
        let running = wrought(folder.path(), &url, &["recover", "--dry-run", "--data-dir", data]).await.ended(1);
        assert!(running.stderr.contains("in use by another process"), "{}", running.stderr);
        let names = [(writing.uuid.clone(), writing.server), (calling.uuid.clone(), calling.server)];
        let idle = idle.uuid.clone();
        Node { world: &world, uuid: names[0].0.clone(), server: names[0].1 }.provision("active").await;
        until("the image is being written", async || (world.fleet.counts(0).unwrap().image_writes == 1).then_some(())).await;
        // A controller that does not answer holds an effect up.
        let cut_off = Node { world: &world, uuid: names[1].0.clone(), server: names[1].1 };
        cut_off.set_faults(wrought_simulator::Faults { delay_s: 2.0, ..Default::default() });
        cut_off.provision("active").await;
        until("the driver prepares", async || {
            let journal = world.api().get(&format!("/wrought/v1/journal?node={}", names[1].0)).await.ok();
            (journal["operations"].as_array().unwrap().len() == 1).then_some(())
        })
        .await;

        world.host.kill().await;
        let bare = wrought(folder.path(), &url, &["recover", "--data-dir", data]).await.ended(2);
        assert!(bare.stderr.contains("--dry-run"), "{}", bare.stderr);
        let plan = async || wrought(folder.path(), &url, &["recover", "--dry-run", "--json", "--data-dir", data]).await.ended(0).json();
        let first = plan().await;
        let of = |plan: &Value, uuid: &str| {
            let found = plan["operations"].as_array().unwrap().iter().find(|planned| planned["node"] == uuid);
            found.cloned().unwrap_or(Value::Null)
        };
        let (waits, resumes) = (of(&first, &names[0].0), of(&first, &names[1].0));
        assert_eq!((waits["kind"].as_str(), waits["action"].as_str()), (Some("deploy"), Some("test")), "{waits}");
        assert!(waits["condition"].as_str().unwrap().contains("agent's command"), "{waits}");
        assert_eq!((resumes["phase"].as_str(), resumes["action"].as_str()), (Some("prepare"), Some("resume")), "{resumes}");
        assert!(resumes["effect"].is_string() && resumes["told"].is_string() && resumes["call"].is_i64(), "{resumes}");
        assert_eq!(of(&first, &idle), Value::Null, "a node that rests needs no recovery");
        let again = plan().await;
        assert_eq!(of(&again, &names[1].0)["effect"], resumes["effect"], "looking changes nothing");
        let table = wrought(folder.path(), &url, &["recover", "--dry-run", "--data-dir", data]).await.ended(0).text();
        assert!(table.contains(&names[0].0) && table.contains("resume prepare at host call") && table.contains("2 operations"), "{table}");

        world.fleet.set_faults(2, wrought_simulator::Faults::default());
        world.host.start_again().await;
        for (uuid, server) in names {
            Node { world: &world, uuid: uuid.clone(), server }.reach("active").await;
            let replayed = wrought(folder.path(), world.api().url(), &["replay", &uuid]).await.ended(0).text();
            assert!(replayed.contains("calls are identical to the record"), "{replayed}");
        }
        assert_eq!(world.fleet.counts(0).unwrap().image_writes, 1);
        assert!(world.host.log().contains("all open operations are being worked on again operations=2"), "{}", world.host.log());
    });
}

#[test]
fn what_an_operation_may_record_is_bounded_and_nothing_goes_on_unrecorded() {
    run(async {
        let host = HostConfig { sections: "[journal]\nmax_operation_kib = 2\n", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 1, ..Setup::default() }).await;
        let node = world.available().await;
        node.provision("active").await;
        let failed = node.reach("deploy failed").await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("limit-exceeded") && error.contains("2 KiB") && error.contains("Next: "), "{error}");
        assert_eq!(node.counts().image_writes, 0, "the limit comes long before");
        let path = format!("/wrought/v1/journal?node={}", node.uuid);
        let bytes = world.api().send(Method::GET, &path, |request| request).await.ok()["operations"][0]["bytes"].as_u64().unwrap();
        // The clean-up has 16 KiB of its own.
        assert!(bytes < (2 + 16) << 10, "{bytes}");
    });
}
