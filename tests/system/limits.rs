//! An operator sets the limits of one driver while the host runs.

use reqwest::Method;
use serde_json::json;
use wrought_drivers::shipped;

use crate::support::{HostConfig, Setup, World, run, wrought};

#[test]
fn limits_of_a_driver_hold_from_the_next_call_on_and_outlive_the_host() {
    run(async {
        let host = HostConfig { sections: "[drivers]\nmemory_mib = 64\n", ..HostConfig::default() };
        let mut world = World::new(Setup { host, servers: 0, ..Setup::default() }).await;
        world.api().install("hostile", shipped::hostile("honest", "6.6.6", "")).await;
        let folder = tempfile::tempdir().unwrap();
        let failing = async |world: &World, word: &str| {
            let node = world.fake("hostile", json!({ "hostile": "memory" })).await;
            node.provision("active").await;
            let error = node.reach("deploy failed").await["last_error"].clone();
            assert!(error.as_str().unwrap().contains(word), "{error}");
        };
        failing(&world, "more than 64 MiB").await;

        let limits = async |world: &World, args: &[&str]| {
            wrought(folder.path(), world.api().url(), &[&["driver", "limits", "hostile"], args].concat()).await
        };
        let table = limits(&world, &["--set", "memory_mib=96", "concurrent_calls=3"]).await.ended(0).text();
        assert!(table.contains("memory_mib") && table.contains("96") && table.contains("stack_kib=512"), "{table}");
        failing(&world, "more than 96 MiB").await;
        let said = limits(&world, &["--set", "memory_mib=999999"]).await.ended(1).stderr;
        assert!(said.contains("memory_mib is 999999: give 1 to 2048"), "{said}");
        for (args, says) in [(["--set", "memory_mib=lots"], "whole number"), (["--unset", "cpu_ms"], "is not set")] {
            assert!(limits(&world, &args).await.ended(2).stderr.contains(says));
        }
        let path = "/wrought/v1/drivers/hostile/limits";
        for wrong in [json!(["memory_mib"]), json!({ "moon": 1 }), json!({ "cpu_ms": 0 }), json!({ "cpu_ms": "1" })] {
            world.api().call(Method::PUT, path, &wrong).await.refused(400);
        }
        world.api().call(Method::PUT, "/wrought/v1/drivers/nobody/limits", &json!({})).await.refused(404);

        world.host.kill().await;
        world.host.start_again().await;
        let shown = world.api().get(path).await.ok();
        assert_eq!(shown["set"], json!({ "memory_mib": 96, "concurrent_calls": 3 }));
        assert_eq!((&shown["limits"]["memory_mib"], &shown["limits"]["cpu_ms"]), (&json!(96), &json!(10_000)));
        failing(&world, "more than 96 MiB").await;
        let json = limits(&world, &["--unset", "memory_mib", "--json"]).await.ended(0).json();
        assert_eq!((&json["set"], &json["limits"]["memory_mib"]), (&json!({ "concurrent_calls": 3 }), &json!(64)));
        failing(&world, "more than 64 MiB").await;
    });
}
