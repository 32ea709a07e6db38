//! The section `[api]` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Everybody is the administrator and no header is looked at. Only for addresses that nobody
    /// else can reach.
    #[default]
    Noauth,
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
    /// The most items that one page of a list holds, 1 or more.
    pub max_limit: u32,
    /// Whether agents may look up their node and send heartbeats; else they are answered 403.
    pub enable_ramdisk_endpoints: bool,
    /// The longest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// The longest body of a provision request, which may hold a config drive, in bytes.
    pub max_provision_body_bytes: usize,
    /// The longest body in which an agent posts what an inspection found, in bytes; 16 MiB at most.
    pub max_inspection_body_bytes: usize,
    /// How deep a JSON body may be nested.
    pub max_json_depth: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            public_endpoint: None,
            auth_strategy: Authentication::Noauth,
            max_limit: 1000,
            enable_ramdisk_endpoints: true,
            max_body_bytes: 1024 * 1024,
            max_provision_body_bytes: 64 * 1024 * 1024,
            max_inspection_body_bytes: wrought_inspection::MAX_BODY,
            max_json_depth: 25,
        }
    }
}
