//! What people do, and the troubles that befall them.

use std::sync::Arc;

use grit_control::aggregate::Command;
use grit_control::reactor::{Receipt, SubmitError};
use grit_control::repo::{self, RefUpdate};
use grit_ledger::StreamId;
use grit_pipeline::run;
use grit_rollout::slot::{Command as SlotCommand, Deployment, Phase, Slot, Trigger};
use grit_types::{Actor, CommitId, DeploymentId, Digest, Revision, Role, RunId};

use super::runs::{request, run_stream, shop};
use super::scenario::{Act, PEOPLE, Quality, SPAN_MS, person};
use super::tally::Fault;
use super::world::{Asker, Item, Moment, World};

/// How often a trouble waits for somebody whom it hits.
const TRIES_MAX: u32 = 40;

impl World {
    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Push | Act::PushAgain => self.push(act == Act::PushAgain),
            Act::Deploy => self.deploy(None),
            Act::DeployGood => self.deploy(Some(Quality::Good)),
            Act::DeployHung => self.deploy(Some(Quality::Hung)),
            Act::Steer => self.steer_blindly(),
            Act::SteerWisely => self.steer_wisely(),
            Act::Approve => self.approve(),
            Act::CancelRun => self.cancel_run(),
            Act::Publish => self.publish(),
            Act::OddRun => self.odd_run(),
            Act::Misplace => {
                let stream = self.scenario.lanes[0].slot.stream();
                let command = Command::Repo(repo::Command::Done);
                self.ask_as("alice", "misplaced", stream, command);
            }
            Act::Crash => {
                self.armed = Some(*self.rng.pick(&[Moment::RequestSent, Moment::Appended]));
                self.queue(5_000, Item::Over(act, 0));
            }
            Act::KillInstance => {
                if !self.kill_instance() && !self.is_calm() {
                    self.queue(1_000, Item::Act(act));
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
        if act == Act::Crash {
            if self.armed.take().is_some() {
                self.crash();
            }
            return;
        }
        let idle = self.troubles.get(name(act)) == Some(&false);
        if idle && tries < TRIES_MAX && !self.is_calm() {
            return self.queue(500, Item::Over(act, tries + 1));
        }
        self.troubles.remove(name(act));
        match act {
            Act::JournalFull => self.store.full = self.troubles.contains_key(name(act)),
            Act::JournalUnreadable => self.store.unreadable = false,
            Act::EdgeUnreachable | Act::EdgeRestart => {
                self.edge.down = false;
                self.report_trips();
                for slot in self.slots() {
                    self.queue(1_000, Item::Watch(slot));
                }
            }
            _ => {}
        }
    }

    fn ask_as(&mut self, who: &str, what: &'static str, stream: StreamId, command: Command) {
        let actor = Actor::new(person(who), "cli");
        self.submit(stream, command, actor, Asker::Person(what));
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
        let updates = vec![RefUpdate { name, old: None, new: Some(release.commit.clone()) }];
        let command = Command::Repo(repo::Command::Push { updates });
        let author = release.author.to_string();
        self.ask_as(&author, "push", shop().stream(), command);
    }

    fn deploy(&mut self, quality: Option<Quality>) {
        let release = self.scenario.write(quality, &mut self.rng);
        let lane = self.rng.below(self.scenario.lanes.len());
        let seed = format!("{}/{}", release.name, self.elapsed_ms());
        let id = DeploymentId::derived(self.now, seed.as_bytes());
        let lane = &self.scenario.lanes[lane];
        let trigger = Trigger::Manual;
        let request = self.scenario.request(lane, &release, id, trigger, self.now, &mut self.rng);
        let stream = lane.slot.stream();
        let command = Command::Slot(SlotCommand::Request(Box::new(request)));
        self.ask_as(release.author.as_str(), "deploy", stream, command);
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
        self.ask_as(who, "steer", stream, Command::Slot(command));
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
        self.ask_as(who, "steer", stream, Command::Slot(command));
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
        self.ask_as(who, "approve", stream, Command::Slot(command));
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
        self.ask_as("bob", "cancel", run_stream(run), Command::Run(command));
    }

    fn publish(&mut self) {
        let known = self.scenario.releases().last().map(|release| release.commit.clone());
        let unknown: Option<CommitId> = "f".repeat(40).parse().ok();
        let commit = if self.rng.chance(50) { unknown } else { known };
        let Some(commit) = commit else { return };
        let (image, artifact) = ("shop/other".to_owned(), Digest::of(b"other"));
        let command = repo::Command::Publish { commit, image, artifact, run: None };
        self.ask_as("carol", "publish", shop().stream(), Command::Repo(command));
    }

    /// A run that is asked what no run can do.
    fn odd_run(&mut self) {
        let seed = format!("odd/{}", self.elapsed_ms());
        let run = RunId::derived(self.now, seed.as_bytes());
        let commit: CommitId = "e".repeat(40).parse().expect("a commit id");
        let planned = self.oracle.runs().filter_map(|run| run.request.clone()).next();
        match (self.rng.below(3), planned) {
            (0, Some(known)) => {
                let again = run::Command::Plan(known.clone());
                self.ask_as("dave", "odd", run_stream(known.run), Command::Run(again));
            }
            (1, _) => {
                let reason = "there is none".to_owned();
                let command = run::Command::Cancel { reason, force: false };
                self.ask_as("dave", "odd", run_stream(run), Command::Run(command));
            }
            _ => {
                let plan = super::runs::plan_of(&[]);
                let odd = Arc::new(request(run, plan, commit, 1));
                self.ask_as("dave", "odd", run_stream(run), Command::Run(run::Command::Plan(odd)));
            }
        }
    }

    pub(super) fn person_answered(
        &mut self,
        _what: &'static str,
        _result: &Result<Receipt, SubmitError>,
    ) {
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
            self.ask_as(who, "tidy", stream.clone(), Command::Slot(command));
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
        let recorded = self.store.all().len() as u64;
        if recorded != self.oracle.events() {
            let seen = self.oracle.events();
            self.fail(format!("{recorded} events are in the journal, {seen} were acknowledged"));
        }
        let problems: Vec<String> =
            self.oracle.slots().filter_map(|slot| self.unserved(slot)).collect();
        if let Some(problem) = problems.into_iter().next() {
            self.fail(problem);
        }
    }

    /// What is stable is what requests follow.
    fn unserved(&self, slot: &Slot) -> Option<String> {
        let (id, stable) = (slot.id.as_ref()?, slot.stable?);
        let weights = self.edge.slots.get(id).map(super::edge::Routed::weights)?;
        let full = weights.get(&stable) == Some(&grit_types::Weight::FULL);
        let degraded =
            slot.deployments.values().any(|d| d.status() == grit_rollout::slot::Status::Degraded);
        (!full && !degraded)
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
