use std::path::{Path, PathBuf};

use grit_ledger::{
    Append, AppendError, Appended, Journal, PendingEffect, Recorded, Row, RowQuery, StorageError,
    StreamId,
};
use grit_types::{BoxFuture, Sequence, Version};

use crate::append::Prepared;
use crate::connection::{create, open_reader, open_writer};
use crate::owner::Owner;
use crate::readers::Readers;
use crate::writer::{Writer, checkpoint};
use crate::{OpenError, backup, query, schema};

const READERS: usize = 2;

/// A journal in one SQLite file.
///
/// Its futures wait on channels and never block; they run on any executor. Dropping it finishes
/// what was submitted and frees the file, for which the dropping thread waits.
#[derive(Debug)]
pub struct SqliteJournal {
    // Dropped in this order: the last connection to close empties the log, and only then may
    // another process have the file.
    readers: Readers,
    writer: Writer,
    _owner: Owner,
    path: PathBuf,
}

impl SqliteJournal {
    /// Opens the journal at `path` for this process alone, and makes it (mode 0600) and its
    /// folder where they are missing.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let path = create(path)?;
        let owner = Owner::take(&path)?;
        let mut connection = open_writer(&path)?;
        schema::migrate(&mut connection, &path)?;
        // What an earlier process logged but could not sync is written anew, and synced.
        checkpoint(&connection, "TRUNCATE").map_err(OpenError::sqlite("recover", &path))?;
        let connections =
            (0..READERS).map(|_| open_reader(&path)).collect::<Result<Vec<_>, OpenError>>()?;
        let start = || OpenError::file("start the threads of", &path);
        let readers = Readers::start(connections).map_err(start())?;
        let writer = Writer::start(connection).map_err(start())?;
        Ok(Self { readers, writer, _owner: owner, path })
    }

    /// Where the journal is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with the file; empty where it is sound. Reads all of it.
    pub fn integrity_check(&self) -> BoxFuture<'_, Result<Vec<String>, StorageError>> {
        Box::pin(self.readers.ask("check the journal".to_owned(), query::problems))
    }

    /// Writes the journal as it is now to `path`, which must not exist, and syncs it; writes go on
    /// meanwhile. What is written opens as a journal.
    pub fn backup_to(&self, path: &Path) -> BoxFuture<'_, Result<(), StorageError>> {
        let path = path.to_owned();
        let action = format!("back up the journal to `{}`", path.display());
        Box::pin(async move {
            let mut done = self.readers.ask(action, move |c| backup::backup(c, &path)).await;
            if let Err(error) = &mut done {
                error.full = is_no_room(error);
            }
            done
        })
    }

    /// Lets the file grow to `pages` of 4 KiB, so that a test can fill it.
    #[cfg(test)]
    async fn limit_pages(&self, pages: u32) {
        let limit = move |c: &rusqlite::Connection| {
            c.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(Ok(())))
        };
        self.writer.submit::<(), StorageError>("limit".to_owned(), 0, limit).await.unwrap();
    }
}

fn is_no_room(error: &StorageError) -> bool {
    let io = error.source.downcast_ref::<std::io::Error>();
    let sqlite = error.source.downcast_ref::<rusqlite::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
        || sqlite.is_some_and(crate::error::is_full)
}

impl Journal for SqliteJournal {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let action = format!("append to {}", append.stream);
            let prepared = Prepared::new(append, &action)?;
            let bytes = prepared.bytes;
            self.writer.submit(action, bytes, move |c| prepared.apply(c)).await
        })
    }

    fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, StorageError>> {
        let (action, stream) = (format!("read {stream}"), stream.clone());
        Box::pin(self.readers.ask(action, move |c| query::read(c, &stream, after)))
    }

    fn tail(
        &self,
        after: Sequence,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, StorageError>> {
        let action = format!("read the tail after {after}");
        Box::pin(self.readers.ask(action, move |c| query::tail(c, after, limit)))
    }

    fn pending(&self) -> BoxFuture<'_, Result<Vec<PendingEffect>, StorageError>> {
        Box::pin(self.readers.ask("read the pending effects".to_owned(), query::pending))
    }

    fn rows(&self, query: &RowQuery) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        let (action, query) = (format!("read {}", query.table), query.clone());
        Box::pin(self.readers.ask(action, move |c| query::rows(c, &query)))
    }

    fn cursor(
        &self,
        consumer: &str,
        advance_to: Option<Sequence>,
    ) -> BoxFuture<'_, Result<Sequence, StorageError>> {
        let consumer = consumer.to_owned();
        let action = format!("move the cursor of {consumer}");
        match advance_to {
            None => Box::pin(self.readers.ask(action, move |c| query::cursor(c, &consumer))),
            Some(to) => {
                let advance = move |c: &rusqlite::Connection| {
                    query::advance(c, &consumer, to).map(Ok::<_, StorageError>)
                };
                Box::pin(self.writer.submit(action, 0, advance))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use grit_ledger::{Event, Hlc};
    use grit_types::{Actor, Tenant};
    use serde_json::json;

    use super::*;

    fn append(stream: &str, version: u64, bytes: usize) -> Append {
        let event = Event {
            kind: "test.filled".to_owned(),
            tenant: Tenant::local(),
            repo: "test".parse().unwrap(),
            subject: stream.to_owned(),
            actor: Actor::grit("test"),
            hlc: Hlc { millis: 0, count: u32::try_from(version).unwrap() },
            cause: None,
            data: json!("x".repeat(bytes)),
        };
        Append::events(stream.parse().unwrap(), Version(version), vec![event])
    }

    fn is_full(result: &Result<Appended, AppendError>) -> bool {
        matches!(result, Err(AppendError::Storage(StorageError { full: true, .. })))
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_room_is_enough_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).unwrap();
        journal.limit_pages(60).await;
        let mut held = 0;
        let refused = loop {
            match journal.append(append("fill/a", held, 9_000)).await {
                Ok(_) => held += 1,
                refused => break refused,
            }
        };
        assert!(is_full(&refused), "{refused:?}");
        assert!(held > 5, "{held}");
        let again = journal.append(append("fill/a", held, 9_000)).await;
        assert!(is_full(&again), "{again:?}");
        let stream = "fill/a".parse().unwrap();
        assert_eq!(journal.read(&stream, Version(0)).await.unwrap().len() as u64, held);

        journal.limit_pages(1_000).await;
        journal.append(append("fill/a", held, 9_000)).await.unwrap();
        drop(journal);
        let journal = SqliteJournal::open(&path).unwrap();
        let tail = journal.tail(Sequence(0), 1_000).await.unwrap();
        assert_eq!(tail.len() as u64, held + 1);
        assert!(tail.iter().zip(1..).all(|(event, place)| event.sequence == Sequence(place)));
        assert_eq!(journal.integrity_check().await.unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn what_needs_much_room_does_not_take_the_others_down() {
        let folder = tempfile::tempdir().unwrap();
        let journal = SqliteJournal::open(&folder.path().join("journal.db")).unwrap();
        journal.limit_pages(100).await;
        let (small, large, other) = tokio::join!(
            journal.append(append("fill/small", 0, 10)),
            journal.append(append("fill/large", 0, 1 << 20)),
            journal.append(append("fill/other", 0, 10)),
        );
        assert!(small.is_ok(), "{small:?}");
        assert!(is_full(&large), "{large:?}");
        assert!(other.is_ok(), "{other:?}");
        assert_eq!(journal.tail(Sequence(0), 10).await.unwrap().len(), 2);
    }
}
