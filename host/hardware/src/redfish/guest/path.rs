//! Which resources of a controller a driver may name: texts become paths once, and a path is judged by its segments.
//!
//! A path may hold ASCII letters, digits and `-._~:@(),=`, and the space, written `%20`. Percent-encoded forms of these are decoded,
//! once. Nothing else is accepted, so that no server, relay or file system can read another path out of it: no query, no fragment, no
//! `..`, no `//`, no backslash, no `;`, no control character, nothing encoded twice.

use percent_encoding::percent_decode_str;

use crate::error::{HardwareError, Kind};

/// Bytes of a path.
const LONGEST: usize = 1024;

/// What every path begins with.
const SERVICE: [&str; 2] = ["redfish", "v1"];

/// Segments of a resource directly below a collection, such as `/redfish/v1/Systems/1`.
const MEMBER: usize = 4;

/// Words that no segment may contain: accounts, sessions, certificates, subscriptions, and where their vendors keep the same.
const NEVER: [&str; 25] = [
    "account",
    "activedirectory",
    "adgroup",
    "aggregationservice",
    "certificate",
    "credential",
    "eventdestination",
    "eventservice",
    "federation",
    "hostinterface",
    "kerberos",
    "keyservice",
    "ldap",
    "passphrase",
    "password",
    "privilege",
    "radius",
    "securityservice",
    "session",
    "singlesignon",
    "sshkey",
    "subscription",
    "tacacs",
    "usermanage",
    "users",
];

/// Segments that no path may have.
const NEVER_WHOLE: [&str; 4] = ["keys", "roles", "sso", "user"];

/// What belongs to `boot`: drives, and vendors' names for them; what is booted from, and keys for that.
const BOOT: [&str; 15] = [
    "bootoption",
    "bootorder",
    "bootsetting",
    "bootsource",
    "cfgcd",
    "ejectmedia",
    "insertmedia",
    "isoconfig",
    "networkiso",
    "osdeployment",
    "remoteimage",
    "remotemap",
    "remotemedia",
    "secureboot",
    "virtualmedia",
];

/// The same as whole segments.
const BOOT_WHOLE: [&str; 2] = ["boot", "rfs"];

/// Parts of names of actions that change the power of a machine, of a part of it, or of the controller.
const POWER: [&str; 6] = ["frucontrol", "power", "reboot", "reset", "restart", "shutdown"];

/// Actions and collections with such a part that leave the machine on, and the account of the host as it is: as DMTF names them, and
/// vendors what is the same.
const HARMLESS: [&str; 14] = [
    "bios.resetbios",
    "dellraidservice.resetconfig",
    "drive.reset",
    "environmentmetrics.resettodefaults",
    "memory.resettodefaults",
    "networkadapter.resetsettingstodefault",
    "port.reset",
    "power",
    "powersubsystem",
    "powersupplies",
    "processor.resettodefaults",
    "storage.resettodefaults",
    "switch.reset",
    "telemetryservice.resetmetricreportdefinitionstodefaults",
];

/// The same of all that counts something.
const COUNTERS: [&str; 2] = [".resetmetrics", ".resetstatistics"];

/// Parts of names of actions that bring the controller, with the host's account, to its defaults: below Managers, and everywhere.
const DEFAULTS: [&str; 3] = ["default", "factory", "reset"];
const ERASE: [&str; 3] = ["decommission", "systemerase", "wipe"];

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reads it.
    Get,
    /// Changes members of it.
    Patch,
    /// Makes a member of a collection, or has an action.
    Post,
    /// Deletes it.
    Delete,
}

impl Verb {
    /// Whether it changes something.
    pub fn is_effect(self) -> bool {
        self != Verb::Get
    }
}

/// A path in the one form that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestPath {
    /// Decoded; none is empty.
    segments: Vec<String>,
    /// Some controllers tell `/x/` from `/x`.
    ends_in_slash: bool,
}

