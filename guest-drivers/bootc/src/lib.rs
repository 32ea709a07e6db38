//! The `bootc` driver: Ironic's `bootc` deploy interface. The agent installs a bootable container from a registry.

use serde_json::{Value, json};
use wrought_agent_deploy::node::{Details, text};
use wrought_agent_deploy::{check, cleans_and_services_by_agent, in_band, instance, life, steps};
use wrought_sdk::agent::StepKind;
use wrought_sdk::prelude::*;

/// The driver.
pub struct Bootc;

/// The reference under which the host knows the registry's secret of this node.
const PULL_SECRET: &str = "secret-ref:image-pull-secret";

fn own_steps() -> Vec<Step> {
    steps::own(&[
        ("deploy", 100),
        ("execute_bootc_install", 80),
        ("prepare_instance_boot", 60),
        ("tear_down_agent", 40),
        ("switch_to_tenant_network", 30),
        ("boot_instance", 20),
    ])
}

/// The container: `oci://registry/name:tag`, or with a digest.
fn image_source(details: &Details) -> Result<&str> {
    let source = text(&details.instance_info, "image_source");
    let source =
        source.ok_or_else(|| Error::missing_parameter("instance_info/image_source is missing: an oci:// URL of a bootable container"))?;
    if !source.starts_with("oci://") || source.len() < "oci://r/n".len() || source.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::invalid_parameter("instance_info/image_source must be an oci:// URL of a bootable container"));
    }
    Ok(source)
}

/// Whether the host has a secret for the container's registry: the instance's own, or the operator's if it belongs there.
fn has_secret(details: &Details, source: &str) -> Result<bool> {
    if text(&details.instance_info, "image_pull_secret").is_some() {
        return Ok(true);
    }
    if text(&details.driver_info, "image_pull_secret").is_none() {
        return Ok(false);
    }
    let registry = text(&details.driver_info, "image_pull_registry").ok_or_else(|| {
        Error::missing_parameter(
            "driver_info/image_pull_registry is missing: the registry, as host or host:port, that image_pull_secret is for",
        )
    })?;
    let host = source.strip_prefix("oci://").and_then(|rest| rest.split_once('/')).map(|(host, _)| host);
    Ok(host.is_some_and(|host| host.eq_ignore_ascii_case(registry)))
}

/// The arguments of the agent's step; secrets by their references.
fn install_args(details: &Details, drive: Option<&str>) -> Result<Value> {
    let source = image_source(details)?;
    let has_secret = has_secret(details, source)?;
    Ok(json!({
        "image_source": source,
        "configdrive": drive,
        "oci_pull_secret": has_secret.then_some(PULL_SECRET),
    }))
}

impl Driver for Bootc {
    fn describe() -> Description {
        Description::new("bootc", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Boots the agent, which installs a bootable container from a registry.")
            .steps(own_steps())
    }

    fn get_properties() -> Vec<Property> {
        vec![
            Property::optional(
                "driver_info/deploy_forces_oob_reboot",
                "Power the machine off through its controller at the end of a deployment.",
            ),
            Property::optional("driver_info/image_pull_secret", "The registry's secret; that of `instance_info` comes first."),
            Property::optional("driver_info/image_pull_registry", "The registry (host or host:port) that alone gets `image_pull_secret`."),
            Property::optional("properties/capabilities", "`boot_mode` and `secure_boot`; those of `instance_info` come first."),
            Property::optional("properties/root_device", "Hints that find the disk to install on; those of `instance_info` come first."),
        ]
    }
}

impl Deploy for Bootc {
    fn validate() -> Result<()> {
        boot::validate()?;
        let details = Details::load()?;
        check::check(&details)?;
        has_secret(&details, image_source(&details)?).map(drop)
    }

    fn prepare() -> Result<Outcome> {
        life::prepare(|| Ok(()))
    }

    fn tear_down() -> Result<Outcome> {
        life::tear_down()
    }

    fn clean_up() -> Result<Outcome> {
        life::clean_up()
    }

    fn take_over() -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

impl DeploySteps for Bootc {
    fn get_deploy_steps() -> Result<Vec<Step>> {
        steps::deploy(own_steps())
    }

    fn execute_deploy_step(step: StepCall) -> Result<Outcome> {
        match step.id() {
            ("deploy", "execute_bootc_install") => {
                let drive = image::config_drive();
                let args = install_args(&Details::load()?, drive.as_deref())?;
                in_band::execute(StepKind::Deploy, &StepCall::new(&step.interface, &step.step, &args)?)
            }
            ("deploy", "prepare_instance_boot") => instance::boot_from_disk(),
            _ => steps::execute(&step),
        }
    }
}

cleans_and_services_by_agent!(Bootc);
export_driver!(Bootc: deploy, deploy_steps, cleaning, servicing);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use wrought_sdk::serde_json::Map;

    fn details(instance_info: Value, driver_info: Value) -> Details {
        let object = |value: Value| value.as_object().cloned().unwrap_or_else(Map::new);
        let node = task::Node {
            uuid: String::new(),
            name: None,
            driver: "redfish".into(),
            provision_state: "deploying".into(),
            target_provision_state: None,
            power: PowerState::Off,
            driver_info: Value::Object(object(driver_info)).to_string(),
            instance_info: Value::Object(object(instance_info)).to_string(),
            properties: "{}".into(),
            extra: "{}".into(),
            resource_class: None,
            disable_power_off: false,
            maintenance: false,
        };
        Details::parse(node, Default::default()).unwrap()
    }

    #[test]
    fn only_a_container_is_installed() {
        assert_eq!(image_source(&details(json!({"image_source": "oci://r.example/os:1"}), json!({}))).unwrap(), "oci://r.example/os:1");
        for (source, kind) in [
            (json!(null), ErrorKind::MissingParameter),
            (json!("http://h/a.qcow2"), ErrorKind::InvalidParameter),
            (json!("oci://"), ErrorKind::InvalidParameter),
            (json!("oci://r/n --flag"), ErrorKind::InvalidParameter),
        ] {
            assert_eq!(image_source(&details(json!({ "image_source": source }), json!({}))).unwrap_err().kind, kind);
        }
    }

    #[test]
    fn the_registrys_secret_is_a_reference_where_there_is_one() {
        let source = json!({"image_source": "oci://r.example/os:1"});
        let args = install_args(&details(source.clone(), json!({})), None).unwrap();
        assert_eq!((args["oci_pull_secret"].clone(), args["configdrive"].clone()), (Value::Null, Value::Null));
        let of_instance = json!({"image_source": "oci://r.example/os:1", "image_pull_secret": "******"});
        assert_eq!(install_args(&details(of_instance, json!({})), None).unwrap()["oci_pull_secret"], PULL_SECRET);
        let of_node = |registry: &str| json!({"image_pull_secret": "******", "image_pull_registry": registry});
        let elsewhere = install_args(&details(source.clone(), of_node("other.example")), None).unwrap();
        assert_eq!(elsewhere["oci_pull_secret"], Value::Null);
        let nowhere = install_args(&details(source.clone(), json!({"image_pull_secret": "******"})), None).unwrap_err();
        assert_eq!(nowhere.kind, ErrorKind::MissingParameter);
        let args = install_args(&details(source, of_node("R.example")), Some("secret-ref:config-drive")).unwrap();
        assert_eq!((args["oci_pull_secret"].clone(), args["configdrive"].clone()), (json!(PULL_SECRET), json!("secret-ref:config-drive")));
    }
}
