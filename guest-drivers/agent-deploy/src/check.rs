//! What can be said about a node before anything is done with it.

use serde_json::Value;
use wrought_sdk::prelude::*;

use crate::hints;
use crate::image_info::Layout;
use crate::node::{Details, Dictionary, instance_capabilities, node_capabilities, text};

/// What can be checked without asking anybody.
pub fn check(details: &Details) -> Result<()> {
    capabilities("instance_info", instance_capabilities(&details.instance_info)?)?;
    capabilities("properties", node_capabilities(&details.properties)?)?;
    hints::validate(hints::of(&details.instance_info, &details.properties))?;
    proxy(&details.driver_info, "image_http_proxy")?;
    proxy(&details.driver_info, "image_https_proxy")?;
    for (name, dictionary) in [("instance_info", &details.instance_info), ("driver_info", &details.driver_info)] {
        match dictionary.get("image_download_source") {
            None | Some(Value::Null) => {}
            Some(Value::String(source)) if ["swift", "http", "local"].contains(&source.as_str()) => {}
            Some(source) => {
                let message = format!("{name}/image_download_source is {source}; it must be `http`, `local` or `swift`");
                return Err(Error::invalid_parameter(message));
            }
        }
    }
    if details.asks_for_partition() {
        Layout::of(details)?;
    }
    Ok(())
}

fn capabilities(place: &str, present: impl IntoIterator<Item = (String, String)>) -> Result<()> {
    for (name, value) in present {
        let accepted: &[&str] = match name.as_str() {
            "boot_mode" => &["bios", "uefi"],
            "secure_boot" => &["true", "false"],
            "disk_label" => &["msdos", "gpt"],
            _ => continue,
        };
        if !accepted.contains(&value.to_ascii_lowercase().as_str()) {
            let message = format!("{place}/capabilities: {name} is `{value}`; it must be one of {}", accepted.join(", "));
            return Err(Error::invalid_parameter(message));
        }
    }
    Ok(())
}

fn proxy(driver_info: &Dictionary, key: &str) -> Result<()> {
    let scheme = text(driver_info, key).and_then(|url| url.split_once("://")).map(|(scheme, _)| scheme);
    match scheme {
        Some(other) if !["http", "https"].iter().any(|known| other.eq_ignore_ascii_case(known)) => {
            Err(Error::invalid_parameter(format!("driver_info/{key} must be an http or https URL, not one of `{other}`")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::example::details;
    use serde_json::json;

    #[test]
    fn a_node_that_can_be_deployed_passes() {
        let driver_info = json!({"image_http_proxy": "http://proxy:3128", "image_https_proxy": "proxy:3128"});
        let instance_info = json!({"image_type": "partition", "root_gb": 10, "capabilities": {"boot_mode": "uefi", "own": "word"}});
        let properties = json!({"capabilities": "secure_boot:True,disk_label:gpt", "root_device": {"size": 10}});
        check(&details(driver_info, instance_info, properties)).unwrap();
        check(&details(json!({}), json!({}), json!({}))).unwrap();
    }

    #[test]
    fn each_wrong_value_is_named() {
        for (driver_info, instance_info, properties, named) in [
            (json!({}), json!({"capabilities": {"boot_mode": "efi"}}), json!({}), "boot_mode"),
            (json!({}), json!({}), json!({"capabilities": "disk_label:gpd"}), "disk_label"),
            (json!({}), json!({}), json!({"capabilities": "secure_boot:perhaps"}), "secure_boot"),
            (json!({}), json!({}), json!({"root_device": {"size": "x"}}), "size"),
            (json!({"image_https_proxy": "ftp://proxy"}), json!({}), json!({}), "image_https_proxy"),
            (json!({"image_download_source": "tape"}), json!({}), json!({}), "image_download_source"),
            (json!({}), json!({"kernel": "http://192.0.2.2/k"}), json!({}), "root_gb"),
        ] {
            let error = check(&details(driver_info, instance_info, properties)).expect_err(named);
            assert!(matches!(error.kind, ErrorKind::InvalidParameter | ErrorKind::MissingParameter), "{named}");
            assert!(error.message.contains(named), "{named}: {}", error.message);
        }
    }
}
