use grit_types::{Revision, Sequence};

use super::Draft;
use crate::slot::{Act, Back, Deployment, Event, Outcome, Phase, RouteFailure, Status, Timer, Why};
use crate::{CheckOutcome, Drained, Instance, Observed};

impl Draft {
    /// What came of an effect. One that nobody waits for any more changes nothing.
    pub(super) fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ensured { number, revision, result } => {
                self.ensured(*number, *revision, result);
            }
            Outcome::Checked { number, check, result } => self.checked(*number, *check, result),
            Outcome::Routed { sequence, result: Ok(observed) } => self.routed(*sequence, observed),
            Outcome::Routed { sequence, result: Err(failure) } => {
                self.not_routed(*sequence, failure)
            }
            Outcome::Drained { revision, result } => self.drained(*revision, *result),
            Outcome::Stopped { revision } => self.stopped(*revision),
            Outcome::Measured { number, of, result } => self.measured(*number, *of, result),
            Outcome::Woke(timer) => self.woke(timer),
            Outcome::IssueOpened { number, issue: Some(issue) } => {
                self.record(Event::IssueOpened { number: *number, issue: issue.clone() });
            }
            Outcome::IssueOpened { issue: None, .. } | Outcome::Done => {}
        }
    }

    fn ensured(&mut self, number: u64, revision: Revision, result: &Result<Vec<Instance>, String>) {
        let Some(deployment) = self.slot.live(number) else { return };
        match (&deployment.phase, result) {
            (Phase::Moving(Act::Ensuring), Ok(instances)) if revision == deployment.revision => {
                self.ready(number, instances);
            }
            (Phase::Moving(Act::Ensuring), Err(reason)) if revision == deployment.revision => {
                self.give_up(number, Why::NeverReady { reason: reason.clone() });
            }
            (Phase::RollingBack { back, .. }, result) if Some(revision) == deployment.from => {
                match (back, result) {
                    (Back::Reviving, Ok(instances)) => self.revived(number, instances, false),
                    (Back::Restoring, Ok(instances)) => self.revived(number, instances, true),
                    (Back::Reviving, Err(reason)) => {
                        let why = Why::StableLost { reason: reason.clone() };
                        self.finish(number, Status::Degraded, Some(why));
                    }
                    // Stable serves, only with fewer than it had.
                    (Back::Restoring, Err(_)) => self.drain_canary(number),
                    (Back::Routing(_) | Back::Draining(_) | Back::Stopping, _) => {}
                }
            }
            _ => {}
        }
    }

    /// What serves, what is being rolled out, and what it goes back to.
    pub(super) fn is_needed(&self, revision: Revision) -> bool {
        let of = |active: &Deployment| active.revision == revision || active.from == Some(revision);
        self.slot.stable == Some(revision) || self.slot.active().is_some_and(of)
    }

    fn checked(&mut self, number: u64, check: usize, result: &CheckOutcome) {
        let Some(deployment) = self.slot.live(number) else { return };
        if deployment.phase != Phase::Moving(Act::Checking(check)) {
            return;
        }
        let last = check + 1 >= deployment.request.verify.len();
        let run = deployment.request.verify.get(check).cloned().unwrap_or_default();
        match result {
            CheckOutcome::Passed => {
                self.record(Event::CheckPassed { number, check });
                if last { self.give_weight(number) } else { self.check(number, check + 1) }
            }
            CheckOutcome::Failed { output, .. } => {
                self.give_up(number, Why::Check { run, output: output.clone() });
            }
        }
    }

    fn routed(&mut self, sequence: Sequence, observed: &Observed) {
        let weights = observed.weights.clone();
        self.record(Event::WeightObserved { sequence, weights, at: self.now });
        let Some(deployment) = self.awaiting(sequence) else {
            self.refresh();
            self.retire_left_over();
            return self.start_if_free();
        };
        let number = deployment.number;
        let back = matches!(deployment.phase, Phase::RollingBack { .. });
        let sealed = matches!(deployment.phase, Phase::Moving(Act::Sealing(_)));
        let trip = observed.trip.clone().filter(|trip| trip.fence.0 == number);
        match trip {
            Some(trip) if !back => self.tripped(number, &trip),
            _ if back => self.back_on_stable(number),
            _ if !self.is_as_told(observed) => {
                let reason = "the router follows other weights than it was told".to_owned();
                self.give_up(number, Why::Route { reason });
            }
            _ if sealed => self.finish(number, Status::Succeeded, None),
            _ => self.shrink(number),
        }
        self.refresh();
    }

    fn start_if_free(&mut self) {
        if self.slot.active.is_none() {
            self.start_next();
        }
    }

    fn awaiting(&self, sequence: Sequence) -> Option<&Deployment> {
        self.slot.active().filter(|active| active.awaited() == Some(sequence))
    }

    fn is_as_told(&self, observed: &Observed) -> bool {
        let groups = self.slot.routing.iter().flat_map(|routing| &routing.route.groups);
        groups.into_iter().all(|group| {
            observed.weights.get(&group.revision).copied().unwrap_or(grit_types::Weight::ZERO)
                == group.weight
        })
    }

    fn not_routed(&mut self, sequence: Sequence, failure: &RouteFailure) {
        self.record(Event::RouteRefused { sequence, reason: failure.to_string() });
        let Some(deployment) = self.awaiting(sequence) else { return self.start_if_free() };
        let number = deployment.number;
        let back = matches!(deployment.phase, Phase::RollingBack { .. });
        match failure {
            RouteFailure::Tripped { trip } if !back => self.tripped(number, trip),
            RouteFailure::Stale { .. }
            | RouteFailure::Invalid { .. }
            | RouteFailure::Tripped { .. } => {
                let why = Why::Route { reason: failure.to_string() };
                if back {
                    self.finish(number, Status::Degraded, Some(why));
                } else {
                    self.give_up(number, why);
                }
            }
        }
    }

    fn drained(&mut self, revision: Revision, result: Drained) {
        let Some(mut instances) = self.draining(revision) else { return };
        self.record(Event::DrainEnded { revision, result });
        let back = |active: &Deployment| {
            active.revision == revision && matches!(active.phase, Phase::RollingBack { .. })
        };
        if self.slot.active().is_some_and(back) || !self.is_needed(revision) {
            // None named, so that those still being started end as well.
            instances.clear();
        }
        self.record(Event::Stopping { revision, instances });
    }

    /// The instances of `revision` that a drain was asked for.
    fn draining(&self, revision: Revision) -> Option<Vec<grit_types::InstanceId>> {
        let record = self.slot.revisions.get(&revision)?;
        match self.slot.active().map(|active| (active, &active.phase)) {
            Some((active, Phase::Moving(Act::Draining(instances))))
                if active.from == Some(revision) =>
            {
                Some(instances.clone())
            }
            Some((active, Phase::RollingBack { back: Back::Draining(instances), .. }))
                if active.revision == revision =>
            {
                Some(instances.clone())
            }
            _ if record.retiring => {
                let ids = record.instances.iter().map(|instance| instance.id);
                Some(ids.filter(|id| self.slot.leaving.contains(id)).collect())
            }
            _ => None,
        }
    }

    fn stopped(&mut self, revision: Revision) {
        if !self.slot.revisions.contains_key(&revision) {
            return;
        }
        self.record(Event::Stopped { revision });
        let Some(active) = self.slot.active() else { return self.start_next() };
        let number = active.number;
        match active.phase {
            Phase::Moving(Act::Stopping) if active.from == Some(revision) => self.advance(number),
            Phase::RollingBack { ending, back: Back::Stopping } if active.revision == revision => {
                self.finish(number, ending.status(), None);
            }
            _ => {}
        }
    }

    fn woke(&mut self, timer: &Timer) {
        match timer {
            Timer::Hold { number, step } => {
                let Some(deployment) = self.slot.live(*number) else { return };
                let holds = matches!(deployment.phase, Phase::Holding { expired: false, .. });
                let paused = deployment.paused.is_some();
                if holds && deployment.step == *step {
                    self.record(Event::HoldExpired { number: *number });
                    if !paused {
                        self.advance(*number);
                    }
                }
            }
            Timer::Soak { number } => {
                let Some(deployment) = self.slot.live(*number) else { return };
                let soaks = matches!(deployment.phase, Phase::Soaking { .. });
                if soaks && deployment.paused.is_none() {
                    self.advance(*number);
                }
            }
            Timer::Measure { number, of } => self.measure(*number, *of),
            Timer::Retire { revision } => self.retire(*revision),
        }
    }

    pub(super) fn retire(&mut self, revision: Revision) {
        let Some(record) = self.slot.revisions.get(&revision) else { return };
        let needed = self.is_needed(revision);
        let instances: Vec<_> = record.instances.iter().map(|instance| instance.id).collect();
        let routed = instances.iter().any(|id| self.slot.may_be_reached(*id));
        if needed || routed || record.retiring || instances.is_empty() {
            return;
        }
        self.record(Event::Retiring { revision });
        self.record(Event::DrainStarted { revision, instances });
    }
}
