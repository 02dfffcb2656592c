//! What people do, and the troubles that befall them.

use std::sync::Arc;

use grit_control::aggregate::Command;
use grit_control::repo::{self, RefUpdate};
use grit_ledger::StreamId;
use grit_pipeline::run;
use grit_rollout::fake::{Routed, Turn};
use grit_rollout::slot::{Command as SlotCommand, Deployment, Phase, Request, Slot, Trigger};
use grit_rollout::{Group, InstanceState, Route};
use grit_types::{
    Actor, CommitId, DeploymentId, Digest, Fence, RefName, Revision, Role, RunId, Sequence, Weight,
};

use super::runs::{odd_request, run_stream, shop};
use super::scenario::{Act, PEOPLE, Quality, SPAN_MS, person};
use super::tally::Fault;
use super::world::{Asker, Item, World};

/// How often a trouble waits for somebody whom it hits.
const TRIES_MAX: u32 = 200;

impl World {
    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Push | Act::PushAgain => self.push(act == Act::PushAgain),
            Act::Deploy => self.deploy(None),
            Act::DeployA(quality) => self.deploy(Some(quality)),
            Act::Steer => self.steer_blindly(),
            Act::SteerWisely => self.steer_wisely(),
            Act::Approve => self.approve(),
            Act::CancelRun => self.cancel_run(),
            Act::Publish => self.publish(),
            Act::OddRun => self.odd_run(),
            Act::Misplace => {
                let stream = self.scenario.lanes[0].slot.stream();
                let command = Command::Repo(repo::Command::Done);
                self.ask_as("alice", stream, command);
            }
            Act::Crash => self.crash(),
            Act::CrashIn(moment) => {
                self.armed.insert(moment);
            }
            Act::Meddle => self.meddle(),
            Act::LoseStable => self.lose_stable(),
            Act::KillInstance => {
                if !self.kill_instance() {
                    self.later(act);
                }
            }
            Act::EdgeRestart => {
                self.tally.fault(Fault::EdgeRestart);
                self.edge.down = true;
                let back = self.rng.between(50, 400);
                self.queue(back, Item::Over(act, 0));
            }
            Act::JournalFull
            | Act::JournalUnreadable
            | Act::SlowObservation
            | Act::EdgeUnreachable => {
                self.trouble(act);
            }
        }
    }

    fn trouble(&mut self, act: Act) {
        match act {
            Act::JournalFull => self.store.full = true,
            Act::JournalUnreadable => self.store.unreadable = true,
            Act::EdgeUnreachable => self.edge.down = true,
            _ => {}
        }
        self.troubles.insert(name(act), false);
        let over = self.rng.between(500, 4_000);
        self.queue(over, Item::Over(act, 0));
    }

    /// A trouble ends once it has hit somebody, or has waited long enough.
    pub(super) fn over(&mut self, act: Act, tries: u32) {
        let idle = self.troubles.get(name(act)) == Some(&false);
        if idle && tries < TRIES_MAX && !self.is_calm() {
            return self.queue(500, Item::Over(act, tries + 1));
        }
        self.troubles.remove(name(act));
        match act {
            Act::JournalFull => self.store.full = self.troubles.contains_key(name(act)),
            Act::JournalUnreadable => self.store.unreadable = false,
            Act::EdgeUnreachable | Act::EdgeRestart => {
                self.edge.down = self.troubles.contains_key(name(Act::EdgeUnreachable));
                self.report_trips();
                for slot in self.slots() {
                    self.queue(1_000, Item::Watch(slot));
                }
            }
            _ => {}
        }
    }

    fn ask_as(&mut self, who: &str, stream: StreamId, command: Command) {
        self.submit(stream, command, Actor::new(person(who), "cli"), Asker::Person);
    }

    /// Asks for a deployment, until there is an answer: the request's id makes it one deployment.
    pub(super) fn ask_for(&mut self, request: Box<Request>) {
        let stream = request.slot.stream();
        let actor = Actor::new(request.requested_by.clone(), "cli");
        let command = Command::Slot(SlotCommand::Request(request.clone()));
        self.submit(stream, command, actor, Asker::Deployer(request));
    }

    fn push(&mut self, again: bool) {
        let known = self.scenario.releases().last().cloned();
        let release = match known.filter(|_| again) {
            Some(release) => release,
            None => self.scenario.write(None, &mut self.rng),
        };
        let name = if again { "refs/heads/main" } else { "refs/tags/v" };
        let suffix = if again { "" } else { release.name.as_str() };
        let Ok(name) = format!("{name}{suffix}").parse() else { return };
        let mut names: Vec<RefName> = vec![name];
        if !again && self.rng.chance(30) {
            names.extend("refs/heads/next".parse());
        }
        let update = |name| RefUpdate { name, old: None, new: Some(release.commit.clone()) };
        let updates = names.into_iter().map(update).collect();
        let command = Command::Repo(repo::Command::Push { updates });
        let author = release.author.to_string();
        self.ask_as(&author, shop().stream(), command);
    }

    fn deploy(&mut self, quality: Option<Quality>) {
        let release = self.scenario.write(quality, &mut self.rng);
        let lane = self.rng.below(self.scenario.lanes.len());
        let seed = format!("{}/{}", release.name, self.elapsed_ms());
        let id = DeploymentId::derived(self.now, seed.as_bytes());
        let lane = &self.scenario.lanes[lane];
        let trigger = Trigger::Manual;
        let request = self.scenario.request(lane, &release, id, trigger, self.now, &mut self.rng);
        self.ask_for(Box::new(request));
    }

    /// Somebody moves a slot's traffic to stable at the edge itself, under a fence of their own.
    fn meddle(&mut self) {
        let idle = |slot: &&Slot| {
            slot.active().is_some_and(|active| {
                matches!(active.phase, Phase::Holding { .. } | Phase::Soaking { .. })
            })
        };
        let slots: Vec<Slot> = self.oracle.slots().filter(idle).cloned().collect();
        let Some(slot) = slots.first() else { return self.later(Act::Meddle) };
        let (Some(stable), Some(routing)) = (slot.stable, slot.routing.as_ref()) else { return };
        let groups = routing.route.groups.iter().filter(|group| group.revision == stable);
        let groups: Vec<Group> =
            groups.map(|group| Group { weight: Weight::FULL, ..group.clone() }).collect();
        let (fence, sequence) = (Fence(slot.last + 1), Sequence::ZERO);
        let route = Route { fence, sequence, groups, ..routing.route.clone() };
        if !self.edge.down {
            // A route without a way back is refused, and nothing is moved.
            let _ = self.edge.apply(&route);
        }
    }

    /// While traffic is on both, the stable version dies, and never comes up again.
    fn lose_stable(&mut self) {
        let beside = |slot: &&Slot| {
            let on_canary = |d: &Deployment| d.shifted && d.from.is_some() && d.from == slot.stable;
            slot.active().is_some_and(on_canary)
        };
        let slot = self.oracle.slots().find(beside).cloned();
        let Some((slot, stable)) = slot.and_then(|slot| slot.stable.map(|s| (slot, s))) else {
            return self.later(Act::LoseStable);
        };
        let (Some(record), Some(id)) = (slot.revisions.get(&stable), &slot.id) else { return };
        self.scenario.spoil(&record.version);
        for instance in self.target.observe(id) {
            if instance.revision == stable {
                self.befall(instance.id, Turn::Fail);
            }
        }
        let command = SlotCommand::Abort { reason: "it looks bad".to_owned() };
        let stream = id.stream();
        self.ask_as("alice", stream, Command::Slot(command));
    }

    fn later(&mut self, act: Act) {
        if !self.is_calm() {
            self.queue(1_000, Item::Act(act));
        }
    }

    fn steer_blindly(&mut self) {
        let slots = self.slots();
        let stream = self.rng.pick(&slots).stream();
        let id = DeploymentId::derived(self.now, stream.as_str().as_bytes());
        let command = match self.rng.below(9) {
            0 => SlotCommand::Promote { full: self.rng.chance(50) },
            1 => SlotCommand::Pause,
            2 => SlotCommand::Resume,
            3 => SlotCommand::Abort { reason: "blindly".to_owned() },
            4 => SlotCommand::Retry { id },
            5 => SlotCommand::Rollback { to: None, id },
            6 => SlotCommand::Rollback { to: Some(Revision(self.rng.between(1, 99))), id },
            7 => SlotCommand::Reject { number: None, reason: "no".to_owned() },
            _ => SlotCommand::Approve { number: Some(1), roles: vec![Role::Owner] },
        };
        let who = PEOPLE[self.rng.below(PEOPLE.len())];
        self.ask_as(who, stream, Command::Slot(command));
    }

    /// What makes sense as things stand.
    fn steer_wisely(&mut self) {
        let slots: Vec<Slot> = self.oracle.slots().cloned().collect();
        if slots.is_empty() {
            return;
        }
        let slot = self.rng.pick(&slots).clone();
        let Some(stream) = slot.id.as_ref().map(grit_rollout::SlotId::stream) else { return };
        let id = DeploymentId::derived(self.now, stream.as_str().as_bytes());
        let command = match slot.active() {
            None if slot.previous().is_some() && self.rng.chance(60) => {
                SlotCommand::Rollback { to: None, id }
            }
            None => SlotCommand::Retry { id },
            Some(active) => self.wise(active, id),
        };
        let who = PEOPLE[self.rng.below(PEOPLE.len())];
        self.ask_as(who, stream, Command::Slot(command));
    }

    fn wise(&mut self, active: &Deployment, id: DeploymentId) -> SlotCommand {
        if active.paused.is_some() && self.rng.chance(50) {
            return SlotCommand::Resume;
        }
        match active.phase {
            Phase::Holding { .. } | Phase::Measuring | Phase::Soaking { .. } => {
                match self.rng.below(6) {
                    0 => SlotCommand::Pause,
                    1 => SlotCommand::Promote { full: true },
                    2 => SlotCommand::Abort { reason: "wisely".to_owned() },
                    _ => SlotCommand::Promote { full: false },
                }
            }
            _ if self.rng.chance(50) => SlotCommand::Pause,
            _ => SlotCommand::Rollback { to: None, id },
        }
    }

    fn approve(&mut self) {
        let slots = self.slots();
        let stream = self.rng.pick(&slots).stream();
        let role = *self.rng.pick(&[Role::Viewer, Role::Member, Role::Admin, Role::Owner]);
        let command = SlotCommand::Approve { number: None, roles: vec![role] };
        let who = PEOPLE[self.rng.below(PEOPLE.len())];
        self.ask_as(who, stream, Command::Slot(command));
    }

    fn cancel_run(&mut self) {
        let requests = self.oracle.runs().filter_map(|run| run.request.as_ref());
        let runs: Vec<RunId> = requests.map(|request| request.run).collect();
        if runs.is_empty() {
            return;
        }
        let run = *self.rng.pick(&runs);
        let force = self.rng.chance(50);
        let command = run::Command::Cancel { reason: "enough".to_owned(), force };
        self.ask_as("bob", run_stream(run), Command::Run(command));
    }

    fn publish(&mut self) {
        let known = self.scenario.releases().last().map(|release| release.commit.clone());
        let unknown: Option<CommitId> = "f".repeat(40).parse().ok();
        let commit = if self.rng.chance(50) { unknown } else { known };
        let Some(commit) = commit else { return };
        let (image, artifact) = ("shop/other".to_owned(), Digest::of(b"other"));
        let command = repo::Command::Publish { commit, image, artifact, run: None };
        self.ask_as("carol", shop().stream(), Command::Repo(command));
    }

    /// A run that is asked what no run can do.
    fn odd_run(&mut self) {
        let seed = format!("odd/{}", self.elapsed_ms());
        let run = RunId::derived(self.now, seed.as_bytes());
        let planned = self.oracle.runs().filter_map(|run| run.request.clone()).next();
        let (stream, command) = match (self.rng.below(8), planned) {
            (0, Some(known)) => (run_stream(known.run), run::Command::Plan(known.clone())),
            (1, _) => {
                let reason = "there is none".to_owned();
                (run_stream(run), run::Command::Cancel { reason, force: false })
            }
            _ => {
                let request = odd_request(run, &mut self.rng);
                (run_stream(run), run::Command::Plan(Arc::new(request)))
            }
        };
        self.ask_as("dave", stream, Command::Run(command));
    }

    /// An instance dies of itself.
    fn kill_instance(&mut self) -> bool {
        let processes = self.target.processes();
        let ready = processes.filter(|process| process.instance.state == InstanceState::Ready);
        let ids: Vec<_> = ready.map(|process| process.instance.id).collect();
        if ids.is_empty() {
            return false;
        }
        self.tally.fault(Fault::InstanceDeath);
        let id = *self.rng.pick(&ids);
        let turn = if self.rng.chance(25) { Turn::Fail } else { Turn::Die };
        self.befall(id, turn);
        true
    }

    /// People look after what waits for them, until nothing does.
    pub(super) fn tidy(&mut self) {
        if self.core.is_none() {
            return self.queue(1_000, Item::Tidy);
        }
        let slots: Vec<Slot> = self.oracle.slots().cloned().collect();
        let mut waiting = false;
        for slot in &slots {
            waiting |= self.tidy_slot(slot);
        }
        let running = self.oracle.runs().any(|run| run.request.is_some() && run.ending().is_none());
        if !waiting && !running && !self.is_busy() && self.calls.values().all(|call| call.asks()) {
            self.rested = self.store.owed().len() <= self.calls.len();
        }
        if !self.rested {
            // Its journal may have been full when it started.
            self.resize();
            self.queue(2_000, Item::Tidy);
        }
    }

    /// Whether something of the slot is still under way.
    fn tidy_slot(&mut self, slot: &Slot) -> bool {
        let Some(stream) = slot.id.as_ref().map(grit_rollout::SlotId::stream) else { return false };
        let live: Vec<&Deployment> =
            slot.deployments.values().filter(|d| !d.status().is_final()).collect();
        for deployment in &live {
            let command = match deployment.phase {
                Phase::Gated if self.elapsed_ms() > u128::from(SPAN_MS + 120_000) => {
                    SlotCommand::Abort { reason: "nobody wants it".to_owned() }
                }
                Phase::Gated => {
                    SlotCommand::Approve { number: None, roles: vec![Role::Owner, Role::Admin] }
                }
                // Nothing to go by will come: somebody decides.
                Phase::Holding { until: None, .. } => SlotCommand::Promote { full: false },
                Phase::Measuring if deployment.paused.is_some() => {
                    SlotCommand::Promote { full: false }
                }
                _ if deployment.paused.is_some() => SlotCommand::Resume,
                _ => continue,
            };
            let who = PEOPLE[self.rng.below(PEOPLE.len())];
            self.ask_as(who, stream.clone(), Command::Slot(command));
        }
        !live.is_empty()
    }

    /// Why the world is not at rest.
    pub(super) fn unrest(&self) -> String {
        let live = |slot: &Slot| -> Vec<String> {
            let live = slot.deployments.values().filter(|d| !d.status().is_final());
            let id = slot.id.as_ref().map(ToString::to_string).unwrap_or_default();
            live.map(|d| format!("{id} {} {:?} paused {:?}", d.number, d.phase, d.paused)).collect()
        };
        let slots: Vec<String> = self.oracle.slots().flat_map(live).collect();
        let runs = self.oracle.runs().filter(|run| run.ending().is_none()).count();
        let calls: Vec<String> =
            self.calls.values().map(|call| call.effect.body.to_string()).take(4).collect();
        let owed = self.store.owed().len();
        format!("{slots:?}, {runs} runs, {owed} owed, calls {calls:?}")
    }

    /// What must be so when nothing happens any more.
    pub(super) fn inspect_rest(&mut self) {
        self.store.unreadable = false;
        let recorded = self.store.all().len() as u64;
        if recorded != self.oracle.events() {
            let seen = self.oracle.events();
            self.fail(format!("{recorded} events are in the journal, {seen} were acknowledged"));
        }
        let unserved = self.oracle.slots().find_map(|slot| self.unserved(slot));
        let problem = unserved.or_else(|| self.oracle.misread(&self.store));
        problem.into_iter().for_each(|problem| self.fail(problem));
    }

    /// What is stable is what requests follow.
    fn unserved(&self, slot: &Slot) -> Option<String> {
        let (id, stable) = (slot.id.as_ref()?, slot.stable?);
        let weights = self.edge.routes.get(id).map(Routed::weights)?;
        let full = weights.get(&stable) == Some(&grit_types::Weight::FULL);
        (!full && !self.oracle.is_degraded(id))
            .then(|| format!("{id}: stable is {stable}, and the edge follows {weights:?}"))
    }
}

fn name(act: Act) -> &'static str {
    match act {
        Act::JournalFull => "full",
        Act::JournalUnreadable => "unreadable",
        Act::SlowObservation => "observation",
        Act::EdgeUnreachable => "edge",
        _ => "other",
    }
}
