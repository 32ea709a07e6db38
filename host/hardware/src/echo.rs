//! Finds secrets in what comes back, whatever somebody made of them on the way.
//!
//! | form | how it is found |
//! |---|---|
//! | as it is; in base64, also within a larger one | looked for itself |
//! | percent-encoded, whatever characters were kept, `+` for a blank; escaped as in JSON | the text is decoded, twice at most |
//! | what follows the scheme of a credential; the account of `Basic`; the account and the query of a URL | looked for itself |

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;
use reqwest::Url;

/// Shorter texts are not looked for: too much would be masked that is none of them.
pub(crate) const SHORTEST: usize = 4;
/// The same of a part of a secret, such as the date of a signature.
const SHORTEST_PART: usize = 8;
/// Longer texts, such as a config drive, are looked for as they are only: they are encoded already.
pub(crate) const LONGEST_ENCODED: usize = 64 << 10;
/// Longer texts are looked for one by one: in the common search they would take much memory.
const LONGEST_TOGETHER: usize = 256;
/// How often a text is decoded: JSON within a text of JSON is as deep as things usually get.
const MOST_DECODED: usize = 2;

/// A search for many secrets at once.
pub(crate) struct Search {
    short: AhoCorasick,
    long: Vec<Finder<'static>>,
}

impl Search {
    /// Nothing where they are too many.
    pub(crate) fn of<'s>(secrets: impl Iterator<Item = &'s str>) -> Option<Self> {
        let all: BTreeSet<Vec<u8>> = secrets.flat_map(forms).collect();
        let (short, long): (Vec<_>, Vec<_>) = all.into_iter().partition(|form| form.len() <= LONGEST_TOGETHER);
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let short = AhoCorasick::builder().kind(kind).match_kind(MatchKind::LeftmostLongest).build(short).ok()?;
        Some(Self { short, long: long.iter().map(|form| Finder::new(form).into_owned()).collect() })
    }

    /// Where secrets are in `text`, and what begins with one of `beginnings` up to the first character that is no letter, digit,
    /// `-` or `_`; in order, none touching another.
    pub(crate) fn spans(&self, text: &str, beginnings: &[&'static str]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let text = View { bytes: Cow::Borrowed(text.as_bytes()), places: None };
        each_view(&text, MOST_DECODED, &mut |view| self.look(view, beginnings, &mut found));
        found.sort_by_key(|span| span.start);
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(found.len());
        found.into_iter().for_each(|span| note(&mut spans, span));
        spans
    }

    fn look(&self, view: &View<'_>, beginnings: &[&'static str], found: &mut Vec<Range<usize>>) {
        let bytes = view.bytes.as_ref();
        let mut from = 0;
        // A secret may begin within another.
        while let Some(hit) = self.short.find(Input::new(bytes).range(from..)) {
            note(found, view.span(hit.range()));
            from = hit.start().saturating_add(1);
        }
        for form in &self.long {
            let length = form.needle().len();
            form.find_iter(bytes).for_each(|start| note(found, view.span(start..start.saturating_add(length))));
        }
        let of_secret = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-' || **byte == b'_';
        for beginning in beginnings {
            for start in memchr::memmem::find_iter(bytes, beginning) {
                let begun = start.saturating_add(beginning.len());
                let rest = bytes.get(begun..).unwrap_or_default().iter().take_while(of_secret).count();
                note(found, view.span(start..begun.saturating_add(rest)));
            }
        }
    }
}

/// Adds a span, to the last one where it touches that.
fn note(spans: &mut Vec<Range<usize>>, span: Range<usize>) {
    match spans.last_mut() {
        Some(last) if (last.start..=last.end).contains(&span.start) => last.end = last.end.max(span.end),
        _ => spans.push(span),
    }
}

/// `text` with `mask` in the places of `spans`.
pub(crate) fn masked(text: &str, spans: &[Range<usize>], mask: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for span in spans {
        shown.push_str(text.get(from..span.start).unwrap_or_default());
        shown.push_str(mask);
        from = span.end;
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}

/// What of a secret is one as well, because it may come back without the rest.
pub(crate) fn parts(secret: &str) -> Vec<String> {
    let mut parts = if secret.contains("://") { parts_of_url(secret) } else { parts_of_credential(secret) };
    parts.retain(|part| part.len() >= SHORTEST);
    parts
}

fn parts_of_url(secret: &str) -> Vec<String> {
    let Ok(url) = Url::parse(secret) else { return Vec::new() };
    let query = url.query().map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
    let password = url.password().map(str::to_owned);
    let decoded = password.as_deref().map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned());
    query.into_iter().chain(values).chain(password).chain(decoded).filter(|part| part.len() >= SHORTEST_PART).collect()
}

/// Of `Bearer token` the token; of `Basic base64` the account and its password, too.
fn parts_of_credential(secret: &str) -> Vec<String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    let Some((scheme, rest)) = secret.trim().split_once(' ') else { return Vec::new() };
    let rest = rest.trim();
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    let mut parts = Vec::new();
    if scheme.eq_ignore_ascii_case("basic")
        && let Ok(account) = GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(rest)
        && let Ok(account) = String::from_utf8(account)
    {
        parts.extend(account.split_once(':').map(|(_, password)| password.to_owned()));
        parts.push(account);
    }
    if rest.len() >= SHORTEST_PART {
        parts.push(rest.to_owned());
    }
    parts
}

