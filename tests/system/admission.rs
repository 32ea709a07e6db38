//! How a host judges what is uploaded: signatures, compilers that are kept within bounds, full disks, broken connections, and
//! what becomes of versions afterwards.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign::KeyPair;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use wrought_drivers::shipped;

use crate::support::{Answer, Api, Host, HostConfig, Setup, World, run, until, with_note, wrought};

/// All files of the drivers' folder, with their folders.
fn drivers_of(host: &Host) -> Vec<String> {
    let own = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let folder = host.data().join("drivers");
    let mut all: Vec<String> = own(folder.clone()).chain(own(folder.join("aot"))).collect();
    all.sort();
    all
}

/// Something with a driver's exports around a core module.
fn around(module: &str) -> Vec<u8> {
    let driver = r#"(instance $driver) (export "baremetal:deploy/driver@0.1.0" (instance $driver))"#;
    wat::parse_str(format!("(component {module} {driver})")).unwrap()
}

/// Many functions that are not small.
pub fn takes_time_to_compile() -> Vec<u8> {
    let body = "local.get 0 i32.const 77 i32.mul local.get 0 i32.xor local.set 0 ".repeat(60);
    let mut module = String::from("(core module ");
    for _ in 0..8_000 {
        write!(module, "(func (param i32) (result i32) {body} local.get 0)").unwrap();
    }
    module.push(')');
    around(&module)
}

/// One function as large as allowed, in which everything depends on everything.
fn takes_memory_to_compile() -> Vec<u8> {
    let body = "local.get 0 local.get 1 i32.add local.tee 0 local.get 2 i32.mul local.set 1 ".repeat(120_000);
    around(&format!("(core module (func (param i32 i32 i32) (result i32) {body} local.get 0))"))
}

/// What `driver check` says of a component under a configuration.
async fn check(folder: &Path, config: &str, component: &[u8]) -> (i32, Value) {
    std::fs::write(folder.join("check.toml"), config).unwrap();
    std::fs::write(folder.join("check.wasm"), component).unwrap();
    let ran = wrought(folder, "http://127.0.0.1:1", &["driver", "check", "check.wasm", "--config", "check.toml", "--json"]).await;
    (ran.code, ran.json())
}

#[test]
fn a_component_that_hurts_the_compiler_is_refused_by_what_it_takes() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (slow, large) = (takes_time_to_compile(), takes_memory_to_compile());
        for (what, limits, component, words) in [
            ("CPU", "cpu_s = 1", &slow, "more than 1 s of CPU time; the limit is drivers.compile.cpu_s"),
            ("wall", "wall_s = 1", &slow, "more than 1 s; the limit is drivers.compile.wall_s"),
            ("memory", "memory_mib = 96", &large, "more than 96 MiB of memory; the limit is drivers.compile.memory_mib"),
            ("code", "code_mib = 1", &slow, "more than 1 MiB; the limit is drivers.compile.code_mib"),
        ] {
            let (code, verdict) = check(folder.path(), &format!("[drivers.compile]\n{limits}\n"), component).await;
            let reason = verdict["reason"].as_str().unwrap_or_else(|| panic!("{what}: {verdict}"));
            assert!(code == 1 && reason.contains(words), "{what}: {reason}");
            assert_eq!(verdict["report"].as_array().unwrap().last().unwrap()["stage"], "compile", "{what}");
        }
    });
}

#[test]
fn a_compile_bomb_costs_the_host_nothing_and_others_are_served_beside_it() {
    run(async {
        let mut host = Host::start(HostConfig { sections: "[drivers.compile]\ncpu_s = 3\n", ..HostConfig::default() }).await;
        let before = drivers_of(&host);
        let bomb = takes_time_to_compile();
        let (refused, beside) = tokio::join!(host.api.push("bomb", bomb), host.api.push("acme", shipped::hostile("honest", "1.0.0", "")));
        assert!(refused.refused(400).contains("drivers.compile.cpu_s"));
        let digest = beside.ok()["digest"].as_str().unwrap()[7..].to_owned();
        let kept: Vec<String> = drivers_of(&host).into_iter().filter(|file| !file.contains(&digest)).collect();
        assert_eq!(kept, before);
        assert!(host.is_running());
    });
}

