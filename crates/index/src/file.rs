//! The file: opening it, making it, replacing it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use grit_issues::RECORD_VERSION;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use crate::IndexError;

/// Of the tables; another one has the file made again.
const SCHEMA_VERSION: u32 = 2;

/// How long another process may write, or replace the file.
const BUSY_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whoever opens the file alone reads its log first, so a longer one is copied into the file.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// SQLite's own choice.
const PAGE_BYTES: u64 = 4096;

/// In KiB, for SQLite negative: enough for ten thousand issues.
const CACHE: i64 = -16_384;

/// An open index, and the right to have it open: nobody replaces the file meanwhile.
pub(crate) struct Held {
    /// Dropped before the lock.
    pub connection: Connection,
    lock: Option<File>,
}

impl Held {
    /// Opens the file; makes it where there is none.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed(path))?;
        }
        let lock = lock(path, File::try_lock_shared)?;
        if is_cut(path) {
            return Err(IndexError::Cut);
        }
        let connection = connect(path)?;
        Ok(Self { connection, lock: Some(lock) })
    }

    /// The same tables in memory.
    pub fn in_memory() -> Result<Self, IndexError> {
        let mut connection = Connection::open_in_memory()?;
        set_up(&connection)?;
        make(&mut connection)?;
        Ok(Self { connection, lock: None })
    }

    pub fn is_on_disk(&self) -> bool {
        self.lock.is_some()
    }

    /// Removes the file, and opens a new one in its place, once no other process has it open.
    pub fn replace(path: &Path) -> Result<Self, IndexError> {
        let alone = lock(path, File::try_lock)?;
        // The log first would leave a file without its end to whoever looks between.
        for end in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(path)(error));
                }
                _ => {}
            }
        }
        connect(path)?;
        drop(alone);
        Self::open(path)
    }
}

/// Whether the file ends within a page: SQLite would read zeros where the rest was. Looked at
/// twice, as somebody may be writing just there.
fn is_cut(path: &Path) -> bool {
    let is_odd = || fs::metadata(path).is_ok_and(|about| !about.len().is_multiple_of(PAGE_BYTES));
    is_odd() && {
        std::thread::sleep(LOOK_EVERY);
        is_odd()
    }
}

/// Opens the file and has its tables be there; another version's are an error.
fn connect(path: &Path) -> Result<Connection, IndexError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection)?;
    match stamp(&connection) {
        Ok(Some(found)) if found == wanted() => Ok(connection),
        Ok(_) => Err(IndexError::Version),
        Err(error) if is_empty(&connection)? => {
            tracing::debug!(%error, "a new index");
            make_file(&mut connection)?;
            Ok(connection)
        }
        Err(error) => Err(error.into()),
    }
}

/// What this program writes and reads: the tables, the rows in them, and the kinds of events that
/// it knows.
fn wanted() -> String {
    format!("{SCHEMA_VERSION} {RECORD_VERSION} {}", env!("CARGO_PKG_VERSION"))
}

fn stamp(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM meta WHERE name = 'stamp'";
    connection.query_row(sql, [], |row| row.get(0)).optional()
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], first)?;
    Ok(tables == 0)
}

fn first<T: rusqlite::types::FromSql>(row: &rusqlite::Row<'_>) -> rusqlite::Result<T> {
    row.get(0)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Both the commit and the last one to close would copy the log and sync it, at every command,
    // and neither begins the log anew when the next process writes: see `shorten_log`.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Several may do this at once; SQLite does not wait for the change of mode.
fn make_file(connection: &mut Connection) -> rusqlite::Result<()> {
    let mut left = BUSY_MAX;
    loop {
        let set = connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
        match set {
            Err(error) if is_busy(&error) && !left.is_zero() => {
                std::thread::sleep(LOOK_EVERY);
                left = left.saturating_sub(LOOK_EVERY);
            }
            Err(error) => return Err(error),
            Ok(()) => return make(connection),
        }
    }
}

/// Copies the log into the file and empties it, once it is long and nobody else needs it.
pub(crate) fn shorten_log(connection: &Connection) {
    let name = connection.path().map(|path| format!("{path}-wal")).unwrap_or_default();
    if fs::metadata(name).is_ok_and(|about| about.len() > LOG_BYTES_MAX) {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let quick = connection.busy_timeout(Duration::ZERO);
        let shortened = quick.and_then(|()| connection.query_row(sql, [], |_| Ok(())));
        let shortened = connection.busy_timeout(BUSY_MAX).and(shortened);
        // A later writer does it; until then it is read whole.
        let _ = shortened.inspect_err(|error| tracing::debug!(%error, "the log stays long"));
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let busy = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked];
    error.sqlite_error_code().is_some_and(|code| busy.contains(&code))
}

fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if is_empty(&transaction)? {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.execute("INSERT INTO meta VALUES ('stamp', ?1)", [wanted()])?;
    }
    transaction.commit()
}

/// The lock file beside the index; its kernel lock is gone with the process that holds it.
fn lock(
    path: &Path,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<File, IndexError> {
    let name = path.with_extension("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&name);
    let file = file.map_err(failed(&name))?;
    let mut left = BUSY_MAX;
    loop {
        match try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if !left.is_zero() => {
                std::thread::sleep(LOOK_EVERY);
                left = left.saturating_sub(LOOK_EVERY);
            }
            Err(error) => return Err(failed(&name)(error.into())),
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> IndexError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| IndexError::Lock { path, source }
}
