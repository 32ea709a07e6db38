//! What drivers may ask of a controller.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wrought_hardware::egress::EgressPolicy;
use wrought_hardware::redfish::guest::path::Verb;
use wrought_hardware::redfish::guest::{Answer, Guest};
use wrought_hardware::redfish::{RedfishRegistry, RedfishTarget};
use wrought_hardware::secrets::Secrets;
use wrought_hardware::{HardwareError, ImageConfig, Kind, RedfishConfig};

use crate::mock_bmc::{MockBmc, Odd, SYSTEM, error};

const FANS: &str = "/redfish/v1/Systems/1/Oem/Acme/Fans";
const UPDATE: &str = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate";
const TASK: &str = "/redfish/v1/TaskService/Tasks/7";

fn resource(mock: &MockBmc, path: &str, value: Value) {
    mock.resources.lock().unwrap().insert(path.to_owned(), value);
}

fn guest(mock: &MockBmc, granted: &[&str]) -> Guest {
    let granted: Vec<String> = granted.iter().map(|root| (*root).to_owned()).collect();
    RedfishRegistry::new(RedfishConfig::default()).guest(&mock.target(), &granted).unwrap()
}

fn body(value: Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}

async fn ask(guest: &Guest, verb: Verb, path: &str, value: Value) -> Result<Answer, HardwareError> {
    let mut question = guest.question(verb, path, body(value)).await?;
    question.fill(&Secrets::default(), &policy()).await?;
    guest.ask(&question).await
}

fn policy() -> Arc<EgressPolicy> {
    EgressPolicy::new(&ImageConfig::default())
}

fn code<T: std::fmt::Debug>(result: Result<T, HardwareError>) -> (Kind, String) {
    let error = result.unwrap_err();
    (error.kind, error.code)
}

#[tokio::test]
async fn a_change_is_sent_with_the_etag_of_the_resource_as_it_is_now() {
    let mut refused = false;
    let mock = MockBmc::start(move |seen, _| match seen.line.as_str() {
        "GET /redfish/v1/Systems/1/Oem/Acme/Fans" => {
            let etag = if refused { "\"2\"" } else { "\"1\"" };
            Odd::Answer(200, vec![("ETag", etag.to_owned())], json!({"Profile": "Full", "AdminPassword": "canary", "Owner": "right"}))
        }
        "PATCH /redfish/v1/Systems/1/Oem/Acme/Fans" if seen.header("if-match") == Some("\"1\"") => {
            refused = true;
            error(412, "PreconditionFailed")
        }
        _ => Odd::Usual,
    })
    .await;
    resource(&mock, FANS, json!({}));
    let guest = guest(&mock, &[]);
    let read = ask(&guest, Verb::Get, FANS, Value::Null).await.unwrap();
    assert_eq!((read.status, read.etag.as_deref()), (200, Some("\"1\"")));
    // A secret by its name, and the password of this very account.
    assert_eq!(read.body, json!({"Profile": "Full", "AdminPassword": "******", "Owner": "******"}));
    ask(&guest, Verb::Patch, FANS, json!({"Profile": "Quiet"})).await.unwrap();
    let sent: Vec<_> = mock.seen(&format!("PATCH {FANS}")).iter().map(|seen| seen.header("if-match").map(str::to_owned)).collect();
    assert_eq!(sent, [Some("\"1\"".to_owned()), Some("\"2\"".to_owned())]);
}

#[tokio::test]
async fn the_controllers_own_refusal_is_the_answer() {
    let mock = MockBmc::start(|seen, _| {
        if seen.line.starts_with("POST /redfish/v1/Systems/1/Oem") { error(403, "OemLicenseNotPassed") } else { Odd::Usual }
    })
    .await;
    let refused = ask(&guest(&mock, &[]), Verb::Post, "/redfish/v1/Systems/1/Oem/Acme/Actions/Acme.Blink", json!({})).await;
    assert_eq!(code(refused), (Kind::Failed, "redfish.OemLicenseNotPassed".into()));
    let missing = ask(&guest(&mock, &[]), Verb::Patch, FANS, json!({"a": 1})).await;
    assert_eq!(code(missing), (Kind::NotFound, "redfish.Http404".into()));
    assert!(mock.seen("PATCH").is_empty(), "what is not there is not changed");
}

