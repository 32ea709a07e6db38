//! The Redfish client against controllers with one oddity each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions, missing_docs)]

mod guest;
mod management;
mod mock_bmc;

use std::sync::atomic::Ordering;

use futures::future::join_all;
use mock_bmc::{CD, MockBmc, Odd, RESET, SYSTEM, error};
use serde_json::{Value, json};
use wrought_hardware::redfish::{RedfishRegistry, RedfishTarget};
use wrought_hardware::{BootDevice, BootMode, Device, Kind, PowerAction, PowerState, RedfishConfig};

const SESSIONS: &str = "POST /redfish/v1/SessionService/Sessions";

fn registry() -> RedfishRegistry {
    RedfishRegistry::new(RedfishConfig::default())
}

#[tokio::test]
async fn one_session_serves_all_callers_and_is_deleted_at_the_end() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let registry = registry();
    let mut second = mock.driver_info();
    second.insert("redfish_system_id".into(), json!(SYSTEM));
    let machines = [registry.get(&mock.target()).unwrap(), registry.get(&RedfishTarget::from_driver_info(&second).unwrap()).unwrap()];
    let states = join_all((0..8).map(|n| machines[n % 2].power_state())).await;
    assert!(states.iter().all(|state| *state == Ok(PowerState::Off)), "{states:?}");
    assert_eq!(mock.seen(SESSIONS).len(), 1);
    assert!(mock.seen("GET /redfish/v1/Systems/1").iter().all(|seen| seen.header("x-auth-token") == Some("token-1")));
    assert_eq!(mock.most_in_flight.load(Ordering::SeqCst), 2, "two requests in flight, not eight");
    registry.close_all().await;
    assert_eq!(
        mock.seen("DELETE").iter().map(|seen| seen.line.as_str()).collect::<Vec<_>>(),
        ["DELETE /redfish/v1/SessionService/Sessions/7"]
    );
}

#[tokio::test]
async fn without_sessions_basic_is_used() {
    // A controller that names no session service is not asked for a session, one that refuses it is asked once.
    for (root, status, asked) in
        [(json!({"Systems": {}}), 404, 0), (json!({"SessionService": {}}), 401, 1), (json!({"SessionService": {}}), 405, 1)]
    {
        let mock = MockBmc::start(move |seen, _| match seen.line.as_str() {
            "GET /redfish/v1/" => Odd::Answer(200, vec![], root.clone()),
            SESSIONS => error(status, "GeneralError"),
            _ => Odd::Usual,
        })
        .await;
        let bmc = mock.bmc();
        assert_eq!(bmc.power_state().await, Ok(PowerState::Off));
        assert_eq!(bmc.power_state().await, Ok(PowerState::Off));
        assert_eq!(mock.seen(SESSIONS).len(), asked, "{status}");
    }
}

#[tokio::test]
async fn full_session_slots_mean_basic_unless_sessions_are_demanded() {
    let mock = MockBmc::start(|seen, _| if seen.line == SESSIONS { error(400, "SessionLimitExceeded") } else { Odd::Usual }).await;
    assert_eq!(mock.bmc().power_state().await, Ok(PowerState::Off));
    let mut info = mock.driver_info();
    info.insert("redfish_auth_type".into(), json!("session"));
    let refused = registry().get(&RedfishTarget::from_driver_info(&info).unwrap()).unwrap().power_state().await.unwrap_err();
    assert_eq!(refused.code, "redfish.SessionLimitExceeded");
}

