//! Drivers at rest and in force.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use wrought_domain::{Digest, DriverName, Function};
use wrought_drivers::{
    Answer, BrokenChain, Catalog, Compiler, Driver, DriversConfig, InForce, InUse, Rejection, Runtime, call, serving, shipped,
};

use crate::host::{header, limits, runtime};
use crate::wasi::only_driver_interface;
use crate::world::Scripted;

fn name(name: &str) -> DriverName {
    name.parse().unwrap()
}

async fn catalog(folder: &tempfile::TempDir) -> Catalog {
    Catalog::open(runtime().await.clone(), folder.path()).await.unwrap()
}

/// A host of its own, so that its compilations can be counted.
async fn new_host(folder: &tempfile::TempDir) -> Catalog {
    Catalog::open(Runtime::new(limits(), Compiler::InProcess).unwrap(), folder.path()).await.unwrap()
}

async fn admit(catalog: &Catalog, component: Vec<u8>) -> Arc<Driver> {
    catalog.admit(component).await.unwrap().driver
}

/// The files of a catalog that end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let own = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    own.filter(|path| path.extension().is_some_and(|extension| extension == end)).collect()
}

#[tokio::test]
async fn a_version_is_stored_once_and_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = catalog(&folder).await;
    let bytes = shipped::hostile("honest", "1.0.0", "");
    let (one, two) = (admit(&first, bytes.clone()).await, admit(&first, bytes.clone()).await);
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(files(folder.path(), "wasm").len(), 1);
    assert_eq!(first.component(&one.digest).await.unwrap(), bytes);

    let again = catalog(&folder).await.version(&one.digest).await.unwrap();
    assert_eq!((again.digest.clone(), again.about.clone()), (one.digest.clone(), one.about.clone()));

    let nobody = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    assert!(matches!(catalog(&folder).await.version(&nobody).await.unwrap_err().why, Rejection::Host(_)));
}

#[tokio::test]
async fn a_damaged_component_is_refused_by_name_and_mended_by_the_same_upload() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = shipped::hostile("honest", "1.0.0", "");
    let digest = admit(&catalog(&folder).await, bytes.clone()).await.digest.clone();
    for damage in [shipped::FAKE, &bytes[..100], b""] {
        std::fs::write(folder.path().join(format!("{}.wasm", digest.hex())), damage).unwrap();
        let damaged = catalog(&folder).await;
        let refused = damaged.version(&digest).await.unwrap_err().why;
        assert!(matches!(&refused, Rejection::Host(text) if text.contains("changed on disk")), "{refused}");
        assert_eq!(admit(&damaged, bytes.clone()).await.digest, digest);
        assert_eq!(damaged.component(&digest).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_start_with_everything_compiled_compiles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = new_host(&folder).await;
    for shipped in shipped::all() {
        first.shipped(&shipped).await.unwrap();
    }
    let uploaded = admit(&first, shipped::hostile("honest", "1.0.0", "")).await.digest.clone();
    assert_eq!(first.runtime().compilations(), u64::try_from(shipped::all().len()).unwrap() + 1);

    let again = new_host(&folder).await;
    for shipped in shipped::all() {
        let admitted = again.shipped(&shipped).await.unwrap();
        assert!(admitted.report.stages.iter().any(|stage| stage.details.get("cached") == Some(&json!(true))), "{:?}", admitted.report);
    }
    again.version(&uploaded).await.unwrap();
    assert_eq!(again.runtime().compilations(), 0);
}

#[tokio::test]
async fn code_that_this_host_did_not_write_is_never_loaded_but_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let first = new_host(&folder).await;
    let one = admit(&first, shipped::hostile("honest", "1.0.0", "")).await.digest.clone();
    let two = admit(&first, shipped::hostile("honest", "2.0.0", "")).await.digest.clone();
    let aot = folder.path().join("aot");
    let code = |digest: &Digest| files(&aot, "cwasm").into_iter().find(|path| path.to_string_lossy().contains(digest.hex())).unwrap();
    let mac = |digest: &Digest| code(digest).with_extension("mac");
    for secret in files(&aot, "cwasm").iter().chain(&files(&aot, "mac")).chain(&[aot.join("key")]) {
        assert_eq!(std::fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600, "{}", secret.display());
    }
    assert_eq!(std::fs::metadata(&aot).unwrap().permissions().mode() & 0o777, 0o700);

    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let swap = |_: &Path| {
        std::fs::copy(code(&two), code(&one)).unwrap();
        std::fs::copy(mac(&two), mac(&one)).unwrap();
    };
    let cut = |path: &Path| std::fs::write(path, b"").unwrap();
    let damages: [(&str, &dyn Fn()); 6] = [
        ("code of another component, with its hash", &|| swap(&aot)),
        ("a changed byte", &|| flip(&code(&one))),
        ("a changed hash", &|| flip(&mac(&one))),
        ("nothing in it", &|| cut(&code(&one))),
        ("no hash", &|| std::fs::remove_file(mac(&one)).unwrap()),
        ("no code", &|| std::fs::remove_file(code(&one)).unwrap()),
    ];
    for (what, damage) in damages {
        damage();
        let again = new_host(&folder).await;
        assert_eq!(again.version(&one).await.unwrap().about.version, "1.0.0", "{what}");
        assert_eq!(again.runtime().compilations(), 1, "{what}");
        assert_eq!(new_host(&folder).await.version(&one).await.unwrap().digest, one, "{what}: it is whole again");
    }
    std::fs::write(aot.join("key"), "short").unwrap();
    let again = new_host(&folder).await;
    again.version(&one).await.unwrap();
    assert_eq!(again.runtime().compilations(), 1, "under another key nothing is known");
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&folder).await;
    for bad in [b"garbage".to_vec(), shipped::hostile("traps", "1.0.0", "")] {
        catalog.admit(bad).await.unwrap_err();
    }
    let broken = futures::stream::iter([Ok(Bytes::from_static(shipped::FAKE)), Err("gone")]);
    assert_eq!(catalog.receive(None, broken).await.unwrap_err().why, Rejection::BrokenOff);
    let announced = catalog.receive(Some(65 << 20), futures::stream::pending::<Result<Bytes, ()>>()).await.unwrap_err().why;
    assert_eq!(announced, Rejection::TooLarge { limit_mib: 64 });
    assert_eq!(left(folder.path()), ["aot", "key"]);
}