#[tokio::test]
async fn what_is_made_and_what_goes_on_is_named() {
    let mock = MockBmc::start(|seen, _| match seen.line.as_str() {
        "POST /redfish/v1/Systems/1/Oem/Acme/Profiles" => {
            Odd::Answer(201, vec![("Location", "/redfish/v1/Systems/1/Oem/Acme/Profiles/1".into())], Value::Null)
        }
        "POST /redfish/v1/Systems/1/Oem/Acme/Actions/Acme.Test" => Odd::Answer(202, vec![], json!({"@odata.id": TASK, "TaskState": "New"})),
        "POST /redfish/v1/Systems/1/Oem/Acme/Actions/Acme.Away" => {
            Odd::Answer(202, vec![("Location", "http://192.0.2.1/redfish/v1/TaskService/Tasks/1".into())], Value::Null)
        }
        _ => Odd::Usual,
    })
    .await;
    let guest = guest(&mock, &[]);
    let post = async |path: &str| ask(&guest, Verb::Post, &format!("/redfish/v1/Systems/1/Oem/Acme/{path}"), json!({})).await.unwrap();
    let made = post("Profiles").await;
    assert_eq!((made.status, made.location.as_deref(), made.task), (201, Some("/redfish/v1/Systems/1/Oem/Acme/Profiles/1"), None));
    let begun = post("Actions/Acme.Test").await;
    assert_eq!((begun.status, begun.location, begun.task.as_deref()), (202, None, Some(TASK)));
    assert_eq!(post("Actions/Acme.Away").await.task, None, "another server's task is none of this controller");
}

#[tokio::test]
async fn tasks_are_followed_to_their_end() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let guest = guest(&mock, &[]);
    for (task, ended) in [
        (json!({"TaskState": "Running"}), false),
        (json!({"TaskState": "Suspended"}), false),
        (json!({"TaskState": "Completed"}), true),
        (json!({"TaskState": "Exception"}), true),
        (json!({"JobState": "Downloading"}), false),
        (json!({"JobState": "CompletedWithErrors"}), true),
        (json!({}), true),
    ] {
        resource(&mock, TASK, task.clone());
        assert_eq!(guest.has_ended(TASK).await, Ok(ended), "{task}");
    }
    mock.resources.lock().unwrap().remove(TASK);
    assert_eq!(guest.has_ended(TASK).await, Ok(true), "it is gone");
    assert_eq!(guest.has_ended("/redfish/v1/Systems/2").await, Ok(true), "who may not read it is told so");
    let busy = MockBmc::start(|seen, _| match seen.line.as_str() {
        "GET /redfish/v1/TaskService/TaskMonitors/1" => Odd::Answer(202, vec![], Value::Null),
        "GET /redfish/v1/TaskService/TaskMonitors/2" => error(503, "ServiceTemporarilyUnavailable"),
        _ => Odd::Usual,
    })
    .await;
    let guest = self::guest(&busy, &[]);
    assert_eq!(guest.has_ended("/redfish/v1/TaskService/TaskMonitors/1").await, Ok(false));
    assert_eq!(guest.has_ended("/redfish/v1/TaskService/TaskMonitors/2").await, Ok(false));
}