#[tokio::test]
async fn a_session_that_ended_is_renewed_once() {
    let mut ended = false;
    let mock = MockBmc::start(move |seen, _| match seen.line.as_str() {
        "GET /redfish/v1/Systems/1" if !ended => {
            ended = true;
            error(401, "NoValidSession")
        }
        _ => Odd::Usual,
    })
    .await;
    assert_eq!(mock.bmc().power_state().await, Ok(PowerState::Off));
    assert_eq!(mock.seen(SESSIONS).len(), 2);
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again_until_others_come() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let registry = registry();
    let mut info = mock.driver_info();
    info.insert("redfish_password".into(), json!("canary-wrong"));
    let wrong = RedfishTarget::from_driver_info(&info).unwrap();
    for _ in 0..3 {
        let error = registry.get(&wrong).unwrap().power_state().await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (Kind::Failed, "redfish.AuthenticationFailed"));
        assert!(!error.message.contains("canary") && !error.message.contains("127.0.0.1"), "{error}");
    }
    let tried = mock.seen("").len();
    assert_eq!(mock.seen(SESSIONS).len(), 1);
    registry.get(&mock.target()).unwrap().power_state().await.unwrap();
    assert!(registry.get(&wrong).unwrap().power_state().await.is_err(), "the others do not help the wrong ones");
    registry.retry_credentials(&wrong);
    assert!(registry.get(&wrong).unwrap().power_state().await.is_err());
    assert!(mock.seen("").len() > tried);
    assert_eq!(mock.seen(SESSIONS).iter().filter(|seen| seen.body["Password"] == "canary-wrong").count(), 2);
}

#[tokio::test]
async fn a_restart_is_one_request_and_switches_on_what_is_off() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let allowable = "/Actions/#ComputerSystem.Reset/ResetType@Redfish.AllowableValues";
    mock.set(SYSTEM, allowable, json!(["On", "ForceOff", "GracefulRestart", "ForceRestart"]));
    let bmc = mock.bmc();
    bmc.set_power(PowerAction::Restart).await.unwrap();
    bmc.set_power(PowerAction::Restart).await.unwrap();
    let types: Vec<_> = mock.seen(&format!("POST {RESET}")).iter().map(|seen| seen.body["ResetType"].clone()).collect();
    assert_eq!(types, ["On", "ForceRestart"]);
}

#[tokio::test]
async fn power_is_asked_for_once_with_a_type_that_the_controller_knows() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let bmc = mock.bmc();
    bmc.set_power(PowerAction::ForceOff).await.unwrap();
    assert!(mock.seen("POST /redfish/v1/Systems").is_empty(), "off is off already");
    bmc.set_power(PowerAction::On).await.unwrap();
    bmc.set_power(PowerAction::On).await.unwrap();
    bmc.set_power(PowerAction::SoftOff).await.unwrap();
    let types: Vec<_> = mock.seen(&format!("POST {RESET}")).iter().map(|seen| seen.body["ResetType"].clone()).collect();
    assert_eq!(types, ["On", "GracefulShutdown"]);
    mock.set(SYSTEM, "/PowerState", json!("PoweringOn"));
    bmc.set_power(PowerAction::On).await.unwrap();
    assert_eq!(bmc.power_state().await, Ok(PowerState::PoweringOn));
    assert_eq!(mock.seen(&format!("POST {RESET}")).len(), 2, "it is on its way already");
    mock.set(SYSTEM, "/PowerState", Value::Null);
    assert_eq!(bmc.power_state().await, Ok(PowerState::Unknown));
}

#[tokio::test]
async fn a_reset_that_is_not_offered_is_unsupported_also_when_told_by_action_info() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let info = "/redfish/v1/Systems/1/ResetActionInfo";
    mock.set(SYSTEM, "/Actions/#ComputerSystem.Reset", json!({"target": RESET, "@Redfish.ActionInfo": info}));
    let parameters = json!({"Parameters": [{"Name": "ResetType", "AllowableValues": ["ForceOn", "ForceOff"]}]});
    mock.resources.lock().unwrap().insert(info.into(), parameters);
    mock.set(SYSTEM, "/PowerState", json!("On"));
    let refused = mock.bmc().set_power(PowerAction::SoftOff).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Unsupported, "redfish.ResetTypeNotAllowed"));
    mock.set(SYSTEM, "/PowerState", json!("Off"));
    mock.bmc().set_power(PowerAction::On).await.unwrap();
    assert_eq!(mock.seen(&format!("POST {RESET}")).last().unwrap().body["ResetType"], "ForceOn");
}

