//! Settings of `[redfish]`, `[agent]`, `[image]` and `[driver_http]`, named as Ironic names them where it has them.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redfish::AuthType;

/// The lowest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// How a server's certificate is verified: `true` (the platform's roots), `false` (not at all), or the path
/// of a PEM file with the only authorities to trust.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum VerifyCa {
    /// By the platform's roots, or not at all.
    Switch(bool),
    /// By the authorities in this file.
    File(PathBuf),
}

/// `[redfish]`: how controllers are talked to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedfishConfig {
    /// `auto` (a session, or Basic where the controller has none), `session` or `basic`. A node's
    /// `redfish_auth_type` goes before. Default `auto`.
    pub auth_type: AuthType,
    /// Tries of a reading request before giving up. Requests that change something are sent once. Default 3.
    pub connection_attempts: u32,
    /// Controllers whose connection state is remembered. Default 10000.
    pub connection_cache_size: usize,
    /// Seconds to connect. Default 5.
    pub connect_timeout: u64,
    /// Seconds for one request. Default 10.
    pub request_timeout: u64,
    /// Seconds for one operation, such as "set the boot device", all its requests together. Default 10.
    pub operation_timeout: u64,
    /// Requests in flight to one controller, for each machine behind it, 1 to 8. Default 2.
    pub max_requests_per_bmc: usize,
    /// Seconds for which refused credentials are not tried again, lest the account is locked out; other
    /// credentials are tried at once. Default 900.
    pub auth_failure_hold: u64,
    /// Lowest version of TLS, `1.2` or `1.3`. Default `1.2`: many controllers know no other.
    pub tls_min_version: TlsVersion,
}

impl Default for RedfishConfig {
    fn default() -> Self {
        Self {
            auth_type: AuthType::Auto,
            connection_attempts: 3,
            connection_cache_size: 10_000,
            connect_timeout: 5,
            request_timeout: 10,
            operation_timeout: 10,
            max_requests_per_bmc: 2,
            auth_failure_hold: 900,
            tls_min_version: TlsVersion::V1_2,
        }
    }
}

impl RedfishConfig {
    pub(crate) fn request(&self) -> Duration {
        Duration::from_secs(self.request_timeout.max(1))
    }

    pub(crate) fn operation(&self) -> Duration {
        Duration::from_secs(self.operation_timeout.max(1))
    }
}

/// `[agent]`: how the agent on the machine is talked to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Only agents that serve HTTPS are accepted. Default true.
    pub require_tls: bool,
    /// Seconds for one request, unless the caller says less. Default 60.
    pub command_timeout: u64,
    /// Seconds to connect. Default 5.
    pub connect_timeout: u64,
    /// Tries of a reading request before giving up. Commands are sent once. Default 3.
    pub max_command_attempts: u32,
    /// How the certificate of an agent is verified that did not make one itself. Default true.
    pub verify_ca: VerifyCa,
    /// Lowest version of TLS, `1.2` or `1.3`. Default `1.3`.
    pub tls_min_version: TlsVersion,
    /// Networks that a callback URL may name besides the address that the heartbeat came from, in CIDR
    /// notation: the provisioning networks, where a proxy or NAT stands before the API. Default none.
    #[schemars(with = "Vec<String>")]
    pub callback_allowed_networks: Vec<IpNet>,
    /// Agents whose connections are kept. Default 1000.
    pub connection_cache_size: usize,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            require_tls: true,
            command_timeout: 60,
            connect_timeout: 5,
            max_command_attempts: 3,
            verify_ca: VerifyCa::Switch(true),
            tls_min_version: TlsVersion::V1_3,
            callback_allowed_networks: Vec::new(),
            connection_cache_size: 1000,
        }
    }
}

