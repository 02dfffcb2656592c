//! What comes before the first step of a job: the actions of others that its steps use are looked
//! for, and those that have something to do ahead do it, in the order of the steps.
//!
//! As the service has it: whether their own step is run does not count; of an action in the
//! workspace, which is not there yet, nothing comes ahead, but what its steps use does, before
//! the first of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use grit_types::Timestamp;

use super::action::{self, Stage};
use super::context::Names;
use super::decide::begin;
use super::frame::{self, ACTION_DEPTH_MAX, Frame, Post};
use super::state::{Ending, JobRun, Run};
use super::step::{self, Next};
use super::{Event, Request};
use crate::builtin::is_elsewhere;
use crate::expr::Answer;
use crate::plan::{Action, ActionPlan, Step};
use crate::{Late, StepAction, StepSpec};

/// So many programs of actions come before one frame's first step.
const PRES_MAX: usize = 1_000;

/// What is known of the actions that the steps of a frame use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ahead {
    /// By what `uses` says: the action, if it or one of its steps has something to do ahead.
    pub found: BTreeMap<String, Option<Arc<ActionPlan>>>,
    /// How many of those were begun or settled.
    pub next: usize,
}

/// A program that comes ahead.
struct Pre {
    /// Places of steps: in the job, in the action that it uses, and so on.
    path: Vec<u32>,
    /// Those actions, from the frame's on; the last is the one whose program it is.
    chain: Vec<Arc<ActionPlan>>,
}

/// What happens before the first step of the innermost frame; `None`: nothing does any more.
pub(super) fn turn(run: &Run, request: &Request, job: &JobRun, at: Timestamp) -> Option<Event> {
    let frame = job.frames.last().filter(|frame| frame.next == 0 && !frame.done_ahead)?;
    let steps = frame::planned(run, job, frame);
    let Some(ahead) = &frame.ahead else {
        let uses = elsewhere(steps);
        return (!uses.is_empty()).then(|| look(run, request, job, uses, at));
    };
    let mut all = Vec::new();
    let mut pre = Pre { path: above(job), chain: Vec::new() };
    walk(steps, ahead, &mut pre, &mut all);
    let pre = all.into_iter().nth(ahead.next)?;
    let next = program(run, request, job, &pre);
    let index = step::place(job);
    let next = next.unwrap_or_else(|note| {
        let title = pre.chain.last().map(|action| format!("Pre {}", action.name));
        let (ending, conclusion) = (Ending::Failure, Ending::Failure);
        Next::Settle { index, title: title.unwrap_or_default(), ending, conclusion, note }
    });
    Some(begin(job, next, false, Some(pre.path), at))
}

/// The actions of others, each once.
fn elsewhere(steps: &[Step]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for step in steps {
        if let Action::Uses { uses, .. } = &step.action
            && is_elsewhere(uses)
            && !all.contains(uses)
        {
            all.push(uses.clone());
        }
    }
    all
}

fn look(run: &Run, request: &Request, job: &JobRun, uses: Vec<String>, at: Timestamp) -> Event {
    let shared = step::shared_env(job);
    let names = Names::of_job(run, request, job).with_env(&shared);
    let spec = StepSpec {
        job: job.id,
        run: request.run,
        index: step::place(job),
        title: "Set up job".to_owned(),
        action: StepAction::LookAhead { uses },
        env: step::environment(request, None, &names, shared.clone()),
        path: job.path.clone(),
        working_directory: None,
        timeout: step::TIMEOUT_DEFAULT,
        condition: None,
        late: Late::default(),
    };
    begin(job, Next::Start(Box::new(spec), None), false, Some(Vec::new()), at)
}

fn walk(steps: &[Step], ahead: &Ahead, at: &mut Pre, all: &mut Vec<Pre>) {
    for (place, step) in (0..).zip(steps) {
        let Action::Uses { uses, .. } = &step.action else { continue };
        let Some(Some(action)) = ahead.found.get(uses) else { continue };
        if all.len() >= PRES_MAX || at.chain.len() > ACTION_DEPTH_MAX {
            return;
        }
        at.path.push(place);
        at.chain.push(action.clone());
        if action::has_pre(action) {
            all.push(Pre { path: at.path.clone(), chain: at.chain.clone() });
        }
        walk(action.steps(), ahead, at, all);
        at.path.pop();
        at.chain.pop();
    }
}

/// The places of the steps that the frames below the innermost are at.
fn above(job: &JobRun) -> Vec<u32> {
    let frames = job.frames.iter().take(job.frames.len().saturating_sub(1));
    frames.map(|frame| u32::try_from(frame.next.saturating_sub(1)).unwrap_or(u32::MAX)).collect()
}

