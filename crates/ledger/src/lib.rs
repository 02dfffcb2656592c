//! Events: their one envelope, their canonical bytes, the two stores that hold them, and the
//! shape of everything that decides by them.
//!
//! There are two records and they are never mixed. The **ledger** is what a team shares: every
//! clone appends alone and readers merge. The **journal** is what a running server works on: one
//! order per stream, optimistic concurrency, and the effects still owed. They share the envelope
//! and the folds and nothing else, because merging and ordering are different promises. Each
//! trait has one contract test ([`contract`]) that all its implementations run.
//!
//! This room does no IO: [`MemoryLedger`] and [`MemoryJournal`] are first-class implementations,
//! those on git and SQLite live above.
//!
//! ```
//! use grit_ledger::{Event, Hlc};
//! use grit_types::{Actor, Tenant};
//! let event = Event {
//!     kind: "issue.created".into(),
//!     tenant: Tenant::local(),
//!     repo: "shop".parse().unwrap(),
//!     subject: "issue".into(),
//!     actor: Actor::grit("example"),
//!     hlc: Hlc { millis: 0, count: 0 },
//!     cause: None,
//!     data: serde_json::json!({"title": "first"}),
//! };
//! assert_eq!(Event::decode(&event.encode()).unwrap(), event);
//! ```
#![forbid(unsafe_code)]

mod canonical;
pub mod contract;
mod decider;
mod envelope;
mod hlc;
mod journal;
mod ledger;
mod memory;
mod meta;
mod payload;

pub use canonical::canonical;
pub use decider::{Context, Decider};
pub use envelope::{Cause, DecodeError, ENVELOPE_VERSION, EVENT_BYTES_MAX, Event};
pub use hlc::{AHEAD_MAX, Hlc, HlcClock};
pub use journal::{
    Append, AppendError, Appended, Journal, PendingEffect, Recorded, Row, RowQuery, StorageError,
    StreamError, StreamId,
};
pub use ledger::{
    Addition, BytesError, Changes, Cut, Entry, FILE_BYTES_MAX, Head, Lane, Ledger, LedgerError,
    Quarantined, Signed, SyncReport, merge,
};
pub use memory::{MemoryJournal, MemoryLedger};
pub use meta::{
    Key, LabelDefinition, Meta, MetaEvent, MetaRefusal, Policy, Revoked, SignatureProblem,
    UnknownPolicy,
};
pub use payload::{PayloadError, join, split};
