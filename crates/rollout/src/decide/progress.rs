use std::collections::BTreeMap;

use grit_types::{Fence, Weight};

use super::Draft;
use crate::slot::{Deployment, Event, MeasureOf, Phase, Stage, Status, Trigger, Why};
use crate::stages::at_once;
use crate::{Check, Group, Instance, Route};

/// How long one check may take.
const CHECK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);

impl Draft {
    /// Gives the slot to the newest that is queued, once it is free; a rollout in its way is
    /// superseded. What the last one left is read back first: until then, what this one begins
    /// with may still be routed.
    pub(super) fn start_next(&mut self) {
        let queued = |d: &&Deployment| d.phase == Phase::Queued;
        let Some(next) = self.slot.deployments.values().rev().find(queued).map(|d| d.number) else {
            return;
        };
        match self.slot.active() {
            None if self.slot.awaits_router() || self.is_being_ended(next) => {}
            None => self.start(next),
            Some(active) => {
                let ending = crate::slot::Ending::Superseded { by: next };
                self.roll_back(active.number, ending, Why::Superseded { by: next });
            }
        }
    }

    /// A rollback to a revision whose instances have just been told to end: it brings up new ones
    /// once these are gone.
    fn is_being_ended(&self, number: u64) -> bool {
        let trigger = self.slot.deployments.get(&number).map(|d| &d.request.trigger);
        let Some(Trigger::Rollback { to }) = trigger else { return false };
        self.slot.revisions.get(to).is_some_and(|record| record.retiring)
    }

    fn start(&mut self, number: u64) {
        let Some(deployment) = self.slot.deployments.get(&number) else { return };
        let request = &deployment.request;
        // Where nothing of the stable revision serves, most of a canary's requests would fail.
        let serves = |stable: &grit_types::Revision| !self.slot.serving(*stable).is_empty();
        let stable = self.slot.stable.filter(serves);
        let stable = stable.and_then(|stable| self.slot.revisions.get(&stable));
        let old = stable.map(|stable| stable.run.replicas);
        let (revision, stages) = match request.trigger {
            Trigger::Rollback { to } => (to, at_once(request.run.replicas, old.unwrap_or(0))),
            Trigger::Push | Trigger::Manual | Trigger::Retry { .. } => {
                (deployment.revision, request.strategy.stages(request.run.replicas, old))
            }
        };
        self.record(Event::Started { number, revision, stages, at: self.now });
        self.begin_step(number, 0);
    }

    pub(super) fn begin_step(&mut self, number: u64, step: usize) {
        let Some(deployment) = self.slot.deployments.get(&number) else { return };
        let Some(stage) = deployment.stages.get(step).cloned() else { return };
        let revision = deployment.revision;
        self.record(Event::StepStarted { number, step, at: self.now });
        match stage {
            Stage::Move { canary, .. } => {
                self.record(Event::Scaling { number, revision, replicas: canary });
            }
            Stage::Hold { duration } => {
                let until = duration.map(|duration| self.now.after(duration));
                self.record(Event::HoldStarted { number, step, until });
            }
            Stage::Measure(_) => {
                let of = MeasureOf::Step(step);
                self.record(Event::AnalysisStarted { number, of, at: self.now });
            }
        }
    }

    /// The step is done: on to the next, unless somebody paused.
    pub(super) fn advance(&mut self, number: u64) {
        let Some(deployment) = self.slot.live(number) else { return };
        if matches!(deployment.phase, Phase::Soaking { .. }) {
            return self.seal(number);
        }
        let (step, full, last) = (deployment.step, deployment.full, deployment.stages.len() - 1);
        if deployment.paused.is_some() {
            self.record(Event::HoldStarted { number, step, until: None });
            self.record(Event::HoldExpired { number });
        } else if step >= last {
            self.soak(number);
        } else if full {
            self.begin_step(number, last);
        } else {
            self.begin_step(number, step + 1);
        }
    }

    /// Full weight is given and read back.
    fn soak(&mut self, number: u64) {
        let Some(deployment) = self.slot.live(number) else { return };
        let soak = deployment.request.strategy.soak();
        let rollback = matches!(deployment.request.trigger, Trigger::Rollback { .. });
        if soak.is_zero() || rollback {
            return self.seal(number);
        }
        self.record(Event::SoakStarted { number, until: self.now.after(soak) });
    }

    /// The way back is given up first in the route. Until that is read back the guard may still
    /// trip; only then has the deployment succeeded, and only then does anything of the old end.
    fn seal(&mut self, number: u64) {
        let Some(deployment) = self.slot.live(number) else { return };
        let revision = deployment.revision;
        if deployment.from.is_none_or(|from| from == revision) {
            return self.finish(number, Status::Succeeded, None);
        }
        let only = self.slot.group(revision, Weight::FULL, true, usize::MAX);
        if let Some(route) = only.and_then(|group| self.route(vec![group])) {
            self.set(Some(number), route);
        }
    }

    pub(super) fn ready(&mut self, number: u64, instances: &[Instance]) {
        let Some(deployment) = self.slot.live(number) else { return };
        let revision = deployment.revision;
        let instances = instances.to_vec();
        self.record(Event::InstancesReady { number, revision, instances, at: self.now });
        if self.slot.live(number).is_some_and(|deployment| deployment.verified) {
            self.give_weight(number);
        } else {
            self.check(number, 0);
        }
    }

