//! What a rollout needs from the traffic layer, from where instances run, and from checks.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_types::{
    BoxFuture, CommitId, Digest, EffectId, Fence, InstanceId, Revision, Sequence, Timestamp, Weight,
};
use serde::{Deserialize, Serialize};

use crate::{Guard, RunSpec, SlotId};

/// Moves traffic between the revisions of a slot.
///
/// Contract: `apply` answers only after the route is durable and every new request follows it; an
/// older (fence, sequence) than the slot's current one is refused; by itself a router may only
/// move traffic towards stable, and says so in [`Observed::trip`].
pub trait TrafficRouter: Send + Sync {
    /// Applies a route and reads it back.
    fn apply(&self, route: &Route) -> BoxFuture<'_, Result<Observed, RouterError>>;

    /// What is routed now; `None` where the slot has never been routed.
    fn observed(&self, slot: &SlotId) -> BoxFuture<'_, Result<Option<Observed>, RouterError>>;

    /// What was served in the last `window`, by revision.
    fn stats(&self, slot: &SlotId, window: Duration) -> BoxFuture<'_, Result<Stats, RouterError>>;

    /// Waits until none of `instances` has a request in flight, at most until `deadline` from now.
    fn drained(
        &self,
        slot: &SlotId,
        instances: &[InstanceId],
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Drained, RouterError>>;
}

/// Runs instances.
///
/// Contract: every call is idempotent and level-triggered: what is there already stays, what is
/// missing is started, what is gone is gone. Instances outlive the controller, and are found again
/// by one that starts anew.
pub trait Target: Send + Sync {
    /// Has at least `set.replicas` instances of the revision ready, and answers with all that are.
    ///
    /// Where one of those it started fails for good, [`TargetError::NeverReady`], and those that it
    /// started are gone again.
    fn ensure(
        &self,
        effect: &EffectId,
        set: &InstanceSet,
    ) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>>;

    /// Ends instances of a revision: asks, waits for `drain`, kills. Answers when they are gone.
    ///
    /// None named: all of them, those still being started included, and an `ensure` that waits
    /// for them ends with [`TargetError::NeverReady`]: tried again, it would start them anew.
    fn stop(
        &self,
        effect: &EffectId,
        slot: &SlotId,
        revision: Revision,
        instances: &[InstanceId],
        drain: Duration,
    ) -> BoxFuture<'_, Result<(), TargetError>>;

    /// All instances of the slot that are not gone.
    fn observe(&self, slot: &SlotId) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>>;
}

/// Runs what an environment asks to be verified before any traffic.
pub trait Verifier: Send + Sync {
    /// Runs the command in a checkout of the commit, with `env` set.
    fn verify(
        &self,
        effect: &EffectId,
        check: &Check,
    ) -> BoxFuture<'_, Result<CheckOutcome, TargetError>>;
}

/// Takes what targets and routers notice by themselves.
pub trait Observer: Send + Sync {
    /// Never blocks; what it takes is level-triggered, so that a lost report is repaired by the next.
    fn report(&self, report: Report);
}

/// Something noticed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The slot's instances as they are now: sent whenever one of them changes.
    Instances { slot: SlotId, instances: Vec<Instance> },
    /// The guard moved the slot's traffic to stable.
    Tripped { slot: SlotId, trip: Trip },
}

/// Instances that are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSet {
    pub slot: SlotId,
    pub revision: Revision,
    pub artifact: Digest,
    /// What people call the revision: `v1.1.0`.
    pub version: String,
    pub run: RunSpec,
    pub replicas: u32,
}

/// One process, container or pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub revision: Revision,
    /// `HOST:PORT`; empty until known.
    pub address: String,
    pub state: InstanceState,
    /// How often it died and was started again.
    pub restarts: u32,
    pub since: Timestamp,
    /// Why it is in that state, where there is something to say.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Not yet ready for the first time, or waiting to be started again.
    Starting,
    Ready,
    /// Was ready; its health checks fail.
    Unhealthy,
    /// Asked to end.
    Stopping,
    /// Died more often than is worth another start.
    Failed,
}