/// The names of all files.
fn left(folder: &Path) -> Vec<String> {
    let own = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    let mut all = [own(folder), own(&folder.join("aot"))].concat();
    all.sort();
    all
}

#[tokio::test]
async fn what_a_crash_left_half_done_is_gone_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(catalog(&folder).await);
    for leftover in ["upload-x1.part", "aot/x2.part", "aot/0123-0123456789abcdef.cwasm", "aot/x3.cwasm"] {
        std::fs::write(folder.path().join(leftover), "half").unwrap();
    }
    drop(catalog(&folder).await);
    assert_eq!(left(folder.path()), ["aot", "key"]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_does_not_end_is_ended_and_others_wait_for_a_turn() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(catalog(&folder).await);
    let endless = || futures::stream::pending::<Result<Bytes, ()>>();
    let two: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn({
                let catalog = catalog.clone();
                async move { catalog.receive(None, endless()).await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(catalog.receive(None, endless()).await.unwrap_err().why, Rejection::Busy);
    for slow in two {
        assert_eq!(slow.await.unwrap().unwrap_err().why, Rejection::TooSlow { limit_s: 600 });
    }
    assert_eq!(left(folder.path()), ["aot", "key"]);
}

#[tokio::test]
async fn a_version_in_use_is_not_unloaded_and_one_that_is_not_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&folder).await;
    let (old, new) = (shipped::hostile("honest", "1.0.0", ""), shipped::hostile("honest", "2.0.0", ""));
    let (old, new) = (admit(&catalog, old).await, admit(&catalog, new).await);
    let digest = old.digest.clone();
    catalog.publish(name("acme"), InForce::of(old));
    let in_flight = catalog.current();
    catalog.publish(name("acme"), InForce::of(new));
    assert_eq!(catalog.unload(&digest), Err(InUse));
    drop(in_flight);
    catalog.unload(&digest).unwrap();
    catalog.remove(&digest).await.unwrap();
    assert!(left(folder.path()).iter().all(|file| !file.contains(digest.hex())));
    catalog.version(&digest).await.unwrap_err();
}

#[tokio::test]
async fn a_new_version_is_for_what_begins_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&folder).await;
    let (old, new) =
        (admit(&catalog, shipped::hostile("honest", "1.0.0", "")).await, admit(&catalog, shipped::hostile("honest", "2.0.0", "")).await);
    catalog.publish(name("acme"), InForce::of(old.clone()));
    let in_flight = catalog.current();
    catalog.publish(name("acme"), InForce::of(new.clone()));
    assert_eq!(in_flight.active(&name("acme")).unwrap().digest, old.digest);
    assert_eq!(catalog.current().active(&name("acme")).unwrap().digest, new.digest);
    assert_eq!(catalog.current().id, in_flight.id + 1);
    let answer = call(runtime().await, &old, header(&old, Function::Prepare, json!({})), Scripted::good(), None).await;
    assert_eq!(answer.record.outcome.answer, Ok(Answer::Done), "the older one still serves");
    catalog.publish(name("acme"), InForce::of(old.clone()));
    assert_eq!(catalog.current().active(&name("acme")).unwrap().digest, old.digest, "rolled back");
}

#[tokio::test]
async fn what_a_driver_does_not_export_its_base_serves() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&folder).await;
    let base = admit(&catalog, shipped::hostile("honest", "1.0.0", "tiny")).await;
    let tiny = admit(&catalog, only_driver_interface()).await;
    catalog.publish(name("acme"), InForce::of(base.clone()));
    assert_eq!(catalog.current().chain(&name("acme")).unwrap_err(), BrokenChain::NotActive(name("tiny")));
    catalog.publish(name("tiny"), InForce::of(tiny));
    let chain = catalog.current().chain(&name("acme")).unwrap();
    assert_eq!(chain.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["acme", "tiny"]);
    assert_eq!(serving(&chain, Function::Prepare).unwrap().0, name("acme"));
    let alone = catalog.current().chain(&name("tiny")).unwrap();
    assert!(serving(&alone, Function::Prepare).is_none());

    let own_base = admit(&catalog, shipped::hostile("honest", "1.0.0", "acme")).await;
    catalog.publish(name("acme"), InForce::of(own_base));
    assert_eq!(catalog.current().chain(&name("acme")).unwrap_err(), BrokenChain::Circle(name("acme")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_calls_waits_its_turn_and_none_fails() {
    let runtime = Runtime::new(DriversConfig { concurrent_calls: 8, ..limits() }, Compiler::InProcess).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(runtime.clone(), folder.path()).await.unwrap();
    let driver = catalog.admit(shipped::FAKE).await.unwrap().driver;
    let crowd = (0..500).map(|_| {
        let (runtime, driver) = (runtime.clone(), driver.clone());
        tokio::spawn(async move {
            let header = header(&driver, Function::Validate, json!({}));
            call(&runtime, &driver, header, Scripted::good(), None).await.record.outcome.answer
        })
    });
    for answer in futures::future::join_all(crowd).await {
        assert_eq!(answer.unwrap(), Ok(Answer::Done));
    }
}