impl GuestPath {
    /// The path that `text` names. `invalid-parameter` for everything that is not plainly one; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self, HardwareError> {
        let invalid = |why: &str| HardwareError::new(Kind::InvalidParameter, "wrought.InvalidPath", format!("the path is refused: {why}"));
        if text.len() > LONGEST {
            return Err(invalid("it is too long"));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(invalid("it does not begin with /redfish/v1/"));
        };
        let (rest, ends_in_slash) = rest.strip_suffix('/').map_or((rest, false), |rest| (rest, true));
        let segments: Vec<String> = rest.split('/').map(segment).collect::<Result<_, _>>().map_err(invalid)?;
        if segments.len() <= SERVICE.len() || segments.iter().zip(SERVICE).any(|(segment, service)| segment != service) {
            return Err(invalid("it does not lead below /redfish/v1/"));
        }
        Ok(Self { segments, ends_in_slash })
    }

    /// The path as it is sent.
    pub fn text(&self) -> String {
        let segments: String = self.segments.iter().map(|segment| format!("/{}", segment.replace(' ', "%20"))).collect();
        if self.ends_in_slash { segments + "/" } else { segments }
    }

    /// Whether this is `root`, or lies below it.
    pub fn is_within(&self, root: &GuestPath) -> bool {
        self.segments.starts_with(&root.segments)
    }

    /// Whether both lead to the same resource, with or without the last slash.
    pub(crate) fn is_same(&self, other: &GuestPath) -> bool {
        self.segments == other.segments
    }

    /// The same for a server that does not tell `a` from `A`.
    fn is_like(&self, other: &GuestPath) -> bool {
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&other.segments).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    /// The last segment, in lower case: of an action its name.
    pub(crate) fn action(&self) -> String {
        self.lower().next_back().unwrap_or_default()
    }

    /// The name below `/redfish/v1`, as `Systems`, in lower case.
    fn service(&self) -> String {
        self.segments.get(SERVICE.len()).map(|name| name.to_ascii_lowercase()).unwrap_or_default()
    }

    fn lower(&self) -> impl DoubleEndedIterator<Item = String> + '_ {
        self.segments.iter().skip(SERVICE.len()).map(|segment| segment.to_ascii_lowercase())
    }

    /// Whether this is one task, or its monitor, of the service's own: `TaskService/Tasks/1`, or below one.
    pub(crate) fn is_task(&self) -> bool {
        self.service() == "taskservice" && self.segments.len() > MEMBER
    }
}

/// Accepts one segment, decoded once.
fn segment(text: &str) -> Result<String, &'static str> {
    let plain = percent_decode_str(text).decode_utf8().map_err(|_| "it holds bytes that are no text")?;
    if plain.is_empty() {
        return Err("it has an empty segment");
    }
    if !plain.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:@(),= ".contains(c)) {
        return Err("only letters, digits and -._~:@(),= are accepted, without query and fragment");
    }
    // `%` itself is not accepted, so what is encoded was decoded above: a raw space was not.
    if text.contains(' ') || plain.starts_with(' ') || plain.ends_with(' ') {
        return Err("a space stands within a segment only, as %20");
    }
    if plain.chars().all(|c| c == '.' || c == ' ') {
        return Err("a segment of dots leads elsewhere");
    }
    Ok(plain.into_owned())
}

/// What belongs to a machine at its controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Its System.
    pub system: GuestPath,
    /// The Chassis and Managers that its System links.
    pub linked: Vec<GuestPath>,
    /// The target of its System's reset, as the System names it.
    pub reset: Option<GuestPath>,
}

/// Whether a path can be that of a System: a node that names a collection, or anything else, has none that a driver could use.
pub(crate) fn is_system(path: &GuestPath) -> bool {
    let parent = path.segments.len().checked_sub(2).and_then(|place| path.segments.get(place));
    path.segments.len() >= MEMBER && parent.is_some_and(|name| name == "Systems")
}

