//! Promises, checked at every step against what was recorded and what the edge does.

use std::collections::{BTreeMap, BTreeSet};

use grit_control::aggregate::State;
use grit_control::reactor::Receipt;
use grit_ledger::{Append, StreamId, join};
use grit_pipeline::run;
use grit_rollout::slot::{self, Phase, Slot, Stage, Status};
use grit_rollout::{Route, SlotId};
use grit_types::{EffectId, EventId, Fence, Sequence, Weight};

use super::edge::Edge;
use super::tally::Tally;

#[derive(Default)]
pub struct Oracle {
    /// Every stream, folded from what was appended.
    states: BTreeMap<StreamId, State>,
    events: BTreeSet<EventId>,
    owed: BTreeSet<EffectId>,
    /// The newest step of each deployment.
    steps: BTreeMap<(StreamId, u64), usize>,
    fences: BTreeMap<SlotId, (Fence, Sequence)>,
}

impl Oracle {
    pub fn events(&self) -> u64 {
        self.events.len() as u64
    }

    /// An acknowledged event that is not there.
    pub fn missing(&self, receipt: &Receipt) -> Option<EventId> {
        receipt.events.iter().find(|id| !self.events.contains(*id)).cloned()
    }

    /// Whether the effect was ever recorded.
    pub fn was_owed(&self, effect: &EffectId) -> bool {
        self.owed.contains(effect)
    }

    /// The slots as recorded.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.states.values().filter_map(|state| match state {
            State::Slot(slot) => Some(&**slot),
            State::Run(_) | State::Repo(_) => None,
        })
    }

    /// The runs as recorded.
    pub fn runs(&self) -> impl Iterator<Item = &run::Run> {
        self.states.values().filter_map(|state| match state {
            State::Run(run) => Some(run),
            State::Slot(_) | State::Repo(_) => None,
        })
    }

    /// Takes note of an append that is durable.
    pub fn recorded(
        &mut self,
        append: &Append,
        edge: &Edge,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.owed.extend(append.effects.iter().map(|effect| effect.id.clone()));
        for event in &append.events {
            self.events.insert(event.id());
            let kind = match append.stream.kind() {
                "slot" => "slot event",
                "run" => "run event",
                _ => "repo event",
            };
            tally.count(kind, &event.kind);
            let before = match self.states.remove(&append.stream) {
                Some(state) => state,
                None => State::empty(&append.stream).map_err(|error| error.to_string())?,
            };
            let after = before.fold(&append.stream, &event.kind, &event.data);
            let after = after.map_err(|error| error.to_string())?;
            count_state(&after, tally);
            self.states.insert(append.stream.clone(), after);
            if append.stream.kind() == "slot" {
                self.slot_event(&append.stream, &event.kind, &event.data, edge, tally)?;
            }
        }
        Ok(())
    }

    fn slot_event(
        &mut self,
        stream: &StreamId,
        kind: &str,
        data: &serde_json::Value,
        edge: &Edge,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let event = join::<slot::Event>(kind, data).map_err(|error| error.to_string())?;
        let Some(State::Slot(slot)) = self.states.get(stream) else { return Ok(()) };
        one_at_a_time(slot)?;
        match event {
            slot::Event::StepStarted { number, step, .. } => {
                let full = slot.deployments.get(&number).is_some_and(|d| d.full);
                self.step(stream, number, step, full)
            }
            slot::Event::RollbackStarted { reason, .. } => {
                tally.count("rollback", why(&reason));
                Ok(())
            }
            slot::Event::Finished { number, status, reason, .. } => {
                let gated =
                    reason.as_ref().map(why).filter(|why| matches!(*why, "Gate" | "StableLost"));
                gated.into_iter().for_each(|why| tally.count("rollback", why));
                ended_as_routed(slot, number, status, edge)
            }
            _ => Ok(()),
        }
    }

    /// Steps follow each other; promoted in full, the last one follows any.
    fn step(
        &mut self,
        stream: &StreamId,
        number: u64,
        step: usize,
        full: bool,
    ) -> Result<(), String> {
        let key = (stream.clone(), number);
        let last = self.steps.insert(key, step);
        let follows = match last {
            None => step == 0,
            Some(last) => step == last + 1 || (full && step > last),
        };
        if follows {
            Ok(())
        } else {
            Err(format!("deployment {number} of {stream} went from step {last:?} to {step}"))
        }
    }

    /// A route is in force at the edge.
    pub fn routed(&mut self, edge: &Edge, route: &Route) -> Result<(), String> {
        let at = (route.fence, route.sequence);
        let last = self.fences.insert(route.slot.clone(), at);
        if last.is_some_and(|last| at < last) {
            return Err(format!("the edge went back from {last:?} to {at:?}"));
        }
        let Some(State::Slot(slot)) = self.states.get(&route.slot.stream()) else {
            return Err(format!("{} is routed, and nothing of it is recorded", route.slot));
        };
        let told = slot.routing.as_ref().map(|routing| (routing.fence, routing.sequence));
        if told.is_none_or(|told| told < at) {
            return Err(format!("{} is routed by an act that is not recorded", route.slot));
        }
        let Some(routed) = edge.slots.get(&route.slot) else { return Ok(()) };
        for (revision, weight) in routed.weights() {
            within_bounds(slot, route, revision, weight)?;
        }
        Ok(())
    }
}

