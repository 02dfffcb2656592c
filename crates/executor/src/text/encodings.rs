//! What masks hide, against encoders of its own: whatever a program makes of a secret, and however
//! what it writes is cut, no byte of it that tells the secret comes out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::mask::{Masks, Stream};

/// Enough for every run of the tests; `PROPTEST_CASES` asks for more.
const CASES: u32 = 500;

/// One character of a text in a notation.
type Each = fn(char) -> String;

/// How a program shows a text.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// Character by character.
    Each(#[expect(dead_code, reason = "shown by Debug")] &'static str, Each),
    /// With so many bytes before it, mod 3.
    Base64(usize),
    Base64Url(usize),
    Hex,
    HexUpper,
    /// Without the quotes that it is kept with.
    Unquoted,
}

const ENCODINGS: &[Encoding] = &[
    Encoding::Each("raw", |one| one.to_string()),
    Encoding::Base64(0),
    Encoding::Base64(1),
    Encoding::Base64(2),
    Encoding::Base64Url(0),
    Encoding::Base64Url(1),
    Encoding::Base64Url(2),
    Encoding::Hex,
    Encoding::HexUpper,
    Encoding::Each("percent", |one| percent(one, |byte| format!("%{byte:02X}"))),
    Encoding::Each("percent, lower case", |one| percent(one, |byte| format!("%{byte:02x}"))),
    Encoding::Each("form", |one| match one {
        ' ' => "+".to_owned(),
        other => percent(other, |byte| format!("%{byte:02X}")),
    }),
    Encoding::Each("json", |one| {
        let text = serde_json::to_string(&one).unwrap();
        text[1..text.len() - 1].to_owned()
    }),
    Encoding::Each("json, ASCII", |one| match one {
        '"' | '\\' => format!("\\{one}"),
        '\n' => "\\n".to_owned(),
        other if other.is_ascii() => other.to_string(),
        other => format!("\\u{:04x}", u32::from(other)),
    }),
    Encoding::Each("argument", |one| match one {
        '"' | '\\' => format!("\\{one}"),
        other => other.to_string(),
    }),
    Encoding::Each("shell", |one| one.to_string().replace('\'', "'\\''")),
    Encoding::Each("expression", |one| one.to_string().replace('\'', "''")),
    Encoding::Each("xml", |one| xml(one, ["&quot;", "&apos;"])),
    Encoding::Each("xml, numbers", |one| xml(one, ["&#34;", "&#39;"])),
    Encoding::Unquoted,
];

fn percent(one: char, escape: fn(u8) -> String) -> String {
    let is_plain = one.is_ascii_alphanumeric() || "-._~".contains(one);
    if is_plain { one.to_string() } else { one.to_string().bytes().map(escape).collect() }
}

fn xml(one: char, [double, single]: [&str; 2]) -> String {
    match one {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => double.to_owned(),
        '\'' => single.to_owned(),
        other => other.to_string(),
    }
}

impl Encoding {
    /// A text that holds the secret, and those of its bytes that depend on the secret alone.
    fn show(self, before: &str, secret: &str, after: &str) -> (String, String) {
        let all = |encode: fn(&[u8]) -> String| encode([before, secret, after].concat().as_bytes());
        let own = |encode: fn(&[u8]) -> String| (all(encode), encode(secret.as_bytes()));
        match self {
            Self::Each(_, each) => {
                let encode = |text: &str| text.chars().map(each).collect::<String>();
                (encode(&[before, secret, after].concat()), encode(secret))
            }
            Self::Hex => own(|bytes| hex::encode(bytes)),
            Self::HexUpper => own(|bytes| hex::encode_upper(bytes)),
            Self::Base64(shift) => {
                shifted(before, secret, after, shift, |bytes| STANDARD.encode(bytes))
            }
            Self::Base64Url(shift) => {
                shifted(before, secret, after, shift, |bytes| URL_SAFE_NO_PAD.encode(bytes))
            }
            Self::Unquoted => {
                let inner = secret.trim_matches('"');
                ([before, inner, after].concat(), inner.to_owned())
            }
        }
    }
}

