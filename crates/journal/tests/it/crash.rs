use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use grit_journal::{OpenError, SqliteJournal};
use grit_ledger::{Journal, RowQuery};
use grit_types::{EffectId, Sequence};
use serde_json::json;

use crate::support::{open, place};

const WRITER: &str = env!("CARGO_BIN_EXE_journal-writer");
const KILLS: u64 = 20;

/// What was acknowledged: event ids by stream and version.
type Acknowledged = BTreeMap<(String, u64), String>;

fn writer(path: &Path) -> Child {
    Command::new(WRITER).arg(path).stdout(Stdio::piped()).spawn().unwrap()
}

fn take_note(line: &str, acknowledged: &mut Acknowledged) {
    let parts: Vec<&str> = line.split(' ').collect();
    let [stream, version, id] = parts[..] else { panic!("not an acknowledgement: {line}") };
    let place = (stream.to_owned(), version.parse().unwrap());
    let before = acknowledged.insert(place, id.to_owned());
    assert_eq!(before, None, "acknowledged twice: {line}");
}

/// Lets a writer run until it has told `count` acknowledgements, and kills it amid the next.
fn run_and_kill(path: &Path, count: usize, acknowledged: &mut Acknowledged) {
    let mut child = writer(path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.by_ref().take(count) {
        take_note(&line.unwrap(), acknowledged);
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    // What it told before it died counts too.
    lines.for_each(|line| take_note(&line.unwrap(), acknowledged));
}

/// Every acknowledgement is held, every stream is whole, and effects and rows belong to its last
/// event.
async fn check(journal: &SqliteJournal, acknowledged: &Acknowledged) {
    let tail = journal.tail(Sequence(0), usize::MAX).await.unwrap();
    let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (event, place) in tail.iter().zip(1..) {
        assert_eq!(event.sequence, Sequence(place));
        let stream = held.entry(event.stream.to_string()).or_default();
        stream.push(event.id.to_string());
        assert_eq!(event.version.0, stream.len() as u64);
    }
    for ((stream, version), id) in acknowledged {
        let place = usize::try_from(*version).unwrap() - 1;
        assert_eq!(held[stream].get(place), Some(id), "{stream} {version} was lost");
    }
    let pending = journal.pending().await.unwrap();
    let owed: BTreeMap<_, _> = pending.into_iter().map(|e| (e.stream.to_string(), e.id)).collect();
    let query = RowQuery { table: "torture".into(), ..RowQuery::default() };
    let rows = journal.rows(&query).await.unwrap();
    assert_eq!((owed.len(), rows.len()), (held.len(), held.len()));
    for row in rows {
        let events = &held[&row.key];
        assert_eq!(row.body, json!(events.len()));
        let last = events.last().unwrap().parse().unwrap();
        assert_eq!(owed[&row.key], EffectId { event: last, index: 0 });
    }
}

#[tokio::test]
async fn a_writer_killed_at_any_moment_loses_nothing_it_acknowledged() {
    let (_folder, path) = place();
    let mut acknowledged = Acknowledged::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let count = usize::try_from(random >> 33).unwrap() % 150;
        run_and_kill(&path, count, &mut acknowledged);
        let journal = open(&path);
        check(&journal, &acknowledged).await;
        assert_eq!(journal.integrity_check().await.unwrap(), [""; 0]);
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
}

#[tokio::test]
async fn a_journal_held_by_another_process_is_free_once_that_is_killed() {
    let (_folder, path) = place();
    let mut child = writer(&path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let error = SqliteJournal::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Held { pid, .. } if pid == child.id()), "{error:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!open(&path).tail(Sequence(0), 1).await.unwrap().is_empty());
}

/// The limit on the size of a file makes the write itself fail, which is not a full disk.
#[tokio::test]
async fn after_a_failed_write_nothing_more_is_acknowledged() {
    let (_folder, path) = place();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$1\"", WRITER])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let (errors, acknowledgements): (Vec<&str>, Vec<&str>) =
        told.lines().partition(|line| line.starts_with("error "));
    assert!(errors.iter().all(|error| error.starts_with("error full=false")), "{errors:?}");
    assert!(errors.iter().any(|error| !error.contains("writes have stopped")), "{errors:?}");
    for stream in ["torture/0", "torture/1", "torture/2", "torture/3"] {
        let lines: Vec<&str> = told.lines().filter(|line| line.contains(stream)).collect();
        let [.., acknowledged, first, second] = lines[..] else { panic!("{lines:?}") };
        assert!(!acknowledged.starts_with("error "), "{lines:?}");
        assert!(first.starts_with("error "), "acknowledged after a failure: {lines:?}");
        assert!(second.contains("writes have stopped"), "{lines:?}");
    }

    let mut acknowledged = Acknowledged::new();
    acknowledgements.iter().for_each(|line| take_note(line, &mut acknowledged));
    assert!(!acknowledged.is_empty());
    check(&open(&path), &acknowledged).await;
}
