use std::path::PathBuf;
use std::process::{Command, Stdio};

use grit_git::{Exchange, GitLedger, MetaError};
use grit_ledger::{Cut, Event, Ledger, LedgerError, Meta, MetaEvent, Policy, Signed, split};
use grit_testkit::git;
use grit_types::Actor;

use crate::{Fixed, Team, event, lane};

/// A record by `actor` at a second.
fn record(actor: &str, second: u32, record: &MetaEvent) -> Event {
    let (kind, data) = split(record).unwrap();
    let mut event = Event { kind, data, subject: "meta".into(), ..event(actor, 0) };
    event.actor = Actor::new(actor.parse().unwrap(), "cli");
    event.hlc.millis += i64::from(second) * 1_000;
    event
}

fn key_of(actor: &str, line: &str) -> MetaEvent {
    MetaEvent::KeyAdded { actor: actor.parse().unwrap(), key: line.to_owned() }
}

/// A clone that signs with a key of its own; and the key's line.
fn signing(team: &Team, name: &str, seed: u8) -> (GitLedger, String) {
    let ledger = team.clone(name);
    let file = ledger.repository().git_dir().join("grit/key");
    let line = ledger.create_key(&file, name, &Fixed(seed)).unwrap();
    // Opened again: the configuration is another now.
    (team.ledger(name), line)
}

/// Events of [`event`] are ada's.
fn ada(team: &Team) -> (GitLedger, String) {
    let (ada, line) = signing(team, "ada", 1);
    ada.agree(&record("ada", 0, &key_of("ada", &line))).unwrap();
    (ada, line)
}

fn require(second: u32) -> Event {
    record("ada", second, &MetaEvent::SignaturesSet { policy: Policy::Require })
}

#[test]
fn a_signature_survives_being_moved_behind_others() {
    let team = Team::new();
    let (ada, _) = ada(&team);
    ada.agree(&require(1)).unwrap();
    let job = team.ledger("ada").short_lived("job");
    let other = team.clone("other").short_lived("other");
    other.append(&lane("other"), &event("other", 1)).unwrap();
    other.sync().unwrap();
    for number in 2..8 {
        job.append(&lane("job"), &event("job", number)).unwrap();
        job.sync().unwrap();
    }
    let reader = team.clone("reader");
    reader.sync().unwrap();
    let changes = reader.since(&Cut::new()).unwrap();
    assert_eq!((changes.entries.len(), changes.quarantined.len()), (6, 1));
    assert!(changes.entries.iter().all(|entry| matches!(entry.signed, Signed::Good(_))));
    let shared: Vec<_> = changes.entries.iter().map(|entry| &entry.lane).collect();
    assert!(shared.iter().all(|lane| lane.starts_with("ci/")), "{shared:?}");
    // A commit that was moved does not say that git's signature is of it.
    let commit = git(&team.remote(), &["cat-file", "commit", &changes.entries[0].at]);
    assert!(commit.contains("\ngritsig ") && !commit.contains("\ngpgsig "), "{commit}");
    git(&team.remote(), &["fsck", "--strict"]);
}

#[test]
fn what_must_be_signed_and_is_not_is_left_out_by_its_id_and_nothing_else() {
    let team = Team::new();
    let (ada, _) = ada(&team);
    let eve = team.clone("eve");
    eve.append(&lane("eve"), &event("eve", 1)).unwrap();
    let (mallory, _) = signing(&team, "mallory", 3);
    mallory.append(&lane("mallory"), &event("mallory", 2)).unwrap();
    ada.append(&lane("ada"), &event("ada", 3)).unwrap();
    for ledger in [&eve, &mallory, &ada] {
        ledger.sync().unwrap();
    }
    let reader = team.clone("reader");
    reader.sync().unwrap();
    let before = reader.since(&Cut::new()).unwrap();
    assert_eq!((before.entries.len(), before.quarantined.len()), (3, 0));
    assert_eq!(before.entries[0].signed, Signed::Unchecked);
    let warned = reader.checked_since(&Cut::new(), Policy::Warn).unwrap();
    let bad = warned.entries.iter().filter(|entry| matches!(entry.signed, Signed::Bad(_)));
    assert_eq!((warned.entries.len(), bad.count()), (3, 2));

    ada.agree(&require(10)).unwrap();
    reader.sync().unwrap();
    let after = reader.since(&before.cut()).unwrap();
    assert_eq!(after.restarted, ["a/ada", "a/eve", "a/mallory"], "all is judged anew");
    assert_eq!(after.entries.len(), 1);
    assert_eq!(after.entries[0].event, event("ada", 3));
    let reasons: Vec<&str> = after.quarantined.iter().map(|bad| bad.reason.as_str()).collect();
    assert!(reasons[0].contains(event("eve", 1).id().as_str()), "{reasons:?}");
    assert!(reasons[0].contains("not signed"), "{reasons:?}");
    assert!(reasons[1].contains("not known"), "{reasons:?}");
    assert_eq!(reader.read().unwrap(), [event("ada", 3)]);
    let idle = reader.since(&after.cut()).unwrap();
    assert_eq!((idle.restarted.len(), idle.entries.len(), idle.quarantined.len()), (0, 0, 0));

    // Off again: what was left out is there.
    let off = MetaEvent::SignaturesSet { policy: Policy::Off };
    ada.agree(&record("ada", 20, &off)).unwrap();
    reader.sync().unwrap();
    assert_eq!(reader.since(&idle.cut()).unwrap().entries.len(), 3);
    // A clone may be stricter than its team.
    git(reader.repository().git_dir(), &["config", "grit.signatures", "require"]);
    assert_eq!(team.ledger("reader").read().unwrap().len(), 1);
}