/// `[image]`: which images may be deployed, and from where.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// Seconds for the HEAD request to an image server. Default 5.
    pub webserver_verify_timeout: u64,
    /// How an image server's certificate is verified: `true`, `false` or the path of a PEM file. Default true.
    pub webserver_verify_ca: VerifyCa,
    /// Formats that `image_disk_format` may name. Default raw, gpt, qcow2, iso.
    pub permitted_image_formats: Vec<String>,
    /// Accept MD5 as an image's only checksum. Default false.
    pub allow_md5_checksum: bool,
    /// If not empty, the only networks that URLs may lead to, in CIDR notation. Default empty: all but
    /// loopback, link-local, unspecified and multicast addresses and the metadata services of clouds.
    #[schemars(with = "Vec<String>")]
    pub allowed_networks: Vec<IpNet>,
    /// Networks that URLs may not lead to, in CIDR notation. Default none.
    #[schemars(with = "Vec<String>")]
    pub denied_networks: Vec<IpNet>,
    /// URLs may lead to this host itself. For tests and demonstrations. Default false.
    pub allow_loopback: bool,
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            webserver_verify_timeout: 5,
            webserver_verify_ca: VerifyCa::Switch(true),
            permitted_image_formats: ["raw", "gpt", "qcow2", "iso"].map(str::to_owned).to_vec(),
            allow_md5_checksum: false,
            allowed_networks: Vec::new(),
            denied_networks: Vec::new(),
            allow_loopback: false,
        }
    }
}

/// `[driver_http]`: what drivers that were granted `http` may reach, whatever host they were granted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DriverHttpConfig {
    /// How a server's certificate is verified: `true`, `false` or the path of a PEM file. Default true.
    pub verify_ca: VerifyCa,
    /// Seconds to connect. Default 5.
    pub connect_timeout: u64,
    /// Seconds for one request with its redirects and its answer, at most 9, because a driver waits for it. Default 9.
    pub request_timeout: u64,
    /// The longest body of a request or an answer, in KiB, at most 1024. Default 1024.
    pub max_body_kib: u32,
    /// If not empty, the only networks that drivers may reach, in CIDR notation. Default empty: all but what `exempt_networks` is about.
    /// A private network that is listed may be reached by name.
    #[schemars(with = "Vec<String>")]
    pub allowed_networks: Vec<IpNet>,
    /// Networks that drivers may not reach, in CIDR notation. Default none.
    #[schemars(with = "Vec<String>")]
    pub denied_networks: Vec<IpNet>,
    /// Networks that drivers may reach although they are loopback, link-local, the metadata service of a cloud, or hold an address
    /// of this host, and by name although they are private (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7), in
    /// CIDR notation. The ports of this host's own API stay closed. Default none.
    #[schemars(with = "Vec<String>")]
    pub exempt_networks: Vec<IpNet>,
}

impl Default for DriverHttpConfig {
    fn default() -> Self {
        Self {
            verify_ca: VerifyCa::Switch(true),
            connect_timeout: 5,
            request_timeout: 9,
            max_body_kib: 1024,
            allowed_networks: Vec::new(),
            denied_networks: Vec::new(),
            exempt_networks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_empty_section_is_safe_and_a_misspelt_key_is_refused() {
        let agent: AgentConfig = toml::from_str("").unwrap();
        assert!(agent.require_tls && agent.tls_min_version == TlsVersion::V1_3);
        let image: ImageConfig = toml::from_str("denied_networks = ['10.0.0.0/8']").unwrap();
        assert!(!image.allow_loopback && !image.allow_md5_checksum && image.denied_networks.len() == 1);
        let error = toml::from_str::<RedfishConfig>("auth_typ = 'basic'").unwrap_err().to_string();
        assert!(error.contains("auth_typ"), "{error}");
        let redfish: RedfishConfig = toml::from_str("auth_type = 'basic'\ntls_min_version = '1.3'").unwrap();
        assert_eq!((redfish.auth_type, redfish.tls_min_version), (AuthType::Basic, TlsVersion::V1_3));
    }

    #[test]
    fn verification_is_a_switch_or_a_file() {
        let of = |text: &str| toml::from_str::<AgentConfig>(text).unwrap().verify_ca;
        assert_eq!(of("verify_ca = false"), VerifyCa::Switch(false));
        assert_eq!(of("verify_ca = '/etc/ca.pem'"), VerifyCa::File("/etc/ca.pem".into()));
    }
}
