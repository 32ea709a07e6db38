//! A new version of a driver: the same component with one more custom section, so that it behaves alike and has another digest.

/// Id of a custom section in a WebAssembly binary.
const CUSTOM: u8 = 0;
const NAME: &str = "version-note";

/// `component` with a custom section `version-note` that holds `note`. Custom sections may stand anywhere, so also at the end.
pub fn with_note(component: &[u8], note: &str) -> Vec<u8> {
    let mut content = leb128(NAME.len());
    content.extend_from_slice(NAME.as_bytes());
    content.extend_from_slice(note.as_bytes());
    let mut bytes = component.to_vec();
    bytes.push(CUSTOM);
    bytes.extend(leb128(content.len()));
    bytes.extend(content);
    bytes
}

/// The unsigned LEB128 form of a number: seven bits per byte, the lowest first.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::{leb128, with_note};

    #[test]
    fn numbers_are_encoded_as_the_standard_says() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [0x7f]);
        assert_eq!(leb128(128), [0x80, 0x01]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn the_section_follows_the_component_and_tells_its_own_size() {
        let bytes = with_note(b"component", "v2");
        assert_eq!(&bytes, b"component\x00\x0f\x0cversion-notev2");
        let long = with_note(b"", &"x".repeat(200));
        assert_eq!(long.len(), 1 + 2 + 1 + 12 + 200);
    }
}
