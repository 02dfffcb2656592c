//! What a run needs from whatever executes its steps.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_types::{BoxFuture, CommitId, EffectId, JobId, RefName, Repo, RunId, Tenant};
use serde::{Deserialize, Serialize};

use crate::container::{ActionImage, Containers, PreparedContainers};
use crate::expr::Deferred;
use crate::keep::{DownloadSpec, JobScope, MergeSpec, RustCacheSpec, UploadSpec};
use crate::plan::Permissions;

/// Executes the steps of jobs, each job in a workspace of its own.
///
/// Contract: every call is idempotent under its effect id. A call that was made before, by this
/// process or by one that died, answers what became of it; a step that was under way when the
/// runner died answers [`Conclusion::Interrupted`] and is never silently run a second time.
pub trait Runner: Send + Sync {
    /// Makes the job's workspace, empty, and the containers that it wants; those are up, and those
    /// that say when they are healthy are.
    fn prepare(
        &self,
        effect: &EffectId,
        job: &JobSpec,
    ) -> BoxFuture<'_, Result<Prepared, RunnerError>>;

    /// Runs one step to its end.
    fn run(
        &self,
        effect: &EffectId,
        step: &StepSpec,
    ) -> BoxFuture<'_, Result<StepOutcome, RunnerError>>;

    /// Ends the step that the job is at, with everything it started.
    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>>;

    /// Ends what is left of the job's processes and removes its workspace; the log stays.
    fn clean(&self, effect: &EffectId, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>>;
}

/// What a job is made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    pub job: JobId,
    pub run: RunId,
    pub tenant: Tenant,
    pub repo: Repo,
    pub commit: CommitId,
    pub ref_name: Option<RefName>,
    /// The word of [`crate::seal`] in the texts of its steps; empty: they have no marks.
    #[serde(default)]
    pub seal: String,
    /// The payload of the event, as JSON.
    #[serde(default)]
    pub event: String,
    /// What its token may do.
    #[serde(default)]
    pub permissions: Permissions,
    /// What it deploys to.
    #[serde(default)]
    pub environment: Option<String>,
    /// It runs what somebody from outside proposes: no secret is for it.
    #[serde(default)]
    pub from_outside: bool,
    /// Whose caches it reads and writes.
    #[serde(default)]
    pub scope: JobScope,
    #[serde(default)]
    pub containers: Containers,
}

impl JobSpec {
    /// Where the payload lies in the folder for temporary files.
    pub const EVENT_FILE: &str = "event.json";
}

/// Where a prepared job lives, for the contexts that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Absolute path of the folder that steps start in.
    pub workspace: String,
    /// Absolute path of a folder that is emptied with the job.
    pub temp: String,
    /// `Linux`, `macOS`.
    pub os: String,
    /// `X64`, `ARM64`.
    pub arch: String,
    #[serde(default)]
    pub containers: PreparedContainers,
}

/// One step, every expression in it evaluated, but for what stands as marks of [`crate::seal`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    pub job: JobId,
    pub run: RunId,
    /// Place in the job, from 0.
    pub index: u32,
    /// What people see: `Run cargo test`.
    pub title: String,
    pub action: StepAction,
    /// Set for the step, beside what the runner adds (`GITHUB_ENV` and its like, `PATH`, `HOME`).
    pub env: BTreeMap<String, String>,
    /// Folders put before `PATH`, the first first.
    pub path: Vec<String>,
    /// Relative to the workspace, or absolute.
    pub working_directory: Option<String>,
    pub timeout: Duration,
    /// Asked before anything is done: where it does not hold, the step is
    /// [`Conclusion::Skipped`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Box<Deferred>>,
    #[serde(default, skip_serializing_if = "Late::is_empty")]
    pub late: Late,
}

/// What of a step only its runner can tell: texts with marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Late {
    /// In place of [`StepSpec::timeout`]; see [`crate::run::timeout_of`].
    pub timeout_minutes: Option<String>,
    /// What [`StepOutcome::tolerated`] answers.
    pub continue_on_error: Option<String>,
}

