//! `image`: what `instance_info` names, and what its server says of it.

use std::borrow::Cow;

use async_trait::async_trait;
use wrought_domain::{DriverError, Map};
use wrought_drivers::capability::Image;
use wrought_drivers::contract::image::{Image as Resolved, Kind};
use wrought_hardware::image::{ImageKind, MaybeSecret};

use super::NodeWorld;
use crate::secrets::without_image_secrets;

impl NodeWorld {
    /// With what its secrets refer to.
    fn instance_info(&self) -> Result<Cow<'_, Map>, DriverError> {
        self.conductor.0.machines.references.resolved(&self.node.instance_info).map_err(|error| self.failed(error))
    }

    /// A URL that holds a secret is named. The name stands for the value as the operator gave it, so it is valid as long
    /// as the operation. Where the operator gave a URL without a secret and a server redirected to one with, the agent is
    /// given the former and is redirected itself.
    fn shown_url(&self, key: &str, text: MaybeSecret) -> String {
        match text {
            MaybeSecret::Plain(text) => text,
            MaybeSecret::Secret(_) => {
                let shown = without_image_secrets(&self.node.instance_info);
                shown.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
            }
        }
    }
}

#[async_trait]
impl Image for NodeWorld {
    async fn validate_image(&self) -> Result<(), DriverError> {
        let instance_info = self.instance_info()?;
        self.conductor.0.images.validate(&instance_info, &self.node.driver_info).map_err(|error| self.failed(error))
    }

    async fn resolve_image(&self) -> Result<Resolved, DriverError> {
        let instance_info = self.instance_info()?;
        let image = self.conductor.0.images.resolve(&instance_info, &self.node.driver_info).await.map_err(|error| self.failed(error))?;
        Ok(Resolved {
            id: image.id,
            url: self.shown_url("image_source", image.url),
            kind: match image.kind {
                ImageKind::WholeDisk => Kind::WholeDisk,
                ImageKind::Partition => Kind::Partition,
            },
            disk_format: image.disk_format,
            container_format: image.container_format,
            checksum: image.checksum.map(|text| self.shown_url("image_checksum", text)),
            hash_algorithm: image.hash_algorithm,
            hash_value: image.hash_value.map(|text| self.shown_url("image_os_hash_value", text)),
            kernel: image.kernel.map(|text| self.shown_url("kernel", text)),
            ramdisk: image.ramdisk.map(|text| self.shown_url("ramdisk", text)),
            size_mib: image.size_mib,
        })
    }
}
