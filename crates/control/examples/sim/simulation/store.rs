//! The journal: a memory journal that fails when it is told to.

use futures_util::FutureExt;
use grit_ledger::{
    Append, AppendError, Appended, Journal, MemoryJournal, PendingEffect, Recorded, Row, RowQuery,
    StorageError, StreamId,
};
use grit_types::{Sequence, Version};

#[derive(Default)]
pub struct Store {
    journal: MemoryJournal,
    pub full: bool,
    pub unreadable: bool,
}

/// A memory journal answers at once.
const AT_ONCE: &str = "a memory journal does not wait";

impl Store {
    /// Appends; `None` where there is no room.
    pub fn append(&self, append: Append) -> Result<Appended, AppendError> {
        if self.full {
            return Err(failure("append", true).into());
        }
        self.journal.append(append).now_or_never().expect(AT_ONCE)
    }

    pub fn read(&self, stream: &StreamId) -> Result<Vec<Recorded>, StorageError> {
        self.readable()?;
        self.journal.read(stream, Version::ZERO).now_or_never().expect(AT_ONCE)
    }

    pub fn pending(&self) -> Result<Vec<PendingEffect>, StorageError> {
        self.readable()?;
        Ok(self.owed())
    }

    fn readable(&self) -> Result<(), StorageError> {
        if self.unreadable { Err(failure("read", false)) } else { Ok(()) }
    }

    /// What is owed, whatever fails.
    pub fn owed(&self) -> Vec<PendingEffect> {
        self.journal.pending().now_or_never().expect(AT_ONCE).expect(AT_ONCE)
    }

    pub fn rows(&self, query: &RowQuery) -> Vec<Row> {
        self.journal.rows(query).now_or_never().expect(AT_ONCE).expect(AT_ONCE)
    }

    pub fn all(&self) -> Vec<Recorded> {
        let tail = self.journal.tail(Sequence::ZERO, usize::MAX);
        tail.now_or_never().expect(AT_ONCE).expect(AT_ONCE)
    }
}

pub fn failure(action: &str, full: bool) -> StorageError {
    let source = std::io::Error::other(if full { "no space left" } else { "the disk fails" });
    StorageError { action: action.to_owned(), full, source: Box::new(source) }
}
