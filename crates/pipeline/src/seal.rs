//! Values that are not known while a step is planned: they stand in its texts as marks, which the
//! runner replaces when the step starts. So no event ever holds a secret.
//!
//! A mark carries a word that only the run's maker and its runner know: text from outside cannot
//! pass for one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::expr::{Deferred, Value};

/// Characters of Unicode's private use area; no program writes them by chance.
const OPEN: char = '\u{e0f0}';
const CLOSE: char = '\u{e0f1}';

/// What stands behind a mark.
#[derive(Clone, Debug, PartialEq)]
pub enum Sealed {
    /// The secret of that name.
    Secret(String),
    /// What an earlier step of the same job gave and the runner kept, because it holds a secret.
    Kept(String),
    /// The digest of the files of the workspace that the patterns match.
    Files(Vec<String>),
    /// What an expression gives that looks into one of these.
    Expression(Box<Deferred>),
}

impl Sealed {
    /// The mark that stands for it.
    pub fn mark(&self, word: &str) -> String {
        match self {
            Self::Secret(name) => format!("{OPEN}{word}:s:{name}{CLOSE}"),
            Self::Kept(name) => format!("{OPEN}{word}:k:{name}{CLOSE}"),
            Self::Files(patterns) => format!("{OPEN}{word}:f:{}{CLOSE}", coded(patterns)),
            Self::Expression(deferred) => format!("{OPEN}{word}:e:{}{CLOSE}", coded(deferred)),
        }
    }

    fn read(mark: &str, word: &str) -> Option<Self> {
        let (kind, rest) = mark.strip_prefix(word)?.strip_prefix(':')?.split_once(':')?;
        match kind {
            "s" => Some(Self::Secret(rest.to_owned())),
            "k" => Some(Self::Kept(rest.to_owned())),
            "f" => decoded(rest).map(Self::Files),
            "e" => decoded(rest).map(Self::Expression),
            _ => None,
        }
    }
}

/// Without a character that could end a mark, or that anything splits a text at.
fn coded(what: &impl Serialize) -> String {
    // Plain data: it always serialises.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(what).unwrap_or_default())
}

fn decoded<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Whether a mark with the word is in the text.
pub fn is_sealed(text: &str, word: &str) -> bool {
    !word.is_empty() && text.contains(OPEN) && text.contains(&format!("{OPEN}{word}:"))
}

/// Whether a mark is in the text that stands for what an expression gives.
pub fn is_deferred(text: &str, word: &str) -> bool {
    is_sealed(text, word) && text.contains(&format!("{OPEN}{word}:e:"))
}

/// Whether a mark with the word is in any text of the value, at any depth.
pub fn is_sealed_in(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => is_sealed(text, word),
        Value::Array(items) => items.iter().any(|item| is_sealed_in(item, word)),
        Value::Object(members) => members.iter().any(|(_, member)| is_sealed_in(member, word)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The text with `value` in place of each mark; what only looks like one stays.
///
/// # Errors
/// The first that `value` gives.
pub fn unsealed<E>(
    text: &str,
    word: &str,
    mut value: impl FnMut(&Sealed) -> Result<String, E>,
) -> Result<String, E> {
    if !is_sealed(text, word) {
        return Ok(text.to_owned());
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        let sealed = after
            .split_once(CLOSE)
            .and_then(|(mark, tail)| Sealed::read(mark, word).map(|sealed| (sealed, tail)));
        match sealed {
            Some((sealed, tail)) => {
                out.push_str(&value(&sealed)?);
                rest = tail;
            }
            None => {
                out.push(OPEN);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The text for people: `***` in place of each mark.
pub fn shown(text: &str, word: &str) -> String {
    let shown: Result<String, std::convert::Infallible> =
        unsealed(text, word, |_| Ok("***".to_owned()));
    match shown {
        Ok(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_replaced_and_nothing_else_is() {
        let secret = Sealed::Secret("TOKEN".to_owned()).mark("w0rd");
        let files = Sealed::Files(vec!["**/Cargo.lock".to_owned(), "a\"b".to_owned()]).mark("w0rd");
        let forged = Sealed::Secret("TOKEN".to_owned()).mark("other");
        let kept = Sealed::Kept("3.1".to_owned()).mark("w0rd");
        let text = format!("a {secret} b {files} c {forged} {kept} {OPEN}");
        let open = |sealed: &Sealed| -> Result<String, ()> { Ok(format!("<{sealed:?}>")) };
        assert_eq!(
            unsealed(&text, "w0rd", open).unwrap(),
            format!(
                "a <Secret(\"TOKEN\")> b <Files([\"**/Cargo.lock\", \"a\\\"b\"])> c {forged} <Kept(\"3.1\")> {OPEN}"
            )
        );
        assert_eq!(shown(&secret, "w0rd"), "***");
        assert!(!is_sealed(&forged, "w0rd") && !is_sealed(&secret, ""));
    }
}
