use std::str::FromStr;

use grit_types::NameError;
use serde::{Deserialize, Serialize};

const KIND: &str = "image reference";
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// `name[:tag]` of an image or artifact, as the OCI distribution spec writes names and tags; the
/// tag is `latest` where none is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    name: String,
    tag: String,
}

impl Reference {
    /// `shop/api` of `shop/api:v1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `v1` of `shop/api:v1`.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl FromStr for Reference {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, tag) = text.split_once(':').unwrap_or((text, "latest"));
        check_name(name)?;
        check_tag(tag)?;
        Ok(Self { name: name.to_owned(), tag: tag.to_owned() })
    }
}

/// Parts of letters and digits, joined within by `.`, `_`, `__` or any number of `-`.
fn check_name(name: &str) -> Result<(), NameError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    check_text(name, NAME_MAX, allowed)?;
    if name.split('/').all(is_name_part) {
        return Ok(());
    }
    let problem = "must be parts of a-z and 0-9, joined by `.`, `_`, `__` or `-` and split by `/`";
    Err(NameError::Shape { kind: KIND, text: name.to_owned(), problem })
}

fn is_name_part(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_in_words = |bytes: &[u8]| {
        bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b))
    };
    let mut joints = part.split(|c: char| c.is_ascii_alphanumeric());
    let is_joint = |joint: &str| {
        matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-')
    };
    ends_in_words(part.as_bytes()) && joints.all(is_joint)
}

fn check_tag(tag: &str) -> Result<(), NameError> {
    check_text(tag, TAG_MAX, |c| c.is_ascii_alphanumeric() || "._-".contains(c))?;
    if tag.starts_with(['.', '-']) {
        let problem = "must begin with a letter, a digit or `_`";
        return Err(NameError::Shape { kind: KIND, text: tag.to_owned(), problem });
    }
    Ok(())
}

fn check_text(text: &str, max: usize, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { kind: KIND });
    }
    if text.len() > max {
        return Err(NameError::TooLong { kind: KIND, max });
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(found) => Err(NameError::Character { kind: KIND, text: text.to_owned(), found }),
        None => Ok(()),
    }
}

impl TryFrom<String> for Reference {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_tags_of_the_spec() {
        for text in ["a", "a/b", "shop/api", "a.b_c__d--e---f/0:V1.0_x-", "a:_", "a:latest"] {
            assert!(text.parse::<Reference>().is_ok(), "{text}");
        }
        let reference: Reference = "shop/api".parse().unwrap();
        assert_eq!((reference.name(), reference.tag()), ("shop/api", "latest"));
        assert_eq!(reference.to_string(), "shop/api:latest");
        assert!("a".repeat(255).parse::<Reference>().is_ok());
        assert!(format!("a:{}", "t".repeat(128)).parse::<Reference>().is_ok());
    }

    #[test]
    fn hostile_ones_are_refused() {
        let (long_name, long_tag) = ("a".repeat(256), format!("a:{}", "t".repeat(129)));
        for text in [
            "",
            ":",
            "a:",
            ":a",
            "../x",
            "..",
            "a/../b",
            "/a",
            "a/",
            "a//b",
            "a.",
            ".a",
            "-a",
            "_a",
            "a..b",
            "a___b",
            "a._b",
            "a.-b",
            "A",
            "ä",
            "a b",
            "a\0",
            "a\n",
            "a:b:c",
            "a:b/c",
            "localhost:5000/a",
            "a:.b",
            "a:-b",
            "a:b\0",
            "a@sha256:0",
            "--flag",
            "a:--flag",
            "a\\b",
            &long_name,
            &long_tag,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_back_and_is_safe_in_a_path(text in "[a-zA-Z0-9._:/@-]{1,24}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference.clone()));
                let parts = reference.name().split('/');
                prop_assert!(parts.clone().all(|part| !part.is_empty() && !part.starts_with('.')));
            }
        }
    }
}
