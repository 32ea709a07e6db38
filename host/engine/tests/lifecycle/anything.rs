//! Whatever is answered and whatever happens: no node gets stuck. `Host::take` checks after each step what must always hold.

use proptest::prelude::*;
use wrought_domain::state::ProvisionState;
use wrought_domain::step::Children;
use wrought_domain::wait::{Condition, Wait};
use wrought_domain::{DriverError, ErrorKind, PowerState, Principal, StepCall};
use wrought_engine::{Command, Event, Impossible, Kind, PowerTarget, Returned, Setting};

use crate::host::{Host, asked, offered};

#[derive(Debug, Clone)]
enum Happening {
    /// An operation, and whether it has to wait for its turn.
    Begin(Kind, bool),
    Answer(Returned),
    /// The step ends well, and the host itself saw it succeed on the agent.
    SeenDone,
    Unhold,
    Cancel,
    /// An operator sets or ends the maintenance.
    Maintenance(bool),
    Tested(bool),
    Passes(i64),
    Heartbeat,
    Due,
    Abort,
    Delete,
    Unlock,
    /// The host is killed and comes back after these seconds.
    Killed(i64),
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Verify),
        Just(Kind::Deploy),
        Just(Kind::Rebuild),
        Just(Kind::TearDown),
        Just(Kind::Clean),
        Just(Kind::ManualClean),
        Just(Kind::Inspect),
        Just(Kind::Adopt),
        Just(Kind::Rescue),
        Just(Kind::Unrescue),
        Just(Kind::Service),
        Just(Kind::AbortService),
        Just(Kind::ChildStep),
        Just(Kind::VendorPassthru),
        prop_oneof![Just(PowerTarget::On), Just(PowerTarget::Off), Just(PowerTarget::SoftReboot)].prop_map(Kind::Power),
        Just(Kind::Setting(Setting::SecureBoot(true))),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::AgentBooted),
        Just(Condition::AgentCommand { id: "1".into() }),
        Just(Condition::Power { on: true }),
        Just(Condition::Until { at: "2026-05-01T13:00:00Z".parse().unwrap() }),
        Just(Condition::Any(vec![Condition::Lock { name: "chassis".into() }, Condition::Until { at: jiff::Timestamp::MAX }])),
        Just(Condition::Any(Vec::new())),
        Just(Condition::InspectionData { since: "2026-05-01T13:00:00Z".parse().unwrap() }),
    ]
}

fn returned() -> impl Strategy<Value = Returned> {
    let step = prop_oneof![
        Just(offered("deploy", "deploy", 100)),
        Just(wrought_domain::Step { abortable: false, ..offered("deploy", "write_image", 80) }),
        Just(offered("raid", "apply", 0)),
        Just(offered("bios", "reset", 10)),
        Just(offered("deploy", "erase_devices_metadata", 99)),
        Just(wrought_domain::Step { requires_ramdisk: false, ..offered("vendor", "bless", 0) }),
    ];
    let error = prop_oneof![Just(ErrorKind::Failed), Just(ErrorKind::AgentInProgress), Just(ErrorKind::AgentUnreachable)];
    prop_oneof![
        6 => Just(Returned::Done),
        3 => (condition(), prop_oneof![Just(0), 1..5000_u32, Just(u32::MAX)])
            .prop_map(|(condition, timeout_s)| Returned::Wait(Wait { condition, timeout_s })),
        4 => proptest::collection::vec(step, 0..4).prop_map(Returned::Steps),
        2 => Just(Returned::Power(PowerState::On)),
        1 => error.prop_map(|kind| Returned::Refused(DriverError::new(kind, "test.Error", "no"))),
        1 => Just(Returned::Refused(DriverError::new(ErrorKind::Conflict, "agent.VersionMismatch", "other managers"))),
        1 => Just(Returned::Fault("it trapped".into())),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (kind(), prop::bool::weighted(0.2)).prop_map(|(kind, queued)| Happening::Begin(kind, queued)),
        4 => Just(Happening::SeenDone),
        1 => Just(Happening::Unhold),
        1 => Just(Happening::Cancel),
        1 => any::<bool>().prop_map(Happening::Maintenance),
        8 => returned().prop_map(Happening::Answer),
        4 => any::<bool>().prop_map(Happening::Tested),
        2 => prop_oneof![0..100_i64, 1000..4000_i64].prop_map(Happening::Passes),
        1 => Just(Happening::Heartbeat),
        1 => Just(Happening::Due),
        1 => Just(Happening::Abort),
        1 => Just(Happening::Delete),
        1 => Just(Happening::Unlock),
        1 => prop_oneof![Just(0), 1..10_000_i64].prop_map(Happening::Killed),
    ]
}

