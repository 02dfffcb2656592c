//! Locks over real remotes: having, keeping, giving back, losing them, and what goes wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grit_git::{Ask, Grant, LockError, Locks, Repository, Scope, Who};
use grit_locks::{Resource, Standing, State};
use grit_testkit::{TestRepo, git, repo};
use grit_types::{Clock, Entropy, Fence, Timestamp};

use crate::Team;

/// The machine's clock, and how far it is wrong.
#[derive(Default)]
pub(crate) struct TestClock {
    pub(crate) wrong_by: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let millis = i64::try_from(since.as_millis()).unwrap();
        Timestamp::from_millis(millis + self.wrong_by.load(Ordering::SeqCst))
    }
}

struct Random;

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) {
        use std::io::Read;
        fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap();
    }
}

/// A clone, the locks in it, and its clock.
pub(crate) struct Member {
    pub(crate) locks: Locks,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) folder: PathBuf,
}

impl Team {
    /// A clone with these settings, in which `who` works.
    pub(crate) fn member(&self, who: &str, settings: &[(&str, &str)]) -> Member {
        git(self.folder.path(), &["clone", "--quiet", "remote.git", who]);
        member_at(&self.folder.path().join(who), who, settings)
    }

    /// A hook of the remote.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        let folder = self.remote().join("hooks");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        git(&self.remote(), &["config", "core.hooksPath", folder.to_str().unwrap()]);
    }
}

pub(crate) fn member_at(folder: &Path, who: &str, settings: &[(&str, &str)]) -> Member {
    for (name, value) in settings {
        git(folder, &["config", name, value]);
    }
    let clock = Arc::new(TestClock::default());
    let actor = Who { actor: who.parse().unwrap(), host: "here".to_owned(), run_url: None };
    let repository = Repository::open(folder).unwrap();
    let locks = Locks::open(repository, clock.clone(), Arc::new(Random), actor).unwrap();
    Member { locks, clock, folder: folder.to_owned() }
}

impl Member {
    pub(crate) fn acquire(&self, name: &str, ttl: u64) -> Result<Grant, LockError> {
        let ask = Ask {
            resource: resource(name),
            ttl: Duration::from_secs(ttl),
            reason: "test".to_owned(),
            wait: Duration::ZERO,
        };
        self.locks.acquire(&ask, &AtomicBool::new(false))
    }

    /// Its clock is wrong from now on, and it has never looked before.
    pub(crate) fn freshly_wrong_by(&self, millis: i64) {
        self.clock.wrong_by.store(millis, Ordering::SeqCst);
        let _ = fs::remove_file(self.folder.join(".git/grit/leases/sight.json"));
    }

