//! A signed URL of an image goes to the agent that fetches it, and to nobody else without credentials.

use serde_json::Value;
use wrought_simulator::Faults;

use crate::support::{Node, Shared, World, run};

const SIGNATURE: &str = "signature-5d1f0b77";

#[test]
fn a_signed_image_url_is_not_told_to_strangers_and_the_image_is_written() {
    run(async {
        let world = Shared::world().await;
        let node = with_signed_image(&world).await;
        let active = node.deploy().await;
        assert_eq!(active["last_error"], Value::Null);

        // Nobody else asks for this one's token.
        let silent = with_signed_image(&world).await;
        silent.set_faults(Faults { vanish_on_boot: true, ..Faults::default() });
        silent.provision("active").await;
        silent.pass("wait call-back").await;
        let told = world.api().get(&format!("/v1/lookup?node_uuid={}", silent.uuid)).await;
        assert_eq!(told.status, 200, "{}", told.text);
        assert!(!told.text.contains(SIGNATURE), "{}", told.text);
        assert!(!world.host.log().contains(SIGNATURE), "the signature is in the log");
    });
}

async fn with_signed_image(world: &World) -> Node<'_> {
    let node = world
        .enrol_with(|body| {
            body["automated_clean"] = false.into();
            let source = format!("{}?sig={SIGNATURE}", body["instance_info"]["image_source"].as_str().unwrap());
            body["instance_info"]["image_source"] = source.into();
        })
        .await;
    node.make_available().await;
    node
}
