//! The `direct` driver: Ironic's `direct` deploy interface. The machine boots the agent, which writes the image to the disk and
//! cleans the machine; the driver leads, never waits and keeps what it must remember in the operation's state.

mod deploy;
mod deploy_steps;

use wrought_agent_deploy::{cleans_and_services_by_agent, steps};
use wrought_sdk::prelude::*;

/// The driver.
pub struct Direct;

fn own_steps() -> Vec<Step> {
    steps::own(&[
        ("deploy", 100),
        ("write_image", 80),
        ("prepare_instance_boot", 60),
        ("tear_down_agent", 40),
        ("switch_to_tenant_network", 30),
        ("boot_instance", 20),
    ])
}

impl Driver for Direct {
    fn describe() -> Description {
        Description::new("direct", env!("CARGO_PKG_VERSION"), "Wrought")
            .summary("Boots the agent, which writes the image straight to the machine's disk.")
            .steps(own_steps())
    }

    fn get_properties() -> Vec<Property> {
        [
            ("driver_info/deploy_forces_oob_reboot", "Power the machine off through its controller at the end of a deployment."),
            ("driver_info/image_download_source", "Where the agent fetches the image: `http`, `local` or `swift`."),
            ("driver_info/image_http_proxy", "URL of the proxy through which the agent fetches an http image."),
            ("driver_info/image_https_proxy", "URL of the proxy through which the agent fetches an https image."),
            ("driver_info/image_no_proxy", "Comma-separated host names, domains or addresses that need no proxy."),
            ("properties/capabilities", "`boot_mode`, `secure_boot` and `disk_label`; those of `instance_info` come first."),
            ("properties/root_device", "Hints that find the disk to write to; those of `instance_info` come first."),
            ("properties/vendor", "The machine's vendor; Lenovo's in UEFI mode keep their boot device."),
        ]
        .map(|(name, description)| Property::optional(name, description))
        .into()
    }
}

cleans_and_services_by_agent!(Direct);
export_driver!(Direct: deploy, deploy_steps, cleaning, servicing);
