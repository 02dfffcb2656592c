//! What the issue of a deployment gets to know.

use std::fmt::Write as _;

use grit_issues::report::Condition;
use grit_rollout::Strategy;
use grit_rollout::slot::{
    Act, Deployment, Event as SlotEvent, PauseReason, Phase, Slot, Status, Why,
};
use grit_types::Weight;

/// Changes that the issue lists.
const CHANGES_MAX: usize = 50;

/// Something to say about a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub number: u64,
    pub condition: Condition,
    pub text: String,
}

/// What `event` is worth saying, if anything.
pub fn note(before: &Slot, after: &Slot, event: &SlotEvent) -> Option<Note> {
    let underway =
        |number: u64, text: String| Some(Note { number, condition: Condition::Underway, text });
    match event {
        SlotEvent::Started { number, .. } => {
            let text = plan(after.deployments.get(number)?);
            Some(Note { number: *number, condition: Condition::Wrong, text })
        }
        SlotEvent::WeightSet { awaited: Some(number), .. } => {
            let (from, to) = (canary(before, *number)?, canary(after, *number)?);
            let grows = from > Weight::ZERO && to > from;
            let text = format!("Canary healthy, proceeding to {}", percent(to));
            grows.then(|| underway(*number, text)).flatten()
        }
        SlotEvent::WeightObserved { sequence, .. } => {
            let number = before.active?;
            let phase = &before.deployments.get(&number)?.phase;
            let weight = canary(before, number)?;
            let moved = *phase == Phase::Moving(Act::Routing(*sequence))
                && weight > Weight::ZERO
                && weight < Weight::FULL;
            moved.then(|| underway(number, format!("Canary at {}", percent(weight)))).flatten()
        }
        SlotEvent::Paused { number, reason, .. } => underway(*number, paused(reason)),
        SlotEvent::Resumed { number, by, .. } => underway(*number, format!("Resumed by {by}")),
        SlotEvent::RollbackStarted { number, reason, .. } => {
            underway(*number, format!("Rolling back: {reason}"))
        }
        SlotEvent::Finished { number, status, reason, .. } => {
            let (condition, text) = finished(*status, reason.as_ref());
            Some(Note { number: *number, condition, text })
        }
        SlotEvent::WeightSet { awaited: None, .. }
        | SlotEvent::Requested { .. }
        | SlotEvent::GatePassed { .. }
        | SlotEvent::GateRejected { .. }
        | SlotEvent::Approved { .. }
        | SlotEvent::Queued { .. }
        | SlotEvent::StepStarted { .. }
        | SlotEvent::Scaling { .. }
        | SlotEvent::InstancesReady { .. }
        | SlotEvent::CheckStarted { .. }
        | SlotEvent::CheckPassed { .. }
        | SlotEvent::RouteRefused { .. }
        | SlotEvent::DrainStarted { .. }
        | SlotEvent::DrainEnded { .. }
        | SlotEvent::Stopping { .. }
        | SlotEvent::Stopped { .. }
        | SlotEvent::HoldStarted { .. }
        | SlotEvent::HoldExpired { .. }
        | SlotEvent::Promoted { .. }
        | SlotEvent::AnalysisStarted { .. }
        | SlotEvent::Measuring { .. }
        | SlotEvent::Measured { .. }
        | SlotEvent::Tripped { .. }
        | SlotEvent::SoakStarted { .. }
        | SlotEvent::IssueOpened { .. }
        | SlotEvent::Retiring { .. }
        | SlotEvent::InstancesChanged { .. } => None,
    }
}

/// The weight of what a canary brings; none for other strategies, and on the way back.
fn canary(slot: &Slot, number: u64) -> Option<Weight> {
    let deployment = slot.deployments.get(&number)?;
    let is_canary = matches!(deployment.request.strategy, Strategy::Canary(_));
    let goes_on = !matches!(deployment.phase, Phase::RollingBack { .. } | Phase::Ended(_));
    (is_canary && goes_on).then(|| slot.weight(deployment.revision))
}

fn percent(weight: Weight) -> String {
    format!("{}%", weight.percent())
}

fn paused(reason: &PauseReason) -> String {
    match reason {
        PauseReason::By(who) => format!("Paused by {who}"),
        PauseReason::Inconclusive => {
            "Paused: the analysis says nothing, a person decides".to_owned()
        }
    }
}

fn finished(status: Status, reason: Option<&Why>) -> (Condition, String) {
    if status == Status::Succeeded {
        return (Condition::Right, "Deployment complete".to_owned());
    }
    let why = reason.map(|why| format!(": {why}")).unwrap_or_default();
    // Nothing of it runs, and nobody has to look into it.
    let over = matches!(status, Status::Cancelled | Status::Superseded);
    let condition = if over { Condition::Right } else { Condition::Underway };
    let status = status.as_str().to_lowercase().replace('_', " ");
    (condition, format!("Deployment {status}{why}"))
}

/// What a deployment's issue is called.
pub fn title(deployment: &Deployment) -> String {
    let request = &deployment.request;
    format!(
        "Deploy {} of {} to {}",
        request.version, request.slot.service, request.slot.environment
    )
}

fn plan(deployment: &Deployment) -> String {
    let request = &deployment.request;
    let mut text = format!(
        "## Deployment\n- Version: {}\n- Service: {}\n- Environment: {}\n- Commit: {}\n- Strategy: {}\n\
         - Requested by: {}\n",
        request.version,
        request.slot.service,
        request.slot.environment,
        request.commit,
        request.strategy.name(),
        request.requested_by,
    );
    if !request.changes.is_empty() {
        text.push_str("\n## Changes\n");
    }
    for change in request.changes.iter().take(CHANGES_MAX) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {} {}", change.commit.short(), change.subject);
    }
    if request.changes.len() > CHANGES_MAX {
        let _ = writeln!(text, "- … and {} more", request.changes.len() - CHANGES_MAX);
    }
    text
}
