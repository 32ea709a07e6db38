//! What the operator may choose about a fleet. [`Options::default`] is the one place of the default values.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::fleet::StartError;

/// More nodes than this have no distinct MAC address in a fleet.
const MAX_NODES: usize = 1 << 24;

/// How a fleet is made. All delays are in seconds.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Address of the BMCs, the images and the control API; port 0 takes a free one
    #[arg(long, default_value_t = Options::default().listen)]
    pub listen: SocketAddr,
    /// The Ironic API that agents look up and send heartbeats to
    #[arg(long, default_value_t = Options::default().api_url)]
    pub api_url: String,
    /// How many servers
    #[arg(long, default_value_t = Options::default().nodes)]
    pub nodes: usize,
    /// Decides system ids, MAC addresses and the agents' timing
    #[arg(long, default_value_t = Options::default().seed)]
    pub seed: u64,
    /// Seconds until a power change takes effect
    #[arg(long, value_parser = seconds, default_value_t = Options::default().power_delay)]
    pub power_delay: f64,
    /// Seconds from power on to the agent's first lookup
    #[arg(long, value_parser = seconds, default_value_t = Options::default().boot_delay)]
    pub boot_delay: f64,
    /// Seconds that write_image lasts at least
    #[arg(long, value_parser = seconds, default_value_t = Options::default().write_delay)]
    pub write_delay: f64,
    /// Seconds that each clean step lasts
    #[arg(long, value_parser = seconds, default_value_t = Options::default().clean_delay)]
    pub clean_delay: f64,
    /// Seconds that every other asynchronous agent command lasts
    #[arg(long, value_parser = seconds, default_value_t = Options::default().command_delay)]
    pub command_delay: f64,
    /// Seconds that an agent waits after a failed heartbeat, at least (a real one: 5)
    #[arg(long, value_parser = seconds, default_value_t = Options::default().heartbeat_retry)]
    pub heartbeat_retry: f64,
    /// Seconds between two heartbeats, at least (a real agent: 5)
    #[arg(long, value_parser = seconds, default_value_t = Options::default().heartbeat_gap)]
    pub heartbeat_gap: f64,
    /// Seconds after the first failed lookup; doubles up to 20 times as much (a real agent: 1 to 60)
    #[arg(long, value_parser = seconds, default_value_t = Options::default().lookup_retry)]
    pub lookup_retry: f64,
    /// Seconds after which an agent that was never found gives up
    #[arg(long, value_parser = seconds, default_value_t = Options::default().lookup_timeout)]
    pub lookup_timeout: f64,
    /// Account of every BMC
    #[arg(long, default_value_t = Options::default().username)]
    pub username: String,
    /// Password of every BMC
    #[arg(long, default_value_t = Options::default().password)]
    pub password: String,
    /// Redfish sessions that the account may have at a time
    #[arg(long, default_value_t = Options::default().max_sessions)]
    pub max_sessions: usize,
    /// Bytes of each image below /images
    #[arg(long, default_value_t = Options::default().image_size)]
    pub image_size: u64,
    /// Whether agents serve HTTPS with a certificate of their own
    #[arg(long, default_value_t = Options::default().tls_agents, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub tls_agents: bool,
    /// Whether agents post what they find on their machine before their first lookup, as real ones do that are given
    /// `ipa-inspection-callback-url`; the URL is that of the API
    #[arg(long, default_value_t = Options::default().inspection, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub inspection: bool,
    /// Print one line of JSON when ready
    #[arg(long)]
    pub json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8800)),
            api_url: "http://127.0.0.1:6385".into(),
            nodes: 20,
            seed: 1,
            power_delay: 0.2,
            boot_delay: 1.0,
            write_delay: 1.0,
            clean_delay: 0.5,
            command_delay: 0.2,
            heartbeat_retry: 1.0,
            heartbeat_gap: 0.2,
            lookup_retry: 0.5,
            lookup_timeout: 600.0,
            username: "admin".into(),
            password: "password".into(),
            max_sessions: 64,
            image_size: 65_536,
            tls_agents: true,
            inspection: true,
            json: false,
        }
    }
}

/// The delays of [`Options`], checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub power: Duration,
    pub boot: Duration,
    pub write: Duration,
    pub clean: Duration,
    pub command: Duration,
    pub heartbeat_retry: Duration,
    pub heartbeat_gap: Duration,
    pub lookup_retry: Duration,
    pub lookup_timeout: Duration,
}

impl Options {
    /// The delays as durations.
    pub(crate) fn timing(&self) -> Result<Timing, StartError> {
        let take = |flag: &'static str, value: f64| {
            Duration::try_from_secs_f64(value).map_err(|_| StartError::Option {
                flag,
                value: value.to_string(),
                accepted: "seconds, zero or more".into(),
            })
        };
        Ok(Timing {
            power: take("power-delay", self.power_delay)?,
            boot: take("boot-delay", self.boot_delay)?,
            write: take("write-delay", self.write_delay)?,
            clean: take("clean-delay", self.clean_delay)?,
            command: take("command-delay", self.command_delay)?,
            heartbeat_retry: take("heartbeat-retry", self.heartbeat_retry)?,
            heartbeat_gap: take("heartbeat-gap", self.heartbeat_gap)?,
            lookup_retry: take("lookup-retry", self.lookup_retry)?,
            lookup_timeout: take("lookup-timeout", self.lookup_timeout)?,
        })
    }

    /// The number of nodes, checked.
    pub(crate) fn node_count(&self) -> Result<usize, StartError> {
        if self.nodes <= MAX_NODES {
            return Ok(self.nodes);
        }
        Err(StartError::Option { flag: "nodes", value: self.nodes.to_string(), accepted: format!("at most {MAX_NODES}") })
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(value).map(|_| value).map_err(|_| format!("{text:?}: use seconds, zero or more"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn flags_are_checked_where_they_are_read() {
        let line = Line::try_parse_from(["x", "--nodes", "3", "--boot-delay", "0.25", "--tls-agents", "false", "--json"]).unwrap();
        assert_eq!((line.options.nodes, line.options.tls_agents, line.options.json), (3, false, true));
        assert_eq!(line.options.timing().unwrap().boot, Duration::from_millis(250));
        assert_eq!(line.options.listen, Options::default().listen);
        let refused = Line::try_parse_from(["x", "--boot-delay", "-1"]).unwrap_err().to_string();
        assert!(Line::try_parse_from(["x", "--boot-delay=nan"]).is_err(), "{refused}");
        let many = Options { nodes: MAX_NODES + 1, ..Options::default() };
        assert!(many.node_count().unwrap_err().to_string().starts_with("--nodes"));
    }
}