/// Why a path may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is the machine's own System, or below it.
    System,
    /// It is below a Chassis or a Manager that the machine's System links, which is the one at this place of [`Own::linked`].
    Linked(usize),
    /// It is a task of the service's own, which says itself whose it is.
    Task,
    /// It is shared, and was granted by path.
    Shared,
}

/// Whether a link of a System to a Chassis or a Manager can be believed: it leads to a member of that collection.
pub(crate) fn is_member_of(path: &GuestPath, collection: &str) -> bool {
    path.segments.len() == MEMBER && path.segments.get(SERVICE.len()).is_some_and(|name| name == collection)
}

/// Whether `verb` may be done at `path` by a driver of the machine `own` that was granted the shared paths `granted`. `denied`, with a
/// text that says what would be needed.
pub fn judge(verb: Verb, path: &GuestPath, own: &Own, granted: &[GuestPath]) -> Result<Access, HardwareError> {
    never(path)?;
    let access = access(verb, path, own, granted)?;
    if verb.is_effect() {
        with_its_capability(verb, path, own)?;
    }
    Ok(access)
}

fn never(path: &GuestPath) -> Result<(), HardwareError> {
    let forbidden = |name: String| NEVER_WHOLE.contains(&name.as_str()) || NEVER.iter().any(|word| name.contains(word));
    if path.lower().any(forbidden) {
        return Err(denied(
            "wrought.PathDenied",
            "accounts, sessions, certificates and subscriptions of a controller are never a driver's",
        ));
    }
    Ok(())
}

fn access(verb: Verb, path: &GuestPath, own: &Own, granted: &[GuestPath]) -> Result<Access, HardwareError> {
    if path.is_within(&own.system) {
        return Ok(Access::System);
    }
    if let Some(place) = own.linked.iter().position(|root| path.is_within(root)) {
        return Ok(Access::Linked(place));
    }
    if path.service() == "systems" {
        return Err(denied("wrought.PathDenied", "the path leads to Systems that are not this node's"));
    }
    if is_granted(path, granted) {
        return Ok(Access::Shared);
    }
    if verb == Verb::Get && path.is_task() {
        return Ok(Access::Task);
    }
    Err(not_granted(path))
}

/// Whether one of the granted paths holds `path`. A grant names a service or what is below it, and never opens Systems.
pub(crate) fn is_granted(path: &GuestPath, granted: &[GuestPath]) -> bool {
    path.service() != "systems" && granted.iter().any(|root| path.is_within(root))
}

pub(crate) fn not_granted(path: &GuestPath) -> HardwareError {
    let root = path.segments.get(SERVICE.len()).map(String::as_str).unwrap_or_default();
    let text = format!(
        "the path is neither below this node's own System nor below a Chassis or Manager that is its alone; what machines share is \
         granted by path, as redfish=/redfish/v1/{root}"
    );
    HardwareError::new(Kind::Denied, "wrought.NotGranted", text)
}

/// What `power` and `boot` do is done by them alone: they look first, and keep account of it.
fn with_its_capability(verb: Verb, path: &GuestPath, own: &Own) -> Result<(), HardwareError> {
    let is_boot = |name: String| BOOT_WHOLE.contains(&name.as_str()) || BOOT.iter().any(|word| name.contains(word));
    if path.lower().any(is_boot) {
        return Err(use_boot());
    }
    if own.reset.as_ref().is_some_and(|reset| reset.is_like(path)) {
        return Err(use_power());
    }
    // A request of any kind may hold an action in its body.
    if verb != Verb::Post && !path.lower().any(|name| name == "actions") {
        return Ok(());
    }
    let action = path.action();
    let has = |words: &[&str]| words.iter().any(|word| action.contains(word));
    let is_manager = path.service() == "managers";
    // Starting a controller anew leaves the machine as it is; without its settings the host's own account is lost with all others.
    if has(&ERASE) || is_manager && has(&DEFAULTS) && action != "manager.reset" {
        return Err(denied("wrought.PathDenied", "a driver does not reset a controller, or a machine with it, to its defaults"));
    }
    let is_harmless = HARMLESS.contains(&action.as_str()) || COUNTERS.iter().any(|end| action.ends_with(end));
    if has(&POWER) && !is_harmless && !(is_manager && action == "manager.reset") {
        return Err(use_power());
    }
    if action.contains("boot") { Err(use_boot()) } else { Ok(()) }
}

