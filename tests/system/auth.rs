//! Who is let in, from outside: the first token, the command line, TLS and its certificate anew.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{run, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// `wrought` with nothing of the environment that it reads.
pub fn wrought(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wrought"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WROUGHT_") || name.starts_with("OS_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command; its status, output and errors.
pub async fn ran(command: &mut Command) -> (i32, String, String) {
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("a command ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap_or(-1), text(ended.stdout), text(ended.stderr))
}

/// A host of this folder's data and configuration; its process and the line that it says when it is ready.
pub async fn serve(folder: &Path, more: &[&str]) -> (Child, Value) {
    let (data, config) = (folder.join("data"), folder.join("wrought.toml"));
    let mut command = wrought(&["serve", "--json", "--follow-stdin", "--listen", "127.0.0.1:0"]);
    command.args(more).arg("--data").arg(data).arg("--config").arg(config);
    let log = std::fs::File::options().create(true).append(true).open(folder.join("host.log")).unwrap();
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    tokio::time::timeout(PATIENCE, output.read_line(&mut line)).await.expect("the host is ready").unwrap();
    let said = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}", std::fs::read_to_string(folder.join("host.log")).unwrap()));
    (process, said)
}

fn certify(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
}

#[test]
fn the_first_token_is_made_on_the_folder_and_the_rest_over_tls() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        certify(folder.path());
        let config = format!(
            "[api]\nauth_strategy = \"token\"\ntls_certificate_file = \"{}\"\ntls_key_file = \"{}\"\n[conductor]\nsync_power_state_interval = 0\n",
            at("cert.pem"),
            at("key.pem")
        );
        std::fs::write(folder.path().join("wrought.toml"), config).unwrap();

        let data = at("data");
        let (code, root, told) = ran(&mut wrought(&["token", "create", "root", "--role", "admin", "--data", &data])).await;
        assert_eq!(code, 0, "{told}");
        let root = root.trim();
        assert!(root.starts_with("wrought_") && told.contains("root is admin of everything"), "{told}");

        let (mut host, said) = serve(folder.path(), &["--agent-listen", "127.0.0.1:0"]).await;
        let url = said["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with("https://") && said["public_url"].as_str().unwrap().starts_with("https://"), "{said}");
        let cacert = at("cert.pem");
        let client = async |args: &[&str], token: Option<&str>| {
            let mut command = wrought(args);
            command.env("WROUGHT_URL", &url).env("WROUGHT_CACERT", &cacert);
            if let Some(token) = token {
                command.env("WROUGHT_TOKEN", token);
            }
            ran(&mut command).await
        };
        let (code, _, told) = client(&["node", "list"], None).await;
        assert!(code == 1 && told.contains("401") && told.contains("wrought token create NAME --role admin --data DIR"), "{told}");
        // Without the certificate nothing is sent to it.
        let mut stranger = wrought(&["node", "list", "--url", &url, "--token", root]);
        let (code, _, told) = ran(&mut stranger).await;
        assert!(code == 1 && told.contains("no answer"), "{told}");

        let (code, listed, told) = client(&["node", "list", "--json"], Some(root)).await;
        assert_eq!(code, 0, "{listed}{told}");
        // While the host runs, the folder is the host's.
        let (code, _, told) = ran(&mut wrought(&["token", "create", "more", "--data", &data])).await;
        assert!(code == 1 && told.contains("in use") && told.contains("without --data"), "{told}");

        let made =
            client(&["token", "create", "ci", "--role", "member", "--project", "red", "--expires", "30d", "--json"], Some(root)).await;
        let made: Value = serde_json::from_str(&made.1).unwrap();
        let ci = made["token"].as_str().unwrap().to_owned();
        assert_eq!((made["project"].as_str(), made["created_by"].as_str()), (Some("red"), Some("root")));
        assert_eq!(client(&["node", "list"], Some(&ci)).await.0, 0);
        let (code, _, told) = client(&["token", "list"], Some(&ci)).await;
        assert!(code == 1 && told.contains("403"), "{told}");
        let (_, listed, _) = client(&["token", "list"], Some(root)).await;
        assert!(listed.contains("ci") && listed.contains("root") && !listed.contains(&ci), "{listed}");
        // Ironic's clients have it in a variable of their own.
        let mut common = wrought(&["node", "list"]);
        let (code, _, told) = ran(common.env("WROUGHT_URL", &url).env("WROUGHT_CACERT", &cacert).env("OS_TOKEN", &ci)).await;
        assert_eq!(code, 0, "{told}");
        assert_eq!(client(&["token", "revoke", "ci"], Some(root)).await.0, 0);
        assert_eq!(client(&["node", "list"], Some(&ci)).await.0, 1);
        let (_, audit, _) = client(&["audit", "--object", "token/ci"], Some(root)).await;
        assert!(audit.contains("token.create") && audit.contains("token.revoke") && audit.contains("root"), "{audit}");

        // Another certificate, as soon as it is asked for.
        certify(folder.path());
        let pid = host.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().await.unwrap().success());
        until("the new certificate is served", async || (client(&["node", "list"], Some(root)).await.0 == 0).then_some(())).await;

        drop(host.stdin.take());
        let ended = tokio::time::timeout(PATIENCE, host.wait()).await.expect("the host ends").unwrap();
        assert!(ended.success());
        let log = std::fs::read_to_string(folder.path().join("host.log")).unwrap();
        assert!(!log.contains(root) && !log.contains(&ci) && !log.contains("NO TLS") && log.contains("SIGHUP"), "{log}");
        // Nor are they anywhere in the folder.
        let mut folders = vec![folder.path().join("data")];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    let mut bytes = Vec::new();
                    tokio::fs::File::open(entry.path()).await.unwrap().read_to_end(&mut bytes).await.unwrap();
                    let has = |token: &str| bytes.windows(token.len()).any(|window| window == token.as_bytes());
                    assert!(!has(root) && !has(&ci), "{}", entry.path().display());
                }
            }
        }
    });
}

#[test]
fn a_configuration_that_lets_nobody_in_does_not_start() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(folder.path().join("htpasswd"), "ada:$apr1$x$y\n").unwrap();
        for (config, told) in [
            ("auth_strategy = \"http_basic\"".to_owned(), "http_basic_auth_user_file"),
            (format!("auth_strategy = \"http_basic\"\nhttp_basic_auth_user_file = \"{}\"", at("htpasswd")), "htpasswd -B"),
            (format!("tls_certificate_file = \"{}\"", at("cert.pem")), "belong together"),
            (format!("tls_certificate_file = \"{0}\"\ntls_key_file = \"{0}\"", at("none.pem")), "reading"),
            ("header_timeout = 0".to_owned(), "1 or more"),
            ("trusted_proxies = [\"everybody\"]".to_owned(), "trusted_proxies"),
        ] {
            std::fs::write(folder.path().join("wrought.toml"), format!("[api]\n{config}\n")).unwrap();
            let (code, _, error) = ran(&mut wrought(&["serve", "--data", &at("data"), "--config", &at("wrought.toml")])).await;
            assert_eq!(code, 2, "{config}: {error}");
            assert!(error.contains(told), "{config}: {error}");
        }
    });
}
