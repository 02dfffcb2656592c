use std::collections::BTreeMap;

use grit_types::{Digest, EventId};

use crate::{Event, Hlc, SignatureProblem};

/// What a team shares: append-only, every clone appends to lanes of its own, readers merge.
///
/// Contract (see [`crate::contract`]): an appended event is durable when `append` answers; it is
/// read back in every later `read`; after `sync` in both directions two ledgers read the same
/// events in the same order, whoever synchronised first. Implementations block.
pub trait Ledger: Send + Sync {
    /// Appends to `lane`, which only this ledger's owner writes.
    fn append(&self, lane: &Lane, event: &Event) -> Result<EventId, LedgerError> {
        self.append_with(lane, event, &[])
    }

    /// The same, with the bytes of files that the event names by their digests. They travel with
    /// it, and are durable when it is.
    fn append_with(
        &self,
        lane: &Lane,
        event: &Event,
        files: &[&[u8]],
    ) -> Result<EventId, LedgerError> {
        self.append_all(lane, &[Addition { event, files }]).map(|_| event.id())
    }

    /// Appends many to `lane`, in this order: all of them, or none stands in the lane.
    fn append_all(
        &self,
        lane: &Lane,
        additions: &[Addition<'_>],
    ) -> Result<Vec<EventId>, LedgerError>;

    /// The bytes of that digest which some event brought.
    fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, BytesError>;

    /// What the lanes hold behind `known`; everything with an empty cut.
    ///
    /// For a reader that keeps what it read: the next cut is [`Changes::cut`]. An entry that is no
    /// event stops nothing, it comes in [`Changes::quarantined`].
    fn since(&self, known: &Cut) -> Result<Changes, LedgerError>;

    /// All events of all lanes, merged: see [`merge`]. What is quarantined is left out.
    fn read(&self) -> Result<Vec<Event>, LedgerError> {
        let entries = self.since(&Cut::new())?.entries.into_iter();
        let by_place: BTreeMap<(Hlc, EventId), Event> =
            entries.map(|entry| ((entry.event.hlc, entry.id), entry.event)).collect();
        Ok(by_place.into_values().collect())
    }

    /// Where each lane ends, by lane.
    fn heads(&self) -> Result<Vec<Head>, LedgerError>;

    /// Exchanges events with the ledger's remote: takes what is new there, gives what is new here.
    fn sync(&self) -> Result<SyncReport, LedgerError>;
}

/// An event to append, and the bytes of the files that it names by their digests.
#[derive(Clone, Copy, Debug)]
pub struct Addition<'a> {
    pub event: &'a Event,
    pub files: &'a [&'a [u8]],
}

/// Who appends where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// One long-lived clone's own: `refs/grit/a/NAME`.
    Actor(String),
    /// One of the lanes that short-lived clones share, below [`Lane::SHARED`]: `refs/grit/ci/00`
    /// to `refs/grit/ci/1f`. They are appended to at the remote, by `sync` and nothing else.
    Shared(u8),
    /// A server's summary of runs and deployments: `refs/grit/audit/NAME`.
    Audit(String),
}

impl Lane {
    /// How many lanes short-lived clones share: enough that they rarely meet, and few enough that
    /// ten thousand runs leave no ten thousand refs.
    pub const SHARED: u8 = 32;

    /// The lane's place below `refs/grit/`.
    pub fn path(&self) -> String {
        match self {
            Self::Actor(name) => format!("a/{name}"),
            Self::Shared(number) => format!("ci/{:02x}", number % Self::SHARED),
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

/// Where each lane was read to: the tip that [`Head`] gives, by lane.
pub type Cut = BTreeMap<String, String>;

/// What lanes hold behind a cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Lane by lane, each in its own order. Two lanes may hold the same event: it counts once.
    pub entries: Vec<Entry>,
    /// What could not be read as an event.
    pub quarantined: Vec<Quarantined>,
    /// Lanes that no longer hold what was known of them, and are given from their start: whoever
    /// kept entries of them keeps only those that come now.
    pub restarted: Vec<String>,
    /// Where every lane ends now, by lane; what is not there any more has no head. While events
    /// must be signed there is one more head, `meta`: where it moves, all lanes are restarted.
    pub heads: Vec<Head>,
}

impl Changes {
    /// What is known once these changes are.
    pub fn cut(&self) -> Cut {
        self.heads.iter().map(|head| (head.lane.clone(), head.tip.clone())).collect()
    }
}

/// An event, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub lane: String,
    /// The store's own name of it, as in [`Head::tip`].
    pub at: String,
    pub id: EventId,
    pub event: Event,
    pub signed: Signed,
}

/// What is known of an event's signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Signed {
    /// Nobody asks for signatures.
    #[default]
    Unchecked,
    /// By a key of its actor; the key's fingerprint.
    Good(String),
    /// None that counts.
    Bad(SignatureProblem),
}

/// Something in a lane that is no event, or one of a newer version. Others are read all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    pub lane: String,
    /// The store's own name of it.
    pub at: String,
    pub reason: String,
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
    /// It was reached and read; what is new here stays here.
    #[error("remote `{remote}` does not take what is new here: {reason}")]
    Refused {
        remote: String,
        reason: String,
        /// How many entries it lacks.
        waiting: usize,
    },
    #[error("{action}")]
    Storage {
        action: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// No file that comes with an event is larger, so that a hostile one cannot fill memory.
pub const FILE_BYTES_MAX: usize = 64 << 20;

/// Why the bytes that an event names cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BytesError {
    #[error("no event in this clone brought {0}")]
    Unknown(Digest),
    /// The clone is shallow or partial, or they were pruned.
    #[error("entry {at} brought {digest}, and this clone does not have the bytes")]
    NotHere { digest: Digest, at: String },
    #[error("the bytes that entry {at} has under {digest} are not those")]
    Altered { digest: Digest, at: String },
    #[error("the bytes that entry {at} has under {digest} cannot be read")]
    Unreadable {
        digest: Digest,
        at: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The one order of a set of events, whatever order they came in: by hybrid logical clock, then by
/// id; each event once.
pub fn merge(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let by_place: BTreeMap<_, _> =
        events.into_iter().map(|event| ((event.hlc, event.id()), event)).collect();
    by_place.into_values().collect()
}
