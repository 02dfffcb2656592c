//! Masking: what is secret becomes `***` before it is stored.

use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::escape;

const MASK: &[u8] = b"***";

/// One character is no secret, and its mask would leave nothing readable.
const LEN_MIN: usize = 2;
/// Lines of a secret of several lines are secret each, from this length on: `{` is not.
const LINE_LEN_MIN: usize = 4;
/// From this length on a secret is also looked for in other encodings.
const ENCODED_LEN_MIN: usize = 4;

/// Byte strings to mask, ready to be looked for.
#[derive(Clone)]
pub(crate) struct Masks {
    /// Those that begin with the same two bytes together, the longest first. The first is empty.
    buckets: Vec<Vec<Vec<u8>>>,
    /// For every two bytes the bucket of those that begin with them.
    index: Vec<u16>,
    /// For every two bytes whether there is one: small enough to stay in the cache.
    pairs: Box<[u64; 1 << 10]>,
    /// Of every byte whether something begins with it.
    firsts: [bool; 256],
}

impl Masks {
    pub fn none() -> Self {
        Self {
            buckets: vec![Vec::new()],
            index: vec![0; 1 << 16],
            pairs: Box::new([0; 1 << 10]),
            firsts: [false; 256],
        }
    }

    /// Masks `secret` as it is, line by line, and as it looks in base64, hexadecimal and every
    /// notation of [`escape`].
    pub fn add(&mut self, secret: &str) {
        for form in forms(secret).into_iter().filter(|form| form.len() >= LEN_MIN) {
            self.firsts[usize::from(form[0])] = true;
            let bucket = self.bucket(place(form[0], form[1]));
            let order = |other: &Vec<u8>| form.len().cmp(&other.len()).then(other.cmp(&form));
            if let Err(at) = bucket.binary_search_by(order) {
                bucket.insert(at, form);
            }
        }
    }

    fn bucket(&mut self, place: usize) -> &mut Vec<Vec<u8>> {
        if self.index[place] == 0 {
            // Never the maximum: UTF-8 begins with fewer pairs of bytes than there are numbers.
            self.index[place] = u16::try_from(self.buckets.len()).unwrap_or(u16::MAX);
            self.buckets.push(Vec::new());
            self.pairs[place / 64] |= 1 << (place % 64);
        }
        let number = usize::from(self.index[place]);
        &mut self.buckets[number]
    }

    /// A text as a whole.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let (mut stream, mut masked) = (Stream::default(), Vec::new());
        stream.push(self, text, &mut masked);
        stream.finish(self, &mut masked);
        masked
    }

    /// How many bytes of `text` begin nothing for sure; the last byte is left to be looked at.
    fn harmless(&self, text: &[u8]) -> usize {
        let may_begin = |pair: &[u8]| {
            let place = place(pair[0], pair[1]);
            self.pairs[place / 64] >> (place % 64) & 1 == 1
        };
        let next = text.windows(2).position(may_begin);
        next.unwrap_or(text.len().saturating_sub(1))
    }

    /// What begins where `text` does: its length, 0 for nothing. `None`: more text may make it a
    /// secret, or a longer one.
    fn begins(&self, text: &[u8], ended: bool) -> Option<usize> {
        let (first, second) = match *text {
            [first, second, ..] => (first, second),
            [first] if !ended && self.firsts[usize::from(first)] => return None,
            _ => return Some(0),
        };
        let number = self.index[place(first, second)];
        if number == 0 {
            return Some(0);
        }
        for form in &self.buckets[usize::from(number)] {
            if text.starts_with(form) {
                return Some(form.len());
            }
            if !ended && form.starts_with(text) {
                return None;
            }
        }
        Some(0)
    }
}

/// Masks a text that comes in parts, as if it came in one. What may be the beginning of a secret
/// is held back until more is known; nothing else is.
#[derive(Default)]
pub(crate) struct Stream {
    held: Vec<u8>,
    /// How much of what is held, or of what follows, a mask written already stands for.
    covered: usize,
}

impl Stream {
    pub fn push(&mut self, masks: &Masks, bytes: &[u8], masked: &mut Vec<u8>) {
        if self.held.is_empty() {
            return self.mask(masks, bytes, false, masked);
        }
        let mut held = mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        self.mask(masks, &held, false, masked);
    }

    /// There is no more: what was held back is no secret.
    pub fn finish(&mut self, masks: &Masks, masked: &mut Vec<u8>) {
        let held = mem::take(&mut self.held);
        self.mask(masks, &held, true, masked);
    }

    fn mask(&mut self, masks: &Masks, bytes: &[u8], ended: bool, masked: &mut Vec<u8>) {
        // `plain..at`: looked at, no secret, not written yet. `plain` is past `at` within a secret,
        // where the search goes on: secrets may overlap, and then all of it is one.
        let (mut plain, mut at) = (self.covered, 0);
        while at < bytes.len() {
            at += masks.harmless(&bytes[at..]);
            let Some(len) = masks.begins(&bytes[at..], ended) else { break };
            if len > 0 {
                if at >= plain {
                    masked.extend_from_slice(&bytes[plain..at]);
                    masked.extend_from_slice(MASK);
                }
                plain = plain.max(at + len);
            }
            at += 1;
        }
        if at > plain {
            masked.extend_from_slice(&bytes[plain..at]);
        }
        self.covered = plain.saturating_sub(at);
        self.held = bytes[at..].to_owned();
    }
}

