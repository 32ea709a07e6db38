//! What is secret about a node: by the names under which drivers hand it on, and without a name what must not come back from an
//! agent, a controller or a server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use wrought_domain::mask::is_secret;
use wrought_domain::node::cut;
use wrought_domain::{Map, Node, StepCall};
use wrought_drivers::capability::{CONFIG_DRIVE, IMAGE_AUTHORIZATION};
use wrought_hardware::References;
use wrought_hardware::driver_http::{Url, destination};
use wrought_hardware::image::MaybeSecret;
use wrought_hardware::secrets::Secrets;

use crate::artifacts::SIGNATURE_PREFIX;

const AUTHORIZATION: &str = "image_request_authorization_secret";

/// The key of `driver_info` with what drivers may send to hosts of their own: by name, a `secret`, which may be a reference, and the
/// `destination` that it belongs to, such as `https://fw.example.com`.
const HTTP_ACCOUNTS: &str = "http_accounts";

/// The reference under which drivers know the hash of the rescue password (`wit/rescue.wit`), and the key of `instance_info` that has it.
const RESCUE_PASSWORD: &str = "rescue-password";
pub(crate) const HASHED_RESCUE_PASSWORD: &str = "hashed_rescue_password";

/// The key, in `instance_info` or else in `driver_info`, of what a registry asks for, and the reference under which drivers know it.
const PULL_SECRET: (&str, &str) = ("image_pull_secret", "image-pull-secret");

/// The key of `driver_info` that says to which registry the secret there belongs: `host` or `host:port`.
const PULL_REGISTRY: &str = "image_pull_registry";

/// Bytes of a password that is hashed.
const MAX_PASSWORD: usize = 1024;

/// Bytes of random salt: 16 characters, as many as crypt takes.
const SALT: usize = 12;

/// Bytes of what a stranger says about a failure.
const MAX_WORDS: usize = 2000;

/// The keys of `instance_info` whose values may be signed URLs.
const IMAGE_URLS: [&str; 6] = ["image_source", "image_checksum", "image_os_hash_value", "kernel", "ramdisk", "boot_iso"];

/// The keys of `driver_info` whose values may be URLs with an account, and are for the agent.
const PROXIES: [&str; 2] = ["image_http_proxy", "image_https_proxy"];

/// The node's secrets. A driver can place those that have a name in a command to the node's own agent, nowhere else (see [`belonging`]
/// for other hosts); a controller's credentials have none. What a reference leads to is read now; one that leads to nothing is nothing
/// that could come back.
pub(crate) fn secrets(references: &References, node: &Node, step: Option<&StepCall>) -> Secrets {
    let mut secrets = Secrets::default();
    if let Some(drive) = text(&node.instance_info, "configdrive") {
        secrets.insert(name(CONFIG_DRIVE), drive.into());
    }
    if let Some(Ok(header)) = text(&node.instance_info, AUTHORIZATION).map(|text| references.resolve(AUTHORIZATION, text)) {
        secrets.insert(name(IMAGE_AUTHORIZATION), STANDARD.encode(header.expose_secret()).into());
        secrets.hide(header.expose_secret());
    }
    if let Some(hash) = text(&node.instance_info, HASHED_RESCUE_PASSWORD) {
        secrets.insert(RESCUE_PASSWORD, hash.into());
    }
    if let Some(secret) = pull_secret(references, node) {
        secrets.insert(PULL_SECRET.1, STANDARD.encode(secret.expose_secret()).into());
        secrets.hide(secret.expose_secret());
    }
    for (prefix, map, keys) in [("instance-info", &node.instance_info, IMAGE_URLS.as_slice()), ("driver-info", &node.driver_info, &PROXIES)]
    {
        for key in keys {
            if let Some(url) = text(map, key).filter(|url| MaybeSecret::of(url).is_secret()) {
                secrets.insert(format!("{prefix}-{key}"), url.into());
            }
        }
    }
    secrets.hide_all_from(SIGNATURE_PREFIX);
    if let Some(step) = step {
        hide_arguments(&mut step.args.clone(), "step", &mut secrets);
    }
    for map in [&node.driver_info, &node.driver_internal_info] {
        hide_all(&mut secrets, &references.resolved_singly(map));
    }
    // The drive has a name already, and is long.
    for (key, value) in references.resolved_singly(&node.instance_info).iter().filter(|(key, _)| *key != "configdrive") {
        hide_value(&mut secrets, value, is_secret(key));
    }
    if secrets.hides_all() {
        tracing::warn!(node = %node.uuid, "the node has more secrets than can be looked for: drivers get no text from its agent and servers");
    }
    secrets
}

