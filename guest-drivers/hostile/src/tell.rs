//! A step that writes down all that a driver is shown, for whoever looks for secrets in it.

use wrought_sdk::bindings::imports::baremetal::deploy::task as host;
use wrought_sdk::prelude::*;

/// Bytes of a line; the host cuts longer ones.
const LINE: usize = 3_000;

pub fn everything() -> Result<Outcome> {
    let node = task::node();
    let texts = [
        ("node", format!("{} {:?} {} {} {:?}", node.uuid, node.name, node.driver, node.provision_state, node.resource_class)),
        ("driver_info", node.driver_info),
        ("instance_info", node.instance_info),
        ("properties", node.properties),
        ("extra", node.extra),
        ("operation", task::operation().id),
        ("ports", task::ports().into_iter().map(|port| format!("{} {}", port.address, port.local_link_connection)).collect()),
        ("traits", task::traits().join(" ")),
        ("options", host::get_options()),
        ("step", task::step().map(|step| step.args).unwrap_or_default()),
        ("image", format!("{:?}", image::resolve())),
        ("config_drive", format!("{:?}", image::config_drive())),
        ("authorization", format!("{:?}", image::authorization())),
        ("power", format!("{:?}", power::get())),
        ("agent", format!("{:?}", agent::current().map(|agent| format!("{agent:?}")))),
        ("boot", format!("{:?} {:?}", boot::get_mode(), boot::get_device().is_ok())),
    ];
    for (what, text) in texts {
        let bytes = text.into_bytes();
        for part in bytes.chunks(LINE) {
            wrought_sdk::info!("told {what}: {}", String::from_utf8_lossy(part));
        }
    }
    Ok(Outcome::Done)
}
