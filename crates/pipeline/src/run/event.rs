use std::collections::BTreeMap;
use std::sync::Arc;

use grit_types::{JobId, Principal, Timestamp};
use indexmap::IndexMap;
use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use super::{Ending, Post, Request};
use crate::expr::Value;
use crate::plan::{ActionPlan, Concurrency, JobKey, Protection};
use crate::queue::Wish;
use crate::{Annotations, Prepared, StepOutcome, StepSpec};

/// What happened to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    #[serde(rename = "run.planned")]
    Planned {
        #[serde(with = "crate::plan::shared")]
        request: Arc<Request>,
        /// As their kinds want them, with defaults.
        inputs: BTreeMap<String, Value>,
        at: Timestamp,
    },
    /// Its needs are done, its condition holds: these are the jobs it comes to.
    #[serde(rename = "run.job_expanded")]
    JobExpanded {
        key: JobKey,
        /// Which call of a workflow it is of; 0: none.
        #[serde(default)]
        scope: u32,
        cells: Vec<Cell>,
        fail_fast: bool,
        max_parallel: Option<u32>,
        /// What the file asks for that is not done.
        notes: Vec<String>,
    },
    /// Nothing of it is run.
    #[serde(rename = "run.job_skipped")]
    JobSkipped {
        key: JobKey,
        #[serde(default)]
        scope: u32,
        ending: Ending,
        why: String,
    },
    /// It stands for the jobs of another workflow, once for each combination of its matrix.
    #[serde(rename = "run.called")]
    Called { key: JobKey, scope: u32, calls: Vec<CallCell> },
    /// All of these are over.
    #[serde(rename = "run.call_finished")]
    CallFinished { key: JobKey, scope: u32, ending: Ending, outputs: BTreeMap<String, String> },
    /// It takes a slot.
    #[serde(rename = "run.job_started")]
    JobStarted { job: JobId, attempt: u32, deadline: Timestamp, at: Timestamp },
    /// Its workspace is there; `env` is what its steps have in common.
    #[serde(rename = "run.job_prepared")]
    JobPrepared { job: JobId, prepared: Prepared, env: BTreeMap<String, String> },
    #[serde(rename = "run.step_started")]
    StepStarted {
        job: JobId,
        spec: Box<StepSpec>,
        at: Timestamp,
        /// What is to be done for it after the last step.
        #[serde(default)]
        then: Option<Box<Post>>,
        /// It is itself such.
        #[serde(default)]
        post: bool,
        /// It comes before the frame's first step: for the step at these places, from the job's own
        /// on; empty: it looks for what does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ahead: Option<Vec<u32>>,
    },
    /// The step at `index` uses an action: that one's steps are next.
    #[serde(rename = "run.action_entered")]
    ActionEntered {
        job: JobId,
        index: u32,
        action: Box<ActionPlan>,
        inputs: BTreeMap<String, String>,
        env: BTreeMap<String, String>,
        /// What comes before its main program, or its first step, was done before or is never.
        #[serde(default)]
        done_ahead: bool,
    },
    /// They are over, and so is the step that used the action.
    #[serde(rename = "run.action_left")]
    ActionLeft {
        job: JobId,
        index: u32,
        outputs: BTreeMap<String, String>,
        ending: Ending,
        conclusion: Ending,
        note: String,
        at: Timestamp,
    },
    /// `ending` is what the step came to, `conclusion` the same unless it may fail.
    #[serde(rename = "run.step_finished")]
    StepFinished {
        job: JobId,
        index: u32,
        outcome: Box<StepOutcome>,
        ending: Ending,
        conclusion: Ending,
        at: Timestamp,
    },
    /// It came to this without being started, and why.
    #[serde(rename = "run.step_settled")]
    StepSettled {
        job: JobId,
        index: u32,
        title: String,
        ending: Ending,
        conclusion: Ending,
        note: String,
        at: Timestamp,
        #[serde(default)]
        post: bool,
        /// As in `run.step_started`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ahead: Option<Vec<u32>>,
    },
    /// Its running step is ended; `halt`: and no other is begun.
    #[serde(rename = "run.job_cancelling")]
    JobCancelling { job: JobId, cause: CancelCause, halt: bool, at: Timestamp },
    /// The runner died under it: it is begun anew as `next`.
    #[serde(rename = "run.job_interrupted")]
    JobInterrupted { job: JobId, next: JobId, at: Timestamp },
    /// `tolerated`: it may fail without failing the run.
    #[serde(rename = "run.job_finished")]
    JobFinished {
        job: JobId,
        ending: Ending,
        tolerated: bool,
        outputs: BTreeMap<String, String>,
        why: Option<String>,
        at: Timestamp,
        /// Where what it deployed is to be seen.
        #[serde(default)]
        url: Option<String>,
        /// What is to be said of it as a whole.
        #[serde(default, skip_serializing_if = "Annotations::is_empty")]
        annotations: Annotations,
    },
    /// Nothing of it is left on the machine, or so far as `problem` says.
    #[serde(rename = "run.job_cleaned")]
    JobCleaned { job: JobId, problem: Option<String> },
    #[serde(rename = "run.cancel_requested")]
    CancelRequested { reason: String, by: Principal, force: bool, at: Timestamp },
    /// The run, or a job of it, asks its concurrency group.
    #[serde(rename = "run.claimed")]
    Claimed { job: Option<JobId>, group: Concurrency },
    /// And it is its turn.
    #[serde(rename = "run.granted")]
    Granted { job: Option<JobId> },
    /// A workflow that is called asks its concurrency group, under that number.
    #[serde(rename = "run.call_claimed")]
    CallClaimed { call: u32, group: Concurrency },
    /// And it is its turn.
    #[serde(rename = "run.call_granted")]
    CallGranted { call: u32 },
    /// Nothing more of it is begun.
    #[serde(rename = "run.call_dropped")]
    CallDropped { scope: u32, cause: CancelCause },
    /// Its environment keeps it back.
    #[serde(rename = "run.job_held")]
    JobHeld { job: JobId, protection: Box<Protection>, until: Option<Timestamp> },
    #[serde(rename = "run.job_reviewed")]
    JobReviewed { job: JobId, by: Principal, approved: bool, comment: String, at: Timestamp },
    /// It has waited as long as its environment wants.
    #[serde(rename = "run.job_waited")]
    JobWaited { job: JobId },
    /// What it wants of the machine's slots now.
    #[serde(rename = "run.slots_wanted")]
    SlotsWanted { wish: Wish },
    /// It was given so many, all in all.
    #[serde(rename = "run.slots_given")]
    SlotsGiven { total: u64 },
    #[serde(rename = "run.finished")]
    Finished { ending: Ending, at: Timestamp },
}

