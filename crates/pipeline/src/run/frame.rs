use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::state::{Ending, JobRun, Run};
use crate::StepAction;
use crate::expr::Condition;
use crate::plan::{ActionPlan, Step};

/// Actions use actions at most this deep.
pub(super) const ACTION_DEPTH_MAX: usize = 10;

/// Steps that are gone through one after the other: those of the job, or of an action that one of
/// them uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The step that uses the action, by its place in [`JobRun::steps`]; `None`: the job's own.
    pub owner: Option<u32>,
    pub action: Option<Arc<ActionPlan>>,
    /// How many of its steps, or programs, were begun or settled.
    pub next: usize,
    /// The same, by their places in [`JobRun::steps`].
    pub steps: Vec<u32>,
    pub inputs: BTreeMap<String, String>,
    /// What its steps are given beside the job's variables.
    pub env: BTreeMap<String, String>,
    /// How it goes: success until something fails.
    pub status: Ending,
    /// What comes before its first step, once that was looked for.
    pub ahead: Option<Ahead>,
    /// That was done before it was entered, or nothing of it is.
    pub done_ahead: bool,
}

impl Frame {
    /// The job's own.
    pub(super) fn root() -> Self {
        Self {
            owner: None,
            action: None,
            next: 0,
            steps: Vec::new(),
            inputs: BTreeMap::new(),
            env: BTreeMap::new(),
            status: Ending::Success,
            ahead: None,
            done_ahead: false,
        }
    }
}

/// What is left to do when the steps of a job are over, the last first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Post {
    /// The step that it tidies up after, by its place in [`JobRun::steps`].
    pub owner: u32,
    pub title: String,
    pub condition: Condition,
    pub action: StepAction,
    pub env: BTreeMap<String, String>,
    pub timeout: Duration,
    /// Not done where that step gave this output.
    pub unless: Option<(String, String)>,
}

/// The steps of a frame as they are planned.
pub(super) fn planned<'a>(run: &'a Run, job: &'a JobRun, frame: &'a Frame) -> &'a [Step] {
    match &frame.action {
        Some(action) => action.steps(),
        None => run.planned(&run.groups[job.group]).map(|job| &*job.steps).unwrap_or_default(),
    }
}

/// The step that the frame is at.
pub(super) fn current<'a>(run: &'a Run, job: &'a JobRun, frame: &'a Frame) -> Option<&'a Step> {
    planned(run, job, frame).get(frame.next.checked_sub(1)?)
}
