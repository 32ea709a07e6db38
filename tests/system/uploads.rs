//! Bad uploads and activations: refused in words, and nothing changes.

use futures::stream;
use reqwest::{Body, Method};
use serde_json::json;
use wrought_drivers::shipped;

use crate::support::{Host, HostConfig, only_describes, run, until, wants_the_moon, with_note};

const MIB: usize = 1 << 20;

#[test]
fn what_is_no_driver_is_refused_and_changes_nothing() {
    run(async {
        let host = Host::start(HostConfig::default()).await;
        let api = &host.api;
        let before = api.get("/wrought/v1/drivers").await.ok();
        for (what, bytes, word) in [
            ("nothing", Vec::new(), "empty"),
            ("a program", b"\x7fELF\x02\x01\x01 not a component".to_vec(), "WebAssembly"),
            ("a core module", wat::parse_str("(module)").unwrap(), "component"),
            ("a component that is no driver", wat::parse_str("(component)").unwrap(), "baremetal:deploy/driver"),
            ("an unknown import", wants_the_moon(), "baremetal:deploy/moon@0.1.0"),
            ("half a driver", shipped::FAKE[..shipped::FAKE.len() / 2].to_vec(), "WebAssembly"),
            ("a driver that traps when it is asked", shipped::hostile("traps", "1.0.0", ""), "unreachable"),
        ] {
            let reason = api.push("acme", bytes).await.refused(400);
            assert!(reason.contains(word), "{what}: {reason}");
        }
        let reason = api.push("Not A Name!", shipped::FAKE.to_vec()).await.refused(400);
        assert!(reason.contains("name"), "{reason}");
        assert_eq!(api.get("/wrought/v1/drivers").await.ok(), before);
        // What was refused is told of, and is no version.
        let shown = api.get("/wrought/v1/drivers/acme").await.ok();
        assert_eq!((&shown["versions"], &shown["active"]), (&json!([]), &json!(null)));
        let rejected = shown["rejected"].as_array().unwrap();
        assert_eq!(rejected.len(), 6);
        assert!(rejected[0]["reason"].as_str().unwrap().contains("unreachable"), "the last one first: {}", rejected[0]);
        api.activate("acme", &json!({})).await.refused(404);
    });
}

#[test]
fn an_upload_that_is_too_large_is_refused_announced_or_not() {
    run(async {
        let mut host = Host::start(HostConfig::default()).await;
        let api = &host.api;
        let before = api.get("/wrought/v1/drivers").await.ok();
        let zeros = || stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![0_u8; MIB])));
        for announced in [true, false] {
            let refused = until("the refusal arrives", async || {
                let sent = api.try_send(Method::PUT, "/wrought/v1/drivers/acme", |request| {
                    let request = if announced { request.header("Content-Length", 100 * MIB) } else { request };
                    request.body(Body::wrap_stream(zeros()))
                });
                // The host hangs up on who goes on sending, and then its answer may be lost on the way.
                sent.await.ok()
            });
            let reason = refused.await.refused(413);
            assert!(reason.contains("drivers.max_component_mib"), "{reason}");
        }
        assert_eq!(api.get("/wrought/v1/drivers").await.ok(), before);
        assert!(host.is_running());
    });
}

#[test]
fn a_version_is_activated_only_when_it_is_known_and_granted() {
    run(async {
        let host = Host::start(HostConfig::default()).await;
        let api = &host.api;
        let digest = api.push("acme", with_note(shipped::DIRECT, "by acme")).await.ok()["digest"].clone();
        let state = async || api.get("/wrought/v1/drivers/acme").await.ok();
        let before = state().await;
        assert_eq!(before["versions"][0]["missing"], json!(["agent", "boot", "image", "network", "power", "report"]));

        let reason = api.activate("acme", &json!({ "digest": digest })).await.refused(409);
        assert!(reason.contains("not granted: agent, boot, image, network, power, report"), "{reason}");
        let reason = api.activate("acme", &json!({"digest": digest, "grant": ["agent", "power"]})).await.refused(409);
        assert!(reason.contains("not granted: boot, image, network, report"), "{reason}");
        let reason = api.activate("acme", &json!({"digest": digest, "grant": ["agent", "moon"]})).await.refused(400);
        assert!(reason.contains("moon") && reason.contains("locking"), "{reason}");
        let reason = api.activate("acme", &json!({"version": "7.7.7"})).await.refused(404);
        assert!(reason.contains("7.7.7"), "{reason}");
        api.activate("nobody", &json!({})).await.refused(404);
        for body in [json!([]), json!({"grants": ["agent"]}), json!({"version": 1}), json!({"version": "1", "digest": digest})] {
            api.activate("acme", &body).await.refused(400);
        }
        api.raw(Method::POST, "/wrought/v1/drivers/acme/activate", "{\"version\": ").await.refused(400);
        assert_eq!(state().await, before);

        // A driver that is in no version active serves no node.
        let node = json!({"driver": "fake-hardware", "deploy_interface": "acme"});
        let reason = api.call(Method::POST, "/v1/nodes", &node).await.refused(400);
        assert!(reason.contains("acme"), "{reason}");
    });
}

#[test]
fn a_driver_without_the_needed_interface_refuses_the_verb_by_name() {
    run(async {
        let host = Host::start(HostConfig::default()).await;
        host.api.install("acme", only_describes("acme", "1.0.0", None)).await;
        // It cannot execute deploy steps, so it is no node's deploy interface.
        let node = json!({"driver": "fake-hardware", "deploy_interface": "acme"});
        let reason = host.api.call(Method::POST, "/v1/nodes", &node).await.refused(400);
        assert!(reason.contains("acme"), "{reason}");
    });
}
