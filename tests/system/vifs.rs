//! Virtual interfaces of nodes whose network interface is `flat`: they are the instance's, and go with it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Shared, run};

#[test]
fn vifs_stay_with_the_instance_and_go_when_it_is_torn_down() {
    run(async {
        let world = Shared::world().await;
        let (machine, fake) = (world.available().await, world.fake("fake", json!({})).await);
        for (node, n) in [(&machine, 1), (&fake, 2)] {
            node.patch("/network_interface", "flat".into()).await;
            let port = json!({"node_uuid": node.uuid, "address": format!("52:54:00:f1:a7:0{n}"), "pxe_enabled": false});
            let port = world.api().call(Method::POST, "/v1/ports", &port).await.json()["uuid"].as_str().unwrap().to_owned();
            let vif = json!({"id": "tenant", "port_uuid": port});
            assert_eq!(world.api().call(Method::POST, &node.path("/vifs"), &vif).await.status, 204);
            let validated = world.api().get(&node.path("/validate")).await.ok();
            assert_eq!(validated["network"], json!({"result": true}));
            let vifs = async || world.api().get(&node.path("/vifs")).await.ok();
            let recorded = async || {
                let port = world.api().get(&format!("/v1/ports/{port}")).await.ok();
                port["internal_info"]["tenant_vif_port_id"].clone()
            };

            node.deploy().await;
            assert_eq!((vifs().await, recorded().await), (json!({"vifs": [{"id": "tenant"}]}), json!("tenant")));
            let kept = world.api().call(Method::DELETE, &format!("/v1/ports/{port}"), &Value::Null).await.refused(409);
            assert!(kept.contains("VIF tenant"), "{kept}");
            node.provision("deleted").await;
            node.reach("available").await;
            assert_eq!((vifs().await, recorded().await), (json!({"vifs": []}), Value::Null));
        }
    });
}