/// Where a slot's requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub slot: SlotId,
    /// The rollout's: the number of its deployment.
    pub fence: Fence,
    /// Of this act under the fence.
    pub sequence: Sequence,
    /// The weights sum to [`Weight::FULL`].
    pub groups: Vec<Group>,
    /// Watches every group that is not stable.
    pub guard: Option<Guard>,
    #[serde(with = "crate::millis")]
    pub request_timeout: Duration,
}

/// A revision's share of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub revision: Revision,
    pub version: String,
    pub weight: Weight,
    /// Traffic falls back to it.
    pub stable: bool,
    pub endpoints: Vec<Endpoint>,
}

impl Group {
    /// It has a weight, and nowhere to send it.
    pub fn is_starved(&self) -> bool {
        self.weight > Weight::ZERO && self.endpoints.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    pub instance: InstanceId,
    /// `HOST:PORT`.
    pub address: String,
}

/// A route, as the router says it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub fence: Fence,
    pub sequence: Sequence,
    /// What requests follow now: after a trip, stable only.
    #[serde(with = "crate::keyed")]
    pub weights: BTreeMap<Revision, Weight>,
    pub trip: Option<Trip>,
}

/// Why a router moved traffic to stable by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// Under this fence.
    pub fence: Fence,
    pub revision: Revision,
    pub at: Timestamp,
    pub cause: TripCause,
    /// Within the window that tripped it.
    pub requests: u64,
    pub failed: u64,
    /// The first failed request of that window: `GET /catalogue 500`.
    pub first_failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TripCause {
    /// Mostly answers of 500 to 599.
    Errors,
    /// Mostly requests without an answer in time.
    Timeouts,
    /// Mostly connections refused or broken.
    Connections,
}

/// What was served, by revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// How much time it covers; less than asked where the router started later.
    #[serde(with = "crate::millis")]
    pub window: Duration,
    #[serde(with = "crate::keyed")]
    pub revisions: BTreeMap<Revision, RevisionStats>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RevisionStats {
    pub requests: u64,
    /// Answers of 500 to 599.
    pub errors: u64,
    pub timeouts: u64,
    /// Connections refused or broken before an answer.
    pub broken: u64,
    pub in_flight: u64,
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
}

impl RevisionStats {
    /// All that count against the revision.
    pub fn failed(&self) -> u64 {
        self.errors + self.timeouts + self.broken
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drained {
    Empty,
    /// The deadline passed with so many requests in flight.
    Cut {
        in_flight: u64,
    },
}

/// A command that must succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub slot: SlotId,
    pub commit: CommitId,
    /// Run by `sh -c` in a checkout of the commit.
    pub run: String,
    /// `GRIT_URL`, `GRIT_SERVICE`, `GRIT_VERSION`, `GRIT_ENVIRONMENT`.
    pub env: BTreeMap<String, String>,
    #[serde(with = "crate::millis")]
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    Passed,
    /// What it printed last.
    Failed {
        exit: Option<i32>,
        output: String,
    },
}

/// Why a router did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    #[error("{slot} is already routed under fence {current}, act {current_sequence}")]
    Stale { slot: SlotId, current: Fence, current_sequence: Sequence },
    #[error("the route of {slot} is not usable: {problem}")]
    Invalid { slot: SlotId, problem: String },
    #[error("the router cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the router could not store the route of {slot}")]
    Storage {
        slot: SlotId,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a target did not do it.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Trying again changes nothing: the version itself does not come up.
    #[error("{slot} revision {revision} does not become ready: {reason}")]
    NeverReady { slot: SlotId, revision: Revision, reason: String },
    /// Trying again may help.
    #[error("{action}")]
    Unable {
        action: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
