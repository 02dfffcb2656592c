use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use grit_git::{GitLedger, Repository};
use grit_ledger::Ledger;
use grit_testkit::order::{CALLS, Call, too_early, whole};
use grit_testkit::{ProcessGuard, git, temp_dir, tool};
use grit_types::EventId;

use crate::{event, lane, this_program};

const REPOSITORY: &str = "GRIT_TEST_REPOSITORY";
const COUNT: &str = "GRIT_TEST_COUNT";
const APPENDER: &str = "crash::each_append_is_acknowledged";

/// Every system call by which a write takes effect.
const WRITING_CALLS: [&str; 10] = [
    "fsync",
    "flock",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
];

/// Appends and writes the id of each event when its append has answered. By itself a test with a
/// repository of its own; the tests below run it as a child on theirs.
#[test]
fn each_append_is_acknowledged() {
    let given = std::env::var_os(REPOSITORY).map(PathBuf::from);
    let own = given.is_none().then(temp_dir);
    let repository = match (&given, &own) {
        (Some(path), _) => Repository::open(path).unwrap(),
        (None, own) => {
            Repository::init_bare(&own.as_ref().unwrap().path().join("own.git")).unwrap()
        }
    };
    let count = std::env::var(COUNT).map_or(3, |count| count.parse().unwrap());
    let ledger = GitLedger::new(repository);
    let before = ledger.read().unwrap().len();
    let who = format!("p{}", std::process::id());
    for number in 0..count {
        let id = ledger.append(&lane("us"), &event(&who, number)).unwrap();
        // One write, so that an acknowledgement is told whole or not at all.
        std::io::stdout().write_all(format!("{id}\n").as_bytes()).unwrap();
    }
    assert_eq!(ledger.read().unwrap().len(), before + count as usize);
}

