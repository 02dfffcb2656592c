use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grit_types::{CommitId, JobId, Principal, RefName, Repo, Role, RunId, Tenant};
use serde::{Deserialize, Serialize};

use super::Timer;
use crate::concurrency::Word;
use crate::expr::Value;
use crate::plan::{EnvironmentSpec, JobKey, Permissions, Plan};
use crate::runners::RunnerRule;
use crate::schedule::Past;
use crate::{Prepared, StepOutcome};

/// A request is never larger than this, as JSON: it is one event, and events are bounded.
pub const REQUEST_BYTES_MAX: usize = 3 << 20;

/// What can be asked of a run, and what comes back from what it asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The first.
    Plan(Arc<Request>),
    /// Ends what is running. Steps that ask for it (`always()`, `cancelled()`) are still done,
    /// unless it is forced.
    Cancel {
        reason: String,
        force: bool,
    },
    Outcome(Outcome),
    /// What its concurrency group says to the run, or to one of its jobs.
    Group {
        /// By its first attempt's id; `None`: to the run.
        job: Option<JobId>,
        /// To a workflow that is called, by the number of its claim.
        call: Option<u32>,
        word: Word,
    },
    /// The queue of the machine gave the run so many slots, all in all.
    Slots {
        total: u64,
    },
    /// Somebody answers for a job that waits for an approval.
    Review {
        job: JobId,
        approved: bool,
        /// What the one who answers may be.
        roles: Vec<Role>,
        comment: String,
    },
}

/// A run that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub run: RunId,
    pub tenant: Tenant,
    pub repo: Repo,
    /// Counts the runs of the pipeline, from 1.
    pub number: u64,
    pub plan: Plan,
    /// `push`, `workflow_dispatch`.
    pub event: String,
    pub commit: CommitId,
    pub ref_name: Option<RefName>,
    pub actor: Principal,
    /// As they were typed.
    pub inputs: BTreeMap<String, String>,
    /// What `github.event` is.
    pub payload: Value,
    /// What `vars` is.
    pub vars: BTreeMap<String, String>,
    /// Set for every step: `GRIT_SERVER`, `GRIT_REGISTRY`. No secrets: events hold it.
    pub env: BTreeMap<String, String>,
    /// How many jobs are worked on at once, where no queue says it; 0 counts as 1.
    pub slots: u32,
    pub only: Selection,
    /// The runner's system: `Linux`, `macOS`.
    pub os: String,
    pub foreign: Foreign,
    /// Labels that this runner serves, whatever system they name.
    #[serde(default)]
    pub serves: Vec<String>,
    /// What serves which label, where the repository says so.
    #[serde(default)]
    pub runners: Vec<RunnerRule>,
    /// The names of the secrets that there are; their values never come here.
    #[serde(default)]
    pub secrets: BTreeSet<String>,
    /// The word of [`crate::seal`], known to nobody but the runner; empty: nothing is sealed.
    #[serde(default)]
    pub seal: String,
    #[serde(default)]
    pub setting: Setting,
}

/// What surrounds a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// What jobs may deploy to, under the names that are known; others have nothing of their own.
    pub environments: BTreeMap<String, EnvironmentSpec>,
    /// What jobs may do whose file does not say it; `None`: [`Permissions::by_default`].
    pub permissions: Option<Permissions>,
    /// Concurrency groups are asked for; else nobody else could be in them.
    pub grouped: bool,
    /// Jobs take the slots of the machine, which all runs share; else the run has its own.
    pub queued: bool,
    /// How often the run was begun before, as another run.
    pub reruns: u32,
    /// What jobs of these names came to before: it says which of the ready ones start first.
    pub past: BTreeMap<String, Past>,
    /// Jobs that count as done, with what they gave.
    pub done: BTreeMap<JobKey, BTreeMap<String, String>>,
    /// It is not what its commit is built by: nothing is deployed for it.
    pub aside: bool,
    /// The run that it takes the place of.
    pub rerun_of: Option<RunId>,
    /// Through how many runs of workflows it was started, one after the other.
    pub depth: u32,
}

impl Setting {
    /// What is known of the environment of that name, in any case.
    pub fn environment(&self, name: &str) -> Option<&EnvironmentSpec> {
        let named = self.environments.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, spec)| spec)
    }
}

/// Which part of a plan is run. Empty: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// These jobs and what they need.
    pub jobs: Vec<JobKey>,
    /// Of each matrix that has the name, only combinations with the value.
    pub matrix: BTreeMap<String, String>,
    /// Scripts of a job before its step of that place, from 0, count as done. What it `uses` is done
    /// all the same: what follows needs the checkout and the tools.
    #[serde(default)]
    pub from: BTreeMap<JobKey, usize>,
}

impl Selection {
    /// Whether the script at that place of the job counts as done.
    pub fn passes_over(&self, job: &JobKey, place: usize) -> bool {
        self.from.get(job).is_some_and(|from| place < *from)
    }
}

/// What becomes of a job that asks for another system than the runner's (`windows-latest`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreign {
    /// It fails, and says why.
    #[default]
    Refuse,
    /// It is skipped, and says why.
    Skip,
    /// It runs all the same.
    Run,
}

/// What an effect came to. Each names what it belongs to, so that a late one is known as late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Prepared {
        job: JobId,
        result: Result<Prepared, String>,
    },
    StepDone {
        job: JobId,
        index: u32,
        outcome: StepOutcome,
    },
    Cleaned {
        job: JobId,
        result: Result<(), String>,
    },
    Woke(Timer),
    /// What only had to be done.
    Done,
}

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the run is planned already")]
    Planned,
    #[error("there is no such run")]
    NotPlanned,
    #[error("the run is over")]
    Finished,
    #[error("job {0} does not wait for its concurrency group")]
    NotClaimed(JobId),
    #[error("call {0} does not wait for its concurrency group")]
    CallNotClaimed(u32),
    #[error("job {0} does not wait for an approval")]
    NoApproval(JobId),
    #[error("an approval for `{environment}` takes the role {wanted}")]
    Role { environment: String, wanted: String },
    #[error("whoever started the run cannot approve it")]
    OwnRun,
    #[error("the pipeline has no jobs")]
    NoJobs,
    #[error("the plan and what goes with it have {bytes} bytes, more than {REQUEST_BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("the pipeline has no job `{key}`; it has {there}")]
    NoSuchJob { key: JobKey, there: String },
    #[error("job `{job}` needs `{need}`, which is not there")]
    NoSuchNeed { job: JobKey, need: JobKey },
    #[error("jobs need each other in a circle: {0}")]
    Cycle(String),
    #[error("the pipeline has no input `{name}`")]
    UnknownInput { name: String },
    #[error("input `{name}` is required")]
    MissingInput { name: String },
    #[error("input `{name}` is `{value}`, and must be {wanted}")]
    WrongInput { name: String, value: String, wanted: String },
}
