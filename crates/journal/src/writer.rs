use std::thread::JoinHandle;

use grit_ledger::StorageError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Closed, Failure, is_fatal, is_full, storage};

/// How many wait before an append waits to be let in.
const QUEUE_MAX: usize = 256;
/// How much one transaction takes at most.
const GROUP_MAX: usize = 256;
const GROUP_BYTES_MAX: usize = 8 << 20;
/// What is written between two checkpoints, and what one append writes in pages besides its bytes.
const CHECKPOINT_BYTES: usize = 16 << 20;
const APPEND_PAGES_BYTES: usize = 16 << 10;

/// Hands work to the one thread that writes; dropped, waits until that is done.
#[derive(Debug)]
pub(crate) struct Writer {
    inbox: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        let (inbox, waiting) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || Group::new(connection).serve(waiting))?;
        Ok(Self { inbox: Some(inbox), thread: Some(thread) })
    }

    /// Runs `write` in a transaction, and answers when that is on the disk.
    ///
    /// A caller that stops waiting does not take its work back.
    pub(crate) async fn submit<T, E>(
        &self,
        action: String,
        bytes: usize,
        write: impl FnMut(&Connection) -> rusqlite::Result<Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let closed = storage(&action, Closed);
        let job = Job { action, bytes, write: Box::new(write), outcome: None, reply };
        let Some(inbox) = &self.inbox else { return Err(closed.into()) };
        if inbox.send(Box::new(job)).await.is_err() {
            return Err(closed.into());
        }
        answer.await.unwrap_or_else(|_| Err(closed.into()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has answered nobody, which they have noticed.
            let _ = thread.join();
        }
    }
}

/// Something to be written, and someone who waits for it.
trait Work: Send {
    fn bytes(&self) -> usize;
    /// Writes it in the savepoint that is open; `false`: refused, to be rolled back.
    fn write(&mut self, connection: &Connection) -> rusqlite::Result<bool>;
    /// It alone could not be written.
    fn refuse(&mut self, failure: &Failure);
    /// Tells the outcome, which is on the disk now.
    fn answer(self: Box<Self>);
    /// Tells that nothing of it was written.
    fn fail(self: Box<Self>, told: &dyn Fn(&str) -> StorageError);
}

type Write<T, E> = Box<dyn FnMut(&Connection) -> rusqlite::Result<Result<T, E>> + Send>;

struct Job<T, E> {
    action: String,
    bytes: usize,
    write: Write<T, E>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T: Send, E: From<StorageError> + Send> Work for Job<T, E> {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn write(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let outcome = (self.write)(connection)?;
        let done = outcome.is_ok();
        self.outcome = Some(outcome);
        Ok(done)
    }

    fn refuse(&mut self, failure: &Failure) {
        self.outcome = Some(Err(failure.told(&self.action).into()));
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // Whoever stopped waiting does not want to know.
            let _ = self.reply.send(outcome);
        }
    }

    fn fail(self: Box<Self>, told: &dyn Fn(&str) -> StorageError) {
        let _ = self.reply.send(Err(told(&self.action).into()));
    }
}

/// Commits in groups: all that wait share one sync.
struct Group {
    connection: Connection,
    /// Why writes have stopped.
    stopped: Option<Failure>,
    commits: u64,
    bytes_since_checkpoint: usize,
}

impl Group {
    fn new(connection: Connection) -> Self {
        Self { connection, stopped: None, commits: 0, bytes_since_checkpoint: 0 }
    }

    fn serve(mut self, mut waiting: mpsc::Receiver<Box<dyn Work>>) {
        while let Some(group) = gather(&mut waiting) {
            self.carry_out(group);
            self.checkpoint_when_due();
        }
        tracing::debug!(commits = self.commits, "journal closed");
    }

    fn carry_out(&mut self, mut group: Vec<Box<dyn Work>>) {
        if let Some(failure) = &self.stopped {
            return fail(group, &|action| failure.told_later(action));
        }
        match self.commit(&mut group) {
            Ok(()) => group.into_iter().for_each(Work::answer),
            // One that needs much room must not take the others down with it.
            Err(failure) if failure.is_full() && group.len() > 1 => {
                group.into_iter().for_each(|work| self.carry_out(vec![work]));
            }
            Err(failure) => {
                if failure.is_fatal() {
                    self.stop(failure.clone());
                }
                fail(group, &|action| failure.told(action));
            }
        }
    }

