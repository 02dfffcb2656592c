use grit_types::{CommitId, InstanceId, IssueId, Principal, Revision, Sequence, Timestamp, Weight};
use serde::{Deserialize, Serialize};

use super::{MeasureOf, Reading, Request};
use crate::{Analysis, Gate, Trip};

/// One deployment: the record, and its rollout's progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its place in the slot, and its fence.
    pub number: u64,
    pub request: Request,
    pub gates: Vec<GateState>,
    pub phase: Phase,
    /// What it brings to full weight; its own number, or an old one for a rollback.
    pub revision: Revision,
    /// What was stable when it started.
    pub from: Option<Revision>,
    pub stages: Vec<Stage>,
    /// Index into `stages`.
    pub step: usize,
    /// Promoted in full: the steps that are left are skipped.
    pub full: bool,
    /// The revision has been given traffic.
    pub shifted: bool,
    /// All checks have passed.
    pub verified: bool,
    pub paused: Option<PauseReason>,
    pub watches: Vec<Watch>,
    pub issue: Option<IssueId>,
    pub reason: Option<Why>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// A gate and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateState {
    pub gate: Gate,
    pub approvals: Vec<Principal>,
    /// Why it is open, once it is.
    pub passed: Option<String>,
}

/// One element of a strategy, applied: so many instances, so much weight, then wait or measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// In this order: instances of the new revision, weight, read back, drain, fewer of the old.
    Move {
        canary: u32,
        weight: Weight,
        /// How many instances of the old revision stay.
        stable: u32,
    },
    Hold {
        #[serde(with = "crate::millis::option")]
        duration: Option<std::time::Duration>,
    },
    Measure(Analysis),
}

/// Where a deployment is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Gated,
    Queued,
    Moving(Act),
    Holding { until: Option<Timestamp>, expired: bool },
    Measuring,
    Soaking { until: Timestamp },
    RollingBack { ending: Ending, back: Back },
    Ended(Status),
}

/// What a move waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Ensuring,
    Checking(usize),
    Routing(Sequence),
    Draining(Vec<InstanceId>),
    Stopping,
    /// Every step is done: the route in which nothing of the old revision is left.
    Sealing(Sequence),
}

/// What a way back waits for, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Back {
    /// Nothing of the old revision is there to serve.
    Reviving,
    Routing(Sequence),
    /// Fewer of the old revision are there than it had.
    Restoring,
    Draining(Vec<InstanceId>),
    Stopping,
}

/// What a way back ends as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    RolledBack,
    Failed,
    Cancelled,
    Superseded { by: u64 },
}

impl Ending {
    /// The status it leads to.
    pub fn status(self) -> Status {
        match self {
            Self::RolledBack => Status::RolledBack,
            Self::Failed => Status::Failed,
            Self::Cancelled => Status::Cancelled,
            Self::Superseded { .. } => Status::Superseded,
        }
    }
}

/// Why a rollout waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    By(Principal),
    Inconclusive,
}

/// Why a rollout went back, or never went on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    Guard(Box<Trip>),
    Analysis {
        readings: Vec<Reading>,
    },
    Health {
        instance: InstanceId,
        reason: String,
    },
    NeverReady {
        reason: String,
    },
    Check {
        run: String,
        output: String,
    },
    Gate {
        reason: String,
    },
    Aborted {
        by: Principal,
        reason: String,
    },
    Superseded {
        by: u64,
    },
    Route {
        reason: String,
    },
    /// The revision to go back to does not come up either.
    StableLost {
        reason: String,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Guard(trip) => {
                write!(f, "the guard tripped: {} of {} requests failed", trip.failed, trip.requests)
            }
            Self::Analysis { readings } => {
                f.write_str("the analysis failed:")?;
                let failed = readings.iter().filter(|r| r.verdict == super::Verdict::Fail);
                failed.into_iter().try_for_each(|reading| {
                    write!(f, " {} {} ({})", reading.metric, reading.value, reading.bound)
                })
            }
            Self::Health { instance, reason } => {
                write!(f, "instance {instance} is not healthy: {reason}")
            }
            Self::NeverReady { reason } => write!(f, "it did not become ready: {reason}"),
            Self::Check { run, .. } => write!(f, "`{run}` failed"),
            Self::Gate { reason } => write!(f, "a gate said no: {reason}"),
            Self::Aborted { by, reason } if reason.is_empty() => write!(f, "aborted by {by}"),
            Self::Aborted { by, reason } => write!(f, "aborted by {by}: {reason}"),
            Self::Superseded { by } => write!(f, "superseded by deployment {by}"),
            Self::Route { reason } => write!(f, "the router refused: {reason}"),
            Self::StableLost { reason } => {
                write!(f, "the stable revision does not come up: {reason}")
            }
        }
    }
}

