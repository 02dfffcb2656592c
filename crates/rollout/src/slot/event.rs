use std::collections::BTreeMap;

use grit_types::{InstanceId, IssueId, Principal, Revision, Role, Sequence, Timestamp, Weight};
use serde::{Deserialize, Serialize};

use super::{Ending, PauseReason, Request, Stage, Status, Why};
use crate::{Check, Drained, Instance, Route, Trip};

/// What happened in a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    #[serde(rename = "deployment.requested")]
    Requested { number: u64, request: Box<Request>, at: Timestamp },
    #[serde(rename = "deployment.gate_passed")]
    GatePassed { number: u64, gate: usize, note: String },
    #[serde(rename = "deployment.gate_rejected")]
    GateRejected { number: u64, gate: usize, reason: String },
    #[serde(rename = "deployment.approved")]
    Approved { number: u64, gate: usize, by: Principal, role: Role },
    #[serde(rename = "deployment.queued")]
    Queued { number: u64 },
    /// It has the slot now; its stages are the strategy, applied to what was stable then.
    #[serde(rename = "deployment.started")]
    Started { number: u64, revision: Revision, stages: Vec<Stage>, at: Timestamp },
    #[serde(rename = "rollout.step_started")]
    StepStarted { number: u64, step: usize, at: Timestamp },
    #[serde(rename = "rollout.scaling")]
    Scaling { number: u64, revision: Revision, replicas: u32 },
    #[serde(rename = "rollout.instances_ready")]
    InstancesReady { number: u64, revision: Revision, instances: Vec<Instance>, at: Timestamp },
    #[serde(rename = "rollout.check_started")]
    CheckStarted { number: u64, check: usize, run: Box<Check> },
    #[serde(rename = "rollout.check_passed")]
    CheckPassed { number: u64, check: usize },
    /// The intent; durable before the router hears of it.
    #[serde(rename = "rollout.weight_set")]
    WeightSet {
        /// The deployment whose rollout goes on when it is read back; none for upkeep.
        awaited: Option<u64>,
        route: Box<Route>,
        at: Timestamp,
    },
    /// The router read it back.
    #[serde(rename = "rollout.weight_observed")]
    WeightObserved {
        sequence: Sequence,
        #[serde(with = "crate::keyed")]
        weights: BTreeMap<Revision, Weight>,
        at: Timestamp,
    },
    #[serde(rename = "rollout.route_refused")]
    RouteRefused { sequence: Sequence, reason: String },
    #[serde(rename = "rollout.drain_started")]
    DrainStarted { revision: Revision, instances: Vec<InstanceId> },
    #[serde(rename = "rollout.drained")]
    DrainEnded { revision: Revision, result: Drained },
    #[serde(rename = "rollout.stopping")]
    Stopping { revision: Revision, instances: Vec<InstanceId> },
    #[serde(rename = "rollout.stopped")]
    Stopped { revision: Revision },
    #[serde(rename = "rollout.hold_started")]
    HoldStarted { number: u64, step: usize, until: Option<Timestamp> },
    #[serde(rename = "rollout.hold_expired")]
    HoldExpired { number: u64 },
    #[serde(rename = "rollout.paused")]
    Paused { number: u64, reason: PauseReason, at: Timestamp },
    #[serde(rename = "rollout.resumed")]
    Resumed { number: u64, by: Principal, at: Timestamp },
    #[serde(rename = "rollout.promoted")]
    Promoted { number: u64, full: bool, by: Principal, at: Timestamp },
    #[serde(rename = "rollout.analysis_started")]
    AnalysisStarted { number: u64, of: MeasureOf, at: Timestamp },
    #[serde(rename = "rollout.measuring")]
    Measuring { number: u64, of: MeasureOf },
    #[serde(rename = "rollout.measured")]
    Measured { number: u64, of: MeasureOf, verdict: Verdict, readings: Vec<Reading>, at: Timestamp },
    #[serde(rename = "rollout.tripped")]
    Tripped { number: u64, trip: Box<Trip> },
    #[serde(rename = "rollout.soak_started")]
    SoakStarted { number: u64, until: Timestamp },
    #[serde(rename = "rollout.rollback_started")]
    RollbackStarted { number: u64, ending: Ending, reason: Why, at: Timestamp },
    #[serde(rename = "deployment.finished")]
    Finished { number: u64, status: Status, reason: Option<Why>, at: Timestamp },
    #[serde(rename = "deployment.issue_opened")]
    IssueOpened { number: u64, issue: IssueId },
    #[serde(rename = "revision.retiring")]
    Retiring { revision: Revision },
    #[serde(rename = "instances.changed")]
    InstancesChanged { instances: Vec<Instance>, at: Timestamp },
}

/// Which analysis a measurement belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureOf {
    /// That of the whole rollout.
    Rollout,
    /// That of an analysis step.
    Step(usize),
}

/// What a measurement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    /// Too few requests, or no answer: not success.
    Inconclusive,
    Fail,
}

/// One metric of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// `success-rate`, `latency-p99`.
    pub metric: String,
    /// `99.2 %`, `412 ms`; `no data`.
    pub value: String,
    /// `at least 99 %`.
    pub bound: String,
    pub verdict: Verdict,
}
