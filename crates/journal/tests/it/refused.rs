use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use grit_journal::{OpenError, SqliteJournal};
use grit_ledger::{Append, AppendError, DecodeError, EVENT_BYTES_MAX, Event, Journal};
use grit_types::{Sequence, Version};
use serde_json::json;

use crate::support::{append, event, open, place, stream};

fn refused(path: &Path) -> OpenError {
    SqliteJournal::open(path).map(drop).unwrap_err()
}

#[tokio::test]
async fn a_journal_has_one_owner() {
    let (_folder, path) = place();
    let journal = open(&path);
    let second = refused(&path);
    let pid = std::process::id();
    assert!(matches!(second, OpenError::Held { pid: held, .. } if held == pid), "{second:?}");
    assert!(second.to_string().ends_with(&format!("is in use by process {pid}")), "{second}");
    // The refused attempt took no lock of the first away.
    journal.append(append(&stream("a"), 0)).await.unwrap();
    drop(journal);
    assert_eq!(open(&path).tail(Sequence(0), 10).await.unwrap().len(), 1);
}

#[test]
fn an_alias_of_the_file_is_the_same_journal() {
    let (folder, path) = place();
    let _journal = open(&path);
    let alias = folder.path().join("alias.db");
    std::os::unix::fs::symlink(&path, &alias).unwrap();
    assert!(matches!(refused(&alias), OpenError::Held { .. }));
}

#[test]
fn a_newer_schema_is_refused() {
    let (_folder, path) = place();
    drop(open(&path));
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 2).unwrap();
    newer.close().unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Newer { found: 2, supported: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("schema version 2"), "{error}");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let (folder, _) = place();
    let path = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    other.close().unwrap();
    assert!(matches!(refused(&path), OpenError::Foreign { .. }));
    let other = rusqlite::Connection::open(&path).unwrap();
    let tables: i64 =
        other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let (folder, _) = place();
    let path = folder.path().join("journal.db");
    fs::write(&path, "not a database ".repeat(1_000)).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[tokio::test]
async fn a_torn_file_is_refused() {
    let (_folder, path) = place();
    let journal = open(&path);
    for version in 0..200 {
        journal.append(append(&stream("a"), version)).await.unwrap();
    }
    drop(journal);
    fs::File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
    assert!(matches!(refused(&path), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn damage_within_is_found_by_the_check_and_not_read_as_truth() {
    let (_folder, path) = place();
    let journal = open(&path);
    for version in 0..200 {
        journal.append(append(&stream("a"), version)).await.unwrap();
    }
    assert_eq!(journal.integrity_check().await.unwrap(), [""; 0]);
    drop(journal);
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    for page in 12..20 {
        file.write_all_at(&[0xff; 512], page * 4096).unwrap();
    }
    drop(file);
    let journal = open(&path);
    assert_ne!(journal.integrity_check().await.unwrap(), [""; 0]);
    assert!(journal.tail(Sequence(0), 1_000).await.is_err());
}

#[tokio::test]
async fn an_event_whose_bytes_changed_is_not_read() {
    let (_folder, path) = place();
    let journal = open(&path);
    journal.append(append(&stream("a"), 0)).await.unwrap();
    drop(journal);
    let file = rusqlite::Connection::open(&path).unwrap();
    let forge = "UPDATE event SET body = CAST(replace(body, 'happened', 'HAPPENED') AS BLOB)";
    assert_eq!(file.execute(forge, []).unwrap(), 1);
    file.close().unwrap();
    let error = open(&path).read(&stream("a"), Version(0)).await.unwrap_err();
    assert!(error.source.to_string().contains("damaged"), "{error:?}");
}

#[tokio::test]
async fn an_event_too_large_to_be_read_again_is_not_written() {
    let (_folder, path) = place();
    let journal = open(&path);
    let a = stream("a");
    let of_size = |bytes: usize| {
        let mut event = event(&a, 0);
        event.data = json!("");
        event.data = json!("x".repeat(bytes - event.encode().len()));
        event
    };
    let largest = of_size(EVENT_BYTES_MAX);
    assert_eq!(Event::decode(&largest.encode()).unwrap(), largest);
    let larger = of_size(EVENT_BYTES_MAX + 1);
    assert!(matches!(Event::decode(&larger.encode()), Err(DecodeError::TooLarge(_))));
    let append = |event| Append::events(a.clone(), Version(0), vec![event]);
    let refused = journal.append(append(larger)).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Storage(storage) if !storage.full), "{refused:?}");
    journal.append(append(largest.clone())).await.unwrap();
    assert_eq!(journal.read(&a, Version(0)).await.unwrap()[0].event, largest);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (folder, _) = place();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = refused(&folder.path().join("file/journal.db"));
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
    assert!(error.to_string().contains("file"), "{error}");
}
