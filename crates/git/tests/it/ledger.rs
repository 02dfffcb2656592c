use std::fs::File;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use grit_git::{GitLedger, Repository};
use grit_ledger::{BytesError, Cut, FILE_BYTES_MAX, Lane, Ledger, LedgerError, contract};
use grit_testkit::{TestRepo, git, repo, temp_dir};
use grit_types::{Actor, Digest};

use crate::{Fixed, Team, event, files_below, lane};

#[test]
fn it_keeps_the_contract() {
    let (team, alone) = (Team::new(), repo());
    let alone = GitLedger::new(Repository::open(alone.path()).unwrap());
    contract::ledger(&team.clone("ours"), &team.clone("theirs"), &alone);
}

#[test]
fn it_keeps_the_contract_below_branches() {
    let team = Team::new();
    let prefix = "refs/heads/grit".parse().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| team.clone(name).with_prefix(&prefix));
    let alone = repo();
    let alone = GitLedger::new(Repository::open(alone.path()).unwrap());
    contract::ledger(&ours, &theirs, &alone.with_prefix(&prefix));
}

#[test]
fn an_append_costs_one_object_and_the_empty_tree_once() {
    let shop = repo().file("a", "x").commit("first");
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    let objects = shop.path().join(".git/objects");
    let mut before = files_below(&objects);
    for (number, expected) in [(1, 2), (2, 1), (3, 1)] {
        ledger.append(&lane("us"), &event("us", number)).unwrap();
        let after = files_below(&objects);
        assert_eq!(after - before, expected);
        before = after;
    }
    shop.git(&["fsck", "--strict"]);
}

#[test]
fn files_are_checked_against_their_digests_and_travel_with_a_moved_entry() {
    let team = Team::new();
    let job = team.clone("job").short_lived("job");
    let bytes = b"what the job printed".to_vec();
    let digest = Digest::of(&bytes);
    job.append_with(&lane("job"), &event("job", 1), &[&bytes, &bytes]).unwrap();
    job.sync().unwrap();
    let reader = team.clone("reader");
    reader.sync().unwrap();
    let entry = reader.since(&Cut::new()).unwrap().entries.remove(0);
    assert!(entry.lane.starts_with("ci/"), "{}", entry.lane);
    assert_eq!(reader.bytes(&digest).unwrap(), bytes);
    let tree = git(reader.repository().git_dir(), &["ls-tree", &entry.at]);
    assert!(tree.starts_with("100644 blob ") && tree.ends_with(&digest.hex()), "{tree}");
    git(&team.remote(), &["fsck", "--strict"]);

    // Fetched objects are in a pack: loose ones can be damaged one by one.
    let blob = tree.split_whitespace().nth(2).unwrap();
    let object = |id: &str| {
        let objects = job.repository().git_dir().join("objects");
        objects.join(&id[..2]).join(&id[2..])
    };
    let whole = std::fs::read(object(blob)).unwrap();
    std::fs::remove_file(object(blob)).unwrap();
    let entry = job.since(&Cut::new()).unwrap().entries.remove(0);
    let gone = job.bytes(&digest);
    assert!(matches!(gone, Err(BytesError::NotHere { .. })), "{gone:?}");
    let other = git(job.repository().git_dir(), &["hash-object", "-w", "/dev/null"]);
    std::fs::rename(object(&other), object(blob)).unwrap();
    let altered = job.bytes_at(&entry.at, &digest);
    assert!(matches!(altered, Err(BytesError::Altered { .. })), "{altered:?}");
    std::fs::remove_file(object(blob)).unwrap();
    std::fs::write(object(blob), &whole[..whole.len() / 2]).unwrap();
    let broken = job.bytes(&digest);
    assert!(matches!(broken, Err(BytesError::Unreadable { .. })), "{broken:?}");
    assert_eq!(job.read().unwrap().len(), 1, "the event is there all the same");
    let large = vec![0; FILE_BYTES_MAX + 1];
    assert!(job.append_with(&lane("job"), &event("job", 2), &[&large]).is_err());
}

#[test]
fn plain_git_shows_the_events() {
    let shop = repo();
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    for number in 1..=2 {
        ledger.append(&lane("us"), &event("us", number)).unwrap();
    }
    let canonical = |number| String::from_utf8(event("us", number).encode()).unwrap();
    let log = shop.git(&["log", "--format=%an %ae %at %B", "refs/grit/a/us"]);
    let line = |number| format!("ada ada@grit 1767323045 {}", canonical(number));
    assert_eq!(log, format!("{}\n\n{}\n", line(2), line(1)).trim_end());
}

