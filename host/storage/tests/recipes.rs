//! Deploy templates and runbooks in the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;
use wrought_domain::{DeployTemplate, Map, Principal, Runbook, RunbookStep, StepCall};
use wrought_storage::{Durability, RecipeQuery, Store, StoreError, rotate};

fn admin() -> Principal {
    Principal::noauth()
}

async fn open(dir: &TempDir) -> Store {
    Store::open(dir.path(), Durability::Normal).await.unwrap()
}

fn call(priority: Option<u32>) -> StepCall {
    let args: Map = [("password".to_owned(), "canary-5b1e".into())].into_iter().collect();
    StepCall { interface: "raid".into(), step: "apply".into(), args, priority, children: None }
}

fn template(name: &str) -> DeployTemplate {
    DeployTemplate {
        uuid: Uuid::new_v4(),
        name: name.into(),
        steps: vec![call(Some(40))],
        extra: Map::new(),
        description: None,
        created_at: Timestamp::now(),
        updated_at: None,
    }
}

fn runbook(name: &str, owner: Option<&str>, public: bool) -> Runbook {
    Runbook {
        uuid: Uuid::new_v4(),
        name: name.into(),
        steps: vec![RunbookStep { call: call(None), order: 3 }],
        disable_ramdisk: true,
        extra: Map::new(),
        public,
        owner: owner.map(str::to_owned),
        description: None,
        traits: vec!["CUSTOM_A".into()],
        created_at: Timestamp::now(),
        updated_at: None,
    }
}

fn of_project(project: &str) -> Principal {
    Principal { user: "u".into(), project: Some(project.into()), roles: vec!["member".into()], source: None }
}

#[tokio::test]
async fn what_is_stored_comes_back_by_uuid_and_by_name_and_names_are_taken_once() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let kept = store.add_recipe(&admin(), template("CUSTOM_A")).await.unwrap();
    for ident in [kept.uuid.to_string(), "CUSTOM_A".into()] {
        assert_eq!(store.recipe::<DeployTemplate>(&admin(), &ident).await.unwrap().as_ref(), Some(&kept));
    }
    assert_eq!(store.recipe::<Runbook>(&admin(), "CUSTOM_A").await.unwrap(), None);
    let taken = store.add_recipe(&admin(), template("CUSTOM_A")).await.unwrap_err().to_string();
    assert!(taken.contains("deploy template with name CUSTOM_A"), "{taken}");
    let again = DeployTemplate { uuid: kept.uuid, ..template("CUSTOM_B") };
    assert!(store.add_recipe(&admin(), again).await.unwrap_err().to_string().contains(&kept.uuid.to_string()));
    let book = store.add_recipe(&admin(), runbook("CUSTOM_A", None, false)).await.unwrap();
    assert_eq!(store.recipe::<Runbook>(&admin(), "CUSTOM_A").await.unwrap(), Some(book));
}

