//! What the agent's `write_image` is told about the image.

use serde_json::{Value, json};
use wrought_sdk::image::{Image, Kind};
use wrought_sdk::prelude::*;

use crate::node::{Details, Dictionary, integer, is_true, text};

/// The keys of a partition image's layout.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    root_gb: u64,
    swap_mb: u64,
    ephemeral_mb: u64,
    ephemeral_format: String,
    preserve_ephemeral: bool,
}

impl Layout {
    /// From `instance_info`. `missing-parameter` without `root_gb`.
    pub fn of(details: &Details) -> Result<Self> {
        let info = &details.instance_info;
        let root_gb = integer(info, "root_gb")?.filter(|gib| *gib > 0);
        let preserve_ephemeral = match info.get("preserve_ephemeral") {
            Some(Value::Bool(preserve)) => *preserve,
            Some(Value::String(word)) => is_true(word),
            _ => false,
        };
        Ok(Self {
            root_gb: root_gb.ok_or_else(|| Error::missing_parameter("instance_info/root_gb is needed for a partition image"))?,
            swap_mb: integer(info, "swap_mb")?.unwrap_or(0),
            ephemeral_mb: integer(info, "ephemeral_gb")?.unwrap_or(0).saturating_mul(1024),
            ephemeral_format: text(info, "ephemeral_format").unwrap_or(&details.options.default_ephemeral_format).to_owned(),
            preserve_ephemeral,
        })
    }
}

/// The arguments of `write_image`: `image_info`, and the config drive once more beside it. `config_drive` and `authorization`
/// are references to secrets.
pub fn write_image_args(image: &Image, details: &Details, config_drive: Option<&str>, authorization: Option<&str>) -> Result<Value> {
    let mut info = image_info(image, details)?;
    if let Some(authorization) = authorization {
        info.insert("image_request_authorization".to_owned(), json!(authorization));
    }
    if config_drive.is_some() || image.kind == Kind::Partition {
        info.insert("configdrive".to_owned(), json!(config_drive));
    }
    Ok(json!({ "image_info": info, "configdrive": config_drive }))
}