#[tokio::test]
async fn a_task_that_is_about_another_machine_is_not_shown() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let task = |target: &str| json!({"TaskState": "Running", "Payload": {"TargetUri": target}});
    for (target, granted, shown) in [
        ("/redfish/v1/Systems/1/Bios", &[][..], true),
        ("/redfish/v1/Systems/2/Bios", &[], false),
        ("http://192.0.2.1/redfish/v1/Systems/1", &[], false),
        (UPDATE, &[], false),
        (UPDATE, &["/redfish/v1/UpdateService"], true),
    ] {
        resource(&mock, TASK, task(target));
        let answer = ask(&guest(&mock, granted), Verb::Get, TASK, Value::Null).await;
        assert_eq!(answer.is_ok(), shown, "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_where_the_same_could_be_asked() {
    let mock = MockBmc::start(|seen, _| {
        let to = |path: &str| Odd::Answer(308, vec![("Location", path.to_owned())], Value::Null);
        match seen.line.as_str() {
            "GET /redfish/v1/Systems/1/Oem/Acme/Old" => to(FANS),
            "GET /redfish/v1/Systems/1/Oem/Acme/Trap" => to("/redfish/v1/AccountService/Accounts/1"),
            "POST /redfish/v1/Systems/1/Oem/Acme/Trap" => to("/redfish/v1/Systems/2/Actions/ComputerSystem.Reset"),
            _ => Odd::Usual,
        }
    })
    .await;
    resource(&mock, FANS, json!({"Profile": "Full"}));
    let guest = guest(&mock, &[]);
    let read = ask(&guest, Verb::Get, "/redfish/v1/Systems/1/Oem/Acme/Old", Value::Null).await.unwrap();
    assert_eq!(read.body["Profile"], "Full");
    let trap = "/redfish/v1/Systems/1/Oem/Acme/Trap";
    for verb in [Verb::Get, Verb::Post] {
        assert_eq!(code(ask(&guest, verb, trap, Value::Null).await), (Kind::Denied, "redfish.ForeignLink".into()));
    }
    assert!(mock.seen("GET /redfish/v1/AccountService").is_empty() && mock.seen("POST /redfish/v1/Systems/2").is_empty());
}

#[tokio::test]
async fn a_manager_of_several_systems_is_read_freely_and_changed_with_grant_and_lock() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let manager = "/redfish/v1/Managers/1";
    let serves = |ids: &[&str]| {
        let links: Vec<Value> = ids.iter().map(|id| json!({"@odata.id": format!("/redfish/v1/Systems/{id}")})).collect();
        json!({"Oem": {}, "Links": {"ManagerForServers": links}})
    };
    resource(&mock, manager, serves(&["1"]));
    let question = async |granted: &[&str], verb| guest(&mock, granted).question(verb, manager, body(json!({"Oem": {}}))).await;
    assert!(!question(&[], Verb::Patch).await.unwrap().needs_lock(), "it is this machine's alone");
    resource(&mock, manager, serves(&["1", "2"]));
    assert!(!question(&[], Verb::Get).await.unwrap().needs_lock());
    assert_eq!(code(question(&[], Verb::Patch).await), (Kind::Denied, "wrought.NotGranted".into()));
    assert!(question(&[manager], Verb::Patch).await.unwrap().needs_lock());
    let update = guest(&mock, &["/redfish/v1/UpdateService"]).question(Verb::Post, UPDATE, body(json!({}))).await.unwrap();
    assert!(update.needs_lock());
}

#[tokio::test]
async fn what_does_not_say_whose_it_is_is_shared() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let (manager, chassis) = ("/redfish/v1/Managers/1", "/redfish/v1/Chassis/1");
    let one = json!([{ "@odata.id": SYSTEM }]);
    let mut system = mock.resources.lock().unwrap()[SYSTEM].clone();
    system["Links"]["Chassis"] = json!([{ "@odata.id": chassis }]);
    resource(&mock, SYSTEM, system);
    for (path, links, is_alone) in [
        (manager, json!({ "ManagerForServers": one }), true),
        (manager, json!({ "ManagerForServers": [] }), false),
        (manager, json!({}), false),
        (manager, json!({ "ManagerForServers": one, "ManagerForServers@odata.nextLink": "/redfish/v1/Managers/1?$skip=1" }), false),
        (manager, json!({ "ManagerForServers": [{ "@odata.id": "http://192.0.2.1/redfish/v1/Systems/1" }] }), false),
        (chassis, json!({ "ComputerSystems": one }), true),
        (chassis, json!({ "ComputerSystems": one, "Contains": [] }), true),
        (chassis, json!({ "ComputerSystems": one, "Contains": [{ "@odata.id": "/redfish/v1/Chassis/2" }] }), false),
        (chassis, json!({ "ComputerSystems": [] }), false),
        (chassis, Value::Null, false),
    ] {
        resource(&mock, path, json!({ "Links": links }));
        let question = guest(&mock, &[]).question(Verb::Patch, path, body(json!({ "Oem": {} }))).await;
        assert_eq!(question.map(|question| question.needs_lock()).ok(), is_alone.then_some(false), "{path} {links}");
        let granted = guest(&mock, &[path]).question(Verb::Patch, path, body(json!({ "Oem": {} }))).await.unwrap();
        assert_eq!(granted.needs_lock(), !is_alone, "{path} {links}");
        // Nor may a body name it for a change.
        let named = guest(&mock, &[]).question(Verb::Patch, FANS, body(json!({ "Of": path }))).await;
        assert_eq!(named.is_ok(), is_alone, "{path} {links}");
    }
}

