//! What is so after an event.

use grit_types::{Revision, Timestamp};

use crate::slot::{
    Act, Back, Deployment, Event, GateState, MeasureOf, PauseReason, Phase,
    REQUESTS_REMEMBERED_MAX, Request, RevisionRecord, Routing, Slot, Stage, Status, Verdict, Watch,
};
use crate::{Instance, Route};

/// The slot after `event`. Total: an event of a deployment that is not there changes nothing.
pub fn evolve(mut slot: Slot, event: &Event) -> Slot {
    match event {
        Event::Requested { number, request, at } => requested(&mut slot, *number, request, *at),
        Event::WeightSet { awaited, route, .. } => weight_set(&mut slot, *awaited, route),
        Event::WeightObserved { sequence, .. } => {
            if let Some(routing) = slot.routing.as_mut().filter(|r| r.sequence == *sequence) {
                routing.confirmed = true;
                routing.before.clear();
            }
        }
        Event::RouteRefused { sequence, .. } => {
            if let Some(routing) = slot.routing.as_mut().filter(|r| r.sequence == *sequence) {
                routing.refused = true;
            }
        }
        Event::InstancesReady { revision, instances, .. } => {
            instances_ready(&mut slot, *revision, instances);
        }
        Event::InstancesChanged { instances, .. } => instances_changed(&mut slot, instances),
        Event::DrainStarted { revision, instances } => {
            slot.leaving.extend(instances);
            drain_started(&mut slot, *revision, instances);
        }
        Event::Stopping { revision, instances } => stopping(&mut slot, *revision, instances),
        Event::Stopped { revision } => stopped(&mut slot, *revision),
        Event::Retiring { revision } => {
            if let Some(record) = slot.revisions.get_mut(revision) {
                record.retiring = true;
            }
        }
        Event::Started { number, revision, stages, at } => {
            started(&mut slot, *number, *revision, stages, *at);
        }
        Event::Finished { number, status, reason, at } => {
            if let Some(deployment) = slot.deployments.get_mut(number) {
                deployment.reason = reason.clone().or(deployment.reason.take());
            }
            finished(&mut slot, *number, *status, *at);
        }
        other => {
            if let Some(deployment) = number_of(other).and_then(|n| slot.deployments.get_mut(&n)) {
                progressed(deployment, other);
            }
        }
    }
    slot
}

/// The deployment that an event is about.
pub(crate) fn number_of(event: &Event) -> Option<u64> {
    match event {
        Event::Requested { number, .. }
        | Event::GatePassed { number, .. }
        | Event::GateRejected { number, .. }
        | Event::Approved { number, .. }
        | Event::Queued { number }
        | Event::Started { number, .. }
        | Event::StepStarted { number, .. }
        | Event::Scaling { number, .. }
        | Event::InstancesReady { number, .. }
        | Event::CheckStarted { number, .. }
        | Event::CheckPassed { number, .. }
        | Event::HoldStarted { number, .. }
        | Event::HoldExpired { number }
        | Event::Paused { number, .. }
        | Event::Resumed { number, .. }
        | Event::Promoted { number, .. }
        | Event::AnalysisStarted { number, .. }
        | Event::Measuring { number, .. }
        | Event::Measured { number, .. }
        | Event::Tripped { number, .. }
        | Event::SoakStarted { number, .. }
        | Event::RollbackStarted { number, .. }
        | Event::Finished { number, .. }
        | Event::IssueOpened { number, .. } => Some(*number),
        Event::WeightSet { .. }
        | Event::WeightObserved { .. }
        | Event::RouteRefused { .. }
        | Event::DrainStarted { .. }
        | Event::DrainEnded { .. }
        | Event::Stopping { .. }
        | Event::Stopped { .. }
        | Event::Retiring { .. }
        | Event::InstancesChanged { .. } => None,
    }
}

fn requested(slot: &mut Slot, number: u64, request: &Request, at: Timestamp) {
    slot.id = Some(request.slot.clone());
    slot.last = number;
    slot.requests.push_back(request.id);
    if slot.requests.len() > REQUESTS_REMEMBERED_MAX {
        slot.requests.pop_front();
    }
    let gate =
        |gate: &crate::Gate| GateState { gate: gate.clone(), approvals: vec![], passed: None };
    let deployment = Deployment {
        number,
        gates: request.gates.iter().map(gate).collect(),
        request: request.clone(),
        phase: Phase::Gated,
        revision: Revision(number),
        from: None,
        stages: vec![],
        step: 0,
        full: false,
        shifted: false,
        verified: false,
        paused: None,
        watches: vec![],
        issue: None,
        reason: None,
        created_at: at,
        started_at: None,
        finished_at: None,
    };
    slot.deployments.insert(number, deployment);
}

