//! What an event obliges to.

use grit_types::Timestamp;

use crate::slot::{Deployment, Effect, Event, MeasureOf, Slot, Stage, Status, Timer, Why};
use crate::{Analysis, InstanceSet, Strategy};

/// The effects of `event`, `slot` being the state after it.
pub fn effects(slot: &Slot, event: &Event) -> Vec<Effect> {
    one(slot, event).into_iter().chain(when_finished(slot, event)).chain(gates(event)).collect()
}

fn one(slot: &Slot, event: &Event) -> Option<Effect> {
    let id = slot.id.clone()?;
    match event {
        Event::Scaling { number, revision, replicas } => {
            let record = slot.revisions.get(revision)?;
            let set = InstanceSet {
                slot: id,
                revision: *revision,
                artifact: record.artifact,
                version: record.version.clone(),
                run: record.run.clone(),
                replicas: *replicas,
            };
            Some(Effect::EnsureInstances { number: *number, set: Box::new(set) })
        }
        Event::CheckStarted { number, check, run } => {
            Some(Effect::RunCheck { number: *number, check: *check, run: run.clone() })
        }
        Event::WeightSet { route, .. } => Some(Effect::SetWeights(route.clone())),
        Event::DrainStarted { revision, instances } => Some(Effect::Drain {
            revision: *revision,
            slot: id,
            instances: instances.clone(),
            deadline: slot.revisions.get(revision)?.run.drain,
        }),
        Event::Stopping { revision, instances } => Some(Effect::StopInstances {
            revision: *revision,
            slot: id,
            instances: instances.clone(),
            drain: slot.revisions.get(revision)?.run.drain,
        }),
        Event::HoldStarted { number, step, until } => {
            let timer = Timer::Hold { number: *number, step: *step };
            Some(Effect::WakeAt { at: (*until)?, timer })
        }
        Event::SoakStarted { number, until } => {
            Some(Effect::WakeAt { at: *until, timer: Timer::Soak { number: *number } })
        }
        Event::AnalysisStarted { number, of, at } | Event::Measured { number, of, at, .. } => {
            next_measurement(slot.live(*number)?, *of, *at)
        }
        Event::Measuring { number, of } => {
            let window = analysis(slot.live(*number)?, *of)?.interval;
            Some(Effect::Measure { number: *number, of: *of, slot: id, window })
        }
        _ => None,
    }
}

fn next_measurement(deployment: &Deployment, of: MeasureOf, at: Timestamp) -> Option<Effect> {
    let at = at.after(analysis(deployment, of)?.interval);
    Some(Effect::WakeAt { at, timer: Timer::Measure { number: deployment.number, of } })
}

/// The analysis that a watch belongs to.
pub(crate) fn analysis(deployment: &Deployment, of: MeasureOf) -> Option<&Analysis> {
    match of {
        MeasureOf::Rollout => deployment.request.strategy.analysis(),
        MeasureOf::Step(step) => match deployment.stages.get(step)? {
            Stage::Measure(analysis) => Some(analysis),
            Stage::Move { .. } | Stage::Hold { .. } => None,
        },
    }
}

fn gates(event: &Event) -> Vec<Effect> {
    let Event::Requested { number, request, .. } = event else { return vec![] };
    let ask = |(gate, ask): (usize, &crate::Gate)| match ask {
        crate::Gate::Approval(_) => None,
        crate::Gate::Checks(_) | crate::Gate::After(_) | crate::Gate::Needs(_) => {
            Some(Effect::AskGate {
                number: *number,
                gate,
                ask: ask.clone(),
                commit: request.commit.clone(),
                artifact: request.artifact,
            })
        }
    };
    request.gates.iter().enumerate().filter_map(ask).collect()
}

fn when_finished(slot: &Slot, event: &Event) -> Vec<Effect> {
    match event {
        Event::Finished { number, status, at, .. } if *status != Status::Succeeded => {
            let deployment = slot.deployments.get(number);
            deployment.and_then(|d| open_issue(slot, d, *at)).into_iter().collect()
        }
        // What served before ends only after the router has read back that it serves no more.
        Event::WeightObserved { at, .. } | Event::Finished { at, .. } if is_settled(slot) => {
            // Others may wait at their gates beside it.
            let done = slot.deployments.values().find(|d| d.status() == Status::Succeeded);
            done.map(|deployment| retirements(slot, deployment, *at)).unwrap_or_default()
        }
        _ => vec![],
    }
}

/// Nothing is being rolled out, and the last route is in force.
fn is_settled(slot: &Slot) -> bool {
    slot.active.is_none() && slot.routing.as_ref().is_some_and(|routing| routing.confirmed)
}

/// The old revision of a canary stays warm for a while; whatever else is left goes at once.
fn retirements(slot: &Slot, deployment: &Deployment, at: Timestamp) -> Vec<Effect> {
    let warm = match &deployment.request.strategy {
        Strategy::Canary(_) => deployment.request.warm,
        Strategy::Rolling(_) => std::time::Duration::ZERO,
    };
    let left = slot.revisions.iter().filter(|(revision, record)| {
        Some(**revision) != slot.stable && !record.instances.is_empty() && !record.retiring
    });
    let retire = |(revision, _): (&grit_types::Revision, _)| {
        let kept =
            if Some(*revision) == deployment.from { warm } else { std::time::Duration::ZERO };
        Effect::WakeAt { at: at.after(kept), timer: Timer::Retire { revision: *revision } }
    };
    left.map(retire).collect()
}

/// A person's own decision needs no issue; what Grit found does.
fn open_issue(slot: &Slot, deployment: &Deployment, at: Timestamp) -> Option<Effect> {
    let reason = deployment.reason.clone()?;
    match &reason {
        Why::Aborted { .. } | Why::Superseded { .. } | Why::Gate { .. } => None,
        Why::Guard(_)
        | Why::Analysis { .. }
        | Why::Health { .. }
        | Why::NeverReady { .. }
        | Why::Check { .. }
        | Why::Route { .. }
        | Why::StableLost { .. } => Some(Effect::OpenIssue {
            number: deployment.number,
            slot: slot.id.clone()?,
            version: deployment.request.version.clone(),
            reason,
            at,
        }),
    }
}