#[tokio::test]
async fn a_path_in_a_body_is_judged_as_the_request_that_it_may_become() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let guest = guest(&mock, &["/redfish/v1/JobService", "/redfish/v1/UpdateService"]);
    let job =
        |target: &str| json!({"Payload": {"HttpOperation": "POST", "TargetUri": target, "JsonBody": "{\"ResetType\": \"ForceOff\"}"}});
    let reset = format!("{SYSTEM}/Actions/ComputerSystem.Reset");
    for target in [reset.clone(), reset.trim_start_matches('/').to_owned(), format!("http://{}{reset}", mock.address)] {
        for (verb, path) in [(Verb::Post, "/redfish/v1/JobService/Jobs"), (Verb::Patch, "/redfish/v1/JobService/Jobs/1")] {
            let refused = guest.question(verb, path, body(job(&target))).await;
            assert_eq!(code(refused), (Kind::Denied, "wrought.UsePower".into()), "{target}");
        }
    }
    let drive = "/redfish/v1/Systems/1/VirtualMedia/Cd";
    assert_eq!(code(guest.question(Verb::Patch, FANS, body(json!({"At": drive}))).await), (Kind::Denied, "wrought.UseBoot".into()));
    let task = guest.question(Verb::Patch, FANS, body(json!({ "At": TASK }))).await;
    assert_eq!(code(task), (Kind::Denied, "wrought.NotGranted".into()));
    let update = json!({"ImageURI": "http://192.0.2.1/fw.bin", "Targets": ["/redfish/v1/UpdateService/FirmwareInventory/BIOS", SYSTEM]});
    assert!(guest.question(Verb::Post, UPDATE, body(update)).await.unwrap().needs_lock());
    // What the body of a change names is shared, and so is the change.
    let shared = guest.question(Verb::Patch, FANS, body(json!({"At": "/redfish/v1/UpdateService"}))).await.unwrap();
    assert!(shared.needs_lock());
}

#[tokio::test]
async fn an_import_of_settings_that_may_restart_the_machine_is_refused() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    resource(&mock, "/redfish/v1/Managers/1", json!({"Links": {"ManagerForServers": [{"@odata.id": SYSTEM}]}}));
    let guest = guest(&mock, &[]);
    let import = "/redfish/v1/Managers/1/Actions/Oem/EID_674_Manager.ImportSystemConfiguration";
    for value in [json!({"ImportBuffer": "<a/>"}), json!({"ShutdownType": "Graceful"}), json!({"ShutdownType": null}), Value::Null] {
        let refused = guest.question(Verb::Post, import, body(value.clone())).await;
        assert_eq!(code(refused), (Kind::Denied, "wrought.UsePower".into()), "{value}");
    }
    assert!(guest.question(Verb::Post, import, body(json!({"ImportBuffer": "<a/>", "ShutdownType": "NoReboot"}))).await.is_ok());
}

