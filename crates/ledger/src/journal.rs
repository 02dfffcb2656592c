use grit_types::{BoxFuture, EffectId, EventId, Sequence, Tenant, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Event;

/// What a running server works on: one order per stream, optimistic concurrency, and the effects
/// that events gave rise to until each is acknowledged.
///
/// Contract (see [`crate::contract`]): an append is one transaction of events, effects,
/// acknowledgements and rows; once it answered `Ok`, nothing of it is ever lost; a refused one
/// leaves no trace; the order of [`Journal::tail`] is the same for every reader and has no gaps
/// that are filled later.
pub trait Journal: Send + Sync {
    /// Appends to one stream at its expected version.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// The events of a stream after `after`, in order.
    fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, StorageError>>;

    /// Up to `limit` events of all streams after `after`, in the order of their appends.
    fn tail(
        &self,
        after: Sequence,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, StorageError>>;

    /// The effects not yet acknowledged, oldest first.
    fn pending(&self) -> BoxFuture<'_, Result<Vec<PendingEffect>, StorageError>>;

    /// The rows of a projection, newest first.
    fn rows(&self, query: &RowQuery) -> BoxFuture<'_, Result<Vec<Row>, StorageError>>;

    /// How far `consumer` has read the tail; moves forward when `advance_to` is given.
    fn cursor(
        &self,
        consumer: &str,
        advance_to: Option<Sequence>,
    ) -> BoxFuture<'_, Result<Sequence, StorageError>>;
}

/// One transaction on one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    pub stream: StreamId,
    /// How many events the stream must hold before this.
    pub expected: Version,
    pub events: Vec<Event>,
    /// What the events oblige to.
    pub effects: Vec<PendingEffect>,
    /// The effect whose outcome this is; refused unless it is pending.
    pub acknowledges: Option<EffectId>,
    /// What the pages read, brought up to date with the events.
    pub rows: Vec<Row>,
}

impl Append {
    /// Events alone.
    pub fn events(stream: StreamId, expected: Version, events: Vec<Event>) -> Self {
        let (effects, rows) = (Vec::new(), Vec::new());
        Self { stream, expected, events, effects, acknowledges: None, rows }
    }
}

/// Where an append put its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub ids: Vec<EventId>,
    /// The stream's version now.
    pub version: Version,
}

/// An event and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub sequence: Sequence,
    pub stream: StreamId,
    pub version: Version,
    pub id: EventId,
    pub event: Event,
}

/// An effect that is owed.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingEffect {
    pub id: EffectId,
    /// Whose event gave rise to it, and where its outcome goes.
    pub stream: StreamId,
    pub body: Value,
}

/// A row of a projection: the body is what its page shows, the rest is what it is found by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `deployments`, `runs`, `jobs`, …
    pub table: String,
    pub key: String,
    pub tenant: Tenant,
    /// Narrows within a tenant: a repository's name, a slot.
    pub scope: String,
    pub status: String,
    /// Newer rows have larger ones.
    pub order: i64,
    pub body: Value,
}

/// Which rows. Empty fields do not narrow.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RowQuery {
    pub table: String,
    pub tenant: Option<Tenant>,
    pub key: Option<String>,
    /// Rows whose scope is this or lies below it (`shop` finds `shop/production`).
    pub scope: Option<String>,
    pub status: Option<String>,
    /// 0: no limit.
    pub limit: usize,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("stream `{stream}` is at version {actual}, not {expected}")]
    Conflict { stream: StreamId, expected: Version, actual: Version },
    #[error("effect {effect} is not pending: its outcome is already recorded")]
    Acknowledged { effect: EffectId },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The store could not do it; nothing was acknowledged.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct StorageError {
    /// What was being done: `append to slot/…`.
    pub action: String,
    /// No room left: works again when there is.
    pub full: bool,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A stream's name: `run/ID`, `repo/TENANT/REPO`, `slot/TENANT/REPO/ENVIRONMENT/SERVICE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(String);

/// Text that names no stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stream: at least two parts of letters, digits, `.`, `_` and `-`")]
pub struct StreamError(pub String);

impl StreamId {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `/`: the kind of state that the stream folds to.
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The parts after the kind.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

impl std::str::FromStr for StreamId {
    type Err = StreamError;
    fn from_str(text: &str) -> Result<Self, StreamError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let part = |part: &str| !part.is_empty() && part.chars().all(allowed);
        if text.len() <= 300 && text.contains('/') && text.split('/').all(part) {
            return Ok(Self(text.to_owned()));
        }
        Err(StreamError(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for StreamId {
    type Error = StreamError;
    fn try_from(text: String) -> Result<Self, StreamError> {
        text.parse()
    }
}

impl From<StreamId> for String {
    fn from(stream: StreamId) -> Self {
        stream.0
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