/// What the registry of the image asks for. The instance's own secret goes wherever the instance wants, so it is no reference to one of
/// the operator's; the operator's goes to the registry that it belongs to alone.
fn pull_secret(references: &References, node: &Node) -> Option<SecretString> {
    let (key, _) = PULL_SECRET;
    if let Some(own) = text(&node.instance_info, key) {
        return Some(own.into());
    }
    let (secret, registry) = (text(&node.driver_info, key)?, text(&node.driver_info, PULL_REGISTRY)?);
    let (host, _) = text(&node.instance_info, "image_source")?.strip_prefix("oci://")?.split_once('/')?;
    references.resolve(key, secret).ok().filter(|_| host.eq_ignore_ascii_case(registry))
}

/// A password as the agent takes it: SHA-512 crypt. The host keeps it in no other form.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn hashed(password: &str) -> Result<String, String> {
    use sha_crypt::{PasswordHasher as _, ShaCrypt};
    if password.len() > MAX_PASSWORD || password.chars().any(char::is_control) {
        return Err(format!("a password has at most {MAX_PASSWORD} bytes and no control characters"));
    }
    let hash = ShaCrypt::SHA512.hash_password_with_salt(password.as_bytes(), &rand::random::<[u8; SALT]>());
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// Has the secret arguments of steps taken out of what comes back: what was sent for one may be told while another runs.
pub(crate) fn hide_steps<'s>(args: impl IntoIterator<Item = &'s Map>, secrets: &mut Secrets) {
    args.into_iter().for_each(|args| hide_all(secrets, args));
}

/// The signed URL that a reference leads to.
pub(crate) fn image_url<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let key = name.strip_prefix("instance-info-").filter(|key| IMAGE_URLS.contains(key))?;
    text(&node.instance_info, key).filter(|url| MaybeSecret::of(url).is_secret())
}

/// The secrets that belong at a URL, by the names under which drivers may place them in the headers of a request to it: the image's authorization
/// and its signed URLs at the image's own server, and accounts of `driver_info/http_accounts` where these say.
pub(crate) fn belonging(references: &References, node: &Node, url: &Url) -> Secrets {
    let mut secrets = Secrets::default();
    let is_here = |other: &str| destination(other).is_ok_and(|other| other.origin() == url.origin());
    if let Some(header) = text(&node.instance_info, AUTHORIZATION)
        && text(&node.instance_info, "image_source").is_some_and(is_here)
        && let Ok(header) = references.resolve(AUTHORIZATION, header)
    {
        secrets.insert(name(IMAGE_AUTHORIZATION), header);
    }
    for key in IMAGE_URLS {
        let name = format!("instance-info-{key}");
        if let Some(signed) = image_url(node, &name).filter(|signed| is_here(signed)) {
            secrets.insert(name.clone(), signed.into());
        }
    }
    for (account, about) in node.driver_info.get(HTTP_ACCOUNTS).and_then(Value::as_object).into_iter().flatten() {
        let of = |key: &str| about.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(secret) = of("secret").filter(|_| of("destination").is_some_and(is_here))
            && let Ok(secret) = references.resolve("secret", secret)
        {
            secrets.insert(format!("http-{account}"), secret);
        }
    }
    secrets
}

