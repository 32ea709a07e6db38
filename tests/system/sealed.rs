//! The key that the data is sealed with, and secrets that are kept elsewhere, from outside.

use std::path::Path;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{BMC_PASSWORD, HostConfig, Node, Setup, World, run, until};

async fn rotate(data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wrought"));
    command.args(["secrets", "rotate", "--json", "--data"]).arg(data).env_remove("WROUGHT_KEY_FILE").env_remove("WROUGHT_CONFIG");
    command.output().await.unwrap()
}

#[test]
fn the_key_is_changed_while_the_host_is_stopped_and_the_host_needs_it() {
    run(async {
        let mut world = World::new(Setup { servers: 1, ..Setup::default() }).await;
        let node = world.available().await;
        let (uuid, server) = (node.uuid.clone(), node.server);
        let data = world.host.data();
        let refused = rotate(&data).await;
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(text.contains("in use by another process"), "{text}");

        world.host.stop().await;
        let key_file = data.join("secrets.key");
        let before = std::fs::read_to_string(&key_file).unwrap();
        let rotated = rotate(&data).await;
        assert!(rotated.status.success(), "{rotated:?}");
        let told: Value = serde_json::from_slice(&rotated.stdout).unwrap();
        let after = std::fs::read_to_string(&key_file).unwrap();
        assert!(after.contains(told["key"].as_str().unwrap()) && !after.contains(told["dropped"][0].as_str().unwrap()), "{told}");
        assert!(told["documents"].as_u64().unwrap() >= 2, "{told}");

        // Neither without a key nor with the old one.
        std::fs::remove_file(&key_file).unwrap();
        let (status, text) = world.host.second().await;
        assert_eq!(status.code(), Some(1));
        assert!(text.contains("secrets.key is not there") && text.contains("put the file back"), "{text}");
        write_private(&key_file, &before);
        let (status, text) = world.host.second().await;
        assert_eq!(status.code(), Some(1));
        assert!(text.contains("is sealed with key") && !text.contains(before.lines().last().unwrap()), "{text}");
        write_private(&key_file, &after);
        world.host.start_again().await;
        Node { world: &world, uuid, server }.deploy().await;
    });
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn credentials_may_lie_in_files_that_the_operator_allows_and_nowhere_else() {
    run(async {
        let secrets = tempfile::tempdir().unwrap();
        std::fs::write(secrets.path().join("bmc"), format!("{BMC_PASSWORD}\n")).unwrap();
        std::fs::write(secrets.path().join("auth"), "Bearer from-a-file-31c5e0").unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(elsewhere.path(), "content-of-another-file-77").unwrap();
        let sections: &'static str = format!("[secrets]\nfile_roots = ['{}']\n", secrets.path().display()).leak();
        let host = HostConfig { sections, log: "debug", ..HostConfig::default() };
        let world = World::new(Setup { host, servers: 2, ..Setup::default() }).await;

        let node = world
            .enrol_with(|body| {
                body["automated_clean"] = false.into();
                body["driver_info"]["redfish_password"] = format!("file:{}/bmc", secrets.path().display()).into();
                body["instance_info"]["image_request_authorization_secret"] = format!("file:{}/auth", secrets.path().display()).into();
            })
            .await;
        node.make_available().await;
        let active = node.deploy().await;
        assert_eq!(active["driver_info"]["redfish_password"], "******");

        // Read at each use: a password that was changed at the controller is changed in the file.
        std::fs::write(secrets.path().join("bmc"), "another").unwrap();
        assert_eq!(node.power("power off").await.status, 202);
        let error = until("the password is refused", async || Some(node.last_error().await).filter(|error| !error.is_empty())).await;
        assert!(error.contains("credentials"), "{error}");
        std::fs::write(secrets.path().join("bmc"), BMC_PASSWORD).unwrap();
        assert_eq!(node.power("power off").await.status, 202);
        node.reach_power("power off").await;

        let other = world.enrol().await;
        for (reference, why) in [
            (format!("file:{}", elsewhere.path().display()), "does not lead below one of [secrets] file_roots"),
            (format!("file:{}/none", secrets.path().display()), "there is no such file"),
            ("env:PATH".to_owned(), "begins with WROUGHT_SECRET_"),
            ("env:WROUGHT_SECRET_THAT_IS_NOT_SET".to_owned(), "there is no such variable"),
        ] {
            other.patch("/driver_info/redfish_password", reference.clone().into()).await;
            let shown = other.world.api().get(&other.path("/validate")).await.ok();
            let reason = shown["power"]["reason"].as_str().unwrap();
            assert!(reason.contains(&reference) && reason.contains(why), "{reference}: {reason}");
            let refused = other.ask(json!({"target": "manage"})).await;
            assert_eq!(refused.status, 400, "{}", refused.text);
            assert!(!refused.text.contains("content-of-another-file"), "{}", refused.text);
        }
        let listed = world.api().call(Method::GET, "/v1/nodes/detail", &Value::Null).await;
        assert!(!listed.text.contains("from-a-file") && !listed.text.contains(BMC_PASSWORD), "{}", listed.text);
        for secret in [BMC_PASSWORD, "from-a-file-31c5e0", "content-of-another-file-77"] {
            assert!(!world.host.log().contains(secret), "{secret} is in the log");
        }
    });
}
