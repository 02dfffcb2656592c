use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_ledger::StorageError;
use rusqlite::{ErrorCode, ffi};

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder cannot be made or reached.
    #[error("{action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    /// A journal has one writer; wait for it to end, or ask it.
    #[error("journal `{}` is in use by process {pid}", path.display())]
    Held { path: PathBuf, pid: u32 },
    /// A later Grit wrote it; use that one.
    #[error("journal `{}` has schema version {found}, and this program reads up to {supported}", path.display())]
    Newer { path: PathBuf, found: u32, supported: u32 },
    /// A database of another program.
    #[error("`{}` is a SQLite database but no journal of Grit", path.display())]
    Foreign { path: PathBuf },
    /// The bytes are no sound database; restore a backup.
    #[error("journal `{}` is damaged", path.display())]
    Damaged { path: PathBuf, source: rusqlite::Error },
    /// SQLite refuses for another reason.
    #[error("{action} `{}`", path.display())]
    Sqlite { action: &'static str, path: PathBuf, source: rusqlite::Error },
}

impl OpenError {
    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn sqlite(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| {
            if is_damage(&source) {
                Self::Damaged { path, source }
            } else {
                Self::Sqlite { action, path, source }
            }
        }
    }
}

/// A failed write, shared by all whom it fails.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Arc<rusqlite::Error>);

impl Failure {
    pub(crate) fn new(error: rusqlite::Error) -> Self {
        Self(Arc::new(error))
    }

    /// No room left.
    pub(crate) fn is_full(&self) -> bool {
        is_full(&self.0)
    }

    /// What is on the disk is no longer known: nothing may be acknowledged after it.
    pub(crate) fn is_fatal(&self) -> bool {
        is_fatal(&self.0)
    }

    /// What the caller of `action` is told.
    pub(crate) fn told(&self, action: &str) -> StorageError {
        let source = Box::new(self.0.clone());
        StorageError { action: action.to_owned(), full: self.is_full(), source }
    }

    /// What all later callers are told, once writes have stopped because of this.
    pub(crate) fn told_later(&self, action: &str) -> StorageError {
        storage(action, Stopped { source: self.0.clone() })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("writes have stopped after a write failed; open the journal again")]
struct Stopped {
    source: Arc<rusqlite::Error>,
}

/// The thread that should have answered is gone.
#[derive(Debug, thiserror::Error)]
#[error("the journal is closed")]
pub(crate) struct Closed;

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn storage(action: &str, source: impl Into<Cause>) -> StorageError {
    StorageError { action: action.to_owned(), full: false, source: source.into() }
}

/// The index of the write-ahead log reports a full disk as an error of its own.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
    })
}

pub(crate) fn is_fatal(error: &rusqlite::Error) -> bool {
    let io = error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
    (io || is_damage(error)) && !is_full(error)
}

pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(extended_code: i32) -> Failure {
        Failure::new(rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None))
    }

    #[test]
    fn a_full_disk_is_no_reason_to_stop() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(failure(code).is_full());
            assert!(!failure(code).is_fatal());
            assert!(failure(code).told("append").full);
        }
    }

    #[test]
    fn a_failed_write_or_sync_is() {
        for code in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_DIR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
        ] {
            assert!(failure(code).is_fatal());
            assert!(!failure(code).told("append").full);
        }
        assert!(!failure(ffi::SQLITE_CONSTRAINT).is_fatal());
    }
}