#[tokio::test]
async fn a_refusal_at_a_path_that_a_driver_chose_is_no_word_about_the_account() {
    for kind in ["session", "session without a path", "basic"] {
        let mock = MockBmc::start(move |seen, _| match seen.line.as_str() {
            "POST /redfish/v1/SessionService/Sessions" if kind == "basic" => error(404, "ResourceMissingAtURI"),
            "POST /redfish/v1/SessionService/Sessions" if kind == "session without a path" => {
                Odd::Answer(201, vec![("X-Auth-Token", "token-1".to_owned())], Value::Null)
            }
            line if line.ends_with(FANS) => error(401, "InsufficientPrivilege"),
            _ => Odd::Usual,
        })
        .await;
        let registry = RedfishRegistry::new(RedfishConfig::default());
        let guest = registry.guest(&mock.target(), &[]).unwrap();
        for verb in [Verb::Get, Verb::Post, Verb::Get] {
            assert_eq!(code(ask(&guest, verb, FANS, Value::Null).await), (Kind::Failed, "redfish.InsufficientPrivilege".into()));
        }
        assert!(registry.get(&mock.target()).unwrap().power_state().await.is_ok(), "the account is not held back");
        assert_eq!(mock.seen("POST /redfish/v1/SessionService/Sessions").len(), 1, "nobody logs in anew for it");
    }
    // A session that has ended is still renewed.
    let mut refused = false;
    let mock = MockBmc::start(move |seen, _| match seen.line.as_str() {
        "GET /redfish/v1/SessionService/Sessions/7" => error(401, "NoValidSession"),
        line if line.ends_with(FANS) && !std::mem::replace(&mut refused, true) => error(401, "NoValidSession"),
        _ => Odd::Usual,
    })
    .await;
    resource(&mock, FANS, json!({}));
    assert_eq!(ask(&guest(&mock, &[]), Verb::Get, FANS, Value::Null).await.unwrap().status, 200);
    assert_eq!(mock.seen("POST /redfish/v1/SessionService/Sessions").len(), 2);
}

#[tokio::test]
async fn a_task_that_does_not_say_whose_it_is_is_shown_to_whom_it_was_named() {
    const MONITOR: &str = "/redfish/v1/TaskService/TaskMonitors/7";
    let mock = MockBmc::start(|seen, _| match seen.line.as_str() {
        "POST /redfish/v1/Systems/1/Oem/Acme/Actions/Acme.Test" => {
            Odd::Answer(202, vec![("Location", MONITOR.into())], json!({"@odata.id": TASK, "TaskState": "New"}))
        }
        _ => Odd::Usual,
    })
    .await;
    for path in [MONITOR, TASK, "/redfish/v1/TaskService/Tasks/7/SubTasks/1", "/redfish/v1/TaskService/Tasks/77"] {
        resource(&mock, path, json!({"TaskState": "Completed", "Result": "of somebody"}));
    }
    let registry = RedfishRegistry::new(RedfishConfig::default());
    let guest = |granted: &[String]| registry.guest(&mock.target(), granted).unwrap();
    let read = async |path: &str| ask(&guest(&[]), Verb::Get, path, Value::Null).await;
    for path in [MONITOR, TASK] {
        assert_eq!(code(read(path).await), (Kind::Denied, "wrought.PathDenied".into()));
        assert_eq!(guest(&["/redfish/v1/TaskService".into()]).has_ended(path).await, Ok(true), "a wait tells no more than that");
    }
    assert_eq!(code(read("/redfish/v1/TaskService/Tasks/8").await), (Kind::NotFound, "redfish.Http404".into()));
    ask(&guest(&[]), Verb::Post, "/redfish/v1/Systems/1/Oem/Acme/Actions/Acme.Test", json!({})).await.unwrap();
    for path in [MONITOR, TASK, "/redfish/v1/TaskService/Tasks/7/", "/redfish/v1/TaskService/Tasks/7/SubTasks/1"] {
        assert!(read(path).await.is_ok(), "{path}");
    }
    assert_eq!(code(read("/redfish/v1/TaskService/Tasks/77").await), (Kind::Denied, "wrought.PathDenied".into()));
}

#[tokio::test]
async fn links_of_a_system_that_lead_elsewhere_open_nothing() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let odd = [
        "/redfish/v1",
        "/redfish/v1/Managers",
        "/redfish/v1/AccountService/Accounts",
        "/redfish/v1/Systems/2",
        "http://192.0.2.1/redfish/v1/Managers/9",
    ];
    let links: Vec<Value> = odd.iter().map(|path| json!({ "@odata.id": path })).collect();
    mock.set(SYSTEM, "/Links/ManagedBy", json!(links));
    let guest = guest(&mock, &[]);
    for path in ["/redfish/v1/Managers/9", "/redfish/v1/Systems/2", "/redfish/v1/UpdateService", "/redfish/v1/AccountService/Accounts/1"] {
        assert_eq!(guest.question(Verb::Get, path, None).await.unwrap_err().kind, Kind::Denied, "{path}");
    }
}

