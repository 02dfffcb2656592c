//! What pages, the API and the command line show: plain data, in camelCase JSON.

use grit_pipeline::Tests;
use grit_pipeline::plan::JobKey;
use grit_pipeline::queue::{Line, Queue};
use grit_pipeline::run::{self, JobView, Run};
use grit_rollout::slot::{Act, Deployment, GateState, Phase, Slot, Stage, Status, Trigger, Why};
use grit_rollout::{Gate, InstanceState};
use grit_types::{
    CommitId, DeploymentId, Digest, Environment, InstanceId, IssueId, Principal, RefName, Repo,
    Revision, RunId, Service, Tenant, Timestamp, Weight,
};
use serde::{Deserialize, Serialize};

use crate::repo::Commit;

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentView {
    pub id: DeploymentId,
    pub tenant_id: Tenant,
    pub repo: Repo,
    pub service: Service,
    pub environment: Environment,
    /// Its place in the slot, and its fence.
    pub number: u64,
    pub version: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub status: Status,
    pub strategy: String,
    pub trigger: Trigger,
    pub requested_by: Principal,
    pub authors: Vec<Principal>,
    pub gates: Vec<GateView>,
    /// Of how many steps, the first being 1.
    pub step: usize,
    pub steps: usize,
    /// What the step is: `weight 20 %`, `pause 10m`.
    pub doing: String,
    pub weight: Weight,
    pub revision: Revision,
    pub from: Option<Revision>,
    /// Why it went back, in a sentence.
    pub reason: Option<String>,
    /// The same, taken apart.
    pub evidence: Option<Why>,
    pub issue: Option<IssueId>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub changes: Vec<grit_rollout::slot::Change>,
}

/// A gate of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateView {
    /// `checks lint, test`; `after staging`; `approval 1 of Owner, Admin`.
    pub gate: String,
    pub passed: Option<String>,
    pub approvals: Vec<Principal>,
    /// A person can open it.
    pub needs_person: bool,
}

/// A service in an environment, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotView {
    pub tenant_id: Tenant,
    pub repo: Repo,
    pub service: Service,
    pub environment: Environment,
    pub host: String,
    pub stable: Option<RevisionView>,
    pub revisions: Vec<RevisionView>,
    pub instances: Vec<InstanceView>,
    /// The deployment in progress, else the last that ended.
    pub deployment: Option<DeploymentView>,
}

/// A revision of a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionView {
    pub revision: Revision,
    pub version: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub weight: Weight,
    pub stable: bool,
    pub ready: usize,
    /// It once carried all traffic to the end.
    pub succeeded: bool,
}

/// An instance of a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    pub id: InstanceId,
    pub revision: Revision,
    pub version: String,
    pub state: InstanceState,
    pub address: String,
    pub restarts: u32,
    pub since: Timestamp,
    pub reason: Option<String>,
}

/// A commit that was pushed, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitView {
    pub commit: CommitId,
    pub state: Commit,
}

/// The results of tests that a step of a run reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestsView {
    pub run: RunId,
    pub workflow: String,
    pub commit: CommitId,
    pub ref_name: Option<RefName>,
    pub job: JobKey,
    pub job_name: String,
    pub step: String,
    pub at: Timestamp,
    pub tests: Tests,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    pub id: RunId,
    pub tenant_id: Tenant,
    pub repo: Repo,
    pub name: String,
    pub number: u64,
    pub commit: CommitId,
    pub ref_name: Option<RefName>,
    pub actor: Principal,
    /// `push`, `workflow_dispatch`, …
    #[serde(default)]
    pub event: String,
    /// `waiting` for its concurrency group, `running`, `cancelling`, or what it came to: `success`, `failure`, `cancelled`, `skipped`.
    pub status: String,
    /// Through how many runs it was started, one after the other.
    #[serde(default)]
    pub depth: u32,
    /// What it waits for, or why it was cancelled.
    #[serde(default)]
    pub why: Option<String>,
    pub jobs: Vec<JobView>,
    pub started_at: Timestamp,
    pub completed_at: Option<Timestamp>,
}

/// The queue of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// How many jobs are worked on at once.
    pub slots: u32,
    /// How many are now.
    pub busy: u64,
    /// Runs with jobs that wait, in the order in which they are given the next slots.
    pub waiting: Vec<QueuedView>,
}

/// A run with jobs that wait for a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedView {
    pub run: RunId,
    /// How many of its jobs wait.
    pub jobs: u64,
    /// How many slots it has.
    pub busy: u64,
}

impl QueueView {
    /// Shows a queue.
    pub fn new(queue: &Queue) -> Self {
        let waits = |line: &&Line| line.waiting() > 0;
        let view = |line: &Line| QueuedView {
            run: line.wish.run,
            jobs: line.waiting(),
            busy: line.busy(),
        };
        let waiting = queue.lines.iter().filter(waits).map(view).collect();
        Self { slots: queue.slots, busy: queue.busy(), waiting }
    }

    /// What a job of the run waits for that could begin, for people.
    pub fn why(&self, run: RunId) -> String {
        let before = self.waiting.iter().position(|queued| queued.run == run).unwrap_or_default();
        let all = format!("for a slot: {} of {} are taken", self.busy, self.slots);
        match before {
            0 => all,
            1 => format!("{all}, and another run comes first"),
            more => format!("{all}, and {more} other runs come first"),
        }
    }
}

