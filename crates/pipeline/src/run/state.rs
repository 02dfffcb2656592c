use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grit_types::{JobId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{CancelCause, Cell, Frame, Hold, Post, Request, Slots, Turn};
use crate::expr::Value;
use crate::plan::{Concurrency, Job, JobKey, Permissions, Plan};
use crate::{Annotations, Covered, Prepared, TestCounts};

/// A run, folded from its stream. Copies share what does not change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Set by the first event.
    pub request: Option<Arc<Request>>,
    pub phase: Phase,
    /// The plan, and each call of another.
    pub scopes: Vec<Arc<Scope>>,
    /// The jobs of the plan that are wanted, in its order; then those of workflows that are called.
    pub groups: Vec<Arc<Group>>,
    /// What they came to, in the order of their expansion.
    pub jobs: Vec<Arc<JobRun>>,
    /// Jobs, earlier attempts too, that may have something on the machine.
    pub left_over: BTreeSet<JobId>,
    /// The concurrency group that it asked.
    pub claim: Option<Concurrency>,
    /// And it is its turn.
    pub granted: bool,
    /// Of the machine's.
    pub slots: Slots,
    /// Why it was cancelled.
    pub why: Option<String>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not planned.
    #[default]
    New,
    Running,
    /// Somebody cancelled it, and something still runs.
    Cancelling,
    Finished(Ending),
}

/// How a step, a job or a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Ending {
    /// GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A plan that is run: that of the request, or one that a job of another calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    pub plan: Arc<Plan>,
    pub inputs: BTreeMap<String, Value>,
    /// What `secrets` gives: marks of [`crate::seal`].
    pub secrets: BTreeMap<String, String>,
    /// Before the names of its jobs: `call / `.
    pub prefix: String,
    /// What its jobs may do at most, where something calls it.
    pub allowed: Option<Permissions>,
    /// Its concurrency groups, one after the other.
    pub turns: Vec<Turn>,
    /// Why nothing more of it is begun.
    pub dropped: Option<CancelCause>,
    /// Indexes into [`Run::groups`].
    pub groups: std::ops::Range<usize>,
}

/// A job of a plan, with all its combinations.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub key: JobKey,
    /// Index into [`Run::scopes`]; 0: of the plan that was asked for.
    pub scope: usize,
    /// The calls that it came to, if it calls a workflow: indexes into [`Run::scopes`].
    pub calls: Vec<usize>,
    /// Indexes into [`Run::groups`].
    pub needs: Vec<usize>,
    pub phase: GroupPhase,
    /// Indexes into [`Run::jobs`].
    pub jobs: Vec<usize>,
    pub fail_fast: bool,
    pub max_parallel: Option<u32>,
    pub outputs: BTreeMap<String, String>,
    pub notes: Vec<String>,
    /// Why it was not run.
    pub why: Option<String>,
    /// It and everything it needs, directly or not, succeeded.
    pub all_good: bool,
    /// It or something that it needs, directly or not, failed.
    pub any_failed: bool,
}

/// Where a job of the plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPhase {
    /// For what it needs.
    Waiting,
    Expanded,
    Done(Ending),
}