    /// All that were not refused are on the disk, or nothing of the group is.
    fn commit(&mut self, group: &mut [Box<dyn Work>]) -> Result<(), Failure> {
        let result = self.transact(group).map_err(Failure::new);
        if result.is_ok() {
            self.commits += 1;
            self.bytes_since_checkpoint +=
                group.iter().map(|work| work.bytes() + APPEND_PAGES_BYTES).sum::<usize>();
        } else if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.stop(Failure::new(error));
        }
        result
    }

    fn transact(&self, group: &mut [Box<dyn Work>]) -> rusqlite::Result<()> {
        self.run("BEGIN IMMEDIATE")?;
        for work in group {
            self.run("SAVEPOINT work")?;
            match work.write(&self.connection) {
                Ok(true) => {}
                Ok(false) => self.run("ROLLBACK TO work")?,
                Err(error) => self.refuse_alone(work.as_mut(), error)?,
            }
            self.run("RELEASE work")?;
        }
        self.run("COMMIT")
    }

    /// An error concerns one work only if it says nothing about the disk and left the transaction
    /// open.
    fn refuse_alone(&self, work: &mut dyn Work, error: rusqlite::Error) -> rusqlite::Result<()> {
        if is_full(&error) || is_fatal(&error) || self.connection.is_autocommit() {
            return Err(error);
        }
        work.refuse(&Failure::new(error));
        self.run("ROLLBACK TO work")
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn stop(&mut self, failure: Failure) {
        tracing::error!(%failure, "journal: a write failed, writes have stopped");
        self.stopped = Some(failure);
    }

    /// Moves the write-ahead log into the database, after everybody was answered.
    fn checkpoint_when_due(&mut self) {
        if self.stopped.is_some() || self.bytes_since_checkpoint < CHECKPOINT_BYTES {
            return;
        }
        self.bytes_since_checkpoint = 0;
        if let Err(failure) = checkpoint(&self.connection, "PASSIVE").map_err(Failure::new) {
            if failure.is_fatal() {
                self.stop(failure);
            } else {
                tracing::warn!(%failure, "journal: the log stays long, its checkpoint failed");
            }
        }
    }
}

/// Moves what the write-ahead log holds into the database.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}

/// The first that comes and all that wait behind it; `None` when no more can come.
fn gather(waiting: &mut mpsc::Receiver<Box<dyn Work>>) -> Option<Vec<Box<dyn Work>>> {
    let first = waiting.blocking_recv()?;
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += next.bytes();
        group.push(next);
    }
    Some(group)
}

fn fail(group: Vec<Box<dyn Work>>, told: &dyn Fn(&str) -> StorageError) {
    group.into_iter().for_each(|work| work.fail(told));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::connection::{create, open_writer};

    type Answer = oneshot::Receiver<Result<i64, StorageError>>;

    fn job(sql: &'static str, refuse: bool) -> (Box<dyn Work>, Answer) {
        let (reply, answer) = oneshot::channel();
        let write: Write<i64, StorageError> = Box::new(move |connection| {
            connection.execute_batch(sql)?;
            let count = connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?;
            Ok(if refuse { Err(storage("refused", Closed)) } else { Ok(count) })
        });
        let work = Job { action: sql.to_owned(), bytes: 1, write, outcome: None, reply };
        (Box::new(work), answer)
    }

    fn group(folder: &Path) -> Group {
        let path = create(&folder.join("group.db")).unwrap();
        let connection = open_writer(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (x INTEGER UNIQUE)").unwrap();
        Group::new(connection)
    }

    fn told(mut answer: Answer) -> Result<i64, String> {
        answer.try_recv().unwrap().map_err(|error| error.source.to_string())
    }

    #[test]
    fn all_that_wait_share_one_commit_and_one_refusal_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut group = group(folder.path());
        let (inbox, mut waiting) = mpsc::channel(8);
        let mut answers = Vec::new();
        for (sql, refuse) in [
            ("INSERT INTO t VALUES (1)", false),
            ("INSERT INTO t VALUES (2)", true),
            ("INSERT INTO t VALUES (3); INSERT INTO t VALUES (1)", false),
            ("INSERT INTO t VALUES (4)", false),
        ] {
            let (work, answer) = job(sql, refuse);
            inbox.try_send(work).unwrap();
            answers.push(answer);
        }
        let gathered = gather(&mut waiting).unwrap();
        assert_eq!(gathered.len(), 4);
        group.carry_out(gathered);
        assert_eq!(group.commits, 1);
        let answers: Vec<_> = answers.into_iter().map(told).collect();
        assert_eq!(answers[0], Ok(1));
        assert_eq!(answers[1], Err(Closed.to_string()));
        assert!(answers[2].as_ref().unwrap_err().contains("UNIQUE"), "{answers:?}");
        assert_eq!(answers[3], Ok(2));
    }

    #[test]
    fn once_stopped_nothing_is_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut group = group(folder.path());
        let fsync = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        group.stop(Failure::new(rusqlite::Error::SqliteFailure(fsync, None)));
        let (work, answer) = job("INSERT INTO t VALUES (1)", false);
        group.carry_out(vec![work]);
        assert!(told(answer).unwrap_err().contains("stopped"));
        let count = "SELECT count(*) FROM t";
        let held: i64 = group.connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(held, 0);
    }

    #[test]
    fn a_group_has_a_limit() {
        let (inbox, mut waiting) = mpsc::channel(GROUP_MAX + 1);
        for _ in 0..=GROUP_MAX {
            inbox.try_send(job("SELECT 1", false).0).unwrap();
        }
        assert_eq!(gather(&mut waiting).unwrap().len(), GROUP_MAX);
        assert_eq!(gather(&mut waiting).unwrap().len(), 1);
        drop(inbox);
        assert!(gather(&mut waiting).is_none());
    }
}
