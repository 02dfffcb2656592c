use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Digest, Entropy, Timestamp};

/// Text that is no id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct IdError {
    pub text: String,
    pub wanted: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $wanted:literal) => {
        $(#[$doc])*
        ///
        /// A ULID behind a prefix: sorts by the time it was made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u128);

        impl $name {
            /// What every such id begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, made at `now`.
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let mut random = [0; 16];
                entropy.fill(&mut random);
                let millis = u64::try_from(now.millis()).unwrap_or(0);
                Self(Ulid::from_parts(millis, u128::from_le_bytes(random)).0)
            }

            /// The id that always follows from `seed` at `now`, for decisions that are pure.
            pub fn derived(now: Timestamp, seed: &[u8]) -> Self {
                let digest = Digest::of(seed).hex();
                let random = u128::from_str_radix(&digest[..32], 16).unwrap_or(0);
                let millis = u64::try_from(now.millis()).unwrap_or(0);
                Self(Ulid::from_parts(millis, random).0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError { text: text.to_owned(), wanted: $wanted };
                let ulid = text.strip_prefix($prefix).ok_or_else(error)?;
                Ulid::from_string(ulid).map(|id| Self(id.0)).map_err(|_| error())
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}{}", $prefix, Ulid(self.0).to_string())
            }
        }
    };
}

id!(
    /// One execution of a pipeline.
    RunId,
    "run_",
    "a run id (`run_…`)"
);
id!(
    /// One job of a run.
    JobId,
    "job_",
    "a job id (`job_…`)"
);
id!(
    /// One deployment of a service to an environment.
    DeploymentId,
    "dep_",
    "a deployment id (`dep_…`)"
);
id!(
    /// One process, container or pod of a revision.
    InstanceId,
    "ins_",
    "an instance id (`ins_…`)"
);
id!(
    /// One grant of a named lock: whoever knows it owns the lock.
    LeaseId,
    "lease_",
    "a lease id (`lease_…`)"
);
id!(
    /// A credential.
    TokenId,
    "tok_",
    "a token id (`tok_…`)"
);

/// What an event is called: base32 of the SHA-256 of its canonical bytes, 52 lower-case characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(String);

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl EventId {
    /// The id of an event with these canonical bytes.
    pub fn of(canonical: &[u8]) -> Self {
        let hex = Digest::of(canonical).hex();
        let bytes = hex::decode(hex).unwrap_or_default();
        Self(base32(&bytes))
    }

    /// All 52 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 characters, for people.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(BASE32[(buffer >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(BASE32[(buffer << (5 - bits)) as usize & 31]));
    }
    text
}

impl FromStr for EventId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == 52 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')) {
            return Ok(Self(text.to_owned()));
        }
        Err(IdError { text: text.to_owned(), wanted: "an event id" })
    }
}

impl TryFrom<String> for EventId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.0
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An issue is called by the event that created it.
pub type IssueId = EventId;

/// The effect number `index` that an event gave rise to; its idempotency key everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EffectId {
    pub event: EventId,
    pub index: u16,
}

impl FromStr for EffectId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError { text: text.to_owned(), wanted: "an effect id (`EVENT/INDEX`)" };
        let (event, index) = text.split_once('/').ok_or_else(error)?;
        Ok(Self { event: event.parse()?, index: index.parse().map_err(|_| error())? })
    }
}

impl TryFrom<String> for EffectId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<EffectId> for String {
    fn from(id: EffectId) -> Self {
        id.to_string()
    }
}

impl std::fmt::Display for EffectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.event, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let id = RunId::derived(now, b"x");
        assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
        assert!(id.to_string().parse::<JobId>().is_err());
        let effect = EffectId { event: EventId::of(b"x"), index: 3 };
        assert_eq!(effect.to_string().parse::<EffectId>().unwrap(), effect);
    }

    #[test]
    fn base32_is_rfc_4648_in_lower_case_without_padding() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"f"), "my");
        assert_eq!(EventId::of(b"").as_str().len(), 52);
    }
}