fn appender(repository: &Path, count: u32) -> Command {
    let mut command = this_program(APPENDER);
    command.env(REPOSITORY, repository).env(COUNT, count.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn acknowledged(line: &str) -> Option<EventId> {
    // The test harness may have begun the line.
    line.split_whitespace().last()?.parse().ok()
}

/// No lock of the dead is left, the next append works, and everything acknowledged is read.
fn assert_whole(path: &Path, acknowledged: &BTreeSet<EventId>, next: u32) {
    let repository = Repository::open(path).unwrap();
    // At once, and so by their mark: a lock without one is left alone while it is young.
    repository.clear_stale_locks().unwrap();
    assert_eq!(locks_below(&path.join("refs")), Vec::<PathBuf>::new());
    let ledger = GitLedger::new(repository);
    let id = ledger.append(&lane("us"), &event("after", next)).unwrap();
    let read: BTreeSet<EventId> = ledger.read().unwrap().iter().map(|event| event.id()).collect();
    let lost: Vec<_> = acknowledged.difference(&read).collect();
    assert!(lost.is_empty() && read.contains(&id), "lost: {lost:?}");
}

fn locks_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(locks_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            found.push(path);
        }
    }
    found
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let place = temp_dir();
    let path = place.path().join("x.git");
    Repository::init_bare(&path).unwrap();
    let mut all = BTreeSet::new();
    for round in 0..30u32 {
        let mut child = ProcessGuard::spawn(&mut appender(&path, 100_000));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 1 + round % 4;
        while left > 0 {
            if let Some(id) = acknowledged(&lines.next().expect("the child ended").unwrap()) {
                all.insert(id);
                left -= 1;
            }
        }
        // Somewhere else in an append each time.
        std::thread::sleep(Duration::from_micros(u64::from(round * 7_919 % 3_000)));
        child.kill().unwrap();
        all.extend(lines.filter_map(|line| acknowledged(&line.unwrap())));
        assert_whole(&path, &all, round);
    }
    git(&path, &["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn killed_at_every_writing_call_the_next_append_works() {
    let strace = tool("strace", "strace");
    let place = temp_dir();
    let mut kills = 0;
    for call in WRITING_CALLS {
        for nth in 1.. {
            let path = place.path().join(format!("{call}-{nth}.git"));
            Repository::init_bare(&path).unwrap();
            let child = appender(&path, 2);
            let mut traced = Command::new(&strace);
            traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            traced.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
            traced.arg(child.get_program()).args(child.get_args());
            traced.env(REPOSITORY, &path).env(COUNT, "2").stderr(Stdio::null());
            let output = traced.output().unwrap();
            let lines = String::from_utf8(output.stdout).unwrap();
            let acknowledged: BTreeSet<_> = lines.lines().filter_map(acknowledged).collect();
            assert_whole(&path, &acknowledged, nth);
            git(&path, &["fsck", "--strict", "--no-dangling"]);
            if output.status.success() {
                assert_eq!(acknowledged.len(), 2);
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 20, "only {kills} kills: the calls go by other names here");
}

#[test]
fn synced_before_named_before_acknowledged() {
    let strace = tool("strace", "strace");
    let place = temp_dir();
    let path = place.path().join("x.git");
    Repository::init_bare(&path).unwrap();
    let trace = place.path().join("trace");
    let child = appender(&path, 3);
    let mut traced = Command::new(strace);
    traced.args(["-f", "-y", "-s", "200", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace);
    traced.arg(child.get_program()).args(child.get_args());
    traced.env(REPOSITORY, &path).env(COUNT, "3");
    assert!(traced.output().unwrap().status.success());
    let text = fs::read_to_string(&trace).unwrap();
    let calls: Vec<Call> = whole(&text)
        .iter()
        .filter_map(|line| Call::read(line, |told| told.parse::<EventId>().is_ok()))
        .collect();
    let count = |wanted: fn(&Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
    assert_eq!(count(|call| matches!(call, Call::Acknowledge)), 3, "{calls:#?}");
    assert_eq!(count(|call| matches!(call, Call::Rename(..))), 7, "{calls:#?}");
    assert_eq!(too_early(&calls), None, "{calls:#?}");
}

#[test]
fn a_full_disk_is_told_and_works_again_when_there_is_room() {
    let strace = tool("strace", "strace");
    let place = temp_dir();
    let path = place.path().join("x.git");
    Repository::init_bare(&path).unwrap();
    for call in ["fsync", "linkat", "rename", "mkdir"] {
        let child = appender(&path, 1);
        let mut traced = Command::new(&strace);
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        traced.args(["-e", &format!("inject={call}:error=ENOSPC")]);
        traced.arg(child.get_program()).args(child.get_args());
        traced.env(REPOSITORY, &path).env(COUNT, "1").stdout(Stdio::piped());
        let mut traced = ProcessGuard::spawn(traced.stderr(Stdio::piped()));
        let (mut told, mut said) = (String::new(), String::new());
        traced.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        traced.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        if call == "mkdir" && traced.wait().unwrap().success() {
            continue;
        }
        assert_eq!(told.lines().find_map(acknowledged), None, "{call}: {told}");
        assert!(said.contains("StorageFull"), "{call}: {said}");
        assert_whole(&path, &BTreeSet::new(), 1);
    }
}

/// By itself a test that three appends work; with every sync of the child failing once, it shows
/// that what follows a failed sync is refused although it would work again.
#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged() {
    let place = temp_dir();
    let given = std::env::var_os(REPOSITORY).map(PathBuf::from);
    if let Some(path) = given {
        let ledger = GitLedger::new(Repository::open(&path).unwrap());
        let answers: Vec<bool> =
            (0..3).map(|n| ledger.append(&lane("us"), &event("us", n)).is_ok()).collect();
        std::io::stdout().write_all(format!("\n{answers:?}\n").as_bytes()).unwrap();
        return;
    }
    let path = place.path().join("x.git");
    Repository::init_bare(&path).unwrap();
    let strace = tool("strace", "strace");
    for (error, expected) in [("EIO", "[false, false, false]"), ("ENOSPC", "[false, true, true]")] {
        let child = this_program("crash::after_a_failed_sync_nothing_more_is_acknowledged");
        let mut traced = Command::new(&strace);
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"]);
        traced.args(["-e", &format!("inject=fsync:error={error}:when=2")]);
        traced.arg(child.get_program()).args(child.get_args()).env(REPOSITORY, &path);
        let output = traced.output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.lines().any(|line| line == expected), "{error}: {told}");
        assert_whole(&path, &BTreeSet::new(), 1);
    }
}
