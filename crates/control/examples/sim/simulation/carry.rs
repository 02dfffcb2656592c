//! Carrying effects out through the fakes.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_control::aggregate::{Command, Effect};
use grit_control::reactor::{Input, Receipt, SubmitError};
use grit_control::repo;
use grit_control::view::{CommitView, DeploymentView};
use grit_ledger::{PendingEffect, RowQuery};
use grit_pipeline::{concurrency, queue, run};
use grit_rollout::fake::{Ensuring, Turn};
use grit_rollout::slot::{self, GateVerdict, Outcome, Status};
use grit_rollout::{
    CheckOutcome, Drained, Gate, Instance, InstanceSet, InstanceState, RevisionStats, Route,
    SlotId, Stats,
};
use grit_types::{CommitId, Digest, EventId, Fence, InstanceId, Timestamp};

use super::scenario::Quality;
use super::tally::{self, Fault};
use super::target::fate;
use super::world::{Item, Moment, World};

/// How often the edge tells of a trip before somebody must have acted on it.
const HEARD_WITHIN: u32 = 6;

/// An effect that is being carried out.
pub(super) struct Call {
    pub effect: PendingEffect,
    pub body: Effect,
    /// How far it is; what that means is each effect's own.
    pub stage: u32,
    pub until: Option<Timestamp>,
    pub promoted: Vec<repo::Promoted>,
    /// What it asked another stream was refused.
    pub refused: bool,
}

impl Call {
    /// Whether it waits for something to be recorded.
    pub fn asks(&self) -> bool {
        matches!(self.body, Effect::Slot(slot::Effect::AskGate { .. }))
    }

    fn waits_for_instances(&self, of: &SlotId) -> bool {
        match &self.body {
            Effect::Slot(slot::Effect::EnsureInstances { set, .. }) => set.slot == *of,
            Effect::Slot(slot::Effect::StopInstances { slot, .. }) => slot == of,
            _ => false,
        }
    }
}

/// An outcome that may be delivered more than once.
#[derive(Clone)]
pub(super) enum Done {
    Slot(slot::Command),
    Run(run::Outcome),
    Repo(repo::Command),
    Group(concurrency::Command),
    Queue(queue::Command),
}

impl Done {
    fn command(self) -> Command {
        match self {
            Self::Slot(command) => Command::Slot(command),
            Self::Run(outcome) => Command::Run(run::Command::Outcome(outcome)),
            Self::Repo(command) => Command::Repo(command),
            Self::Group(command) => Command::Group(command),
            Self::Queue(command) => Command::Queue(command),
        }
    }
}

impl World {
    pub(super) fn start(&mut self, effect: PendingEffect) {
        let owed = self.store.owed().iter().any(|owed| owed.id == effect.id);
        if !owed {
            let what = if self.oracle.was_owed(&effect.id) {
                "after its outcome was recorded"
            } else {
                "before it was recorded"
            };
            return self.fail(format!("effect {} is carried out {what}", effect.id));
        }
        let body = match serde_json::from_value::<Effect>(effect.body.clone()) {
            Ok(body) => body,
            Err(error) => return self.fail(format!("an effect does not read back: {error}")),
        };
        self.tally.count("effect", tally::effect(&body));
        if !self.begun.insert(effect.id.clone()) {
            self.tally.fault(Fault::ReissuedEffect);
        }
        let call = Call { effect, body, stage: 0, until: None, promoted: vec![], refused: false };
        let call = self.new_call(call);
        self.step(call);
    }

    pub(super) fn step(&mut self, id: u64) {
        // Dead with its controller, or done.
        let Some(call) = self.calls.get(&id) else { return };
        match call.body.clone() {
            Effect::Slot(effect) => self.step_slot(id, effect),
            Effect::Run(effect) => self.step_run(id, effect),
            Effect::Repo(effect) => self.step_repo(id, effect),
            Effect::Group(effect) => self.step_group(id, effect),
            Effect::Queue(effect) => self.step_queue(id, effect),
        }
    }

    /// Moves a call on, and says at which stage it was.
    pub(super) fn stage(&mut self, id: u64) -> u32 {
        let Some(call) = self.calls.get_mut(&id) else { return u32::MAX };
        call.stage += 1;
        call.stage - 1
    }

    pub(super) fn again(&mut self, id: u64, after: u64) {
        self.queue(after, Item::Step(id));
    }

