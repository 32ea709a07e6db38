//! What must hold for every text that a driver gives as a path; for the fuzz target `redfish_path` and for `cargo test`.

use percent_encoding::percent_decode;
use reqwest::Url;

use crate::redfish::guest::path::{Access, GuestPath, Own, Verb, judge};

const VERBS: [Verb; 4] = [Verb::Get, Verb::Patch, Verb::Post, Verb::Delete];
const BASE: &str = "https://bmc.example:8443/";
const SYSTEM: &str = "/redfish/v1/Systems/1";
const LINKED: [&str; 2] = ["/redfish/v1/Chassis/1U", "/redfish/v1/Managers/BMC"];
const GRANTED: &str = "/redfish/v1/UpdateService";
const TASKS: &str = "/redfish/v1/taskservice/";
const BOOT: [&str; 3] = ["bootoptions", "secureboot", "virtualmedia"];
const NEVER: [&str; 5] = ["accountservice", "sessionservice", "certificateservice", "eventservice", "password"];

/// Panics when `text` is accepted as a path and some server could read another place out of what is sent for it.
pub fn path_stays_inside(text: &str) {
    let Ok(path) = GuestPath::parse(text) else { return };
    let sent = path.text();
    assert_eq!(GuestPath::parse(&sent).as_ref(), Ok(&path), "what is sent names the same path");
    let known = |root: &str| GuestPath::parse(root).ok();
    let (Some(system), Some(granted)) = (known(SYSTEM), known(GRANTED)) else { unreachable!("these are paths") };
    let own = Own { system, linked: LINKED.into_iter().filter_map(known).collect(), reset: None };
    let url = Url::parse(BASE).and_then(|base| base.join(&sent));
    let url = url.unwrap_or_else(|error| unreachable!("{sent}: {error}"));
    assert!(url.as_str().starts_with(BASE) && url.query().is_none() && url.fragment().is_none(), "{sent} leaves the controller: {url}");
    for verb in VERBS {
        let Ok(access) = judge(verb, &path, &own, std::slice::from_ref(&granted)) else { continue };
        for reading in readings(url.path()) {
            let root = match access {
                Access::System => SYSTEM,
                Access::Linked(place) => LINKED.get(place).copied().unwrap_or_default(),
                Access::Shared => GRANTED,
                Access::Task => TASKS.trim_end_matches('/'),
            };
            let root = root.to_ascii_lowercase();
            let inside = reading == root || reading.strip_prefix(&root).is_some_and(|rest| rest.starts_with('/'));
            assert!(inside, "{text:?} was judged {access:?} and may be read as {reading}");
            assert!(!NEVER.iter().any(|word| reading.contains(word)), "{text:?} may be read as {reading}");
            assert!(verb != Verb::Post || !reading.ends_with("computersystem.reset"), "{text:?} may be read as {reading}");
            assert!(verb == Verb::Get || !BOOT.iter().any(|word| reading.contains(word)), "{text:?} may be read as {reading}");
            assert!(verb == Verb::Get || access != Access::Task, "{text:?}: a task is read only");
        }
    }
}

/// What servers and relays make of a path: decoded once or more, cut, cleaned, in any case.
fn readings(path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..4 {
        let text = String::from_utf8_lossy(&decoded).to_lowercase();
        let cut = text.split(['?', '#', '\0', '\r', '\n']).next().unwrap_or_default().to_owned();
        let without_parameters: Vec<&str> = cut.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
        for text in [text.clone(), cut.clone(), without_parameters.join("/"), cut.replace('\\', "/"), cut.replace('+', " ")] {
            found.push(resolved(&text));
        }
        decoded = percent_decode(&decoded).collect();
    }
    found
}

/// Empty segments and dots taken out as file systems do, names without blanks around them.
fn resolved(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').map(str::trim) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    use super::*;

    /// Pieces that paths, and tricks with them, are made of.
    const PIECES: [&str; 65] = [
        "/",
        "/",
        "/",
        "/",
        "/redfish/v1",
        "redfish",
        "v1",
        "Systems",
        "Systems/1",
        "1",
        "2",
        "11",
        "Chassis",
        "1U",
        "Managers",
        "BMC",
        "UpdateService",
        "TaskService",
        "Tasks",
        "Actions",
        "ComputerSystem.Reset",
        "AccountService",
        "accountservice",
        "SessionService",
        "Sessions",
        "EventService",
        "Password",
        "Oem",
        "Bios",
        "Settings",
        "SecureBoot",
        "virtualmedia",
        "%42ootOptions",
        ".",
        "..",
        "...",
        "%2e",
        "%2E%2e",
        "%252e",
        "%2f",
        "%5c",
        "\\",
        "//",
        ";",
        "..;",
        ";a=b",
        "?",
        "$expand=*",
        "#",
        "%00",
        "\0",
        "%20",
        " ",
        "+",
        "%c0%ae",
        "\u{ff0e}",
        "@",
        ":",
        "=",
        "%",
        "%7",
        "a",
        "http://",
        "\n",
        "~",
    ];

    fn runner(cases: u32) -> TestRunner {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng)
    }

    #[test]
    fn paths_made_of_tricks_stay_inside() {
        let made = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat());
        let below =
            (prop::sample::select(&[SYSTEM, GRANTED, LINKED[0], LINKED[1], "/redfish/v1/TaskService/Tasks", "/redfish/v1"][..]), made)
                .prop_map(|(root, rest)| format!("{root}/{rest}"));
        let accepted = std::cell::Cell::new(0);
        runner(40_000)
            .run(&below, |text| {
                accepted.set(accepted.get() + u32::from(GuestPath::parse(&text).is_ok()));
                path_stays_inside(&text);
                Ok(())
            })
            .unwrap();
        assert!(accepted.get() > 1_000, "only {} were paths at all", accepted.get());
    }

    #[test]
    fn any_text_stays_inside() {
        let holds = |text: String| {
            path_stays_inside(&text);
            Ok(())
        };
        runner(20_000).run(&any::<String>(), holds).unwrap();
        let bytes = (prop::sample::select(&[SYSTEM, GRANTED][..]), prop::collection::vec(any::<u8>(), 0..6))
            .prop_map(|(root, bytes)| format!("{root}/{}", String::from_utf8_lossy(&bytes)));
        runner(20_000).run(&bytes, holds).unwrap();
    }

    #[test]
    fn the_corpus_stays_inside() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/redfish_path");
        let mut texts = 0;
        for file in std::fs::read_dir(corpus).unwrap() {
            path_stays_inside(&String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()));
            texts += 1;
        }
        assert!(texts >= 10);
    }
}
