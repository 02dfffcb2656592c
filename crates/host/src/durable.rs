//! Small files that are there after a power cut once the call has returned.
//!
//! Source of the order: file fsync, rename, folder fsync, as in `rename(2)` and `fsync(2)`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Only the owner may read what is written here: records name commands, logs hold their output.
pub(crate) const FILE_MODE: u32 = 0o600;

/// Whether it comes to a disk, or somebody's share of it, that is full.
pub fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let full = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(full) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Replaces `path` by a file with these bytes: a reader sees the old file or the new one, never a
/// part. On return both bytes and name are on disk. The folder must exist; the mode is 0600.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, File::sync_all)?;
    sync_folder(folder_of(path))
}

/// As [`write`], but without a sync: whole for every reader of this boot, of unknown content after
/// a power cut. Right for facts that do not outlive the boot, such as which process runs a step.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, |_| Ok(()))
}

/// Removes `path` and syncs its folder. A file that is not there is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates `path` and the folders above it that are missing, each synced into its parent.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = folder_of(path);
    create_dir_all(parent)?;
    match fs::create_dir(path) {
        Ok(()) => sync_folder(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

fn replace(path: &Path, bytes: &[u8], sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| sync(&file)))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report; a left-over temporary file harms nobody.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no file name"))?;
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{count}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    // Same pid and same count can only be a dead namesake of this process.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(temporary),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn write_replaces_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        write_unsynced(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(names(folder.path()), ["record.json"]);
    }

    #[test]
    fn failed_write_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("occupied");
        fs::create_dir(&occupied).unwrap();
        assert!(write(&occupied, b"bytes").is_err());
        assert!(occupied.is_dir());
        assert_eq!(names(folder.path()), ["occupied"]);
    }

    #[test]
    fn create_dir_all_is_idempotent_and_refuses_a_file_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_dir_all(&deep).unwrap();
        create_dir_all(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(create_dir_all(&folder.path().join("file/x")).is_err());
    }

    #[test]
    fn remove_of_nothing_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        remove(&path).unwrap();
        write(&path, b"x").unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
