use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::GitError;
use crate::durable::{create_folders, parent};
use crate::error::Doing;

/// An advisory lock that the kernel gives back when its holder dies, so it is never stale.
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits up to `patience` for the lock on `path`, which is created where it is missing.
    pub(crate) fn acquire(path: &Path, patience: Duration) -> Result<Self, GitError> {
        create_folders(parent(path))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).doing("open", path)?;
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_micros(200);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
                Err(Errno::AGAIN) => return Err(GitError::Locked { path: path.to_owned() }),
                Err(error) => return Err(std::io::Error::from(error)).doing("lock", path),
            }
        }
    }
}
