use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use grit_git::{Exchange, GitLedger, Repository};
use grit_ledger::{Cut, Lane, Ledger, LedgerError, SyncReport};
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
fn what_a_killed_git_left_locked_at_a_folder_is_cleared() {
    let team = Team::new();
    let ours = team.clone("ours");
    ours.append(&lane("us"), &event("us", 1)).unwrap();
    ours.sync().unwrap();
    let left = team.remote().join("refs/grit/a/us.lock");
    let file = fs::File::create(&left).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3_600)).unwrap();
    ours.append(&lane("us"), &event("us", 2)).unwrap();
    ours.sync().unwrap();
    assert!(!left.exists());
    let fresh = team.clone("fresh");
    fresh.sync().unwrap();
    assert_eq!(fresh.read().unwrap().len(), 2);
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
    assert_eq!(ours.sync().unwrap(), SyncReport { received: 2, sent: 1 });
    let quarantined = ours.since(&Cut::new()).unwrap().quarantined;
    assert_eq!(quarantined.len(), 1);
    assert_eq!(quarantined[0].at, bad.head().to_string());
    assert_eq!(ours.read().unwrap(), [event("them", 1), event("us", 2)]);
    assert!(!git(&remote, &["for-each-ref", "refs/grit/a/us"]).is_empty());
}

