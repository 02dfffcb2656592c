//! A request is taken once, however often it comes.

use grit_ledger::{Context, Decider};
use grit_rollout::Rollouts;
use grit_rollout::slot::{Command, REQUESTS_REMEMBERED_MAX, Slot};
use grit_types::{Actor, DeploymentId};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use crate::ground::{BEGIN, person, request, rolling};

fn context() -> Context {
    Context { now: BEGIN, actor: Actor::new(person("alice"), "cli") }
}

fn take(slot: &mut Slot, command: &Command) -> usize {
    let events = Rollouts::decide(slot, command, &context()).unwrap();
    *slot = events.iter().fold(std::mem::take(slot), Rollouts::evolve);
    events.len()
}

fn nth(n: usize) -> Command {
    Command::Request(Box::new(request(&format!("v{n}"), rolling(), 1)))
}

#[test]
fn a_request_that_comes_again_after_a_later_one_deploys_nothing() {
    let mut slot = Slot::default();
    for n in 0..REQUESTS_REMEMBERED_MAX {
        assert!(take(&mut slot, &nth(n)) > 0);
    }
    for n in 0..REQUESTS_REMEMBERED_MAX {
        assert_eq!(take(&mut slot, &nth(n)), 0, "v{n}");
    }
    assert_eq!(slot.last, REQUESTS_REMEMBERED_MAX as u64);
}

#[test]
fn a_retry_and_a_rollback_that_come_again_do_nothing() {
    let id = |name: &[u8]| DeploymentId::derived(BEGIN, name);
    let mut slot = Slot::default();
    take(&mut slot, &nth(1));
    take(&mut slot, &Command::Abort { reason: String::new() });
    slot = settled(slot);
    let retry = Command::Retry { id: id(b"retry") };
    assert!(take(&mut slot, &retry) > 0);
    assert_eq!(take(&mut slot, &retry), 0, "while it is being rolled out");
    take(&mut slot, &Command::Abort { reason: String::new() });
    slot = settled(slot);
    assert_eq!(take(&mut slot, &retry), 0, "after it is over");
}

/// Nothing was started, so the way back is short.
fn settled(mut slot: Slot) -> Slot {
    let revision = slot.active().unwrap().revision;
    take(&mut slot, &Command::Outcome(grit_rollout::slot::Outcome::Stopped { revision }));
    assert_eq!(slot.active, None);
    slot
}

#[test]
fn what_was_stored_without_them_reads_back() {
    let mut slot = Slot::default();
    take(&mut slot, &nth(1));
    let mut stored = serde_json::to_value(&slot).unwrap();
    stored.as_object_mut().unwrap().remove("requests").unwrap();
    let mut read: Slot = serde_json::from_value(stored).unwrap();
    assert_eq!(read.requests.len(), 0);
    assert_eq!(take(&mut read, &nth(1)), 0, "known by its deployment");
}

proptest! {
    #[test]
    fn only_the_first_of_each_deploys(order in proptest::collection::vec(0..90usize, 1..200)) {
        let mut slot = Slot::default();
        let mut taken: Vec<usize> = vec![];
        for n in order {
            let deployed = take(&mut slot, &nth(n)) > 0;
            let newest = taken.iter().rev().take(REQUESTS_REMEMBERED_MAX);
            if newest.into_iter().any(|known| *known == n) {
                prop_assert!(!deployed, "v{} again", n);
            } else if !taken.contains(&n) {
                prop_assert!(deployed, "v{} for the first time", n);
            }
            taken.extend(deployed.then_some(n));
            prop_assert_eq!(slot.requests.len(), taken.len().min(REQUESTS_REMEMBERED_MAX));
        }
    }
}
