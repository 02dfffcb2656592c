//! What is routed, on disk.

use std::io;
use std::path::PathBuf;

use grit_host::durable;
use grit_rollout::Route;
use grit_types::Digest;
use serde::{Deserialize, Serialize};

use crate::wire::SlotTrip;

/// The format that is written. An older one would be read, a newer one is refused.
const VERSION: u32 = 1;

/// Where the snapshot lives.
pub trait SnapshotStore: Send {
    /// What was saved last; `None` where nothing ever was.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces it; on return the new one survives a power cut. After an error the old one is
    /// still there, or the new one whole.
    fn save(&self, bytes: &[u8]) -> io::Result<()>;
}

/// The snapshot in a file.
#[derive(Debug)]
pub struct SnapshotFile(pub PathBuf);

impl SnapshotStore for SnapshotFile {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(&self.0) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        durable::write(&self.0, bytes)
    }
}

/// Why a snapshot is not served from.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot cannot be read")]
    Read(#[source] io::Error),
    /// Guessing what was meant could send traffic anywhere.
    #[error("the snapshot is damaged: {problem}")]
    Damaged { problem: String },
    #[error("the snapshot has version {found}, this edge reads up to {supported}")]
    Newer { found: u32, supported: u32 },
}

/// All routes as they were applied, and the trips that hold.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub routes: Vec<Route>,
    pub trips: Vec<SlotTrip>,
}

/// The first line of the file; the second is the [`Snapshot`] it speaks of.
#[derive(Serialize, Deserialize)]
struct Header {
    v: u32,
    digest: Option<Digest>,
}

pub(crate) fn encode(snapshot: &Snapshot) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(snapshot)?;
    let mut bytes = serde_json::to_vec(&Header { v: VERSION, digest: Some(Digest::of(&body)) })?;
    bytes.push(b'\n');
    bytes.extend_from_slice(&body);
    bytes.push(b'\n');
    Ok(bytes)
}

pub(crate) fn load(store: &dyn SnapshotStore) -> Result<Snapshot, SnapshotError> {
    match store.load().map_err(SnapshotError::Read)? {
        Some(bytes) => decode(&bytes),
        None => Ok(Snapshot::default()),
    }
}

fn decode(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let damaged = |problem: &dyn ToString| SnapshotError::Damaged { problem: problem.to_string() };
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let header: Header =
        serde_json::from_slice(lines.next().unwrap_or_default()).map_err(|e| damaged(&e))?;
    if header.v > VERSION {
        return Err(SnapshotError::Newer { found: header.v, supported: VERSION });
    }
    if header.v == 0 {
        return Err(damaged(&"there is no version 0"));
    }
    let body = lines.next().unwrap_or_default().trim_ascii_end();
    if header.digest != Some(Digest::of(body)) {
        return Err(damaged(&"its content does not have the digest it says"));
    }
    serde_json::from_slice(body).map_err(|e| damaged(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote() {
        let bytes = encode(&Snapshot::default()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), Snapshot::default());
    }

    #[test]
    fn version_1_stays_readable() {
        let golden = include_bytes!("../tests/golden/snapshot-1.json");
        let snapshot = decode(golden).unwrap();
        assert_eq!((snapshot.routes.len(), snapshot.trips.len()), (1, 1));
        assert_eq!(snapshot.routes[0].slot.host(), "api.production.localhost");
        assert_eq!(encode(&snapshot).unwrap(), golden);
    }

    #[test]
    fn any_flipped_or_missing_byte_is_noticed() {
        let bytes = encode(&Snapshot::default()).unwrap();
        for at in 0..bytes.len() - 1 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_its_number() {
        let newer = decode(b"{\"v\":2,\"anything\":true}\n???");
        assert!(matches!(newer, Err(SnapshotError::Newer { found: 2, supported: 1 })));
    }
}
