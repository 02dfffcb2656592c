//! Writing refs so that git, other Grits and a crash at any moment get along.
//!
//! Git takes the existence of `REF.lock` for a lock and never asks whose it is: one that a killed
//! process left blocks the ref for ever. Grit's own writers exclude each other by a lock that the
//! kernel gives back when its holder dies ([`FileLock`] on `grit/write.lock`). Towards git they
//! also make `REF.lock`, as a second name of a file in `grit/pending/`: who holds `write.lock` and
//! finds a `REF.lock` that is the same file as the ref's pending one knows that a dead Grit made
//! it, and clears it. No process id is compared for these, so that containers and restarts cannot
//! deceive. What git itself left is judged by [`stale::is_abandoned`].

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use grit_types::{CommitId, RefName};

use crate::GitError;
use crate::durable::{create_folders, parent, sync_file, sync_folder};
use crate::error::{Doing, Reading};
use crate::filelock::FileLock;
use crate::stale;

/// How long another writer may take before a write gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lock files outside of `refs/` that stop git from writing.
const LOCKS_AT_TOP: [&str; 4] = ["HEAD.lock", "packed-refs.lock", "config.lock", "shallow.lock"];

/// The right to write refs of a repository; one holder among all Grits.
pub(crate) struct RefWriter<'a> {
    common: &'a Path,
    _lock: FileLock,
}

impl<'a> RefWriter<'a> {
    /// Waits for the right; `common` is the git folder that holds `refs`.
    pub(crate) fn acquire(common: &'a Path) -> Result<Self, GitError> {
        let lock = FileLock::acquire(&common.join("grit/write.lock"), PATIENCE)?;
        Ok(Self { common, _lock: lock })
    }

    /// Moves a ref from `expected` to `new`, durably; [`GitError::Moved`] when it is elsewhere.
    pub(crate) fn set(
        &self,
        name: &RefName,
        expected: Option<&CommitId>,
        new: &CommitId,
    ) -> Result<(), GitError> {
        let path = self.common.join(name.as_str());
        let held = self.lock(name, &path, new)?;
        if read(self.common, name)?.as_ref() != expected {
            return Err(GitError::Moved { name: name.to_string() });
        }
        held.commit(&path)?;
        sync_folder(parent(&path))
    }

    /// Removes the lock files that dead processes left; answers which.
    pub(crate) fn clear_stale(&self) -> Result<Vec<PathBuf>, GitError> {
        let stale = self.find_stale()?;
        for lock in &stale {
            tracing::warn!(lock = %lock.display(), "cleared a lock that a dead process left");
            let pending = self.pending_of(lock);
            let ours = same_file(lock, &pending);
            remove_if_there(lock)?;
            if ours {
                remove_if_there(&pending)?;
            }
        }
        Ok(stale)
    }

    /// The lock files that dead processes left.
    pub(crate) fn find_stale(&self) -> Result<Vec<PathBuf>, GitError> {
        let mut found = Vec::new();
        for lock in self.lock_files()? {
            self.keep_if_stale(lock, &mut found)?;
        }
        Ok(found)
    }

    /// The lock files of refs, whoever made them; those at the top may not be there.
    pub(crate) fn lock_files(&self) -> Result<Vec<PathBuf>, GitError> {
        let mut found = LOCKS_AT_TOP.map(|name| self.common.join(name)).to_vec();
        let mut folders = vec![self.common.join("refs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).doing("list", &folder)? {
                let entry = entry.doing("list", &folder)?;
                let path = entry.path();
                // Gone meanwhile: git removes empty folders and its own locks.
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "lock") {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    fn keep_if_stale(&self, lock: PathBuf, found: &mut Vec<PathBuf>) -> Result<(), GitError> {
        match stale::is_abandoned(&lock) {
            Ok(abandoned) if abandoned || same_file(&lock, &self.pending_of(&lock)) => {
                found.push(lock);
                Ok(())
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).doing("look at", &lock)
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn pending_of(&self, lock: &Path) -> PathBuf {
        let name = lock.strip_prefix(self.common).unwrap_or(lock).with_extension("");
        self.pending(&name.to_string_lossy())
    }

    fn pending(&self, name: &str) -> PathBuf {
        let file = name.replace('%', "%25").replace('/', "%2F");
        self.common.join("grit/pending").join(file)
    }

    /// Makes `REF.lock`, which holds the new value already.
    fn lock(&self, name: &RefName, path: &Path, new: &CommitId) -> Result<Held, GitError> {
        let pending = self.pending(name.as_str());
        let lock = path.with_file_name(format!(
            "{}.lock",
            path.file_name().unwrap_or_default().to_string_lossy()
        ));
        if same_file(&lock, &pending) {
            remove_if_there(&lock)?;
        }
        remove_if_there(&pending)?;
        create_folders(parent(&pending))?;
        let mut held = Held { lock, pending, locked: false };
        write_value(&held.pending, new)?;
        let deadline = Instant::now() + PATIENCE;
        while !held.try_link()? {
            let abandoned = stale::is_abandoned(&held.lock).unwrap_or(false);
            if abandoned {
                tracing::warn!(lock = %held.lock.display(), "cleared a lock that git left");
                remove_if_there(&held.lock)?;
            } else if Instant::now() >= deadline {
                return Err(GitError::Locked { path: held.lock.clone() });
            } else {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(held)
    }
}

/// A ref's lock and the file that marks it as ours.
struct Held {
    lock: PathBuf,
    pending: PathBuf,
    locked: bool,
}

impl Held {
    fn try_link(&mut self) -> Result<bool, GitError> {
        // Git removes the folders of refs when they are empty.
        create_folders(parent(&self.lock))?;
        match fs::hard_link(&self.pending, &self.lock) {
            Ok(()) => self.locked = true,
            Err(error) => match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound => {}
                _ => return Err(error).doing("create", &self.lock),
            },
        }
        Ok(self.locked)
    }

    fn commit(mut self, path: &Path) -> Result<(), GitError> {
        fs::rename(&self.lock, path).doing("rename to", path)?;
        self.locked = false;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.locked {
            // The next writer recognises it as ours and clears it.
            let _ = fs::remove_file(&self.lock);
        }
        let _ = fs::remove_file(&self.pending);
    }
}

/// The value of a ref, loose or packed; none where it does not exist.
pub(crate) fn read(common: &Path, name: &RefName) -> Result<Option<CommitId>, GitError> {
    let path = common.join(name.as_str());
    match fs::read_to_string(&path) {
        Ok(text) => text.trim_end().parse().map(Some).reading(|| format!("ref `{name}`")),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => read_packed(common, name),
            _ => Err(error).doing("read", &path),
        },
    }
}

fn read_packed(common: &Path, name: &RefName) -> Result<Option<CommitId>, GitError> {
    let path = common.join("packed-refs");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing("read", &path),
    };
    let wanted = format!(" {name}");
    let value = text.split(|byte| *byte == b'\n').find_map(|line| {
        let id = line.strip_suffix(wanted.as_bytes())?;
        std::str::from_utf8(id).ok()?.parse().ok()
    });
    Ok(value)
}

fn write_value(path: &Path, value: &CommitId) -> Result<(), GitError> {
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o644).open(path).doing("create", path)?;
    file.write_all(format!("{value}\n").as_bytes()).doing("write", path)?;
    sync_file(&file, path)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (fs::symlink_metadata(one), fs::symlink_metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

fn remove_if_there(path: &Path) -> Result<(), GitError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing("remove", path),
        _ => Ok(()),
    }
}
