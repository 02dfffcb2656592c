use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Patterns are short: a branch's name is at most 255 bytes.
const GLOB_MAX: usize = 255;

/// A pattern for the short name of a branch or tag: `*` is anything but `/`, `**` is anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

/// Text that is no pattern, or one that matches no ref.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    #[error("the pattern is empty")]
    Empty,
    #[error("the pattern is longer than {GLOB_MAX} bytes")]
    TooLong,
    #[error("no branch or tag has {0:?} in its name")]
    Character(char),
    #[error("`{0}` is matched with the short name: leave `refs/…/` out")]
    Full(String),
}

impl Glob {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` matches; takes at most the product of both lengths.
    pub fn matches(&self, name: &str) -> bool {
        let pattern = self.0.as_bytes();
        let mut reached = vec![false; pattern.len() + 1];
        reached[0] = true;
        skip_stars(pattern, &mut reached);
        for byte in name.bytes() {
            reached = after(pattern, &reached, byte);
            skip_stars(pattern, &mut reached);
        }
        reached[pattern.len()]
    }
}

/// Where in the pattern one can be after another byte of the name.
fn after(pattern: &[u8], reached: &[bool], byte: u8) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    for at in (0..pattern.len()).filter(|at| reached[*at]) {
        let is_double = pattern.get(at + 1) == Some(&b'*') || at > 0 && pattern[at - 1] == b'*';
        match pattern[at] {
            b'*' if is_double || byte != b'/' => next[at] = true,
            own if own != b'*' && own == byte => next[at + 1] = true,
            _ => {}
        }
    }
    next
}

/// A star also stands for nothing.
fn skip_stars(pattern: &[u8], reached: &mut [bool]) {
    for at in 0..pattern.len() {
        if pattern[at] == b'*' && reached[at] {
            reached[at + 1] = true;
        }
    }
}

impl FromStr for Glob {
    type Err = GlobError;
    fn from_str(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.len() > GLOB_MAX {
            return Err(GlobError::TooLong);
        }
        if text.starts_with("refs/") {
            return Err(GlobError::Full(text.to_owned()));
        }
        let forbidden = |c: &char| c.is_control() || " ~^:?[]\\".contains(*c);
        match text.chars().find(forbidden) {
            Some(found) => Err(GlobError::Character(found)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobError;
    fn try_from(text: String) -> Result<Self, GlobError> {
        text.parse()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_parts_and_double_stars_for_all() {
        let table = [
            ("main", "main", true),
            ("main", "main2", false),
            ("v*", "v1.2.3", true),
            ("v*", "v", true),
            ("v*", "v1/2", false),
            ("*", "main", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("release/*", "release/1", true),
            ("release/*", "release/1/2", false),
            ("release/**", "release/1/2", true),
            ("*-rc*", "v1-rc2", true),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xaybz", false),
        ];
        for (pattern, name, expected) in table {
            let glob: Glob = pattern.parse().unwrap();
            assert_eq!(glob.matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_no_ref_is_called_is_refused() {
        for text in ["", "a b", "[ab]", "v?", "refs/heads/main", "a:b"] {
            assert!(text.parse::<Glob>().is_err(), "{text}");
        }
        assert!("a".repeat(256).parse::<Glob>().is_err());
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_its_size() {
        let glob: Glob = "*a".repeat(120).parse().unwrap();
        assert!(!glob.matches(&"a".repeat(100)));
        assert!(glob.matches(&"a".repeat(250)));
    }
}
