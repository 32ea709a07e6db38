//! What a project may set of a node, what is its own when it creates something, and what its lists hold.

use super::*;

fn set(field: &str, value: Value) -> (String, Value) {
    (field.to_owned(), value)
}

#[tokio::test]
async fn fields_of_a_node_are_its_tenants_its_owners_or_the_operators() {
    let mut matrix = Matrix::new().await;
    let callers = callers(&matrix).await;
    let uuid = || json!(Uuid::new_v4());
    let chassis = matrix.made("/v1/chassis", json!({})).await;
    // Who may: the operator's members, the owner's administrators, the owner's members, the lessee's administrators.
    let rows: Vec<((String, Value), [bool; 4])> = vec![
        (set("/instance_info/a", json!("b")), [true, true, true, true]),
        (set("/instance_uuid", uuid()), [true, true, true, true]),
        (set("/instance_name", json!("web")), [true, true, true, true]),
        (set("/extra/a", json!(1)), [true, true, true, true]),
        (set("/maintenance", json!(true)), [true, true, true, true]),
        (set("/description", json!("d")), [true, true, true, false]),
        (set("/properties/cpus", json!(2)), [true, true, true, false]),
        (set("/network_data", json!({})), [true, true, true, false]),
        (set("/resource_class", json!("large")), [true, true, true, false]),
        (set("/name", json!("fresh")), [true, true, false, false]),
        (set("/driver_info/redfish_address", json!("https://192.0.2.2")), [true, true, false, false]),
        (set("/power_interface", json!("redfish")), [true, true, false, false]),
        (set("/driver", json!("redfish")), [true, true, false, false]),
        (set("/lessee", json!("stranger")), [true, true, false, false]),
        (set("/retired", json!(true)), [true, true, false, false]),
        (set("/disable_power_off", json!(true)), [true, true, false, false]),
        (set("/owner", json!("stranger")), [true, false, false, false]),
        (set("/owner", json!("own")), [true, false, false, false]),
        (set("/conductor_group", json!("g")), [true, false, false, false]),
        (set("/chassis_uuid", json!(chassis)), [true, false, false, false]),
        (set("/shard", json!("s")), [true, false, false, false]),
        (set("/automated_clean", json!(false)), [true, false, false, false]),
        // Secrets of the host, which the node's address would have.
        (set("/driver_info/redfish_password", json!("file:/run/secrets/a")), [true, false, false, false]),
        (set("/instance_info/image_request_authorization_secret", json!("env:WROUGHT_SECRET_A")), [true, false, false, false]),
        (set("/extra/deep", json!({"a": [{"b": "file:/x"}]})), [true, false, false, false]),
        (set("/driver_info/redfish_password", json!(" env:WROUGHT_SECRET_A")), [true, false, false, false]),
        (set("/driver_info", json!({"redfish_password": "\u{a0}file:/run/secrets/a"})), [true, false, false, false]),
        (set("/extra/deep", json!({"a": [{"b": "\n env:WROUGHT_SECRET_A "}]})), [true, false, false, false]),
    ];
    let who = [(Scope::System, Member), (Scope::Owner, Admin), (Scope::Owner, Member), (Scope::Lessee, Admin)];
    for ((field, value), may) in rows {
        for (rights, may) in who.into_iter().zip(may) {
            let world = matrix.world("").await;
            let before = matrix.host.stored(world.node).await;
            let caller = callers.iter().find(|caller| caller.rights == Some(rights)).unwrap();
            let path = format!("/v1/nodes/{}", world.node);
            let reply = matrix.send("PATCH", &path, caller.token.as_deref(), &patch(&field, value.clone())).await;
            assert_eq!(reply.status.as_u16(), if may { 200 } else { 403 }, "{field} by {rights:?}: {reply:?}");
            if !may {
                assert_eq!(matrix.host.stored(world.node).await, before);
            }
            // Hidden among what is allowed it is refused as well.
            if !may {
                let two = json!([{"op": "add", "path": "/extra/z", "value": 1}, {"op": "replace", "path": field, "value": value}]);
                matrix.send("PATCH", &path, caller.token.as_deref(), &two).await.expect(403);
                assert_eq!(matrix.host.stored(world.node).await, before);
            }
            // Names and instances are taken once.
            matrix.host.edit(world.node, |node| (node.name, node.instance_uuid, node.instance_name) = (None, None, None)).await;
        }
    }
    // What refers to secrets of the host is not led elsewhere by a project.
    let token = |rights| callers.iter().find(|caller| caller.rights == Some(rights)).unwrap().token.as_deref();
    let (owner, lessee, system) = (token((Scope::Owner, Admin)), token((Scope::Lessee, Admin)), token((Scope::System, Member)));
    for reference in ["file:/run/secrets/a", " env:WROUGHT_SECRET_A"] {
        let world = matrix.world("").await;
        matrix.host.edit(world.node, |node| drop(node.driver_info.insert("redfish_password".into(), reference.into()))).await;
        let path = format!("/v1/nodes/{}", world.node);
        matrix.send("PATCH", &path, owner, &patch("/driver_info/redfish_address", json!("https://192.0.2.66"))).await.expect(403);
        matrix.send("PATCH", &path, owner, &patch("/extra/a", json!(1))).await.expect(200);
        matrix.send("PATCH", &path, owner, &patch("/instance_info/image_source", json!("http://192.0.2.66/"))).await.expect(200);

        let world = matrix.world("").await;
        let image = [("image_source", "http://images.test/a"), ("image_request_authorization_secret", reference)];
        matrix.host.edit(world.node, move |node| node.instance_info.extend(image.map(|(key, value)| (key.into(), value.into())))).await;
        let path = format!("/v1/nodes/{}", world.node);
        let elsewhere = json!("http://192.0.2.66/");
        let whole = json!({"image_source": elsewhere, "image_request_authorization_secret": "******"});
        for change in [
            patch("/instance_info/image_source", elsewhere.clone()),
            patch("/instance_info/image_request_authorization_secret", json!("mine")),
            patch("/instance_info/kernel", elsewhere.clone()),
            patch("/instance_info", whole),
            json!([{"op": "remove", "path": "/instance_info/image_source"}]),
        ] {
            for who in [owner, lessee] {
                let refused = matrix.send("PATCH", &path, who, &change).await.expect(403).fault();
                assert!(refused.contains("instance_info refers to secrets of the host"), "{change}: {refused}");
            }
        }
        matrix.send("PATCH", &path, owner, &patch("/driver_info/image_http_proxy", elsewhere.clone())).await.expect(403);
        matrix.send("PATCH", &path, lessee, &patch("/extra/a", json!(1))).await.expect(200);
        assert_eq!(matrix.host.stored(world.node).await.instance_info["image_source"], "http://images.test/a");
        matrix.send("PATCH", &path, system, &patch("/instance_info/image_source", elsewhere)).await.expect(200);
    }
}