#[test]
fn offline_the_verdict_is_the_hosts_own() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::start(HostConfig::default()).await;
        for component in [shipped::FAKE.to_vec(), shipped::hostile("traps", "1.0.0", ""), around("(core module)"), b"nothing".to_vec()] {
            let (code, offline) = check(folder.path(), "", &component).await;
            let online = host.api.push("acme", component).await;
            assert_eq!(code == 0, online.status == 201, "{offline} {online:?}");
            if code != 0 {
                let reason = offline["reason"].as_str().unwrap();
                assert!(online.reason().contains(reason), "{reason}");
            }
            let stages = |report: &Value| report.as_array().unwrap().iter().map(|stage| stage["stage"].clone()).collect::<Vec<_>>();
            let shown = host.api.get("/wrought/v1/drivers/acme").await.ok();
            let record = if code == 0 { &shown["versions"][0] } else { &shown["rejected"][0] };
            assert_eq!(stages(&record["report"]), stages(&offline["report"]));
        }
        std::fs::write(folder.path().join("fake.wasm"), shipped::FAKE).unwrap();
        let table = wrought(folder.path(), host.api.url(), &["driver", "check", "fake.wasm"]).await.ended(0).text();
        for stage in ["upload", "verify", "parse", "check", "compile", "link", "smoke", "a host would take it"] {
            assert!(table.contains(stage), "{table}");
        }
    });
}

fn sign(pair: &KeyPair, bytes: &[u8]) -> String {
    minisign::sign(None, &pair.sk, bytes, Some("acme 1.0.0"), None).unwrap().to_string()
}

async fn push_signed(api: &Api, component: &[u8], signature: &str) -> Answer {
    let signature = STANDARD.encode(signature);
    let body = component.to_vec();
    api.send(Method::PUT, "/wrought/v1/drivers/acme", |request| request.header("X-Wrought-Signature", signature).body(body)).await
}

#[test]
fn where_a_signature_is_required_only_a_trusted_one_counts() {
    run(async {
        let (ours, theirs) = (KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap());
        let sections = format!("[drivers]\nsignature_policy = 'require'\ntrusted_keys = ['{}']\n", ours.pk.to_base64());
        let host = Host::start(HostConfig { sections: Box::leak(sections.into_boxed_str()), ..HostConfig::default() }).await;
        let component = shipped::hostile("honest", "1.0.0", "");
        let other = shipped::hostile("honest", "1.0.1", "");
        let signature = sign(&ours, &component);

        for (what, refused, words) in [
            ("no signature", host.api.push("acme", component.clone()).await, "it is not signed"),
            ("unknown key", push_signed(&host.api, &component, &sign(&theirs, &component)).await, "none of drivers.trusted_keys"),
            ("tampered file", push_signed(&host.api, &other, &signature).await, "changed after signing"),
            ("malformed", push_signed(&host.api, &component, "what is this").await, "cannot be read"),
        ] {
            let reason = refused.refused(400);
            assert!(reason.contains(words), "{what}: {reason}");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("acme.wasm"), &component).unwrap();
        std::fs::write(folder.path().join("acme.wasm.minisig"), &signature).unwrap();
        let pushed = wrought(folder.path(), host.api.url(), &["driver", "push", "acme", "acme.wasm", "--json"]).await.ended(0).json();
        assert_eq!((&pushed["signature"]["status"], &pushed["signature"]["comment"]), (&json!("trusted"), &json!("acme 1.0.0")));
        assert_eq!((&pushed["uploaded_by"], &pushed["uploaded_from"]), (&json!("noauth"), &json!("127.0.0.1")));
        let rejected = host.api.get("/wrought/v1/drivers/acme").await.ok()["rejected"].clone();
        assert_eq!(rejected.as_array().unwrap().len(), 4);
        assert!(rejected.as_array().unwrap().iter().all(|rejected| rejected["status"] == "rejected"));
    });
}

