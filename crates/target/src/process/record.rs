//! What is wanted of an instance, and what is known of it: `ID/record.json`.
//!
//! Who its process is stands beside it in `process.json`, which the shim writes.

use std::io::{self, Read};
use std::path::Path;

use grit_rollout::{Instance, RunSpec, SlotId};
use grit_types::{Digest, EffectId, Timestamp};
use serde::{Deserialize, Serialize};

pub(super) const VERSION: u64 = 1;
/// A record holds a command and an environment; nothing larger is one.
const LEN_MAX: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) v: u64,
    pub(super) slot: SlotId,
    pub(super) version: String,
    pub(super) artifact: Digest,
    pub(super) run: RunSpec,
    /// The `ensure` that started it.
    pub(super) effect: EffectId,
    pub(super) created: Timestamp,
    /// Since it was created.
    pub(super) was_ready: bool,
    /// It is to end, and how long it may take to; set before it is asked to.
    pub(super) stopping_ms: Option<u64>,
    /// As it was last seen.
    pub(super) instance: Instance,
}

pub(super) enum Reading {
    Record(Box<Record>),
    Missing,
    Malformed(String),
    Newer(u64),
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

impl Record {
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        grit_host::durable::write(path, &serde_json::to_vec(self)?)
    }

    /// The port that it was last given.
    pub(super) fn port(&self) -> Option<u16> {
        self.instance.address.rsplit_once(':')?.1.parse().ok()
    }
}

pub(super) fn read(path: &Path) -> io::Result<Reading> {
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(LEN_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reading::Missing),
        Err(error) => return Err(error),
    };
    let version: Result<Version, _> = serde_json::from_slice(&bytes);
    match version {
        Ok(Version { v }) if v > VERSION => return Ok(Reading::Newer(v)),
        Ok(_) => {}
        Err(error) => return Ok(Reading::Malformed(error.to_string())),
    }
    Ok(match serde_json::from_slice(&bytes) {
        Ok(record) => Reading::Record(Box::new(record)),
        Err(error) => Reading::Malformed(error.to_string()),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const GOLDEN_V1: &str = include_str!("../../tests/golden/record-v1.json");

    #[test]
    fn version_1_reads_back_to_the_byte() {
        let record: Record = serde_json::from_str(GOLDEN_V1).unwrap();
        assert_eq!(record.port(), Some(40_001));
        assert_eq!(serde_json::to_string(&record).unwrap(), GOLDEN_V1.trim_end());
    }

    #[test]
    fn torn_is_malformed_and_newer_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        assert!(matches!(read(&path).unwrap(), Reading::Missing));
        let golden = GOLDEN_V1.trim_end();
        for cut in 0..golden.len() {
            std::fs::write(&path, &golden[..cut]).unwrap();
            assert!(matches!(read(&path).unwrap(), Reading::Malformed(_)), "cut at {cut}");
        }
        std::fs::write(&path, r#"{"v":2,"who":"knows"}"#).unwrap();
        assert!(matches!(read(&path).unwrap(), Reading::Newer(2)));
    }
}