    pub(super) fn finish(&mut self, id: u64, done: Done) {
        let Some(call) = self.calls.remove(&id) else { return };
        let mut delay = self.rng.between(0, 30);
        if !self.is_calm() && self.rng.permille(30) {
            self.tally.fault(Fault::LateOutcome);
            delay += self.rng.between(1_000, 10_000);
        }
        let copies = if !self.is_calm() && self.rng.permille(40) {
            self.tally.fault(Fault::DuplicatedOutcome);
            2
        } else {
            1
        };
        for copy in 0..copies {
            let input = Input::Outcome {
                effect: call.effect.id.clone(),
                stream: call.effect.stream.clone(),
                command: done.clone().command(),
            };
            let delay = delay + copy * self.rng.between(0, 3_000);
            self.queue(delay, Item::Input(self.life, Box::new(input)));
        }
    }

    fn outcome(&mut self, id: u64, outcome: Outcome) {
        self.finish(id, Done::Slot(slot::Command::Outcome(outcome)));
    }

    fn step_slot(&mut self, id: u64, effect: slot::Effect) {
        match effect {
            slot::Effect::AskGate { number, gate, ask, commit, artifact } => {
                let stream = self.calls[&id].effect.stream.clone();
                let slot = SlotId::of_stream(&stream);
                let verdict = slot.and_then(|slot| self.verdict(&slot, &ask, &commit, artifact));
                if let Some(verdict) = verdict {
                    self.finish(id, Done::Slot(slot::Command::Gate { number, gate, verdict }));
                }
            }
            slot::Effect::EnsureInstances { number, set } => self.ensure(id, number, &set),
            slot::Effect::RunCheck { number, check, run } => {
                if self.stage(id) == 0 {
                    let duration = self.rng.between(200, 4_000);
                    return self.again(id, duration);
                }
                let version = run.env.get("GRIT_VERSION").map_or("", String::as_str);
                let failed = self.scenario.quality(version) == Quality::FailingCheck;
                let output = "expected 200, got 404".to_owned();
                let result = if failed {
                    CheckOutcome::Failed { exit: Some(1), output }
                } else {
                    CheckOutcome::Passed
                };
                self.outcome(id, Outcome::Checked { number, check, result });
            }
            slot::Effect::SetWeights(route) => self.send(id, route),
            slot::Effect::Drain { revision, deadline, .. } => self.drain(id, revision, deadline),
            slot::Effect::StopInstances { revision, slot, instances, .. } => {
                self.stop(id, revision, &slot, &instances);
            }
            slot::Effect::Measure { number, of, slot, window } => {
                let result = self.measure(&slot, window);
                self.outcome(id, Outcome::Measured { number, of, result });
            }
            slot::Effect::WakeAt { at, timer } => {
                if self.stage(id) == 0 {
                    let jitter = self.rng.between(0, 200);
                    let wait = at.since(self.now).as_millis() as u64 + jitter;
                    return self.again(id, wait);
                }
                self.outcome(id, Outcome::Woke(timer));
            }
            slot::Effect::OpenIssue { number, .. } => {
                let effect = self.calls[&id].effect.id.to_string();
                let issue = Some(EventId::of(effect.as_bytes()));
                self.outcome(id, Outcome::IssueOpened { number, issue });
            }
        }
    }

    fn ensure(&mut self, id: u64, number: u64, set: &InstanceSet) {
        let (now, revision) = (self.now, set.revision);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let effect = call.effect.id.clone();
        let until = *call.until.get_or_insert(now.after(set.run.health.deadline));
        let (scenario, rng) = (&self.scenario, &mut self.rng);
        let mut fate = |version: &str, instance: &_| fate(scenario, rng, version, instance);
        let mut ensuring = self.target.ensure(&effect, set, now, &mut fate);
        if now >= until && ensuring == Ensuring::Waiting {
            self.target.give_up(&effect, "it timed out", now, &mut fate);
            ensuring = self.target.ensure(&effect, set, now, &mut fate);
        }
        self.instances_moved(&set.slot);
        let result = match ensuring {
            Ensuring::Ready(ready) => Ok(ready),
            Ensuring::Failed(reason) => Err(reason),
            Ensuring::Waiting => {
                if self.stage(id) == 0 {
                    if self.scenario.quality(&set.version) == Quality::Hung {
                        self.tally.fault(Fault::HungHealthCheck);
                    }
                    self.again(id, until.since(now).as_millis() as u64);
                    self.report(&set.slot);
                }
                return;
            }
        };
        self.outcome(id, Outcome::Ensured { number, revision, result });
    }

    /// Nothing that the edge sends requests to is ever ended.
    fn instances_moved(&mut self, slot: &SlotId) {
        let ending = self.target.observe(slot).into_iter();
        let ending = ending.filter(|instance| instance.state == InstanceState::Stopping);
        let routed = self.edge.routes.get(slot);
        let reached = |i: &Instance| routed.is_some_and(|routed| routed.reaches(i.id));
        if let Some(instance) = ending.into_iter().find(reached) {
            return self.fail(format!("{} of {slot} is ended while it is routed", instance.id));
        }
        self.wake_instances();
    }

