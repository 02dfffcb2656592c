use std::collections::BTreeMap;

use grit_types::{JobId, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::{Ending, Group, JobPhase, JobRun, Run, StepRun};
use super::{hold, turn};
use crate::plan::JobKey;
use crate::{Annotations, Covered, TestCounts};

/// A job as pages and tables show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// `None` for a job of the plan that was not expanded.
    pub job: Option<JobId>,
    pub key: JobKey,
    pub name: String,
    /// `waiting`, `queued`, `preparing`, `running`, or what it came to.
    pub state: String,
    pub ending: Option<Ending>,
    pub attempt: u32,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub why: Option<String>,
    /// What the file asks for that is not done.
    pub notes: Vec<String>,
    /// What it deploys to.
    #[serde(default)]
    pub environment: Option<String>,
    /// Where what it deployed is to be seen.
    #[serde(default)]
    pub url: Option<String>,
    /// What it waits for, though its needs are done: an approval, a time, its concurrency group.
    #[serde(default)]
    pub waiting: Option<String>,
    /// A person can open it: how many have to agree yet.
    #[serde(default)]
    pub approvals_missing: u32,
    /// Its combination of the matrix, as texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, String>,
    /// What is to be said of it as a whole.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    pub steps: Vec<StepView>,
}

/// A step as pages and tables show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    pub index: u32,
    pub title: String,
    /// `running`, or what it came to.
    pub state: String,
    pub ending: Option<Ending>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub note: String,
    /// In how many actions it is.
    #[serde(default)]
    pub depth: u32,
    /// What it said about places in files.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// How long its summary is, in bytes; 0: it wrote none.
    #[serde(default)]
    pub summary_bytes: u64,
    /// What the reports of tests come to that it read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Covered>,
}

impl Run {
    /// Every job, in the plan's order, those of a matrix together.
    pub fn views(&self) -> Vec<JobView> {
        let of_group = |group: &std::sync::Arc<Group>| match group.jobs.as_slice() {
            [] if !group.calls.is_empty() => Vec::new(),
            [] => vec![unexpanded(self, group)],
            jobs => jobs.iter().map(|job| view(self, group, &self.jobs[*job])).collect(),
        };
        self.groups.iter().flat_map(of_group).collect()
    }
}

fn unexpanded(run: &Run, group: &Group) -> JobView {
    let prefix = &run.scopes[group.scope].prefix;
    let open = group.ending().is_none();
    let state = group.ending().map_or("waiting", Ending::as_str).to_owned();
    JobView {
        job: None,
        key: group.key.clone(),
        name: format!("{prefix}{}", group.key),
        state,
        ending: group.ending(),
        attempt: 0,
        started: None,
        ended: None,
        why: group.why.clone(),
        notes: group.notes.clone(),
        environment: None,
        url: None,
        waiting: if open { turn::waits_for(run, group.scope) } else { None },
        approvals_missing: 0,
        matrix: BTreeMap::new(),
        annotations: Annotations::default(),
        steps: Vec::new(),
    }
}

fn view(run: &Run, group: &Group, job: &JobRun) -> JobView {
    let waiting = hold::waits_for(run, job);
    let (state, ending) = match job.phase {
        JobPhase::Queued if waiting.is_some() => ("waiting", None),
        JobPhase::Queued => ("queued", None),
        JobPhase::Preparing => ("preparing", None),
        JobPhase::Ready | JobPhase::Running(_) => ("running", None),
        JobPhase::Finished { ending, .. } => (ending.as_str(), Some(ending)),
    };
    JobView {
        job: Some(job.id),
        key: group.key.clone(),
        name: job.cell.name.clone(),
        state: state.to_owned(),
        ending,
        attempt: job.attempt,
        started: job.started,
        ended: job.ended,
        why: job.why.clone(),
        notes: group.notes.clone(),
        environment: job.cell.environment.clone(),
        url: job.url.clone(),
        waiting,
        approvals_missing: if job.phase == JobPhase::Queued { job.hold.missing() } else { 0 },
        matrix: job
            .cell
            .matrix
            .iter()
            .map(|(name, value)| (name.clone(), value.to_text()))
            .collect(),
        annotations: job.annotations.clone(),
        steps: (0..).zip(&job.steps).map(|(index, step)| step_view(index, step)).collect(),
    }
}

fn step_view(index: u32, step: &StepRun) -> StepView {
    StepView {
        index,
        title: step.title.clone(),
        state: step.ending.map_or("running", Ending::as_str).to_owned(),
        ending: step.ending,
        started: step.started,
        ended: step.ended,
        note: step.note.clone(),
        depth: step.depth,
        annotations: step.annotations.clone(),
        summary_bytes: step.summary_bytes,
        tests: step.tests,
        coverage: step.coverage,
    }
}
