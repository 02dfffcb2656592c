use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use grit_git::{Compact, Compacted, Exchange, GitLedger};
use grit_ledger::{Cut, Head, Lane, Ledger, LedgerError};
use grit_testkit::git;
use grit_types::{EventId, Timestamp};
use proptest::prelude::*;

use crate::{Team, event, lane};

/// A year after the events of these tests.
fn all() -> Compact {
    let now = Timestamp::from_millis(1_800_000_000_000);
    Compact { idle: Duration::from_secs(86_400), now, only_look: false }
}

fn refs(team: &Team) -> Vec<String> {
    let refs = git(&team.remote(), &["for-each-ref", "--format=%(refname)", "refs/grit"]);
    refs.lines().map(|name| name.trim_start_matches("refs/grit/").to_owned()).collect()
}

fn append(ledger: &GitLedger, name: &str, number: u32) -> EventId {
    ledger.append(&lane(name), &event(name, number)).unwrap()
}

fn ids(ledger: &GitLedger) -> Vec<EventId> {
    ledger.read().unwrap().iter().map(grit_ledger::Event::id).collect()
}

fn heads(ledger: &GitLedger) -> Vec<Head> {
    ledger.heads().unwrap()
}

fn sync_all(clones: &[GitLedger]) {
    for clone in clones {
        clone.sync().unwrap();
    }
}

/// Has the remote run a script for each ref that is pushed: `NAME OLD NEW`.
fn refuse(team: &Team, script: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let hook = team.remote().join("hooks/update");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    hook
}

/// Three clones with a few events each, all exchanged.
fn three(team: &Team) -> [GitLedger; 3] {
    let clones = ["a", "b", "c"].map(|name| team.clone(name));
    for (name, clone) in ["a", "b", "c"].iter().zip(&clones) {
        (1..=3).for_each(|number| drop(append(clone, name, number)));
        clone.sync().unwrap();
    }
    sync_all(&clones);
    clones
}

#[test]
fn folded_lanes_read_as_before_everywhere() {
    let team = Team::new();
    let [a, b, c] = three(&team);
    let (events, ends) = (ids(&a), heads(&a));
    let known = b.since(&Cut::new()).unwrap().cut();
    let compacted = a.compact(&all()).unwrap();
    assert_eq!(compacted.folded, ["a/a", "a/b", "a/c"]);
    assert_eq!((&compacted.removed, compacted.left), (&compacted.folded, 0));
    assert_eq!(refs(&team), ["base"]);
    let fresh = team.clone("fresh");
    for ledger in [&a, &b, &c, &fresh] {
        let exchanged = ledger.exchange(&Exchange::default()).unwrap();
        let received = if std::ptr::eq(ledger, &fresh) { 9 } else { 0 };
        assert_eq!(exchanged.received.values().sum::<usize>(), received);
        assert_eq!(exchanged.sent.len(), 0);
        assert_eq!((ids(ledger), heads(ledger)), (events.clone(), ends.clone()));
        assert_eq!(ledger.fsck().unwrap(), Vec::<String>::new());
        assert_eq!(ledger.standing().unwrap(), grit_git::Standing::default());
    }
    let since = b.since(&known).unwrap();
    assert_eq!((since.entries.len(), since.restarted.len()), (0, 0));
    let local = git(b.repository().git_dir(), &["for-each-ref", "refs/grit/a"]);
    assert_eq!(local, "", "what is covered needs no ref here either");
    assert_eq!(refs(&team), ["base"]);
    git(&team.remote(), &["gc", "--quiet", "--prune=now"]);
    git(&team.remote(), &["fsck", "--strict"]);
    assert_eq!(a.compact(&all()).unwrap().folded, Vec::<String>::new());
}

#[test]
fn a_folded_lane_goes_on_and_is_folded_again() {
    let team = Team::new();
    let [a, b, c] = three(&team);
    a.compact(&all()).unwrap();
    // One that knows, one that does not yet, and one that never had the lane.
    append(&a, "a", 4);
    append(&b, "b", 4);
    for ledger in [&b, &a, &c, &b] {
        ledger.sync().unwrap();
    }
    assert_eq!(refs(&team), ["a/a", "a/b", "base"]);
    let known = c.since(&Cut::new()).unwrap();
    assert_eq!((known.entries.len(), known.heads.len()), (11, 3));
    b.compact(&all()).unwrap();
    assert_eq!(refs(&team), ["base"]);
    append(&a, "a", 5);
    a.sync().unwrap();
    c.sync().unwrap();
    assert_eq!(c.since(&known.cut()).unwrap().entries.len(), 1);
    assert_eq!(ids(&a), ids(&c));
    assert_eq!(ids(&team.clone("fresh")).len(), 0);
    let fresh = team.ledger("fresh");
    fresh.sync().unwrap();
    assert_eq!(ids(&fresh), ids(&a));
    assert_eq!(
        git(&team.remote(), &["rev-list", "--count", "--min-parents=2", "refs/grit/base"]),
        "2"
    );
}

