use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{kind} is empty")]
    Empty { kind: &'static str },
    #[error("{kind} is longer than {max} characters")]
    TooLong { kind: &'static str, max: usize },
    #[error("{kind} `{text}` contains {found:?}, which is not allowed there")]
    Character { kind: &'static str, text: String, found: char },
    #[error("{kind} `{text}` {problem}")]
    Shape { kind: &'static str, text: String, problem: &'static str },
}

/// Checks length, alphabet and first character; what passes is safe in a path, a ref and a URL.
pub(crate) fn checked_name(
    kind: &'static str,
    text: &str,
    max: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<String, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if text.len() > max {
        return Err(NameError::TooLong { kind, max });
    }
    if let Some(found) = text.chars().find(|c| !allowed(*c)) {
        return Err(NameError::Character { kind, text: text.to_owned(), found });
    }
    let shape = |problem| NameError::Shape { kind, text: text.to_owned(), problem };
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(shape("must begin with a letter or a digit"));
    }
    if text.contains("..") || text.ends_with('.') || text.ends_with(".lock") {
        return Err(shape("must not contain `..` nor end with `.` or `.lock`"));
    }
    Ok(text.to_owned())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or digit.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let allowed =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
                checked_name($kind, text, 63, allowed).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Whose data it is; part of every key.
    Tenant,
    "tenant"
);
name!(
    /// A repository within a tenant.
    Repo,
    "repository"
);
name!(
    /// Something that is deployed, as named in `grit.yaml`.
    Service,
    "service"
);
name!(
    /// Where services are deployed to, as named in `grit.yaml`.
    Environment,
    "environment"
);

impl Tenant {
    /// The tenant of a server that serves one team.
    pub fn local() -> Self {
        Self("local".to_owned())
    }
}

/// A full git ref name such as `refs/heads/main`, valid by git-check-ref-format(1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(String);

impl RefName {
    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `main` of `refs/heads/main`.
    pub fn branch(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// `v1.0.0` of `refs/tags/v1.0.0`.
    pub fn tag(&self) -> Option<&str> {
        self.0.strip_prefix("refs/tags/")
    }

    /// The name without `refs/heads/` or `refs/tags/`.
    pub fn short(&self) -> &str {
        self.branch().or_else(|| self.tag()).unwrap_or(&self.0)
    }
}

impl FromStr for RefName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "ref";
        let shape = |problem| NameError::Shape { kind, text: text.to_owned(), problem };
        if text.len() > 255 {
            return Err(NameError::TooLong { kind, max: 255 });
        }
        if !text.starts_with("refs/") {
            return Err(shape("must begin with `refs/`"));
        }
        let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        if let Some(found) = text.chars().find(|c| forbidden(*c)) {
            return Err(NameError::Character { kind, text: text.to_owned(), found });
        }
        let bad_part = |part: &str| {
            part.is_empty() || part.starts_with('.') || part.ends_with(".lock") || part == "@"
        };
        if text.split('/').any(bad_part) || text.contains("..") || text.contains("@{") {
            return Err(shape("is not a valid ref name"));
        }
        if text.ends_with('.') {
            return Err(shape("must not end with `.`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RefName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<RefName> for String {
    fn from(name: RefName) -> Self {
        name.0
    }
}

impl std::fmt::Display for RefName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for text in ["", ".", "..", "a..b", "a/b", "-x", "a b", "a.lock", "A", "ä", "x\0"] {
            assert!(text.parse::<Service>().is_err(), "{text:?}");
        }
        assert!("api-2.eu_west".parse::<Service>().is_ok());
    }

    #[test]
    fn hostile_refs_are_refused() {
        for text in [
            "main",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a.lock",
            "refs/heads/@{1}",
            "refs/heads/--x y",
            "refs//x",
            "refs/heads/.x",
            "refs/../config",
        ] {
            assert!(text.parse::<RefName>().is_err(), "{text:?}");
        }
        let tag: RefName = "refs/tags/v1.0.0".parse().unwrap();
        assert_eq!((tag.tag(), tag.branch(), tag.short()), (Some("v1.0.0"), None, "v1.0.0"));
    }
}