/// What a secret is looked for as.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    if secret.len() > LONGEST_ENCODED {
        return forms;
    }
    // In a larger base64 text the secret begins at one of three places of a group; its first and last
    // character may also hold bits of the neighbours.
    for shift in 0..3 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(secret.as_bytes());
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            let end = bytes.len() * 8 / 6;
            let begin = (shift * 8).div_ceil(6);
            forms.extend(encoded.get(begin..end).map(|form| form.as_bytes().to_vec()));
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// A text as it is, or decoded.
struct View<'t> {
    bytes: Cow<'t, [u8]>,
    /// Where each byte was in the text, and where the text ends; nothing for the text itself.
    places: Option<Vec<usize>>,
}

impl View<'_> {
    fn place(&self, at: usize) -> usize {
        self.places.as_ref().map_or(at, |places| places.get(at).or(places.last()).copied().unwrap_or_default())
    }

    fn span(&self, range: Range<usize>) -> Range<usize> {
        self.place(range.start)..self.place(range.end)
    }

    /// With each unit that `decode` knows in place of what stands for it; nothing where there is none.
    fn decoded(&self, decode: impl Fn(&[u8]) -> Option<Unit>) -> Option<View<'static>> {
        let (mut bytes, mut places) = (Vec::with_capacity(self.bytes.len()), Vec::with_capacity(self.bytes.len()));
        let mut rest: &[u8] = &self.bytes;
        let mut changed = false;
        while let Some((first, others)) = rest.split_first() {
            let at = self.place(self.bytes.len().saturating_sub(rest.len()));
            if let Some(unit) = decode(rest) {
                changed = true;
                bytes.extend_from_slice(&unit.bytes);
                places.resize(bytes.len(), at);
                rest = rest.get(unit.used..).unwrap_or_default();
            } else {
                bytes.push(*first);
                places.push(at);
                rest = others;
            }
        }
        places.push(self.place(self.bytes.len()));
        changed.then_some(View { bytes: bytes.into(), places: Some(places) })
    }
}

/// What some bytes stand for, and how many these are.
struct Unit {
    bytes: Vec<u8>,
    used: usize,
}

fn each_view(view: &View<'_>, more: usize, see: &mut impl FnMut(&View<'_>)) {
    see(view);
    let Some(more) = more.checked_sub(1) else { return };
    let has = |byte: u8| memchr::memchr(byte, &view.bytes).is_some();
    let (escaped, percent, plus) = (has(b'\\'), has(b'%'), has(b'+'));
    let decoded = [
        escaped.then(|| view.decoded(unescaped)).flatten(),
        percent.then(|| view.decoded(percent_decoded)).flatten(),
        plus.then(|| view.decoded(form_decoded)).flatten(),
    ];
    for view in decoded.iter().flatten() {
        each_view(view, more, see);
    }
}

fn percent_decoded(rest: &[u8]) -> Option<Unit> {
    let [b'%', high, low, ..] = rest else { return None };
    let byte = u8::try_from(hexadecimal(&[*high, *low])?).ok()?;
    Some(Unit { bytes: vec![byte], used: 3 })
}

fn form_decoded(rest: &[u8]) -> Option<Unit> {
    if rest.first() == Some(&b'+') { Some(Unit { bytes: vec![b' '], used: 1 }) } else { percent_decoded(rest) }
}

fn unescaped(rest: &[u8]) -> Option<Unit> {
    let [b'\\', kind, tail @ ..] = rest else { return None };
    let byte = match kind {
        b'"' | b'\\' | b'/' => *kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescaped_unit(tail),
        _ => return None,
    };
    Some(Unit { bytes: vec![byte], used: 2 })
}

/// Of four digits, or of a pair of surrogates.
fn unescaped_unit(tail: &[u8]) -> Option<Unit> {
    let first = hexadecimal(tail.get(..4)?)?;
    let second = match tail.get(4..) {
        Some([b'\\', b'u', more @ ..]) => more.get(..4).and_then(hexadecimal),
        _ => None,
    };
    let pair = second.and_then(|second| char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(second).ok()?]).next()?.ok());
    let (char, used) = match (char::from_u32(first), pair) {
        (Some(char), _) => (char, 6),
        (None, Some(char)) => (char, 12),
        (None, None) => return None,
    };
    Some(Unit { bytes: char.to_string().into_bytes(), used })
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Whatever is in a text, its spans are such as can be cut out, and no secret stays.
        #[test]
        fn spans_lie_within_the_text(text in "[ab%2+\\\\u05\"/é\u{1f600} ]{0,40}", after in "[a%\\\\é]{0,6}") {
            let secret = "ab é\"/\u{1f600}";
            let search = Search::of([secret].into_iter()).unwrap_or_else(|| unreachable!());
            let told = format!("{text}{secret}{after}");
            let spans = search.spans(&told, &["u0"]);
            proptest::prop_assert!(spans.iter().all(|span| told.get(span.clone()).is_some()));
            proptest::prop_assert!(spans.is_sorted_by(|one, next| one.end < next.start));
            proptest::prop_assert!(!masked(&told, &spans, "*").contains(secret));
        }
    }
}
