use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::connection::sync_folder;
use crate::error::Cause;

/// Writes the journal as it is now to `to`, which must not exist, and syncs it.
pub(crate) fn backup(connection: &Connection, to: &Path) -> Result<(), Cause> {
    if to.try_exists()? {
        return Err(Error::new(ErrorKind::AlreadyExists, "the file exists").into());
    }
    let unfinished = Unfinished::beside(to)?;
    copy(connection, &unfinished.0)?;
    File::open(&unfinished.0)?.sync_all()?;
    fs::rename(&unfinished.0, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))?;
    Ok(())
}

/// One step under one read lock: a state of the journal that there was.
fn copy(connection: &Connection, to: &Path) -> Result<(), Cause> {
    let mut target = Connection::open(to)?;
    let step = Backup::new(connection, &mut target)?.step(-1)?;
    if step != StepResult::Done {
        return Err(Error::new(ErrorKind::ResourceBusy, "the journal is busy").into());
    }
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// A file that goes away again unless it was renamed.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(path: &Path) -> std::io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
        Ok(Self(name.into()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Already gone when it was renamed.
        let _ = fs::remove_file(&self.0);
    }
}
