use std::str::FromStr;

use grit_types::Digest;
use serde::{Deserialize, Serialize};

const KIND_CHARS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 200;
/// As many hexadecimal digits as a commit's id has.
const KEY_LEN: usize = 40;

/// What a lock is on: a kind, a colon and a name, such as `deploy:production`.
///
/// The kind is 1 to 32 of `a-z 0-9 - _` and begins with a letter. The name is 1 to 200 bytes of
/// letters, digits and `. _ - / @ + = ~ # % , ( ) [ ] : & !`. Kinds mean nothing, except two:
///
/// - `repo:` stops the world: it conflicts with every lock that another clone holds, and the clone
///   that holds it may take others beneath it.
/// - `path:` names a path within the repository, and conflicts with every path above or below it;
///   it is kept without `./`, `/` at either end, or `//`, and `path:.` is the whole tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resource {
    text: String,
    kind_len: usize,
}

/// Text that names nothing that can be locked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    #[error("`{0}` has no kind: write `deploy:{0}`, `repo:{0}`, `path:{0}` or a kind of your own")]
    NoKind(String),
    #[error(
        "the kind before the colon must be 1 to 32 of a-z, 0-9, `-`, `_`, beginning with a letter"
    )]
    Kind,
    #[error("nothing is named behind the colon")]
    NoName,
    #[error("the name is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("the name contains {0:?}, which is not allowed there")]
    Character(char),
    #[error("the path leaves the repository")]
    Outside,
}

impl Resource {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the colon.
    pub fn kind(&self) -> &str {
        &self.text[..self.kind_len]
    }

    /// What stands behind the colon.
    pub fn name(&self) -> &str {
        &self.text[self.kind_len + 1..]
    }

    /// 40 hexadecimal digits that stand for it where its text cannot: of the SHA-256 of the text.
    pub fn key(&self) -> String {
        Digest::of(self.text.as_bytes()).hex()[..KEY_LEN].to_owned()
    }

    /// Whether it conflicts with every lock that another clone holds.
    pub fn excludes_all(&self) -> bool {
        self.kind() == "repo"
    }

    /// Whether both cannot be held at once; `same_clone` says that one clone would hold both.
    ///
    /// Symmetric. A resource conflicts with itself: who holds it is the lease, not the clone.
    pub fn conflicts_with(&self, other: &Self, same_clone: bool) -> bool {
        if self == other {
            return true;
        }
        match (self.kind(), other.kind()) {
            ("repo", _) | (_, "repo") => !same_clone,
            ("path", "path") => {
                within(self.name(), other.name()) || within(other.name(), self.name())
            }
            _ => false,
        }
    }
}

/// Whether `path` is `folder`, or below it.
fn within(path: &str, folder: &str) -> bool {
    folder == "."
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromStr for Resource {
    type Err = ResourceError;
    fn from_str(text: &str) -> Result<Self, ResourceError> {
        let (kind, name) = text.split_once(':').ok_or_else(|| no_kind(text))?;
        check_kind(kind)?;
        check_name(name)?;
        let name = if kind == "path" { normal_path(name)? } else { name.to_owned() };
        Ok(Self { text: format!("{kind}:{name}"), kind_len: kind.len() })
    }
}

/// Of a text that is no name at all nothing is suggested.
fn no_kind(text: &str) -> ResourceError {
    match check_name(text) {
        Ok(()) => ResourceError::NoKind(text.to_owned()),
        Err(error) => error,
    }
}

fn check_kind(kind: &str) -> Result<(), ResourceError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    let good = kind.len() <= KIND_CHARS_MAX
        && kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind.bytes().all(allowed);
    if good { Ok(()) } else { Err(ResourceError::Kind) }
}

fn check_name(name: &str) -> Result<(), ResourceError> {
    if name.is_empty() {
        return Err(ResourceError::NoName);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(ResourceError::TooLong);
    }
    let allowed = |c: char| c.is_alphanumeric() || "._-/@+=~#%,()[]:&!".contains(c);
    match name.chars().find(|c| !allowed(*c)) {
        Some(found) => Err(ResourceError::Character(found)),
        None => Ok(()),
    }
}

fn normal_path(path: &str) -> Result<String, ResourceError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(ResourceError::Outside);
    }
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

impl TryFrom<String> for Resource {
    type Error = ResourceError;
    fn try_from(text: String) -> Result<Self, ResourceError> {
        text.parse()
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.text
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resource(text: &str) -> Resource {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_read_and_hostile_ones_refused() {
        for text in ["repo:release", "deploy:eu-west/production", "migration:db_1", "x:ä", "a:b:c"]
        {
            assert_eq!(resource(text).as_str(), text);
        }
        assert_eq!(resource("deploy:a").kind(), "deploy");
        assert_eq!(resource("deploy:a").name(), "a");
        assert_eq!(resource("deploy:a").key().len(), KEY_LEN);
        for text in [
            "",
            ":",
            "deploy",
            "deploy:",
            ":a",
            "Deploy:a",
            "1a:b",
            "-a:b",
            "deploy:a b",
            "deploy:a\nb",
            "deploy:a\u{202e}b",
            "deploy:\0",
            "deploy:a*",
            "deploy:$(x)",
            "a b:c",
            "path:../x",
            "path:a/../..",
        ] {
            assert!(text.parse::<Resource>().is_err(), "{text:?}");
        }
        assert!(format!("x:{}", "a".repeat(201)).parse::<Resource>().is_err());
        assert_eq!(
            "production".parse::<Resource>(),
            Err(ResourceError::NoKind("production".into()))
        );
    }

    #[test]
    fn a_path_has_one_form() {
        for text in ["path:a/b", "path:/a/b/", "path:./a//b", "path:a/./b"] {
            assert_eq!(resource(text).as_str(), "path:a/b");
        }
        assert_eq!(resource("path:/").as_str(), "path:.");
    }

    #[test]
    fn conflicts_are_as_the_kinds_say() {
        let check = |one: &str, other: &str, elsewhere: bool, here: bool| {
            let (one, other) = (resource(one), resource(other));
            assert_eq!(one.conflicts_with(&other, false), elsewhere, "{one} {other}");
            assert_eq!(one.conflicts_with(&other, true), here, "{one} {other}, one clone");
            assert_eq!(other.conflicts_with(&one, false), elsewhere, "{other} {one}");
            assert_eq!(other.conflicts_with(&one, true), here, "{other} {one}, one clone");
        };
        check("deploy:a", "deploy:a", true, true);
        check("deploy:a", "deploy:b", false, false);
        check("deploy:a", "migration:a", false, false);
        check("repo:release", "deploy:a", true, false);
        check("repo:release", "repo:freeze", true, false);
        check("repo:release", "path:src", true, false);
        check("path:src", "path:src/a", true, true);
        check("path:src", "path:src2", false, false);
        check("path:.", "path:src", true, true);
        check("path:src", "issue:src", false, false);
    }

    proptest! {
        #[test]
        fn what_parses_reads_back_and_is_safe(text in "\\PC{0,40}") {
            if let Ok(read) = text.parse::<Resource>() {
                let again = read.as_str().parse::<Resource>();
                prop_assert_eq!(again.as_ref(), Ok(&read));
                prop_assert!(!read.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
            }
        }
    }
}
