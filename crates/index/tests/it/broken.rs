//! Whatever happens to the file, the answer is right.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_index::{Health, Index, check, rebuild};
use grit_issues::Query;
use grit_types::Timestamp;

use crate::world::{Lanes, START, created};

const NOW: Timestamp = Timestamp::from_millis(START);

struct Desk {
    folder: tempfile::TempDir,
    ledger: Arc<Lanes>,
}

impl Desk {
    /// Two hundred issues, so that the tables have pages below pages.
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), ledger: Lanes::shared() };
        for number in 0..200 {
            desk.ledger.push("a/1", created(&format!("number {number}"), START + number));
        }
        assert_eq!(desk.count(), 200);
        desk
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("grit/index.db")
    }

    fn open(&self) -> Index {
        Index::open(&self.path(), self.ledger.clone()).unwrap()
    }

    /// Another file in its place, without a log.
    fn put(&self, bytes: &[u8]) {
        for end in ["-wal", "-shm"] {
            let mut name = self.path().into_os_string();
            name.push(end);
            // It may be gone already.
            let _ = fs::remove_file(name);
        }
        fs::write(self.path(), bytes).unwrap();
    }

    fn count(&self) -> usize {
        count(&self.open())
    }

    fn check(&self) -> Health {
        check(&self.path(), &*self.ledger).unwrap()
    }
}

fn count(index: &Index) -> usize {
    index.issues(&Query::everything(), NOW, None).unwrap().len()
}