impl Late {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    /// The script is written to a file, and `{0}` in `command` stands for it:
    /// `["bash", "-e", "{0}"]`.
    Script {
        script: String,
        command: Vec<String>,
    },
    /// `actions/checkout`: the commit's files, with a `.git` of their own.
    Checkout {
        reference: Option<String>,
        path: Option<String>,
        fetch_depth: u32,
        #[serde(default)]
        part: CheckoutPart,
    },
    /// A toolchain action: `program` must be on the machine already (`cargo`, `node`).
    Tool {
        program: String,
    },
    /// An action that is not built in: its own file is looked for, and answered in
    /// [`StepOutcome::action`]. `./path`, `owner/repo[/path]@ref`.
    Load {
        uses: String,
    },
    /// Actions of others, and those that their steps use, are looked for before the first step, and
    /// answered in [`StepOutcome::found`]. One that is not found yet is no failure.
    LookAhead {
        uses: Vec<String>,
    },
    /// An action that the runner does itself, by its name in small letters; `post`: what it does
    /// after the last step.
    Known {
        name: String,
        reference: String,
        with: BTreeMap<String, String>,
        #[serde(default)]
        post: bool,
    },
    /// A program of an action, by its absolute path.
    Node {
        program: String,
    },
    /// `actions/cache`: the newest cache of that key, else of the first of `restore_keys` that one
    /// begins with.
    Restore {
        key: String,
        restore_keys: Vec<String>,
        paths: Vec<String>,
        must: bool,
        /// It is only looked for.
        #[serde(default)]
        lookup_only: bool,
    },
    /// A container of its own; it sees the job's workspace. Without an entry point, or without
    /// arguments, the image's own are used.
    Container {
        image: ActionImage,
        entrypoint: Option<String>,
        args: Vec<String>,
    },
    /// Keeps the paths under the key, unless there is a cache of it. A variable [`CACHE_KEY`]
    /// says which key the step that restored it had.
    ///
    /// [`CACHE_KEY`]: crate::keep::CACHE_KEY
    Save {
        key: String,
        paths: Vec<String>,
    },
    Upload(UploadSpec),
    Download(DownloadSpec),
    Merge(MergeSpec),
    RustRestore(RustCacheSpec),
    RustSave(RustCacheSpec),
    /// It cannot be done, and why; of a step that may be skipped.
    Refuse {
        why: String,
    },
    /// Nothing is done but to give these as outputs, once their marks are known.
    Answer {
        texts: BTreeMap<String, String>,
    },
}

/// What of a repository, and of which, a checkout is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckoutPart {
    /// `OWNER/NAME`; nothing: the job's own.
    pub repository: Option<String>,
    /// Patterns of git-sparse-checkout(1); none: everything.
    pub sparse: Vec<String>,
    /// The patterns are folders.
    pub cone: bool,
    pub submodules: Submodules,
}

/// Whether a checkout fills its submodules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submodules {
    #[default]
    None,
    Own,
    Recursive,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOutcome {
    pub conclusion: Conclusion,
    /// What the step wrote to `GITHUB_OUTPUT`.
    pub outputs: BTreeMap<String, String>,
    /// What it wrote to `GITHUB_ENV`.
    pub env: BTreeMap<String, String>,
    /// What it wrote to `GITHUB_PATH`, in order.
    pub path: Vec<String>,
    pub duration: Duration,
    /// What it wrote to `GITHUB_STATE`, for those that tidy up after it.
    #[serde(default)]
    pub state: BTreeMap<String, String>,
    /// What it said about places in files, masked.
    #[serde(default)]
    pub annotations: crate::Annotations,
    /// How long its summary is, in bytes; 0: it wrote none.
    #[serde(default)]
    pub summary_bytes: u64,
    /// Whether [`Late::continue_on_error`] holds: a failure of it counts as success.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tolerated: bool,
    /// What the reports say that it read, masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Box<crate::Measured>>,
    /// What [`StepAction::Load`] found.
    #[serde(default)]
    pub action: Option<Box<crate::plan::ActionPlan>>,
    /// What [`StepAction::LookAhead`] found: the action, if it or one that its steps use has
    /// something to do before the first step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub found: BTreeMap<String, Option<Box<crate::plan::ActionPlan>>>,
}

impl StepOutcome {
    /// It ended so, and gave nothing.
    pub fn of(conclusion: Conclusion) -> Self {
        Self {
            conclusion,
            outputs: BTreeMap::new(),
            env: BTreeMap::new(),
            path: Vec::new(),
            duration: Duration::ZERO,
            state: BTreeMap::new(),
            annotations: crate::Annotations::default(),
            summary_bytes: 0,
            tolerated: false,
            measured: None,
            action: None,
            found: BTreeMap::new(),
        }
    }

    /// It could not be done.
    pub fn unable(why: String) -> Self {
        Self::of(Conclusion::Unable(why))
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// The process's exit status; 0 is success. 128 + n: killed by signal n.
    Exited(i32),
    TimedOut,
    Cancelled,
    /// Its condition does not hold, and nothing was done.
    Skipped,
    /// The runner died while it ran.
    Interrupted,
    /// It could not be started, and why.
    Unable(String),
}

/// The runner could not do it, whatever the step.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct RunnerError {
    /// What was being done, on what: `create workspace of job_…`.
    pub action: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
