use std::fs;
use std::process::Command;
use std::sync::Barrier;

use grit_git::{GitLedger, Repository};
use grit_ledger::{Ledger, LedgerError, SyncReport};
use grit_testkit::{git, repo};

use crate::{Team, event, lane};

const CLONES: u32 = 8;
const EVENTS: u32 = 20;

#[test]
fn eight_clones_converge_in_two_rounds() {
    let team = Team::new();
    let clones: Vec<GitLedger> = (0..CLONES).map(|n| team.clone(&format!("c{n}"))).collect();
    for (number, clone) in clones.iter().enumerate() {
        let name = format!("actor{number}");
        for event_number in 0..EVENTS {
            clone.append(&lane(&name), &event(&name, event_number)).unwrap();
        }
    }
    let barrier = Barrier::new(clones.len());
    for _round in 0..2 {
        std::thread::scope(|scope| {
            for clone in &clones {
                scope.spawn(|| {
                    barrier.wait();
                    clone.sync().unwrap();
                });
            }
        });
    }
    let all = clones[0].read().unwrap();
    assert_eq!(all.len(), (CLONES * EVENTS) as usize);
    for clone in &clones {
        assert_eq!(clone.read().unwrap(), all);
        assert_eq!(clone.heads().unwrap(), clones[0].heads().unwrap());
    }
    git(&team.remote(), &["fsck", "--strict"]);
}

#[test]
fn a_fetch_by_hand_is_noticed_and_a_fresh_clone_reads_all() {
    let team = Team::new();
    let ours = team.clone("ours");
    ours.append(&lane("us"), &event("us", 1)).unwrap();
    ours.sync().unwrap();
    let fresh = team.clone("fresh");
    assert_eq!(fresh.read().unwrap(), []);
    git(
        fresh.repository().git_dir(),
        &["fetch", "--quiet", "origin", "refs/grit/a/*:refs/grit/a/*"],
    );
    assert_eq!(fresh.read().unwrap(), [event("us", 1)]);
    assert_eq!(fresh.sync().unwrap(), SyncReport::default());
}

#[test]
fn a_lane_that_two_copies_continued_is_joined() {
    let team = Team::new();
    let ours = team.clone("ours");
    ours.append(&lane("us"), &event("common", 1)).unwrap();
    ours.sync().unwrap();
    let from = ours.repository().worktree().unwrap();
    let to = team.folder.path().join("copy");
    let copied = Command::new("cp").arg("-r").args([&from, &to]).status().unwrap();
    assert!(copied.success());
    let copy = team.ledger("copy");
    for number in 2..5 {
        ours.append(&lane("us"), &event("ours", number)).unwrap();
        copy.append(&lane("us"), &event("copy", number)).unwrap();
    }
    ours.sync().unwrap();
    let joined = copy.sync().unwrap();
    assert_eq!(joined, SyncReport { received: 1, sent: 1 });
    assert_eq!(ours.sync().unwrap(), SyncReport { received: 1, sent: 0 });
    assert_eq!(ours.read().unwrap().len(), 7);
    assert_eq!(ours.read().unwrap(), copy.read().unwrap());
    assert_eq!(copy.sync().unwrap(), SyncReport::default());
}

#[test]
fn a_bad_lane_stops_no_other() {
    let team = Team::new();
    let (ours, theirs) = (team.clone("ours"), team.clone("theirs"));
    theirs.append(&lane("them"), &event("them", 1)).unwrap();
    theirs.sync().unwrap();
    let bad = repo().commit("this is no event");
    let remote = team.remote();
    bad.git(&["push", "--quiet", remote.to_str().unwrap(), "HEAD:refs/grit/a/bad"]);
    ours.append(&lane("us"), &event("us", 2)).unwrap();
    let Err(LedgerError::Damaged { at, .. }) = ours.sync() else { panic!("it was taken") };
    assert_eq!(at, bad.head().to_string());
    assert_eq!(ours.read().unwrap(), [event("them", 1), event("us", 2)]);
    assert!(!git(&remote, &["for-each-ref", "refs/grit/a/us"]).is_empty());
}

#[test]
fn an_unreachable_remote_is_told_and_loses_nothing() {
    let team = Team::new();
    let ours = team.clone("ours");
    ours.append(&lane("us"), &event("us", 1)).unwrap();
    fs::rename(team.remote(), team.folder.path().join("away")).unwrap();
    let refused = ours.sync();
    let Err(LedgerError::Unreachable { remote, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(remote, "origin");
    fs::rename(team.folder.path().join("away"), team.remote()).unwrap();
    assert_eq!(ours.sync().unwrap(), SyncReport { received: 0, sent: 1 });
}

#[test]
fn only_configured_remotes_with_plain_names_are_asked() {
    let team = Team::new();
    for name in ["nowhere", "--upload-pack=touch x", "../remote.git", ""] {
        let ours = team.clone(&format!("c{}", name.len())).with_remote(name);
        assert!(matches!(ours.sync(), Err(LedgerError::NoRemote)), "{name}");
    }
}

#[test]
fn a_remote_helper_is_never_run() {
    let team = Team::new();
    let ours = team.clone("ours");
    let marker = team.folder.path().join("marker");
    let url = format!("ext::touch {}", marker.display());
    git(ours.repository().git_dir(), &["config", "remote.origin.url", &url]);
    git(ours.repository().git_dir(), &["config", "protocol.ext.allow", "always"]);
    assert!(matches!(ours.sync(), Err(LedgerError::Unreachable { .. })));
    assert!(!marker.exists());
}

#[test]
fn a_remote_that_was_made_anew_gets_everything_again() {
    let team = Team::new();
    let ours = team.clone("ours");
    ours.append(&lane("us"), &event("us", 1)).unwrap();
    ours.sync().unwrap();
    fs::remove_dir_all(team.remote()).unwrap();
    Repository::init_bare(&team.remote()).unwrap();
    assert_eq!(ours.sync().unwrap(), SyncReport { received: 0, sent: 1 });
}
