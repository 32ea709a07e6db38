//! A client that goes away takes nothing with it.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Shared, run};

#[test]
fn an_operation_goes_on_when_the_client_that_began_it_is_gone_before_the_answer() {
    run(async {
        let world = Shared::world().await;
        let address = world.api().url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut nodes = Vec::new();
        for _ in 0..12 {
            nodes.push(world.fake("fake", json!({})).await);
        }
        for (index, node) in nodes.iter().enumerate() {
            let body = json!({"target": "active"}).to_string();
            let request = format!(
                "PUT {} HTTP/1.1\r\nHost: host\r\nX-OpenStack-Ironic-API-Version: 1.80\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                node.path("/states/provision"),
                body.len()
            );
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            // At every moment of the request, from its arrival to its commit.
            tokio::time::sleep(Duration::from_millis(u64::try_from(index).unwrap())).await;
            drop(stream);
        }
        let mut begun = 0;
        for node in &nodes {
            // What was not begun rests as well; what was begun must come to its end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let rested = node.rest().await;
            assert!(["available", "active"].contains(&rested["provision_state"].as_str().unwrap()), "{rested}");
            begun += usize::from(rested["provision_state"] == "active");
        }
        assert!(begun > 0, "no request was begun at all");
    });
}