    /// A commit of its own, to be pushed.
    pub(crate) fn commit(&self) {
        static COUNT: AtomicI64 = AtomicI64::new(0);
        let message = format!("work {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let settings = ["-c", "user.name=T", "-c", "user.email=t@localhost"];
        let commit = ["commit", "--quiet", "--allow-empty", "--message", &message];
        git(&self.folder, &[&settings[..], &commit[..]].concat());
    }
}

pub(crate) fn resource(name: &str) -> Resource {
    name.parse().unwrap()
}

#[track_caller]
fn held_by(result: Result<Grant, LockError>) -> String {
    match result {
        Err(LockError::Held { lease, .. }) => lease.owner.actor.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lock_is_had_by_one_given_back_and_had_by_another() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let deploy = resource("deploy:production");
    let first = ada.acquire("deploy:production", 60).unwrap();
    assert_eq!((first.lease.fence, first.scope), (Fence(1), Scope::Remote("origin".to_owned())));
    assert!(first.left.is_some_and(|left| left > Duration::from_secs(30)));
    assert_eq!(held_by(bob.acquire("deploy:production", 60)), "ada");
    let again = ada.acquire("deploy:production", 60);
    assert!(matches!(again, Err(LockError::Held { here: true, .. })), "the lease owns: {again:?}");
    assert!(matches!(bob.locks.release(&deploy), Err(LockError::Held { .. })));
    assert!(bob.locks.check(&deploy, Fence(1)).is_ok());
    assert_eq!(ada.locks.release(&deploy).unwrap().state, State::Released);
    assert!(matches!(ada.locks.release(&deploy), Err(LockError::NotHeld { .. })));
    assert!(matches!(bob.locks.check(&deploy, Fence(1)), Err(LockError::Lost { .. })));
    let second = bob.acquire("deploy:production", 60).unwrap();
    assert_eq!(second.lease.fence, Fence(2), "the number survives the release");
    git(&team.remote(), &["fsck", "--strict"]);
}

#[test]
fn renewing_keeps_the_number_and_moves_the_end() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    let deploy = resource("deploy:production");
    let first = ada.acquire("deploy:production", 60).unwrap().lease;
    let renewed = ada.locks.renew(&deploy, Some(Duration::from_secs(600))).unwrap().lease;
    assert_eq!((renewed.fence, renewed.id), (first.fence, first.id));
    assert!(renewed.expires_at.since(first.expires_at) >= Duration::from_secs(540));
    assert_eq!(ada.locks.status(Some(&deploy)).unwrap()[0].lease, renewed);
}

#[test]
fn a_lease_whose_time_passed_is_neither_renewed_nor_pushed_under() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    let deploy = resource("deploy:production");
    ada.commit();
    ada.acquire("deploy:production", 1).unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    // Nobody has taken it, but others may count on it.
    let refspecs = ["HEAD:refs/heads/release".to_owned()];
    assert!(matches!(ada.locks.push(&deploy, &refspecs), Err(LockError::RanOut { .. })));
    assert!(matches!(ada.locks.renew(&deploy, None), Err(LockError::RanOut { .. })));
    assert!(matches!(ada.locks.check(&deploy, Fence(1)), Err(LockError::RanOut { .. })));
    assert_eq!(git(&team.remote(), &["for-each-ref", "refs/heads"]), "");
    assert_eq!(ada.locks.release(&deploy).unwrap().state, State::Released);
}

#[test]
fn an_expired_lease_is_taken_after_its_grace_and_its_holder_told() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let deploy = resource("deploy:production");
    ada.acquire("deploy:production", 60).unwrap();
    bob.freshly_wrong_by(70_000);
    let in_grace = bob.acquire("deploy:production", 60);
    assert!(
        matches!(in_grace, Err(LockError::Held { standing: Standing::Grace { .. }, .. })),
        "{in_grace:?}"
    );
    bob.freshly_wrong_by(76_000);
    assert_eq!(bob.acquire("deploy:production", 60).unwrap().lease.fence, Fence(2));
    ada.commit();
    let refspecs = ["HEAD:refs/heads/release".to_owned()];
    assert!(matches!(ada.locks.push(&deploy, &refspecs), Err(LockError::Lost { .. })));
    assert!(matches!(ada.locks.renew(&deploy, None), Err(LockError::Lost { .. })));
    assert!(matches!(ada.locks.release(&deploy), Err(LockError::Lost { .. })));
    assert_eq!(git(&team.remote(), &["for-each-ref", "refs/heads"]), "");
}

#[test]
fn a_wrong_clock_takes_nothing_where_a_look_speaks_against_it() {
    let team = Team::new();
    let grace = [("grit.lock.grace", "100ms")];
    let (ada, bob) = (team.member("ada", &grace), team.member("bob", &grace));
    // Two hours ahead from the beginning: a record comes that is older than the look before it.
    bob.freshly_wrong_by(7_200_000);
    bob.locks.status(None).unwrap();
    ada.acquire("deploy:production", 2).unwrap();
    let taken = bob.acquire("deploy:production", 60);
    let Err(LockError::Held { standing: Standing::Doubtful { .. }, .. }) = taken else {
        panic!("{taken:?}")
    };
    // Set between two looks.
    let cleo = team.member("cleo", &grace);
    cleo.locks.status(None).unwrap();
    cleo.clock.wrong_by.store(7_200_000, Ordering::SeqCst);
    assert_eq!(held_by(cleo.acquire("deploy:production", 60)), "ada");
    // Not trusted at all.
    let dora = team.member("dora", &[("grit.lock.trustClock", "false")]);
    dora.freshly_wrong_by(7_200_000);
    assert_eq!(held_by(dora.acquire("deploy:production", 60)), "ada");
    // A holder whose clock is behind: seen by those who had looked before.
    let eve = team.member("eve", &grace);
    eve.freshly_wrong_by(-7_200_000);
    eve.acquire("deploy:staging", 60).unwrap();
    assert_eq!(held_by(cleo.acquire("deploy:staging", 60)), "eve");
    // What was watched to its end may be had all the same.
    let ask = Ask {
        resource: resource("deploy:production"),
        ttl: Duration::from_secs(60),
        reason: String::new(),
        wait: Duration::from_secs(60),
    };
    assert_eq!(bob.locks.acquire(&ask, &AtomicBool::new(false)).unwrap().lease.fence, Fence(2));
}

