//! `image`: what `instance_info` names, and what its server says of it.

use async_trait::async_trait;
use wrought_domain::DriverError;
use wrought_drivers::capability::Image;
use wrought_drivers::contract::image::{Image as Resolved, Kind};
use wrought_hardware::image::{ImageKind, MaybeSecret};
use wrought_hardware::secrets::Secrets;

use super::{IMAGE_URL, NodeWorld};
use crate::convert;

/// A URL that holds a secret is named. The name stands for `image_source` as the operator gave it,
/// so it is valid as long as the operation.
fn shown(text: MaybeSecret) -> String {
    match text {
        MaybeSecret::Plain(text) => text,
        MaybeSecret::Secret(_) => Secrets::reference(IMAGE_URL),
    }
}

#[async_trait]
impl Image for NodeWorld {
    async fn validate_image(&self) -> Result<(), DriverError> {
        self.conductor.0.images.validate(&self.node.instance_info, &self.node.driver_info).map_err(convert::error)
    }

    async fn resolve_image(&self) -> Result<Resolved, DriverError> {
        let image = self.conductor.0.images.resolve(&self.node.instance_info, &self.node.driver_info).await.map_err(convert::error)?;
        let plain = |text: Option<MaybeSecret>| text.map(|text| text.expose().to_owned());
        Ok(Resolved {
            id: image.id,
            url: shown(image.url),
            kind: match image.kind {
                ImageKind::WholeDisk => Kind::WholeDisk,
                ImageKind::Partition => Kind::Partition,
            },
            disk_format: image.disk_format,
            container_format: image.container_format,
            checksum: plain(image.checksum),
            hash_algorithm: image.hash_algorithm,
            hash_value: plain(image.hash_value),
            kernel: plain(image.kernel),
            ramdisk: plain(image.ramdisk),
            size_mib: image.size_mib,
        })
    }
}