fn place(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// A secret, each of its lines, and everything that says the same.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let trimmed = secret.trim();
    let mut forms = vec![secret.as_bytes().to_owned(), trimmed.as_bytes().to_owned()];
    let lines = trimmed.lines().map(str::trim).filter(|line| line.len() >= LINE_LEN_MIN);
    let lines = lines.filter(|line| *line != trimmed);
    for text in [secret, trimmed].into_iter().chain(lines) {
        forms.push(text.as_bytes().to_owned());
        if text.len() >= ENCODED_LEN_MIN {
            forms.extend(encoded(text));
        }
    }
    forms
}

/// What programs make of a text before they show it. Those that change nothing of it are among them.
fn encoded(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms: Vec<Vec<u8>> = (0..3).flat_map(|shift| base64(bytes, shift)).collect();
    let hex = hex::encode(bytes);
    forms.push(hex.to_ascii_uppercase().into_bytes());
    forms.push(hex.into_bytes());
    forms.extend(escape::all(text).into_iter().map(String::into_bytes));
    forms
}

/// How `secret` looks in the base64 of a text in which `shift` (mod 3) bytes go before it, without
/// the characters that its neighbours have a part in.
fn base64(secret: &[u8], shift: usize) -> Vec<Vec<u8>> {
    let padded = [vec![0; shift], secret.to_owned()].concat();
    let begin = (shift * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    let own = |text: String| text.as_bytes().get(begin..end).map(<[u8]>::to_owned);
    let encoded = [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)];
    let own = encoded.into_iter().filter_map(own);
    own.filter(|text| text.len() >= ENCODED_LEN_MIN).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of<S: AsRef<str>>(secrets: &[S]) -> Masks {
        let mut masks = Masks::none();
        secrets.iter().for_each(|secret| masks.add(secret.as_ref()));
        masks
    }

    fn masked(secrets: &[&str], text: &str) -> String {
        let masks = of(secrets);
        String::from_utf8(masks.apply(text.as_bytes())).unwrap()
    }

    #[test]
    fn masks_what_is_secret_and_nothing_else() {
        assert_eq!(masked(&["s3cret"], "a s3cret, s3cre, s3crets3cret"), "a ***, s3cre, ******");
        assert_eq!(masked(&[], "text"), "text");
        assert_eq!(masked(&["x", ""], "xx"), "xx");
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        assert_eq!(masked(&["abc", "bcd"], "xabcdx"), "x***x");
        assert_eq!(masked(&["ab", "abcd"], "abc abcd"), "***c ***");
        assert_eq!(masked(&["abab"], "ababab."), "***.");
    }

    #[test]
    fn other_encodings() {
        let secret = "s3cret/val+ue \"quoted\"";
        let standard = |text: String| STANDARD_NO_PAD.encode(text);
        for before in ["", "u", "us", "user:"] {
            let text = masked(&[secret], &standard(format!("{before}{secret}:x")));
            assert!(text.contains("***") && text.len() < 20, "{before}: {text}");
        }
        assert_eq!(masked(&[secret], &hex::encode(secret)), "***");
        assert_eq!(masked(&[secret], "s3cret%2Fval%2Bue%20%22quoted%22"), "***");
        assert_eq!(masked(&[secret], "s3cret/val+ue \\\"quoted\\\""), "***");
    }

    #[test]
    fn each_line_of_a_key() {
        let key = "-----BEGIN-----\nMIIEabc\n}\n-----END-----\n";
        assert_eq!(masked(&[key], "} MIIEabc -----END-----"), "} *** ***");
    }

    #[test]
    fn holds_back_what_may_become_a_secret_only() {
        let masks = of(&["s3cret"]);
        let (mut stream, mut out) = (Stream::default(), Vec::new());
        stream.push(&masks, b"progress... s3", &mut out);
        assert_eq!(out, b"progress... ");
        stream.push(&masks, b"cre", &mut out);
        assert_eq!(out, b"progress... ");
        stream.push(&masks, b"t done s", &mut out);
        assert_eq!(out, b"progress... *** done ");
        stream.finish(&masks, &mut out);
        assert_eq!(out, b"progress... *** done s");
    }

    proptest! {
        #[test]
        fn no_secret_gets_through_and_cuts_change_nothing(
            secrets in prop::collection::vec("[ab]{2,5}", 1..4),
            text in "[abc]{0,60}",
            cuts in prop::collection::vec(0usize..60, 0..8),
        ) {
            let masks = of(&secrets);
            let whole = masks.apply(text.as_bytes());
            let shown = String::from_utf8(whole.clone()).unwrap();
            for secret in &secrets {
                prop_assert!(!shown.contains(secret.as_str()), "{} in {}", secret, shown);
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut stream, mut out) = (Stream::default(), Vec::new());
            for pair in cuts.windows(2) {
                stream.push(&masks, &text.as_bytes()[pair[0]..pair[1]], &mut out);
            }
            stream.finish(&masks, &mut out);
            prop_assert_eq!(out, whole);
        }
    }
}
