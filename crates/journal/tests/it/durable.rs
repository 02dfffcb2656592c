use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use grit_ledger::{AppendError, Journal, PendingEffect, Row, RowQuery, contract};
use grit_types::{EffectId, Sequence, Tenant, Version};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{append, event, open, place, stream};

#[tokio::test]
async fn keeps_the_contract() {
    let (_folder, path) = place();
    contract::journal(&open(&path)).await;
}

#[tokio::test]
async fn a_reopened_journal_holds_everything() {
    let (_folder, path) = place();
    let a = stream("a");
    let mut full = append(&a, 0);
    let id = EffectId { event: event(&a, 0).id(), index: 0 };
    full.effects = vec![PendingEffect { id, stream: a.clone(), body: json!([1.5, null]) }];
    full.rows = vec![Row {
        table: "things".into(),
        key: "k".into(),
        tenant: Tenant::local(),
        scope: "shop".into(),
        status: "open".into(),
        order: -7,
        body: json!({"ü": u64::MAX}),
    }];
    let journal = open(&path);
    journal.append(full.clone()).await.unwrap();
    journal.cursor("relay", Some(Sequence(1))).await.unwrap();
    drop(journal);

    let journal = open(&path);
    let read = journal.read(&a, Version(0)).await.unwrap();
    assert_eq!(read.iter().map(|r| r.event.clone()).collect::<Vec<_>>(), full.events);
    assert_eq!(journal.tail(Sequence(0), 10).await.unwrap(), read);
    assert_eq!(journal.pending().await.unwrap(), full.effects);
    let things = RowQuery { table: "things".into(), ..RowQuery::default() };
    assert_eq!(journal.rows(&things).await.unwrap(), full.rows);
    assert_eq!(journal.cursor("relay", None).await.unwrap(), Sequence(1));
    journal.append(append(&a, 1)).await.unwrap();
    assert_eq!(journal.tail(Sequence(1), 10).await.unwrap()[0].sequence, Sequence(2));
}

#[tokio::test]
async fn only_the_owner_reads_the_file() {
    let (_folder, path) = place();
    let journal = open(&path);
    journal.append(append(&stream("a"), 0)).await.unwrap();
    let data = path.parent().unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(data), 0o700);
    let files: Vec<_> = data.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_are_all_acknowledged_and_kept() {
    let (_folder, path) = place();
    let journal = Arc::new(open(&path));
    let mut appends = JoinSet::new();
    for number in 0..64 {
        let journal = journal.clone();
        appends.spawn(async move { journal.append(append(&stream(number), 0)).await });
    }
    // Every second one again: they conflict in the midst of the others.
    for number in (0..64).step_by(2) {
        let journal = journal.clone();
        appends.spawn(async move { journal.append(append(&stream(number), 0)).await });
    }
    let answers = appends.join_all().await;
    let conflicts =
        answers.iter().filter(|answer| matches!(answer, Err(AppendError::Conflict { .. })));
    assert_eq!(conflicts.count(), 32);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 64);
    drop(journal);

    let journal = open(&path);
    for number in 0..64 {
        let held = journal.read(&stream(number), Version(0)).await.unwrap();
        assert_eq!(held.len(), 1, "stream {number}");
    }
    let tail = journal.tail(Sequence(0), 1_000).await.unwrap();
    let sequences: Vec<u64> = tail.iter().map(|event| event.sequence.0).collect();
    assert_eq!(sequences, (1..=64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_the_tail_skips_nothing_while_others_append() {
    let (_folder, path) = place();
    let journal = Arc::new(open(&path));
    let mut appends = JoinSet::new();
    for number in 0..8 {
        let journal = journal.clone();
        appends.spawn(async move {
            for version in 0..40 {
                journal.append(append(&stream(number), version)).await.unwrap();
                let _conflict = journal.append(append(&stream(number), version)).await;
            }
        });
    }
    let mut seen = Vec::new();
    let read_on = async {
        while seen.len() < 8 * 40 {
            let after = seen.last().copied().unwrap_or(0);
            let page = journal.tail(Sequence(after), 7).await.unwrap();
            seen.extend(page.iter().map(|event| event.sequence.0));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read_on).await.expect("the tail has all events");
    assert_eq!(seen, (1..=320).collect::<Vec<_>>());
    appends.join_all().await;
}

#[tokio::test]
async fn what_was_submitted_is_written_though_nobody_waits() {
    let (_folder, path) = place();
    let journal = open(&path);
    let a = stream("a");
    {
        let mut unwanted = std::pin::pin!(journal.append(append(&a, 0)));
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(unwanted.as_mut().poll(context).is_ready())
        });
        polled.await;
    }
    drop(journal);
    assert_eq!(open(&path).read(&a, Version(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_backup_opens_as_a_journal() {
    let (folder, path) = place();
    let journal = open(&path);
    for version in 0..100 {
        journal.append(append(&stream("a"), version)).await.unwrap();
    }
    let copy = folder.path().join("copy.db");
    journal.backup_to(&copy).await.unwrap();
    journal.append(append(&stream("a"), 100)).await.unwrap();
    let again = journal.backup_to(&copy).await.unwrap_err();
    assert!(again.source.to_string().contains("exists"), "{again:?}");
    let itself = journal.backup_to(journal.path()).await.unwrap_err();
    assert!(itself.source.to_string().contains("exists"), "{itself:?}");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let copied = open(&copy);
    assert_eq!(copied.read(&stream("a"), Version(0)).await.unwrap().len(), 100);
    assert_eq!(copied.integrity_check().await.unwrap(), [""; 0]);
    let left: Vec<_> = folder.path().read_dir().unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

/// What version 1 of the schema looked like when it was released.
#[tokio::test]
async fn a_journal_of_schema_version_1_is_read() {
    let (folder, _) = place();
    let path = folder.path().join("golden.db");
    let golden = rusqlite::Connection::open(&path).unwrap();
    golden.execute_batch(include_str!("../golden/journal-v1.sql")).unwrap();
    golden.close().unwrap();

    let journal = open(&path);
    let a = stream("golden");
    let read = journal.read(&a, Version(0)).await.unwrap();
    assert_eq!(read.iter().map(|r| r.event.clone()).collect::<Vec<_>>(), [event(&a, 0)]);
    let pending = journal.pending().await.unwrap();
    assert_eq!(pending[0].id, EffectId { event: event(&a, 0).id(), index: 3 });
    let rows = journal.rows(&RowQuery { table: "things".into(), ..RowQuery::default() });
    assert_eq!(rows.await.unwrap()[0].body, json!({ "n": 1 }));
    assert_eq!(journal.cursor("relay", None).await.unwrap(), Sequence(1));
    assert_eq!(journal.integrity_check().await.unwrap(), [""; 0]);
}
