//! What an operator sees of the journal and sends to a vendor, and what the vendor makes of it.

use std::path::Path;

use serde_json::{Value, json};
use wrought_drivers::shipped::DIRECT;
use wrought_simulator::Faults;

use crate::support::{BMC_PASSWORD, Shared, run, wrought};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

/// `direct` with another text in it, of the same length: another command for the agent.
fn direct_with(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..DIRECT.len()).filter(|at| DIRECT[*at..].starts_with(from.as_bytes())).collect();
    let [at] = places[..] else { panic!("{from} is {} times in direct", places.len()) };
    let mut component = DIRECT.to_vec();
    component[at..at + to.len()].copy_from_slice(to.as_bytes());
    component
}

#[test]
fn a_failed_deployment_replays_elsewhere_and_a_fixed_driver_shows_where_it_differs() {
    run(async {
        let world = Shared::world().await;
        // A typing error of the vendor: no agent knows this command.
        let broken = direct_with("standby.get_partition_uuids", "standby.get_partition_uuid5");
        world.api().install("acme", broken).await;
        let node = world
            .enrol_with(|body| {
                body["automated_clean"] = false.into();
                body["deploy_interface"] = "acme".into();
            })
            .await;
        node.make_available().await;
        node.provision("active").await;
        let failed = node.reach("deploy failed").await;
        assert!(failed["last_error"].as_str().unwrap().contains("get_partition_uuid5"), "{}", failed["last_error"]);

        let folder = tempfile::tempdir().unwrap();
        let cli = async |url: &str, args: &[&str]| wrought(folder.path(), url, args).await;
        let exported = cli(world.api().url(), &["journal", "export", &node.uuid]).await.ended(0).text();
        let file = exported.trim();
        assert!(file.starts_with("wrought-journal-") && file.ends_with(".json.zst"), "{file}");

        // On a machine without a host and without the driver.
        let same = cli(NOWHERE, &["replay", file]).await.ended(0).text();
        assert!(same.contains("calls are identical to the record") && !same.contains("DIVERGED"), "{same}");
        for function in ["deploy.prepare", "deploy-steps.execute-deploy-step", "deploy.clean-up"] {
            assert!(same.contains(function), "{same}");
        }

        std::fs::write(folder.path().join("fixed.wasm"), DIRECT).unwrap();
        let other = cli(NOWHERE, &["replay", file, "--driver", "fixed.wasm"]).await.ended(1);
        assert!(other.stderr.contains("diverged from the record"), "{}", other.stderr);
        let text = other.text();
        let line = |word: &str| text.lines().find(|line| line.trim_start().starts_with(word)).unwrap_or_else(|| panic!("{text}"));
        assert!(line("expected").contains("agent.call") && line("expected").contains("standby.get_partition_uuid5"), "{text}");
        assert!(line("made").contains("agent.call") && line("made").contains("standby.get_partition_uuids"), "{text}");

        let told = cli(NOWHERE, &["replay", file, "--driver", "acme=fixed.wasm", "--json"]).await.ended(1).json();
        assert_eq!(told["identical"], false);
        let calls = told["calls"].as_array().unwrap();
        let diverged: Vec<&Value> = calls.iter().filter(|call| call["identical"] == false).collect();
        assert_eq!(diverged.len(), 1, "{diverged:#?}");
        assert_eq!(diverged[0]["step"], "deploy.prepare_instance_boot");
        let divergence = &diverged[0]["divergence"];
        assert_eq!(divergence["expected"]["class"], "effect", "{divergence}");
        assert_eq!(divergence["expected"]["function"], "agent.call", "{divergence}");
        assert_eq!(divergence["made"], json!({"function": "agent.call", "args": ["standby.get_partition_uuids", {}]}));

        strangers_files(folder.path(), file).await;

        // Without the component the vendor's own is needed.
        cli(world.api().url(), &["journal", "export", &node.uuid, "--no-components", "--output", "bare.zst"]).await.ended(0);
        let refused = cli(NOWHERE, &["replay", "bare.zst"]).await.ended(2).stderr;
        assert!(refused.contains("--driver acme="), "{refused}");
        cli(NOWHERE, &["replay", "bare.zst", "--driver", "fixed.wasm"]).await.ended(1);
        let sizes = [file, "bare.zst"].map(|file| std::fs::metadata(folder.path().join(file)).unwrap().len());
        assert!(sizes[0] > 50_000 && sizes[1] < 64_000, "{sizes:?}");
    });
}

