//! Standard output and standard error. A reader that went away, such as `head`, is no failure and no panic.

use std::io::{self, Write};

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use wrought_domain::node::plain;

/// Writes `text` and a line feed to standard output.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", harmless(text.trim_end_matches('\n'))).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("writing to standard output"),
        _ => Ok(()),
    }
}

/// Writes a line to standard error. That it cannot be written cannot be told to anyone.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
}

/// Lines and tabs as they are; whatever else would do something to the terminal, as a space.
pub fn harmless(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|part| match part.strip_suffix(['\n', '\t']) {
            Some(plainer) => plain(plainer) + part.get(plainer.len()..).unwrap_or_default(),
            None => plain(part),
        })
        .collect()
}

/// Writes indented JSON to standard output.
pub fn say_json(value: &Value) -> anyhow::Result<()> {
    say(&escaped(&serde_json::to_string_pretty(value)?))
}

/// JSON text that means the same, without what would do something to the terminal: JSON leaves some of it as it is.
fn escaped(json: &str) -> String {
    let escape = |letter: char| match letter {
        '\n' => letter.to_string(),
        // JSON has escapes of 16 bits; what acts lies within them.
        letter if plain(letter.encode_utf8(&mut [0; 4])) == " " && letter != ' ' => format!("\\u{:04x}", u32::from(letter)),
        letter => letter.to_string(),
    };
    json.chars().map(escape).collect()
}

/// A table without lines, as wide as the terminal allows.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

/// What a cell shows for a value of an answer: text on one line, nothing for null.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_machine_says_does_nothing_to_the_terminal() {
        let evil = json!("a\u{1b}[2Jb\r\nnode-2 active\u{9b}31m \u{202e}txt");
        assert_eq!(cell(&evil), "a [2Jb  node-2 active 31m  txt");
        assert_eq!(cell(&json!([evil, "x"])), "a [2Jb  node-2 active 31m  txt, x");
        assert_eq!(harmless("one\ttwo\n\u{1b}[1mthree\n"), "one\ttwo\n [1mthree\n");
        let text = escaped(&serde_json::to_string_pretty(&json!({"error": evil})).unwrap_or_default());
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control() && letter != '\u{202e}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(json!({"error": evil})));
    }
}
