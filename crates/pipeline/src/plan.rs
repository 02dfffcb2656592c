//! The plan of a pipeline: what a workflow file says, whatever its dialect, checked and with its
//! expressions read but not evaluated.
//!
//! A plan is one JSON document; `grit run --plan --json` prints it and events hold it. Maps whose
//! order means something are lists there, because canonical JSON sorts members.

mod action;
mod call;
mod container;
mod data;
mod hold;
mod job;
mod trigger;

use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use crate::expr::Template;

pub use action::{ActionInput, ActionPlan, ActionRuns};
pub use call::{Access, Call, PERMISSION_SCOPES, Permissions};
pub use container::{ContainerKeys, ContainerPlan, ServicesPlan};
pub use data::{Data, DataError};
pub use hold::{Concurrency, ConcurrencyPlan, EnvironmentPlan, EnvironmentSpec, Protection};
pub use job::{Action, Condition, Job, JobKey, JobKeyError, Matrix, Step, Unsupported};
pub use trigger::{Filters, Input, InputKind, Trigger};

/// A plan holds at most this many jobs, before matrices.
pub const JOBS_MAX: usize = 1_000;
/// A job holds at most this many steps.
pub const STEPS_PER_JOB_MAX: usize = 1_000;
/// A matrix has at most this many combinations.
pub const MATRIX_MAX: usize = 256;
/// What a job or a step may take where nothing is written, in minutes.
pub const TIMEOUT_MINUTES_DEFAULT: u32 = 360;

/// Names to texts, in the order they are written. In JSON: a list of pairs.
pub type Texts = IndexMap<String, Template>;

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub dialect: Dialect,
    /// Path from the root of the repository.
    pub file: String,
    /// As people call it; the path where the file gives no name.
    pub name: String,
    pub triggers: Vec<Trigger>,
    #[serde(with = "serde_seq")]
    pub env: Texts,
    pub defaults: Defaults,
    /// In JSON: a list, each with its key.
    #[serde(with = "jobs_as_list")]
    pub jobs: IndexMap<JobKey, Job>,
    /// What jobs may do that do not say it themselves.
    #[serde(default)]
    pub permissions: Option<Permissions>,
    /// Of which group only one run is worked on at a time.
    #[serde(default)]
    pub concurrency: Option<ConcurrencyPlan>,
    /// The workflows that jobs call, under the text that calls them, as far as they were read.
    #[serde(default, with = "serde_seq")]
    pub called: IndexMap<String, Plan>,
}

/// Whose words the file uses, and whose expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    Github,
}

/// What steps have that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    pub shell: Option<Template>,
    pub working_directory: Option<Template>,
}

/// A line and a column, from 1; columns count characters. 0: unknown.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Plan {
    /// The trigger of that event, where the pipeline has one.
    pub fn trigger(&self, event: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.event == event)
    }

    /// `keys` and every job that they need, in the plan's order.
    pub fn closure(&self, keys: &[JobKey]) -> Vec<JobKey> {
        let mut wanted: Vec<&JobKey> = keys.iter().collect();
        let mut at = 0;
        while at < wanted.len() {
            let needs = self.jobs.get(wanted[at]).map(|job| job.needs.as_slice());
            for need in needs.unwrap_or_default() {
                if !wanted.contains(&need) {
                    wanted.push(need);
                }
            }
            at += 1;
        }
        self.jobs.keys().filter(|key| wanted.contains(key)).cloned().collect()
    }

    /// A chain of needs that comes back to its beginning: `a`, `b`, `a`.
    pub fn cycle(&self) -> Option<Vec<JobKey>> {
        let mut clear: Vec<&JobKey> = Vec::new();
        let mut path: Vec<(&JobKey, usize)> = Vec::new();
        for start in self.jobs.keys() {
            path.push((start, 0));
            while let Some((key, next)) = path.pop() {
                if clear.contains(&key) {
                    continue;
                }
                let needs = self.jobs.get(key).map(|job| job.needs.as_slice());
                let Some(need) = needs.unwrap_or_default().get(next) else {
                    clear.push(key);
                    continue;
                };
                path.push((key, next + 1));
                if let Some(from) = path.iter().position(|(above, _)| *above == need) {
                    let chain = path[from..].iter().map(|(key, _)| *key);
                    return Some(chain.chain([need]).cloned().collect());
                }
                path.push((need, 0));
            }
        }
        None
    }
}

/// Plans are shared: by the state of a run, its events and its effects.
pub(crate) mod shared {
    use super::Arc;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        shared: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(shared, serializer)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

mod jobs_as_list {
    use super::{IndexMap, Job, JobKey};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        jobs: &IndexMap<JobKey, Job>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(jobs.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<IndexMap<JobKey, Job>, D::Error> {
        let jobs = Vec::<Job>::deserialize(deserializer)?;
        Ok(jobs.into_iter().map(|job| (job.key.clone(), job)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{job, plan};

    #[test]
    fn a_plan_reads_back_in_its_order() {
        let plan = plan([job("zebra", &[]), job("ant", &["zebra"])]);
        let text = grit_ledger::canonical(&serde_json::to_value(&plan).unwrap());
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn a_cycle_is_named() {
        let key = |text: &str| text.parse::<JobKey>().unwrap();
        let sound = plan([job("a", &[]), job("b", &["a"]), job("c", &["a", "b"])]);
        assert_eq!(sound.cycle(), None);
        let cyclic =
            plan([job("x", &[]), job("a", &["x", "c"]), job("b", &["a"]), job("c", &["b"])]);
        assert_eq!(cyclic.cycle(), Some(vec![key("a"), key("c"), key("b"), key("a")]));
        let own = plan([job("a", &["a"])]);
        assert_eq!(own.cycle(), Some(vec![key("a"), key("a")]));
    }

    #[test]
    fn a_selection_brings_what_it_needs() {
        let plan = plan([job("a", &[]), job("b", &["a"]), job("c", &["b"]), job("d", &["a"])]);
        let keys: Vec<String> =
            plan.closure(&["c".parse().unwrap()]).iter().map(ToString::to_string).collect();
        assert_eq!(keys, ["a", "b", "c"]);
    }
}
