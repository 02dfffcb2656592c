use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::OpenError;

/// The right to write a journal: an exclusive flock(2) on the file beside it.
///
/// The kernel frees it when the process ends, however it ends. The file itself stays, because a
/// lock on a removed file excludes nobody.
#[derive(Debug)]
pub(crate) struct Owner {
    _lock: File,
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
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = written_pid(&mut lock).unwrap_or(0);
                return Err(OpenError::Held { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => {
                return Err(OpenError::file("lock", &beside)(source));
            }
        }
        sign(&mut lock).map_err(OpenError::file("write", &beside))?;
        Ok(Self { _lock: lock })
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