fn started(slot: &mut Slot, number: u64, revision: Revision, stages: &[Stage], at: Timestamp) {
    let from = slot.stable;
    // A rollback may go to what a rollout that was given up has left in the route.
    let shifted = slot.weight(revision) > grit_types::Weight::ZERO;
    let Some(deployment) = slot.deployments.get_mut(&number) else { return };
    deployment.shifted = shifted;
    deployment.revision = revision;
    deployment.from = from;
    deployment.stages = stages.to_vec();
    deployment.started_at = Some(at);
    slot.active = Some(number);
    let request = &deployment.request;
    slot.revisions.entry(revision).or_insert_with(|| RevisionRecord {
        version: request.version.clone(),
        commit: request.commit.clone(),
        artifact: request.artifact,
        run: request.run.clone(),
        instances: vec![],
        succeeded: false,
        retiring: false,
    });
}

fn weight_set(slot: &mut Slot, awaited: Option<u64>, route: &Route) {
    let before = slot.routing.take().map(reachable).unwrap_or_default();
    slot.routing = Some(Routing {
        fence: route.fence,
        sequence: route.sequence,
        route: route.clone(),
        confirmed: false,
        refused: false,
        before,
    });
    let Some(deployment) = awaited.and_then(|number| slot.deployments.get_mut(&number)) else {
        return;
    };
    let given = |group: &crate::Group| {
        group.revision == deployment.revision && group.weight > grit_types::Weight::ZERO
    };
    deployment.shifted |= route.groups.iter().any(given);
    match &mut deployment.phase {
        Phase::Moving(act @ (Act::Ensuring | Act::Checking(_))) => {
            *act = Act::Routing(route.sequence);
        }
        Phase::RollingBack { back, .. } => *back = Back::Routing(route.sequence),
        Phase::Gated | Phase::Queued | Phase::Ended(_) => {}
        // A route for which a rollout waits beyond its steps' own is its last.
        phase @ (Phase::Moving(_)
        | Phase::Holding { .. }
        | Phase::Measuring
        | Phase::Soaking { .. }) => *phase = Phase::Moving(Act::Sealing(route.sequence)),
    }
}

/// What requests may reach until a route after `last` is read back.
fn reachable(last: Routing) -> std::collections::BTreeSet<grit_types::InstanceId> {
    let endpoints = last.route.groups.into_iter().flat_map(|group| group.endpoints);
    last.before.into_iter().chain(endpoints.map(|endpoint| endpoint.instance)).collect()
}

fn instances_ready(slot: &mut Slot, revision: Revision, instances: &[Instance]) {
    set_instances(slot, revision, instances.to_vec());
    let Some(active) = slot.active.and_then(|number| slot.deployments.get_mut(&number)) else {
        return;
    };
    if active.revision == revision && active.request.verify.is_empty() {
        active.verified = true;
    }
}

fn set_instances(slot: &mut Slot, revision: Revision, mut instances: Vec<Instance>) {
    instances.sort_by_key(|instance| instance.id);
    if let Some(record) = slot.revisions.get_mut(&revision) {
        record.instances = instances;
    }
}

fn instances_changed(slot: &mut Slot, instances: &[Instance]) {
    let revisions: Vec<Revision> = slot.revisions.keys().copied().collect();
    for revision in revisions {
        let of = instances.iter().filter(|instance| instance.revision == revision);
        set_instances(slot, revision, of.cloned().collect());
    }
}

fn drain_started(slot: &mut Slot, revision: Revision, instances: &[grit_types::InstanceId]) {
    let Some(active) = slot.active.and_then(|number| slot.deployments.get_mut(&number)) else {
        return;
    };
    match &mut active.phase {
        Phase::Moving(act @ Act::Routing(_)) if active.from == Some(revision) => {
            *act = Act::Draining(instances.to_vec());
        }
        Phase::RollingBack { back, .. } if active.revision == revision => {
            *back = Back::Draining(instances.to_vec());
        }
        _ => {}
    }
}

fn stopping(slot: &mut Slot, revision: Revision, instances: &[grit_types::InstanceId]) {
    slot.leaving.extend(instances);
    if instances.is_empty() {
        let all = slot.revisions.get(&revision).into_iter().flat_map(|record| &record.instances);
        slot.leaving.extend(all.map(|instance| instance.id));
    }
    let Some(active) = slot.active.and_then(|number| slot.deployments.get_mut(&number)) else {
        return;
    };
    match &mut active.phase {
        Phase::Moving(act @ Act::Draining(_)) if active.from == Some(revision) => {
            *act = Act::Stopping;
        }
        Phase::RollingBack { back, .. } if active.revision == revision => *back = Back::Stopping,
        _ => {}
    }
}

