use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest key and longest value, in bytes.
const PART_LEN_MAX: usize = 200;

/// An environment variable by which our processes are known, such as `GRIT_INSTANCE=api-1`.
///
/// Children inherit it, so that it also reaches what left the process session. Everything with an
/// equal marker is one unit: [`Session::terminate`](crate::Session::terminate) ends all of it.
/// Give two things that end at different times two markers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Marker {
    key: String,
    value: String,
}

/// A key or value that may not mark a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMarker {
    #[error("marker key `{0}` is not of capital letters, digits and underscores")]
    Key(String),
    #[error("marker value `{0}` is not of 1 to 200 letters, digits and `._:/@-`")]
    Value(String),
}

impl Marker {
    /// `key`: capital letters, digits, underscores, no digit first. `value`: 1 to 200 ASCII letters,
    /// digits and `._:/@-`.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Result<Self, InvalidMarker> {
        let (key, value) = (key.into(), value.into());
        if !is_key(&key) {
            return Err(InvalidMarker::Key(key));
        }
        if !is_value(&value) {
            return Err(InvalidMarker::Value(value));
        }
        Ok(Self { key, value })
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

fn is_key(key: &str) -> bool {
    let first_ok = key.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    first_ok && key.len() <= PART_LEN_MAX && key.bytes().all(allowed)
}

fn is_value(value: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b);
    (1..=PART_LEN_MAX).contains(&value.len()) && value.bytes().all(allowed)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    key: String,
    value: String,
}

impl TryFrom<Parts> for Marker {
    type Error = InvalidMarker;

    fn try_from(parts: Parts) -> Result<Self, InvalidMarker> {
        Self::new(parts.key, parts.value)
    }
}

impl From<Marker> for Parts {
    fn from(Marker { key, value }: Marker) -> Self {
        Self { key, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_not_be_told_apart_in_an_environment() {
        for key in ["", "lower", "A=B", "1A", "A B"] {
            assert_eq!(Marker::new(key, "x"), Err(InvalidMarker::Key(key.into())));
        }
        let long = "x".repeat(PART_LEN_MAX + 1);
        for value in ["", "a b", "a\0b", "ä", long.as_str()] {
            let expected = Err(InvalidMarker::Value(value.into()));
            assert_eq!(Marker::new("GRIT_INSTANCE", value), expected);
        }
        assert!(Marker::new("GRIT_INSTANCE", "shop/api:3@dev-1_0").is_ok());
    }

    #[test]
    fn decoding_validates() {
        let marker = Marker::new("GRIT_JOB", "job_1").unwrap();
        let text = serde_json::to_string(&marker).unwrap();
        assert_eq!(text, r#"{"key":"GRIT_JOB","value":"job_1"}"#);
        assert_eq!(serde_json::from_str::<Marker>(&text).unwrap(), marker);
        assert!(serde_json::from_str::<Marker>(r#"{"key":"x","value":"y"}"#).is_err());
    }
}
