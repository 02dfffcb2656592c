use std::path::PathBuf;

use grit_ledger::{DecodeError, LedgerError};
use rusqlite::ErrorCode;

/// Why there is no answer. What is wrong with the file is no reason: see [`crate::Index`].
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
    /// Not even in memory.
    #[error("the index of issues cannot be used")]
    Store(#[from] rusqlite::Error),
    #[error("a row of the index cannot be read")]
    Row(#[from] serde_json::Error),
    #[error("an event in the index cannot be read")]
    Event(#[from] DecodeError),
    #[error("the index is of another version of Grit")]
    Version,
    #[error("the index ends in the middle of a page")]
    Cut,
    /// Another process keeps the file, or the folder cannot be written.
    #[error("the lock file `{}`", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl IndexError {
    /// Whether the file is worth nothing: it is made again. Otherwise it may be fine for others,
    /// or later.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Ledger(_) | Self::Lock { .. } => false,
            Self::Row(_) | Self::Event(_) | Self::Version | Self::Cut => true,
            Self::Store(error) => !error.sqlite_error().is_some_and(is_circumstance),
        }
    }
}

/// The machine, not the file. A file that ends too early is the file.
fn is_circumstance(error: &rusqlite::ffi::Error) -> bool {
    const SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;
    match error.code {
        ErrorCode::SystemIoFailure => error.extended_code != SHORT_READ,
        ErrorCode::PermissionDenied
        | ErrorCode::OperationAborted
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::ReadOnly
        | ErrorCode::OperationInterrupted
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport => true,
        _ => false,
    }
}