impl Group {
    /// What all of it came to.
    pub fn ending(&self) -> Option<Ending> {
        match self.phase {
            GroupPhase::Done(ending) => Some(ending),
            GroupPhase::Waiting | GroupPhase::Expanded => None,
        }
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRun {
    /// Another one for each attempt.
    pub id: JobId,
    /// Index into [`Run::groups`].
    pub group: usize,
    pub cell: Arc<Cell>,
    /// From 1.
    pub attempt: u32,
    pub phase: JobPhase,
    /// How it goes: success until something fails.
    pub status: Ending,
    pub cancelled: Option<CancelCause>,
    /// No further step is begun.
    pub halted: bool,
    /// Those that were started or settled, in order.
    pub steps: Vec<StepRun>,
    /// Its own steps, and those of the actions that it is in, the innermost last.
    pub frames: Vec<Frame>,
    /// What was done before steps for what they use: places of steps, from the job's own on, and
    /// its place in `steps`.
    pub pres: Vec<(Vec<u32>, u32)>,
    /// What is to be done after its steps, the last first.
    pub posts: Vec<Post>,
    /// What its steps have in common, and what steps wrote to `GITHUB_ENV` since.
    pub env: BTreeMap<String, String>,
    /// What steps wrote to `GITHUB_PATH`, the newest first.
    pub path: Vec<String>,
    pub prepared: Option<Prepared>,
    /// What keeps it back.
    pub hold: Hold,
    /// Where what it deployed is to be seen.
    pub url: Option<String>,
    /// What is to be said of it as a whole.
    pub annotations: Annotations,
    /// The step whose outputs are the answers to [`crate::StepAction::Answer`].
    pub answers: Option<u32>,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub why: Option<String>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPhase {
    /// For a slot.
    Queued,
    /// Its workspace is being made.
    Preparing,
    /// Between two steps.
    Ready,
    /// At the step of that index.
    Running(u32),
    Finished {
        ending: Ending,
        tolerated: bool,
    },
}

impl JobPhase {
    /// Whether it has a slot.
    pub fn is_busy(self) -> bool {
        matches!(self, Self::Preparing | Self::Ready | Self::Running(_))
    }

    /// Whether it is over.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Finished { .. })
    }
}

/// A step that was started or settled.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRun {
    pub id: Option<JobKey>,
    pub title: String,
    /// What it came to; `None` while it runs.
    pub ending: Option<Ending>,
    /// The same, unless it may fail.
    pub conclusion: Option<Ending>,
    pub outputs: BTreeMap<String, String>,
    /// What it left for those that tidy up after it.
    pub state: BTreeMap<String, String>,
    /// The program of the same action that came before it, and knows its state as well.
    pub shares: Option<u32>,
    /// In how many actions it is.
    pub depth: u32,
    /// As far as the job has room for them.
    pub annotations: Annotations,
    /// How long its summary is, in bytes.
    pub summary_bytes: u64,
    /// What the reports of tests come to that it read.
    pub tests: Option<TestCounts>,
    pub coverage: Option<Covered>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub note: String,
}

impl Run {
    /// The job of that id, in its current attempt.
    pub fn job(&self, id: JobId) -> Option<&JobRun> {
        self.index_of(id).map(|index| &*self.jobs[index])
    }

    pub(super) fn index_of(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.id == id)
    }

    pub(super) fn group_of(&self, scope: u32, key: &JobKey) -> Option<usize> {
        let scope = scope as usize;
        self.groups.iter().position(|group| group.scope == scope && group.key == *key)
    }

    /// The plan that the job is of.
    pub fn plan_of(&self, group: &Group) -> Option<&Plan> {
        self.scopes.get(group.scope).map(|scope| &*scope.plan)
    }

    /// What its plan says of a job.
    pub fn planned(&self, group: &Group) -> Option<&Job> {
        self.plan_of(group)?.jobs.get(&group.key)
    }

    /// Whether somebody else may be in its concurrency groups.
    pub(super) fn is_grouped(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.setting.grouped)
    }

    pub(super) fn is_cancelling(&self) -> bool {
        self.phase == Phase::Cancelling
    }

    /// What keeps all of it back, for people.
    pub fn waits_for(&self) -> Option<String> {
        let group = self.claim.as_ref().filter(|_| !self.granted && self.phase == Phase::Running);
        group.map(|own| format!("for its turn in the concurrency group {}", own.group))
    }

    /// Whether it is over.
    pub fn ending(&self) -> Option<Ending> {
        match self.phase {
            Phase::Finished(ending) => Some(ending),
            Phase::New | Phase::Running | Phase::Cancelling => None,
        }
    }
}
