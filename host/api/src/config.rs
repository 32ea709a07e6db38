//! The section `[api]` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wrought_domain::Role;

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Everybody is the administrator and no header is looked at. Only for addresses that nobody
    /// else can reach.
    #[default]
    Noauth,
    /// Accounts of a file with passwords, and tokens.
    HttpBasic,
    /// Tokens that `wrought token create` makes.
    Token,
}

/// What an account of the password file may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserConfig {
    /// `reader` looks, `member` uses, `admin` decides.
    #[schemars(with = "String")]
    pub role: Role,
    /// The project that the account is bound to: it sees the nodes that this project owns or has leased. Without one it sees all.
    pub project: Option<String>,
}

impl Default for UserConfig {
    fn default() -> Self {
        Self { role: Role::Admin, project: None }
    }
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// The URL under which clients reach the API, for the links in answers; without it the `Host`
    /// header of each request is used.
    pub public_endpoint: Option<String>,
    /// How callers prove who they are.
    pub auth_strategy: Authentication,
    /// With `http_basic`, the file of accounts: lines of `name:hash`, the hashes those of bcrypt, as `htpasswd -B` writes them. It
    /// is read anew when it changes.
    pub http_basic_auth_user_file: Option<PathBuf>,
    /// Accounts of that file that are not administrators of everything, each by its name.
    pub users: BTreeMap<String, UserConfig>,
    /// Wrong credentials that one address (of IPv6, one /64) may send in a minute; more are answered 429 without a look at them. 0 for no limit.
    pub failed_logins_per_minute: u32,
    /// Networks of proxies that stand before the API: what they say in `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded`, is
    /// believed, and nobody else's. They must replace such headers of their clients.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
    /// PEM file of the host's certificate and those that lead to a known authority. With it and `tls_key_file` the API speaks TLS
    /// alone, 1.2 or later, also on `--agent-listen`; both files are read anew when they change, and on SIGHUP.
    pub tls_certificate_file: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub tls_key_file: Option<PathBuf>,
    /// Seconds that a client has for its TLS handshake, 1 or more.
    pub tls_handshake_timeout: u32,
    /// TLS handshakes at a time, 1 or more; further ones wait.
    pub tls_max_handshakes: u32,
    /// Seconds that a client has to send the headers of a request, from the end of the one before, 1 or more.
    pub header_timeout: u32,
    /// Connections at a time on each address, 1 or more; further ones wait to be accepted.
    pub max_connections: u32,
    /// Connections at a time from one address (of IPv6, one /64) on each address of the API; further ones are closed at once, but for
    /// programs on this machine and `trusted_proxies`. 0 for no limit.
    pub max_connections_per_address: u32,
    /// Seconds that a client may take nothing of what it is sent before its connection is closed, 1 or more.
    pub write_timeout: u32,
    /// Seconds that a client may keep the host waiting for a body, 1 or more, beyond one for each 64 KiB that it has sent.
    pub body_timeout: u32,
    /// Lookups, heartbeats and findings of inspections in a second that are taken from one address (of IPv6, one /64); more are
    /// answered 429, but for programs on this machine. 0 for no limit.
    pub agent_requests_per_second: u32,
    /// How many of them may come at once.
    pub agent_requests_burst: u32,
    /// The same for all addresses together.
    pub agent_requests_per_second_total: u32,
    /// How many of them may come at once.
    pub agent_requests_burst_total: u32,
    /// The most items that one page of a list holds, 1 or more.
    pub max_limit: u32,
    /// Whether agents may look up their node and send heartbeats; else they are answered 403.
    pub enable_ramdisk_endpoints: bool,
    /// The longest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// The longest body of a provision request, which may hold a config drive, in bytes.
    pub max_provision_body_bytes: usize,
    /// Bytes of bodies that are in memory at a time; a quarter of it is for callers without credentials. Bodies up to 16 KiB are not
    /// counted, those for which there is no room wait for a few seconds and are answered 503.
    pub max_body_memory_bytes: usize,
    /// The longest body in which an agent posts what an inspection found, in bytes; 16 MiB at most.
    pub max_inspection_body_bytes: usize,
    /// Milliseconds that a change waits for an operation that holds its node, before it is answered 409; 0 for not at all.
    pub node_locked_patience_ms: u32,
    /// How deep a JSON body may be nested.
    pub max_json_depth: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            public_endpoint: None,
            auth_strategy: Authentication::Noauth,
            http_basic_auth_user_file: None,
            users: BTreeMap::new(),
            failed_logins_per_minute: 60,
            trusted_proxies: Vec::new(),
            tls_certificate_file: None,
            tls_key_file: None,
            tls_handshake_timeout: 10,
            tls_max_handshakes: 256,
            header_timeout: 30,
            max_connections: 4096,
            max_connections_per_address: 512,
            write_timeout: 30,
            body_timeout: 30,
            agent_requests_per_second: 100,
            agent_requests_burst: 1000,
            agent_requests_per_second_total: 5000,
            agent_requests_burst_total: 20_000,
            max_limit: 1000,
            enable_ramdisk_endpoints: true,
            max_body_bytes: 1024 * 1024,
            max_provision_body_bytes: 64 * 1024 * 1024,
            max_body_memory_bytes: 256 * 1024 * 1024,
            max_inspection_body_bytes: wrought_inspection::MAX_BODY,
            node_locked_patience_ms: 3000,
            max_json_depth: 25,
        }
    }
}
