//! What effects are carried out on: instances that do at once what their version does, and routes.

use std::collections::BTreeSet;
use std::time::Duration;

use grit_rollout::fake::{Ensuring, Instances, Routes, Turn};
use grit_rollout::slot::{Command, Effect, GateVerdict, Outcome, RouteFailure, Slot};
use grit_rollout::{CheckOutcome, Instance, InstanceState, Route, RouterError, SlotId};
use grit_types::{EffectId, EventId, InstanceId, Revision, Timestamp};

use crate::ground;
use crate::rig::Owed;

#[derive(Default)]
pub struct World {
    pub routes: Routes,
    pub instances: Instances,
    /// Commands that fail.
    pub failing_checks: BTreeSet<String>,
    /// What machines answer to gates; nothing as long as it is not said.
    pub gates: Option<GateVerdict>,
    /// The next route is refused.
    pub refuses: Option<RouteFailure>,
    /// Nothing can be measured.
    pub blind: bool,
}

/// As on the ground, without time; what is sick stays so until it is told otherwise.
fn fate(version: &str, instance: &Instance) -> Option<(Duration, Turn)> {
    let sick = instance.state == InstanceState::Unhealthy;
    let fate = ground::fate(version, instance).filter(|_| !sick);
    fate.map(|(_, turn)| (Duration::ZERO, turn))
}

impl World {
    /// Does it, if it can be done by `now`. The error: what must never be done.
    pub fn carry(
        &mut self,
        owed: &Owed,
        slot: &Slot,
        now: Timestamp,
    ) -> Result<Option<Command>, String> {
        self.instances.advance(now, &mut fate);
        let outcome = match &owed.effect {
            Effect::AskGate { number, gate, .. } => {
                let (number, gate) = (*number, *gate);
                let verdict = self.gates.clone();
                return Ok(verdict.map(|verdict| Command::Gate { number, gate, verdict }));
            }
            Effect::EnsureInstances { number, set } => {
                let late = now >= owed.since.after(set.run.health.deadline);
                let result = self.ensure(owed, late, now);
                let (number, revision) = (*number, set.revision);
                result.map(|result| Outcome::Ensured { number, revision, result })
            }
            Effect::RunCheck { number, check, run } => {
                let failed = self.failing_checks.contains(&run.run);
                let output = "expected 200, got 404".to_owned();
                let failed = failed.then_some(CheckOutcome::Failed { exit: Some(1), output });
                let result = failed.unwrap_or(CheckOutcome::Passed);
                Some(Outcome::Checked { number: *number, check: *check, result })
            }
            Effect::SetWeights(route) => {
                let result = self.apply(route, slot)?;
                Some(Outcome::Routed { sequence: route.sequence, result })
            }
            Effect::Drain { revision, instances, .. } => {
                let drained = self.routes.drained(instances, true);
                drained.map(|result| Outcome::Drained { revision: *revision, result })
            }
            Effect::StopInstances { revision, slot, instances, .. } => {
                let gone = self.stop((slot, *revision), instances, now)?;
                gone.then_some(Outcome::Stopped { revision: *revision })
            }
            Effect::Measure { number, of, slot, window } => {
                let stats = self.routes.stats(slot, *window);
                let result = if self.blind { Err("no answer".to_owned()) } else { Ok(stats) };
                Some(Outcome::Measured { number: *number, of: *of, result })
            }
            Effect::WakeAt { at, timer } => (*at <= now).then(|| Outcome::Woke(timer.clone())),
            Effect::OpenIssue { number, .. } => {
                let issue = Some(EventId::of(&number.to_le_bytes()));
                Some(Outcome::IssueOpened { number: *number, issue })
            }
        };
        Ok(outcome.map(Command::Outcome))
    }

    fn ensure(
        &mut self,
        owed: &Owed,
        late: bool,
        now: Timestamp,
    ) -> Option<Result<Vec<Instance>, String>> {
        let Effect::EnsureInstances { set, .. } = &owed.effect else { return None };
        if late {
            self.give_up(&owed.id, now);
        }
        // Started, failed, ended, gone.
        for _ in 0..4 {
            match self.instances.ensure(&owed.id, set, now, &mut fate) {
                Ensuring::Ready(instances) => return Some(Ok(instances)),
                Ensuring::Failed(reason) => return Some(Err(reason)),
                Ensuring::Waiting => self.instances.advance(now, &mut fate),
            };
        }
        None
    }

    /// What was started for the effect is ended, and it fails.
    pub fn give_up(&mut self, effect: &EffectId, now: Timestamp) {
        self.instances.give_up(effect, "it was not ready in time", now, &mut fate);
        self.instances.advance(now, &mut fate);
    }

    /// Only what is recorded is ever routed.
    fn apply(
        &mut self,
        route: &Route,
        slot: &Slot,
    ) -> Result<Result<grit_rollout::Observed, RouteFailure>, String> {
        let recorded = slot.routing.as_ref().ok_or("it is routed and nothing is recorded")?;
        let at = (route.fence, route.sequence);
        let is_recorded = match at.cmp(&(recorded.fence, recorded.sequence)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => recorded.route == *route,
            std::cmp::Ordering::Greater => false,
        };
        if !is_recorded {
            return Err(format!("routed as {route:?}, and recorded is {recorded:?}"));
        }
        if let Some(failure) = self.refuses.take() {
            return Ok(Err(failure));
        }
        let trip = self.routes.get(&route.slot).and_then(|routed| routed.trip.clone());
        let trip = trip.filter(|trip| trip.fence == route.fence).map(Box::new);
        Ok(self.routes.apply(route).map_err(|error| match (error, trip) {
            (error @ RouterError::Stale { .. }, _) => {
                RouteFailure::Stale { reason: error.to_string() }
            }
            (_, Some(trip)) => RouteFailure::Tripped { trip },
            (error, None) => RouteFailure::Invalid { reason: error.to_string() },
        }))
    }

    /// Nothing that requests may reach is ever ended.
    fn stop(
        &mut self,
        (slot, revision): (&SlotId, Revision),
        named: &[InstanceId],
        now: Timestamp,
    ) -> Result<bool, String> {
        let meant = self.instances.meant(slot, revision, named);
        let routed = self.routes.get(slot);
        if let Some(id) = meant.iter().find(|id| routed.is_some_and(|r| r.reaches(**id))) {
            return Err(format!("{id} of revision {revision} is ended while it is routed"));
        }
        self.instances.stop((slot, revision), named, now, &mut fate);
        self.instances.advance(now, &mut fate);
        Ok(self.instances.meant(slot, revision, named).is_empty())
    }

    pub fn turn(&mut self, id: InstanceId, turn: Turn, now: Timestamp) {
        self.instances.turn(id, turn, now, &mut fate);
    }
}