fn one_at_a_time(slot: &Slot) -> Result<(), String> {
    let moving =
        |d: &&slot::Deployment| !matches!(d.phase, Phase::Gated | Phase::Queued | Phase::Ended(_));
    let moving: Vec<u64> = slot.deployments.values().filter(moving).map(|d| d.number).collect();
    if moving.len() <= 1 {
        return Ok(());
    }
    Err(format!("{moving:?} move at once, {:?} is active", slot.active))
}

/// Traffic only on what was verified, and no more than the steps so far give.
fn within_bounds(
    slot: &Slot,
    route: &Route,
    revision: grit_types::Revision,
    weight: Weight,
) -> Result<(), String> {
    let by = slot.deployments.get(&route.fence.0).filter(|d| d.revision == revision);
    let Some(deployment) = by.filter(|_| weight > Weight::ZERO) else { return Ok(()) };
    if !deployment.verified {
        return Err(format!("revision {revision} of {} gets traffic unverified", route.slot));
    }
    // While a step's instances are being started, the weight of one before it is in force.
    let so_far = deployment.stages.iter().take(deployment.step + 1);
    let bound = so_far.filter_map(|stage| match stage {
        Stage::Move { weight, .. } => Some(*weight),
        Stage::Hold { .. } | Stage::Measure(_) => None,
    });
    let bound = bound.max();
    if deployment.status().is_final() || bound.is_some_and(|bound| weight <= bound) {
        return Ok(());
    }
    Err(format!("revision {revision} of {} has {weight}, and its step gives {bound:?}", route.slot))
}

/// What a deployment ended as is what requests follow.
fn ended_as_routed(slot: &Slot, number: u64, status: Status, edge: &Edge) -> Result<(), String> {
    let (Some(id), Some(deployment)) = (&slot.id, slot.deployments.get(&number)) else {
        return Ok(());
    };
    let weights = edge.slots.get(id).map(super::edge::Routed::weights).unwrap_or_default();
    let on = |revision| weights.get(&revision).copied().unwrap_or(Weight::ZERO);
    let tripped = edge.slots.get(id).is_some_and(|routed| routed.trip.is_some());
    match status {
        Status::Succeeded if on(deployment.revision) != Weight::FULL && !tripped => {
            Err(format!("deployment {number} of {id} SUCCEEDED with {}", on(deployment.revision)))
        }
        Status::RolledBack if on(deployment.revision) != Weight::ZERO => {
            Err(format!("deployment {number} of {id} ROLLED_BACK with {}", on(deployment.revision)))
        }
        _ => Ok(()),
    }
}

fn count_state(state: &State, tally: &mut Tally) {
    match state {
        State::Slot(slot) => {
            for deployment in slot.deployments.values() {
                tally.count("status", deployment.status().as_str());
            }
        }
        State::Run(run) => match run.phase {
            run::Phase::New => {}
            run::Phase::Running => tally.count("run state", "running"),
            run::Phase::Cancelling => tally.count("run state", "cancelling"),
            run::Phase::Finished(ending) => tally.count("run state", ending.as_str()),
        },
        State::Repo(_) => {}
    }
}

fn why(why: &slot::Why) -> &'static str {
    match why {
        slot::Why::Guard(_) => "Guard",
        slot::Why::Analysis { .. } => "Analysis",
        slot::Why::Health { .. } => "Health",
        slot::Why::NeverReady { .. } => "NeverReady",
        slot::Why::Check { .. } => "Check",
        slot::Why::Gate { .. } => "Gate",
        slot::Why::Aborted { .. } => "Aborted",
        slot::Why::Superseded { .. } => "Superseded",
        slot::Why::Route { .. } => "Route",
        slot::Why::StableLost { .. } => "StableLost",
    }
}