#[test]
fn a_busy_lane_stays() {
    let team = Team::new();
    let [a, ..] = three(&team);
    let mut late = event("b", 9);
    late.hlc.millis = all().now.millis() - 1_000;
    team.ledger("b").append(&lane("b"), &late).unwrap();
    team.ledger("b").append(&Lane::Audit("server".into()), &event("server", 1)).unwrap();
    team.ledger("b").sync().unwrap();
    let looked = a.compact(&Compact { only_look: true, ..all() }).unwrap();
    assert_eq!((looked.folded.len(), looked.removed.len(), looked.left), (2, 0, 3));
    assert_eq!(refs(&team).len(), 4);
    let compacted = a.compact(&all()).unwrap();
    assert_eq!((compacted.folded.len(), compacted.left), (2, 1));
    assert_eq!(refs(&team), ["a/b", "audit/server", "base"]);
}

/// The checkpoint did not reach the remote, so that nothing covers the lanes there.
#[test]
fn a_lane_that_nothing_covers_is_never_removed() {
    let team = Team::new();
    let [a, ..] = three(&team);
    let hook = refuse(&team, "case $1 in */base) exit 1 ;; esac");
    let refused = a.compact(&all());
    assert!(matches!(refused, Err(LedgerError::Refused { .. })), "{refused:?}");
    assert_eq!(refs(&team), ["a/a", "a/b", "a/c"]);
    std::fs::remove_file(hook).unwrap();
    assert_eq!(a.compact(&all()).unwrap().removed.len(), 3);
}

/// As after a crash between the two steps.
fn without_removal(team: &Team, ledger: &GitLedger) -> Compacted {
    let hook = refuse(team, "case $3 in *[!0]*) ;; *) exit 1 ;; esac");
    let compacted = ledger.compact(&all()).unwrap();
    std::fs::remove_file(hook).unwrap();
    compacted
}

#[test]
fn refs_that_stayed_go_later_unless_their_lanes_went_on() {
    let team = Team::new();
    let [a, b, c] = three(&team);
    let halfway = without_removal(&team, &a);
    assert_eq!((halfway.folded.len(), halfway.removed.len(), halfway.kept.len()), (3, 0, 3));
    append(&b, "b", 4);
    b.sync().unwrap();
    let mut late = event("b", 5);
    late.hlc.millis = all().now.millis();
    b.append(&lane("b"), &late).unwrap();
    b.sync().unwrap();
    let compacted = c.compact(&all()).unwrap();
    assert_eq!((compacted.folded.len(), compacted.removed), (0, vec!["a/a".into(), "a/c".into()]));
    assert_eq!(refs(&team), ["a/b", "base"]);
    for ledger in [&a, &b, &c] {
        ledger.sync().unwrap();
        assert_eq!(ids(ledger).len(), 11);
    }
}

