//! Drivers at rest and in force.

use std::sync::Arc;

use serde_json::json;
use wrought_domain::{DriverName, Function};
use wrought_drivers::{Answer, BrokenChain, Catalog, DriversConfig, Rejection, Runtime, call, serving, shipped};

use crate::host::{header, limits, runtime};
use crate::wasi::only_driver_interface;
use crate::world::Scripted;

fn name(name: &str) -> DriverName {
    name.parse().unwrap()
}

async fn catalog(folder: &tempfile::TempDir) -> Catalog {
    Catalog::open(runtime().await.clone(), folder.path()).await.unwrap()
}

#[tokio::test]
async fn a_version_is_stored_once_and_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = catalog(&folder).await;
    let bytes = shipped::hostile("honest", "1.0.0", "");
    let (one, two) = (first.admit(bytes.clone()).await.unwrap(), first.admit(bytes).await.unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 3, "direct, fake and this one; nothing half written");

    let again = catalog(&folder).await.version(&one.digest).await.unwrap();
    assert_eq!((again.digest.clone(), again.about.clone()), (one.digest.clone(), one.about.clone()));

    std::fs::write(folder.path().join(format!("{}.wasm", one.digest.hex())), shipped::FAKE).unwrap();
    let changed = catalog(&folder).await.version(&one.digest).await.unwrap_err();
    assert!(matches!(&changed, Rejection::Host(text) if text.contains("changed on disk")), "{changed}");
    assert!(matches!(
        catalog(&folder)
            .await
            .version(&"sha256:".to_owned().chars().chain("0".repeat(64).chars()).collect::<String>().parse().unwrap())
            .await,
        Err(Rejection::Host(_))
    ));
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&folder).await;
    for bad in [b"garbage".to_vec(), shipped::hostile("traps", "1.0.0", "")] {
        catalog.admit(bad).await.unwrap_err();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_new_version_is_for_what_begins_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&folder).await;
    let (old, new) = (
        catalog.admit(shipped::hostile("honest", "1.0.0", "")).await.unwrap(),
        catalog.admit(shipped::hostile("honest", "2.0.0", "")).await.unwrap(),
    );
    catalog.publish(name("acme"), old.clone());
    let in_flight = catalog.current();
    catalog.publish(name("acme"), new.clone());
    assert_eq!(in_flight.active[&name("acme")].digest, old.digest);
    assert_eq!(catalog.current().active[&name("acme")].digest, new.digest);
    assert_eq!(catalog.current().id, in_flight.id + 1);
    let answer = call(runtime().await, &old, header(&old, Function::Prepare, json!({})), Scripted::good(), None).await;
    assert_eq!(answer.record.outcome.answer, Ok(Answer::Done), "the older one still serves");
    catalog.publish(name("acme"), old.clone());
    assert_eq!(catalog.current().active[&name("acme")].digest, old.digest, "rolled back");
}

#[tokio::test]
async fn what_a_driver_does_not_export_its_base_serves() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&folder).await;
    let base = catalog.admit(shipped::hostile("honest", "1.0.0", "tiny")).await.unwrap();
    let tiny = catalog.admit(only_driver_interface()).await.unwrap();
    catalog.publish(name("acme"), base.clone());
    assert_eq!(catalog.current().chain(&name("acme")).unwrap_err(), BrokenChain::NotActive(name("tiny")));
    catalog.publish(name("tiny"), tiny);
    let chain = catalog.current().chain(&name("acme")).unwrap();
    assert_eq!(chain.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["acme", "tiny"]);
    assert_eq!(serving(&chain, Function::Prepare).unwrap().0, name("acme"));
    let alone = catalog.current().chain(&name("tiny")).unwrap();
    assert!(serving(&alone, Function::Prepare).is_none());

    let own_base = catalog.admit(shipped::hostile("honest", "1.0.0", "acme")).await.unwrap();
    catalog.publish(name("acme"), own_base);
    assert_eq!(catalog.current().chain(&name("acme")).unwrap_err(), BrokenChain::Circle(name("acme")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_calls_waits_its_turn_and_none_fails() {
    let runtime = Runtime::new(DriversConfig { concurrent_calls: 8, ..limits() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(runtime.clone(), folder.path()).await.unwrap();
    let driver = catalog.admit(shipped::FAKE.to_vec()).await.unwrap();
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