/// Has the file hold everything, without its log.
fn settle(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[test]
fn what_moves_the_refs_is_noticed_at_the_next_look() {
    let desk = Desk::new();
    let index = desk.open();
    // As `git fetch` would: nobody tells the index.
    desk.ledger.push("a/2", created("fetched by hand", START));
    assert_eq!((desk.count(), count(&index)), (201, 201));
    desk.ledger.rewind("a/1", 10);
    assert_eq!(desk.count(), 11);
    desk.ledger.rewind("a/2", 0);
    index.refresh().unwrap();
    assert_eq!(count(&index), 10);
}

#[test]
fn what_could_not_be_read_is_taken_in_when_it_can_be() {
    let desk = Desk::new();
    desk.ledger.spoil("a/1", 3);
    assert_eq!(desk.count(), 200);
    desk.ledger.push("a/1", created("behind it", START));
    assert_eq!(desk.count(), 201);
    desk.ledger.heal("a/1", created("it was missing", START));
    assert_eq!(desk.count(), 202);
    assert_eq!(desk.check(), Health::Whole);
}

#[test]
fn a_file_that_is_gone_or_worth_nothing_is_made_anew() {
    let desk = Desk::new();
    settle(&desk.path());
    let whole = fs::read(desk.path()).unwrap();
    let half = whole[..whole.len() / 2].to_vec();
    let mut torn = whole.clone();
    torn[4096..].fill(0xa5);
    let mut odd = whole.clone();
    odd.truncate(whole.len() - 1_000);
    for bytes in [&half, &torn, &odd, &b"not a database".to_vec(), &b"".to_vec()] {
        desk.put(bytes);
        let index = desk.open();
        assert_eq!(count(&index), 200);
        assert!(index.is_on_disk());
        drop(index);
        assert_eq!(desk.check(), Health::Whole);
    }
    for end in ["", "-wal", "-shm"] {
        let mut name = desk.path().into_os_string();
        name.push(end);
        fs::remove_file(&name).unwrap();
        assert_eq!(desk.count(), 200, "without {name:?}");
    }
    fs::remove_dir_all(desk.path().parent().unwrap()).unwrap();
    assert_eq!(desk.check(), Health::Absent);
    assert_eq!(desk.count(), 200);
}

#[test]
fn damage_within_is_found_when_it_is_read() {
    let desk = Desk::new();
    settle(&desk.path());
    let whole = fs::read(desk.path()).unwrap();
    for page in (1..whole.len() / 4096).step_by(3) {
        let mut torn = whole.clone();
        torn[page * 4096..(page + 1) * 4096].fill(0xa5);
        desk.put(&torn);
        assert!(matches!(desk.check(), Health::Broken(_)), "page {page}");
        assert_eq!(desk.count(), 200, "page {page}");
    }
}

#[test]
fn another_versions_file_is_replaced() {
    let desk = Desk::new();
    for sql in [
        "UPDATE meta SET value = '99 1 9.0.0'",
        "DELETE FROM meta",
        "DROP TABLE meta",
        "ALTER TABLE meta RENAME TO other",
    ] {
        rusqlite::Connection::open(desk.path()).unwrap().execute_batch(sql).unwrap();
        assert!(matches!(desk.check(), Health::Broken(_)), "{sql}");
        let index = desk.open();
        assert_eq!(count(&index), 200, "{sql}");
        assert!(index.is_on_disk(), "{sql}");
    }
}

#[test]
fn rows_that_lie_are_named_and_made_anew() {
    let desk = Desk::new();
    for sql in [
        "UPDATE record SET json = replace(json, 'number 7', 'number 8')",
        "DELETE FROM tag WHERE n = 3",
        "DELETE FROM event WHERE n = 3",
        "UPDATE view SET json = replace(json, 'number 9', 'number 8')",
    ] {
        rusqlite::Connection::open(desk.path()).unwrap().execute_batch(sql).unwrap();
        let expected = Health::Broken("it does not hold what the ledger does".to_owned());
        assert_eq!(desk.check(), expected, "{sql}");
        rebuild(&desk.path(), &*desk.ledger).unwrap();
        assert_eq!(desk.check(), Health::Whole, "{sql}");
    }
    let sql = "UPDATE view SET json = '{'";
    rusqlite::Connection::open(desk.path()).unwrap().execute_batch(sql).unwrap();
    assert_eq!(desk.count(), 200);
    assert_eq!(desk.check(), Health::Whole);
}

#[test]
fn where_no_file_can_be_the_tables_are_in_memory() {
    let desk = Desk::new();
    fs::remove_dir_all(desk.path().parent().unwrap()).unwrap();
    fs::write(desk.path().parent().unwrap(), "in the way").unwrap();
    let index = desk.open();
    assert!(!index.is_on_disk());
    assert_eq!(count(&index), 200);
    desk.ledger.push("a/2", created("more", START));
    index.refresh().unwrap();
    assert_eq!(count(&index), 201);
    fs::remove_file(desk.path().parent().unwrap()).unwrap();
    fs::create_dir_all(desk.path()).unwrap();
    assert_eq!(desk.count(), 201, "a folder of that name");
}

#[test]
fn a_file_that_may_not_be_written_is_got_around() {
    let desk = Desk::new();
    settle(&desk.path());
    let folder = desk.path().parent().unwrap().to_owned();
    for name in fs::read_dir(&folder).unwrap() {
        fs::set_permissions(name.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    desk.ledger.push("a/2", created("more", START));
    assert_eq!(desk.count(), 201);
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn who_writes_for_ever_keeps_nobody_from_reading() {
    let desk = Desk::new();
    let other = rusqlite::Connection::open(desk.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM issue").unwrap();
    assert_eq!(desk.count(), 200);
    desk.ledger.push("a/2", created("more", START));
    let index = desk.open();
    assert_eq!((count(&index), index.is_on_disk()), (201, false));
    drop(other);
    let index = desk.open();
    assert_eq!((count(&index), index.is_on_disk()), (201, true));
}

#[test]
fn a_file_that_others_have_open_is_not_taken_from_them() {
    let desk = Desk::new();
    let reader = desk.open();
    assert!(rebuild(&desk.path(), &*desk.ledger).is_err());
    assert_eq!(count(&reader), 200);
    drop(reader);
    rebuild(&desk.path(), &*desk.ledger).unwrap();
    assert_eq!(desk.check(), Health::Whole);
}

#[test]
fn many_at_once_agree() {
    let desk = Desk::new();
    fs::remove_dir_all(desk.path().parent().unwrap()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let desk = &desk;
            scope.spawn(move || {
                for number in 0..20 {
                    let title = format!("by {writer}: {number}");
                    desk.ledger.push(&format!("a/w{writer}"), created(&title, START));
                    let index = desk.open();
                    assert!(count(&index) > 200 + number);
                }
            });
        }
    });
    assert_eq!(desk.count(), 320);
    assert_eq!(desk.check(), Health::Whole);
}

#[test]
fn the_log_stays_short_however_many_processes_write() {
    let desk = Desk::new();
    let log = desk.path().with_extension("db-wal");
    for number in 0..60 {
        desk.ledger.push("a/2", created(&format!("later {number}"), START));
        drop(desk.open());
        let bytes = fs::metadata(&log).unwrap().len();
        assert!(bytes < 2 << 20, "{bytes} bytes after {number}");
    }
    assert_eq!(desk.count(), 260);
}
