use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grit_types::{EffectId, InstanceId, Revision, Timestamp};

use crate::{Instance, InstanceSet, InstanceState, SlotId};

/// An instance is started again so often before it counts as failed.
pub const RESTARTS_MAX: u32 = 3;

/// Instances that outlive who asked for them, and live and die as they are told to.
///
/// Everything that changes one is followed by a look at its *fate*: given its version and what it
/// is now, what becomes of it next, and after how long. Nothing: it stays so, and one that is told
/// to stop never ends.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    processes: BTreeMap<InstanceId, Process>,
    due: BTreeMap<(Timestamp, u64), Due>,
    /// What became of an ensure that has not been told yet.
    asked: BTreeMap<EffectId, Asked>,
    started: u64,
    queued: u64,
}

/// See [`Instances`].
pub type Fate<'a> = &'a mut dyn FnMut(&str, &Instance) -> Option<(Duration, Turn)>;

/// An instance, and where it comes from.
#[derive(Clone, Debug)]
pub struct Process {
    pub slot: SlotId,
    pub version: String,
    pub instance: Instance,
    /// The effect that started it.
    pub made_by: EffectId,
    /// Counts its changes, so that what was to become of it before is known as outdated.
    turn: u64,
}

/// What becomes of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Ready,
    Sicken,
    /// It is started again, unless it died more than [`RESTARTS_MAX`] times.
    Die,
    /// For good.
    Fail,
    Gone,
}

/// How far an ensure is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensuring {
    /// All of the revision that are ready.
    Ready(Vec<Instance>),
    /// Ask again after the next change.
    Waiting,
    /// It never becomes ready, and what was started for it is gone again; or all of the revision
    /// was stopped meanwhile.
    Failed(String),
}

#[derive(Clone, Copy, Debug)]
struct Due {
    instance: InstanceId,
    at_turn: u64,
    turn: Turn,
}

#[derive(Clone, Debug)]
struct Asked {
    slot: SlotId,
    revision: Revision,
    answer: Answer,
}

#[derive(Clone, Debug)]
enum Answer {
    Open,
    Failed(String),
    Stopped,
}

impl Instances {
    /// The slot's instances that are not gone.
    pub fn observe(&self, slot: &SlotId) -> Vec<Instance> {
        let of = self.processes.values().filter(|process| process.slot == *slot);
        of.map(|process| process.instance.clone()).collect()
    }

    /// An instance that is not gone.
    pub fn get(&self, id: InstanceId) -> Option<&Process> {
        self.processes.get(&id)
    }

    /// All that are not gone.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// The ones of a revision that a stop means: those named, or all.
    pub fn meant(
        &self,
        slot: &SlotId,
        revision: Revision,
        named: &[InstanceId],
    ) -> Vec<InstanceId> {
        let ids = self.of(slot, revision).map(|process| process.instance.id);
        ids.filter(|id| named.is_empty() || named.contains(id)).collect()
    }

    /// Starts what is missing of the set, and says how far it is.
    pub fn ensure(
        &mut self,
        effect: &EffectId,
        set: &InstanceSet,
        now: Timestamp,
        fate: Fate<'_>,
    ) -> Ensuring {
        let (slot, revision) = (set.slot.clone(), set.revision);
        let asked = Asked { slot, revision, answer: Answer::Open };
        let failed = self.failure(effect);
        let asked = self.asked.entry(effect.clone()).or_insert(asked);
        if let (Answer::Open, Some(reason)) = (&asked.answer, failed) {
            self.give_up(effect, &reason, now, fate);
        }
        let answer = self.answer(effect, set);
        if answer != Ensuring::Waiting {
            self.asked.remove(effect);
        } else if self.asked.get(effect).is_some_and(|a| matches!(a.answer, Answer::Open)) {
            self.start_missing(effect, set, now, fate);
        }
        answer
    }

    /// Nobody waits for it any longer: what was started for the effect is ended, and it has failed
    /// once that is gone.
    pub fn give_up(&mut self, effect: &EffectId, reason: &str, now: Timestamp, fate: Fate<'_>) {
        if let Some(asked) = self.asked.get_mut(effect) {
            asked.answer = Answer::Failed(reason.to_owned());
        }
        self.end(&self.made_by(effect), now, fate);
    }

    /// Asks the ones that [`Instances::meant`] to end. True once they are gone.
    pub fn stop(
        &mut self,
        (slot, revision): (&SlotId, Revision),
        named: &[InstanceId],
        now: Timestamp,
        fate: Fate<'_>,
    ) -> bool {
        if named.is_empty() {
            let of = self.asked.values_mut().filter(|a| a.slot == *slot && a.revision == revision);
            of.for_each(|asked| asked.answer = Answer::Stopped);
        }
        let meant = self.meant(slot, revision, named);
        self.end(&meant, now, fate);
        meant.is_empty()
    }