/// What a request may ask for: offered and unknown steps, the host's own, and a child's.
fn wishes() -> impl Strategy<Value = Vec<StepCall>> {
    let one = prop_oneof![
        3 => Just(asked("bios", "reset", None)),
        2 => Just(asked("vendor", "bless", None)),
        1 => Just(asked("deploy", "hold", None)),
        1 => Just(asked("power", "reboot", None)),
        1 => Just(asked("power", "power_off", None)),
        1 => Just(asked("deploy", "wait", None)),
        1 => Just(StepCall { children: Some(Children::All), ..asked("raid", "child", None) }),
    ];
    proptest::collection::vec(one, 1..4)
}

fn apply(host: &mut Host, happening: Happening, wishes: &[StepCall]) {
    match happening {
        Happening::Begin(kind, queued) => {
            if host.operation.is_none() {
                host.queued = queued && matches!(kind, Kind::Deploy | Kind::Clean | Kind::ManualClean | Kind::TearDown);
                let wishes = match kind {
                    Kind::ManualClean | Kind::Service | Kind::ChildStep => wishes.to_vec(),
                    Kind::Deploy => wishes.iter().map(|call| StepCall { priority: Some(50), ..call.clone() }).collect(),
                    _ => Vec::new(),
                };
                // A verb that the state does not know is refused, and nothing has changed.
                let _refused = host.try_begin(kind, wishes);
            }
        }
        Happening::SeenDone => {
            if matches!(host.in_flight, Some(Command::Call { .. })) {
                host.seen_done();
            }
        }
        Happening::Unhold => {
            let holds = host.operation.as_ref().is_some_and(wrought_engine::Operation::holds);
            assert_eq!(host.handle(Event::Unhold).is_ok(), holds);
        }
        Happening::Cancel => {
            let queued = host.operation.as_ref().is_some_and(wrought_engine::Operation::is_queued);
            assert_eq!(host.handle(Event::Cancel { principal: Principal::noauth() }).is_ok(), queued);
            assert!(!queued || host.operation.is_none(), "it ends at once");
        }
        Happening::Maintenance(on) => {
            let ends = std::mem::replace(&mut host.node.maintenance, on) && !on;
            if ends {
                drop(host.handle(Event::MaintenanceEnded));
            }
        }
        Happening::Answer(returned) => {
            if host.in_flight.is_some() {
                host.answer(returned);
            } else {
                let late = host.handle(Event::Returned(returned));
                assert_eq!(late, Err(Impossible::Late));
            }
        }
        Happening::Tested(met) => {
            if host.testing > 0 {
                host.testing -= 1;
                assert!(matches!(host.handle(Event::Tested { met }), Ok(()) | Err(Impossible::Late)));
            }
        }
        Happening::Passes(seconds) => {
            host.pass(seconds);
            // A due time that has come is acted upon, as the conductor's timer does.
            if host.operation.as_ref().and_then(|operation| operation.due()).is_some_and(|due| due <= host.now) {
                host.handle(Event::Due).unwrap();
            }
        }
        Happening::Heartbeat => drop(host.handle(Event::Heartbeat)),
        Happening::Due => drop(host.handle(Event::Due)),
        Happening::Abort => drop(host.handle(Event::Abort)),
        Happening::Delete => drop(host.handle(Event::Delete { principal: Principal::noauth() })),
        Happening::Unlock => {
            if host.operation.is_some() {
                host.unlock("it hangs");
                assert!(host.operation.is_none(), "it ends at once");
            }
        }
        Happening::Killed(seconds) => {
            if let Some(before) = host.operation.clone() {
                host.killed_for(seconds);
                let Some(after) = &host.operation else { return };
                assert_eq!((after.turn, after.calls), (before.turn, before.calls), "the same call goes on");
                if let (Some(before), Some(after)) = (&before.waiting, &after.waiting) {
                    let down = jiff::SignedDuration::from_secs(seconds);
                    let put_off = before.deadline.checked_add(down).unwrap_or(jiff::Timestamp::MAX);
                    assert!(after.deadline == put_off || after.renew_s.is_some() && after.deadline > put_off);
                }
            }
        }
    }
}