#[test]
fn a_repo_lock_stops_others_and_not_its_own_clone() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    ada.acquire("repo:release", 60).unwrap();
    for name in ["deploy:production", "path:src", "repo:freeze", "issue:x"] {
        assert_eq!(held_by(bob.acquire(name, 60)), "ada", "{name}");
    }
    ada.acquire("deploy:production", 60).unwrap();
    ada.locks.release(&resource("repo:release")).unwrap();
    assert_eq!(held_by(bob.acquire("repo:release", 60)), "ada");
    bob.acquire("migration:db", 60).unwrap();
    assert_eq!(bob.acquire("path:src/a", 60).unwrap().lease.fence, Fence(1));
    assert_eq!(held_by(ada.acquire("path:src", 60)), "bob");
    assert_eq!(held_by(bob.acquire("path:src/a/b", 60)), "bob");
    ada.acquire("path:docs", 60).unwrap();
}

#[test]
fn what_is_over_and_in_the_way_is_ended_with_the_grant() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    ada.acquire("deploy:production", 60).unwrap();
    bob.freshly_wrong_by(80_000);
    bob.acquire("repo:release", 60).unwrap();
    let deploy = resource("deploy:production");
    let view = bob.locks.status(Some(&deploy)).unwrap().remove(0);
    assert_eq!((view.lease.state, view.lease.fence), (State::Expired, Fence(1)));
    // Its own time by its own count is not over, and its push is refused all the same.
    ada.commit();
    let refspecs = ["HEAD:refs/heads/release".to_owned()];
    let late = ada.locks.push(&deploy, &refspecs);
    assert!(matches!(late, Err(LockError::Lost { .. })), "{late:?}");
}

#[test]
fn a_push_lands_under_the_lock_and_tells_whose_fault_it_was_not_to() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let deploy = resource("deploy:production");
    ada.acquire("deploy:production", 60).unwrap();
    ada.commit();
    ada.locks.push(&deploy, &["HEAD:refs/heads/release".to_owned()]).unwrap();
    assert!(!git(&team.remote(), &["for-each-ref", "refs/heads/release"]).is_empty());
    bob.commit();
    let not_his = bob.locks.push(&deploy, &["HEAD:refs/heads/x".to_owned()]);
    assert!(matches!(not_his, Err(LockError::Held { .. })), "{not_his:?}");
    git(&ada.folder, &["checkout", "--quiet", "--orphan", "other"]);
    ada.commit();
    let refused = ada.locks.push(&deploy, &["HEAD:refs/heads/release".to_owned()]);
    let Err(LockError::PushRejected { why, .. }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("non-fast-forward") || why.contains("fetch first"), "{why}");
    assert!(ada.locks.check(&deploy, Fence(1)).is_ok(), "the lock is held as before");
    let bad = ["", ":", "--force", "refs/heads/*:refs/heads/*", "HEAD:refs/grit/lock/x", "a\nb"];
    for refspec in bad {
        let refused = ada.locks.push(&deploy, &[refspec.to_owned()]);
        assert!(matches!(refused, Err(LockError::Refspec { .. })), "{refspec:?}: {refused:?}");
    }
}

