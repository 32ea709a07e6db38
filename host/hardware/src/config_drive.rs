//! The config drive: what `PUT /v1/nodes/{node}/states/provision` takes as `configdrive`, made the text that
//! is stored in `instance_info.configdrive` and sent to the agent.
//!
//! - An `http` or `https` URL stays itself.
//! - Base64, with or without line breaks, of a gzipped image of at most 64 MiB stays itself.
//! - An object of `meta_data`, `network_data`, `vendor_data` (objects) and `user_data` (text, or JSON that is
//!   written as such), all optional, becomes base64 of a gzipped ISO 9660 image labelled `config-2`.
//!
//! The image has the layout that openstacksdk's `openstack.baremetal.configdrive` writes: the same files in
//! `openstack/2012-08-10` and `openstack/latest`, a file left out when it would be empty, except for
//! `meta_data.json`. Equal requests make equal text. No error shows a part of a drive: it holds secrets.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, BufReader, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;
use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value};

use crate::egress::web_url;
use crate::error::HardwareError;
use crate::iso9660;

const FIELD: &str = "configdrive";
const LABEL: &str = "config-2";
const VERSIONS: [&str; 2] = ["2012-08-10", "latest"];
const ACCEPTED: &str =
    "an http(s) URL, base64 of a gzipped ISO 9660 image, or an object of meta_data, network_data, user_data, vendor_data";

/// Bytes of an image. What the agent makes of it is a partition of at most so much.
const MAX_IMAGE: usize = 64 * 1024 * 1024;
/// Beyond `UNRATED` bytes, an image may be so many times its compressed size. Images of a few small files are mostly zeroes.
const MAX_RATIO: usize = 256;
const UNRATED: usize = 8 * 1024 * 1024;

/// `request` (see the module) with `meta_data.uuid` and `meta_data.name` set to the node's where they are not given,
/// as Ironic does; cloud-init refuses a drive without a uuid. What is not an object stays as it is.
pub fn with_node(mut request: Value, uuid: &str, name: Option<&str>) -> Value {
    if let Value::Object(drive) = &mut request
        && let Value::Object(meta_data) = drive.entry("meta_data").or_insert_with(|| Value::Object(Map::new()))
    {
        meta_data.entry("uuid").or_insert_with(|| uuid.into());
        if let Some(name) = name {
            meta_data.entry("name").or_insert_with(|| name.into());
        }
    }
    request
}

/// The text to store and to send for `request` (see the module).
///
/// Works for up to a few seconds on a drive of many MiB: not for a thread that serves others.
///
/// # Errors
/// `invalid-parameter`, naming the field and what is accepted.
pub fn build(request: &Value) -> Result<String, HardwareError> {
    match request {
        Value::String(text) if is_web(text) => {
            if text.contains(char::is_whitespace) {
                return Err(HardwareError::invalid(FIELD, "a URL has no spaces or line breaks"));
            }
            web_url(FIELD, text).map(|_| text.clone())
        }
        Value::String(text) => check_image(text).map(|()| text.clone()),
        Value::Object(drive) => pack(drive),
        _ => Err(HardwareError::invalid(FIELD, format_args!("give {ACCEPTED}"))),
    }
}

fn is_web(text: &str) -> bool {
    let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    scheme("http://") || scheme("https://")
}

/// Decodes and inflates `text` to the end or to a limit, and keeps nothing of it.
fn check_image(text: &str) -> Result<(), HardwareError> {
    let compressed = Cell::new(0);
    let decoder = DecoderReader::new(Symbols(text.as_bytes()), &STANDARD);
    let mut image = MultiGzDecoder::new(BufReader::new(Counted { from: decoder, read: &compressed }));
    let mut buffer = vec![0; 64 * 1024];
    let mut size: usize = 0;
    loop {
        match image.read(&mut buffer) {
            Ok(0) if size == 0 => return Err(HardwareError::invalid(FIELD, format_args!("is empty; give {ACCEPTED}"))),
            Ok(0) => return Ok(()),
            Ok(read) => size += read,
            Err(error) => return Err(undecodable(&error)),
        }
        if size > MAX_IMAGE {
            return Err(too_large());
        }
        if size > UNRATED && size / MAX_RATIO > compressed.get() {
            let why = format!("inflates to more than {MAX_RATIO} times its compressed size; images above 8 MiB must not");
            return Err(HardwareError::invalid(FIELD, why));
        }
    }
}

fn undecodable(error: &io::Error) -> HardwareError {
    let base64 = error.get_ref().is_some_and(|inner| inner.is::<base64::DecodeError>());
    let is = if base64 { "is neither a URL nor base64" } else { "is base64, but not of a whole gzip stream" };
    HardwareError::invalid(FIELD, format_args!("{is}; give {ACCEPTED}"))
}

fn too_large() -> HardwareError {
    HardwareError::invalid(FIELD, "the image is larger than the 64 MiB that are accepted")
}

