//! Git: the ledger in refs, named locks in refs, reading commits and trees, checkouts for jobs, the
//! hook that tells of a push, and the one place from which the `git` command is started.
//!
//! Reads go through gix, in process. What Grit acknowledges it writes itself (object, then ref,
//! each synced before it gets its name), because neither gix nor git syncs everything. The `git`
//! command does what gix cannot or what must behave exactly like git: fetch, push, checkout.
//!
//! It deliberately does not merge events into state, keep an index of them, decide about locks
//! (`grit-locks` does), or serve repositories over HTTP. Everything here blocks; async callers use a blocking thread.
//!
//! Main types: [`Repository`] (what is in a repository), [`GitLedger`] (events in refs), [`Locks`]
//! (locks in refs), [`Git`]
//! (a run of the command), [`hook`] (what a push brought).
//!
//! ```no_run
//! use grit_git::{GitLedger, Repository};
//! use grit_ledger::Ledger;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let repository = Repository::discover(".".as_ref())?;
//! let release = repository.resolve("v1.0.0")?;
//! let events = GitLedger::new(repository).read()?;
//! # let _ = (release, events); Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod actor;
mod durable;
mod error;
mod filelock;
pub mod hook;
mod ledger;
mod lock;
mod object;
mod refs;
mod remote;
mod repository;
mod spawn;
mod stale;

pub use error::GitError;
pub use ledger::{Agreed, Compact, Compacted, Exchange, Exchanged, GitLedger, MetaError, Standing};
pub use lock::{
    Ask, Grant, LockChanges, LockError, LockRecord, LockSettings, LockView, Locks, Scope, Who,
    lock_changes,
};
pub use repository::{
    BLOB_BYTES_MAX, CommitInfo, DirEntry, EXPORT_BYTES_MAX, EXPORT_ENTRIES_MAX, Elsewhere,
    EntryKind, RepoHead, Repository, TagInfo, Told,
};
pub use spawn::{Git, Output};