    /// When the next change is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        let still = self.due.iter().find(|(_, due)| self.is_due(due));
        still.map(|((at, _), _)| *at)
    }

    /// Makes the changes that are due by `now`, and names the slots that they concern.
    pub fn advance(&mut self, now: Timestamp, fate: Fate<'_>) -> BTreeSet<SlotId> {
        let mut changed = BTreeSet::new();
        while let Some(entry) = self.due.first_entry() {
            let ((at, _), due) = (*entry.key(), *entry.get());
            if at > now {
                break;
            }
            entry.remove();
            if self.is_due(&due) {
                changed.extend(self.turn(due.instance, due.turn, at, fate));
            }
        }
        changed
    }

    /// This becomes of an instance now, whatever was due; the slot that it concerns.
    pub fn turn(
        &mut self,
        id: InstanceId,
        turn: Turn,
        now: Timestamp,
        fate: Fate<'_>,
    ) -> Option<SlotId> {
        let process = self.processes.get_mut(&id)?;
        let slot = process.slot.clone();
        match turn {
            Turn::Ready => process.become_(InstanceState::Ready, now, None),
            Turn::Sicken => {
                process.become_(InstanceState::Unhealthy, now, Some("its health check fails"));
            }
            Turn::Die if process.instance.restarts < RESTARTS_MAX => {
                process.instance.restarts += 1;
                process.become_(InstanceState::Starting, now, Some("it died"));
            }
            Turn::Die | Turn::Fail => {
                process.become_(InstanceState::Failed, now, Some("it died too often"));
            }
            Turn::Gone => {
                self.processes.remove(&id);
            }
        }
        self.schedule(id, now, fate);
        Some(slot)
    }

    fn of(&self, slot: &SlotId, revision: Revision) -> impl Iterator<Item = &Process> {
        let of = move |p: &&Process| p.slot == *slot && p.instance.revision == revision;
        self.processes.values().filter(of)
    }

    fn made_by(&self, effect: &EffectId) -> Vec<InstanceId> {
        let of = self.processes.values().filter(|process| process.made_by == *effect);
        of.map(|process| process.instance.id).collect()
    }

    /// Why one that the effect started has failed for good.
    fn failure(&self, effect: &EffectId) -> Option<String> {
        let failed =
            |p: &&Process| p.made_by == *effect && p.instance.state == InstanceState::Failed;
        self.processes.values().find(failed).and_then(|p| p.instance.reason.clone())
    }

    fn answer(&self, effect: &EffectId, set: &InstanceSet) -> Ensuring {
        match self.asked.get(effect).map(|asked| &asked.answer) {
            Some(Answer::Failed(reason)) if self.made_by(effect).is_empty() => {
                Ensuring::Failed(reason.clone())
            }
            Some(Answer::Failed(_)) => Ensuring::Waiting,
            Some(Answer::Stopped) => Ensuring::Failed("it was stopped meanwhile".to_owned()),
            Some(Answer::Open) | None => {
                let all = self.of(&set.slot, set.revision).map(|process| process.instance.clone());
                let ready: Vec<_> = all.filter(|i| i.state == InstanceState::Ready).collect();
                let enough = u32::try_from(ready.len()).is_ok_and(|count| count >= set.replicas);
                if enough { Ensuring::Ready(ready) } else { Ensuring::Waiting }
            }
        }
    }

    fn start_missing(
        &mut self,
        effect: &EffectId,
        set: &InstanceSet,
        now: Timestamp,
        fate: Fate<'_>,
    ) {
        let live = |p: &&Process| {
            !matches!(p.instance.state, InstanceState::Stopping | InstanceState::Failed)
        };
        let there = self.of(&set.slot, set.revision).filter(live).count();
        for _ in there..usize::try_from(set.replicas).unwrap_or(usize::MAX) {
            self.started += 1;
            let id = InstanceId::derived(now, format!("instance {}", self.started).as_bytes());
            let instance = Instance {
                id,
                revision: set.revision,
                address: format!("127.0.0.1:{}", 20_000 + self.started % 40_000),
                state: InstanceState::Starting,
                restarts: 0,
                since: now,
                reason: None,
            };
            let (slot, version) = (set.slot.clone(), set.version.clone());
            let process = Process { slot, version, instance, made_by: effect.clone(), turn: 0 };
            self.processes.insert(id, process);
            self.schedule(id, now, fate);
        }
    }

    fn end(&mut self, ids: &[InstanceId], now: Timestamp, fate: Fate<'_>) {
        for id in ids {
            let Some(process) = self.processes.get_mut(id) else { continue };
            if process.instance.state != InstanceState::Stopping {
                process.become_(InstanceState::Stopping, now, None);
                self.schedule(*id, now, fate);
            }
        }
    }

    fn schedule(&mut self, id: InstanceId, now: Timestamp, fate: Fate<'_>) {
        let Some(process) = self.processes.get(&id) else { return };
        if let Some((after, turn)) = fate(&process.version, &process.instance) {
            self.queued += 1;
            let due = Due { instance: id, at_turn: process.turn, turn };
            self.due.insert((now.after(after), self.queued), due);
        }
    }

    fn is_due(&self, due: &Due) -> bool {
        self.processes.get(&due.instance).is_some_and(|process| process.turn == due.at_turn)
    }
}

impl Process {
    fn become_(&mut self, state: InstanceState, now: Timestamp, reason: Option<&str>) {
        self.instance.state = state;
        self.instance.since = now;
        self.instance.reason = reason.map(str::to_owned);
        self.turn += 1;
    }
}