#[tokio::test]
async fn what_a_project_creates_is_its_own_and_refers_to_its_own() {
    let mut matrix = Matrix::new().await;
    let (own, stranger) = (matrix.token("a", Admin, Some("own")).await, matrix.token("b", Admin, Some("stranger")).await);
    let lease = matrix.token("c", Admin, Some("lease")).await;
    let world = matrix.world("{port}").await;
    let post = async |token: &str, path: &str, body: Value| matrix.send("POST", path, Some(token), &body).await;
    let node = |more: Value| {
        let mut node = json!({"driver": "redfish"});
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        node
    };
    let made = post(&stranger, "/v1/nodes", node(json!({}))).await.expect(201).json();
    assert_eq!(made["owner"], "stranger");
    assert_eq!(post(&stranger, "/v1/nodes", node(json!({"owner": "stranger", "lessee": "own"}))).await.expect(201).json()["lessee"], "own");
    for field in [
        json!({"owner": "own"}),
        json!({"conductor_group": "g"}),
        json!({"chassis_uuid": Uuid::new_v4()}),
        json!({"shard": "s"}),
        json!({"automated_clean": false}),
        json!({"driver_info": {"redfish_password": "file:/run/secrets/a"}}),
        json!({"driver_info": {"redfish_password": "\tenv:WROUGHT_SECRET_A"}}),
    ] {
        post(&stranger, "/v1/nodes", node(field.clone())).await.expect(403);
    }
    // A parent that is another's is not there; one that is only leased is not to be built upon.
    let child = node(json!({"parent_node": world.node}));
    let hidden = post(&stranger, "/v1/nodes", child.clone()).await.expect(400).fault();
    let nowhere = post(&stranger, "/v1/nodes", node(json!({"parent_node": Uuid::nil()}))).await.expect(400).fault();
    assert!(hidden.contains("could not be found") && nowhere.contains("could not be found"), "{hidden} {nowhere}");
    post(&lease, "/v1/nodes", child.clone()).await.expect(403);
    let child = post(&own, "/v1/nodes", child).await.expect(201).json();
    // A port moves to no node that is not the caller's.
    let theirs = made["uuid"].clone();
    let port = format!("/v1/ports/{}", world.parts["port"]);
    let moved = matrix.send("PATCH", &port, Some(&own), &json!([{"op": "replace", "path": "/node_uuid", "value": theirs}])).await;
    assert!(matches!(moved.status.as_u16(), 400 | 403 | 404), "{moved:?}");
    let move_home = json!([{"op": "replace", "path": "/node_uuid", "value": child["uuid"]}]);
    matrix.send("PATCH", &port, Some(&lease), &move_home).await.expect(403);
    for path in ["/v1/ports", "/v1/portgroups", "/v1/volume/connectors", "/v1/volume/targets"] {
        let body = json!({
            "node_uuid": world.node, "address": "52:54:00:bb:00:01", "type": "iqn", "connector_id": "c", "volume_type": "iscsi",
            "volume_id": "v", "boot_index": 3,
        });
        let fits = |name: &str| match path {
            "/v1/ports" => name == "address",
            "/v1/portgroups" => false,
            "/v1/volume/connectors" => matches!(name, "type" | "connector_id"),
            _ => matches!(name, "volume_type" | "volume_id" | "boot_index"),
        };
        let body: Value = body.as_object().unwrap().clone().into_iter().filter(|(name, _)| name == "node_uuid" || fits(name)).collect();
        let refused = post(&stranger, path, body).await;
        assert!(matches!(refused.status.as_u16(), 400 | 404), "{path}: {refused:?}");
    }
    // An allocation takes no node of another's, and is no other's.
    post(&stranger, "/v1/allocations", json!({"resource_class": "small", "owner": "own"})).await.expect(403);
    let foreign = post(&stranger, "/v1/allocations", json!({"resource_class": "small", "candidate_nodes": [world.node]})).await;
    assert!(foreign.status.is_client_error(), "{foreign:?}");
    // A runbook is no other's, and not everybody's.
    for more in [json!({"owner": "own"}), json!({"public": true})] {
        let mut runbook = json!({"name": "theirs", "steps": steps()});
        runbook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = post(&stranger, "/v1/runbooks", runbook).await;
        assert!(matches!(refused.status.as_u16(), 400 | 403), "{refused:?}");
    }
    let runbook = matrix.made("/v1/runbooks", json!({"name": "own-book", "steps": steps(), "owner": "own"})).await;
    matrix.send("PUT", &format!("/v1/runbooks/{runbook}/traits/CUSTOM_A"), Some(&matrix.root), &Value::Null).await.expect(204);
    let clean = json!({"target": "clean", "runbook": runbook});
    let states = format!("/v1/nodes/{}/states/provision", theirs.as_str().unwrap());
    matrix
        .host
        .edit(NodeId(theirs.as_str().unwrap().parse().unwrap()), |node| {
            node.provision_state = wrought_domain::ProvisionState::Manageable;
            node.traits = vec!["CUSTOM_A".into()];
        })
        .await;
    let refused = matrix.send("PUT", &states, Some(&stranger), &clean).await;
    assert!(matches!(refused.status.as_u16(), 400 | 404) && refused.fault().contains("could not be found"), "{refused:?}");
}