/// An analysis under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    pub of: MeasureOf,
    pub taken: u32,
    pub failed: u32,
    /// In a row.
    pub inconclusive: u32,
}

/// A commit that a deployment brings, for lead times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub commit: CommitId,
    pub at: Timestamp,
    pub subject: String,
}

/// The states of a deployment that people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Pending,
    Gated,
    Queued,
    Provisioning,
    Verifying,
    Progressing,
    Paused,
    Promoting,
    Soaking,
    Succeeded,
    RollingBack,
    RolledBack,
    Failed,
    Degraded,
    Cancelled,
    Superseded,
}

impl Status {
    /// In the order of a deployment's life.
    pub const ALL: [Self; 16] = [
        Self::Pending,
        Self::Gated,
        Self::Queued,
        Self::Provisioning,
        Self::Verifying,
        Self::Progressing,
        Self::Paused,
        Self::Promoting,
        Self::Soaking,
        Self::Succeeded,
        Self::RollingBack,
        Self::RolledBack,
        Self::Failed,
        Self::Degraded,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Gated => "GATED",
            Self::Queued => "QUEUED",
            Self::Provisioning => "PROVISIONING",
            Self::Verifying => "VERIFYING",
            Self::Progressing => "PROGRESSING",
            Self::Paused => "PAUSED",
            Self::Promoting => "PROMOTING",
            Self::Soaking => "SOAKING",
            Self::Succeeded => "SUCCEEDED",
            Self::RollingBack => "ROLLING_BACK",
            Self::RolledBack => "ROLLED_BACK",
            Self::Failed => "FAILED",
            Self::Degraded => "DEGRADED",
            Self::Cancelled => "CANCELLED",
            Self::Superseded => "SUPERSEDED",
        }
    }

    /// Nothing more happens to it.
    pub fn is_final(self) -> bool {
        match self {
            Self::Succeeded | Self::RolledBack | Self::Failed | Self::Degraded => true,
            Self::Cancelled | Self::Superseded => true,
            Self::Pending | Self::Gated | Self::Queued | Self::Provisioning => false,
            Self::Verifying | Self::Progressing | Self::Paused | Self::Promoting => false,
            Self::Soaking | Self::RollingBack => false,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Deployment {
    /// What people see.
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Gated if self.gates.is_empty() => Status::Pending,
            Phase::Gated => Status::Gated,
            Phase::Queued => Status::Queued,
            Phase::Moving(Act::Ensuring) if !self.verified => Status::Provisioning,
            Phase::Moving(Act::Checking(_)) => Status::Verifying,
            Phase::Moving(Act::Sealing(_)) if !self.request.strategy.soak().is_zero() => {
                Status::Soaking
            }
            Phase::Moving(_) if self.weight() == Some(Weight::FULL) => Status::Promoting,
            Phase::Moving(_) => Status::Progressing,
            Phase::Holding { .. } | Phase::Measuring if self.paused.is_some() => Status::Paused,
            Phase::Holding { .. } => Status::Paused,
            Phase::Measuring => Status::Progressing,
            Phase::Soaking { .. } if self.paused.is_some() => Status::Paused,
            Phase::Soaking { .. } => Status::Soaking,
            Phase::RollingBack { .. } => Status::RollingBack,
            Phase::Ended(status) => *status,
        }
    }

    /// The route whose reading back it waits for.
    pub(crate) fn awaited(&self) -> Option<Sequence> {
        match self.phase {
            Phase::Moving(Act::Routing(sequence) | Act::Sealing(sequence))
            | Phase::RollingBack { back: Back::Routing(sequence), .. } => Some(sequence),
            _ => None,
        }
    }

    /// The weight that the current step gives, or the last one before it that gave any.
    pub fn weight(&self) -> Option<Weight> {
        self.stages.iter().take(self.step + 1).rev().find_map(|stage| match stage {
            Stage::Move { weight, .. } => Some(*weight),
            Stage::Hold { .. } | Stage::Measure(_) => None,
        })
    }

    /// The current stage.
    pub fn stage(&self) -> Option<&Stage> {
        self.stages.get(self.step)
    }
}
