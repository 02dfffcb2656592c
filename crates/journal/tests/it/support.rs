use std::path::PathBuf;

use grit_journal::SqliteJournal;
use grit_ledger::{Append, Event, Hlc, StreamId};
use grit_types::{Actor, Tenant, Version};
use serde_json::json;
use tempfile::TempDir;

/// A folder of its own, and where the journal lies in it.
pub fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("journal.db");
    (folder, path)
}

pub fn open(path: &std::path::Path) -> SqliteJournal {
    SqliteJournal::open(path).unwrap()
}

pub fn stream(name: impl std::fmt::Display) -> StreamId {
    format!("test/{name}").parse().unwrap()
}

pub fn event(stream: &StreamId, number: u32) -> Event {
    Event {
        kind: "test.happened".to_owned(),
        tenant: Tenant::local(),
        repo: "test".parse().unwrap(),
        subject: stream.to_string(),
        actor: Actor::grit("test"),
        hlc: Hlc { millis: i64::from(number), count: 0 },
        cause: None,
        data: json!({ "number": number, "text": "ü\n\"\u{0}" }),
    }
}

pub fn append(stream: &StreamId, version: u64) -> Append {
    let event = event(stream, u32::try_from(version).unwrap());
    Append::events(stream.clone(), Version(version), vec![event])
}