#[tokio::test]
async fn lists_hold_what_is_the_callers_whatever_it_filters_by() {
    let mut matrix = Matrix::new().await;
    let stranger = matrix.token("b", Admin, Some("stranger")).await;
    let lease = matrix.token("c", Reader, Some("lease")).await;
    let world = matrix.world("{port}{portgroup}{connector}{target}{allocation}{runbook}").await;
    let theirs = matrix.send("POST", "/v1/nodes", Some(&stranger), &json!({"driver": "redfish"})).await.expect(201).json();
    let get = async |token: &str, path: &str| matrix.send("GET", path, Some(token), &Value::Null).await;
    let node = world.node;
    for (path, key) in [
        ("/v1/nodes?owner=own", "nodes"),
        ("/v1/nodes?project=own", "nodes"),
        ("/v1/nodes?lessee=lease", "nodes"),
        ("/v1/nodes?include_children=true&project=lease", "nodes"),
        ("/v1/nodes/detail?owner=own", "nodes"),
        ("/v1/ports", "ports"),
        ("/v1/ports/detail", "ports"),
        (&format!("/v1/ports?address={}", matrix_address(&matrix, &world).await), "ports"),
        ("/v1/portgroups", "portgroups"),
        ("/v1/volume/connectors", "connectors"),
        ("/v1/volume/targets", "targets"),
        ("/v1/allocations", "allocations"),
        ("/v1/allocations?owner=own", "allocations"),
        ("/v1/runbooks", "runbooks"),
        ("/v1/runbooks?project=own", "runbooks"),
    ] {
        let answer = get(&stranger, path).await.expect(200).json();
        assert_eq!(answer[key], json!([]), "{path}");
    }
    let seen = get(&stranger, "/v1/nodes").await.expect(200).json();
    assert_eq!(seen["nodes"].as_array().unwrap().iter().map(|node| node["uuid"].clone()).collect::<Vec<_>>(), [theirs["uuid"].clone()]);
    for path in [
        format!("/v1/nodes?marker={node}"),
        format!("/v1/ports?marker={}", world.parts["port"]),
        format!("/v1/nodes?parent_node={node}"),
        format!("/v1/ports?node={node}"),
        format!("/v1/ports?portgroup={}", world.parts["portgroup"]),
        format!("/v1/portgroups?node={node}"),
        format!("/v1/volume/connectors?node={node}"),
        format!("/v1/allocations?node={node}"),
        format!("/v1/allocations?marker={}", world.parts["allocation"]),
        format!("/v1/runbooks?marker={}", world.parts["runbook"]),
    ] {
        let reply = get(&stranger, &path).await;
        let nothing = reply.status.as_u16() == 200 && !String::from_utf8_lossy(&reply.bytes).contains(&node.to_string());
        assert!(nothing || matches!(reply.status.as_u16(), 400 | 404), "{path}: {reply:?}");
    }
    // A lessee sees the node and what belongs to it.
    assert_eq!(get(&lease, "/v1/nodes").await.json()["nodes"][0]["uuid"], json!(node));
    assert_eq!(get(&lease, "/v1/ports").await.json()["ports"][0]["uuid"], json!(world.parts["port"]));
}
