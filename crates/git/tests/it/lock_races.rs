//! Many at once: one has it.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use grit_git::{Grant, LockError};
use grit_locks::State;
use grit_testkit::git;
use grit_types::Fence;

use crate::Team;
use crate::lock::{Member, resource};

const ROUNDS: u64 = 50;
const CONTENDERS: usize = 4;

/// All at the same moment.
fn race<T: Send>(acts: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
    let barrier = Barrier::new(acts.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = acts
            .into_iter()
            .map(|act| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    act()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn all_acquire(members: &[Member], name: &str, ttl: u64) -> Vec<Result<Grant, LockError>> {
    type Act<'a> = Box<dyn FnOnce() -> Result<Grant, LockError> + Send + 'a>;
    race(members.iter().map(|m| Box::new(move || m.acquire(name, ttl)) as Act<'_>).collect())
}

/// Which of them has it; the others were told that somebody has.
#[track_caller]
fn only_winner(results: &[Result<Grant, LockError>], round: u64) -> usize {
    let winners: Vec<usize> = (0..results.len()).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "round {round}: {results:?}");
    for result in results {
        let told =
            matches!(result, Ok(_) | Err(LockError::Held { .. } | LockError::Contended { .. }));
        assert!(told, "round {round}: {result:?}");
    }
    winners[0]
}

#[test]
fn of_four_who_want_a_fresh_lock_one_has_it() {
    let team = Team::new();
    let members: Vec<Member> =
        (0..CONTENDERS).map(|n| team.member(&format!("c{n}"), &[])).collect();
    for round in 0..ROUNDS {
        let name = format!("deploy:r{round}");
        let results = all_acquire(&members, &name, 60);
        let winner = only_winner(&results, round);
        assert!(members[winner].locks.check(&resource(&name), Fence(1)).unwrap().here);
    }
}

#[test]
fn of_four_who_want_an_expired_lock_one_has_it() {
    let team = Team::new();
    let members: Vec<Member> =
        (0..CONTENDERS).map(|n| team.member(&format!("c{n}"), &[])).collect();
    let deploy = resource("deploy:production");
    members[0].acquire("deploy:production", 60).unwrap();
    let mut ahead = 0;
    for round in 0..ROUNDS {
        ahead += 80_000;
        for member in &members {
            member.freshly_wrong_by(ahead);
        }
        let results = all_acquire(&members, "deploy:production", 60);
        let winner = only_winner(&results, round);
        let fence = results[winner].as_ref().unwrap().lease.fence;
        assert_eq!(fence, Fence(round + 2), "each grant has the next number");
        assert!(members[winner].locks.check(&deploy, fence).is_ok());
    }
}

#[test]
fn what_excludes_each_other_is_never_held_at_once() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let pairs = [("repo:release", "deploy:production"), ("path:src", "path:src/main.rs")];
    let mut had = 0;
    for round in 0..ROUNDS {
        let (one, other) = pairs[(round % 2) as usize];
        type Act<'a> = Box<dyn FnOnce() -> Result<Grant, LockError> + Send + 'a>;
        let acts: Vec<Act<'_>> =
            vec![Box::new(|| ada.acquire(one, 60)), Box::new(|| bob.acquire(other, 60))];
        let results = race(acts);
        had += only_winner(&results, round) + 1;
        for (member, name) in [(&ada, one), (&bob, other)] {
            let _ = member.locks.release(&resource(name));
        }
        for view in ada.locks.status(None).unwrap() {
            assert_ne!(view.lease.state, State::Held, "round {round}: {view:?}");
        }
    }
    assert!(had > 0);
}

#[test]
fn a_push_under_a_lock_that_is_being_broken_lands_or_does_not_and_says_which() {
    let team = Team::new();
    let (ada, bob) = (team.member("ada", &[]), team.member("bob", &[]));
    let deploy = resource("deploy:production");
    ada.commit();
    let broke_first = AtomicBool::new(false);
    for round in 0..ROUNDS {
        let lease = ada.acquire("deploy:production", 60).unwrap().lease;
        let target = format!("refs/tags/r{round}");
        let refspecs = [format!("HEAD:{target}")];
        let acts: Vec<Box<dyn FnOnce() -> bool + Send + '_>> = vec![
            Box::new(|| ada.locks.push(&deploy, &refspecs).is_ok()),
            Box::new(|| bob.locks.break_lease(lease.id, "race").is_ok()),
        ];
        let results = race(acts);
        assert!(results[1], "round {round}: it is broken in the end");
        let landed = !git(&team.remote(), &["for-each-ref", &target]).is_empty();
        assert_eq!(landed, results[0], "round {round}");
        broke_first.fetch_or(!landed, Ordering::Relaxed);
        // After the break nothing lands any more.
        let late = ada.locks.push(&deploy, &[format!("HEAD:refs/tags/late{round}")]);
        assert!(matches!(late, Err(LockError::Lost { .. })), "round {round}: {late:?}");
    }
    assert_eq!(git(&team.remote(), &["for-each-ref", "refs/tags/late*"]), "");
}