fn stopped(slot: &mut Slot, revision: Revision) {
    let leaving = slot.leaving.clone();
    if let Some(record) = slot.revisions.get_mut(&revision) {
        let gone = |instance: &Instance| leaving.contains(&instance.id);
        slot.leaving.retain(|id| !record.instances.iter().any(|i| i.id == *id));
        record.instances.retain(|instance| !gone(instance));
        record.retiring = false;
    }
}

fn finished(slot: &mut Slot, number: u64, status: Status, at: Timestamp) {
    if slot.active == Some(number) {
        slot.active = None;
    }
    slot.deployments.retain(|n, d| *n == number || !d.status().is_final());
    let Some(deployment) = slot.deployments.get_mut(&number) else { return };
    deployment.phase = Phase::Ended(status);
    deployment.finished_at = Some(at);
    if status == Status::Succeeded {
        slot.stable = Some(deployment.revision);
        if let Some(record) = slot.revisions.get_mut(&deployment.revision) {
            record.succeeded = true;
        }
    }
}

fn progressed(deployment: &mut Deployment, event: &Event) {
    match event {
        Event::GatePassed { gate, note, .. } => {
            if let Some(state) = deployment.gates.get_mut(*gate) {
                state.passed = Some(note.clone());
            }
        }
        Event::Approved { gate, by, .. } => {
            if let Some(state) = deployment.gates.get_mut(*gate) {
                state.approvals.push(by.clone());
            }
        }
        Event::Queued { .. } => deployment.phase = Phase::Queued,
        Event::StepStarted { step, .. } => deployment.step = *step,
        Event::Scaling { revision, .. } => scaling(deployment, *revision),
        Event::CheckStarted { check, .. } => {
            deployment.phase = Phase::Moving(Act::Checking(*check))
        }
        Event::CheckPassed { check, .. } => {
            deployment.verified = check + 1 >= deployment.request.verify.len();
        }
        Event::HoldStarted { until, .. } => {
            deployment.phase = Phase::Holding { until: *until, expired: false };
        }
        Event::HoldExpired { .. } => {
            if let Phase::Holding { expired, .. } = &mut deployment.phase {
                *expired = true;
            }
        }
        Event::Paused { reason, .. } => deployment.paused = Some(reason.clone()),
        Event::Resumed { .. } => resumed(deployment),
        Event::Promoted { full, .. } => {
            resumed(deployment);
            deployment.full |= full;
        }
        Event::AnalysisStarted { of, .. } => analysis_started(deployment, *of),
        Event::Measured { of, verdict, .. } => measured(deployment, *of, *verdict),
        Event::SoakStarted { until, .. } => deployment.phase = Phase::Soaking { until: *until },
        Event::RollbackStarted { ending, reason, .. } => {
            deployment.phase = Phase::RollingBack { ending: *ending, back: Back::Reviving };
            deployment.paused = None;
            deployment.reason = Some(reason.clone());
        }
        Event::IssueOpened { issue, .. } => deployment.issue = Some(issue.clone()),
        _ => {}
    }
}

fn scaling(deployment: &mut Deployment, revision: Revision) {
    if let Phase::RollingBack { back, .. } = &mut deployment.phase {
        if matches!(back, Back::Routing(_)) {
            *back = Back::Restoring;
        }
    } else if revision == deployment.revision {
        deployment.phase = Phase::Moving(Act::Ensuring);
    }
}

fn resumed(deployment: &mut Deployment) {
    if deployment.paused.take() == Some(PauseReason::Inconclusive) {
        for watch in &mut deployment.watches {
            watch.inconclusive = 0;
        }
    }
}

fn analysis_started(deployment: &mut Deployment, of: MeasureOf) {
    if of != MeasureOf::Rollout {
        deployment.phase = Phase::Measuring;
    }
    deployment.watches.retain(|watch| watch.of != of);
    deployment.watches.push(Watch { of, taken: 0, failed: 0, inconclusive: 0 });
}

fn measured(deployment: &mut Deployment, of: MeasureOf, verdict: Verdict) {
    let Some(watch) = deployment.watches.iter_mut().find(|watch| watch.of == of) else { return };
    watch.taken += 1;
    match verdict {
        Verdict::Pass => watch.inconclusive = 0,
        Verdict::Inconclusive => watch.inconclusive += 1,
        Verdict::Fail => {
            watch.inconclusive = 0;
            watch.failed += 1;
        }
    }
}