#[test]
fn a_checkpoint_that_was_fetched_by_hand_is_noticed() {
    let team = Team::new();
    let [a, b, _] = three(&team);
    append(&a, "a", 4);
    a.sync().unwrap();
    a.compact(&all()).unwrap();
    append(&b, "b", 4);
    let expected: BTreeSet<EventId> = ids(&a).into_iter().chain(ids(&b)).collect();
    for path in ["b", "bare"] {
        let ledger = if path == "b" { team.ledger("b") } else { team.clone("bare") };
        let refspec = "+refs/grit/base:refs/grit/base";
        git(ledger.repository().git_dir(), &["fetch", "--quiet", "origin", refspec]);
        let read: BTreeSet<EventId> = ids(&ledger).into_iter().collect();
        assert_eq!(read.len(), expected.len() - usize::from(path == "bare"), "{path}");
        assert!(read.is_subset(&expected));
        ledger.sync().unwrap();
    }
    a.sync().unwrap();
    assert_eq!(ids(&a).into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn without_a_remote_lanes_are_folded_here() {
    let shop = grit_testkit::repo();
    let ledger = GitLedger::new(grit_git::Repository::open(shop.path()).unwrap());
    (1..=3).for_each(|number| drop(append(&ledger, "us", number)));
    append(&ledger, "we", 1);
    let before = (ids(&ledger), heads(&ledger));
    let compacted = ledger.compact(&all()).unwrap();
    assert_eq!((compacted.remote, compacted.removed.len()), (None, 2));
    assert_eq!((ids(&ledger), heads(&ledger)), before);
    assert_eq!(shop.git(&["for-each-ref", "--format=%(refname)", "refs/grit"]), "refs/grit/base");
    append(&ledger, "us", 4);
    assert_eq!(ids(&ledger).len(), 5);
    shop.git(&["fsck", "--strict"]);
    shop.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(ids(&ledger).len(), 5);
}

#[test]
fn two_checkpoints_that_do_not_know_each_other_lose_nothing() {
    let team = Team::new();
    let [a, b, _] = three(&team);
    a.compact(&all()).unwrap();
    // The remote is made anew by one that knew it; the other one comes with its own checkpoint.
    std::fs::remove_dir_all(team.remote()).unwrap();
    grit_git::Repository::init_bare(&team.remote()).unwrap();
    append(&b, "b", 4);
    b.sync().unwrap();
    b.compact(&all()).unwrap();
    append(&a, "a", 4);
    a.sync().unwrap();
    b.sync().unwrap();
    assert_eq!(ids(&a).len(), 11);
    assert_eq!(ids(&a), ids(&b));
    a.compact(&all()).unwrap();
    assert_eq!(refs(&team), ["base"]);
    assert_eq!(ids(&a).len(), 11);
}

#[test]
fn a_checkpoint_of_a_newer_grit_is_told_and_not_guessed() {
    let team = Team::new();
    let [a, ..] = three(&team);
    let tree = git(&team.remote(), &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let newer = ["commit-tree", "-m", r#"{"v":2,"previous":null,"cut":{}}"#, &tree];
    let id = git(&team.remote(), &newer);
    git(&team.remote(), &["update-ref", "refs/grit/base", &id]);
    assert!(matches!(a.sync(), Err(LedgerError::Storage { .. })));
    assert!(a.compact(&all()).is_err());
    assert_eq!(ids(&a).len(), 9);
    git(a.repository().git_dir(), &["update-ref", "refs/grit/base", &id]);
    let changes = a.since(&Cut::new()).unwrap();
    assert_eq!((changes.entries.len(), changes.quarantined.len()), (9, 1));
    assert!(changes.quarantined[0].reason.contains("newer"), "{:?}", changes.quarantined);
}

#[test]
fn compactors_and_writers_at_once_lose_nothing() {
    let team = Team::new();
    let clones = three(&team);
    let barrier = Barrier::new(clones.len() + 1);
    let fourth = team.clone("fourth");
    std::thread::scope(|scope| {
        for (name, clone) in ["a", "b", "c"].into_iter().zip(&clones) {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for number in 4..10 {
                    append(clone, name, number);
                    match number % 3 {
                        0 => drop(clone.compact(&all())),
                        _ => drop(clone.sync()),
                    }
                }
            });
        }
        scope.spawn(|| {
            barrier.wait();
            (0..6).for_each(|_| drop(fourth.compact(&all())));
        });
    });
    for _ in 0..2 {
        sync_all(&clones);
    }
    fourth.sync().unwrap();
    for ledger in clones.iter().chain([&fourth]) {
        assert_eq!(ids(ledger).len(), 27);
    }
    git(&team.remote(), &["fsck", "--strict"]);
}

#[test]
fn short_lived_clones_append_to_folded_lanes() {
    let team = Team::new();
    for number in 0..4 {
        let job = team.clone(&format!("j{number}")).short_lived("job");
        job.append(&lane("job"), &event(&format!("job{number}"), number)).unwrap();
        job.sync().unwrap();
        team.ledger("j0").compact(&all()).unwrap();
        assert_eq!(refs(&team), ["base"]);
    }
    let reader = team.clone("reader");
    reader.sync().unwrap();
    assert_eq!(ids(&reader).len(), 4);
    let heads = reader.heads().unwrap();
    assert!(heads.iter().all(|head| head.lane.starts_with("ci/")), "{heads:?}");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append,
    Sync,
    Compact,
    Halfway,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn any_interleaving_keeps_every_event_once(
        steps in proptest::collection::vec(
            (0usize..3, prop_oneof![
                3 => Just(Step::Append), 2 => Just(Step::Sync),
                2 => Just(Step::Compact), 1 => Just(Step::Halfway),
            ]),
            1..16,
        )
    ) {
        let team = Team::new();
        let names = ["a", "b", "c"];
        let clones = names.map(|name| team.clone(name));
        let mut appended = BTreeSet::new();
        for (number, (who, step)) in (0..).zip(steps) {
            match step {
                Step::Append => drop(appended.insert(append(&clones[who], names[who], number))),
                Step::Sync => drop(clones[who].sync().unwrap()),
                Step::Compact => drop(clones[who].compact(&all()).unwrap()),
                Step::Halfway => drop(without_removal(&team, &clones[who])),
            }
        }
        for clone in clones.iter().chain(&clones) {
            clone.sync().unwrap();
        }
        let fresh = team.clone("fresh");
        fresh.sync().unwrap();
        for ledger in clones.iter().chain([&fresh]) {
            let entries = ledger.since(&Cut::new()).unwrap().entries;
            prop_assert_eq!(entries.len(), appended.len(), "an event stands twice");
            let read: BTreeSet<EventId> = ids(ledger).into_iter().collect();
            prop_assert_eq!(&read, &appended);
        }
    }
}
