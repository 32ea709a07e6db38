//! What the demo tells at its end.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::output;

/// One node's way through the demo.
#[derive(Debug, Clone, Default)]
pub struct NodeStory {
    pub uuid: String,
    /// Each provision state, with the milliseconds since the start at which it was first seen.
    pub states: Vec<(String, u64)>,
    /// The version of the driver that deployed it.
    pub digest: String,
    /// Calls of the driver that the deploy took.
    pub driver_calls: u64,
}

/// One version of the driver.
#[derive(Debug, Clone, Default)]
pub struct Version {
    pub name: String,
    pub digest: String,
    pub version: String,
}

#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub nodes: Vec<NodeStory>,
    pub drivers: Vec<Version>,
    /// Deploys under way on the old version when the new one became active.
    pub in_flight: usize,
    /// Median and 99th percentile of a driver call's time, in microseconds.
    pub call_us: (f64, f64),
    pub wall_s: f64,
    /// Resident memory of the host at the end.
    pub host_rss_mib: f64,
}

impl Summary {
    /// The form that `--json` prints.
    pub fn as_json(&self) -> Value {
        let states = |node: &NodeStory| node.states.iter().map(|(state, at)| json!({ "state": state, "at_ms": at })).collect::<Vec<_>>();
        let node = |node: &NodeStory| json!({ "uuid": node.uuid, "states": states(node), "digest": node.digest, "driver_calls": node.driver_calls });
        let driver = |driver: &Version| json!({ "name": driver.name, "digest": driver.digest, "version": driver.version });
        json!({
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "drivers": self.drivers.iter().map(driver).collect::<Vec<_>>(),
            "driver_call_us": { "p50": self.call_us.0, "p99": self.call_us.1 },
            "wall_s": rounded(self.wall_s),
            "host_rss_mib": rounded(self.host_rss_mib),
        })
    }

    fn deploys(&self, digest: &str) -> usize {
        self.nodes.iter().filter(|node| node.digest == digest).count()
    }

    /// For each state in the order in which it was first seen: how often it was, and its shortest, middle and longest time in seconds. The
    /// state that a node ends in has no time.
    fn durations(&self) -> Vec<(String, usize, [f64; 3])> {
        let mut order: Vec<String> = Vec::new();
        let mut times: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for node in &self.nodes {
            for ((state, since), (_, until)) in node.states.iter().zip(node.states.iter().skip(1)) {
                if !times.contains_key(state) {
                    order.push(state.clone());
                }
                times.entry(state.clone()).or_default().push(until.saturating_sub(*since));
            }
        }
        let row = |state: String| {
            let mut all = times.remove(&state)?;
            all.sort_unstable();
            let at = |index: usize| all.get(index).map_or(0.0, |ms| std::time::Duration::from_millis(*ms).as_secs_f64());
            let spread = [at(0), at(all.len() / 2), at(all.len().saturating_sub(1))];
            Some((state, all.len(), spread))
        };
        order.into_iter().filter_map(row).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} nodes deployed, undeployed and cleaned in {:.1} s\n", self.nodes.len(), self.wall_s)?;
        let mut states = output::table(&["state", "times", "shortest s", "median s", "longest s"]);
        for (state, times, spread) in self.durations() {
            let mut row = vec![state, times.to_string()];
            row.extend(spread.map(|seconds| format!("{seconds:.1}")));
            states.add_row(row);
        }
        writeln!(f, "{}\n", states.trim_fmt())?;
        let mut drivers = output::table(&["driver", "version", "digest", "deploys"]);
        for driver in &self.drivers {
            drivers.add_row([driver.name.clone(), driver.version.clone(), driver.digest.clone(), self.deploys(&driver.digest).to_string()]);
        }
        writeln!(f, "{}\n", drivers.trim_fmt())?;
        writeln!(
            f,
            "{} deploys were under way on the first version when the second became active, and ended on the first.",
            self.in_flight
        )?;
        writeln!(f, "A driver call takes {:.0} us (median), {:.0} us (99th percentile).", self.call_us.0, self.call_us.1)?;
        write!(f, "The host holds {:.0} MiB of memory.", self.host_rss_mib)
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let node = |uuid: &str, digest: &str, shift: u64| NodeStory {
            uuid: uuid.to_owned(),
            states: [("available", 0), ("deploying", 1000), ("active", 3000 + shift)].map(|(state, at)| (state.to_owned(), at)).to_vec(),
            digest: digest.to_owned(),
            driver_calls: 7,
        };
        let driver = |digest: &str| Version { name: "direct".to_owned(), digest: digest.to_owned(), version: "1".to_owned() };
        Summary {
            nodes: vec![node("u1", "a", 0), node("u2", "b", 500), node("u3", "b", 1000)],
            drivers: vec![driver("a"), driver("b")],
            in_flight: 1,
            call_us: (120.0, 900.0),
            wall_s: 12.34,
            host_rss_mib: 80.04,
        }
    }

    #[test]
    fn json_has_exactly_the_promised_form() {
        let expected = json!({
            "nodes": [
                {"uuid": "u1", "states": [{"state": "available", "at_ms": 0}, {"state": "deploying", "at_ms": 1000}, {"state": "active", "at_ms": 3000}], "digest": "a", "driver_calls": 7},
                {"uuid": "u2", "states": [{"state": "available", "at_ms": 0}, {"state": "deploying", "at_ms": 1000}, {"state": "active", "at_ms": 3500}], "digest": "b", "driver_calls": 7},
                {"uuid": "u3", "states": [{"state": "available", "at_ms": 0}, {"state": "deploying", "at_ms": 1000}, {"state": "active", "at_ms": 4000}], "digest": "b", "driver_calls": 7}
            ],
            "drivers": [{"name": "direct", "digest": "a", "version": "1"}, {"name": "direct", "digest": "b", "version": "1"}],
            "driver_call_us": {"p50": 120.0, "p99": 900.0},
            "wall_s": 12.3,
            "host_rss_mib": 80.0
        });
        assert_eq!(summary().as_json(), expected);
    }

    #[test]
    fn a_state_is_as_long_as_the_next_one_is_late() {
        let durations = summary().durations();
        assert_eq!(durations, [("available".to_owned(), 3, [1.0, 1.0, 1.0]), ("deploying".to_owned(), 3, [2.0, 2.5, 3.0])]);
        assert_eq!(summary().deploys("b"), 2);
    }
}