#[tokio::test]
async fn a_lost_answer_is_observed_and_the_request_never_repeated() {
    let done = MockBmc::start(|seen, _| if seen.line.starts_with("POST /redfish/v1/Systems") { Odd::LoseAnswer } else { Odd::Usual }).await;
    assert_eq!(done.bmc().set_power(PowerAction::On).await, Ok(()), "it shows that it was done");
    let lost =
        MockBmc::start(|seen, _| if seen.line.starts_with("POST /redfish/v1/Systems") { Odd::LoseRequest } else { Odd::Usual }).await;
    let error = lost.bmc().set_power(PowerAction::On).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::OutcomeUnknown, "redfish.AnswerLost"));
    assert_eq!((done.seen(&format!("POST {RESET}")).len(), lost.seen(&format!("POST {RESET}")).len()), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_power_failed_unless_the_machine_is_there() {
    let refuse = |seen: &mock_bmc::Seen, _: &mut _| {
        if seen.line.starts_with("POST /redfish/v1/Systems") { error(409, "ResourceInUse") } else { Odd::Usual }
    };
    let mock = MockBmc::start(refuse).await;
    let error = mock.bmc().set_power(PowerAction::On).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::PowerFailed, "redfish.ResourceInUse"));
}

#[tokio::test]
async fn reads_are_repeated_and_an_absent_controller_is_a_timeout() {
    let mut failures = 2;
    let mock = MockBmc::start(move |seen, _| match seen.line.as_str() {
        "GET /redfish/v1/Systems/1" if failures > 0 => {
            failures -= 1;
            error(503, "ServiceTemporarilyUnavailable")
        }
        _ => Odd::Usual,
    })
    .await;
    assert_eq!(mock.bmc().power_state().await, Ok(PowerState::Off));
    assert_eq!(mock.seen("GET /redfish/v1/Systems/1").len(), 3);

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let info = json!({"redfish_address": format!("http://{free}"), "redfish_system_id": SYSTEM});
    let absent = RedfishTarget::from_driver_info(info.as_object().unwrap()).unwrap();
    let error = registry().get(&absent).unwrap().set_power(PowerAction::On).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Timeout, "redfish.Unreachable"));
    assert!(!error.message.contains("127.0.0.1"));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_off() {
    let mock = MockBmc::start(|seen, _| match seen.line.as_str() {
        "GET /redfish/v1/Systems/1" => Odd::Answer(200, vec![], json!("x".repeat(2 << 20))),
        _ => Odd::Usual,
    })
    .await;
    let error = mock.bmc().power_state().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::LimitExceeded, "redfish.AnswerTooLarge"));
}

#[tokio::test]
async fn etags_climb_the_ladder() {
    let etag = |value: &str| vec![("ETag", value.to_owned())];
    // What a controller accepts in If-Match, and what was sent until then.
    for (accepts, sent) in [
        (Some("W/\"1\""), vec![Some("W/\"1\"")]),
        (Some("\"1\""), vec![Some("W/\"1\""), Some("\"1\"")]),
        (None, vec![Some("W/\"1\""), Some("\"1\""), None]),
    ] {
        let mock = MockBmc::start(move |seen, resources| match seen.line.as_str() {
            "GET /redfish/v1/Systems/1" => Odd::Answer(200, etag("W/\"1\""), resources[SYSTEM].clone()),
            "PATCH /redfish/v1/Systems/1" if seen.header("if-match") != accepts => error(412, "PreconditionFailed"),
            _ => Odd::Usual,
        })
        .await;
        let pxe = BootDevice { device: Device::Pxe, persistent: false };
        assert_eq!(mock.bmc().set_boot_device(pxe).await, Ok(pxe));
        let patches = mock.seen("PATCH");
        assert_eq!(patches.iter().map(|seen| seen.header("if-match")).collect::<Vec<_>>(), sent);
    }
}

