//! What `fuzz/` looks at, over seeded mutations of real components and of texts that parsers stumble over.

use proptest::prelude::*;
use wrought_drivers::property::{component_is_judged, guest_value_is_tamed, upload_is_judged};
use wrought_drivers::shipped::{FAKE, HOSTILE};

/// Cuts, flips, doubles and drops.
fn mutated(seed: &[u8]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seed = seed.to_vec();
    let length = seed.len();
    let change = (0..length, any::<u8>(), 0..6_u8, 1..64_usize);
    proptest::collection::vec(change, 1..12).prop_map(move |changes| {
        let mut bytes = seed.clone();
        for (at, byte, how, many) in changes {
            let at = at.min(bytes.len().saturating_sub(1));
            let end = (at + many).min(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.truncate(at + 1),
                3 => drop(bytes.drain(at + 1..end.max(at + 1))),
                4 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => bytes[at..end].fill(byte),
            }
        }
        bytes
    })
}

/// The beginning of a component, where most of its sections are small.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let head = |component: &[u8]| component[..component.len().min(4096)].to_vec();
    prop_oneof![mutated(&head(FAKE)), mutated(&head(HOSTILE))]
}

/// Words of the parsers, put together at random.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        proptest::sample::select(vec![
            "power",
            "http",
            "redfish",
            "artifact",
            "agent",
            ".get",
            "=",
            "GET",
            "+",
            "@",
            "https://",
            "http://",
            "[::1]",
            "127.0.0.1",
            ":443",
            ":99999",
            "/redfish/v1",
            "/..",
            "trait",
            "owner",
            ",",
            "{",
            "}",
            "\"",
            "\u{1b}[31m",
            "\u{0}",
            "\n",
            "\u{202e}",
            "é",
            " ",
            "CUSTOM_X",
            "xn--bcher-kva.example",
            "[",
            "]",
            "\\",
            "null",
            "1e999",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    proptest::collection::vec(word, 0..8).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_uploaded_is_judged(bytes in heads()) {
        upload_is_judged(&bytes);
        component_is_judged(&bytes);
    }

    #[test]
    fn whatever_a_guest_says_is_tamed(text in words()) {
        guest_value_is_tamed(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_components_that_were_damaged_are_judged(bytes in mutated(FAKE)) {
        component_is_judged(&bytes);
    }
}
