use wrought_domain::ErrorKind;
use wrought_domain::state::ProvisionState::{Active, Manageable};
use wrought_engine::{BootMode, Command, Kind, Setting};

use crate::host::Host;

#[test]
fn what_is_set_shows_on_the_node_and_its_state_stays() {
    for setting in [Setting::BootMode(BootMode::Bios), Setting::SecureBoot(true), Setting::Console(true)] {
        let mut host = Host::with(Active);
        host.begin(Kind::Setting(setting));
        assert_eq!(host.in_flight, Some(Command::Set(setting)));
        // The machine is looked at first, so it is asked for once more after a restart.
        host.killed_for(10);
        assert_eq!(host.in_flight, Some(Command::Set(setting)));
        host.done();
        assert_eq!((host.state(), host.operation.is_none()), ("active", true));
        match setting {
            Setting::BootMode(_) => assert_eq!(host.node.boot_mode.as_deref(), Some("bios")),
            Setting::SecureBoot(_) => assert_eq!(host.node.secure_boot, Some(true)),
            Setting::Console(_) => assert!(host.node.console_enabled),
        }
        let entry = host.history.last().unwrap();
        assert_eq!((entry.event_type.as_str(), entry.state), ("management", Some(Active)));
        assert!(entry.duration_ms.is_some(), "{entry:?}");
    }
}

#[test]
fn what_cannot_be_set_leaves_the_node_with_an_error() {
    let mut host = Host::with(Manageable);
    host.begin(Kind::Setting(Setting::SecureBoot(true)));
    host.refuse(ErrorKind::Unsupported, "the machine has no secure boot");
    assert_eq!((host.state(), host.node.secure_boot), ("manageable", None));
    assert!(host.last_error().contains("no secure boot"), "{}", host.last_error());
}
