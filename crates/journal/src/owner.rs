use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::OpenError;

/// A killed process takes a moment to end, and so do the children that it was just starting.
const WAIT_MAX: Duration = Duration::from_millis(500);
const WAIT_STEP: Duration = Duration::from_millis(5);

/// The right to write a journal: an exclusive flock(2) on the file beside it.
///
/// The kernel frees it when the process ends, however it ends. The file itself stays, because a
/// lock on a removed file excludes nobody.
#[derive(Debug)]
pub(crate) struct Owner {
    lock: File,
}

impl Owner {
    /// Takes the journal at `path`, or says who has it.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let beside = lock_path(path);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&beside)
            .map_err(OpenError::file("open", &beside))?;
        if !lock_in_time(&lock).map_err(OpenError::file("lock", &beside))? {
            let pid = written_pid(&mut lock).unwrap_or(0);
            return Err(OpenError::Held { path: path.to_owned(), pid });
        }
        sign(&mut lock).map_err(OpenError::file("write", &beside))?;
        Ok(Self { lock })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child that was forked and has not yet executed
        // its program.
        let _ = self.lock.unlock();
    }
}

fn lock_in_time(lock: &File) -> std::io::Result<bool> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(WAIT_STEP);
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".owner");
    name.into()
}

/// For people and for messages only: the lock is what counts.
fn sign(lock: &mut File) -> std::io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{} {}", std::process::id(), started())
}

fn written_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(64).read_to_string(&mut text).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Clock ticks from boot to the start of this process, proc(5); 0 where there is no /proc.
fn started() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_owner_is_gone_though_a_child_still_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let owner = Owner::take(&path).unwrap();
        let inherited = owner.lock.try_clone().unwrap();
        assert!(matches!(Owner::take(&path), Err(OpenError::Held { .. })));
        drop(owner);
        Owner::take(&path).unwrap();
        drop(inherited);
    }

    #[test]
    fn the_file_tells_who_has_the_journal_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let _owner = Owner::take(&path).unwrap();
        let text = std::fs::read_to_string(lock_path(&path)).unwrap();
        let (pid, started) = text.trim_end().split_once(' ').unwrap();
        assert_eq!(pid, std::process::id().to_string());
        assert!(started.parse::<u64>().unwrap() > 0 || !Path::new("/proc/self/stat").exists());
    }
}