#[test]
fn breaking_and_collecting_keep_the_numbers() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let lease = ada.acquire("deploy:a", 60).unwrap().lease;
    ada.acquire("deploy:b", 60).unwrap();
    let broken = bob.locks.break_lease(lease.id, "runner died").unwrap();
    assert_eq!((broken.state, broken.reason.as_str()), (State::Broken, "runner died"));
    assert_eq!(broken.ended_by.unwrap().as_str(), "bob");
    let again = bob.locks.break_lease(lease.id, "again");
    assert!(matches!(again, Err(LockError::NoLease { .. })), "{again:?}");
    assert!(matches!(ada.locks.renew(&resource("deploy:a"), None), Err(LockError::Lost { .. })));
    assert_eq!(bob.locks.collect().unwrap(), [], "nothing is over");
    bob.freshly_wrong_by(80_000);
    let ended = bob.locks.collect().unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].resource.as_str(), ended[0].state), ("deploy:b", State::Expired));
    for name in ["deploy:a", "deploy:b"] {
        assert_eq!(bob.acquire(name, 60).unwrap().lease.fence, Fence(2), "{name}");
    }
    let refs = git(&team.remote(), &["for-each-ref", "refs/grit/lock"]);
    assert_eq!(refs.lines().count(), 2, "no lock's ref ever goes: {refs}");
}

/// Drops the connection after the refs have moved, as long as `dropping` is there.
const DROP_REPLY: &str = "\
[ \"$1\" = committed ] && [ -f dropping ] && grep -q refs/grit/lock && kill -9 $PPID\nexit 0";

#[test]
fn a_lost_reply_is_looked_up() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    team.hook("reference-transaction", DROP_REPLY);
    let dropping = team.remote().join("dropping");
    let deploy = resource("deploy:production");
    fs::write(&dropping, "").unwrap();
    let grant = ada.acquire("deploy:production", 60).unwrap();
    assert_eq!(grant.lease.fence, Fence(1), "asked once");
    assert!(ada.locks.renew(&deploy, None).is_ok());
    ada.commit();
    ada.locks.push(&deploy, &["HEAD:refs/heads/release".to_owned()]).unwrap();
    assert!(!git(&team.remote(), &["for-each-ref", "refs/heads/release"]).is_empty());
    assert_eq!(ada.locks.release(&deploy).unwrap().state, State::Released);
    fs::remove_file(&dropping).unwrap();
    assert_eq!(ada.acquire("deploy:production", 60).unwrap().lease.fence, Fence(2));
}

#[test]
fn without_an_answer_nothing_is_granted_and_it_can_be_taken_back() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    let script = "[ \"$1\" = committed ] && [ -f dropping ] && rm dropping \
                  && mv \"$PWD\" \"$PWD.away\" && kill -9 $PPID\nexit 0";
    team.hook("reference-transaction", script);
    fs::write(team.remote().join("dropping"), "").unwrap();
    let refused = ada.acquire("deploy:production", 60);
    assert!(matches!(refused, Err(LockError::Unreachable { .. })), "{refused:?}");
    fs::rename(team.folder.path().join("remote.git.away"), team.remote()).unwrap();
    let refused = ada.acquire("deploy:production", 60);
    assert!(matches!(refused, Err(LockError::Held { here: true, .. })), "{refused:?}");
    ada.locks.release(&resource("deploy:production")).unwrap();
    assert_eq!(ada.acquire("deploy:production", 60).unwrap().lease.fence, Fence(2));
}

#[test]
fn an_unreachable_remote_grants_nothing() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    let deploy = resource("deploy:production");
    ada.acquire("deploy:production", 60).unwrap();
    let away = team.folder.path().join("away");
    fs::rename(team.remote(), &away).unwrap();
    let unreachable = |result: Result<Grant, LockError>| {
        assert!(matches!(result, Err(LockError::Unreachable { .. })), "{result:?}");
    };
    unreachable(ada.acquire("deploy:staging", 60));
    unreachable(ada.locks.renew(&deploy, None));
    unreachable(ada.locks.push(&deploy, &["HEAD:refs/heads/x".to_owned()]));
    assert!(matches!(ada.locks.release(&deploy), Err(LockError::Unreachable { .. })));
    fs::rename(&away, team.remote()).unwrap();
    assert_eq!(ada.locks.release(&deploy).unwrap().state, State::Released, "it is still known");
}