#[test]
fn of_uploads_that_break_off_nothing_stays() {
    run(async {
        let mut host = Host::start(HostConfig::default()).await;
        let before = drivers_of(&host);
        let address = host.api.url().trim_start_matches("http://").to_owned();
        for head in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
            let mut connection = TcpStream::connect(&address).await.unwrap();
            let request = format!("PUT /wrought/v1/drivers/acme HTTP/1.1\r\nHost: {address}\r\n{head}\r\n\r\n");
            connection.write_all(request.as_bytes()).await.unwrap();
            connection.write_all(b"1000\r\nhalf of a component").await.unwrap();
            until("the upload has begun", async || drivers_of(&host).iter().any(|file| file.ends_with(".part")).then_some(())).await;
            drop(connection);
            until("what arrived is gone", async || (drivers_of(&host) == before).then_some(())).await;
        }
        // The same when the host goes in the middle of it.
        let mut connection = TcpStream::connect(&address).await.unwrap();
        let request = format!("PUT /wrought/v1/drivers/acme HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100000\r\n\r\nhalf");
        connection.write_all(request.as_bytes()).await.unwrap();
        until("the upload has begun", async || drivers_of(&host).iter().any(|file| file.ends_with(".part")).then_some(())).await;
        host.kill().await;
        assert!(drivers_of(&host).iter().any(|file| file.ends_with(".part")));
        host.start_again().await;
        assert_eq!(drivers_of(&host), before);
        host.api.get("/wrought/v1/drivers/acme").await.refused(404);
    });
}