#[tokio::test]
async fn templates_are_found_by_the_traits_that_an_instance_asks_for() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    for name in ["CUSTOM_C", "CUSTOM_A", "CUSTOM_B"] {
        store.add_recipe(&admin(), template(name)).await.unwrap();
    }
    let names = ["CUSTOM_C".to_owned(), "CUSTOM_X".into(), "CUSTOM_A".into()];
    let found: Vec<String> = store.templates_named(&names).await.unwrap().into_iter().map(|template| template.name).collect();
    assert_eq!(found, ["CUSTOM_A", "CUSTOM_C"]);
    assert!(store.templates_named(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_change_that_somebody_else_made_in_between_is_not_lost() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let before = store.add_recipe(&admin(), template("CUSTOM_A")).await.unwrap();
    let renamed = store.update_recipe(&admin(), &before, DeployTemplate { name: "CUSTOM_B".into(), ..before.clone() }).await.unwrap();
    assert!(renamed.updated_at.is_some());
    let late = store.update_recipe(&admin(), &before, DeployTemplate { name: "CUSTOM_C".into(), ..before.clone() }).await;
    assert!(matches!(late, Err(StoreError::Stale { .. })));
    assert_eq!(store.recipe::<DeployTemplate>(&admin(), "CUSTOM_B").await.unwrap(), Some(renamed.clone()));
    store.add_recipe(&admin(), template("CUSTOM_D")).await.unwrap();
    let taken = store.update_recipe(&admin(), &renamed, DeployTemplate { name: "CUSTOM_D".into(), ..renamed.clone() }).await;
    assert!(matches!(taken, Err(StoreError::Duplicate(_))));
    store.delete_recipe(&admin(), &renamed).await.unwrap();
    assert!(matches!(store.delete_recipe(&admin(), &renamed).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn pages_follow_each_other_in_the_order_asked_for() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    for name in ["CUSTOM_C", "CUSTOM_A", "CUSTOM_B"] {
        store.add_recipe(&admin(), template(name)).await.unwrap();
    }
    let mut asked = RecipeQuery { limit: Some(2), sort_key: Some("name".into()), ..RecipeQuery::default() };
    let first = store.recipes::<DeployTemplate>(&admin(), &asked).await.unwrap();
    asked.marker = Some(first[1].uuid);
    let second = store.recipes::<DeployTemplate>(&admin(), &asked).await.unwrap();
    let names: Vec<&str> = first.iter().chain(&second).map(|template| template.name.as_str()).collect();
    assert_eq!(names, ["CUSTOM_A", "CUSTOM_B", "CUSTOM_C"]);
    asked.sort_key = Some("steps".into());
    assert!(matches!(store.recipes::<DeployTemplate>(&admin(), &asked).await, Err(StoreError::UnknownSortKey(_))));
}

#[tokio::test]
async fn a_project_sees_its_own_runbooks_and_public_ones_and_changes_its_own_alone() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    let theirs = store.add_recipe(&admin(), runbook("theirs", Some("p2"), false)).await.unwrap();
    let public = store.add_recipe(&admin(), runbook("public", None, true)).await.unwrap();
    let own = store.add_recipe(&of_project("p1"), runbook("own", Some("p1"), false)).await.unwrap();
    let seen = store.recipes::<Runbook>(&of_project("p1"), &RecipeQuery::default()).await.unwrap();
    assert_eq!(seen, [public.clone(), own.clone()]);
    assert_eq!(store.recipe::<Runbook>(&of_project("p1"), "theirs").await.unwrap(), None);
    for kept in [&theirs, &public] {
        assert!(store.delete_recipe(&of_project("p1"), kept).await.is_err());
        assert!(store.update_recipe(&of_project("p1"), kept, kept.clone()).await.is_err());
    }
    let stolen = Runbook { owner: Some("p2".into()), ..own.clone() };
    assert!(store.update_recipe(&of_project("p1"), &own, stolen).await.is_err());
    store.delete_recipe(&of_project("p1"), &own).await.unwrap();
    assert!(store.add_recipe(&of_project("p1"), template("CUSTOM_A")).await.is_err());
}

#[tokio::test]
async fn secrets_in_arguments_are_sealed_at_rest_and_after_a_new_key() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir).await;
    store.add_recipe(&admin(), template("CUSTOM_A")).await.unwrap();
    store.add_recipe(&admin(), runbook("book", None, false)).await.unwrap();
    store.close().await;
    rotate(dir.path(), None, &mut |_, _| {}).await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(11).any(|part| part == b"canary-5b1e"), "{}", path.display());
    }
    let store = Store::open(dir.path(), Durability::Normal).await.unwrap();
    let book = store.recipe::<Runbook>(&admin(), "book").await.unwrap().unwrap();
    assert_eq!((book.steps[0].call.args["password"].as_str(), book.steps[0].order), (Some("canary-5b1e"), 3));
}
