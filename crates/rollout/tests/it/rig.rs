//! A slot and the world around it: commands go in, effects are carried out in a simulated world,
//! and outcomes come back; after every event the laws are checked.

use std::time::Duration;

use grit_ledger::{Context, Decider, join, split};
use grit_rollout::slot::{Command, Effect, Event, Outcome, Refusal, Request, Slot, Status};
use grit_rollout::{Report, Rollouts, fake::Turn};
use grit_types::{Actor, EffectId, EventId, InstanceId, Principal, Revision, Timestamp, Weight};
use serde_json::Value;

use crate::ground::{BEGIN, person, slot};
use crate::laws::Laws;
use crate::words;
use crate::world::World;

pub struct Rig {
    pub slot: Slot,
    pub now: Timestamp,
    pub world: World,
    pub owed: Vec<Owed>,
    laws: Laws,
    effects: u64,
    stored: Vec<(String, Value)>,
    story: String,
    seen: Vec<(u64, Status)>,
}

/// An effect that is not yet acknowledged.
#[derive(Clone)]
pub struct Owed {
    pub id: EffectId,
    pub effect: Effect,
    pub since: Timestamp,
}

/// No decision leads to more.
const SETTLE_MAX: usize = 2_000;

impl Default for Rig {
    fn default() -> Self {
        Self {
            slot: Slot::default(),
            now: BEGIN,
            world: World::default(),
            owed: vec![],
            laws: Laws::default(),
            effects: 0,
            stored: vec![],
            story: String::new(),
            seen: vec![],
        }
    }
}

impl Rig {
    /// With a version that has all traffic, told from here on.
    pub fn serving(version: &Request) -> Self {
        let mut rig = Self::default();
        rig.deploy(version);
        rig.settle();
        assert_eq!(rig.status(1), Status::Succeeded);
        rig.story.clear();
        rig.seen.clear();
        rig
    }

    pub fn deploy(&mut self, request: &Request) {
        self.ask(Command::Request(Box::new(request.clone()))).unwrap();
    }

    /// Asked by alice.
    pub fn ask(&mut self, command: Command) -> Result<(), Refusal> {
        self.ask_as(&person("alice"), command)
    }

    pub fn ask_as(&mut self, who: &Principal, command: Command) -> Result<(), Refusal> {
        self.submit(who, &command).unwrap_or_else(|broken| panic!("{broken}\n{}", self.story))
    }

    /// What a command leads to. The outer error: a law is broken.
    pub fn submit(
        &mut self,
        who: &Principal,
        command: &Command,
    ) -> Result<Result<(), Refusal>, String> {
        let context = Context { now: self.now, actor: Actor::new(who.clone(), "test") };
        let decided = Rollouts::decide(&self.slot, command, &context);
        let seconds = self.now.since(BEGIN).as_secs();
        let told = match &decided {
            Ok(events) => events.iter().map(words::event).collect::<Vec<_>>().join(", "),
            Err(refusal) => format!("refused, {refusal}"),
        };
        let dash = if told.is_empty() { "nothing" } else { &told };
        self.story += &format!("{seconds:>3}s {}: {dash}\n", words::command(command));
        let events = match decided {
            Ok(events) => events,
            Err(refusal) => return Ok(Err(refusal)),
        };
        events.into_iter().try_for_each(|event| self.record(event))?;
        Ok(Ok(()))
    }

    fn record(&mut self, event: Event) -> Result<(), String> {
        let before = self.slot.clone();
        self.slot = Rollouts::evolve(std::mem::take(&mut self.slot), &event);
        for effect in Rollouts::effects(&self.slot, &event) {
            self.effects += 1;
            let event = EventId::of(&self.effects.to_le_bytes());
            self.owed.push(Owed { id: EffectId { event, index: 0 }, effect, since: self.now });
        }
        self.stored.push(split(&event).unwrap());
        for deployment in self.slot.deployments.values() {
            let now = (deployment.number, deployment.status());
            if self.seen.iter().rfind(|(number, _)| *number == now.0) != Some(&now) {
                self.seen.push(now);
            }
        }
        self.laws.check(&before, &event, &self.slot)
    }

    /// Carries out the effect of that place. `None`: it is not done yet, and still owed.
    pub fn carry(&mut self, index: usize) -> Result<Option<Command>, String> {
        let command = self.world.carry(&self.owed[index], &self.slot, self.now)?;
        if command.is_some() {
            self.owed.remove(index);
        }
        Ok(command)
    }

