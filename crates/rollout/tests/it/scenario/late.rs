//! Outcomes that come late, twice, or for nobody.

use grit_rollout::slot::{Command, Event, MeasureOf, Outcome, Status, Timer};
use grit_rollout::{CheckOutcome, Drained, Stats};
use grit_types::{Revision, Sequence};

use super::serving;
use crate::ground::{request, secs};
use crate::rig::Rig;
use crate::strategies::careful;

/// One of each kind, of deployment 2 and its revision.
fn outcomes(rig: &Rig) -> Vec<Outcome> {
    let (number, revision) = (2, Revision(2));
    let observed = rig.world.routes.get(&crate::ground::slot()).unwrap().observed();
    let of = MeasureOf::Rollout;
    vec![
        Outcome::Ensured { number, revision, result: Ok(vec![]) },
        Outcome::Ensured { number, revision, result: Err("late".to_owned()) },
        Outcome::Checked { number, check: 0, result: CheckOutcome::Passed },
        Outcome::Routed { sequence: Sequence(1), result: Ok(observed) },
        Outcome::Drained { revision, result: Drained::Empty },
        Outcome::Measured { number, of, result: Ok(Stats::default()) },
        Outcome::Woke(Timer::Hold { number, step: 1 }),
        Outcome::Woke(Timer::Soak { number }),
        Outcome::Woke(Timer::Measure { number, of }),
        Outcome::Woke(Timer::Retire { revision }),
        Outcome::IssueOpened { number, issue: None },
        Outcome::Done,
    ]
}

/// Nothing follows but the note that a route was read back.
fn are_ignored(rig: &mut Rig) {
    let before = rig.slot.clone();
    for outcome in outcomes(rig) {
        rig.story();
        rig.outcome(outcome.clone());
        let quiet = matches!(&outcome, Outcome::Routed { .. });
        assert!(quiet || rig.story().ends_with(": nothing\n"), "{outcome:?}");
        assert_eq!(rig.slot, before, "{outcome:?}");
    }
}

#[test]
fn after_the_end_they_change_nothing() {
    let mut rig = serving();
    rig.deploy(&request("v2", careful(), 3));
    rig.wait(secs(5));
    rig.ask(Command::Abort { reason: String::new() }).unwrap();
    rig.settle();
    assert_eq!(rig.status(2), Status::RolledBack);
    are_ignored(&mut rig);
}

#[test]
fn in_another_phase_they_change_nothing() {
    let mut rig = serving();
    rig.deploy(&request("v2", careful(), 3));
    rig.wait(secs(100));
    assert_eq!(rig.status(2), Status::Paused);
    are_ignored(&mut rig);
}

#[test]
fn before_there_is_anything_they_change_nothing() {
    let mut rig = Rig::default();
    let result = Ok(vec![]);
    rig.outcome(Outcome::Ensured { number: 1, revision: Revision(1), result });
    rig.outcome(Outcome::Stopped { revision: Revision(1) });
    rig.outcome(Outcome::Drained { revision: Revision(1), result: Drained::Empty });
    rig.outcome(Outcome::Woke(Timer::Retire { revision: Revision(1) }));
    assert_eq!(rig.slot, grit_rollout::Slot::default());
}

#[test]
fn events_of_a_deployment_that_is_not_there_change_nothing() {
    use grit_ledger::Decider;
    let slot = serving().slot;
    let event = Event::StepStarted { number: 99, step: 3, at: crate::ground::BEGIN };
    assert_eq!(grit_rollout::Rollouts::evolve(slot.clone(), &event), slot);
}
