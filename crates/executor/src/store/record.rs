//! Records: small JSON files that are there whole or not at all.

use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use grit_host::durable;
use grit_types::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a record where none is; `false`: there is one already, which stays as it is. What is
/// answered is on the disk.
pub(super) fn create<T: Serialize>(path: &Path, record: &T) -> io::Result<bool> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    durable::create_dir_all(folder)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
    let fresh = folder.join(format!(".{name}.{}.new", unique()));
    durable::write(&fresh, &serde_json::to_vec(record)?)?;
    // Unlike a rename, a link never replaces.
    let linked = fs::hard_link(&fresh, path);
    durable::remove(&fresh)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a record in the place of any.
pub(super) fn replace<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    durable::create_dir_all(path.parent().ok_or(ErrorKind::InvalidInput)?)?;
    durable::write(path, &serde_json::to_vec(record)?)
}

/// The records of a folder; none where there is no folder.
pub(super) fn all<T: DeserializeOwned>(folder: &Path) -> io::Result<Vec<(PathBuf, T)>> {
    let mut records = Vec::new();
    for path in entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || !name.ends_with(".json") {
            continue;
        }
        match fs::read(&path) {
            Ok(bytes) => {
                let told = |error| io::Error::other(format!("{}: {error}", path.display()));
                let record = serde_json::from_slice(&bytes).map_err(told)?;
                records.push((path, record));
            }
            // Removed in between.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// What is in a folder; nothing where there is none.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// When it was last used, as [`touch`] said.
pub(super) fn used(path: &Path) -> io::Result<Timestamp> {
    let since = fs::metadata(path)?.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Ok(Timestamp::from_millis(millis.try_into().unwrap_or(i64::MAX)))
}

/// It is used now. Not durable: a power cut makes it older by one use.
pub(super) fn touch(path: &Path, now: Timestamp) -> io::Result<()> {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    File::options().append(true).open(path)?.set_times(FileTimes::new().set_modified(at))
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