    pub(super) fn check(&mut self, number: u64, check: usize) {
        let Some(run) = self.check_to_run(number, check) else { return };
        self.record(Event::CheckStarted { number, check, run: Box::new(run) });
    }

    /// Checks reach an instance of the new revision directly: it has no traffic yet.
    fn check_to_run(&self, number: u64, check: usize) -> Option<Check> {
        let deployment = self.slot.live(number)?;
        let request = &deployment.request;
        let record = self.slot.revisions.get(&deployment.revision)?;
        let address = record.ready().next().map(|i| i.address.clone()).unwrap_or_default();
        let env = BTreeMap::from([
            ("GRIT_URL".to_owned(), format!("http://{address}")),
            ("GRIT_SERVICE".to_owned(), request.slot.service.to_string()),
            ("GRIT_ENVIRONMENT".to_owned(), request.slot.environment.to_string()),
            ("GRIT_VERSION".to_owned(), request.version.clone()),
        ]);
        Some(Check {
            slot: request.slot.clone(),
            commit: request.commit.clone(),
            run: request.verify.get(check)?.clone(),
            env,
            timeout: CHECK_TIMEOUT,
        })
    }

    /// The intent is recorded here; the router hears of it by the event's effect.
    pub(super) fn give_weight(&mut self, number: u64) {
        let Some(route) = self.slot.live(number).and_then(|d| self.step_route(d)) else { return };
        if route.groups.iter().any(Group::is_starved) {
            // They came up, and are gone again before they had any traffic.
            let reason = "none of its instances is ready any more".to_owned();
            return self.give_up(number, Why::NeverReady { reason });
        }
        self.set(Some(number), route);
    }

    fn step_route(&self, deployment: &Deployment) -> Option<Route> {
        let Stage::Move { canary, weight, stable } = *deployment.stage()? else { return None };
        let groups = self.groups(deployment, weight, canary, stable);
        self.route(groups)
    }

    /// The canary's group, and the stable's beside it, at weight zero in the end: the guard's way
    /// back.
    pub(super) fn groups(
        &self,
        deployment: &Deployment,
        weight: Weight,
        canary: u32,
        stable: u32,
    ) -> Vec<Group> {
        let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let Some(from) = deployment.from.filter(|from| *from != deployment.revision) else {
            let only = self.slot.group(deployment.revision, Weight::FULL, true, size(canary));
            return only.into_iter().collect();
        };
        let canary = self.slot.group(deployment.revision, weight, false, size(canary));
        let stable = self.slot.group(from, weight.complement(), true, size(stable));
        stable.into_iter().chain(canary).collect()
    }

    /// Fenced by the newest deployment that acts, numbered after the last route.
    pub(super) fn route(&self, groups: Vec<Group>) -> Option<Route> {
        let acting = self.slot.active.map(Fence);
        let last = self.slot.routing.as_ref().map(|routing| routing.fence);
        let stable = groups.iter().find(|group| group.stable).or(groups.first())?;
        let run = &self.slot.revisions.get(&stable.revision)?.run;
        let by = acting.and_then(|fence| self.slot.deployments.get(&fence.0));
        Some(Route {
            slot: self.slot.id.clone()?,
            fence: acting.max(last)?,
            sequence: self.slot.next_sequence(),
            guard: by.and_then(|deployment| deployment.request.strategy.guard().cloned()),
            request_timeout: run.request_timeout,
            groups,
        })
    }

    /// `awaited` is the deployment whose rollout goes on when the route is read back.
    pub(super) fn set(&mut self, awaited: Option<u64>, route: Route) {
        self.record(Event::WeightSet { awaited, route: Box::new(route), at: self.now });
    }

    /// The step's weight is in force: now the old revision may shrink.
    pub(super) fn shrink(&mut self, number: u64) {
        let Some(deployment) = self.slot.live(number) else { return };
        if self.starts_analysis(deployment) {
            let of = MeasureOf::Rollout;
            self.record(Event::AnalysisStarted { number, of, at: self.now });
        }
        match self.surplus(number) {
            Some((revision, instances)) => self.record(Event::DrainStarted { revision, instances }),
            None => self.advance(number),
        }
    }

    fn starts_analysis(&self, deployment: &Deployment) -> bool {
        let first = deployment.watches.iter().all(|watch| watch.of != MeasureOf::Rollout);
        let rollback = matches!(deployment.request.trigger, Trigger::Rollback { .. });
        let beside = deployment.from.is_some() && deployment.shifted;
        first && !rollback && beside && deployment.request.strategy.analysis().is_some()
    }

    fn surplus(&self, number: u64) -> Option<(grit_types::Revision, Vec<grit_types::InstanceId>)> {
        let deployment = self.slot.live(number)?;
        let from = deployment.from.filter(|from| *from != deployment.revision)?;
        let unrouted = |id: &grit_types::InstanceId| !self.slot.is_routed(*id);
        let surplus: Vec<_> = self.slot.serving(from).into_iter().filter(unrouted).collect();
        (!surplus.is_empty()).then_some((from, surplus))
    }

    pub(super) fn finish(&mut self, number: u64, status: Status, reason: Option<Why>) {
        self.record(Event::Finished { number, status, reason, at: self.now });
        self.start_next();
    }
}
