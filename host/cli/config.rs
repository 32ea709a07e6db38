//! The configuration: one TOML file, safe when empty. Every key is a field of one of the structs below, which the components own; its
//! doc comment is its documentation. Past [`load`] nobody sees a value that could be wrong.

mod command;
mod reference;
mod schema;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use command::ConfigCommand;

/// The whole file; each field is a section.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP API: who may use it, and its limits.
    pub api: wrought_api::ApiConfig,
    /// The agent on the machine that is deployed, and how it is talked to.
    pub agent: wrought_hardware::AgentConfig,
    /// Redfish controllers, and how they are talked to.
    pub redfish: wrought_hardware::RedfishConfig,
    /// Which images may be deployed, and from where.
    pub image: wrought_hardware::ImageConfig,
    /// How nodes are managed.
    pub conductor: wrought_conductor::ConductorConfig,
    /// What a cleaning must have erased before a node becomes available.
    pub cleaning: wrought_conductor::CleaningConfig,
    /// What is made of the findings of inspections.
    pub inspection: wrought_inspection::InspectionConfig,
    /// What drivers read of the operator's wishes, and how disks are erased.
    pub deploy: wrought_conductor::DeployConfig,
    /// The record of what drivers did: for going on after a crash, for replay and for audit.
    pub journal: wrought_conductor::JournalConfig,
    /// The record of what happened to nodes, for people, for programs and for webhooks.
    pub events: wrought_conductor::EventsConfig,
    /// Receivers that are told of events, each by a name of its own.
    pub webhook: BTreeMap<String, wrought_conductor::WebhookConfig>,
    /// Limits of drivers and of each of their calls.
    pub drivers: wrought_drivers::DriversConfig,
    /// The database in the data folder.
    pub database: DatabaseConfig,
    /// What drivers may reach that were granted `http`, whatever host they were granted.
    pub driver_http: wrought_hardware::DriverHttpConfig,
    /// Files that operators upload for drivers to hand on.
    pub artifacts: wrought_conductor::ArtifactsConfig,
    /// Secrets of nodes that are kept elsewhere: where `file:` and `env:` in place of a value may lead.
    pub secrets: wrought_hardware::SecretsConfig,
    /// Log lines, which go to standard error.
    pub log: LogConfig,
}

/// `[database]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// What an acknowledged write survives: with `normal` the end of the process at any instant, with `full` also the loss of power, for
    /// a flush to the disk for each group of writes.
    pub durability: Durability,
    /// File of the keys that documents in the database are sealed with; made if it is not there and nothing is sealed yet. Without it
    /// `secrets.key` in the data folder. `--key-file` goes before.
    pub key_file: Option<PathBuf>,
}

/// See [`DatabaseConfig::durability`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives `kill -9`.
    Normal,
    /// Survives power loss too.
    #[default]
    Full,
}

impl From<Durability> for wrought_storage::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Normal => Self::Normal,
            Durability::Full => Self::Full,
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), and levels of parts, such as `info,wrought_drivers=debug`.
    /// `--log` and `WROUGHT_LOG` go before.
    pub filter: String,
    /// `text` for people, `json` for collectors. `--log-format` goes before.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// See [`LogConfig::format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text per event.
    Text,
    /// A line of JSON per event.
    Json,
}

/// Why a configuration file is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("reading the configuration {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {}", path.display(), error.to_string().trim_end())]
    Syntax { path: PathBuf, error: Box<toml::de::Error> },
    #[error("{}:\n  {}", path.display(), problems.join("\n  "))]
    Keys { path: PathBuf, problems: Vec<String> },
}

/// A checked configuration, and what the operator wrote of it.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub config: Config,
    given: toml::Table,
}

impl Loaded {
    /// Whether the file itself sets `section.key`, if only to its default.
    pub fn sets(&self, section: &str, key: &str) -> bool {
        self.given.get(section).and_then(|section| section.get(key)).is_some()
    }
}

/// Reads `path`, or gives the defaults without one.
///
/// # Errors
/// [`ConfigError`], which names every unknown key at once, or else the first wrong value.
pub fn load(path: Option<&Path>) -> Result<Loaded, ConfigError> {
    let Some(path) = path else {
        return Ok(Loaded::default());
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|problem| match problem {
        Problem::Syntax(error) => ConfigError::Syntax { path: path.to_owned(), error: Box::new(error) },
        Problem::Keys(problems) => ConfigError::Keys { path: path.to_owned(), problems },
    })
}

enum Problem {
    Syntax(toml::de::Error),
    Keys(Vec<String>),
}

fn parse(text: &str) -> Result<Loaded, Problem> {
    let given: toml::Table = toml::from_str(text).map_err(Problem::Syntax)?;
    let schema = schema::Schema::of_config();
    let unknown = schema.unknown_keys(&given);
    if !unknown.is_empty() {
        return Err(Problem::Keys(unknown));
    }
    match serde_path_to_error::deserialize(given.clone()) {
        Ok(config) => Ok(Loaded { config, given }),
        Err(error) => Err(Problem::Keys(vec![schema.wrong_value(&given, &error.path().to_string(), error.inner().message())])),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problems(text: &str) -> String {
        match parse(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(Problem::Syntax(error)) => error.to_string(),
            Err(Problem::Keys(problems)) => problems.join("\n"),
        }
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let empty = parse("").ok().unwrap();
        assert_eq!(serde_json::to_value(&empty.config).unwrap(), serde_json::to_value(Config::default()).unwrap());
        assert!(!empty.sets("log", "filter"));
    }

    #[test]
    fn unknown_keys_are_all_named_with_what_was_meant() {
        let text = problems("[redfish]\nconect_timeout = 3\nzebra = 1\n[lgo]\nfilter = 'info'\n[log]\nconnect_timeout = 1");
        assert!(text.contains("redfish.conect_timeout: unknown key; did you mean connect_timeout?"), "{text}");
        assert!(text.contains("redfish.zebra: unknown key; `wrought config default` prints all that there are"), "{text}");
        assert!(text.contains("lgo: unknown section; did you mean log?"), "{text}");
        assert!(text.contains("log.connect_timeout: unknown key; did you mean agent.connect_timeout"), "{text}");
    }

    #[test]
    fn a_wrong_value_names_key_value_and_what_is_accepted() {
        let text = problems("[redfish]\nconnect_timeout = 'soon'");
        assert!(text.contains("redfish.connect_timeout = \"soon\": use a whole number, 0 or more"), "{text}");
        let text = problems("[log]\nformat = 'xml'");
        assert!(text.contains("log.format = \"xml\": use \"text\" or \"json\""), "{text}");
        let text = problems("[agent]\ncallback_allowed_networks = ['10.0.0.0/8', '10.0.0/8']");
        assert!(text.contains("agent.callback_allowed_networks[1] = \"10.0.0/8\""), "{text}");
        let text = problems("log = 3");
        assert!(text.contains("log = 3: use a section, [log]"), "{text}");
    }

    #[test]
    fn what_the_file_sets_is_told_from_what_is_default() {
        let loaded = parse("[log]\nfilter = 'info'").ok().unwrap();
        assert!(loaded.sets("log", "filter") && !loaded.sets("log", "format"));
    }
}
