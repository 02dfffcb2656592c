//! Logs: one file per instance, appended to by the instance itself, so that it can write while
//! nobody supervises it.
//!
//! A log that grows too long loses its beginning: the first part of the file becomes a hole, which
//! takes no room, while every byte behind it keeps its offset.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use grit_rollout::SlotId;
use grit_types::InstanceId;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// How much of an instance's log is kept, in bytes; twice that may be there for a moment.
pub const LOG_KEPT_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Logs of instances that are gone, kept per slot.
const GONE_KEPT_MAX: usize = 32;
/// Read at most at a time.
const READ_MAX: usize = 4 * 1024 * 1024;
/// Of the end of a log, for a reason.
const TAIL_MAX_BYTES: u64 = 1024;
const TAIL_MAX_LINES: usize = 5;

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Of the first byte: later than asked where the beginning of the log was dropped.
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// Ask for this next.
    pub next: u64,
    /// How long the log is now.
    pub end: u64,
}

/// A log that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    pub instance: InstanceId,
    /// The offset behind its last byte.
    pub end: u64,
}

pub(super) fn folder(logs: &Path, slot: &SlotId) -> PathBuf {
    let SlotId { tenant, repo, environment, service } = slot;
    logs.join(tenant.as_str()).join(repo.as_str()).join(environment.as_str()).join(service.as_str())
}

pub(super) fn path(logs: &Path, slot: &SlotId, instance: InstanceId) -> PathBuf {
    folder(logs, slot).join(format!("{instance}.log"))
}

pub(super) fn read(path: &Path, offset: u64, limit: usize) -> io::Result<LogChunk> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let offset = first_kept(&file, offset.min(end))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit.min(READ_MAX)).unwrap_or(0);
    file.take(limit).read_to_end(&mut bytes)?;
    let next = offset + u64::try_from(bytes.len()).unwrap_or(0);
    Ok(LogChunk { offset, bytes, next, end: end.max(next) })
}

pub(super) fn list(folder: &Path) -> io::Result<Vec<LogFile>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok());
        if let Some(instance) = id {
            files.push(LogFile { instance, end: entry.metadata()?.len() });
        }
    }
    files.sort_by_key(|file| file.instance);
    Ok(files)
}

/// The last lines, for saying why an instance ended; empty where there are none.
pub(super) fn tail(path: &Path) -> String {
    let end = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let limit = usize::try_from(TAIL_MAX_BYTES).unwrap_or(usize::MAX);
    let Ok(chunk) = read(path, end.saturating_sub(TAIL_MAX_BYTES), limit) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&chunk.bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_MAX_LINES)..].join("\n")
}

/// Drops the beginning of a log of more than twice `keep` bytes.
pub(super) fn cap(path: &Path, keep: u64) -> io::Result<()> {
    let end = fs::metadata(path)?.len();
    let file = File::options().read(true).write(true).open(path)?;
    let start = first_kept(&file, 0)?;
    if end.saturating_sub(start) <= 2 * keep {
        return Ok(());
    }
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(&file, hole, 0, end - keep) {
        Ok(()) => Ok(()),
        // A file system without holes: the whole log goes, rather than all of the disk.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(0),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes the oldest logs of those that are gone.
pub(super) fn prune(folder: &Path, alive: &[InstanceId]) -> io::Result<()> {
    let gone: Vec<LogFile> =
        list(folder)?.into_iter().filter(|file| !alive.contains(&file.instance)).collect();
    for file in gone.iter().rev().skip(GONE_KEPT_MAX) {
        fs::remove_file(folder.join(format!("{}.log", file.instance)))?;
    }
    Ok(())
}

/// The first offset from `offset` on that is not in a hole.
fn first_kept(file: &File, offset: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => Ok(data),
        // Nothing but the end is behind it.
        Err(Errno::NXIO) => Ok(file.metadata()?.len()),
        Err(Errno::INVAL) => Ok(offset),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_types::Timestamp;

    #[test]
    fn a_log_is_read_by_offset() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let first = read(&path, 0, 4).unwrap();
        assert_eq!((first.bytes.as_slice(), first.next, first.end), (&b"one\n"[..], 4, 8));
        assert_eq!(read(&path, first.next, 100).unwrap().bytes, b"two\n");
        assert_eq!(read(&path, 8, 100).unwrap().bytes, b"");
        let beyond = read(&path, 1_000, 100).unwrap();
        assert_eq!((beyond.offset, beyond.next), (8, 8));
        assert_eq!(tail(&path), "one\ntwo");
    }

    #[test]
    fn a_capped_log_keeps_its_offsets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let line = [b'x'; 4096];
        fs::write(&path, line.repeat(8)).unwrap();
        cap(&path, 4 * 4096).unwrap();
        assert_eq!(read(&path, 0, 1).unwrap().offset, 0, "twice as long may stay");
        cap(&path, 2 * 4096).unwrap();
        let kept = read(&path, 0, usize::MAX).unwrap();
        assert_eq!((kept.offset, kept.next), (6 * 4096, 8 * 4096));
        assert!(kept.bytes.iter().all(|&byte| byte == b'x'));
        cap(&path, 2 * 4096).unwrap();
        assert_eq!(read(&path, 0, 1).unwrap().offset, 6 * 4096);
    }

    #[test]
    fn old_logs_of_the_gone_are_pruned_and_those_of_the_living_kept() {
        let folder = tempfile::tempdir().unwrap();
        let id = |n: i64| InstanceId::derived(Timestamp::from_millis(n), b"x");
        for n in 0..40 {
            fs::write(folder.path().join(format!("{}.log", id(n))), "x").unwrap();
        }
        prune(folder.path(), &[id(0), id(39)]).unwrap();
        let left: Vec<InstanceId> =
            list(folder.path()).unwrap().into_iter().map(|file| file.instance).collect();
        let expected: Vec<InstanceId> = std::iter::once(0).chain(7..40).map(id).collect();
        assert_eq!(left, expected);
    }
}
