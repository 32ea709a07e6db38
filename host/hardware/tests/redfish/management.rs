//! Interrupts, lamps and drives of controllers that differ in what they have.

use serde_json::json;
use wrought_hardware::{Component, IndicatorState, Kind, MediaKind};

use crate::mock_bmc::{CD, MockBmc, Odd, RESET, SYSTEM};

#[tokio::test]
async fn an_interrupt_is_sent_only_where_the_controller_offers_it() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let refused = mock.bmc().inject_nmi().await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Unsupported, "redfish.ResetTypeNotAllowed"));
    assert!(mock.seen(&format!("POST {RESET}")).is_empty());
    mock.resources.lock().unwrap().get_mut(SYSTEM).unwrap()["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] =
        json!(["On", "Nmi"]);
    mock.bmc().inject_nmi().await.unwrap();
    assert_eq!(mock.seen(&format!("POST {RESET}"))[0].body, json!({"ResetType": "Nmi"}));
}

#[tokio::test]
async fn an_interrupt_whose_answer_is_lost_is_not_sent_again() {
    let mock =
        MockBmc::start(|seen, _| if seen.line.starts_with("POST") && seen.line.ends_with("Reset") { Odd::LoseAnswer } else { Odd::Usual })
            .await;
    mock.resources.lock().unwrap().get_mut(SYSTEM).unwrap()["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] =
        json!(["Nmi"]);
    assert_eq!(mock.bmc().inject_nmi().await.unwrap_err().kind, Kind::OutcomeUnknown);
    assert_eq!(mock.seen(&format!("POST {RESET}")).len(), 1);
}

#[tokio::test]
async fn lamps_are_found_by_either_property_and_a_missing_chassis_is_none() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    assert_eq!(mock.bmc().indicators().await.unwrap(), [], "a machine without lamps");
    {
        let mut resources = mock.resources.lock().unwrap();
        let system = resources.get_mut(SYSTEM).unwrap();
        system["IndicatorLED"] = json!("Lit");
        let chassis = ["/redfish/v1/Chassis/1", "/redfish/v1/Chassis/gone", "http://elsewhere/redfish/v1/Chassis/2"];
        system["Links"]["Chassis"] = chassis.iter().map(|path| json!({"@odata.id": path})).collect();
        resources.insert("/redfish/v1/Chassis/1".into(), json!({"Id": "Rack Mount", "LocationIndicatorActive": false}));
    }
    let bmc = mock.bmc();
    let found = bmc.indicators().await.unwrap();
    let shown: Vec<_> = found.iter().map(|lamp| (lamp.component, lamp.name.as_str(), lamp.state)).collect();
    assert_eq!(
        shown,
        [(Component::System, "1", IndicatorState::On), (Component::Chassis, "Rack Mount", IndicatorState::Off)],
        "links to other servers are not followed"
    );
    bmc.set_indicator(Component::Chassis, "Rack Mount", IndicatorState::On).await.unwrap();
    bmc.set_indicator(Component::System, "1", IndicatorState::On).await.unwrap();
    let sent: Vec<_> = mock.seen("PATCH").into_iter().map(|seen| (seen.line, seen.body)).collect();
    assert_eq!(sent, [("PATCH /redfish/v1/Chassis/1".to_owned(), json!({"LocationIndicatorActive": true}))], "what is lit is left alone");
    let blinks = bmc.set_indicator(Component::Chassis, "Rack Mount", IndicatorState::Blinking).await.unwrap_err();
    assert_eq!(blinks.kind, Kind::Unsupported);
    assert_eq!(bmc.set_indicator(Component::System, "../1", IndicatorState::On).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn media_go_into_a_drive_of_their_kind() {
    let mock = MockBmc::start(|_, _| Odd::Usual).await;
    let bmc = mock.bmc();
    bmc.attach_media(MediaKind::Floppy, "http://images/floppy").await.unwrap();
    bmc.attach_media(MediaKind::Cd, "http://images/cd").await.unwrap();
    assert_eq!(bmc.attach_media(MediaKind::Disk, "http://images/disk").await.unwrap_err().kind, Kind::Unsupported);
    let inserted: Vec<_> = bmc.drives().await.unwrap().into_iter().filter(|drive| drive.media.inserted).map(|drive| drive.types).collect();
    assert_eq!(inserted, [vec!["Floppy".to_owned()], vec!["DVD".to_owned()]]);
    bmc.detach_media(&[MediaKind::Cd]).await.unwrap();
    assert!(bmc.drives().await.unwrap().iter().any(|drive| drive.media.inserted), "the floppy stays");
    bmc.detach_media(&[]).await.unwrap();
    assert!(!bmc.drives().await.unwrap().iter().any(|drive| drive.media.inserted));
    assert!(mock.seen(&format!("POST {CD}")).is_empty(), "the first drive that takes it is enough");
}
