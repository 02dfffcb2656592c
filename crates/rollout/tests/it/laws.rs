//! What holds after every event, whatever came before it.

use std::collections::{BTreeMap, BTreeSet};

use grit_rollout::slot::{Event, Phase, Slot, Stage};
use grit_rollout::{Group, InstanceState, Route};
use grit_types::{InstanceId, Revision, Weight};

#[derive(Default)]
pub struct Laws {
    /// The newest step of each deployment.
    steps: BTreeMap<u64, usize>,
    verified: BTreeSet<Revision>,
    /// Instances that have had requests, and those of them that have been drained.
    served: BTreeSet<InstanceId>,
    idle: BTreeSet<InstanceId>,
    draining: BTreeMap<Revision, Vec<InstanceId>>,
    /// Routes that may be in force: the last that was read back, and all after it.
    routes: Vec<Route>,
}

impl Laws {
    pub fn check(&mut self, before: &Slot, event: &Event, after: &Slot) -> Result<(), String> {
        let verified = after.deployments.values().filter(|deployment| deployment.verified);
        self.verified.extend(verified.map(|deployment| deployment.revision));
        one_at_a_time(after)?;
        match event {
            Event::StepStarted { number, step, .. } => self.step(after, *number, *step),
            Event::WeightSet { route, .. } => {
                weights_are_whole(route)?;
                ready_only(before, route, after)?;
                self.verified_only(route)?;
                within_the_steps(route, after)?;
                let newer = before
                    .routing
                    .as_ref()
                    .is_none_or(|last| (last.fence, last.sequence) < (route.fence, route.sequence));
                let given = route.groups.iter().filter(|group| group.weight > Weight::ZERO);
                let endpoints = given.flat_map(|group| &group.endpoints).map(|e| e.instance);
                self.served.extend(endpoints);
                self.routes.push((**route).clone());
                holds(newer, || format!("{route:?} is not newer than the route before it"))
            }
            Event::WeightObserved { sequence, .. } => {
                self.routes.retain(|route| route.sequence >= *sequence);
                Ok(())
            }
            Event::RouteRefused { sequence, .. } => {
                self.routes.retain(|route| route.sequence != *sequence);
                Ok(())
            }
            Event::DrainStarted { revision, instances } => {
                self.draining.insert(*revision, instances.clone());
                self.unrouted(instances)
            }
            Event::DrainEnded { revision, .. } => {
                self.idle.extend(self.draining.remove(revision).unwrap_or_default());
                Ok(())
            }
            Event::Stopping { revision, instances } if instances.is_empty() => {
                let record = before.revisions.get(revision);
                let all = record.into_iter().flat_map(|record| &record.instances);
                self.drained(before, &all.map(|instance| instance.id).collect::<Vec<_>>())
            }
            Event::Stopping { instances, .. } => self.drained(before, instances),
            _ => Ok(()),
        }
    }

    /// Promoted in full, the last step follows any; after a look by a person an analysis is begun
    /// anew.
    fn step(&mut self, slot: &Slot, number: u64, step: usize) -> Result<(), String> {
        let last = self.steps.insert(number, step);
        let deployment = &slot.deployments[&number];
        let follows = match last {
            None => step == 0,
            Some(last) if step == last => matches!(deployment.stages[step], Stage::Measure(_)),
            Some(last) if step == last + 1 => true,
            Some(last) => deployment.full && step > last && step + 1 == deployment.stages.len(),
        };
        holds(follows, || format!("deployment {number} went from step {last:?} to {step}"))
    }

    fn verified_only(&self, route: &Route) -> Result<(), String> {
        let given = route.groups.iter().filter(|group| group.weight > Weight::ZERO);
        let unverified = given.into_iter().find(|group| !self.verified.contains(&group.revision));
        holds(unverified.is_none(), || format!("traffic on an unverified revision: {unverified:?}"))
    }