#[test]
fn any_event_is_a_commit_that_git_accepts() {
    let shop = repo();
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    let mut events = Vec::new();
    for millis in [i64::MIN, -1, 0, 1, 1 << 50, i64::MAX] {
        let mut event = event("us", 1);
        event.hlc.millis = millis;
        event.actor = Actor::new("a.b+c@example.invalid".parse().unwrap(), "<\n>\0");
        event.data = "\0\n\r<>\u{2028}".into();
        ledger.append(&lane("us"), &event).unwrap();
        events.push(event);
    }
    assert_eq!(ledger.read().unwrap(), events);
    assert_eq!(shop.git(&["fsck", "--strict"]), "");
}

#[test]
fn packed_refs_are_read_and_continued() {
    let shop = repo().file("a", "x").commit("first");
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    for number in 1..=6 {
        ledger.append(&lane("us"), &event("us", number)).unwrap();
        shop.git(&["pack-refs", "--all", "--prune"]);
        assert!(!shop.path().join(".git/refs/grit/a/us").exists());
    }
    shop.git(&["gc", "--quiet", "--prune=now"]);
    ledger.append(&lane("us"), &event("us", 7)).unwrap();
    assert_eq!(ledger.read().unwrap().len(), 7);
    assert_eq!(shop.git(&["rev-list", "--count", "refs/grit/a/us"]), "7");
}

#[test]
fn appends_and_git_packing_refs_do_not_disturb_each_other() {
    let shop = repo().file("a", "x").commit("first");
    let path = shop.path();
    let barrier = Barrier::new(5);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let barrier = &barrier;
            scope.spawn(move || {
                let ledger = GitLedger::new(Repository::open(path).unwrap());
                barrier.wait();
                for number in 0..25 {
                    let event = event(&format!("w{writer}"), number);
                    ledger.append(&lane("us"), &event).unwrap();
                }
            });
        }
        barrier.wait();
        for _ in 0..20 {
            shop.git(&["pack-refs", "--all", "--prune"]);
        }
    });
    let ledger = GitLedger::new(Repository::open(path).unwrap());
    assert_eq!(ledger.read().unwrap().len(), 100);
    assert_eq!(shop.git(&["rev-list", "--count", "refs/grit/a/us"]), "100");
}

#[test]
fn hostile_lanes_are_refused() {
    let shop = repo();
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    let long = "x".repeat(101);
    for name in ["", ".", "..", "a/b", "../../heads/main", "x.lock", "-x", "a b", "a\0", &long] {
        for lane in [Lane::Actor(name.to_owned()), Lane::Audit(name.to_owned())] {
            let refused = ledger.append(&lane, &event("us", 1));
            assert!(matches!(refused, Err(LedgerError::Storage { .. })), "{name:?}");
        }
    }
    assert_eq!(ledger.heads().unwrap(), []);
}

#[test]
fn what_cannot_be_read_again_is_not_written() {
    let shop = repo();
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    let mut large = event("us", 1);
    large.data = "x".repeat(5 << 20).into();
    assert!(ledger.append(&lane("us"), &large).is_err());
    assert_eq!(ledger.heads().unwrap(), []);
}

/// A commit with this message behind the lane's tip, as nobody's Grit would write it.
fn put(shop: &TestRepo, lane: &str, message: &str) -> String {
    let tree = shop.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let name = format!("refs/grit/a/{lane}");
    let tip = shop.git(&["for-each-ref", "--format=%(objectname)", &name]);
    let mut args = vec!["commit-tree", "-m", message, &tree];
    if !tip.is_empty() {
        args.extend(["-p", &tip]);
    }
    let id = shop.git(&args);
    shop.git(&["update-ref", &name, &id]);
    id
}

