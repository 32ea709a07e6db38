//! `wrought token`: the tokens of callers, of a running host or in a data folder on which none runs.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use wrought_domain::{Principal, Role};
use wrought_storage::{Durability, NewToken, Store};

use crate::client::{Client, HostArgs, segment};
use crate::{UsageError, config, output};

const COLUMNS: [&str; 8] = ["name", "role", "project", "created_at", "created_by", "expires_at", "last_used_at", "revoked_at"];

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, once. The first one is made with --data, before the host runs
    Create(Create),
    /// List the tokens: those in force, then the revoked ones
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token: nobody is let in by it from now on
    Revoke {
        /// Name of the token
        name: String,
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// Name of the token: whoever shows it is this user in histories and in the audit
    name: String,
    /// What its holder may do: reader looks, member uses, admin decides
    #[arg(long, default_value = "reader")]
    role: Role,
    /// Bind it to a project: its holder sees the nodes that the project owns or has leased
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Until when it is in force: for 30d, 12h or 45m, or until a time such as 2030-01-31T00:00:00Z [default: until it is revoked]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A running host, or a data folder.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    host: HostArgs,
    /// Work on this data folder itself, on which no host may run
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --data, the file of its keys, as `wrought serve` has it [default: secrets.key in the folder]
    #[arg(long, env = "WROUGHT_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// With --data, the configuration file, as `wrought serve` has it
    #[arg(long, env = "WROUGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// When a token ends to be in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expiry(Timestamp);

impl FromStr for Expiry {
    type Err = UsageError;

    fn from_str(text: &str) -> Result<Self, UsageError> {
        if let Ok(at) = text.parse() {
            return Ok(Self(at));
        }
        let hours = text.strip_suffix('d').map(|days| (days, 24 * 3600)).or_else(|| text.strip_suffix('h').map(|hours| (hours, 3600)));
        let (number, unit) = hours.or_else(|| text.strip_suffix('m').map(|minutes| (minutes, 60))).unwrap_or((text, 0));
        let seconds = number.parse::<u32>().ok().filter(|_| unit > 0).map(|number| i64::from(number) * unit);
        let end = seconds.and_then(|seconds| Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).ok());
        end.map(Self).ok_or_else(|| UsageError(format!("{text:?} is no time: use 30d, 12h, 45m, or one such as 2030-01-31T00:00:00Z")))
    }
}

/// Where tokens are kept, opened.
enum Opened {
    Host(Client),
    Folder(Store),
}

impl Place {
    async fn open(self) -> anyhow::Result<Opened> {
        let Some(data) = self.data else { return Ok(Opened::Host(Client::of(&self.host)?)) };
        let config = config::load(self.config.as_deref())?.config;
        let key_file = self.key_file.or(config.database.key_file);
        let store = Store::open_with(&data, Durability::Full, key_file.as_deref()).await;
        let hint = || format!("opening {}; a host that runs on it is asked without --data, with --url and a token", data.display());
        Ok(Opened::Folder(store.with_context(hint)?))
    }
}

/// Whoever works on the folder itself.
fn local() -> Principal {
    Principal { user: "local".into(), ..Principal::host() }
}

impl TokenCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List { place, json } => list(place, json).await,
            Self::Revoke { name, place, json } => {
                let revoked = match place.open().await? {
                    Opened::Host(client) => client.delete(&format!("/wrought/v1/tokens/{}", segment(&name))).await?,
                    Opened::Folder(store) => {
                        let revoked = store.revoke_token(&local(), &name).await;
                        store.close().await;
                        wrought_api::wrought_tokens::shown(&revoked?)
                    }
                };
                if json { output::say_json(&revoked) } else { output::say(&format!("token {name} is revoked")) }
            }
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<()> {
        let expires_at = self.expires.map(|Expiry(at)| at);
        let new = NewToken::new(&self.name, self.role, self.project.clone(), expires_at).map_err(|unfit| UsageError(unfit.to_string()))?;
        let made = match self.place.open().await? {
            Opened::Host(client) => {
                let body = json!({
                    "name": self.name, "role": self.role, "project": self.project, "expires_at": expires_at.map(|at| at.to_string()),
                });
                client.call(Method::POST, "/wrought/v1/tokens", &body).await?
            }
            Opened::Folder(store) => {
                let made = store.create_token(&local(), new).await;
                store.close().await;
                let (secret, token) = made?;
                wrought_api::wrought_tokens::with_itself(&token, &secret)
            }
        };
        if self.json {
            return output::say_json(&made);
        }
        let token = made.get("token").and_then(Value::as_str).context("the host answered without a token")?;
        let of = self.project.map_or_else(|| "of everything".to_owned(), |project| format!("of project {project}"));
        output::complain(&format!("{} is {} {of}. This is the token; it is not shown again:", self.name, self.role));
        output::say(token)
    }
}

async fn list(place: Place, json: bool) -> anyhow::Result<()> {
    let answer = match place.open().await? {
        Opened::Host(client) => client.get("/wrought/v1/tokens").await?,
        Opened::Folder(store) => {
            let tokens = store.tokens().await;
            store.close().await;
            json!({ "tokens": tokens?.iter().map(wrought_api::wrought_tokens::shown).collect::<Vec<_>>() })
        }
    };
    if json {
        return output::say_json(&answer);
    }
    let mut table = output::table(&COLUMNS);
    for token in answer.get("tokens").and_then(Value::as_array).into_iter().flatten() {
        table.add_row(COLUMNS.map(|column| output::cell(token.get(column).unwrap_or(&Value::Null))));
    }
    output::say(&table.trim_fmt())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ends_are_durations_or_times() {
        let hours = |text: &str| text.parse::<Expiry>().unwrap().0.duration_since(Timestamp::now()).as_hours();
        assert_eq!((hours("30d"), hours("12h"), hours("90m")), (719, 11, 1));
        assert_eq!("2030-01-31T00:00:00Z".parse::<Expiry>().unwrap(), Expiry("2030-01-31T00:00:00Z".parse().unwrap()));
        for text in ["", "d", "30", "-1d", "1w", "99999999999d", "tomorrow"] {
            assert!(text.parse::<Expiry>().is_err(), "{text}");
        }
    }
}
