use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::OpenError;

/// Another program that looks at the file (a backup, the sqlite3 shell) may hold it this long.
const BUSY_MAX: Duration = Duration::from_secs(5);
const WAL_BYTES_KEPT: i64 = 64 << 20;
const STATEMENTS_CACHED: usize = 64;

/// Makes the file, readable by its owner alone, unless it is there; its true path.
///
/// An existing file is not opened here: closing it would drop the locks that SQLite holds on it
/// in this process.
pub(crate) fn create(path: &Path) -> Result<PathBuf, OpenError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    create_folder(folder)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all().map_err(OpenError::file("sync", path))?;
            sync_folder(folder).map_err(OpenError::file("sync", folder))?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(0o600))
                .map_err(OpenError::file("restrict", path))?;
        }
        Err(error) => return Err(OpenError::file("create", path)(error)),
    }
    path.canonicalize().map_err(OpenError::file("find", path))
}

fn create_folder(folder: &Path) -> Result<(), OpenError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_folder(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(OpenError::file("create", folder)(error));
        }
        _ => {}
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    sync_folder(above).map_err(OpenError::file("sync", above))
}

pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The connection that writes: what it commits is synced before it returns.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(OpenError::sqlite("open", path))?;
    let mode = set_up_writer(&connection).map_err(OpenError::sqlite("open", path))?;
    if mode != "wal" {
        let source = rusqlite::Error::InvalidQuery;
        let action = "the file system cannot share memory, which write-ahead logging needs, for";
        return Err(OpenError::Sqlite { action, path: path.to_owned(), source });
    }
    Ok(connection)
}

fn set_up_writer(connection: &Connection) -> rusqlite::Result<String> {
    set_up(connection)?;
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // SQLite's own checkpoint hides its errors and delays the commit that it falls on.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    Ok(mode)
}

/// A connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || OpenError::sqlite("open", path);
    let connection = Connection::open_with_flags(path, flags).map_err(open())?;
    set_up(&connection).map_err(open())?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}
