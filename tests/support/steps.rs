//! What operations executed, as the events of their nodes tell.

use super::Node;

impl Node<'_> {
    /// `interface.step` of the steps that ended well in the node's latest operation of this verb, in order.
    pub async fn executed(&self, verb: &str) -> Vec<String> {
        let events = self.world.api().get(&format!("/wrought/v1/nodes/{}/events?limit=1000", self.uuid)).await.ok();
        let events = events["events"].as_array().unwrap();
        let of_verb = |event: &&serde_json::Value| event["verb"] == verb;
        let Some(latest) = events.iter().rev().find(of_verb).map(|event| event["operation"].clone()) else { return Vec::new() };
        let own = events.iter().filter(|event| event["operation"] == latest && event["kind"] == "step-finished");
        own.map(|event| event["step"].as_str().unwrap().to_owned()).collect()
    }
}