impl RunView {
    /// Shows a run; nothing before it is planned.
    pub fn new(run: &Run) -> Option<Self> {
        let request = run.request.as_ref()?;
        let status = match run.phase {
            run::Phase::New => return None,
            run::Phase::Running if run.waits_for().is_some() => "waiting",
            run::Phase::Running => "running",
            run::Phase::Cancelling => "cancelling",
            run::Phase::Finished(ending) => ending.as_str(),
        };
        Some(Self {
            id: request.run,
            tenant_id: request.tenant.clone(),
            repo: request.repo.clone(),
            name: request.plan.name.clone(),
            number: request.number,
            commit: request.commit.clone(),
            ref_name: request.ref_name.clone(),
            actor: request.actor.clone(),
            event: request.event.clone(),
            depth: request.setting.depth,
            why: run.waits_for().or_else(|| run.why.clone()),
            status: status.to_owned(),
            jobs: run.views(),
            started_at: run.started,
            completed_at: run.ended,
        })
    }
}

impl DeploymentView {
    /// Shows a deployment of `slot`.
    pub fn new(slot: &Slot, deployment: &Deployment) -> Self {
        let request = &deployment.request;
        let reason = deployment.reason.as_ref();
        Self {
            id: request.id,
            tenant_id: request.slot.tenant.clone(),
            repo: request.slot.repo.clone(),
            service: request.slot.service.clone(),
            environment: request.slot.environment.clone(),
            number: deployment.number,
            version: request.version.clone(),
            commit: request.commit.clone(),
            artifact: request.artifact,
            status: deployment.status(),
            strategy: request.strategy.name().to_owned(),
            trigger: request.trigger.clone(),
            requested_by: request.requested_by.clone(),
            authors: request.authors.clone(),
            gates: deployment.gates.iter().map(GateView::new).collect(),
            step: (deployment.step + 1).min(deployment.stages.len()),
            steps: deployment.stages.len(),
            doing: doing(deployment),
            weight: slot.weight(deployment.revision),
            revision: deployment.revision,
            from: deployment.from,
            reason: reason.map(ToString::to_string),
            evidence: reason.cloned(),
            issue: deployment.issue.clone(),
            created_at: deployment.created_at,
            started_at: deployment.started_at,
            completed_at: deployment.finished_at,
            changes: request.changes.clone(),
        }
    }
}

fn doing(deployment: &Deployment) -> String {
    let step = |deployment: &Deployment| match deployment.stage() {
        Some(Stage::Move { weight, .. }) => format!("weight {weight}"),
        Some(Stage::Hold { duration: Some(duration) }) => {
            format!("pause {}", grit_types::format_duration(*duration))
        }
        Some(Stage::Hold { duration: None }) => "pause until promoted".to_owned(),
        Some(Stage::Measure(_)) => "analysis".to_owned(),
        None => String::new(),
    };
    match &deployment.phase {
        Phase::Gated => "waiting for gates".to_owned(),
        Phase::Queued => "waiting for the slot".to_owned(),
        Phase::Moving(Act::Sealing(_)) => "giving up the way back".to_owned(),
        Phase::Moving(_) | Phase::Holding { .. } | Phase::Measuring => step(deployment),
        Phase::Soaking { .. } => "watching at full weight".to_owned(),
        Phase::RollingBack { .. } => "back to stable".to_owned(),
        Phase::Ended(_) => String::new(),
    }
}

impl GateView {
    fn new(state: &GateState) -> Self {
        let gate = match &state.gate {
            Gate::Checks(jobs) => format!("checks {}", jobs.join(", ")),
            Gate::After(environment) => format!("after {environment}"),
            Gate::Needs(services) => {
                let names: Vec<&str> = services.iter().map(Service::as_str).collect();
                format!("needs {}", names.join(", "))
            }
            Gate::Approval(approval) => {
                let roles: Vec<&str> = approval.roles.iter().map(|role| role.as_str()).collect();
                format!("approval {} of {}", approval.min, roles.join(", "))
            }
        };
        Self {
            gate,
            passed: state.passed.clone(),
            approvals: state.approvals.clone(),
            needs_person: matches!(state.gate, Gate::Approval(_)) && state.passed.is_none(),
        }
    }
}

impl SlotView {
    /// Shows a slot; nothing where nothing was ever requested.
    pub fn new(slot: &Slot) -> Option<Self> {
        let id = slot.id.as_ref()?;
        let deployment = slot.active().or_else(|| slot.deployments.values().next_back());
        Some(Self {
            tenant_id: id.tenant.clone(),
            repo: id.repo.clone(),
            service: id.service.clone(),
            environment: id.environment.clone(),
            host: id.host(),
            stable: slot.stable.and_then(|stable| revision(slot, stable)),
            revisions: slot.revisions.keys().filter_map(|key| revision(slot, *key)).collect(),
            instances: instances(slot),
            deployment: deployment.map(|deployment| DeploymentView::new(slot, deployment)),
        })
    }
}

fn revision(slot: &Slot, number: Revision) -> Option<RevisionView> {
    let record = slot.revisions.get(&number)?;
    Some(RevisionView {
        revision: number,
        version: record.version.clone(),
        commit: record.commit.clone(),
        artifact: record.artifact,
        weight: slot.weight(number),
        stable: slot.stable == Some(number),
        ready: record.ready().count(),
        succeeded: record.succeeded,
    })
}

fn instances(slot: &Slot) -> Vec<InstanceView> {
    let mut views = Vec::new();
    for (revision, record) in &slot.revisions {
        views.extend(record.instances.iter().map(|instance| InstanceView {
            id: instance.id,
            revision: *revision,
            version: record.version.clone(),
            state: instance.state,
            address: instance.address.clone(),
            restarts: instance.restarts,
            since: instance.since,
            reason: instance.reason.clone(),
        }));
    }
    views
}
