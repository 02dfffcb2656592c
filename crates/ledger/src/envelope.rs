use grit_types::{Actor, EffectId, EventId, Repo, Tenant};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Hlc, canonical};

/// The envelope version that this program writes.
pub const ENVELOPE_VERSION: u64 = 1;

/// An event is never larger than this, so that a hostile one cannot fill memory.
pub const EVENT_BYTES_MAX: usize = 4 << 20;

/// Something that happened: who, what, to what, when, because of what.
///
/// Its position in a stream or a lane stays outside, because the same event may stand in several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `rollout.weight_set`: the subject's noun, a dot, what happened to it.
    pub kind: String,
    pub tenant: Tenant,
    pub repo: Repo,
    /// What it happened to: a stream's name or an id.
    pub subject: String,
    pub actor: Actor,
    pub hlc: Hlc,
    /// The event or effect that led to it.
    pub cause: Option<Cause>,
    /// What the kind says it holds.
    pub data: Value,
}

/// What an event follows from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cause {
    Event(EventId),
    Effect(EffectId),
}

impl TryFrom<String> for Cause {
    type Error = grit_types::IdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('/') {
            text.parse().map(Self::Effect)
        } else {
            text.parse().map(Self::Event)
        }
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Event(id) => id.to_string(),
            Cause::Effect(id) => id.to_string(),
        }
    }
}

/// Bytes that are no event this program can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the event is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the event has {0} bytes, more than {EVENT_BYTES_MAX}")]
    TooLarge(usize),
    #[error("the event has no version")]
    NoVersion,
    #[error(
        "the event has envelope version {found}, and this program reads up to {ENVELOPE_VERSION}"
    )]
    Newer { found: u64 },
    #[error("the event does not have the shape of its envelope version")]
    Shape(#[source] serde_json::Error),
}

impl Event {
    /// The canonical bytes, version 1: RFC 8785 JSON of all fields and `v`.
    pub fn encode(&self) -> Vec<u8> {
        let Self { kind, tenant, repo, subject, actor, hlc, cause, data } = self;
        let value = serde_json::json!({
            "v": ENVELOPE_VERSION,
            "kind": kind,
            "tenant": tenant,
            "repo": repo,
            "subject": subject,
            "actor": actor,
            "hlc": hlc,
            "cause": cause,
            "data": data,
        });
        canonical(&value).into_bytes()
    }

    /// Reads canonical bytes of any version up to this program's; a newer one is refused, never
    /// guessed.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(DecodeError::Json)?;
        match value.get("v").and_then(Value::as_u64) {
            Some(1) => serde_json::from_value(value).map_err(DecodeError::Shape),
            Some(found) => Err(DecodeError::Newer { found }),
            None => Err(DecodeError::NoVersion),
        }
    }

    /// What the event is called; follows from its canonical bytes.
    pub fn id(&self) -> EventId {
        EventId::of(&self.encode())
    }
}
