//! `adopt`: a machine that has its instance already is managed from now on, and is not touched.

use serde_json::json;
use wrought_simulator::Faults;

use crate::support::{Shared, run};

#[test]
fn an_adopted_machine_keeps_running_and_is_cleaned_when_it_is_deleted() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        node.provision("manage").await;
        node.reach("manageable").await;
        let before = node.counts();
        node.provision("adopt").await;
        let adopted = node.reach("active").await;
        assert_eq!(adopted["target_provision_state"], serde_json::Value::Null);
        let after = node.counts();
        assert_eq!((after.resets, after.agent_boots, after.image_writes), (before.resets, before.agent_boots, before.image_writes));

        node.provision("deleted").await;
        node.reach("available").await;
        assert_eq!(node.counts().clean_steps, 2);
    });
}

#[test]
fn an_adoption_that_fails_is_tried_again() {
    run(async {
        let world = Shared::world().await;
        let node = world.enrol().await;
        node.provision("manage").await;
        node.reach("manageable").await;
        node.set_faults(Faults { bmc_status: Some(400), ..Faults::default() });
        node.provision("adopt").await;
        let failed = node.reach("adopt failed").await;
        assert!(!failed["last_error"].as_str().unwrap().is_empty(), "{failed}");
        node.set_faults(Faults::default());
        node.provision("adopt").await;
        assert_eq!(node.reach("active").await["last_error"], json!(null));
    });
}
