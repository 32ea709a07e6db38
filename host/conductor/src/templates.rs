//! Deploy templates: what the traits that an instance asks for add to its deployment.

use serde_json::Value;
use wrought_domain::{Node, StepCall};

use crate::conductor::Conductor;
use crate::{Refusal, convert};

impl Conductor {
    /// The steps of the deploy templates that a deployment of the node is made with: of those named like a trait that the
    /// instance asks for (`instance_info.traits`).
    ///
    /// # Errors
    /// [`Refusal::Invalid`] where the instance asks for a trait that the node does not have.
    pub(crate) async fn templates_for(&self, node: &Node) -> Result<Vec<StepCall>, Refusal> {
        let traits = instance_traits(node)?;
        let templates = self.0.store.templates_named(&traits).await.map_err(convert::refusal)?;
        Ok(templates.into_iter().flat_map(|template| template.steps).collect())
    }
}

/// The traits that the instance asks for, all of which the node has.
fn instance_traits(node: &Node) -> Result<Vec<String>, Refusal> {
    let wrong = || Refusal::Invalid(format!("Error parsing traits from instance_info of node {}: expected a list of traits.", node.uuid));
    let given = match node.instance_info.get("traits") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(given)) => given,
        Some(_) => return Err(wrong()),
    };
    let traits: Vec<String> = given.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(wrong)?;
    let lacking: Vec<&str> = traits.iter().filter(|name| !node.traits.contains(name)).map(String::as_str).take(20).collect();
    if !lacking.is_empty() {
        return Err(Refusal::Invalid(format!(
            "Cannot specify instance traits that are not also set on the node. Node {} is missing traits {}.",
            node.uuid,
            lacking.join(", ")
        )));
    }
    Ok(traits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;
    use wrought_domain::NodeId;
    use wrought_domain::hardware_type::FAKE_HARDWARE;

    #[test]
    fn an_instance_asks_for_traits_of_its_node_alone() {
        let mut node = Node::new(NodeId(uuid::Uuid::nil()), "fake-hardware", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        assert!(instance_traits(&node).unwrap().is_empty());
        node.traits = vec!["CUSTOM_A".into(), "CUSTOM_B".into()];
        node.instance_info.insert("traits".into(), json!(["CUSTOM_B"]));
        assert_eq!(instance_traits(&node).unwrap(), ["CUSTOM_B"]);
        for (wrong, text) in
            [(json!("CUSTOM_A"), "expected a list"), (json!([1]), "expected a list"), (json!(["CUSTOM_C"]), "missing traits CUSTOM_C")]
        {
            node.instance_info.insert("traits".into(), wrong);
            assert!(instance_traits(&node).unwrap_err().to_string().contains(text));
        }
    }
}