#[tokio::test]
async fn secrets_are_filled_in_and_bodies_judged_with_them() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let guest = guest(&mock, &["/redfish/v1/UpdateService"]);
    let mut secrets = Secrets::default();
    secrets.insert("good", "http://192.0.2.1/fw.bin?sig=canary-sig".to_owned().into());
    secrets.insert("bad", "http://169.254.169.254/?sig=canary-sig".to_owned().into());
    let fill = async |name: &str| {
        let mut question = guest.question(Verb::Post, UPDATE, body(json!({"ImageURI": Secrets::reference(name)}))).await.unwrap();
        question.fill(&secrets, &policy()).await.map(|()| question)
    };
    assert!(fill("good").await.is_ok());
    let refused = fill("bad").await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Denied, "egress.Denied"));
    assert!(!refused.message.contains("canary"), "{refused}");
    assert_eq!(code(fill("unknown").await), (Kind::NotFound, "secret.Unknown".into()));
    for (name, value, expected) in [
        ("json", "{\"Users.2#canary\": {\"Password\": \"x\"}}", "wrought.SecretInBody"),
        ("xml", "<a>canary</a><Attribute Name=\"Pass&#119;ord\"/>", "wrought.InvalidBody"),
        ("boot", "{\"canary\": {\"BootSourceOverrideTarget\": \"Pxe\"}}", "wrought.UseBoot"),
        ("path", "/redfish/v1/Systems/canary", "wrought.PathDenied"),
        ("reset", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", "wrought.UsePower"),
        ("manager", "/redfish/v1/Managers/1", "wrought.PathDenied"),
        ("link", "{\"canaryUri\": \"http://169.254.169.254/\"}", "egress.Denied"),
    ] {
        secrets.insert(name, value.to_owned().into());
        let mut question = guest.question(Verb::Post, UPDATE, body(json!({"Data": Secrets::reference(name)}))).await.unwrap();
        let refused = question.fill(&secrets, &policy()).await.unwrap_err();
        assert_eq!(refused.code, expected, "{name}: {refused}");
        assert!(!refused.message.contains("canary"), "{refused}");
    }
    let elsewhere = guest.question(Verb::Post, UPDATE, body(json!({"Targets": ["/redfish/v1/Systems/2/Bios"]}))).await;
    assert_eq!(code(elsewhere), (Kind::Denied, "wrought.PathDenied".into()));
}

#[tokio::test]
async fn what_a_change_asked_for_is_seen_afterwards() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    resource(&mock, FANS, json!({"Profile": "Quiet", "Led": {"On": true, "Brightness": 7}}));
    let guest = guest(&mock, &[]);
    for (wanted, there) in [
        (json!({"Profile": "Quiet"}), true),
        (json!({"Led": {"Brightness": 7}}), true),
        (json!({"Led": {"Brightness": 8}}), false),
        (json!({"Profile": "Quiet", "New": 1}), false),
        (json!({"Gone": null}), true),
    ] {
        let question = guest.question(Verb::Patch, FANS, body(wanted.clone())).await.unwrap();
        assert_eq!(guest.shows(&question).await.unwrap().is_some(), there, "{wanted}");
    }
}

#[tokio::test]
async fn a_node_whose_system_is_none_has_nothing_that_a_driver_may_name() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    resource(&mock, "/redfish/v1/AccountService/Accounts", json!({}));
    for odd in ["/redfish/v1/Systems", "/redfish/v1/AccountService/Accounts", "/redfish/v1/Systems/1%20%3b"] {
        let mut info = mock.driver_info();
        info.insert("redfish_system_id".into(), json!(odd));
        resource(&mock, odd, json!({}));
        let target = RedfishTarget::from_driver_info(&info).unwrap();
        let guest = RedfishRegistry::new(RedfishConfig::default()).guest(&target, &[]).unwrap();
        assert_eq!(
            code(guest.question(Verb::Get, "/redfish/v1/Systems/2", None).await),
            (Kind::Unsupported, "redfish.OddSystemPath".into()),
            "{odd}"
        );
    }
}
