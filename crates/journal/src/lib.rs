//! The journal of a running server in one SQLite file.
//!
//! [`SqliteJournal`] keeps the contract of [`grit_ledger::Journal`]: an append is one transaction
//! of events, effects, acknowledgements and rows, and what was answered with `Ok` is on the disk.
//! One thread owns the connection that writes; it takes all appends that wait, runs each in a
//! savepoint of its own, syncs once and answers them all (group commit). Readers have connections
//! of their own and never wait for the writer.
//!
//! | What happens | What the journal does |
//! |---|---|
//! | the disk is full | refuses with [`full`](grit_ledger::StorageError::full), works again when there is room |
//! | a write or a sync fails | refuses everything until it is opened again; a failed sync is never tried again, because the kernel forgets the pages that it could not write |
//! | the process is killed | the next open finds all that was acknowledged |
//! | another process has the journal | [`OpenError::Held`] with its process id |
//! | a newer Grit wrote the file | [`OpenError::Newer`] |
//!
//! This room decides nothing and folds nothing: a row's content, an effect's meaning and a
//! stream's state belong to those who append.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use grit_journal::SqliteJournal;
//! use grit_ledger::{Append, Journal};
//! use grit_types::Version;
//!
//! let journal = SqliteJournal::open("data/journal.db".as_ref())?;
//! let stream = "run/run_01".parse()?;
//! let after = journal.read(&stream, Version::ZERO).await?;
//! journal.append(Append::events(stream, Version(after.len() as u64), vec![])).await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod append;
mod backup;
mod connection;
mod error;
mod journal;
mod owner;
mod query;
mod readers;
mod schema;
mod writer;

pub use append::APPEND_BYTES_MAX;
pub use error::OpenError;
pub use journal::SqliteJournal;
