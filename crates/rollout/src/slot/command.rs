use grit_types::{CommitId, DeploymentId, Digest, IssueId, Principal, Revision, Role, Sequence};
use serde::{Deserialize, Serialize};

use super::{Change, MeasureOf, Status, Timer};
use crate::{
    CheckOutcome, Drained, Gate, Instance, Observed, Report, Route, RouterError, RunSpec, SlotId,
    Stats, Strategy, Trip,
};

/// What can be asked of a slot, and what comes back from what it asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Request(Box<Request>),
    /// A machine's answer to a gate.
    Gate {
        number: u64,
        gate: usize,
        verdict: GateVerdict,
    },
    /// A person's; the actor's roles come with it, from where rights are kept.
    Approve {
        number: Option<u64>,
        roles: Vec<Role>,
    },
    /// A person says no.
    Reject {
        number: Option<u64>,
        reason: String,
    },
    /// Ends the current pause or analysis step; `full` skips all that are left.
    Promote {
        full: bool,
    },
    Pause,
    Resume,
    Abort {
        reason: String,
    },
    /// Again, from the first step, what ended last without success.
    Retry {
        id: DeploymentId,
    },
    /// To a revision, else to the one before the stable. During a rollout: abort.
    Rollback {
        to: Option<Revision>,
        id: DeploymentId,
    },
    Outcome(Outcome),
    Report(Report),
}

/// A deployment that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub id: DeploymentId,
    pub slot: SlotId,
    /// As people say it: a tag, or a short commit id.
    pub version: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub run: RunSpec,
    pub strategy: Strategy,
    pub gates: Vec<Gate>,
    /// Commands that must succeed before any traffic.
    pub verify: Vec<String>,
    pub trigger: Trigger,
    pub requested_by: Principal,
    /// Everybody who pushed what is deployed and was not yet.
    pub authors: Vec<Principal>,
    /// The commits that are deployed and were not yet, oldest first.
    pub changes: Vec<Change>,
    /// How long the old revision is kept able to serve, after success.
    #[serde(with = "crate::millis")]
    pub warm: std::time::Duration,
}

/// Why a deployment was requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Push,
    Manual,
    Retry { of: u64 },
    Rollback { to: Revision },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    Passed { note: String },
    Rejected { reason: String },
}

/// What an effect came to. Each names what it belongs to, so that a late one is known as late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ensured {
        number: u64,
        revision: Revision,
        result: Result<Vec<Instance>, String>,
    },
    Checked {
        number: u64,
        check: usize,
        result: CheckOutcome,
    },
    Routed {
        sequence: Sequence,
        result: Result<Observed, RouteFailure>,
    },
    Drained {
        revision: Revision,
        result: Drained,
    },
    Stopped {
        revision: Revision,
    },
    Measured {
        number: u64,
        of: MeasureOf,
        result: Result<Stats, String>,
    },
    Woke(Timer),
    IssueOpened {
        number: u64,
        issue: Option<IssueId>,
    },
    /// What only had to be done.
    Done,
}

/// A route that will not come to be by trying again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum RouteFailure {
    /// Somebody acts under a newer fence.
    #[error("{reason}")]
    Stale { reason: String },
    #[error("{reason}")]
    Invalid { reason: String },
    /// The guard has taken the revision out, under the same fence.
    #[error("the guard tripped: {} of {} requests failed", .trip.failed, .trip.requests)]
    Tripped { trip: Box<Trip> },
}

impl RouteFailure {
    /// What a router's refusal means, `now` being what it routes.
    ///
    /// # Errors
    /// The error itself, where trying again may help.
    pub fn judge(
        route: &Route,
        error: RouterError,
        now: Option<Observed>,
    ) -> Result<Self, RouterError> {
        let trip = now.and_then(|now| now.trip).filter(|trip| trip.fence == route.fence);
        let reason = grit_types::chain(&error);
        match (error, trip) {
            (RouterError::Stale { .. }, _) => Ok(Self::Stale { reason }),
            (RouterError::Invalid { .. }, Some(trip)) => Ok(Self::Tripped { trip: Box::new(trip) }),
            (RouterError::Invalid { .. }, None) => Ok(Self::Invalid { reason }),
            (error @ (RouterError::Unreachable(_) | RouterError::Storage { .. }), _) => Err(error),
        }
    }
}

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{version} is already what runs there")]
    Unchanged { version: String },
    #[error("no rollout is in progress")]
    NoRollout,
    #[error("deployment {number} does not wait for an approval")]
    NoApproval { number: u64 },
    #[error("nothing waits for an approval")]
    NothingToApprove,
    #[error("{by} is an author of the change or requested it, and the gate wants somebody else")]
    OwnApproval { by: Principal },
    #[error("the gate wants one of {wanted}, and {by} has none of these roles")]
    Role { by: Principal, wanted: String },
    #[error("{action} is not possible while the deployment is {status}")]
    NotNow { action: &'static str, status: Status },
    #[error("there is no revision {revision}")]
    NoRevision { revision: Revision },
    #[error("there is no earlier revision to roll back to")]
    NothingBefore,
    #[error("there is nothing to retry: the last deployment is {status}")]
    NothingToRetry { status: Status },
}
