use std::str::FromStr;

use indexmap::IndexMap;
use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use super::{
    Call, ConcurrencyPlan, ContainerPlan, Data, Defaults, EnvironmentPlan, Permissions, Place,
    ServicesPlan, Texts,
};
use crate::expr::Template;

pub use crate::expr::Condition;

/// What a job or a step is called in its file: a letter or `_`, then letters, digits, `_`, `-`;
/// at most 100.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobKey(String);

/// Text that is no key of a job or a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be an id: a letter or `_`, then letters, digits, `_` or `-`, at most 100 in all"
)]
pub struct JobKeyError(pub String);

impl JobKey {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobKey {
    type Err = JobKeyError;
    fn from_str(text: &str) -> Result<Self, JobKeyError> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
        if text.len() <= 100 && text.starts_with(first) && text.chars().all(rest) {
            return Ok(Self(text.to_owned()));
        }
        Err(JobKeyError(text.to_owned()))
    }
}

impl TryFrom<String> for JobKey {
    type Error = JobKeyError;
    fn try_from(text: String) -> Result<Self, JobKeyError> {
        text.parse()
    }
}

impl From<JobKey> for String {
    fn from(key: JobKey) -> Self {
        key.0
    }
}

impl std::fmt::Display for JobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One job of a plan; a matrix makes several of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub key: JobKey,
    pub name: Option<Template>,
    pub place: Place,
    pub needs: Vec<JobKey>,
    #[serde(rename = "if")]
    pub condition: Condition,
    pub matrix: Option<Matrix>,
    /// `true` where nothing is written.
    pub fail_fast: Option<Template>,
    /// As many as there is room for, where nothing is written.
    pub max_parallel: Option<Template>,
    #[serde(with = "serde_seq")]
    pub env: Texts,
    pub defaults: Defaults,
    /// Labels of the runner that is asked for.
    pub runs_on: Vec<Template>,
    #[serde(with = "serde_seq")]
    pub outputs: Texts,
    pub timeout_minutes: Option<Template>,
    pub continue_on_error: Option<Template>,
    pub steps: Vec<Step>,
    /// What the file asks of the job that Grit does not do yet.
    pub unsupported: Vec<Unsupported>,
    /// The workflow that is called in place of steps.
    #[serde(default)]
    pub call: Option<Call>,
    #[serde(default)]
    pub permissions: Option<Permissions>,
    /// What it deploys to.
    #[serde(default)]
    pub environment: Option<EnvironmentPlan>,
    /// Of which group only one job is worked on at a time.
    #[serde(default)]
    pub concurrency: Option<ConcurrencyPlan>,
    /// What its steps run in; `None`: whatever runs such jobs.
    #[serde(default)]
    pub container: Option<ContainerPlan>,
    /// What runs beside them.
    #[serde(default)]
    pub services: Option<ServicesPlan>,
}

/// Which combinations of values a job runs with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matrix {
    Given {
        /// One job for each combination. In JSON: a list of pairs.
        #[serde(with = "serde_seq")]
        vectors: IndexMap<String, Data>,
        include: Option<Data>,
        exclude: Option<Data>,
    },
    /// All of it is the value of an expression.
    Computed(Template),
}

/// Something a job asks for that Grit does not do yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsupported {
    /// The key in the file: `services`.
    pub key: String,
    pub place: Place,
    /// Whether the job cannot run without it. If it can, people are told.
    pub stops: bool,
}

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: Option<JobKey>,
    pub name: Option<Template>,
    pub place: Place,
    #[serde(rename = "if")]
    pub condition: Condition,
    pub action: Action,
    #[serde(with = "serde_seq")]
    pub env: Texts,
    pub working_directory: Option<Template>,
    pub timeout_minutes: Option<Template>,
    pub continue_on_error: Option<Template>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Run {
        script: Template,
        shell: Option<Template>,
    },
    /// `owner/repo[/path]@ref`, `./path`, `docker://image`.
    Uses {
        uses: String,
        #[serde(with = "serde_seq")]
        with: Texts,
    },
}
