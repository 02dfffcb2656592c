use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// No name is longer, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// What stands at the beginning of names that are not given away.
const RESERVED: [&str; 2] = ["GITHUB_", "GRIT_"];

/// The name of a secret or a variable: letters, digits and `_`, no digit first, in any case, kept in
/// upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Text that names no secret and no variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("`{0}` is no name: a letter or `_`, then letters, digits and `_`")]
    Form(String),
    #[error("`{0}` begins with `{1}`, which is kept for what every job has")]
    Reserved(String, &'static str),
}

impl Name {
    /// In upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let rest = |c: char| first(c) || c.is_ascii_digit();
        let shown = || text.chars().take(80).collect();
        if text.len() > NAME_BYTES_MAX || !text.starts_with(first) || !text.chars().all(rest) {
            return Err(NameError::Form(shown()));
        }
        let name = text.to_ascii_uppercase();
        match RESERVED.into_iter().find(|reserved| name.starts_with(reserved)) {
            Some(reserved) => Err(NameError::Reserved(shown(), reserved)),
            None => Ok(Self(name)),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_service_has_them() {
        assert_eq!("deploy_Key2".parse::<Name>().unwrap().as_str(), "DEPLOY_KEY2");
        assert_eq!("_X".parse::<Name>().unwrap().as_str(), "_X");
        for wrong in ["", "2A", "A-B", "A B", "Ä", "../A", "A\n"] {
            assert!(matches!(wrong.parse::<Name>(), Err(NameError::Form(_))), "{wrong:?}");
        }
        assert!("A".repeat(256).parse::<Name>().is_err());
        for reserved in ["GITHUB_TOKEN", "github_x", "Grit_Token"] {
            assert!(matches!(reserved.parse::<Name>(), Err(NameError::Reserved(..))), "{reserved}");
        }
    }
}