#[tokio::test]
async fn the_boot_device_is_set_and_read_back() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let bmc = mock.bmc();
    assert_eq!(bmc.boot_device().await, Ok(None));
    let disk = BootDevice { device: Device::Disk, persistent: true };
    assert_eq!(bmc.set_boot_device(disk).await, Ok(disk));
    assert_eq!(bmc.boot_device().await, Ok(Some(disk)));
    let unsupported = bmc.set_boot_device(BootDevice { device: Device::Http, persistent: false }).await.unwrap_err();
    assert_eq!((unsupported.kind, unsupported.code.as_str()), (Kind::Unsupported, "redfish.BootTargetNotAllowed"));
    mock.set(SYSTEM, "/Manufacturer", json!("Supermicro"));
    mock.set(SYSTEM, "/Boot/BootSourceOverrideTarget@Redfish.AllowableValues", json!(["Cd", "UsbCd"]));
    bmc.set_boot_device(BootDevice { device: Device::Cdrom, persistent: false }).await.unwrap();
    assert_eq!(mock.seen("PATCH").last().unwrap().body["Boot"]["BootSourceOverrideTarget"], "UsbCd");
}

#[tokio::test]
async fn a_controller_that_wants_the_trio_gets_it_and_one_that_ignores_is_found_out() {
    let mock = MockBmc::start(|seen, _| match &seen.body["Boot"] {
        boot if seen.line.starts_with("PATCH") && boot.get("BootSourceOverrideMode").is_none() => error(400, "PropertyMissing"),
        _ => Odd::Usual,
    })
    .await;
    let cd = BootDevice { device: Device::Cdrom, persistent: false };
    assert_eq!(mock.bmc().set_boot_device(cd).await, Ok(cd));
    let deaf =
        MockBmc::start(|seen, _| if seen.line.starts_with("PATCH") { Odd::Answer(204, vec![], Value::Null) } else { Odd::Usual }).await;
    assert_eq!(deaf.bmc().set_boot_device(cd).await.unwrap_err().code, "redfish.BootOverrideIgnored");
}

#[tokio::test]
async fn boot_mode_and_secure_boot_change_only_what_differs() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let bmc = mock.bmc();
    bmc.set_boot_mode(BootMode::Uefi).await.unwrap();
    bmc.set_secure_boot(false).await.unwrap();
    assert!(mock.seen("PATCH").is_empty());
    bmc.set_boot_mode(BootMode::Bios).await.unwrap();
    bmc.set_secure_boot(true).await.unwrap();
    assert_eq!((bmc.boot_mode().await, bmc.secure_boot().await), (Ok(BootMode::Bios), Ok(true)));
    mock.set(SYSTEM, "/SecureBoot", Value::Null);
    assert_eq!(bmc.secure_boot().await.unwrap_err().kind, Kind::Unsupported);
    let identity = bmc.identify().await.unwrap();
    assert_eq!((identity.vendor.as_deref(), identity.model.as_deref(), identity.serial), (Some("ACME"), Some("One"), None));
}

#[tokio::test]
async fn media_go_into_the_first_drive_that_takes_them() {
    let kvm = "POST /redfish/v1/Systems/1/VirtualMedia/Kvm";
    let mock = MockBmc::start(move |seen, _| if seen.line.starts_with(kvm) { error(405, "ActionNotSupported") } else { Odd::Usual }).await;
    let bmc = mock.bmc();
    bmc.eject_media().await.unwrap();
    assert!(mock.seen(&format!("POST {CD}")).is_empty(), "nothing to eject");
    bmc.insert_media("http://192.0.2.1/a.iso").await.unwrap();
    bmc.insert_media("http://192.0.2.1/b.iso").await.unwrap();
    let media = bmc.media().await.unwrap();
    assert_eq!((media.inserted, media.image.as_deref()), (true, Some("http://192.0.2.1/b.iso")));
    bmc.eject_media().await.unwrap();
    assert!(!bmc.media().await.unwrap().inserted);
    let actions: Vec<_> = mock.seen(&format!("POST {CD}")).iter().map(|seen| seen.line.rsplit('.').next().unwrap().to_owned()).collect();
    assert_eq!(actions, ["InsertMedia", "EjectMedia", "InsertMedia", "EjectMedia"]);
    assert!(mock.seen("POST /redfish/v1/Systems/1/VirtualMedia/Floppy").is_empty());
}

