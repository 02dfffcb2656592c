//! The record of a launch: the file by which a later process adopts it.
//!
//! Shape: one JSON object `{"v":1,"leader":{"pid","start_time","boot_id"},"marker":{"key","value"}}`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::identity::ProcessId;
use crate::marker::Marker;
use crate::session::Session;

const VERSION: u64 = 1;
/// A record is some 250 bytes; nothing larger is one.
const LEN_MAX: u64 = 16 * 1024;

/// Why a record that is there gives no session.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("read record {path}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Torn by a power cut (only an unsynced record can be) or written by someone else.
    #[error("record {path} is not one", path = path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("record {path} is of version {found}, newer than {VERSION}", path = path.display())]
    Newer { path: PathBuf, found: u64 },
}

/// The session that was recorded at `path`; `None` if nothing was.
pub fn read(path: &Path) -> Result<Option<Session>, RecordError> {
    let bytes = match bytes_of(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(RecordError::Read { path, source });
        }
    };
    let malformed = |source| RecordError::Malformed { path: path.to_owned(), source };
    let Version { v } = serde_json::from_slice(&bytes).map_err(malformed)?;
    if v > VERSION {
        let path = path.to_owned();
        return Err(RecordError::Newer { path, found: v });
    }
    let record: Record = serde_json::from_slice(&bytes).map_err(malformed)?;
    Ok(Some(Session::new(record.leader, record.marker)))
}

/// Removes the record, durably. One that is not there is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    durable::remove(path)
}

pub(crate) fn write(path: &Path, session: &Session, synced: bool) -> io::Result<()> {
    let record =
        Record { v: VERSION, leader: session.leader().clone(), marker: session.marker().clone() };
    let bytes = serde_json::to_vec(&record)?;
    if synced { durable::write(path, &bytes) } else { durable::write_unsynced(path, &bytes) }
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LEN_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The one field that every version has.
#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    v: u64,
    leader: ProcessId,
    marker: Marker,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN_V1: &str = r#"{"v":1,"leader":{"pid":4242,"start_time":98765,"boot_id":"6f1c"},"marker":{"key":"GRIT_INSTANCE","value":"api-1"}}"#;

    fn session() -> Session {
        let leader = ProcessId { pid: 4242, start_time: 98765, boot_id: "6f1c".into() };
        Session::new(leader, Marker::new("GRIT_INSTANCE", "api-1").unwrap())
    }

    #[test]
    fn bytes_of_version_1() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        write(&path, &session(), true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), GOLDEN_V1);
        assert_eq!(read(&path).unwrap(), Some(session()));
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn newer_is_refused_and_torn_is_malformed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        std::fs::write(&path, r#"{"v":2,"who":"knows"}"#).unwrap();
        assert!(matches!(read(&path), Err(RecordError::Newer { found: 2, .. })));
        for cut in 0..GOLDEN_V1.len() {
            std::fs::write(&path, &GOLDEN_V1[..cut]).unwrap();
            assert!(matches!(read(&path), Err(RecordError::Malformed { .. })), "cut at {cut}");
        }
    }
}