fn use_boot() -> HardwareError {
    let why = "boot options, secure boot and virtual media are changed through boot: set-device, set-mode, set-secure-boot, insert-media";
    denied("wrought.UseBoot", why)
}

pub(crate) fn use_power() -> HardwareError {
    denied("wrought.UsePower", "the machine's power is changed through power: power.on, power.off, power.reboot")
}

pub(crate) fn denied(code: &str, why: &str) -> HardwareError {
    HardwareError::new(Kind::Denied, code, why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn path(text: &str) -> GuestPath {
        GuestPath::parse(text).unwrap()
    }

    fn own() -> Own {
        Own {
            system: path("/redfish/v1/Systems/1"),
            linked: vec![path("/redfish/v1/Chassis/1U"), path("/redfish/v1/Managers/BMC")],
            reset: Some(path("/redfish/v1/Systems/1/Oem/Turn")),
        }
    }

    fn verdict(verb: Verb, text: &str, granted: &[&str]) -> Result<Access, String> {
        let granted: Vec<GuestPath> = granted.iter().map(|root| path(root)).collect();
        GuestPath::parse(text).and_then(|path| judge(verb, &path, &own(), &granted)).map_err(|error| error.code)
    }

    #[test]
    fn a_path_is_decoded_once_and_sent_in_one_form() {
        for (given, sent) in [
            ("/redfish/v1/Systems/1", "/redfish/v1/Systems/1"),
            ("/redfish/v1/Systems/1/", "/redfish/v1/Systems/1/"),
            ("/redfish/v1/%53ystems/%31", "/redfish/v1/Systems/1"),
            ("/redfish/v1/Systems/1/Sensors/CPU%20Temp", "/redfish/v1/Systems/1/Sensors/CPU%20Temp"),
            ("/redfish/v1/Systems/1/Storage/RAID.0-1:Disk.Bay.2", "/redfish/v1/Systems/1/Storage/RAID.0-1:Disk.Bay.2"),
        ] {
            assert_eq!(path(given).text(), sent);
        }
    }

    #[test]
    fn what_is_not_plainly_a_path_is_refused() {
        let long = format!("/redfish/v1/Systems/{}", "a".repeat(2000));
        for text in [
            "",
            "/",
            "/redfish",
            "/redfish/v1",
            "/redfish/v1/",
            "redfish/v1/Systems/1",
            "/Redfish/v1/Systems/1",
            "/redfish/V1/Systems/1",
            "//redfish/v1/Systems/1",
            "//evil.example/redfish/v1/Systems/1",
            "http://evil.example/redfish/v1/Systems/1",
            "/redfish/v1/Systems/1//Bios",
            "/redfish/v1/Systems/1/../2",
            "/redfish/v1/Systems/1/./Bios",
            "/redfish/v1/Systems/1/...",
            "/redfish/v1/Systems/1/%2e%2e/2",
            "/redfish/v1/Systems/1/.%2E/2",
            "/redfish/v1/Systems/1/%252e%252e/2",
            "/redfish/v1/Systems/1%2f..%2f2",
            "/redfish/v1/Systems/1%5c..%5c2",
            "/redfish/v1/Systems/1\\..\\2",
            "/redfish/v1/Systems/1/..;/2",
            "/redfish/v1/Systems/1;x=y",
            "/redfish/v1/Systems/1%00",
            "/redfish/v1/Systems/1\0",
            "/redfish/v1/Systems/1\n",
            "/redfish/v1/Systems/1 ",
            "/redfish/v1/Systems/1%20",
            "/redfish/v1/Systems/1/. .",
            "/redfish/v1/Systems/1/%20../2",
            "/redfish/v1/Systems/1?$expand=*",
            "/redfish/v1/Systems/1%3f$expand=*",
            "/redfish/v1/Systems/1#/Boot",
            "/redfish/v1/Systems/1%23",
            "/redfish/v1/$batch",
            "/redfish/v1/%24batch",
            "/redfish/v1/Systems/1/%c0%ae%c0%ae/2",
            "/redfish/v1/Systems/1/\u{ff0e}\u{ff0e}/2",
            "/redfish/v1/Systems/1/%zz",
            "/redfish/v1/Systems/1/%",
            "/redfish/v1/Systems/1/a+b",
            &long,
        ] {
            let error = GuestPath::parse(text).unwrap_err();
            assert_eq!((error.kind, error.code.as_str()), (Kind::InvalidParameter, "wrought.InvalidPath"), "{text:?}");
        }
    }

    #[test]
    fn the_nodes_own_resources_are_its_own_and_no_others() {
        for (text, access) in [
            ("/redfish/v1/Systems/1", Access::System),
            ("/redfish/v1/Systems/1/Bios/Settings", Access::System),
            ("/redfish/v1/Systems/1/LogServices/EventLog", Access::System),
            ("/redfish/v1/Chassis/1U/Thermal", Access::Linked(0)),
            ("/redfish/v1/Managers/BMC/Oem/Acme/Fans", Access::Linked(1)),
            ("/redfish/v1/TaskService/Tasks/7", Access::Task),
        ] {
            assert_eq!(verdict(Verb::Get, text, &[]), Ok(access), "{text}");
        }
        for text in
            ["/redfish/v1/Systems/2", "/redfish/v1/Systems/11", "/redfish/v1/Systems", "/redfish/v1/systems/1", "/redfish/v1/SYSTEMS/2"]
        {
            // Not even what an operator wrote opens them.
            assert_eq!(
                verdict(Verb::Get, text, &["/redfish/v1/Systems", "/redfish/v1/systems"]),
                Err("wrought.PathDenied".into()),
                "{text}"
            );
        }
        for text in ["/redfish/v1/Chassis/2U", "/redfish/v1/Managers", "/redfish/v1/UpdateService", "/redfish/v1/TaskService/Tasks"] {
            assert_eq!(verdict(Verb::Get, text, &[]), Err("wrought.NotGranted".into()), "{text}");
        }
        assert_eq!(verdict(Verb::Delete, "/redfish/v1/TaskService/Tasks/7", &[]), Err("wrought.NotGranted".into()));
    }

    #[test]
    fn a_grant_by_path_holds_for_whole_segments() {
        let granted = ["/redfish/v1/UpdateService", "/redfish/v1/Chassis/Enclosure"];
        for text in [
            "/redfish/v1/UpdateService",
            "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate",
            "/redfish/v1/Chassis/Enclosure/Power",
        ] {
            assert_eq!(verdict(Verb::Post, text, &granted), Ok(Access::Shared), "{text}");
        }
        for text in ["/redfish/v1/UpdateServices", "/redfish/v1/updateservice", "/redfish/v1/Chassis/Enclosure2", "/redfish/v1/Chassis"] {
            assert_eq!(verdict(Verb::Get, text, &granted), Err("wrought.NotGranted".into()), "{text}");
        }
    }

    #[test]
    fn accounts_and_their_like_are_never_a_drivers() {
        let all =
            ["/redfish/v1/AccountService", "/redfish/v1/SessionService", "/redfish/v1/EventService", "/redfish/v1/CertificateService"];
        for text in [
            "/redfish/v1/AccountService/Accounts/1",
            "/redfish/v1/accountservice",
            "/redfish/v1/%41ccountService",
            "/redfish/v1/SessionService/Sessions",
            "/redfish/v1/EventService/Subscriptions",
            "/redfish/v1/CertificateService",
            "/redfish/v1/Managers/BMC/Accounts/1",
            "/redfish/v1/Managers/BMC/RemoteAccountService",
            "/redfish/v1/Managers/BMC/NetworkProtocol/HTTPS/Certificates",
            "/redfish/v1/Managers/BMC/HostInterfaces/1",
            "/redfish/v1/Managers/BMC/Oem/Acme/LDAP",
            "/redfish/v1/Managers/BMC/Oem/Acme/Users/2",
            "/redfish/v1/Systems/1/Bios/Actions/Bios.ChangePassword",
        ] {
            for verb in [Verb::Get, Verb::Patch, Verb::Post, Verb::Delete] {
                assert_eq!(verdict(verb, text, &all), Err("wrought.PathDenied".into()), "{text}");
            }
        }
    }

    #[test]
    fn power_boot_and_media_go_by_their_own_capabilities() {
        for text in [
            "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
            "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset/",
            "/redfish/v1/Systems/1/Actions/computersystem.reset",
            "/redfish/v1/Systems/1/Actions/Reset",
            "/redfish/v1/Systems/1/Oem/Turn",
            "/redfish/v1/Systems/1/Actions/Oem/AcmeSystem.PowerButton",
            "/redfish/v1/Chassis/1U/Actions/Chassis.Reset",
        ] {
            assert_eq!(verdict(Verb::Post, text, &[]), Err("wrought.UsePower".into()), "{text}");
        }
        for text in [
            "/redfish/v1/Systems/1/VirtualMedia/Cd",
            "/redfish/v1/Managers/BMC/virtualmedia/Cd/Actions/VirtualMedia.InsertMedia",
            "/redfish/v1/Managers/BMC/VM1/CfgCD/Actions/IsoConfig.Mount",
        ] {
            for verb in [Verb::Patch, Verb::Post, Verb::Delete] {
                assert_eq!(verdict(verb, text, &[]), Err("wrought.UseBoot".into()), "{text}");
            }
        }
        assert_eq!(verdict(Verb::Get, "/redfish/v1/Systems/1/VirtualMedia/Cd", &[]), Ok(Access::System));
        for text in ["/redfish/v1/Systems/1/Bios/Actions/Bios.ResetBios", "/redfish/v1/Systems/1/Storage/1/Actions/Storage.ResetToDefaults"]
        {
            assert_eq!(verdict(Verb::Post, text, &[]), Ok(Access::System), "{text}");
        }
        assert_eq!(verdict(Verb::Post, "/redfish/v1/Managers/BMC/Actions/Manager.Reset", &[]), Ok(Access::Linked(1)));
    }

    #[test]
    fn power_and_boot_have_no_back_door_by_another_name() {
        let all = ["/redfish/v1/Dell", "/redfish/v1/PowerEquipment"];
        for text in [
            "/redfish/v1/Systems/1/OEM/TURN",
            "/redfish/v1/Systems/1/Oem/Acme/PowerOff",
            "/redfish/v1/Systems/1/Actions/Oem/Huawei.FruControl",
            "/redfish/v1/Systems/1/Actions/Oem/Acme.AuxPowerReset",
            "/redfish/v1/Systems/1/Processors/CPU1/Actions/Processor.Reset",
            "/redfish/v1/Chassis/1U/PowerSubsystem/PowerSupplies/1/Actions/PowerSupply.Reset",
            "/redfish/v1/Chassis/1U/Actions/Oem/Acme.Shutdown",
            "/redfish/v1/Managers/BMC/Oem/Dell/DellJobService/Actions/DellJobService.CreateRebootJob",
            "/redfish/v1/Dell/Managers/BMC/DellJobService/Actions/DellJobService.CreateRebootJob",
            "/redfish/v1/PowerEquipment/RackPDUs/1/Outlets/A/Actions/Outlet.PowerControl",
        ] {
            assert_eq!(verdict(Verb::Post, text, &all), Err("wrought.UsePower".into()), "{text}");
        }
        for text in [
            "/redfish/v1/Managers/BMC/Actions/Manager.ResetToDefaults",
            "/redfish/v1/Managers/BMC/Actions/Oem/SmcManagerConfig.Reset",
            "/redfish/v1/Managers/BMC/Actions/Oem/DellManager.iDRACResetCfg",
            "/redfish/v1/Managers/BMC/Oem/Acme/Actions/Acme.LoadDefaults",
            "/redfish/v1/Managers/BMC/Oem/Dell/DellLCService/Actions/DellLCService.SystemErase",
            "/redfish/v1/Systems/1/Actions/ComputerSystem.Decommission",
        ] {
            assert_eq!(verdict(Verb::Post, text, &[]), Err("wrought.PathDenied".into()), "{text}");
        }
        for text in [
            "/redfish/v1/Systems/1/SecureBoot/Actions/SecureBoot.ResetKeys",
            "/redfish/v1/Systems/1/SecureBoot/SecureBootDatabases/db/Signatures",
            "/redfish/v1/Systems/1/BootOptions/Boot0001",
            "/redfish/v1/Systems/1/Actions/ComputerSystem.SetDefaultBootOrder",
            "/redfish/v1/Systems/1/Bios/Boot/Settings",
            "/redfish/v1/Systems/1/Actions/Oem/Acme.BootToSetup",
            "/redfish/v1/Managers/BMC/Oem/Acme/RFS/1",
        ] {
            for verb in [Verb::Patch, Verb::Post, Verb::Delete] {
                assert_eq!(verdict(verb, text, &[]), Err("wrought.UseBoot".into()), "{text}");
            }
            assert_eq!(verdict(Verb::Get, text, &[]).map(|_| ()), Ok(()), "{text}");
        }
        // A request that a body holds is an action, whatever it is sent with.
        let reset = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
        assert_eq!(verdict(Verb::Patch, reset, &[]), Err("wrought.UsePower".into()));
        assert_eq!(verdict(Verb::Patch, "/redfish/v1/Systems/1/oem/turn", &[]), Err("wrought.UsePower".into()));
    }

    #[test]
    fn what_leaves_the_machine_as_it_is_passes() {
        for text in [
            "/redfish/v1/Systems/1/Bios/Actions/Bios.ResetBios",
            "/redfish/v1/Systems/1/Storage/1/Actions/Storage.ResetToDefaults",
            "/redfish/v1/Systems/1/Storage/1/Volumes",
            "/redfish/v1/Systems/1/Storage/1/Drives/2/Actions/Drive.SecureErase",
            "/redfish/v1/Systems/1/Storage/1/Drives/2/Actions/Drive.RevertToOriginalFactoryState",
            "/redfish/v1/Systems/1/Oem/Dell/DellRaidService/Actions/DellRaidService.ResetConfig",
            "/redfish/v1/Chassis/1U/NetworkAdapters/1/Actions/NetworkAdapter.ResetSettingsToDefault",
            "/redfish/v1/Chassis/1U/PowerSubsystem/PowerSupplies/1/Metrics/Actions/PowerSupplyMetrics.ResetMetrics",
            "/redfish/v1/Chassis/1U/Power",
            "/redfish/v1/Systems/1/LogServices/Sel/Actions/LogService.ClearLog",
            "/redfish/v1/Managers/BMC/Actions/Manager.Reset",
            "/redfish/v1/Managers/BMC/Actions/Oem/EID_674_Manager.ExportSystemConfiguration",
        ] {
            assert_eq!(verdict(Verb::Post, text, &[]).map(|_| ()), Ok(()), "{text}");
        }
        for text in ["/redfish/v1/Systems/1/Bios/Settings", "/redfish/v1/Chassis/1U/PowerSubsystem", "/redfish/v1/Systems/1"] {
            assert_eq!(verdict(Verb::Patch, text, &[]).map(|_| ()), Ok(()), "{text}");
        }
    }
}