/// What stays the same whatever is before and after it is the secret's.
fn shifted(
    before: &str,
    secret: &str,
    after: &str,
    shift: usize,
    encode: fn(&[u8]) -> String,
) -> (String, String) {
    let pad = |byte: u8| {
        let missing = (shift + 3 - before.len() % 3) % 3;
        [before.as_bytes(), &vec![byte; missing]].concat()
    };
    let whole = encode(&[&pad(b'.'), secret.as_bytes(), after.as_bytes()].concat());
    let with = |fill: u8| {
        let begin = vec![fill; pad(b'.').len()];
        encode(&[&begin, secret.as_bytes(), &[fill; 9]].concat())
    };
    let (one, other) = (with(0x00), with(0xff));
    let same = |(at, byte): (usize, u8)| (one.as_bytes()[at] == byte).then_some(at);
    let kept: Vec<usize> = other.bytes().enumerate().filter_map(same).collect();
    // A character next to the secret may be the same by chance: only those that are whole count.
    let first = (pad(b'.').len() * 8).div_ceil(6);
    let last = (pad(b'.').len() + secret.len()) * 8 / 6;
    assert!((first..last).all(|at| kept.contains(&at)), "{one} {other}");
    (whole, one[first..last].to_owned())
}

fn line() -> impl Strategy<Value = String> {
    let line = r#"[A-Za-z0-9 "'\\&<>/+%:,é$!=_-]{6,24}"#;
    line.prop_map(|line| line.trim().to_owned())
        .prop_filter("long enough to be a secret", |line| line.len() >= 4)
}

fn secret() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 1..4).prop_map(|lines| lines.join("\n"))
}

fn quoted() -> impl Strategy<Value = String> {
    "[A-Za-z0-9+/]{6,20}".prop_map(|inner| format!("\"{inner}\""))
}

/// What one case is: a secret, what of it is shown how, and where the output is cut.
fn shown() -> impl Strategy<Value = (String, String, Encoding)> {
    (secret(), quoted(), any::<prop::sample::Index>(), prop::sample::select(ENCODINGS)).prop_map(
        |(secret, quoted, which, encoding)| {
            if matches!(encoding, Encoding::Unquoted) {
                return (quoted.clone(), quoted, encoding);
            }
            let mut parts: Vec<String> = secret.lines().map(str::to_owned).collect();
            parts.push(secret.clone());
            let part = parts[which.index(parts.len())].clone();
            (secret, part, encoding)
        },
    )
}

fn in_pieces(masks: &Masks, text: &[u8], cuts: &[prop::sample::Index]) -> Vec<u8> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    let (mut stream, mut out) = (Stream::default(), Vec::new());
    for pair in cuts.windows(2) {
        stream.push(masks, &text[pair[0]..pair[1]], &mut out);
    }
    stream.finish(masks, &mut out);
    out
}

fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(CASES), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_encoding_of_a_secret_gets_through_however_it_is_cut(
        (secret, part, encoding) in shown(),
        before in "[a-z .,:\n]{0,20}",
        after in "[a-z .,:\n]{0,20}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut masks = Masks::none();
        masks.add(&secret);
        let (text, own) = encoding.show(&before, &part, &after);
        prop_assert!(text.contains(&own), "{own:?} in {text:?}");
        let masked = in_pieces(&masks, text.as_bytes(), &cuts);
        let shown = String::from_utf8_lossy(&masked);
        prop_assert!(!shown.contains(&own), "{own:?} in {shown:?}, of {secret:?}, {encoding:?}");
        prop_assert_eq!(&masked, &masks.apply(text.as_bytes()));
    }
}

/// Each of them by itself: what is left to chance above is seen here for sure.
#[test]
fn every_encoding_is_hidden() {
    // Too short around its ampersand for a part of it to be hidden by itself.
    let secret = "ä' \"&<\\/%";
    let mut masks = Masks::none();
    masks.add(secret);
    for encoding in ENCODINGS.iter().filter(|encoding| !matches!(encoding, Encoding::Unquoted)) {
        let (text, own) = encoding.show("before ", secret, " after");
        let masked = String::from_utf8(masks.apply(text.as_bytes())).unwrap();
        assert!(text.contains(&own) && !masked.contains(&own), "{encoding:?}: {masked}");
        assert!(masked.contains("***"), "{encoding:?}: {masked}");
    }
}