#[test]
fn a_remote_that_takes_nothing_is_told() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    team.hook("pre-receive", "echo 'read only today' >&2; exit 1");
    let refused = ada.acquire("deploy:production", 60);
    let Err(LockError::Rejected { remote, why }) = refused else { panic!("{refused:?}") };
    assert_eq!(remote, "origin");
    assert!(why.contains("declined") && why.contains("read only today"), "{why}");
}

#[test]
fn without_a_remote_a_lock_is_local_and_says_so() {
    let alone: TestRepo = repo().commit("first");
    let ada = member_at(alone.path(), "ada", &[]);
    let grant = ada.acquire("deploy:production", 60).unwrap();
    assert_eq!((grant.scope, grant.lease.fence), (Scope::Local, Fence(1)));
    assert!(matches!(ada.acquire("deploy:production", 60), Err(LockError::Held { .. })));
    ada.acquire("repo:release", 60).unwrap();
    ada.locks.renew(&resource("deploy:production"), None).unwrap();
    ada.locks.release(&resource("deploy:production")).unwrap();
    assert_eq!(ada.acquire("deploy:production", 60).unwrap().lease.fence, Fence(2));
    let refused = ada.locks.push(&resource("deploy:production"), &["HEAD:refs/heads/x".to_owned()]);
    assert!(matches!(refused, Err(LockError::NoRemote)), "{refused:?}");
    // With a remote that is not the one, nothing is silently local.
    alone.git(&["remote", "add", "upstream", "elsewhere"]);
    let refused = ada.acquire("deploy:staging", 60);
    assert!(matches!(refused, Err(LockError::WhichRemote { .. })), "{refused:?}");
}

#[test]
fn a_remote_that_takes_branches_only_holds_locks_as_such() {
    let team = Team::new();
    team.hook("update", "case $1 in refs/heads/*) exit 0;; *) exit 1;; esac");
    let ada = team.member("ada", &[]);
    let refused = ada.acquire("deploy:production", 60);
    assert!(matches!(refused, Err(LockError::Rejected { .. })), "{refused:?}");
    let prefix = [("grit.prefix", "refs/heads/grit")];
    let (bob, cleo) = (team.member("bob", &prefix), team.member("cleo", &prefix));
    bob.acquire("deploy:production", 60).unwrap();
    assert_eq!(held_by(cleo.acquire("deploy:production", 60)), "bob");
    assert!(git(&team.remote(), &["for-each-ref"]).contains("refs/heads/grit/lock/"));
    let own = bob.locks.push(&resource("deploy:production"), &["HEAD:refs/heads/grit/x".into()]);
    assert!(matches!(own, Err(LockError::Refspec { .. })), "{own:?}");
}

#[test]
fn what_is_no_record_is_never_passed_over() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let stranger = repo().commit("this is no record");
    let url = team.remote();
    let key = resource("deploy:production").key();
    let target = format!("HEAD:refs/grit/lock/{key}");
    stranger.git(&["push", "--quiet", url.to_str().unwrap(), &target]);
    // Also for others: it might be what excludes them.
    for name in ["deploy:production", "deploy:staging"] {
        let refused = ada.acquire(name, 60);
        let Err(LockError::Damaged { name, .. }) = refused else { panic!("{refused:?}") };
        assert!(name.ends_with(&key), "{name}");
    }
    git(&team.remote(), &["update-ref", "-d", &format!("refs/grit/lock/{key}")]);
    // A history that was replaced is not followed either.
    let first = bob.acquire("deploy:production", 60).unwrap();
    bob.locks.release(&first.lease.resource).unwrap();
    let old = git(&team.remote(), &["rev-parse", &format!("refs/grit/lock/{key}^")]);
    git(&team.remote(), &["update-ref", &format!("refs/grit/lock/{key}"), old.trim()]);
    let refused = bob.acquire("deploy:production", 60);
    assert!(matches!(refused, Err(LockError::Damaged { .. })), "{refused:?}");
}

#[track_caller]
fn spoiled<T: std::fmt::Debug>(result: Result<T, LockError>, name: &str) {
    let Err(LockError::Damaged { name: told, source }) = result else { panic!("{result:?}") };
    assert!(told.ends_with(&resource(name).key()), "{told}");
    assert!(source.to_string().contains("fsck error"), "{source}");
}