/// One combination of a matrix; a job without one has one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub job: JobId,
    pub name: String,
    /// Empty without a matrix. In JSON: a list of pairs.
    #[serde(with = "serde_seq")]
    pub matrix: IndexMap<String, Value>,
    /// Place among `total`, from 0.
    pub index: u32,
    pub total: u32,
    /// The runner that is asked for.
    pub runs_on: Vec<String>,
    /// What it deploys to.
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub concurrency: Option<Concurrency>,
}

/// One call of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallCell {
    pub name: String,
    pub inputs: BTreeMap<String, Value>,
    /// Marks of [`crate::seal`].
    pub secrets: BTreeMap<String, String>,
    /// That of the job that calls, and that of the workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concurrency: Vec<Concurrency>,
}

/// Why a job is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// Somebody cancelled the run.
    Requested,
    /// Another combination of its matrix failed.
    FailFast,
    /// It took longer than `timeout-minutes`.
    TimedOut,
    /// It waited for its concurrency group, and a newer one took its place.
    Replaced,
    /// A newer one of its concurrency group wants it to end.
    Superseded,
    /// As many wait for its concurrency group as may.
    Full,
}

impl CancelCause {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Requested => "the run was cancelled",
            Self::FailFast => "another job of its matrix failed",
            Self::TimedOut => "it took longer than its timeout",
            Self::Replaced => "a newer one of its concurrency group took its place",
            Self::Superseded => "a newer one of its concurrency group ended it",
            Self::Full => "as many wait for its concurrency group as may",
        }
    }
}
