//! The index of a ledger's issues: what `grit issue` reads, so that no command folds the ledger.
//!
//! It is a cache in SQLite (WAL, FTS5) and loses nothing when it is lost. Every [`Index::refresh`]
//! compares where it has read to with where the lanes end, and takes in what is new; a lane that
//! was rewound or is gone has it built anew, from the ledger. So it never matters how the refs
//! moved: an append, a sync, a `git fetch` by hand.
//!
//! A file that is missing, damaged, or of another version of Grit is replaced. One that cannot be
//! used (a folder that cannot be written, a full disk, a process that holds it for ever) is left
//! alone, and the same tables are made in memory: slower, and with the same answers. So nothing
//! here fails because of the index.
//!
//! It deliberately knows no git and no command line, decides nothing about issues (`grit-issues`
//! does), and never writes to the ledger.
//!
//! Main types: [`Index`], [`Listed`] (a line of a list), [`check`] (what `grit doctor` asks).
//!
//! ```no_run
//! use grit_index::Index;
//! use grit_issues::Query;
//! use grit_ledger::MemoryLedger;
//! use grit_types::Timestamp;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = std::sync::Arc::new(MemoryLedger::default());
//! let index = Index::open("index.db".as_ref(), ledger)?;
//! for line in index.list(&Query::everything(), Timestamp::from_millis(0), None)? {
//!     let _ = (line.id, line.title);
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod compile;
mod error;
mod file;
mod find;
mod health;
mod index;
mod ingest;
mod row;

pub use error::IndexError;
pub use health::{Health, check, rebuild};
pub use index::Index;
pub use row::Listed;