#[test]
fn a_record_that_git_refuses_stops_only_what_it_may_exclude() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let (deploy, source) = (resource("deploy:production"), resource("path:src"));
    ada.acquire(deploy.as_str(), 60).unwrap();
    team.spoil(&format!("refs/grit/lock/{}", deploy.key()));
    // Ada has seen what it was, Bob has not.
    for member in [&ada, &bob] {
        spoiled(member.acquire("deploy:production", 60), "deploy:production");
        spoiled(member.locks.status(Some(&deploy)), "deploy:production");
        spoiled(member.acquire("repo:release", 60), "deploy:production");
    }
    spoiled(ada.locks.renew(&deploy, None), "deploy:production");
    assert_eq!(bob.acquire("deploy:staging", 60).unwrap().lease.fence, Fence(1));
    assert_eq!(held_by(ada.acquire("deploy:staging", 60)), "bob");
    bob.locks.release(&resource("deploy:staging")).unwrap();
    assert_eq!(ada.acquire("deploy:staging", 60).unwrap().lease.fence, Fence(2));
    assert_eq!(bob.locks.status(None).unwrap().len(), 1, "the others are shown");
    // What is known to be in the way still is.
    ada.acquire("path:src", 60).unwrap();
    bob.locks.status(None).unwrap();
    team.spoil(&format!("refs/grit/lock/{}", source.key()));
    spoiled(bob.acquire("path:src/a", 60), "path:src");
    bob.acquire("path:docs", 60).unwrap();
    for lock in [&deploy, &source] {
        let name = format!("refs/grit/lock/{}", lock.key());
        git(&team.remote(), &["update-ref", "-d", &name]);
    }
    ada.locks.release(&deploy).unwrap_err();
    bob.acquire("issue:1", 60).unwrap();
}

#[test]
fn a_ref_that_cannot_be_kept_here_is_believed_as_the_remote_has_it() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    ada.acquire("deploy:production", 60).unwrap();
    assert_eq!(held_by(bob.acquire("deploy:production", 60)), "ada");
    ada.locks.release(&resource("deploy:production")).unwrap();
    // Somebody is at what bob keeps of it, now and for a while.
    let kept = bob.folder.join(".git/refs/grit/remotes/origin/lock");
    let busy = kept.join(format!("{}.lock", resource("deploy:production").key()));
    fs::write(&busy, "").unwrap();
    let status = bob.locks.status(None).unwrap();
    assert_eq!((status.len(), status[0].lease.state), (1, State::Released));
    fs::remove_file(&busy).unwrap();
    assert_eq!(bob.acquire("deploy:production", 60).unwrap().lease.fence, Fence(2));
}

#[test]
fn the_number_survives_a_remote_that_lost_the_ref() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    let deploy = resource("deploy:production");
    for _ in 0..3 {
        ada.acquire("deploy:production", 60).unwrap();
        ada.locks.release(&deploy).unwrap();
    }
    fs::remove_dir_all(team.remote()).unwrap();
    Repository::init_bare(&team.remote()).unwrap();
    assert_eq!(ada.acquire("deploy:production", 60).unwrap().lease.fence, Fence(4));
}

#[test]
fn a_worktree_shares_the_leases_and_a_copy_does_not() {
    let team = Team::new();
    let ada = team.member("ada", &[]);
    ada.commit();
    let deploy = resource("deploy:production");
    ada.acquire("deploy:production", 60).unwrap();
    let copy = team.folder.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-r").args([&ada.folder, &copy]).status();
    assert!(copied.unwrap().success());
    let copy = member_at(&copy, "eve", &[]);
    let not_its_own = copy.locks.release(&deploy);
    assert!(not_its_own.is_err(), "{not_its_own:?}");
    assert!(ada.locks.check(&deploy, Fence(1)).is_ok());
    let linked = team.folder.path().join("linked");
    git(&ada.folder, &["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    let linked = member_at(&linked, "ada", &[]);
    assert_eq!(linked.locks.release(&deploy).unwrap().state, State::Released);
}