    /// One that failed for good has no request left to answer.
    fn drained(&self, slot: &Slot, instances: &[InstanceId]) -> Result<(), String> {
        self.unrouted(instances)?;
        let known = slot.revisions.values().flat_map(|record| &record.instances);
        let failed = |id: &InstanceId| {
            known.clone().any(|i| i.id == *id && i.state == InstanceState::Failed)
        };
        let mut served = instances.iter().filter(|id| self.served.contains(*id) && !failed(id));
        let busy = served.find(|id| !self.idle.contains(*id));
        holds(busy.is_none(), || format!("{busy:?} is to end and was not drained"))
    }

    fn unrouted(&self, instances: &[InstanceId]) -> Result<(), String> {
        let served = |group: &&Group| group.stable || group.weight > Weight::ZERO;
        let groups = self.routes.iter().flat_map(|route| route.groups.iter().filter(served));
        let mut reached = groups.flat_map(|group| &group.endpoints);
        let routed = reached.find(|endpoint| instances.contains(&endpoint.instance));
        holds(routed.is_none(), || format!("{routed:?} is to end and may be routed"))
    }
}

fn one_at_a_time(slot: &Slot) -> Result<(), String> {
    let waits = |phase: &Phase| matches!(phase, Phase::Gated | Phase::Queued | Phase::Ended(_));
    let moving = slot.deployments.values().filter(|deployment| !waits(&deployment.phase));
    let others: Vec<u64> =
        moving.map(|deployment| deployment.number).filter(|n| slot.active != Some(*n)).collect();
    // One that was given the slot takes its first step with the next event.
    holds(others.is_empty(), || format!("{others:?} move beside {:?}", slot.active))
}

fn weights_are_whole(route: &Route) -> Result<(), String> {
    let sum: u32 = route.groups.iter().map(|group| u32::from(group.weight.basis_points())).sum();
    holds(sum == 10_000, || format!("the weights of {route:?} sum to {sum}"))?;
    let starved = route.groups.iter().find(|group| group.is_starved());
    holds(starved.is_none(), || format!("{starved:?} has a weight and nowhere to go"))
}

/// An instance that is not ready stays in a route only where there is none that is.
fn ready_only(before: &Slot, route: &Route, after: &Slot) -> Result<(), String> {
    for group in &route.groups {
        let known = &after.revisions[&group.revision].instances;
        let is_ready = |endpoint: &grit_rollout::Endpoint| {
            let ready = known.iter().filter(|i| i.state == InstanceState::Ready);
            let mut at = ready.filter(|instance| instance.address == endpoint.address);
            at.any(|i| i.id == endpoint.instance && !after.leaving.contains(&i.id))
        };
        let (ready, other): (Vec<_>, Vec<_>) = group.endpoints.iter().partition(|e| is_ready(e));
        let stale = other.iter().find(|endpoint| !before.is_routed(endpoint.instance));
        holds(stale.is_none(), || format!("{stale:?} is not ready and is routed anew"))?;
        let mixed = !other.is_empty() && !ready.is_empty();
        holds(!mixed, || format!("{other:?} are not ready and routed beside {ready:?}"))?;
    }
    Ok(())
}

/// While a step's instances are being started, the weight of one before it is in force.
fn within_the_steps(route: &Route, slot: &Slot) -> Result<(), String> {
    let Some(deployment) = slot.active() else { return Ok(()) };
    let so_far = deployment.stages.iter().take(deployment.step + 1);
    let weights = so_far.filter_map(|stage| match stage {
        Stage::Move { weight, .. } => Some(*weight),
        Stage::Hold { .. } | Stage::Measure(_) => None,
    });
    let bound = weights.max().unwrap_or(Weight::ZERO);
    let of = route.groups.iter().filter(|group| {
        group.revision == deployment.revision && deployment.from != Some(group.revision)
    });
    let given = of.map(|group| group.weight).max().unwrap_or(Weight::ZERO);
    holds(given <= bound, || format!("{given} given, and the steps so far give {bound}"))
}

fn holds(law: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if law { Ok(()) } else { Err(broken()) }
}