    /// Carries out all that can be done without time passing.
    pub fn settle(&mut self) {
        self.try_settle().unwrap_or_else(|broken| panic!("{broken}\n{}", self.story));
    }

    pub fn try_settle(&mut self) -> Result<(), String> {
        for _ in 0..SETTLE_MAX {
            if !self.step()? {
                return Ok(());
            }
        }
        Err("it does not settle".to_owned())
    }

    /// Carries out the first effect that can be. False: none can.
    pub fn step(&mut self) -> Result<bool, String> {
        for index in 0..self.owed.len() {
            if let Some(command) = self.carry(index)? {
                let refusal = self.submit(&Principal::grit(), &command)?;
                return refusal.map(|()| true).map_err(|refusal| refusal.to_string());
            }
        }
        Ok(false)
    }

    /// Steps until the newest deployment has this status.
    pub fn until(&mut self, status: Status) {
        for _ in 0..SETTLE_MAX {
            if self.status(self.slot.last) == status {
                return;
            }
            if !self.step().unwrap() {
                let due = self.next_due().expect("something is due");
                self.now = self.now.max(due);
            }
        }
        panic!("it is never {status}\n{}", self.story);
    }

    /// Time passes, and what is due in it happens.
    pub fn wait(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        self.settle();
        while let Some(due) = self.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    /// When the next owed effect can be done by time alone.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = |owed: &Owed| match &owed.effect {
            Effect::WakeAt { at, .. } => Some(*at),
            Effect::EnsureInstances { set, .. } => Some(owed.since.after(set.run.health.deadline)),
            _ => None,
        };
        self.owed.iter().filter_map(due).min()
    }

    /// Tells how the instances are, if anybody may not know.
    pub fn report(&mut self) -> Result<(), String> {
        let instances = self.world.instances.observe(&slot());
        let report = Command::Report(Report::Instances { slot: slot(), instances });
        self.submit(&Principal::grit(), &report).map(drop)
    }

    /// This becomes of an instance of a revision, and is reported.
    pub fn turn(&mut self, revision: u64, turn: Turn) {
        let id = self.instances(revision)[0];
        self.world.turn(id, turn, self.now);
        self.report().unwrap();
    }

    /// The guard trips, and says so.
    pub fn trip(&mut self) {
        let trip = self.world.routes.trip(&slot(), self.now).expect("something is watched");
        let report = Report::Tripped { slot: slot(), trip };
        self.ask_as(&Principal::grit(), Command::Report(report)).unwrap();
    }

    pub fn outcome(&mut self, outcome: Outcome) {
        self.ask_as(&Principal::grit(), Command::Outcome(outcome)).unwrap();
    }

    pub fn instances(&self, revision: u64) -> Vec<InstanceId> {
        self.world.instances.meant(&slot(), Revision(revision), &[])
    }

    pub fn status(&self, number: u64) -> Status {
        self.seen.iter().rfind(|(of, _)| *of == number).expect("it was requested").1
    }

    /// Whether any deployment has ever been so.
    pub fn has_seen(&self, wanted: Status) -> bool {
        self.seen.iter().any(|(_, status)| *status == wanted)
    }

    /// All the states that a deployment went through.
    pub fn states(&self, number: u64) -> String {
        let of = self.seen.iter().filter(|(of, _)| *of == number);
        of.map(|(_, status)| status.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// What the router follows.
    pub fn split(&self) -> String {
        let Some(routed) = self.world.routes.get(&slot()) else { return "nothing".to_owned() };
        let given = routed.weights().into_iter().filter(|(_, weight)| *weight > Weight::ZERO);
        given.map(|(of, weight)| format!("r{of} {weight}")).collect::<Vec<_>>().join(" ")
    }

    /// What happened since the last time it was told.
    pub fn story(&mut self) -> String {
        std::mem::take(&mut self.story)
    }

    /// What a controller that starts anew reads is what this one has kept.
    pub fn read_back(&self) -> Result<Slot, String> {
        let mut slot = Slot::default();
        for (kind, data) in &self.stored {
            let event = join::<Event>(kind, data).map_err(|error| format!("{kind}: {error}"))?;
            slot = Rollouts::evolve(slot, &event);
        }
        let stored = serde_json::to_string(&self.slot).map_err(|error| error.to_string())?;
        let read: Slot = serde_json::from_str(&stored).map_err(|error| error.to_string())?;
        if slot != self.slot || read != self.slot {
            return Err(format!("read back otherwise:\n{slot:?}\nthan kept:\n{:?}", self.slot));
        }
        Ok(slot)
    }
}
