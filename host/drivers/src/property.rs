//! What must hold for whatever bytes a stranger sends: for `fuzz/` and for the seeded mutations of `cargo test`.

use bytes::Bytes;
use wrought_domain::rollout::Selector;

use crate::admission::{TrustedKeys, Uploaded, digest};
use crate::capability::{escaped, json_object};
use crate::config::{ComponentLimits, SignaturePolicy};
use crate::contract::types;
use crate::grants::{FREE, GRANTABLE, Grants};
use crate::{Destination, steps};

/// Bytes that are uploaded pass the stages before the compiler or are refused in words; nothing of them breaks the host, and nothing
/// that passes asks for what nobody can grant.
///
/// # Panics
/// When that does not hold.
pub fn upload_is_judged(bytes: &[u8]) {
    let component = Bytes::copy_from_slice(bytes);
    let digest = digest(bytes);
    let Ok(uploaded) = Uploaded::stored(component, &digest) else { panic!("its digest is its own") };
    let text = String::from_utf8_lossy(bytes);
    // The bytes serve as their own signature file, too: whatever it says, it is no trusted one.
    let verified = match uploaded.verify(SignaturePolicy::Warn, &TrustedKeys::default(), Some(&text)) {
        Ok(verified) => verified,
        Err(rejected) => return told(&rejected.why.to_string()),
    };
    let parsed = match verified.parse() {
        Ok(parsed) => parsed,
        Err(rejected) => return told(&rejected.why.to_string()),
    };
    match parsed.check(&ComponentLimits::default()) {
        Ok(_checked) => {}
        Err(rejected) => told(&rejected.why.to_string()),
    }
}

/// The same without a signature, so that the parser sees the bytes.
///
/// # Panics
/// When it does not hold.
pub fn component_is_judged(bytes: &[u8]) {
    let Ok(uploaded) = Uploaded::stored(Bytes::copy_from_slice(bytes), &digest(bytes)) else { panic!("its digest is its own") };
    let Ok(verified) = uploaded.verify(SignaturePolicy::Off, &TrustedKeys::default(), None) else { panic!("signatures are off") };
    match verified.parse().and_then(|parsed| parsed.check(&ComponentLimits::default())) {
        Ok(_checked) => {}
        Err(rejected) => told(&rejected.why.to_string()),
    }
}

fn told(why: &str) {
    assert!(!why.is_empty() && why.len() < 4096, "a refusal has words, and not too many: {} bytes", why.len());
}

/// Texts that a guest or an operator gives are taken or refused; what is taken is bounded and shows no control characters.
///
/// # Panics
/// When that does not hold.
pub fn guest_value_is_tamed(text: &str) {
    let fit = |text: &str| !text.chars().any(char::is_control);
    let shown = escaped(text);
    assert!(fit(&shown) && shown.len() <= 12 * (4 << 10), "{shown:?}");
    if let Ok(map) = json_object(text, "value") {
        assert!(serde_json::Value::Object(map).is_object());
    }
    let (first, rest) = text.split_at(text.char_indices().nth(8).map_or(text.len(), |(at, _)| at));
    let argument = types::Argument { name: rest.to_owned(), description: text.to_owned(), required: true, type_: types::ArgumentType::Any };
    for interface in ["deploy", first] {
        let step = types::Step {
            interface: interface.to_owned(),
            step: rest.to_owned(),
            priority: u32::MAX,
            abortable: true,
            requires_ramdisk: true,
            arguments: vec![argument.clone()],
            reboot_requested: false,
        };
        match steps(vec![step.clone(), step.clone()]) {
            Ok(_) => panic!("the same step twice"),
            Err(why) => assert!(fit(&why) && why.len() < 1024, "{why:?}"),
        }
        for step in steps(vec![step]).unwrap_or_default() {
            assert!(fit(&step.step) && fit(&step.interface) && step.step.len() <= 128, "{step:?}");
            assert!(step.arguments.iter().all(|argument| fit(&argument.name) && fit(&argument.description)), "{step:?}");
        }
    }
    if let Ok(grants) = Grants::of([text]) {
        let interface = text.trim().split(['.', '=']).next().unwrap_or_default();
        assert!(GRANTABLE.contains(&interface) && grants.allow_any(interface), "{text}");
        assert!(GRANTABLE.iter().filter(|name| grants.allow_any(name)).count() == 1, "a grant opens one interface: {text}");
        assert!(FREE.iter().all(|name| grants.allow(name, "anything")));
    }
    if let Ok(destination) = text.parse::<Destination>() {
        assert_eq!(destination.to_string().parse::<Destination>().ok().as_ref(), Some(&destination), "{text}");
    }
    if let Ok(selector) = text.parse::<Selector>() {
        assert_eq!(selector.to_string().parse::<Selector>().ok(), Some(selector), "{text}");
    }
}
