use std::collections::BTreeMap;

use grit_types::EventId;

use crate::{DecodeError, Event};

/// What a team shares: append-only, every clone appends to lanes of its own, readers merge.
///
/// Contract (see [`crate::contract`]): an appended event is durable when `append` answers; it is
/// read back in every later `read`; after `sync` in both directions two ledgers read the same
/// events in the same order, whoever synchronised first. Implementations block.
pub trait Ledger: Send + Sync {
    /// Appends to `lane`, which only this ledger's owner writes.
    fn append(&self, lane: &Lane, event: &Event) -> Result<EventId, LedgerError>;

    /// All events of all lanes, merged: see [`merge`].
    fn read(&self) -> Result<Vec<Event>, LedgerError>;

    /// Where each lane ends, by lane.
    fn heads(&self) -> Result<Vec<Head>, LedgerError>;

    /// Exchanges events with the ledger's remote: takes what is new there, gives what is new here.
    fn sync(&self) -> Result<SyncReport, LedgerError>;
}

/// Who appends where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// One long-lived clone's own: `refs/grit/a/NAME`.
    Actor(String),
    /// A server's summary of runs and deployments: `refs/grit/audit/NAME`.
    Audit(String),
}

impl Lane {
    /// The lane's place below `refs/grit/`.
    pub fn path(&self) -> String {
        match self {
            Self::Actor(name) => format!("a/{name}"),
            Self::Audit(name) => format!("audit/{name}"),
        }
    }
}

/// Where a lane ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub lane: String,
    /// The store's own name of the last entry.
    pub tip: String,
}

/// What a synchronisation moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Lanes that came or moved forward here.
    pub received: usize,
    /// Lanes that moved forward there.
    pub sent: usize,
}

/// Why a ledger could not do it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("no remote is configured")]
    NoRemote,
    #[error("remote `{remote}` cannot be reached")]
    Unreachable {
        remote: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("entry {at} is no event")]
    Damaged {
        at: String,
        #[source]
        source: DecodeError,
    },
    #[error("{action}")]
    Storage {
        action: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The one order of a set of events, whatever order they came in: by hybrid logical clock, then by
/// id; each event once.
pub fn merge(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let by_place: BTreeMap<_, _> =
        events.into_iter().map(|event| ((event.hlc, event.id()), event)).collect();
    by_place.into_values().collect()
}