#[test]
fn a_forged_event_does_not_pass() {
    let team = Team::new();
    let (ada, _) = ada(&team);
    ada.agree(&require(1)).unwrap();
    ada.append(&lane("ada"), &event("ada", 2)).unwrap();
    let folder = ada.repository().git_dir();
    let commit = git(folder, &["cat-file", "commit", "refs/grit/a/ada"]);
    let forged = commit.replace("\"number\":2", "\"number\":9") + "\n";
    let file = team.folder.path().join("forged");
    std::fs::write(&file, forged).unwrap();
    let id = git(folder, &["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]);
    git(folder, &["update-ref", "refs/grit/a/eve", &id]);
    let changes = ada.since(&Cut::new()).unwrap();
    assert_eq!(changes.entries.len(), 1);
    assert!(changes.quarantined[0].reason.contains("does not belong"), "{changes:?}");
    // Nor does a true signature under another's name.
    let (bob, line) = signing(&team, "bob", 2);
    ada.agree(&record("ada", 3, &key_of("bob", &line))).unwrap();
    bob.sync().unwrap();
    bob.append(&lane("bob"), &event("bob", 4)).unwrap();
    let changes = bob.since(&Cut::new()).unwrap();
    assert!(changes.quarantined[0].reason.contains("is bob's"), "{changes:?}");
}

#[test]
fn only_a_key_in_force_adds_and_revokes_keys() {
    let team = Team::new();
    let (ada, first) = ada(&team);
    let (eve, line) = signing(&team, "eve", 7);
    let refused = eve.agree(&record("eve", 1, &key_of("eve", &line)));
    assert!(matches!(refused, Err(MetaError::Refused(_))), "{refused:?}");
    // A program that does not ask itself: the record is there, and does not count.
    let folder = eve.repository().git_dir();
    let (tip, tree) = (
        git(folder, &["rev-parse", "refs/grit/meta"]),
        git(folder, &["hash-object", "-t", "tree", "-w", "/dev/null"]),
    );
    let text = String::from_utf8(record("eve", 2, &key_of("eve", &line)).encode()).unwrap();
    let id = git(folder, &["commit-tree", "-p", &tip, "-m", &text, &tree]);
    git(folder, &["push", "--quiet", "origin", &format!("{id}:refs/grit/meta")]);
    ada.sync().unwrap();
    let agreed = ada.agreed().unwrap();
    assert_eq!((agreed.meta.keys.len(), agreed.refused.len()), (1, 1));
    assert_eq!(agreed.refused[0].at, id);

    // Rotation: the new key first, then the old one goes.
    ada.agree(&record("ada", 3, &key_of("eve", &line))).unwrap();
    let fingerprint = GitLedger::fingerprint(&first).unwrap();
    let revoke = MetaEvent::KeyRevoked { fingerprint, compromised: false };
    eve.agree(&record("eve", 4, &revoke)).unwrap();
    let refused = ada.agree(&record("ada", 5, &key_of("ada", &first)));
    assert!(matches!(refused, Err(MetaError::Refused(_))), "{refused:?}");
}

#[test]
fn what_was_agreed_on_is_never_rewound() {
    let team = Team::new();
    let (ada, _) = ada(&team);
    ada.append(&lane("ada"), &event("ada", 1)).unwrap();
    let other = Team::new();
    let (eve, line) = signing(&other, "eve", 7);
    eve.agree(&record("eve", 0, &key_of("eve", &line))).unwrap();
    let remote = team.remote();
    let forced = ["push", "--quiet", "--force", remote.to_str().unwrap()];
    let refs = ["refs/grit/meta:refs/grit/meta"];
    git(eve.repository().git_dir(), &[&forced[..], &refs].concat());
    let told = ada.exchange(&Exchange::default());
    assert!(matches!(told, Err(LedgerError::Storage { .. })), "{told:?}");
    assert_eq!(ada.agreed().unwrap().meta.keys[0].actor.as_str(), "ada");
    let sent = git(&remote, &["for-each-ref", "refs/grit/a/ada"]);
    assert!(!sent.is_empty(), "everything else went on");
}

#[test]
fn two_who_agree_at_once_both_do() {
    let team = Team::new();
    let clones: Vec<GitLedger> = (0..4).map(|n| team.clone(&format!("c{n}"))).collect();
    std::thread::scope(|scope| {
        for (number, clone) in (0..).zip(&clones) {
            scope.spawn(move || {
                let label = grit_ledger::LabelDefinition::default();
                let define = MetaEvent::LabelDefined { name: format!("l{number}"), label };
                clone.agree(&record("ada", number, &define)).unwrap();
            });
        }
    });
    clones[0].sync().unwrap();
    assert_eq!(clones[0].agreed().unwrap().meta.labels.len(), 4);
    git(&team.remote(), &["fsck", "--strict"]);
}

#[test]
fn what_was_agreed_on_without_a_remote_goes_to_the_first() {
    let team = Team::new();
    let ours = team.clone("ours");
    git(ours.repository().git_dir(), &["remote", "rename", "origin", "later"]);
    let grace = MetaEvent::LockGraceSet { millis: Some(200) };
    assert!(!team.ledger("ours").agree(&record("ada", 0, &grace)).unwrap());
    git(ours.repository().git_dir(), &["remote", "rename", "later", "origin"]);
    let ours = team.ledger("ours");
    ours.sync().unwrap();
    let theirs = team.clone("theirs");
    theirs.sync().unwrap();
    let expected = Meta { lock_grace_millis: Some(200), ..Meta::default() };
    assert_eq!(theirs.agreed().unwrap().meta, expected);
}

/// By itself a test without an agent's help; one of those below runs it with one.
#[test]
fn a_key_that_is_elsewhere_signs() {
    let team = Team::new();
    let ours = team.clone("ours");
    let given = std::env::var_os("GRIT_TEST_PUBLIC_KEY").map(PathBuf::from);
    let file = match given {
        Some(public) => public,
        None => {
            let file = team.folder.path().join("key");
            ours.create_key(&file, "ada", &Fixed(1)).unwrap();
            file
        }
    };
    git(ours.repository().git_dir(), &["config", "grit.signingKey", file.to_str().unwrap()]);
    let ours = team.ledger("ours");
    let line = ours.signing_key().unwrap().unwrap();
    ours.agree(&record("ada", 0, &key_of("ada", &line))).unwrap();
    ours.append(&lane("us"), &event("us", 1)).unwrap();
    let changes = ours.checked_since(&Cut::new(), Policy::Require).unwrap();
    assert_eq!((changes.entries.len(), changes.quarantined.len()), (1, 0));
}

mod needs_ssh_keygen {
    use super::*;

    /// An agent with one key, ended with the test.
    struct Agent {
        pid: String,
        socket: PathBuf,
    }

    impl Agent {
        fn with(key: &std::path::Path, socket: PathBuf) -> Self {
            let started = Command::new("ssh-agent").arg("-a").arg(&socket).output().unwrap();
            let text = String::from_utf8(started.stdout).unwrap();
            let pid = text.split("SSH_AGENT_PID=").nth(1).unwrap().split(';').next().unwrap();
            let agent = Self { pid: pid.to_owned(), socket };
            let mut add = Command::new("ssh-add");
            add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket).stdin(Stdio::null());
            assert!(add.status().unwrap().success());
            agent
        }
    }

    impl Drop for Agent {
        fn drop(&mut self) {
            let _ = Command::new("kill").arg(&self.pid).status();
        }
    }

    #[test]
    fn git_verifies_what_grit_signs() {
        let team = Team::new();
        let (ada, line) = ada(&team);
        for number in 1..=2 {
            ada.append(&lane("ada"), &event("ada", number)).unwrap();
        }
        let folder = ada.repository().git_dir();
        let allowed = team.folder.path().join("allowed");
        std::fs::write(&allowed, format!("ada namespaces=\"git,grit\" {line}\n")).unwrap();
        git(folder, &["config", "gpg.ssh.allowedSignersFile", allowed.to_str().unwrap()]);
        let commits = git(folder, &["rev-list", "refs/grit/a/ada"]);
        for commit in commits.lines() {
            git(folder, &["verify-commit", commit]);
        }
        git(folder, &["fsck", "--strict"]);
        let other = signing(&team, "eve", 9).1;
        std::fs::write(&allowed, format!("ada namespaces=\"git\" {other}\n")).unwrap();
        let tip = commits.lines().next().unwrap();
        let verified =
            Command::new("git").arg("-C").arg(folder).args(["verify-commit", tip]).output();
        assert!(!verified.unwrap().status.success(), "it would believe anybody");
    }

    #[test]
    fn a_key_in_an_agent_signs() {
        let folder = grit_testkit::temp_dir();
        let key = folder.path().join("key");
        let words = ["-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f"];
        let made = Command::new("ssh-keygen").args(words).arg(&key).status().unwrap();
        assert!(made.success());
        let agent = Agent::with(&key, folder.path().join("agent"));
        std::fs::remove_file(&key).unwrap();
        let public = folder.path().join("key.pub");
        let mut test = crate::this_program("signing::a_key_that_is_elsewhere_signs");
        test.env("GRIT_TEST_PUBLIC_KEY", &public).env("SSH_AUTH_SOCK", &agent.socket);
        let output = test.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        // Without the agent nothing is recorded unsigned instead.
        let mut test = crate::this_program("signing::a_key_that_is_elsewhere_signs");
        test.env("GRIT_TEST_PUBLIC_KEY", &public).env_remove("SSH_AUTH_SOCK");
        assert!(!test.output().unwrap().status.success());
    }
}
