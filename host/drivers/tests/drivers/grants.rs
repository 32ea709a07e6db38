//! Deny by default: what was not granted is answered `denied`, and so are effects where only looking is allowed.

use wrought_domain::Function;
use wrought_drivers::{Answer, GRANTABLE, Grants, call};

use crate::host::{hostile, hostile_header, runtime};
use crate::world::Scripted;

/// What came of one function of each interface, as `name=code` words.
async fn imports(function: Function, grants: Grants) -> (Vec<String>, Vec<String>) {
    let (driver, world) = (hostile().await, Scripted::good());
    let mut header = hostile_header(driver, "imports", function);
    header.grants = grants;
    let completed = call(runtime().await, driver, header, world.clone(), None).await;
    let Ok(Answer::Refused(error)) = completed.record.outcome.answer else { panic!("{:?}", completed.record.outcome) };
    let done = world.machine().done.clone();
    (error.message.split_whitespace().map(str::to_owned).collect(), done)
}

#[tokio::test]
async fn without_a_grant_every_capability_is_denied_and_nothing_is_done() {
    let (words, done) = imports(Function::ExecuteDeployStep, Grants::default()).await;
    assert!(done.is_empty(), "{done:?}");
    for word in &words {
        let expected = match word.split_once('=').unwrap() {
            ("config-drive", answer) => answer == "false",
            ("report", code) => code != "ok",
            (_, code) => code == "wrought.NotGranted",
        };
        assert!(expected, "{word}");
    }
    for interface in GRANTABLE {
        assert!(words.iter().any(|word| word.starts_with(interface)), "{interface} was not tried");
    }
}

#[tokio::test]
async fn each_grant_opens_its_own_interface_and_no_other() {
    for granted in GRANTABLE {
        let (words, _) = imports(Function::ExecuteDeployStep, Grants::of([granted]).unwrap()).await;
        for word in words {
            let (name, answer) = word.split_once('=').unwrap();
            let interface = if name == "config-drive" { "image" } else { name.split('.').next().unwrap() };
            assert_eq!(matches!(answer, "ok" | "true"), interface == granted, "{word} with {granted}");
        }
    }
}

#[tokio::test]
async fn functions_that_only_look_may_not_change_the_world() {
    for function in [Function::Validate, Function::GetDeploySteps, Function::GetCleanSteps] {
        let (words, done) = imports(function, Grants::all()).await;
        assert!(done.is_empty(), "{done:?}");
        for word in words {
            let (name, answer) = word.split_once('=').unwrap();
            let effect = ["agent.run", "boot.set", "locking", "network.add", "power.on"].contains(&name);
            assert_eq!(answer == "wrought.EffectForbidden", effect, "{function:?}: {word}");
        }
    }
}

#[tokio::test]
async fn a_grant_that_does_not_exist_is_named() {
    assert_eq!(Grants::of(["power", "moon"]).unwrap_err().0, "moon");
}

#[tokio::test]
async fn what_was_not_granted_may_not_be_waited_for_either() {
    let driver = hostile().await;
    let mut header = hostile_header(driver, "wait", Function::Prepare);
    header.grants = Grants::default();
    let completed = call(runtime().await, driver, header, Scripted::good(), None).await;
    let Ok(Answer::Refused(error)) = completed.record.outcome.answer else { panic!("{:?}", completed.record.outcome) };
    assert_eq!(error.code, "wrought.NotGranted");
}