/// What a stranger said, with the secrets masked, and then cut: the beginning of a secret that was cut would not be found.
pub(crate) fn scrubbed(secrets: &Secrets, text: &str) -> String {
    cut(&secrets.scrub_text(text), MAX_WORDS)
}

/// Of all in `map` whose key says that it is secret, and of URLs with a secret.
fn hide_all(secrets: &mut Secrets, map: &Map) {
    for (key, value) in map {
        hide_value(secrets, value, is_secret(key));
    }
}

fn hide_value(secrets: &mut Secrets, value: &Value, secret: bool) {
    match value {
        Value::String(text) if secret || (text.contains("://") && MaybeSecret::of(text).is_secret()) => secrets.hide(text),
        Value::Array(items) => items.iter().for_each(|item| hide_value(secrets, item, secret)),
        Value::Object(map) if secret => map.values().for_each(|item| hide_value(secrets, item, true)),
        Value::Object(map) => hide_all(secrets, map),
        _ => {}
    }
}

/// `instance_info` with references in place of the URLs that hold a secret.
pub(crate) fn without_image_secrets(instance_info: &Map) -> Map {
    referring(instance_info, "instance-info", &IMAGE_URLS)
}

/// `driver_info` with references in place of the proxies that take an account.
pub(crate) fn without_proxy_secrets(driver_info: &Map) -> Map {
    referring(driver_info, "driver-info", &PROXIES)
}

fn referring(map: &Map, prefix: &str, keys: &[&str]) -> Map {
    let mut shown = map.clone();
    for key in keys {
        if let Some(Value::String(text)) = shown.get_mut(*key)
            && MaybeSecret::of(text).is_secret()
        {
            *text = Secrets::reference(&format!("{prefix}-{key}"));
        }
    }
    shown
}

/// Puts references in place of the secret arguments of a step, named after where they are.
pub(crate) fn hide_arguments(args: &mut Map, path: &str, secrets: &mut Secrets) {
    for (key, value) in args {
        let secret = is_secret(key);
        hide_argument(value, format!("{path}-{key}"), secret, secrets);
    }
}

fn hide_argument(value: &mut Value, path: String, secret: bool, secrets: &mut Secrets) {
    match value {
        Value::String(text) if secret && !text.is_empty() => {
            let reference = Secrets::reference(&path);
            secrets.insert(path, SecretString::from(std::mem::replace(text, reference)));
        }
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(place, item)| hide_argument(item, format!("{path}-{place}"), secret, secrets));
        }
        Value::Object(inner) => {
            inner.iter_mut().for_each(|(key, item)| hide_argument(item, format!("{path}-{key}"), secret || is_secret(key), secrets));
        }
        _ => {}
    }
}