#[tokio::test]
async fn drives_below_a_manager_are_found_and_bodies_climb() {
    let mock = MockBmc::start(|seen, _| {
        let bare = seen.body.get("WriteProtected").is_none();
        if seen.line.ends_with("InsertMedia") && bare { error(400, "ActionParameterMissing") } else { Odd::Usual }
    })
    .await;
    mock.set(SYSTEM, "/VirtualMedia", Value::Null);
    let members = json!({"Members": [{"@odata.id": CD}]});
    mock.resources.lock().unwrap().insert("/redfish/v1/Managers/1/VirtualMedia".into(), members);
    mock.bmc().insert_media("http://192.0.2.1/a.iso").await.unwrap();
    assert!(mock.bmc().media().await.unwrap().inserted);
}

#[tokio::test]
async fn a_licence_refusal_is_named_and_the_image_is_not() {
    let mock = MockBmc::start(|seen, _| {
        let id = json!({"error": {"@Message.ExtendedInfo": [{"MessageId": "SMC.1.0.OemLicenseNotPassed", "Message": format!("no {}", seen.body["Image"].to_string().replace("http:", ""))}]}});
        if seen.line.ends_with("InsertMedia") { Odd::Answer(403, vec![], id) } else { Odd::Usual }
    })
    .await;
    let error = mock.bmc().insert_media("http://192.0.2.1/a.iso?canary").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Failed, "redfish.OemLicenseNotPassed"));
    assert!(!error.message.contains("canary"), "{error}");
}

#[tokio::test]
async fn links_and_redirects_stay_at_the_controller() {
    for link in ["http://192.0.2.9/redfish/v1/Systems/1", "//192.0.2.9/redfish/v1/Systems/1", "/\\192.0.2.9/x", "http://a@127.0.0.1/"] {
        let mock = MockBmc::start(|_, _| Odd::Usual).await;
        mock.set("/redfish/v1/Systems", "/Members/0/@odata.id", json!(link));
        assert_eq!(mock.bmc().power_state().await.unwrap_err().code, "redfish.ForeignLink", "{link}");
    }
    for (location, code) in [
        ("/redfish/v1/Systems/1", None),
        ("http://192.0.2.9/", Some("redfish.ForeignLink")),
        ("/redfish/v1/Systems/name", Some("redfish.Redirects")),
    ] {
        let mock = MockBmc::start(move |seen, _| match seen.line.as_str() {
            "GET /redfish/v1/Systems/name" => Odd::Answer(307, vec![("Location", location.to_owned())], Value::Null),
            _ => Odd::Usual,
        })
        .await;
        let mut info = mock.driver_info();
        info.insert("redfish_system_id".into(), json!("/redfish/v1/Systems/name"));
        let bmc = registry().get(&RedfishTarget::from_driver_info(&info).unwrap()).unwrap();
        assert_eq!(bmc.power_state().await.err().map(|error| error.code).as_deref(), code, "{location}");
    }
}

#[tokio::test]
async fn several_systems_need_a_name() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    mock.set("/redfish/v1/Systems", "/Members", json!([{"@odata.id": SYSTEM}, {"@odata.id": "/redfish/v1/Systems/2"}]));
    let error = mock.bmc().power_state().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::MissingParameter, "redfish.SeveralSystems"));
    mock.set("/redfish/v1/Systems", "/Members", json!([]));
    assert_eq!(mock.bmc().power_state().await.unwrap_err().code, "redfish.NoSystem");
}