/// From here on all goes well: the operation must end.
fn finish(host: &mut Host) {
    // A cleaning that failed has set it, and what was begun since rests.
    if std::mem::take(&mut host.node.maintenance) && host.operation.as_ref().is_some_and(|operation| operation.waiting.is_some()) {
        host.handle(Event::MaintenanceEnded).unwrap();
    }
    for _ in 0..200 {
        let Some(command) = host.in_flight.clone() else {
            if host.operation.is_none() {
                return;
            }
            host.testing = 1;
            host.tested(true);
            if host.operation.as_ref().is_some_and(wrought_engine::Operation::holds) {
                host.handle(Event::Unhold).unwrap();
            }
            continue;
        };
        match command {
            Command::Children(_) | Command::ApplyInspection | Command::Set(_) => host.done(),
            Command::ReadPower => host.answer(Returned::Power(PowerState::Off)),
            Command::SetPower(_) => host.done(),
            Command::Call { function, .. } if function.name().starts_with("get-") => {
                host.answer(Returned::Steps(vec![
                    offered("deploy", "deploy", 100),
                    offered("bios", "reset", 10),
                    offered("vendor", "bless", 0),
                    offered("deploy", "erase_devices_metadata", 99),
                ]));
            }
            Command::Call { .. } => host.seen_done(),
            Command::Test(_) => unreachable!("tests are counted apart"),
        }
    }
    panic!("it does not end: {:?}", host.operation);
}

fn starts() -> impl Strategy<Value = ProvisionState> {
    use ProvisionState as S;
    proptest::sample::select(vec![
        S::Enroll,
        S::Manageable,
        S::Available,
        S::Active,
        S::Error,
        S::Rescue,
        S::DeployFailed,
        S::CleanFailed,
        S::InspectFailed,
        S::AdoptFailed,
        S::RescueFailed,
        S::UnrescueFailed,
        S::ServiceFailed,
    ])
}

proptest! {
    // 2,500 stories of up to 80 happenings: more than 100,000 events in all.
    #![proptest_config(ProptestConfig { cases: 2_500, ..ProptestConfig::default() })]

    #[test]
    fn no_node_gets_stuck_and_none_is_available_unwiped(
        start in starts(),
        automated in prop::bool::weighted(0.8),
        story in proptest::collection::vec(happening(), 1..80),
        wishes in wishes(),
    ) {
        let mut host = Host::with(start);
        // A machine with disks, as fake hardware has not.
        host.node.driver = "redfish".into();
        host.settings.automated_clean = automated;
        for happening in story {
            apply(&mut host, happening, &wishes);
        }
        finish(&mut host);
        prop_assert!(host.operation.is_none());
    }

    #[test]
    fn an_operation_survives_being_stored(start in starts(), story in proptest::collection::vec(happening(), 1..20), wishes in wishes()) {
        let mut host = Host::with(start);
        for happening in story {
            apply(&mut host, happening, &wishes);
            let stored = serde_json::to_string(&host.operation).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Option<wrought_engine::Operation>>(&stored).unwrap(), &host.operation);
        }
    }
}