fn image_info(image: &Image, details: &Details) -> Result<Dictionary> {
    let mut info = Dictionary::new();
    let mut put = |key: &str, value: Value| info.insert(key.to_owned(), value);
    put("id", json!(image.id));
    put("urls", json!([image.url]));
    put("disk_format", json!(image.disk_format));
    put("container_format", json!(image.container_format));
    put("stream_raw_images", json!(details.options.stream_raw_images));
    put("node_uuid", json!(details.node.uuid));
    if let Some(checksum) = &image.checksum {
        put("checksum", json!(checksum));
    }
    if let (Some(algorithm), Some(value)) = (&image.hash_algorithm, &image.hash_value) {
        put("os_hash_algo", json!(algorithm));
        put("os_hash_value", json!(value));
    }
    let proxies: Dictionary = [("http", "image_http_proxy"), ("https", "image_https_proxy")]
        .into_iter()
        .filter_map(|(scheme, key)| Some((scheme.to_owned(), json!(text(&details.driver_info, key)?))))
        .collect();
    if !proxies.is_empty() {
        put("proxies", Value::Object(proxies));
        if let Some(no_proxy) = text(&details.driver_info, "image_no_proxy") {
            put("no_proxy", json!(no_proxy));
        }
    }
    if image.kind == Kind::Partition {
        let layout = Layout::of(details)?;
        put("image_type", json!("partition"));
        put("kernel", json!(image.kernel));
        put("ramdisk", json!(image.ramdisk));
        put("root_gb", json!(layout.root_gb));
        put("root_mb", json!(layout.root_gb.saturating_mul(1024)));
        put("swap_mb", json!(layout.swap_mb));
        put("ephemeral_mb", json!(layout.ephemeral_mb));
        put("ephemeral_format", json!(layout.ephemeral_format));
        put("preserve_ephemeral", json!(layout.preserve_ephemeral));
        put("deploy_boot_mode", json!(details.boot_mode()?.as_str()));
        put("boot_option", json!("local"));
        if let Some(label) = details.disk_label()? {
            put("disk_label", json!(label));
        }
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::example::details;

    fn image(kind: Kind) -> Image {
        Image {
            id: "instance.qcow2".to_owned(),
            url: "http://192.0.2.2/instance.qcow2".to_owned(),
            kind,
            disk_format: Some("qcow2".to_owned()),
            container_format: None,
            checksum: None,
            hash_algorithm: Some("sha256".to_owned()),
            hash_value: Some("69de".to_owned()),
            kernel: None,
            ramdisk: None,
            size_mib: None,
        }
    }

    #[test]
    fn a_whole_disk_image_is_told_as_ironic_tells_it() {
        let node = details(json!({}), json!({"root_gb": 10}), json!({}));
        let args = write_image_args(&Image { checksum: Some("69de".to_owned()), ..image(Kind::WholeDisk) }, &node, None, None).unwrap();
        assert_eq!(
            args,
            json!({
                "image_info": {
                    "id": "instance.qcow2",
                    "urls": ["http://192.0.2.2/instance.qcow2"],
                    "disk_format": "qcow2",
                    "container_format": null,
                    "stream_raw_images": true,
                    "checksum": "69de",
                    "os_hash_algo": "sha256",
                    "os_hash_value": "69de",
                    "node_uuid": node.node.uuid,
                },
                "configdrive": null,
            })
        );
    }

    #[test]
    fn secrets_and_proxies_stand_where_the_agent_looks_for_them() {
        let driver_info = json!({"image_https_proxy": "http://proxy:3128", "image_no_proxy": "10.0.0.0/8"});
        let node = details(driver_info, json!({}), json!({}));
        let args = write_image_args(&image(Kind::WholeDisk), &node, Some("ref:drive"), Some("ref:auth")).unwrap();
        assert_eq!(args["configdrive"], "ref:drive");
        let info = &args["image_info"];
        assert_eq!(info["configdrive"], "ref:drive");
        assert_eq!(info["image_request_authorization"], "ref:auth");
        assert_eq!(info["proxies"], json!({"https": "http://proxy:3128"}));
        assert_eq!(info["no_proxy"], "10.0.0.0/8");
        assert_eq!(info.get("checksum"), None);
    }

    #[test]
    fn half_a_hash_is_not_sent() {
        let node = details(json!({}), json!({}), json!({}));
        let args = write_image_args(&Image { hash_value: None, ..image(Kind::WholeDisk) }, &node, None, None).unwrap();
        assert_eq!((args["image_info"].get("os_hash_algo"), args["image_info"].get("os_hash_value")), (None, None));
    }

    #[test]
    fn a_partition_image_comes_with_its_layout() {
        let node = details(json!({}), json!({"root_gb": "10", "swap_mb": 512, "ephemeral_gb": 2, "preserve_ephemeral": "True"}), json!({}));
        let args = write_image_args(&image(Kind::Partition), &node, None, None).unwrap();
        let expected = json!({
            "image_type": "partition", "kernel": null, "ramdisk": null, "root_gb": 10, "root_mb": 10240, "swap_mb": 512,
            "ephemeral_mb": 2048, "ephemeral_format": "ext4", "preserve_ephemeral": true, "deploy_boot_mode": "uefi",
            "boot_option": "local", "disk_label": "gpt", "configdrive": null,
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(args["image_info"].get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn a_partition_image_needs_a_size() {
        for (root_gb, kind) in [(json!(null), ErrorKind::MissingParameter), (json!("ten"), ErrorKind::InvalidParameter)] {
            let node = details(json!({}), json!({ "root_gb": root_gb }), json!({}));
            assert_eq!(Layout::of(&node).unwrap_err().kind, kind);
        }
    }
}