    /// Something became of instances: it is reported, and who waits for them looks again.
    pub(super) fn instances_changed(&mut self, slot: &SlotId) {
        self.instances_moved(slot);
        self.report(slot);
        let waiting = self.calls.iter().filter(|(_, call)| call.waits_for_instances(slot));
        for call in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            let soon = self.rng.between(0, 20);
            self.again(call, soon);
        }
    }

    /// This becomes of an instance, of itself.
    pub(super) fn befall(&mut self, id: InstanceId, turn: Turn) {
        let (scenario, rng) = (&self.scenario, &mut self.rng);
        let mut fate = |version: &str, instance: &_| fate(scenario, rng, version, instance);
        if let Some(slot) = self.target.turn(id, turn, self.now, &mut fate) {
            self.instances_changed(&slot);
        }
    }

    /// Sends a route; the request may be slow, and outlive who sent it.
    fn send(&mut self, id: u64, route: Box<Route>) {
        if self.stage(id) != 0 {
            return;
        }
        let slow = self.rng.chance(5);
        let way = if slow { self.rng.between(500, 6_000) } else { self.rng.between(1, 30) };
        self.queue(way, Item::Arrive { life: self.life, call: id, route });
        if self.dies_in(Moment::RequestSent) {
            self.crash();
        }
    }

    pub(super) fn arrive(&mut self, life: u64, call: u64, route: &Route) {
        let sender = life == self.life && self.calls.contains_key(&call);
        if self.edge.down {
            self.unreachable();
            if sender {
                self.calls.entry(call).and_modify(|call| call.stage = 0);
                let pause = self.rng.between(100, 1_000);
                self.again(call, pause);
            }
            return;
        }
        if !sender {
            self.tally.fault(Fault::LateRequest);
        }
        let result = self.edge.apply(route);
        if result.is_ok() {
            self.instances_moved(&route.slot);
            if let Err(broken) = self.oracle.routed(&self.edge, route) {
                return self.fail(broken);
            }
            let soon = self.rng.between(500, 4_000);
            self.queue(soon, Item::Watch(route.slot.clone()));
        }
        if sender {
            self.outcome(call, Outcome::Routed { sequence: route.sequence, result });
        }
    }

    fn unreachable(&mut self) {
        if self.troubled("edge") {
            self.tally.fault(Fault::EdgeUnreachable);
        }
    }

    pub(super) fn watch(&mut self, slot: &SlotId) {
        let Some(routed) = self.edge.routes.get(slot) else { return };
        let Some((_, version)) = routed.watched() else { return };
        let version = version.to_owned();
        let lane = self.scenario.lanes.iter().find(|lane| lane.slot == *slot);
        let traffic = lane.map_or(0, |lane| lane.traffic);
        if self.edge.down || traffic == 0 || self.scenario.quality(&version) != Quality::Erroring {
            return self.queue(2_000, Item::Watch(slot.clone()));
        }
        if let Some(trip) = self.edge.routes.trip(slot, self.now) {
            self.insist(slot, trip.fence, HEARD_WITHIN);
        }
    }

    /// The edge tells of a trip until it is acted on, which must not take long.
    pub(super) fn insist(&mut self, slot: &SlotId, fence: Fence, left: u32) {
        if !self.oracle.goes_on(slot, fence) {
            return;
        }
        if left == 0 && self.core.is_some() && self.troubles.is_empty() {
            return self.fail(format!("the guard of {slot} tripped, and its rollout goes on"));
        }
        self.report_trips();
        self.queue(2_000, Item::Insist { slot: slot.clone(), fence, left: left.saturating_sub(1) });
    }

    fn drain(&mut self, id: u64, revision: grit_types::Revision, deadline: Duration) {
        if self.edge.down {
            self.unreachable();
            let pause = self.rng.between(100, 1_000);
            return self.again(id, pause);
        }
        let deadline = deadline.as_millis() as u64;
        let cut = self.rng.chance(10);
        if self.stage(id) == 0 {
            let wait = self.rng.between(5, deadline);
            return self.again(id, wait);
        }
        let result = if cut { Drained::Cut { in_flight: 1 } } else { Drained::Empty };
        self.outcome(id, Outcome::Drained { revision, result });
    }

    fn stop(
        &mut self,
        id: u64,
        revision: grit_types::Revision,
        slot: &SlotId,
        named: &[InstanceId],
    ) {
        let (scenario, rng) = (&self.scenario, &mut self.rng);
        let mut fate = |version: &str, instance: &_| fate(scenario, rng, version, instance);
        let gone = self.target.stop((slot, revision), named, self.now, &mut fate);
        self.instances_moved(slot);
        if gone {
            return self.outcome(id, Outcome::Stopped { revision });
        }
        if self.stage(id) == 0 {
            self.instances_changed(slot);
        }
    }

    fn measure(&mut self, slot: &SlotId, window: Duration) -> Result<Stats, String> {
        if self.edge.down {
            self.unreachable();
            return Err("the edge cannot be reached".to_owned());
        }
        let Some(routed) = self.edge.routes.get(slot) else { return Ok(Stats::default()) };
        let lane = self.scenario.lanes.iter().find(|lane| lane.slot == *slot);
        let traffic = lane.map_or(0, |lane| lane.traffic);
        let mut revisions = BTreeMap::new();
        let weights = routed.weights();
        for group in &routed.route.groups {
            let share = weights.get(&group.revision).map_or(0, |w| u64::from(w.basis_points()));
            let requests = traffic * share * window.as_secs() / 10_000;
            let quality = self.scenario.quality(&group.version);
            let bad = quality == Quality::Erroring;
            let slow = if quality == Quality::Slow { 900 } else { 20 };
            let p99 = Duration::from_millis(slow);
            let errors = if bad { requests / 3 } else { 0 };
            let stats = RevisionStats { requests, errors, p99, ..RevisionStats::default() };
            revisions.insert(group.revision, stats);
        }
        Ok(Stats { window, revisions })
    }

    /// What the rows say to a gate's question; `None`: nothing yet.
    fn verdict(
        &self,
        slot: &SlotId,
        ask: &Gate,
        commit: &CommitId,
        artifact: Digest,
    ) -> Option<GateVerdict> {
        let answer = match ask {
            Gate::Checks(jobs) => self.commit(slot, commit)?.state.checks(jobs)?,
            Gate::After(environment) => {
                let there = SlotId { environment: environment.clone(), ..slot.clone() };
                standing(&self.deployments(&there, |view| view.artifact == artifact))?
            }
            Gate::Needs(services) => {
                let mut all = Some(Ok(()));
                for service in services {
                    let there = SlotId { service: service.clone(), ..slot.clone() };
                    match standing(&self.deployments(&there, |view| view.commit == *commit)) {
                        Some(Ok(())) => {}
                        Some(Err(reason)) => return Some(GateVerdict::Rejected { reason }),
                        None => all = None,
                    }
                }
                all?
            }
            // People answer it.
            Gate::Approval(_) => return None,
        };
        Some(match answer {
            Ok(()) => GateVerdict::Passed { note: "it holds".to_owned() },
            Err(reason) => GateVerdict::Rejected { reason },
        })
    }

    fn commit(&self, slot: &SlotId, commit: &CommitId) -> Option<CommitView> {
        let query = RowQuery {
            table: grit_control::project::COMMITS.to_owned(),
            key: Some(format!("{}/{commit}", slot.repo)),
            ..RowQuery::default()
        };
        let rows = self.store.rows(&query);
        rows.into_iter().find_map(|row| serde_json::from_value(row.body).ok())
    }

    fn deployments(
        &self,
        slot: &SlotId,
        wanted: impl Fn(&DeploymentView) -> bool,
    ) -> Vec<DeploymentView> {
        let query = RowQuery {
            table: grit_control::project::DEPLOYMENTS.to_owned(),
            scope: Some(format!("{}/{}/{}", slot.repo, slot.environment, slot.service)),
            ..RowQuery::default()
        };
        let rows = self.store.rows(&query).into_iter();
        let views = rows.filter_map(|row| serde_json::from_value(row.body).ok());
        views.filter(wanted).collect()
    }

    /// A call that asked another stream has its answer.
    pub(super) fn call_answered(&mut self, id: u64, result: Result<Receipt, SubmitError>) {
        if matches!(result, Err(SubmitError::Storage(_))) {
            let pause = self.rng.between(100, 1_000);
            return self.again(id, pause);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.refused = result.is_err();
            self.stage(id);
            self.step(id);
        }
    }
}

/// One success is enough; a failure counts only when nothing is under way.
fn standing(deployments: &[DeploymentView]) -> Option<Result<(), String>> {
    if deployments.iter().any(|view| view.status == Status::Succeeded) {
        return Some(Ok(()));
    }
    let over = !deployments.is_empty() && deployments.iter().all(|view| view.status.is_final());
    over.then(|| Err("it did not succeed there".to_owned()))
}
