//! Where instances run: they outlive the controller, and live and die by themselves.

use std::collections::BTreeMap;

use grit_rollout::{Instance, InstanceSet, InstanceState, SlotId};
use grit_types::{EffectId, InstanceId, Revision, Timestamp};

use super::rng::Rng;
use super::scenario::Quality;

#[derive(Default)]
pub struct Target {
    pub processes: BTreeMap<InstanceId, Process>,
    started: u64,
}

pub struct Process {
    pub slot: SlotId,
    pub instance: Instance,
    pub quality: Quality,
    /// The effect that started it.
    made_by: EffectId,
    /// Counts its changes, so that what was to become of it before is known as outdated.
    turn: u64,
}

/// What becomes of an instance next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Ready,
    Sicken,
    Die,
    /// For good.
    Fail,
    Gone,
}

/// A turn that is due in so many milliseconds, unless something else happens before.
#[derive(Debug)]
pub struct Due {
    pub after: u64,
    pub instance: InstanceId,
    pub at_turn: u64,
    pub turn: Turn,
}

/// An instance is started this often before it counts as failed.
const RESTARTS_MAX: u32 = 3;

impl Target {
    /// The slot's instances that are not gone.
    pub fn observe(&self, slot: &SlotId) -> Vec<Instance> {
        let of = self.processes.values().filter(|process| process.slot == *slot);
        of.map(|process| process.instance.clone()).collect()
    }

    fn of(&self, slot: &SlotId, revision: Revision) -> impl Iterator<Item = &Process> {
        let of = move |p: &&Process| p.slot == *slot && p.instance.revision == revision;
        self.processes.values().filter(of)
    }

    /// What of it is there; starts what is missing. `None`: not yet.
    pub fn ensure(
        &mut self,
        (effect, set): (&EffectId, &InstanceSet),
        quality: Quality,
        now: Timestamp,
        rng: &mut Rng,
        due: &mut Vec<Due>,
    ) -> Option<Vec<Instance>> {
        let wanted = set.replicas as usize;
        let ready: Vec<Instance> = self
            .of(&set.slot, set.revision)
            .map(|process| process.instance.clone())
            .filter(|instance| instance.state == InstanceState::Ready)
            .collect();
        if ready.len() >= wanted {
            return Some(ready);
        }
        let live = |p: &&Process| {
            !matches!(p.instance.state, InstanceState::Stopping | InstanceState::Failed)
        };
        let there = self.of(&set.slot, set.revision).filter(live).count();
        for _ in there..wanted {
            self.start(effect, set, quality, now, rng, due);
        }
        None
    }

    fn start(
        &mut self,
        effect: &EffectId,
        set: &InstanceSet,
        quality: Quality,
        now: Timestamp,
        rng: &mut Rng,
        due: &mut Vec<Due>,
    ) {
        self.started += 1;
        let id = InstanceId::derived(now, format!("instance {}", self.started).as_bytes());
        let instance = Instance {
            id,
            revision: set.revision,
            address: format!("127.0.0.1:{}", 20_000 + self.started),
            state: InstanceState::Starting,
            restarts: 0,
            since: now,
            reason: None,
        };
        let process =
            Process { slot: set.slot.clone(), instance, quality, made_by: effect.clone(), turn: 0 };
        due.extend(process.first(rng));
        self.processes.insert(id, process);
    }

    /// One that the effect started and that failed for good.
    pub fn failed(&self, effect: &EffectId) -> Option<String> {
        let failed =
            |p: &&Process| p.made_by == *effect && p.instance.state == InstanceState::Failed;
        self.processes.values().find(failed).and_then(|p| p.instance.reason.clone())
    }

    /// Those that the effect started.
    pub fn made_by(&self, effect: &EffectId) -> Vec<InstanceId> {
        let of = self.processes.values().filter(|process| process.made_by == *effect);
        of.map(|process| process.instance.id).collect()
    }

    /// The ones of a revision that a stop means.
    pub fn meant(
        &self,
        slot: &SlotId,
        revision: Revision,
        named: &[InstanceId],
    ) -> Vec<InstanceId> {
        let ids = self.of(slot, revision).map(|process| process.instance.id);
        ids.filter(|id| named.is_empty() || named.contains(id)).collect()
    }

    /// Asks them to end.
    pub fn stop(&mut self, ids: &[InstanceId], now: Timestamp, rng: &mut Rng, due: &mut Vec<Due>) {
        for id in ids {
            let Some(process) = self.processes.get_mut(id) else { continue };
            if process.instance.state != InstanceState::Stopping {
                process.become_(InstanceState::Stopping, now, None);
                due.push(process.due(rng.between(10, 2_000), Turn::Gone));
            }
        }
    }

    /// It dies, and is started again unless it did so too often.
    pub fn take(
        &mut self,
        id: InstanceId,
        turn: Turn,
        now: Timestamp,
        rng: &mut Rng,
        due: &mut Vec<Due>,
    ) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        match turn {
            Turn::Ready => {
                process.become_(InstanceState::Ready, now, None);
                due.extend(process.after_ready(rng));
            }
            Turn::Sicken => {
                process.become_(InstanceState::Unhealthy, now, Some("its health check fails"));
                due.push(process.due(rng.between(500, 6_000), Turn::Ready));
            }
            Turn::Die if process.instance.restarts < RESTARTS_MAX => {
                process.instance.restarts += 1;
                process.become_(InstanceState::Starting, now, Some("it died"));
                due.extend(process.first(rng));
            }
            Turn::Die | Turn::Fail => {
                process.become_(InstanceState::Failed, now, Some("it died too often"));
            }
            Turn::Gone => {
                self.processes.remove(&id);
            }
        }
    }

    /// Whether a turn that was due still is.
    pub fn is_due(&self, due: &Due) -> bool {
        self.processes.get(&due.instance).is_some_and(|process| process.turn == due.at_turn)
    }
}

impl Process {
    fn due(&self, after: u64, turn: Turn) -> Due {
        Due { after, instance: self.instance.id, at_turn: self.turn, turn }
    }

    fn become_(&mut self, state: InstanceState, now: Timestamp, reason: Option<&str>) {
        self.instance.state = state;
        self.instance.since = now;
        self.instance.reason = reason.map(str::to_owned);
        self.turn += 1;
    }

    /// What becomes of it after it was started.
    fn first(&self, rng: &mut Rng) -> Option<Due> {
        match self.quality {
            Quality::Hung => None,
            Quality::NeverReady => Some(self.due(rng.between(500, 5_000), Turn::Fail)),
            Quality::Good
            | Quality::Crashing
            | Quality::Sickly
            | Quality::Erroring
            | Quality::Slow
            | Quality::FailingCheck => Some(self.due(rng.between(100, 3_000), Turn::Ready)),
        }
    }

    fn after_ready(&self, rng: &mut Rng) -> Option<Due> {
        match self.quality {
            Quality::Crashing => Some(self.due(rng.between(1_000, 20_000), Turn::Die)),
            Quality::Sickly => Some(self.due(rng.between(3_000, 30_000), Turn::Sicken)),
            Quality::Good
            | Quality::Hung
            | Quality::NeverReady
            | Quality::Erroring
            | Quality::Slow
            | Quality::FailingCheck => None,
        }
    }
}
