//! Deny by default: what was not granted is answered `denied`, and so are effects where only looking is allowed.

use wrought_domain::Function;
use wrought_drivers::fault::Cause;
use wrought_drivers::{Answer, GRANTABLE, Grants, call, replay};

use crate::host::{hostile, hostile_header, runtime};
use crate::world::Scripted;

/// What came of one function of each interface, as `name=code` words.
async fn imports(function: Function, grants: Grants) -> (Vec<String>, Vec<String>) {
    let (driver, world) = (hostile().await, Scripted::granting([grants.clone()]));
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
            let effect = ["agent.run", "boot.set", "http.post", "locking", "network.add", "power.on", "redfish.patch"].contains(&name);
            assert_eq!(answer == "wrought.EffectForbidden", effect, "{function:?}: {word}");
        }
    }
}

#[test]
fn what_machines_share_is_granted_by_path_and_systems_never() {
    let grants = Grants::of(["redfish=/redfish/v1/UpdateService", "redfish"]).unwrap();
    assert_eq!(grants.scopes("redfish").collect::<Vec<_>>(), ["/redfish/v1/UpdateService"]);
    for wrong in [
        "",
        "/",
        "/redfish/v1",
        "/redfish/v1/",
        "UpdateService",
        "/redfish/v1/Update Service",
        "/redfish/v1/Chassis/..",
        "/redfish/v1/Systems/2",
    ] {
        assert!(Grants::of([format!("redfish={wrong}")]).is_err(), "{wrong}");
    }
}

#[test]
fn http_is_granted_by_destination_and_artifacts_by_name_or_digest() {
    for right in [
        "http=*@https://fw.example.com",
        "http=GET+POST@http://192.0.2.1:81",
        "http.get",
        "artifact=nic-fw.bin",
        "artifact=sha256:0123456789ab",
    ] {
        assert!(Grants::of([right]).is_ok(), "{right}");
    }
    for wrong in [
        "http=",
        "http=fw.example.com",
        "http=GET@https://fw/x",
        "http.connect",
        "artifact=",
        "artifact=../x",
        "artifact=sha256:01",
        "artifact.send",
    ] {
        assert!(Grants::of([wrong]).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_grant_that_does_not_exist_is_named() {
    assert!(Grants::of(["power", "moon"]).unwrap_err().to_string().contains("unknown capability \"moon\""));
}

#[tokio::test]
async fn what_was_not_granted_may_not_be_waited_for_either() {
    let driver = hostile().await;
    let mut header = hostile_header(driver, "wait", Function::Prepare);
    header.grants = Grants::default();
    let completed = call(runtime().await, driver, header, Scripted::granting([Grants::default()]), None).await;
    let Ok(Answer::Refused(error)) = completed.record.outcome.answer else { panic!("{:?}", completed.record.outcome) };
    assert_eq!(error.code, "wrought.NotGranted");
    assert_eq!(completed.denied.values().sum::<u32>(), 1, "{:?}", completed.denied);
}

/// What stands behind `=` or after the code of each word tells what came of it.
fn words(completed: &wrought_drivers::Completed) -> Vec<(String, bool)> {
    let Ok(Answer::Refused(error)) = &completed.record.outcome.answer else { panic!("{:?}", completed.record.outcome) };
    let word = |word: &str| word.split_once('=').map(|(name, answer)| (name.to_owned(), answer == "ok" || answer == "true")).unwrap();
    error.message.split_whitespace().map(word).collect()
}

#[tokio::test]
async fn what_is_granted_or_taken_back_holds_from_the_next_host_call_on_and_replays() {
    let driver = hostile().await;
    for (before, after) in [(Grants::all(), Grants::default()), (Grants::default(), Grants::all())] {
        for looks in 0..14 {
            let mut header = hostile_header(driver, "imports", Function::ExecuteDeployStep);
            header.grants = before.clone();
            let world = Scripted::granting(std::iter::repeat_n(before.clone(), looks).chain([after.clone()]));
            let completed = call(runtime().await, driver, header, world, None).await;
            for (index, (name, done)) in words(&completed).iter().enumerate() {
                assert_eq!(*done, if index < looks { !before.is_empty() } else { !after.is_empty() }, "{name} after {looks} looks");
            }
            replay(runtime().await, driver, &completed.record).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_function_may_be_granted_alone() {
    let (words, done) = imports(Function::ExecuteDeployStep, Grants::of(["power.get", "agent.current"]).unwrap()).await;
    let ok: Vec<&str> = words.iter().filter_map(|word| word.strip_suffix("=ok")).collect();
    assert_eq!(ok, ["agent", "power"]);
    assert!(done.is_empty(), "{done:?}");
}

#[tokio::test]
async fn a_revoked_version_makes_no_further_host_call_and_its_record_replays() {
    let driver = hostile().await;
    for host_calls in 0..14 {
        let header = hostile_header(driver, "imports", Function::ExecuteDeployStep);
        let completed = call(runtime().await, driver, header, Scripted::revoking_after(host_calls), None).await;
        let fault = completed.record.outcome.answer.as_ref().unwrap_err();
        assert_eq!((&fault.cause, fault.host_calls), (&Cause::Revoked { reason: "it burns".into() }, host_calls));
        assert!(fault.to_string().contains("was revoked") && fault.to_string().contains("it burns"), "{fault}");
        replay(runtime().await, driver, &completed.record).await.unwrap();
    }
}
