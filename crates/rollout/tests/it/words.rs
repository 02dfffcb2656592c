//! Commands and events in a few words: `#2` is a deployment, `r2` a revision, `@3` a route.

use grit_rollout::slot::{Command, Event, MeasureOf, Outcome, PauseReason, Stage, Timer};
use grit_rollout::{Drained, Instance, InstanceState, Report, Route};
use grit_types::Timestamp;

use crate::ground::BEGIN;

pub fn command(command: &Command) -> String {
    match command {
        Command::Request(request) => format!("request {}", request.version),
        Command::Gate { gate, .. } => format!("gate {gate} answered"),
        Command::Approve { .. } => "approve".to_owned(),
        Command::Reject { .. } => "reject".to_owned(),
        Command::Promote { full } => if *full { "promote full" } else { "promote" }.to_owned(),
        Command::Pause => "pause".to_owned(),
        Command::Resume => "resume".to_owned(),
        Command::Abort { .. } => "abort".to_owned(),
        Command::Retry { .. } => "retry".to_owned(),
        Command::Rollback { to: Some(to), .. } => format!("rollback to r{to}"),
        Command::Rollback { to: None, .. } => "rollback".to_owned(),
        Command::Outcome(of) => outcome(of),
        Command::Report(Report::Instances { .. }) => "instances reported".to_owned(),
        Command::Report(Report::Tripped { .. }) => "trip reported".to_owned(),
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ensured { revision, result: Ok(_), .. } => format!("r{revision} is up"),
        Outcome::Ensured { revision, result: Err(_), .. } => format!("r{revision} is not up"),
        Outcome::Checked { check, .. } => format!("check {check} done"),
        Outcome::Routed { sequence, result: Ok(_) } => format!("@{sequence} in force"),
        Outcome::Routed { sequence, result: Err(_) } => format!("@{sequence} not taken"),
        Outcome::Drained { revision, .. } => format!("r{revision} is idle"),
        Outcome::Stopped { revision } => format!("r{revision} is gone"),
        Outcome::Measured { .. } => "stats".to_owned(),
        Outcome::Woke(Timer::Hold { step, .. }) => format!("timer of hold {step}"),
        Outcome::Woke(Timer::Soak { .. }) => "timer of soak".to_owned(),
        Outcome::Woke(Timer::Measure { .. }) => "timer of analysis".to_owned(),
        Outcome::Woke(Timer::Retire { revision }) => format!("timer of r{revision}"),
        Outcome::IssueOpened { .. } => "issue is open".to_owned(),
        Outcome::Done => "done".to_owned(),
    }
}

pub fn event(event: &Event) -> String {
    match event {
        Event::Requested { number, .. } => format!("#{number} requested"),
        Event::GatePassed { gate, note, .. } => format!("gate {gate} passed ({note})"),
        Event::GateRejected { gate, reason, .. } => format!("gate {gate} rejected ({reason})"),
        Event::Approved { by, role, .. } => format!("approved by {by} ({role})"),
        Event::Queued { number } => format!("#{number} queued"),
        Event::Started { number, revision, stages: all, .. } => {
            format!("#{number} started r{revision} [{}]", stages(all))
        }
        Event::StepStarted { step, .. } => format!("step {step}"),
        Event::Scaling { revision, replicas, .. } => format!("scale r{revision} to {replicas}"),
        Event::InstancesReady { revision, instances, .. } => {
            format!("r{revision} ready {}", instances.len())
        }
        Event::CheckStarted { check, .. } => format!("check {check}"),
        Event::CheckPassed { check, .. } => format!("check {check} passed"),
        Event::WeightSet { awaited: None, route, .. } => format!("upkeep {}", routed(route)),
        Event::WeightSet { route, .. } => format!("route {}", routed(route)),
        Event::WeightObserved { sequence, .. } => format!("@{sequence} read back"),
        Event::RouteRefused { sequence, .. } => format!("@{sequence} refused"),
        Event::DrainStarted { revision, instances } => {
            format!("drain r{revision} {}", instances.len())
        }
        Event::DrainEnded { revision, result: Drained::Empty } => format!("r{revision} drained"),
        Event::DrainEnded { revision, .. } => format!("r{revision} cut"),
        Event::Stopping { revision, instances } if instances.is_empty() => {
            format!("stop r{revision} all")
        }
        Event::Stopping { revision, instances } => format!("stop r{revision} {}", instances.len()),
        Event::Stopped { revision } => format!("r{revision} stopped"),
        Event::HoldStarted { until: Some(until), .. } => format!("hold until {}", at(*until)),
        Event::HoldStarted { until: None, .. } => "hold".to_owned(),
        Event::HoldExpired { .. } => "hold over".to_owned(),
        Event::Paused { reason: PauseReason::By(by), .. } => format!("paused by {by}"),
        Event::Paused { reason: PauseReason::Inconclusive, .. } => "paused to ask".to_owned(),
        Event::Resumed { .. } => "resumed".to_owned(),
        Event::Promoted { full, .. } => {
            if *full { "promoted in full" } else { "promoted" }.to_owned()
        }
        Event::AnalysisStarted { of, .. } => format!("analysis {}", measure(*of)),
        Event::Measuring { of, .. } => format!("measure {}", measure(*of)),
        Event::Measured { of, verdict, .. } => format!("{} says {verdict:?}", measure(*of)),
        Event::Tripped { .. } => "guard tripped".to_owned(),
        Event::SoakStarted { until, .. } => format!("soak until {}", at(*until)),
        Event::RollbackStarted { ending, reason, .. } => format!("back as {ending:?}: {reason}"),
        Event::Finished { number, status, .. } => format!("#{number} {status}"),
        Event::IssueOpened { number, .. } => format!("#{number} has an issue"),
        Event::Retiring { revision } => format!("retire r{revision}"),
        Event::InstancesChanged { instances: all, .. } => format!("now {}", instances(all)),
    }
}

fn at(time: Timestamp) -> String {
    format!("{}s", time.since(BEGIN).as_secs())
}

fn measure(of: MeasureOf) -> String {
    match of {
        MeasureOf::Rollout => "of all".to_owned(),
        MeasureOf::Step(step) => format!("of step {step}"),
    }
}

fn stages(stages: &[Stage]) -> String {
    let stage = |stage: &Stage| match stage {
        Stage::Move { canary, weight, stable } => format!("{canary}+{stable} at {weight}"),
        Stage::Hold { duration: Some(duration) } => format!("{}s", duration.as_secs()),
        Stage::Hold { duration: None } => "hold".to_owned(),
        Stage::Measure(_) => "measure".to_owned(),
    };
    stages.iter().map(stage).collect::<Vec<_>>().join(", ")
}

fn routed(route: &Route) -> String {
    let group = |group: &grit_rollout::Group| {
        format!("r{} {} on {}", group.revision, group.weight, group.endpoints.len())
    };
    let groups: Vec<String> = route.groups.iter().map(group).collect();
    format!("@{} {}", route.sequence, groups.join(" / "))
}

fn instances(instances: &[Instance]) -> String {
    let word = |instance: &Instance| {
        let state = match instance.state {
            InstanceState::Starting => "starting",
            InstanceState::Ready => "ready",
            InstanceState::Unhealthy => "unhealthy",
            InstanceState::Stopping => "stopping",
            InstanceState::Failed => "failed",
        };
        format!("r{} {state}", instance.revision)
    };
    let mut words: Vec<String> = instances.iter().map(word).collect();
    words.sort();
    words.join(" ")
}
