//! Parents and children: steps that a parent has executed on its children, and power that they share.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::auth::{ran, serve, wrought};
use crate::support::{Answer, Api, HostConfig, Node, Setup, Shared, World, rests, run, until};

/// A parent that is manageable, and its children.
async fn family(world: &World, children: usize, info: Value) -> (Node<'_>, Vec<Node<'_>>) {
    let parent = world.fake("fake", json!({})).await;
    parent.provision("manage").await;
    parent.reach("manageable").await;
    let mut all = Vec::new();
    for _ in 0..children {
        let child = world.fake("fake", info.clone()).await;
        child.patch("/parent_node", json!(parent.uuid)).await;
        all.push(child);
    }
    (parent, all)
}

fn on_children(interface: &str, step: &str, only: Option<&[&str]>) -> Value {
    let mut step = json!({"interface": interface, "step": step, "execute_on_child_nodes": true});
    if let Some(only) = only {
        step["limit_child_node_execution"] = json!(only);
    }
    step
}

async fn clean(parent: &Node<'_>, steps: Value) {
    let answer = parent.ask(json!({"target": "clean", "clean_steps": steps})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
}

#[test]
fn a_step_is_executed_on_all_children_or_on_those_that_are_named() {
    run(async {
        let world = Shared::world().await;
        let (parent, children) = family(&world, 3, json!({})).await;
        let steps = json!([
            on_children("bios", "factory_reset", None),
            {"interface": "vendor", "step": "log_passthrough"},
            on_children("power", "power_on", Some(&[&children[1].uuid])),
        ]);
        clean(&parent, steps).await;
        parent.reach("manageable").await;
        assert_eq!(parent.executed("manual-clean").await, ["bios.factory_reset", "vendor.log_passthrough", "power.power_on"]);
        for (at, child) in children.iter().enumerate() {
            let last = if at == 1 { "power.power_on" } else { "bios.factory_reset" };
            assert_eq!(child.executed("child-step").await, [last], "child {at}");
            let shown = child.get().await;
            // The child's own state is its own.
            assert_eq!((&shown["provision_state"], &shown["reservation"]), (&json!("available"), &Value::Null));
            assert_eq!(shown["power_state"] == "power on", at == 1, "child {at}: {}", shown["power_state"]);
        }
    });
}

#[test]
fn children_are_worked_on_one_after_the_other_and_none_after_a_failure() {
    run(async {
        let world = Shared::world().await;
        let (parent, children) = family(&world, 3, json!({"fake_clean_delay": 1})).await;
        world.api().call(reqwest::Method::PUT, &children[1].path("/maintenance"), &json!({"reason": "a fan is loud"})).await.ok();
        clean(&parent, json!([on_children("bios", "factory_reset", None)])).await;
        parent.reach("clean failed").await;
        let error = parent.last_error().await;
        assert!(error.contains(&children[1].uuid) && error.contains("in maintenance"), "{error}");
        assert_eq!(children[0].executed("child-step").await, ["bios.factory_reset"]);
        assert!(children[2].executed("child-step").await.is_empty());
    });
}

#[test]
fn a_step_for_children_that_cannot_be_executed_there_is_refused_by_name() {
    run(async {
        let world = Shared::world().await;
        let (parent, children) = family(&world, 1, json!({})).await;
        let stranger = world.fake("fake", json!({})).await;
        for (step, text) in [
            (on_children("bios", "factory_reset", Some(&[&stranger.uuid])), stranger.uuid.as_str()),
            (on_children("bios", "cook", None), "bios.cook"),
            (on_children("bios", "apply_configuration", None), "settings"),
        ] {
            clean(&parent, json!([step])).await;
            parent.reach("clean failed").await;
            let error = parent.last_error().await;
            assert!(error.contains(text), "{error}");
            parent.world.api().send(reqwest::Method::DELETE, &parent.path("/maintenance"), |request| request).await.ok();
            parent.provision("manage").await;
            parent.reach("manageable").await;
        }
        assert_eq!(children[0].state().await, "available");
    });
}

#[test]
fn a_child_with_an_instance_or_protected_is_left_alone() {
    run(async {
        let world = Shared::world().await;
        let (parent, children) = family(&world, 2, json!({})).await;
        children[0].deploy().await;
        children[0].patch("/protected", true.into()).await;
        children[1].patch("/disable_power_off", true.into()).await;
        for (at, step, text) in [(0, "factory_reset", "protected"), (1, "power_off", "disable_power_off")] {
            let child = &children[at];
            let interface = if step == "power_off" { "power" } else { "bios" };
            clean(&parent, json!([on_children(interface, step, Some(&[&child.uuid]))])).await;
            parent.reach("clean failed").await;
            let error = parent.last_error().await;
            assert!(error.contains(&child.uuid) && error.contains(text), "{error}");
            assert!(child.executed("child-step").await.is_empty());
            world.api().send(reqwest::Method::DELETE, &parent.path("/maintenance"), |request| request).await.ok();
            parent.provision("manage").await;
            parent.reach("manageable").await;
        }
        children[0].patch("/protected", false.into()).await;
        clean(&parent, json!([on_children("bios", "factory_reset", Some(&[&children[0].uuid]))])).await;
        parent.reach("clean failed").await;
        assert!(parent.last_error().await.contains("state active"), "{}", parent.last_error().await);
        assert!(children[0].executed("child-step").await.is_empty());
    });
}

#[test]
fn a_parent_is_not_switched_off_under_a_child_that_must_stay_on_or_is_held() {
    run(async {
        let world = Shared::world().await;
        let (parent, children) = family(&world, 2, json!({})).await;
        for node in [&children[0], &children[1]] {
            node.power("power on").await.ok();
            node.reach_power("power on").await;
        }
        children[1].patch("/disable_power_off", true.into()).await;
        parent.power("power off").await.ok();
        let refused = parent.rest().await;
        let error = refused["last_error"].as_str().unwrap_or_default();
        assert!(error.contains(&children[1].uuid) && error.contains("disable_power_off"), "{refused}");
        children[1].patch("/disable_power_off", false.into()).await;

        children[1].deploy().await;
        let hold = json!([{"interface": "power", "step": "hold"}]);
        assert_eq!(children[1].ask(json!({"target": "service", "service_steps": hold})).await.status, 202);
        children[1].pass("service hold").await;
        let began = std::time::Instant::now();
        parent.power("power off").await.ok();
        let refused = parent.rest().await;
        assert!(began.elapsed() < Duration::from_secs(10), "it is told at once: {:?}", began.elapsed());
        let error = refused["last_error"].as_str().unwrap_or_default();
        assert!(error.contains(&children[1].uuid) && error.contains("service hold") && error.contains("unlock"), "{refused}");
        for node in [&parent, &children[0], &children[1]] {
            assert_eq!(node.get().await["power_state"], "power on", "nobody was switched off");
        }
        children[1].provision("unhold").await;
        children[1].reach("active").await;
    });
}

#[test]
fn a_child_that_somebody_works_on_is_waited_for() {
    run(async {
        let world = Shared::world().await;
        let (parent, children) = family(&world, 1, json!({"fake_clean_delay": 2})).await;
        children[0].provision("manage").await;
        clean(&children[0], json!([{"interface": "vendor", "step": "log_passthrough"}])).await;
        clean(&parent, json!([on_children("bios", "factory_reset", None)])).await;
        parent.pass("clean wait").await;
        assert_ne!(children[0].state().await, "manageable", "it is still at its own");
        parent.reach("manageable").await;
        assert_eq!(children[0].state().await, "manageable");
        assert_eq!(children[0].executed("child-step").await, ["bios.factory_reset"]);
    });
}

#[test]
fn a_restart_of_the_host_repeats_no_step_on_a_child() {
    run(async {
        let mut world = World::new(Setup { servers: 1, host: HostConfig::default(), ..Setup::default() }).await;
        let (uuid, children): (String, Vec<String>) = {
            let (parent, children) = family(&world, 3, json!({"fake_clean_delay": 1})).await;
            clean(&parent, json!([on_children("bios", "factory_reset", None)])).await;
            (parent.uuid, children.into_iter().map(|child| child.uuid).collect())
        };
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.host.kill().await;
        world.host.start_again().await;
        let node = |uuid: &str| Node { world: &world, uuid: uuid.to_owned(), server: None };
        node(&uuid).reach("manageable").await;
        for child in &children {
            let path = format!("/wrought/v1/nodes/{child}/events?limit=1000&kind=step-finished");
            let finished = world.api().get(&path).await.ok();
            assert_eq!(finished["events"].as_array().unwrap().len(), 1, "{child}: {finished}");
        }
    });
}

#[test]
fn children_take_their_power_from_their_parent() {
    run(async {
        let world = Shared::world().await;
        let (parent, children) = family(&world, 2, json!({})).await;
        let own = world.fake("fake", json!({"has_dedicated_power_supply": true})).await;
        own.patch("/parent_node", json!(parent.uuid)).await;
        for node in [&parent, &children[0], &children[1], &own] {
            node.power("power off").await.ok();
            node.reach_power("power off").await;
        }
        own.power("power on").await.ok();
        own.reach_power("power on").await;
        assert_eq!(parent.get().await["power_state"], "power off");

        children[0].power("power on").await.ok();
        children[0].reach_power("power on").await;
        assert_eq!(parent.get().await["power_state"], "power on");
        assert_eq!(children[1].get().await["power_state"], "power off");

        parent.power("power off").await.ok();
        parent.reach_power("power off").await;
        assert_eq!(children[0].get().await["power_state"], "power off");
        assert_eq!(own.get().await["power_state"], "power on");
    });
}

/// Somebody with a token.
struct Caller {
    api: Api,
    token: String,
}

impl Caller {
    async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        self.api.send(method, path, |request| request.header("X-Auth-Token", &self.token).json(&body)).await
    }

    async fn get(&self, node: &str) -> Value {
        self.ask(Method::GET, &format!("/v1/nodes/{node}"), Value::Null).await.ok()
    }

    /// A node without a server behind it that is manageable.
    async fn enrol(&self, more: Value) -> String {
        let mut body = json!({"driver": "fake-hardware", "deploy_interface": "fake", "automated_clean": false});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let node = self.ask(Method::POST, "/v1/nodes", body).await.ok()["uuid"].as_str().unwrap().to_owned();
        self.provision(&node, json!({"target": "manage"})).await;
        self.rests(&node, "manageable").await;
        node
    }

    async fn provision(&self, node: &str, body: Value) {
        let answer = self.ask(Method::PUT, &format!("/v1/nodes/{node}/states/provision"), body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }

    /// Switches a node, and gives it as it rests then.
    async fn switch(&self, node: &str, target: &str) -> Value {
        let answer = self.ask(Method::PUT, &format!("/v1/nodes/{node}/states/power"), json!({ "target": target })).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        self.rests(node, "").await
    }

    /// Waits until nobody holds the node any more, and it is in this state or, with none, in any.
    async fn rests(&self, node: &str, state: &str) -> Value {
        until("the node rests", async || {
            let shown = self.get(node).await;
            let there = state.is_empty() || shown["provision_state"] == state;
            (there && rests(&shown) && shown["target_power_state"].is_null()).then_some(shown)
        })
        .await
    }
}

#[test]
fn nobody_does_with_relatives_what_they_may_not_do_with_them_by_themselves() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").display().to_string();
        let config = "[api]\nauth_strategy = \"token\"\n[conductor]\nsync_power_state_interval = 0\n";
        std::fs::write(folder.path().join("wrought.toml"), config).unwrap();
        let mut tokens = Vec::new();
        for (name, role, project) in [("root", "admin", None), ("member", "member", Some("p")), ("admin", "admin", Some("p"))] {
            let mut args = vec!["token", "create", name, "--role", role, "--data", &data];
            args.extend(project.iter().flat_map(|project| ["--project", project]));
            let (code, token, told) = ran(&mut wrought(&args)).await;
            assert_eq!(code, 0, "{told}");
            tokens.push(token.trim().to_owned());
        }
        let (mut host, said) = serve(folder.path(), &[]).await;
        let api = Api::new(said["url"].as_str().unwrap());
        let [root, member, admin] = [0, 1, 2].map(|at| Caller { api: api.clone(), token: tokens[at].clone() });

        // Steps: of a child that the project has only leased, its administrators alone.
        let parent = root.enrol(json!({"owner": "p"})).await;
        let leased = root.enrol(json!({"lessee": "p", "parent_node": parent})).await;
        for (step, who, allowed) in [
            (on_children("bios", "factory_reset", None), &member, false),
            (on_children("power", "power_on", None), &member, true),
            (on_children("bios", "factory_reset", None), &admin, true),
        ] {
            who.provision(&parent, json!({"target": "clean", "clean_steps": [step]})).await;
            let shown = root.rests(&parent, if allowed { "manageable" } else { "clean failed" }).await;
            if !allowed {
                let error = shown["last_error"].as_str().unwrap();
                assert!(error.contains(&leased) && error.contains("is not allowed"), "{error}");
                root.ask(Method::DELETE, &format!("/v1/nodes/{parent}/maintenance"), Value::Null).await;
                root.provision(&parent, json!({"target": "manage"})).await;
                root.rests(&parent, "manageable").await;
            }
        }

        // Power: the members of a project switch its nodes, and no parent of somebody else's with them.
        let theirs = root.enrol(json!({"owner": "q"})).await;
        let child = root.enrol(json!({"owner": "p", "parent_node": theirs})).await;
        for node in [&child, &theirs] {
            assert_eq!(root.switch(node, "power off").await["power_state"], "power off");
        }
        let refused = member.switch(&child, "power on").await;
        let error = refused["last_error"].as_str().unwrap_or_default();
        assert!(error.contains(&theirs) && error.contains("is not allowed"), "{refused}");
        for node in [&child, &theirs] {
            assert_eq!(root.get(node).await["power_state"], "power off");
        }
        assert_eq!(root.switch(&theirs, "power on").await["power_state"], "power on");
        assert_eq!(member.switch(&child, "power on").await["power_state"], "power on");
        host.kill().await.unwrap();
    });
}
