//! What Ironic lets an operator ask of RAID: `target_raid_config` of a node.

use serde_json::Value;

use crate::Map;

/// The keys of a logical disk, with what they mean, in Ironic's words.
pub const LOGICAL_DISK: [(&str, &str); 10] = [
    ("raid_level", "RAID level for the logical disk. Valid values are 'JBOD', '0', '1', '2', '5', '6', '1+0', '5+0' and '6+0'. Required."),
    (
        "size_gb",
        "Size in GiB (Integer) for the logical disk. Use 'MAX' as size_gb if this logical disk is supposed to use the rest of the space \
         available. Required.",
    ),
    ("volume_name", "Name of the volume to be created. If this is not specified, it will be auto-generated. Optional."),
    ("is_root_volume", "Specifies whether this disk is a root volume. By default, this is False. Optional."),
    (
        "share_physical_disks",
        "Specifies whether other logical disks can share physical disks with this logical disk. By default, this is False. Optional.",
    ),
    (
        "disk_type",
        "The type of disk preferred. Valid values are 'hdd' and 'ssd'. If this is not specified, disk type will not be a selection \
         criterion for choosing backing physical disks. Optional.",
    ),
    (
        "interface_type",
        "The interface type of disk. Valid values are 'sata', 'scsi' and 'sas'. If this is not specified, interface type will not be a \
         selection criterion for choosing backing physical disks. Optional.",
    ),
    (
        "number_of_physical_disks",
        "Number of physical disks to use for this logical disk. By default, no. of disks required for raid_level is used. Optional.",
    ),
    (
        "controller",
        "Controller to use for this logical disk. If not specified, the driver will choose a suitable RAID controller on the bare metal \
         node. Optional.",
    ),
    (
        "physical_disks",
        "The physical disks to use for this logical disk. If not specified, the driver will choose suitable physical disks to use. \
         Optional.",
    ),
];

const LEVELS: [&str; 9] = ["JBOD", "0", "1", "2", "5", "6", "1+0", "5+0", "6+0"];

/// Logical disks that one node may have.
const MOST: usize = 256;

/// Why a configuration is none; nothing if it can be asked for.
///
/// # Errors
/// For people: what is wrong, and what is accepted.
pub fn check(config: &Map) -> Result<(), String> {
    if let Some(key) = config.keys().find(|key| *key != "logical_disks") {
        return Err(format!("Additional properties are not allowed ('{}' was unexpected)", crate::node::cut(key, 80)));
    }
    let disks = config.get("logical_disks").ok_or("'logical_disks' is a required property")?;
    let disks = disks.as_array().filter(|disks| (1..=MOST).contains(&disks.len()));
    let disks = disks.ok_or_else(|| format!("'logical_disks' must be a list of 1 to {MOST} disks"))?;
    disks.iter().try_for_each(check_disk)?;
    let roots = disks.iter().filter(|disk| disk.get("is_root_volume").and_then(Value::as_bool) == Some(true)).count();
    match roots {
        0 | 1 => Ok(()),
        more => Err(format!("Raid config cannot have more than one root volume. {more} root volumes were specified")),
    }
}

fn check_disk(disk: &Value) -> Result<(), String> {
    let disk = disk.as_object().ok_or("a logical disk must be an object")?;
    if let Some(key) = ["raid_level", "size_gb"].into_iter().find(|key| !disk.contains_key(*key)) {
        return Err(format!("'{key}' is a required property"));
    }
    for (key, value) in disk {
        let positive = || value.as_u64().is_some_and(|number| number > 0);
        let one_of = |known: &[&str]| value.as_str().is_some_and(|text| known.contains(&text));
        let good = match key.as_str() {
            "raid_level" => one_of(&LEVELS),
            "size_gb" => positive() || one_of(&["MAX"]),
            "volume_name" | "controller" => value.is_string(),
            "is_root_volume" | "share_physical_disks" => value.is_boolean(),
            "disk_type" => one_of(&["hdd", "ssd"]),
            "interface_type" => one_of(&["sata", "scsi", "sas"]),
            "number_of_physical_disks" => positive(),
            "physical_disks" => {
                value.as_array().is_some_and(|disks| disks.iter().all(Value::is_string) || disks.iter().all(Value::is_object))
            }
            _ => return Err(format!("Additional properties are not allowed ('{}' was unexpected)", crate::node::cut(key, 80))),
        };
        if !good {
            let about = LOGICAL_DISK.iter().find(|(name, _)| name == key).map_or("", |(_, about)| *about);
            return Err(format!("'{key}' has a wrong value. {about}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn checked(config: Value) -> Result<(), String> {
        check(config.as_object().unwrap())
    }

    #[test]
    fn configurations_are_checked_as_ironic_does() {
        let disk = json!({"raid_level": "1", "size_gb": 100, "is_root_volume": true, "physical_disks": ["a", "b"]});
        checked(json!({"logical_disks": [disk, {"raid_level": "5+0", "size_gb": "MAX"}]})).unwrap();
        for (wrong, expected) in [
            (json!({}), "'logical_disks' is a required"),
            (json!({"logical_disks": []}), "1 to 256"),
            (json!({"logical_disks": [], "x": 1}), "'x' was unexpected"),
            (json!({"logical_disks": [{"raid_level": "1"}]}), "'size_gb' is a required"),
            (json!({"logical_disks": [{"raid_level": "7", "size_gb": 1}]}), "'raid_level' has a wrong value"),
            (json!({"logical_disks": [{"raid_level": "1", "size_gb": 0}]}), "'size_gb' has a wrong value"),
            (json!({"logical_disks": [{"raid_level": "1", "size_gb": 1, "colour": "red"}]}), "'colour' was unexpected"),
            (json!({"logical_disks": [disk, disk]}), "more than one root volume"),
        ] {
            let why = checked(wrong.clone()).unwrap_err();
            assert!(why.contains(expected), "{wrong}: {why}");
        }
    }
}