/// The program, as if the job were at the step that uses its action.
fn program(run: &Run, request: &Request, job: &JobRun, pre: &Pre) -> Result<Next, String> {
    let (mut seen, mut title) = (job.clone(), String::new());
    let mut timeout = step::TIMEOUT_DEFAULT;
    for (place, action) in pre.path.iter().skip(above(job).len()).zip(&pre.chain) {
        let Some(top) = seen.frames.last_mut() else { return Err("no step uses it".to_owned()) };
        top.next = *place as usize + 1;
        let shared = step::shared_env(&seen);
        let names = Names::of_job(run, request, &seen).with_env(&shared);
        let used = seen.frames.last().and_then(|top| frame::current(run, &seen, top));
        let used = used.ok_or("no step uses it")?;
        title = step::title(used, &names.sealing());
        timeout = step::timeout(used.timeout_minutes.as_ref(), &names)?;
        let (inputs, env) = step::entered(run, request, &seen, action)?;
        let action = Some(action.clone());
        seen.frames.push(Frame { owner: None, action, inputs, env, ..Frame::root() });
    }
    let (Some(frame), Some(action)) = (seen.frames.last(), pre.chain.last()) else {
        return Err("no step uses it".to_owned());
    };
    let (index, title) = (step::place(job), crate::seal::shown(&title, &request.seal));
    let shared = step::shared_env(&seen);
    let names = Names::of_job(run, request, &seen).with_env(&shared);
    let of_job = Names::of_job(run, request, job).with_env(&shared);
    let condition = match action::pre_if(action).ask(&of_job.sealing()) {
        Ok(Answer::Yes) => None,
        Ok(Answer::Later(deferred)) => Some(Box::new(deferred)),
        Ok(Answer::No) => return Ok(skipped(index, format!("Pre {title}"))),
        Err(error) => return Err(format!("pre-if: {error}")),
    };
    let done = action::stage(action, frame, Stage::Pre, &names)?;
    let own = action::env(action, &names)?;
    let mut env = frame.env.clone();
    env.extend(own.clone());
    let post = action::post_if(action).map(|condition| {
        let (title, condition) = (format!("Post {}", action.name), condition.clone());
        let action = action::stage(action, frame, Stage::Post, &names)?;
        let post = Post { owner: index, title, condition, action, env, timeout, unless: None };
        Ok::<_, String>(Box::new(post))
    });
    let mut set = shared.clone();
    set.extend(own);
    let spec = StepSpec {
        job: job.id,
        run: request.run,
        index,
        title: format!("Pre {title}"),
        action: done,
        env: step::environment(request, None, &names, set),
        path: job.path.clone(),
        working_directory: None,
        timeout,
        condition,
        late: Late::default(),
    };
    super::bounded(&spec, "what it is given")?;
    Ok(Next::Start(Box::new(spec), post.transpose()?))
}

fn skipped(index: u32, title: String) -> Next {
    let (ending, conclusion) = (Ending::Skipped, Ending::Skipped);
    Next::Settle { index, title, ending, conclusion, note: String::new() }
}

/// Whether what the action has to do before its main program was done before, or is never.
pub(super) fn is_done(run: &Run, job: &JobRun, action: &ActionPlan) -> bool {
    let step = job.frames.last().and_then(|top| frame::current(run, job, top));
    let Some(Action::Uses { uses, .. }) = step.map(|step| &step.action) else { return false };
    if !is_elsewhere(uses) {
        return action.steps().is_empty();
    }
    for frame in job.frames.iter().rev() {
        match &frame.ahead {
            Some(ahead) => return ahead.found.contains_key(uses),
            None if frame.done_ahead => {}
            None => return false,
        }
    }
    false
}

/// What came ahead of the program of the innermost frame, by its place in [`JobRun::steps`].
pub(super) fn of_program(job: &JobRun) -> Option<u32> {
    let path = above(job);
    job.pres.iter().find(|(of, _)| *of == path).map(|(_, index)| *index)
}

/// The step of the innermost frame that the program at `index` came ahead of.
pub(super) fn owner<'a>(run: &'a Run, job: &'a JobRun, index: u32) -> Option<&'a Step> {
    let (path, _) = job.pres.iter().find(|(_, of)| *of == index)?;
    let frame = job.frames.last()?;
    let place = path.get(job.frames.len().checked_sub(1)?)?;
    frame::planned(run, job, frame).get(*place as usize)
}
