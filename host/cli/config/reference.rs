//! The configuration as a file to start from, and as a page to read. Both follow from the schema.

use std::fmt::Write;

use super::schema::{BY_NAME, Key, Schema};

const WIDTH: usize = 100;

/// Every key, commented out, with its documentation and default: as a file it changes nothing, and a host upgrade may still better a
/// default.
pub fn sample() -> String {
    let mut text =
        String::from("# Every key of Wrought's configuration. A line without its # sets the key; the values shown are the defaults.\n");
    for section in Schema::of_config().sections() {
        // There is none of these until the operator names one.
        let by_name = section.path.ends_with(BY_NAME);
        let _ = write!(text, "\n{}{}[{}]\n", comment(&section.doc), if by_name { "# " } else { "" }, section.path);
        for key in &section.keys {
            let _ = write!(text, "\n{}", comment(&key.doc));
            let _ = match &key.default {
                Some(default) => writeln!(text, "#{}{} = {default}", if by_name { " " } else { "" }, key.name),
                None => writeln!(text, "# Not set by default; accepts {}.\n#{} =", key.accepted, key.name),
            };
        }
    }
    text
}

/// The page `docs/configuration.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Made by `wrought config reference` from the code. Do not edit: change the doc comments and run\n     \
         `cargo run -- config reference > docs/configuration.md`. -->\n\n\
         One TOML file, given with `wrought serve --config FILE` or `WROUGHT_CONFIG`. Without a file, and with an empty one, the defaults\n\
         apply, and they are safe. An unknown key is an error. `wrought config default` prints a file to start from, and\n\
         `wrought config check FILE` says what is wrong with one. A flag goes before its environment variable, that before the file.\n",
    );
    for section in Schema::of_config().sections() {
        let _ = write!(text, "\n## [{}]\n\n{}\n", section.path, section.doc);
        if !section.keys.is_empty() {
            let _ = write!(text, "\n| key | default | accepts | meaning |\n|---|---|---|---|\n");
        }
        for key in &section.keys {
            let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, default(key), escape(&key.accepted), escape(&key.doc));
        }
    }
    text
}

fn default(key: &Key) -> String {
    key.default.as_ref().map_or_else(|| "not set".to_owned(), |default| format!("`{}`", escape(default)))
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

/// `text` as comment lines.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + word.len() > WIDTH {
            let _ = writeln!(lines, "#{line}");
            line.clear();
        }
        let _ = write!(line, " {word}");
    }
    if !line.is_empty() {
        let _ = writeln!(lines, "#{line}");
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Config, parse};
    use super::*;

    fn as_json(config: &Config) -> serde_json::Value {
        serde_json::to_value(config).unwrap()
    }

    #[test]
    fn the_sample_sets_nothing_and_its_values_are_the_defaults() {
        let default = as_json(&Config::default());
        let as_printed = parse(&sample()).ok().unwrap();
        assert_eq!(as_json(&as_printed.config), default);

        let is_key = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && !line.ends_with('=');
        let enabled: Vec<_> =
            sample().lines().map(|line| if is_key(&line) { line.trim_start_matches('#').to_owned() } else { line.to_owned() }).collect();
        let all_set = parse(&enabled.join("\n")).ok().unwrap();
        assert_eq!(as_json(&all_set.config), default);
        assert!(all_set.sets("log", "filter"));
    }

    #[test]
    fn every_key_is_documented() {
        for section in Schema::of_config().sections() {
            assert!(!section.doc.is_empty(), "[{}] has no doc comment", section.path);
            for key in &section.keys {
                assert!(!key.doc.is_empty(), "{}.{} has no doc comment", section.path, key.name);
            }
        }
    }

    #[test]
    fn the_reference_in_docs_has_not_drifted() {
        let committed = include_str!("../../../docs/configuration.md");
        assert!(
            committed == markdown(),
            "docs/configuration.md is not what the code says: run `cargo run -- config reference > docs/configuration.md`"
        );
    }
}