fn text<'a>(map: &'a Map, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn name(reference: &str) -> &str {
    reference.strip_prefix("secret-ref:").unwrap_or(reference)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;
    use wrought_domain::NodeId;
    use wrought_domain::hardware_type::FAKE_HARDWARE;

    use super::*;

    fn map(value: Value) -> Map {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn credentials_of_controllers_are_scrubbed_and_have_no_name() {
        let mut node = Node::new(NodeId(Uuid::nil()), "redfish", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        node.driver_info = map(json!({
            "redfish_password": "canary-bmc", "nested": {"tokens": ["canary-list"]}, "deploy_iso": "http://h/iso?sig=canary-iso",
            "image_http_proxy": "http://user:canary-proxy@proxy:3128"
        }));
        node.instance_info = map(json!({"rescue_password": "canary-rescue", "image_source": "http://h/a?sig=canary-image"}));
        let secrets = secrets(&References::default(), &node, None);
        for canary in ["canary-bmc", "canary-list", "canary-iso", "canary-proxy", "canary-rescue", "canary-image"] {
            assert!(!secrets.scrub_text(&format!("said: {canary}.")).contains(canary), "{canary}");
        }
        let filled = |reference: &str| {
            let mut body = json!(reference);
            secrets.fill(&mut body).map(|()| body)
        };
        filled("secret-ref:driver-info-redfish_password").unwrap_err();
        assert_eq!(filled("secret-ref:instance-info-image_source").unwrap(), node.instance_info["image_source"]);
        let shown = without_proxy_secrets(&node.driver_info);
        assert_eq!(filled(shown["image_http_proxy"].as_str().unwrap()).unwrap(), node.driver_info["image_http_proxy"]);
    }

    #[test]
    fn a_rescue_password_is_a_hash_that_crypt_knows() {
        use sha_crypt::{PasswordVerifier as _, ShaCrypt};
        // Made by `openssl passwd -6`.
        let known = "$6$saltsaltsaltsalt$L5oMfW7ZPpq4m31Rvj0YGoD/VVoLYfX6CLBPYyquEPEhVzrGwq11yTz/NfwmoB8BWS4X.GKKfbLH7ahxJBgky.";
        ShaCrypt::SHA512.verify_password("canary rescue \u{e9}".as_bytes(), known).unwrap();
        let (one, other) = (hashed("canary-rescue").unwrap(), hashed("canary-rescue").unwrap());
        assert_ne!(one, other, "each has a salt of its own");
        for hash in [&one, &other] {
            assert!(hash.starts_with("$6$") && !hash.contains("canary"), "{hash}");
            ShaCrypt::SHA512.verify_password(b"canary-rescue", hash.as_str()).unwrap();
            ShaCrypt::SHA512.verify_password(b"another", hash.as_str()).unwrap_err();
        }
        hashed("two\nlines").unwrap_err();
        hashed(&"x".repeat(MAX_PASSWORD + 1)).unwrap_err();

        let mut node = Node::new(NodeId(Uuid::nil()), "redfish", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        node.instance_info.insert(HASHED_RESCUE_PASSWORD.into(), one.clone().into());
        node.driver_info = map(json!({"image_pull_secret": "canary-registry", "image_pull_registry": "r.example:5000"}));
        node.instance_info.insert("image_source".into(), "oci://R.example:5000/os/edge:42".into());
        let secrets = secrets(&References::default(), &node, None);
        let mut sent = json!({"rescue_password": "secret-ref:rescue-password", "pull": "secret-ref:image-pull-secret"});
        secrets.fill(&mut sent).unwrap();
        assert_eq!(sent, json!({"rescue_password": one, "pull": STANDARD.encode("canary-registry")}));
        assert_eq!(secrets.scrub_text(&format!("{one} canary-registry")), "****** ******");
        assert!(!wrought_drivers::Snapshot::node_view(&node).instance_info.contains("$6$"));
    }

    #[test]
    fn the_operators_pull_secret_goes_to_its_own_registry_alone() {
        let mut node = Node::new(NodeId(Uuid::nil()), "redfish", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        let config = wrought_hardware::SecretsConfig { env_prefix: "CARGO_PKG_".into(), ..Default::default() };
        let references = References::new(config);
        let sent = |node: &Node| {
            let mut body = json!("secret-ref:image-pull-secret");
            secrets(&references, node, None).fill(&mut body).ok().map(|()| body)
        };
        let own = json!({"image_pull_secret": "env:CARGO_PKG_NAME", "image_pull_registry": "r.example"});
        node.driver_info = map(own);
        for (source, goes) in [
            ("oci://r.example/os:1", true),
            ("oci://evil.example/os:1", false),
            ("oci://r.example.evil.example/os:1", false),
            ("oci://r.example@evil.example/os:1", false),
            ("oci://r.example:5000/os:1", false),
            ("oci://r.example", false),
        ] {
            node.instance_info = map(json!({ "image_source": source }));
            assert_eq!(sent(&node), goes.then(|| json!(STANDARD.encode(env!("CARGO_PKG_NAME")))), "{source}");
        }
        node.instance_info = map(json!({"image_source": "oci://r.example/os:1"}));
        node.driver_info.remove("image_pull_registry");
        assert_eq!(sent(&node), None, "nobody said where it belongs");
        // What an instance names is no reference to a secret of the operator's.
        node.instance_info.insert("image_pull_secret".into(), "env:CARGO_PKG_NAME".into());
        assert_eq!(sent(&node), Some(json!(STANDARD.encode("env:CARGO_PKG_NAME"))));
    }

    #[test]
    fn a_secret_belongs_at_one_place() {
        let mut node = Node::new(NodeId(Uuid::nil()), "redfish", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        node.driver_info = map(json!({
            "redfish_password": "canary-bmc", "image_http_proxy": "http://user:canary-proxy@img:3128",
            "http_accounts": {
                "acme": {"destination": "https://fw.example.com", "secret": "Bearer canary-acme"},
                "nowhere": {"secret": "canary-nowhere"}, "odd": "canary-odd"
            }
        }));
        node.instance_info = map(json!({
            "configdrive": "canary-drive", "image_source": "http://img/a?sig=canary-image", AUTHORIZATION: "Basic canary-auth"
        }));
        let names = |url: &str| format!("{:?}", belonging(&References::default(), &node, &destination(url).unwrap()));
        assert_eq!(names("http://img/b"), r#"{"image-authorization", "instance-info-image_source"}"#);
        assert_eq!(names("http://IMG.:80/"), names("http://img/b"));
        assert_eq!(names("https://fw.example.com/v1"), r#"{"http-acme"}"#);
        for url in ["https://img/", "http://img:8080/", "http://fw.example.com/", "https://evil.example/"] {
            assert_eq!(names(url), "{}", "{url}");
        }
        let all = secrets(&References::default(), &node, None);
        assert!(!all.scrub_text("Bearer canary-acme canary-nowhere").contains("canary"));
        all.fill(&mut json!("secret-ref:http-acme")).unwrap_err();
    }

    #[test]
    fn a_reference_that_leads_to_nothing_hinders_no_other() {
        let mut node = Node::new(NodeId(Uuid::nil()), "redfish", FAKE_HARDWARE.defaults(), Timestamp::UNIX_EPOCH);
        node.driver_info = map(json!({
            "a_password": "env:CARGO_PKG_NO_SUCH", "redfish_password": "env:CARGO_PKG_NAME", "z_password": "file:/no/such/file",
            "http_accounts": {"acme": {"destination": "https://fw.example.com", "secret": "env:CARGO_PKG_VERSION"}}
        }));
        let config = wrought_hardware::SecretsConfig { env_prefix: "CARGO_PKG_".into(), ..Default::default() };
        let all = secrets(&References::new(config), &node, None);
        for secret in [env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")] {
            assert_eq!(all.scrub_text(secret), "******");
        }
    }

    #[test]
    fn what_was_sent_for_another_step_is_taken_out() {
        let mut hidden = Secrets::default();
        let args = [map(json!({"raid": {"password": "canary-first"}})), map(json!({"tokens": ["canary-last"], "size": "plain"}))];
        hide_steps(&args, &mut hidden);
        assert_eq!(hidden.scrub_text("canary-first canary-last plain"), "****** ****** plain");
    }

    #[test]
    fn secret_arguments_become_references_at_any_depth() {
        let mut args = map(json!({
            "password": "one", "users": [{"name": "n", "password": "two"}], "tokens": ["three"], "secret": {"a": "four"}, "plain": "five"
        }));
        let mut secrets = Secrets::default();
        let before = args.clone();
        hide_arguments(&mut args, "step", &mut secrets);
        assert_eq!(args["users"][0], json!({"name": "n", "password": "secret-ref:step-users-0-password"}));
        assert_eq!((&args["tokens"][0], &args["plain"]), (&json!("secret-ref:step-tokens-0"), &json!("five")));
        let mut filled = Value::Object(args);
        assert!(!filled.to_string().contains("four"));
        secrets.fill(&mut filled).unwrap();
        assert_eq!(filled, Value::Object(before));
    }
}
