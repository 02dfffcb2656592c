//! What is deployed, where, and how: the parts of `grit.yaml` that a deployment carries with it.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_types::{Environment, Repo, Role, Service, Tenant, Weight};
use serde::{Deserialize, Serialize};

use grit_ledger::StreamId;

/// One service in one environment: where at most one rollout is active at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotId {
    pub tenant: Tenant,
    pub repo: Repo,
    pub environment: Environment,
    pub service: Service,
}

impl SlotId {
    /// `slot/TENANT/REPO/ENVIRONMENT/SERVICE`.
    pub fn stream(&self) -> StreamId {
        let Self { tenant, repo, environment, service } = self;
        let name = format!("slot/{tenant}/{repo}/{environment}/{service}");
        // Names are made of what a stream's parts may hold.
        name.parse().expect("names are valid in a stream")
    }

    /// The slot that a stream folds to.
    pub fn of_stream(stream: &StreamId) -> Option<Self> {
        let mut parts = stream.parts();
        let mut next = || parts.next();
        Some(Self {
            tenant: next()?.parse().ok()?,
            repo: next()?.parse().ok()?,
            environment: next()?.parse().ok()?,
            service: next()?.parse().ok()?,
        })
    }

    /// What the edge routes to it: `SERVICE.ENVIRONMENT.localhost`.
    pub fn host(&self) -> String {
        format!("{}.{}.localhost", self.service, self.environment)
    }
}

impl std::fmt::Display for SlotId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.service, self.environment)
    }
}

/// How an instance is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Started in the unpacked artifact; `PORT` tells it where to listen.
    pub command: Vec<String>,
    pub replicas: u32,
    pub env: BTreeMap<String, String>,
    pub health: Health,
    /// How long a request may take at the edge.
    #[serde(with = "crate::millis")]
    pub request_timeout: Duration,
    /// How long an instance may take to finish what it has, before SIGKILL.
    #[serde(with = "crate::millis")]
    pub drain: Duration,
    pub limits: Limits,
}

/// When an instance counts as able to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `GET` it: 200 to 299 passes.
    pub path: String,
    #[serde(with = "crate::millis")]
    pub interval: Duration,
    #[serde(with = "crate::millis")]
    pub timeout: Duration,
    /// Passes in a row until ready.
    pub healthy_threshold: u32,
    /// Failures in a row until not ready.
    pub unhealthy_threshold: u32,
    /// From start to first ready.
    #[serde(with = "crate::millis")]
    pub deadline: Duration,
}

/// What an instance may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    pub open_files: Option<u64>,
}

/// How a new revision takes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One instance after the other: start, verify, route, drain the old one, stop it.
    Rolling(Rolling),
    /// By weight, step by step, beside the stable revision at full size.
    Canary(Canary),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// How many instances at a time, at least 1.
    pub batch: u32,
    pub guard: Option<Guard>,
    /// At full weight, health watched, before it counts as succeeded and the last old one ends.
    #[serde(with = "crate::millis")]
    pub soak: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub steps: Vec<Step>,
    /// Measured all through the rollout, from the first weight on.
    pub analysis: Option<Analysis>,
    pub guard: Option<Guard>,
    /// At full weight, still measured, before it counts as succeeded.
    #[serde(with = "crate::millis")]
    pub soak: Duration,
}

/// Argo Rollouts' steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    SetWeight(Weight),
    /// Without a duration: until somebody promotes.
    Pause(#[serde(with = "crate::millis::option")] Option<Duration>),
    /// Goes on when this has passed; besides the analysis of the whole rollout.
    Analysis(Analysis),
}

/// What is measured on the edge, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    pub metrics: Vec<Metric>,
    #[serde(with = "crate::millis")]
    pub interval: Duration,
    /// For an analysis step: how many measurements. For that of a whole rollout: none.
    pub count: Option<u32>,
    /// More failed measurements than this end the rollout.
    pub failure_limit: u32,
    /// More inconclusive ones in a row than this pause it for a person to decide.
    pub inconclusive_limit: u32,
    /// Fewer requests in an interval than this are no evidence: inconclusive.
    pub min_requests: u64,
}

/// One bound on the canary's own traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of requests not answered by 5xx, a timeout or a broken connection, in basis points.
    SuccessRate { min: Weight },
    /// The latency that `percentile` (50, 95, 99) of requests stay below.
    Latency {
        percentile: u8,
        #[serde(with = "crate::millis")]
        max: Duration,
    },
}

/// Always on, in the edge itself: it does not wait for a measurement, nor for the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// More failed requests than this share within `window` trip it.
    pub error_rate: Weight,
    #[serde(with = "crate::millis")]
    pub window: Duration,
    /// Fewer requests within `window` than this never trip it.
    pub min_requests: u64,
}

/// What must hold before a deployment begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// These jobs of the commit's run succeeded.
    Checks(Vec<String>),
    /// The same digest SUCCEEDED in that environment.
    After(Environment),
    /// The deployments of these services, of the same commit in the same environment, are over and
    /// none has failed. It is written nowhere: it follows from what a service needs.
    Needs(Vec<Service>),
    Approval(Approval),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// How many different people.
    pub min: u32,
    pub roles: Vec<Role>,
    /// None of them may be an author of the change or have requested the deployment.
    pub distinct: bool,
}