#[test]
fn what_is_no_event_is_quarantined_and_nothing_else() {
    let shop = repo();
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    ledger.append(&lane("us"), &event("us", 1)).unwrap();
    let text = put(&shop, "us", "this is no event");
    let newer = String::from_utf8(event("us", 2).encode()).unwrap();
    let newer = put(&shop, "us", &newer.replace("\"v\":1}", "\"v\":2}"));
    let spaced = String::from_utf8(event("us", 3).encode()).unwrap();
    let spaced = put(&shop, "us", &spaced.replace(":1}", ": 1}"));
    ledger.append(&lane("us"), &event("us", 4)).unwrap();
    ledger.append(&lane("we"), &event("we", 5)).unwrap();
    let changes = ledger.since(&Cut::new()).unwrap();
    let bad: Vec<(&str, &str)> =
        changes.quarantined.iter().map(|bad| (bad.lane.as_str(), bad.at.as_str())).collect();
    assert_eq!(bad, [("a/us", &*spaced), ("a/us", &*newer), ("a/us", &*text)]);
    assert!(changes.quarantined[1].reason.contains("version 2"), "{:?}", changes.quarantined);
    let (one, four, five) = (event("us", 1), event("us", 4), event("we", 5));
    assert_eq!(ledger.read().unwrap(), [one, four, five]);
    assert_eq!(ledger.since(&changes.cut()).unwrap().quarantined, []);
}

#[test]
fn an_altered_object_is_noticed_and_what_follows_it_is_read() {
    let shop = repo();
    let ledger = GitLedger::new(Repository::open(shop.path()).unwrap());
    let mut tips = Vec::new();
    for number in 1..=3 {
        ledger.append(&lane("us"), &event("us", number)).unwrap();
        tips.push(ledger.heads().unwrap()[0].tip.clone());
    }
    let object = |id: &str| shop.path().join(".git/objects").join(&id[..2]).join(&id[2..]);
    std::fs::rename(object(&tips[0]), object(&tips[1])).unwrap();
    let changes = ledger.since(&Cut::new()).unwrap();
    assert_eq!(changes.entries.len(), 1);
    assert_eq!(changes.entries[0].event, event("us", 3));
    assert_eq!(changes.quarantined[0].at, tips[1]);
    assert!(changes.quarantined[0].reason.contains("not those that its id stands for"));
    let known = Cut::from([("a/us".to_owned(), tips[0].clone())]);
    assert_eq!(ledger.since(&known).unwrap().restarted, Vec::<String>::new());
}

#[test]
fn a_lock_that_a_dead_git_left_is_cleared() {
    let shop = repo();
    let repository = Repository::open(shop.path()).unwrap();
    let ledger = GitLedger::new(repository.clone());
    ledger.append(&lane("us"), &event("us", 1)).unwrap();
    let locks = ["refs/grit/a/us.lock", "refs/heads/main.lock", "packed-refs.lock"]
        .map(|name| shop.path().join(".git").canonicalize().unwrap().join(name));
    let leave = |age: Duration| {
        for lock in &locks {
            let file = File::create(lock).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
    };
    leave(Duration::ZERO);
    assert_eq!(repository.clear_stale_locks().unwrap(), Vec::<std::path::PathBuf>::new());
    leave(Duration::from_secs(3_600));
    ledger.append(&lane("us"), &event("us", 2)).unwrap();
    assert!(!locks[0].exists());
    leave(Duration::from_secs(3_600));
    let mut cleared = repository.clear_stale_locks().unwrap();
    cleared.sort();
    let mut expected = locks.to_vec();
    expected.sort();
    assert_eq!(cleared, expected);
    shop.git(&["pack-refs", "--all"]);
}

#[test]
fn the_lane_of_a_clone_is_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let shop = repo();
    let repository = Repository::open(shop.path()).unwrap();
    let name = repository.actor(&Fixed(7)).unwrap();
    assert_eq!(name, "07070707070707070707");
    assert_eq!(repository.actor(&Fixed(8)).unwrap(), name);
    let file = shop.path().join(".git/grit/actor");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let place = temp_dir();
    let copy = place.path().join("copy");
    git(place.path(), &["init", "--quiet", "copy"]);
    std::fs::create_dir_all(copy.join(".git/grit")).unwrap();
    std::fs::copy(&file, copy.join(".git/grit/actor")).unwrap();
    let copy = Repository::open(&copy).unwrap();
    assert_ne!(copy.actor(&Fixed(9)).unwrap(), name);
    assert_eq!(copy.actor(&Fixed(1)).unwrap(), copy.actor(&Fixed(2)).unwrap());

    std::fs::write(&file, r#"{"v":2,"lane":"x","inode":1}"#).unwrap();
    assert!(repository.actor(&Fixed(1)).is_err(), "a newer form was guessed");
}
