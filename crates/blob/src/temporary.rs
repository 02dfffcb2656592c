use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{above, sync_folder};

const ATTEMPTS_MAX: usize = 10_000;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file that nobody sees before it is whole, and that goes away unless it is kept.
///
/// Its maker holds a lock on it, by which others tell it from what a killed process left behind.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    pub(crate) file: File,
    path: PathBuf,
    kept: bool,
}

impl TemporaryFile {
    /// An empty file in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let create =
            |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let (file, path) = make(folder, OsStr::new(""), create)?;
        Ok(Self { file, path, kept: false })
    }

    /// Makes its content durable and then its name, in place of what had that name.
    pub(crate) fn persist(mut self, name: &Path) -> Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, name)?;
        self.kept = true;
        sync_folder(above(name))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now, the next sweep finds.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A folder that nobody looks into before it is whole, and that goes away unless it is kept.
#[derive(Debug)]
pub(crate) struct TemporaryFolder {
    _lock: File,
    path: PathBuf,
    kept: bool,
}

impl TemporaryFolder {
    /// An empty folder beside `name`, after removing those that killed processes left there.
    pub(crate) fn beside(name: &Path) -> Result<Self> {
        let file_name = name.file_name().ok_or(Error::from(ErrorKind::InvalidFilename))?;
        let mut prefix = OsString::from(".");
        prefix.push(file_name);
        prefix.push(".unpack-");
        sweep(above(name), &prefix)?;
        let create = |path: &Path| {
            DirBuilder::new().mode(0o755).create(path)?;
            File::open(path)
        };
        let (lock, path) = make(above(name), &prefix, create)?;
        Ok(Self { _lock: lock, path, kept: false })
    }

    /// An empty folder in `folder`, which sweeps it as it does files.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let create = |path: &Path| {
            DirBuilder::new().mode(0o700).create(path)?;
            File::open(path)
        };
        let (lock, path) = make(folder, OsStr::new(""), create)?;
        Ok(Self { _lock: lock, path, kept: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name, which must be free or an empty folder.
    pub(crate) fn persist(mut self, name: &Path) -> Result<()> {
        fs::rename(&self.path, name)?;
        self.kept = true;
        sync_folder(above(name))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now, the next sweep finds.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Creates and locks. A sweep may come between the two: then it is gone, and another is made.
fn make(
    folder: &Path,
    prefix: &OsStr,
    create: impl Fn(&Path) -> Result<File>,
) -> Result<(File, PathBuf)> {
    for _ in 0..ATTEMPTS_MAX {
        let mut name = prefix.to_owned();
        name.push(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let path = folder.join(name);
        match create(&path) {
            Ok(file) => {
                file.lock()?;
                if is_still(&file, &path)? {
                    return Ok((file, path));
                }
            }
            // Another container with this process id, or a sweep right after the creation.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && folder.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn is_still(file: &File, path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.ino() == file.metadata()?.ino()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes what begins with `prefix` and whose maker is dead.
pub(crate) fn sweep(folder: &Path, prefix: &OsStr) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let begins = entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
        if begins && let Err(error) = remove_stray(&entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a stray file stays");
        }
    }
    Ok(())
}

fn remove_stray(path: &Path) -> Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) if file.metadata()?.is_dir() => fs::remove_dir_all(path),
        Ok(()) => fs::remove_file(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_takes_strays_and_leaves_what_is_being_made() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        fs::write(folder.path().join("1-1"), "stray").unwrap();
        let living = TemporaryFile::in_folder(folder.path()).unwrap();
        sweep(folder.path(), OsStr::new("")).unwrap();
        assert_eq!(names(), 1);
        assert!(living.path.exists());
        drop(living);
        assert_eq!(names(), 0);
    }

    #[test]
    fn folders_are_swept_beside_their_name_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        for stray in [".root.unpack-1-1/a/b", ".other.unpack-1-1", "root2"] {
            fs::create_dir_all(folder.path().join(stray)).unwrap();
        }
        let first = TemporaryFolder::beside(&root).unwrap();
        let second = TemporaryFolder::beside(&root).unwrap();
        assert!(first.path().is_dir() && second.path().is_dir());
        assert!(!folder.path().join(".root.unpack-1-1").exists());
        assert!(folder.path().join(".other.unpack-1-1").exists());
        first.persist(&root).unwrap();
        assert!(root.is_dir());
        drop(second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
