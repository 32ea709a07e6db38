//! How much JSON text would come to, known before anything is built of it.

/// Why JSON text is not to be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// Nested deeper than this.
    #[error("more than {0} levels of nesting")]
    Levels(usize),
    /// Of more than this many values.
    #[error("more than {0} values")]
    Values(usize),
}

/// What an object, an empty one included, counts for: it takes several times the memory of a number.
const OBJECT: usize = 4;

/// Looks at the bytes alone, whether they are JSON or not. Names count as values do, an object counts four times.
///
/// # Errors
/// [`TooMuch`]: which limit is broken.
pub fn bounded(text: &[u8], levels: usize, values: usize) -> Result<(), TooMuch> {
    let (mut depth, mut count, mut in_text, mut escaped) = (0_usize, 1_usize, false, false);
    for byte in text {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                count += if *byte == b'{' { OBJECT } else { 1 };
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, b',' | b':') => count += 1,
            _ => {}
        }
        if depth > levels {
            return Err(TooMuch::Levels(levels));
        }
        if count > values {
            return Err(TooMuch::Values(values));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_texts() {
        assert_eq!(bounded(br#"{"a": "[[[[", "b": "\"[[["}"#, 1, 100), Ok(()));
        assert_eq!(bounded(b"[[1],[2],[3]]", 2, 100), Ok(()));
        assert_eq!(bounded(b"[[[1]]]", 2, 100), Err(TooMuch::Levels(2)));
    }

    #[test]
    fn whatever_takes_memory_is_a_value() {
        assert_eq!(bounded(b"[1,2,3]", 9, 4), Ok(()));
        assert_eq!(bounded(b"[1,2,3,4]", 9, 4), Err(TooMuch::Values(4)));
        assert_eq!(bounded(br#"{"a, b: c": 1}"#, 9, 6), Ok(()));
        for nested in ["[[[[[[[[", r#"{"":{"":"#, r#"[{},{}"#, r#"{"":[[[["#] {
            assert_eq!(bounded(nested.as_bytes(), 9, 8), Err(TooMuch::Values(8)), "{nested}");
        }
    }
}
