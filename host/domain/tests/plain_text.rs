//! What a machine says does nothing to whoever reads of it.

use jiff::Timestamp;
use wrought_domain::hardware_type::REDFISH;
use wrought_domain::{Node, NodeId};

#[test]
fn a_failure_is_told_in_plain_text() {
    let mut node = Node::new(NodeId(uuid::Uuid::nil()), "redfish", REDFISH.defaults(), Timestamp::UNIX_EPOCH);
    node.fail_with("no lshw\u{1b}[2J\u{9b}1m\r\nnode-2 \u{202e}active, ümlaut");
    assert_eq!(node.last_error.as_deref(), Some("no lshw [2J 1m  node-2  active, ümlaut"));
}