/// A small disk, for as long as this lives.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing where this user may not mount.
    pub fn mount(at: &Path, mib: u32) -> Option<Self> {
        let size = format!("size={mib}m,mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }

    /// Leaves so many bytes free.
    pub fn fill(&self, free: u64) {
        let space = rustix::fs::statvfs(&self.0).unwrap();
        let available = space.f_bavail * space.f_frsize;
        std::fs::write(self.0.join("filler"), vec![1; usize::try_from(available.saturating_sub(free)).unwrap()]).unwrap();
    }

    pub fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_an_upload_is_refused_in_words_and_nothing_of_it_stays() {
    run(async {
        let mut host = Host::start(HostConfig::default()).await;
        host.kill().await;
        let folder = host.data().join("drivers");
        let Some(disk) = SmallDisk::mount(&folder, 32) else {
            eprintln!("NOT TESTED: this user may not mount a small disk");
            return;
        };
        host.start_again().await;
        let before = drivers_of(&host);
        let component = shipped::hostile("honest", "1.0.0", "");
        let length = u64::try_from(component.len()).unwrap();
        for (what, free) in [("not even the component", length / 2), ("the component, but not its code", length + (64 << 10))] {
            disk.fill(free);
            let reason = host.api.push("acme", component.clone()).await.refused(503);
            assert!(reason.contains("no space left"), "{what}: {reason}");
            disk.empty();
            assert_eq!(drivers_of(&host), before, "{what}");
            host.api.get("/wrought/v1/drivers/acme").await.refused(404);
        }
        host.api.push("acme", component).await.ok();
        host.kill().await;
    });
}

async fn compilations(host: &Host) -> u64 {
    host.api.get("/wrought/v1/stats").await.ok()["driver_compilations"].as_u64().unwrap()
}

#[test]
fn a_host_compiles_each_version_once_in_its_life() {
    run(async {
        let mut host = Host::start(HostConfig::default()).await;
        let of_the_shipped = compilations(&host).await;
        host.api.install("acme", shipped::hostile("honest", "1.0.0", "")).await;
        assert_eq!(compilations(&host).await, of_the_shipped + 1);
        host.kill().await;
        host.start_again().await;
        assert_eq!(compilations(&host).await, 0);
        for name in ["acme", "direct", "fake"] {
            host.api.active_digest(name).await;
        }
    });
}

/// Puts other bytes in place of a file of the drivers' folder.
fn damage(host: &Host, digest: &str, end: &str, bytes: Option<&[u8]>) {
    let hex = digest.trim_start_matches("sha256:");
    let path = drivers_of(host).into_iter().find(|path| path.contains(hex) && path.ends_with(end)).unwrap();
    std::fs::remove_file(&path).unwrap();
    if let Some(bytes) = bytes {
        std::fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_broken_driver_stops_no_host_and_hides_no_node() {
    run(async {
        let mut world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let component = shipped::hostile("honest", "1.0.0", "");
        let digest = world.api().install("acme", component.clone()).await;
        let direct = world.api().active_digest("direct").await;
        let node = world.fake("acme", json!({})).await.uuid.clone();
        let path = format!("/v1/nodes/{node}");
        let target = json!({"target": "active"});

        for (end, bytes) in [(".wasm", Some(&b"damaged"[..])), (".wasm", None)] {
            world.host.kill().await;
            damage(&world.host, &digest, end, bytes);
            damage(&world.host, &direct, end, bytes);
            world.host.start_again().await;
            assert_eq!(world.api().get(&path).await.ok()["deploy_interface"], "acme");
            let reason = world.api().call(Method::PUT, &format!("{path}/states/provision"), &target).await.refused(400);
            assert!(reason.contains("acme"), "{reason}");
            assert!(world.host.log().contains("a driver cannot be loaded"));
            assert_eq!(world.api().active_digest("direct").await, direct, "a shipped one is in the binary");
            // The same bytes mend it.
            assert_eq!(world.api().install("acme", component.clone()).await, digest);
        }
        // Code is no loss: it is made again.
        world.host.kill().await;
        damage(&world.host, &digest, ".cwasm", Some(b"damaged"));
        world.host.start_again().await;
        assert_eq!(compilations(&world.host).await, 1);
        world.api().call(Method::PUT, &format!("{path}/states/provision"), &target).await.ok();
        until("the node is deployed", async || (world.api().get(&path).await.ok()["provision_state"] == "active").then_some(())).await;
    });
}

#[test]
fn a_version_is_deleted_only_when_nothing_refers_to_it() {
    run(async {
        let world = World::new(Setup { servers: 0, ..Setup::default() }).await;
        let api = world.api();
        let folder = TempDir::new().unwrap();
        let delete = async |name: &str, digest: &str| {
            let path = format!("/wrought/v1/drivers/{name}/versions/{digest}");
            api.send(Method::DELETE, &path, |request| request).await
        };
        let used = api.install("acme", shipped::hostile("honest", "1.0.0", "")).await;
        assert!(delete("acme", &used).await.refused(409).contains("in force"));
        let unused = api.push("acme", shipped::hostile("honest", "2.0.0", "")).await.ok()["digest"].as_str().unwrap().to_owned();
        let ran = wrought(folder.path(), api.url(), &["driver", "delete", "acme", &unused[..16]]).await.ended(0).text();
        assert!(ran.contains("is deleted"), "{ran}");
        assert!(drivers_of(&world.host).iter().all(|file| !file.contains(&unused[7..])));
        delete("acme", &unused).await.refused(404);
        delete("acme", "sha256:0").await.refused(404);

        let slow = api.install("slow", with_note(shipped::FAKE, "slow")).await;
        let waiting = world.fake("slow", json!({"fake_deploy_delay": 600})).await;
        waiting.provision("active").await;
        waiting.pass("deploying").await;
        api.install("slow", with_note(shipped::FAKE, "also slow")).await;
        let reason = delete("slow", &slow).await.refused(409);
        assert!(reason.contains("runs on it") && reason.contains(&waiting.uuid), "{reason}");

        let node = world.fake("acme", json!({})).await;
        node.provision("active").await;
        node.reach("active").await;
        api.install("acme", shipped::hostile("honest", "3.0.0", "")).await;
        let reason = delete("acme", &used).await.refused(409);
        assert!(reason.contains("the journal has") || reason.contains("keeps about node"), "{reason}");
        let shipped = api.active_digest("fake").await;
        assert!(delete("fake", &shipped).await.refused(409).contains("part of this host"));
        let names = api.get("/wrought/v1/drivers/acme").await.ok();
        assert_eq!(names["versions"].as_array().unwrap().len(), 2);
    });
}