/// The text's bytes without its white space.
struct Symbols<'a>(&'a [u8]);

impl Read for Symbols<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        for slot in buffer {
            let Some(next) = self.0.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                self.0 = &[];
                break;
            };
            let (Some(symbol), Some(rest)) = (self.0.get(next), self.0.get(next + 1..)) else { break };
            *slot = *symbol;
            self.0 = rest;
            read += 1;
        }
        Ok(read)
    }
}

struct Counted<'a, R> {
    from: R,
    read: &'a Cell<usize>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.read.set(self.read.get().saturating_add(read));
        Ok(read)
    }
}

fn pack(drive: &Map<String, Value>) -> Result<String, HardwareError> {
    let known = ["meta_data", "network_data", "user_data", "vendor_data"];
    if let Some(key) = drive.keys().find(|key| !known.contains(&key.as_str())) {
        let key: String = key.chars().take(64).collect();
        return Err(HardwareError::invalid(FIELD, format_args!("unknown key {key:?}; accepted are {}", known.join(", "))));
    }
    let contents = [
        ("meta_data.json", Some(object(drive, "meta_data")?.unwrap_or_else(|| "{}".into()).into())),
        ("network_data.json", object(drive, "network_data")?.map(Cow::from)),
        ("user_data", user_data(drive)?),
        ("vendor_data2.json", object(drive, "vendor_data")?.map(Cow::from)),
    ];
    if contents.iter().filter_map(|(_, text)| text.as_ref()).map(|text| text.len()).sum::<usize>() > MAX_IMAGE {
        return Err(too_large());
    }
    let mut files = Vec::new();
    for version in VERSIONS {
        for (name, text) in &contents {
            files.extend(text.as_ref().map(|text| (format!("openstack/{version}/{name}"), text.as_bytes())));
        }
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
    let image = iso9660::image(LABEL, &files).map_err(|_| too_large())?;
    if image.len() > MAX_IMAGE {
        return Err(too_large());
    }
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let compressed = gzip.write_all(&image).and_then(|()| gzip.finish());
    let compressed = compressed.map_err(|error| HardwareError::invalid(FIELD, format_args!("cannot be compressed: {error}")))?;
    Ok(STANDARD.encode(compressed))
}

/// The object `key` as JSON, if there is one that is not empty.
fn object(drive: &Map<String, Value>, key: &str) -> Result<Option<String>, HardwareError> {
    match drive.get(key) {
        None => Ok(None),
        Some(Value::Object(map)) if map.is_empty() => Ok(None),
        Some(object @ Value::Object(_)) => Ok(Some(object.to_string())),
        Some(_) => Err(HardwareError::invalid(&format!("{FIELD}.{key}"), "must be an object")),
    }
}

fn user_data(drive: &Map<String, Value>) -> Result<Option<Cow<'_, str>>, HardwareError> {
    match drive.get("user_data") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into()).filter(|text: &Cow<'_, str>| !text.is_empty())),
        Some(json @ (Value::Object(_) | Value::Array(_))) => Ok(Some(json.to_string().into())),
        Some(_) => Err(HardwareError::invalid(&format!("{FIELD}.user_data"), "must be a string, an object or an array")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::error::Kind;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn image(text: &str) -> Vec<u8> {
        let mut image = Vec::new();
        MultiGzDecoder::new(STANDARD.decode(text).unwrap().as_slice()).read_to_end(&mut image).unwrap();
        image
    }

    fn files(request: &Value) -> BTreeMap<String, String> {
        let image = image(&build(request).unwrap());
        assert_eq!(iso9660::reader::volume(&image), "config-2");
        iso9660::reader::files(&image).into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
    }

    fn refusal(request: &Value) -> String {
        let error = build(request).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidParameter);
        error.message
    }

    #[test]
    fn an_object_becomes_the_files_that_cloud_init_reads() {
        let request = json!({
            "meta_data": {"uuid": "u", "name": "n"},
            "network_data": {"links": []},
            "user_data": "#!/bin/sh\necho \u{e9}\n",
            "vendor_data": {"k": 1},
        });
        let mut expected = BTreeMap::new();
        for version in ["2012-08-10", "latest"] {
            for (name, text) in [
                ("meta_data.json", r#"{"name":"n","uuid":"u"}"#),
                ("network_data.json", r#"{"links":[]}"#),
                ("user_data", "#!/bin/sh\necho \u{e9}\n"),
                ("vendor_data2.json", r#"{"k":1}"#),
            ] {
                expected.insert(format!("openstack/{version}/{name}"), text.to_owned());
            }
        }
        assert_eq!(files(&request), expected);
    }

    #[test]
    fn what_is_empty_is_left_out_but_the_meta_data() {
        for request in [json!({}), json!({"network_data": {}, "user_data": "", "vendor_data": {}}), json!({"user_data": null})] {
            let files = files(&request);
            assert_eq!(files.keys().collect::<Vec<_>>(), ["openstack/2012-08-10/meta_data.json", "openstack/latest/meta_data.json"]);
            assert!(files.values().all(|text| text == "{}"));
        }
    }

    #[test]
    fn user_data_of_json_is_written_as_json() {
        assert_eq!(files(&json!({"user_data": {"ignition": {}}}))["openstack/latest/user_data"], r#"{"ignition":{}}"#);
        assert_eq!(files(&json!({"user_data": [1, "a"]}))["openstack/latest/user_data"], r#"[1,"a"]"#);
    }

    #[test]
    fn what_is_built_is_accepted_as_a_text_and_always_the_same() {
        let request = json!({"meta_data": {"uuid": "u"}, "user_data": "x"});
        let text = build(&request).unwrap();
        assert_eq!(build(&request).unwrap(), text);
        assert_eq!(build(&Value::from(text.as_str())).unwrap(), text);
    }

    #[test]
    fn the_node_fills_in_only_what_the_meta_data_lacks() {
        assert_eq!(with_node(json!({}), "u", Some("n")), json!({"meta_data": {"uuid": "u", "name": "n"}}));
        assert_eq!(with_node(json!({"meta_data": {"uuid": "own"}}), "u", None), json!({"meta_data": {"uuid": "own"}}));
        assert_eq!(with_node(json!("http://server/drive"), "u", Some("n")), json!("http://server/drive"));
        assert_eq!(with_node(json!({"meta_data": 7}), "u", None), json!({"meta_data": 7}));
    }

    #[test]
    fn texts_are_kept_as_they_are() {
        let encoded = STANDARD.encode(gzip(&noise(100_000)));
        let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        for text in ["http://server/drive", "HTTPS://server/drive.iso.gz?signature=1", &encoded, &format!("{}\r\n \t", lines.join("\n"))] {
            assert_eq!(build(&Value::from(text)).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_drive_is_refused_by_name() {
        let drive = gzip(b"an image");
        let mut flipped = drive.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let truncated = &drive[..drive.len() - 4];
        let trailed = [drive.as_slice(), b"more"].concat();
        for (text, part) in [
            ("ftp://server/drive", "neither a URL nor base64"),
            ("/etc/passwd!", "neither a URL nor base64"),
            (&STANDARD.encode(&drive)[..9], "neither a URL nor base64"),
            ("", "not of a whole gzip"),
            (" \n", "not of a whole gzip"),
            ("http://", "is not a URL"),
            ("http://server/a b", "no spaces"),
            (&STANDARD.encode("plain text, long enough"), "not of a whole gzip"),
            (&STANDARD.encode(truncated), "not of a whole gzip"),
            (&STANDARD.encode(&flipped), "not of a whole gzip"),
            (&STANDARD.encode(&trailed), "not of a whole gzip"),
            (&STANDARD.encode(gzip(b"")), "is empty"),
            (&format!("{}!", STANDARD.encode(gzip(b"123"))), "neither a URL nor base64"),
        ] {
            let message = refusal(&Value::from(text));
            assert!(message.starts_with("configdrive: ") && message.contains(part), "{text:?}: {message}");
        }
        for other in [json!(null), json!(7), json!([]), json!(true)] {
            assert!(refusal(&other).contains("give an http(s) URL"), "{other}");
        }
    }

    #[test]
    fn a_wrong_field_is_refused_by_name() {
        for (request, message) in [
            (json!({"meta_data": "text"}), "configdrive.meta_data: must be an object"),
            (json!({"network_data": []}), "configdrive.network_data: must be an object"),
            (json!({"vendor_data": null}), "configdrive.vendor_data: must be an object"),
            (json!({"user_data": 7}), "configdrive.user_data: must be a string, an object or an array"),
            (
                json!({"userdata": ""}),
                r#"configdrive: unknown key "userdata"; accepted are meta_data, network_data, user_data, vendor_data"#,
            ),
        ] {
            assert_eq!(refusal(&request), message);
        }
    }

    #[test]
    fn a_bomb_is_refused_at_its_ratio_and_a_giant_at_its_size() {
        let bomb = STANDARD.encode(gzip(&vec![0; UNRATED + 1024 * 1024]));
        assert!(refusal(&Value::from(bomb)).contains("256 times"));

        let small_bomb = STANDARD.encode(gzip(&vec![0; UNRATED]));
        assert!(build(&Value::from(small_bomb)).is_ok());

        // Many members of 1 MiB, each of noise and zeroes, stay below the ratio.
        let member = gzip(&[noise(16 * 1024), vec![0; 1024 * 1024 - 16 * 1024]].concat());
        assert!(build(&Value::from(STANDARD.encode(member.repeat(64)))).is_ok());
        assert!(refusal(&Value::from(STANDARD.encode(member.repeat(65)))).contains("64 MiB"));
    }

    #[test]
    fn an_object_larger_than_an_image_may_be_is_refused() {
        let request = json!({"user_data": "x".repeat(MAX_IMAGE)});
        assert!(refusal(&request).contains("64 MiB"));
    }
}