/// Git fetches all or nothing: one bad commit must not keep everybody from everything.
#[test]
fn an_object_that_git_refuses_stops_no_other_lane() {
    let team = Team::new();
    let (ours, theirs) = (team.clone("ours"), team.clone("theirs"));
    theirs.append(&lane("them"), &event("them", 1)).unwrap();
    theirs.sync().unwrap();
    let remote = team.remote();
    team.spoil("refs/grit/a/bad");
    ours.append(&lane("us"), &event("us", 2)).unwrap();
    for number in 3..5 {
        let told = ours.sync();
        let Err(LedgerError::Storage { action, .. }) = told else { panic!("{told:?}") };
        assert!(action.contains("a/bad"), "{action}");
        assert_eq!(ours.read().unwrap().len(), number - 1, "the others came");
        assert!(!git(&remote, &["for-each-ref", "refs/grit/a/us"]).is_empty());
        theirs.append(&lane("them"), &event("them", number as u32)).unwrap();
        let _ = theirs.sync();
    }
    git(&remote, &["update-ref", "-d", "refs/grit/a/bad"]);
    ours.sync().unwrap();
    assert_eq!(ours.read().unwrap().len(), 4);
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

/// Makes a repository's remote say no to every push.
fn refuse_pushes(team: &Team) {
    use std::os::unix::fs::PermissionsExt;
    let hook = team.remote().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho 'this place is read-only' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_remote_that_takes_nothing_is_told_and_loses_nothing() {
    let team = Team::new();
    let (ours, theirs) = (team.clone("ours"), team.clone("theirs"));
    theirs.append(&lane("them"), &event("them", 1)).unwrap();
    theirs.sync().unwrap();
    refuse_pushes(&team);
    for number in 2..=3 {
        ours.append(&lane("us"), &event("us", number)).unwrap();
    }
    let refused = ours.sync();
    let Err(LedgerError::Refused { waiting: 2, reason, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("hook declined"), "{reason}");
    assert_eq!(ours.read().unwrap().len(), 3, "what it has was taken all the same");
    let only_taken = ours.exchange(&Exchange { send: false, audit: false }).unwrap();
    assert_eq!((only_taken.waiting, only_taken.sent.len()), (2, 0));
    fs::remove_file(team.remote().join("hooks/pre-receive")).unwrap();
    let sent = ours.exchange(&Exchange::default()).unwrap();
    assert_eq!(sent.sent, BTreeMap::from([("a/us".to_owned(), 2)]));
    assert_eq!((sent.rounds, sent.waiting), (1, 0));
}

#[test]
fn audit_lanes_travel_when_they_are_asked_for() {
    let team = Team::new();
    let (ours, theirs) = (team.clone("ours"), team.clone("theirs"));
    theirs.append(&Lane::Audit("server".to_owned()), &event("server", 1)).unwrap();
    theirs.sync().unwrap();
    assert_eq!(ours.exchange(&Exchange::default()).unwrap().received.len(), 0);
    let all = Exchange { audit: true, ..Exchange::default() };
    let exchanged = ours.exchange(&all).unwrap();
    assert_eq!(exchanged.received, BTreeMap::from([("audit/server".to_owned(), 1)]));
}

#[test]
fn sixteen_short_lived_clones_leave_sixteen_events_and_no_lanes_of_their_own() {
    let team = Team::new();
    const JOBS: u32 = 16;
    let jobs: Vec<GitLedger> = (0..JOBS)
        .map(|number| team.clone(&format!("j{number}")).short_lived(format!("job{number}")))
        .collect();
    let barrier = Barrier::new(jobs.len());
    std::thread::scope(|scope| {
        for (number, job) in (0..JOBS).zip(&jobs) {
            let barrier = &barrier;
            scope.spawn(move || {
                let name = format!("job{number}");
                job.append(&lane(&name), &event(&name, number)).unwrap();
                barrier.wait();
                let exchanged = job.exchange(&Exchange::default()).unwrap();
                assert_eq!(exchanged.sent.values().sum::<usize>(), 1);
                assert!(exchanged.sent.keys().all(|lane| lane.starts_with("ci/")));
            });
        }
    });
    let reader = team.clone("reader");
    reader.sync().unwrap();
    assert_eq!(reader.read().unwrap().len(), JOBS as usize);
    let heads = reader.heads().unwrap();
    assert!(heads.iter().all(|head| head.lane.starts_with("ci/")), "{heads:?}");
    // Nothing is sent twice, and the next event follows.
    let job = &jobs[0];
    assert_eq!(job.exchange(&Exchange::default()).unwrap().sent, BTreeMap::new());
    job.append(&lane("job0"), &event("job0", 99)).unwrap();
    job.sync().unwrap();
    reader.sync().unwrap();
    assert_eq!(reader.read().unwrap().len(), JOBS as usize + 1);
    assert_eq!(job.read().unwrap(), reader.read().unwrap());
    git(&team.remote(), &["fsck", "--strict"]);
}

#[test]
fn a_lane_that_the_remote_has_goes_on_in_a_short_lived_clone() {
    let team = Team::new();
    let ours = team.clone("ours");
    ours.append(&lane("us"), &event("us", 1)).unwrap();
    ours.sync().unwrap();
    let ours = team.ledger("ours").short_lived("us");
    ours.append(&lane("us"), &event("us", 2)).unwrap();
    let exchanged = ours.exchange(&Exchange::default()).unwrap();
    assert_eq!(exchanged.sent, BTreeMap::from([("a/us".to_owned(), 1)]));
}

#[test]
fn at_a_host_that_takes_only_branches_lanes_are_branches() {
    let team = Team::new();
    git(&team.remote(), &["config", "receive.hideRefs", "refs/grit"]);
    let (ours, fresh) = (team.clone("ours"), team.clone("fresh"));
    ours.append(&lane("us"), &event("us", 1)).unwrap();
    let exchanged = ours.exchange(&Exchange::default()).unwrap();
    assert!(exchanged.now_branches);
    assert_eq!(exchanged.sent, BTreeMap::from([("a/us".to_owned(), 1)]));
    let refs = git(&team.remote(), &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(refs, "refs/heads/grit/a/us");
    assert_eq!(fresh.sync().unwrap(), SyncReport { received: 1, sent: 0 });
    fresh.append(&lane("them"), &event("them", 2)).unwrap();
    fresh.sync().unwrap();
    // Another process reads where they are.
    let ours = team.ledger("ours");
    let exchanged = ours.exchange(&Exchange::default()).unwrap();
    assert!(!exchanged.now_branches);
    assert_eq!(ours.read().unwrap(), [event("us", 1), event("them", 2)]);
}
