//! Writing that survives a power cut: a file is synced before it gets its name, a folder after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::GitError;
use crate::error::Doing;

/// How exact the time is that a file system gives a folder.
const FOLDER_TIME_SLACK: Duration = Duration::from_secs(2);

/// Replaces `path` by a file of these bytes; afterwards it is there after a power cut too.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), GitError> {
    let folder = parent(path);
    let temporary = Temporary::write(folder, "tmp_grit_", bytes, mode)?;
    temporary.rename(path)?;
    sync_folder(folder)
}

/// A synced file without its final name; removed again unless it gets one.
pub(crate) struct Temporary {
    path: PathBuf,
    named: bool,
}

impl Temporary {
    /// `prefix` tells whose leftover it is after a crash: git's own housekeeping removes
    /// `tmp_obj_*`.
    pub(crate) fn write(
        folder: &Path,
        prefix: &str,
        bytes: &[u8],
        mode: u32,
    ) -> Result<Self, GitError> {
        let (mut file, temporary) = Self::create(folder, prefix, mode)?;
        file.write_all(bytes).doing("write", &temporary.path)?;
        sync_file(&file, &temporary.path)?;
        Ok(temporary)
    }

    /// An empty file that the caller fills and syncs.
    pub(crate) fn create(folder: &Path, prefix: &str, mode: u32) -> Result<(File, Self), GitError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{prefix}{}_{count}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
                Ok(file) => return Ok((file, Self { path, named: false })),
                // Left behind by a process that had our id before us.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).doing("create", &path),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name; the folder must be synced next.
    pub(crate) fn rename(mut self, to: &Path) -> Result<(), GitError> {
        fs::rename(&self.path, to).doing("rename to", to)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named {
            // A leftover costs room only.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Syncs an open file.
pub(crate) fn sync_file(file: &File, path: &Path) -> Result<(), GitError> {
    file.sync_all().map_err(|source| GitError::Unsynced { path: path.to_owned(), source })
}

/// Syncs a folder: the names in it.
pub(crate) fn sync_folder(path: &Path) -> Result<(), GitError> {
    let folder = File::open(path).doing("open", path)?;
    sync_file(&folder, path)
}

/// Syncs the folders in `objects` that changed since then: git syncs what it writes, but never the
/// folders, and a ref must not depend on what they do not hold yet.
pub(crate) fn sync_changed(objects: &Path, since: SystemTime) -> Result<(), GitError> {
    let since = since.checked_sub(FOLDER_TIME_SLACK).unwrap_or(since);
    let mut changed = false;
    for entry in fs::read_dir(objects).doing("list", objects)? {
        let path = entry.doing("list", objects)?.path();
        let about = fs::metadata(&path).doing("look at", &path)?;
        if about.is_dir() && about.modified().doing("look at", &path)? >= since {
            sync_folder(&path)?;
            changed = true;
        }
    }
    if changed { sync_folder(objects) } else { Ok(()) }
}

/// Creates `path` and what is missing above it, each durably.
pub(crate) fn create_folders(path: &Path) -> Result<(), GitError> {
    match fs::create_dir(path) {
        Ok(()) => sync_folder(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_folders(parent(path))?;
            create_folders(path)
        }
        Err(error) => Err(error).doing("create", path),
    }
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