/// What is no export, or a damaged one, is an error.
async fn strangers_files(folder: &Path, file: &str) {
    let whole = std::fs::read(folder.join(file)).unwrap();
    let json = {
        let mut json: Value = serde_json::from_slice(&zstd::decode_all(&*whole).unwrap()).unwrap();
        // Another component under the recorded digest.
        json["drivers"][0]["component"] = "AGFzbQ0AAQA=".into();
        zstd::encode_all(&*serde_json::to_vec(&json).unwrap(), 1).unwrap()
    };
    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 0xff;
    for (what, bytes, word) in [
        ("half of it", whole[..middle].to_vec(), "damaged"),
        ("a wrong byte", flipped, "damaged"),
        ("nothing", Vec::new(), "damaged"),
        ("a component of somebody else", json, "acme"),
    ] {
        std::fs::write(folder.join("damaged"), bytes).unwrap();
        let refused = wrought(folder, NOWHERE, &["replay", "damaged"]).await.ended(2).stderr;
        assert!(refused.contains(word) && !refused.contains("panicked"), "{what}: {refused}");
    }
    for (args, word) in [
        (&["replay", "no/such/file"][..], "there is no file"),
        (&["replay", "7"], "no answer from"),
        (&["replay", file, "--driver", "other=fixed.wasm"], "no driver other was called, but acme"),
        (&["replay", file, "--driver", "none.wasm"], "none.wasm"),
    ] {
        let refused = wrought(folder, NOWHERE, args).await.ended(2).stderr;
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn an_operator_sees_who_did_what_to_which_machine_call_by_call() {
    run(async {
        let world = Shared::world().await;
        let node = world.available().await;
        node.set_faults(Faults { fail_write_image: true, ..Faults::default() });
        node.provision("active").await;
        let failed = node.reach("deploy failed").await;
        let folder = tempfile::tempdir().unwrap();
        let cli = async |args: &[&str]| wrought(folder.path(), world.api().url(), args).await;

        let list = cli(&["journal", "list", "--node", &node.uuid, "--json"]).await.ended(0).json();
        let operations = list["operations"].as_array().unwrap();
        assert_eq!(operations.len(), 1, "nothing was called for `provide` without cleaning: {list}");
        let told = &operations[0];
        assert_eq!((&told["kind"], &told["user"], &told["node"]), (&json!("deploy"), &json!("noauth"), &json!(node.uuid)));
        assert_eq!(told["error"], failed["last_error"]);
        let operation = told["id"].as_str().unwrap();
        let table = cli(&["journal", "list", "--limit", "1000"]).await.ended(0).text();
        assert!(table.lines().any(|line| line.contains(operation) && line.contains("deploy")), "{table}");
        let before = cli(&["journal", "list", "--node", &node.uuid, "--before", told["began_at"].as_str().unwrap(), "--json"]).await;
        assert_eq!(before.ended(0).json(), json!({"operations": []}));

        let shown = cli(&["journal", "show", operation]).await.ended(0).text();
        assert_eq!(shown, cli(&["journal", "show", &node.uuid]).await.ended(0).text(), "its last operation is this one");
        assert!(shown.contains("failed after") && shown.contains("simulated fault"), "{shown}");
        for word in ["deploy.prepare", "deploy-steps.get-deploy-steps", "deploy.write_image", "refused", "wait", "steps"] {
            assert!(shown.contains(word), "{word}: {shown}");
        }

        let all = cli(&["journal", "show", operation, "--json"]).await.ended(0);
        assert!(!all.text().contains(BMC_PASSWORD));
        let all = all.json();
        let calls = all["calls"].as_array().unwrap();
        assert_eq!(calls.len() as u64, told["calls"].as_u64().unwrap());
        let acting = calls.iter().find(|call| call["record"]["entries"][0]["class"] == "effect").unwrap();
        let number = acting["id"].to_string();
        let one = cli(&["journal", "show", &number]).await.ended(0).text();
        for word in ["effect", "fence", "seed", "grants", "driver state", "outcome"] {
            assert!(one.contains(word), "{word}: {one}");
        }
        assert!(one.contains(acting["record"]["entries"][0]["function"].as_str().unwrap()), "{one}");

        // A running host gives what is to be replayed, whatever it is called by.
        for (what, calls) in [(node.uuid.as_str(), calls.len()), (operation, calls.len()), (number.as_str(), 1)] {
            let replayed = cli(&["replay", what, "--json"]).await.ended(0).json();
            assert_eq!((replayed["identical"].as_bool(), replayed["calls"].as_array().unwrap().len()), (Some(true), calls), "{what}");
        }

        let stranger = "00000000-0000-4000-8000-000000000000";
        for (args, word) in [
            (&["journal", "show", stranger][..], "is not in the journal"),
            (&["journal", "show", "no-such-node"], "Node no-such-node could not be found"),
            (&["journal", "show", "999999999"], "Call 999999999 is not in the journal"),
            (&["journal", "export", stranger], "is not in the journal"),
            (&["journal", "list", "--limit", "0"], "limit"),
            (&["journal", "list", "--before", "yesterday"], "before"),
        ] {
            let refused = cli(args).await.ended(1).stderr;
            assert!(refused.contains(word), "{args:?}: {refused}");
        }
        cli(&["replay", stranger]).await.ended(2);
        let piped = cli(&["journal", "export", operation, "--output", "-"]).await.ended(0).bytes;
        assert_eq!(wrought_conductor::Export::read(&piped).unwrap().calls.len(), calls.len());
    });
}
