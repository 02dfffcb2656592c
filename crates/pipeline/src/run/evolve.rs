use std::collections::BTreeMap;
use std::sync::Arc;

use grit_types::{JobId, Timestamp};

use super::Request;
use super::event::{CallCell, Cell, Event};
use super::frame::{self, Frame};
use super::slots;
use super::state::{Ending, Group, GroupPhase, JobPhase, JobRun, Phase, Run, Scope, StepRun};
use super::turn::{self, Turn};
use super::{ahead, allow};
use crate::expr::Value;
use crate::plan::{ActionPlan, JobKey};
use crate::{Conclusion, JOB_MAX, StepAction, StepOutcome};

pub(super) fn evolve(mut run: Run, event: &Event) -> Run {
    apply(&mut run, event);
    run
}

pub(super) fn apply(run: &mut Run, event: &Event) {
    match event {
        Event::Planned { request, inputs, at } => planned(run, request, inputs, *at),
        Event::JobExpanded { key, scope, cells, fail_fast, max_parallel, notes } => {
            let Some(index) = run.group_of(*scope, key) else { return };
            let first = run.jobs.len();
            run.jobs.extend(cells.iter().map(|cell| Arc::new(queued(cell, index))));
            let group = Arc::make_mut(&mut run.groups[index]);
            group.phase = GroupPhase::Expanded;
            group.jobs = (first..first + cells.len()).collect();
            group.fail_fast = *fail_fast;
            group.max_parallel = *max_parallel;
            group.notes.clone_from(notes);
        }
        Event::Called { key, scope, calls } => called(run, *scope, key, calls),
        Event::CallFinished { key, scope, ending, outputs } => {
            let Some(index) = run.group_of(*scope, key) else { return };
            Arc::make_mut(&mut run.groups[index]).outputs.clone_from(outputs);
            close_group(run, index, *ending);
        }
        Event::JobSkipped { key, scope, ending, why } => {
            let Some(index) = run.group_of(*scope, key) else { return };
            Arc::make_mut(&mut run.groups[index]).why = Some(why.clone());
            close_group(run, index, *ending);
        }
        Event::CancelRequested { reason, .. } => {
            run.phase = Phase::Cancelling;
            run.why.get_or_insert_with(|| reason.clone());
        }
        Event::Claimed { job: None, group } => run.claim = Some(group.clone()),
        Event::Granted { job: None } => run.granted = true,
        Event::Claimed { job: Some(_), .. }
        | Event::Granted { job: Some(_) }
        | Event::JobHeld { .. }
        | Event::JobReviewed { .. }
        | Event::JobWaited { .. } => hold_event(run, event),
        Event::CallClaimed { .. } | Event::CallGranted { .. } | Event::CallDropped { .. } => {
            turn::apply(run, event);
        }
        Event::SlotsWanted { .. } | Event::SlotsGiven { .. } => {
            slots::apply(&mut run.slots, event);
        }
        Event::Finished { ending, at } => {
            run.phase = Phase::Finished(*ending);
            run.ended = Some(*at);
        }
        Event::JobCleaned { job, .. } => {
            run.left_over.remove(job);
        }
        Event::JobStarted { .. }
        | Event::JobPrepared { .. }
        | Event::StepStarted { .. }
        | Event::StepFinished { .. }
        | Event::StepSettled { .. }
        | Event::ActionEntered { .. }
        | Event::ActionLeft { .. }
        | Event::JobCancelling { .. }
        | Event::JobInterrupted { .. }
        | Event::JobFinished { .. } => job_event(run, event),
    }
}

fn planned(run: &mut Run, request: &Arc<Request>, inputs: &BTreeMap<String, Value>, at: Timestamp) {
    run.request = Some(request.clone());
    let keys = match request.only.jobs.as_slice() {
        [] => request.plan.jobs.keys().cloned().collect(),
        wanted => request.plan.closure(wanted),
    };
    open_scope(
        run,
        &keys,
        Scope {
            plan: Arc::new(request.plan.clone()),
            inputs: inputs.clone(),
            secrets: allow::secrets(request),
            prefix: String::new(),
            allowed: None,
            turns: Vec::new(),
            dropped: None,
            groups: 0..0,
        },
    );
    run.started = at;
    run.phase = Phase::Running;
    for (key, outputs) in &request.setting.done {
        let Some(index) = run.group_of(0, key) else { continue };
        Arc::make_mut(&mut run.groups[index]).outputs.clone_from(outputs);
        close_group(run, index, Ending::Success);
    }
}

/// A job stands for the jobs of another workflow.
fn called(run: &mut Run, scope: u32, key: &JobKey, calls: &[CallCell]) {
    let Some(index) = run.group_of(scope, key) else { return };
    let of = &run.scopes[run.groups[index].scope];
    let uses = of.plan.jobs.get(key).and_then(|job| job.call.as_ref()).map(|call| &call.uses);
    let Some(plan) = uses.and_then(|uses| of.plan.called.get(uses)) else { return };
    let (plan, prefix) = (Arc::new(plan.clone()), of.prefix.clone());
    let request = run.request.clone();
    let allowed = request.map(|request| allow::permissions(run, &request, &run.groups[index]));
    let keys: Vec<JobKey> = plan.jobs.keys().cloned().collect();
    for call in calls {
        let scope = run.scopes.len();
        let group = Arc::make_mut(&mut run.groups[index]);
        group.phase = GroupPhase::Expanded;
        group.calls.push(scope);
        open_scope(
            run,
            &keys,
            Scope {
                plan: plan.clone(),
                inputs: call.inputs.clone(),
                secrets: call.secrets.clone(),
                prefix: format!("{prefix}{} / ", call.name),
                allowed: allowed.clone(),
                turns: call.concurrency.iter().map(Turn::new).collect(),
                dropped: None,
                groups: 0..0,
            },
        );
    }
}

fn open_scope(run: &mut Run, keys: &[JobKey], mut scope: Scope) {
    let first = run.groups.len();
    let plan = scope.plan.clone();
    let places: std::collections::HashMap<_, usize> =
        keys.iter().enumerate().map(|(index, key)| (key, first + index)).collect();
    let group = |key: &JobKey| {
        let needs = plan.jobs.get(key).map(|job| job.needs.as_slice()).unwrap_or_default();
        Arc::new(Group {
            key: key.clone(),
            scope: run.scopes.len(),
            calls: Vec::new(),
            needs: needs.iter().filter_map(|need| places.get(need).copied()).collect(),
            phase: GroupPhase::Waiting,
            jobs: Vec::new(),
            fail_fast: true,
            max_parallel: None,
            outputs: Default::default(),
            notes: Vec::new(),
            why: None,
            all_good: false,
            any_failed: false,
        })
    };
    let groups: Vec<Arc<Group>> = keys.iter().map(group).collect();
    scope.groups = first..first + groups.len();
    run.groups.extend(groups);
    run.scopes.push(Arc::new(scope));
}

fn queued(cell: &Cell, group: usize) -> JobRun {
    JobRun {
        id: cell.job,
        group,
        cell: Arc::new(cell.clone()),
        attempt: 1,
        phase: JobPhase::Queued,
        status: Ending::Success,
        cancelled: None,
        halted: false,
        steps: Vec::new(),
        frames: vec![Frame::root()],
        pres: Vec::new(),
        posts: Vec::new(),
        env: Default::default(),
        path: Vec::new(),
        prepared: None,
        hold: Default::default(),
        url: None,
        annotations: Default::default(),
        answers: None,
        started: None,
        ended: None,
        why: None,
    }
}

fn hold_event(run: &mut Run, event: &Event) {
    match event {
        Event::Claimed { job: Some(id), .. } => {
            let Some(job) = job(run, *id) else { return };
            job.hold.claimed = true;
        }
        Event::Granted { job: Some(id) } => {
            let Some(job) = job(run, *id) else { return };
            job.hold.granted = true;
        }
        Event::JobHeld { job: id, protection, until } => {
            let Some(job) = job(run, *id) else { return };
            job.hold.protection = Some((**protection).clone());
            job.hold.until = *until;
        }
        Event::JobReviewed { job: id, by, approved: true, .. } => {
            let Some(job) = job(run, *id) else { return };
            job.hold.approvals.insert(by.clone());
        }
        Event::JobWaited { job: id } => {
            let Some(job) = job(run, *id) else { return };
            job.hold.until = None;
        }
        _ => {}
    }
}

fn close_group(run: &mut Run, index: usize, ending: Ending) {
    let needs = &run.groups[index].needs;
    let above_good = needs.iter().all(|need| run.groups[*need].all_good);
    let above_failed = needs.iter().any(|need| run.groups[*need].any_failed);
    let group = Arc::make_mut(&mut run.groups[index]);
    group.phase = GroupPhase::Done(ending);
    group.all_good = above_good && ending == Ending::Success;
    group.any_failed = above_failed || ending == Ending::Failure;
}

fn job_event(run: &mut Run, event: &Event) {
    match event {
        Event::JobStarted { job: id, attempt, at, .. } => {
            run.left_over.insert(*id);
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Preparing;
            job.attempt = *attempt;
            job.started = Some(*at);
        }
        Event::JobPrepared { job: id, prepared, env } => {
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Ready;
            job.prepared = Some(prepared.clone());
            job.env.clone_from(env);
        }
        Event::JobCancelling { job: id, cause, halt, .. } => {
            let Some(job) = job(run, *id) else { return };
            job.status = Ending::Cancelled;
            job.cancelled.get_or_insert(*cause);
            job.halted |= halt;
        }
        Event::JobInterrupted { job: id, next, .. } => {
            let Some(job) = job(run, *id) else { return };
            let attempt = job.attempt + 1;
            let hold = job.hold.clone();
            *job = JobRun { id: *next, attempt, hold, ..queued(&job.cell, job.group) };
        }
        Event::JobFinished { job: id, ending, tolerated, outputs, why, at, url, annotations } => {
            if run.job(*id).is_some_and(|job| job.phase.is_busy()) {
                slots::give_back(run);
            }
            let Some(job) = job(run, *id) else { return };
            job.url.clone_from(url);
            job.annotations.clone_from(annotations);
            job.phase = JobPhase::Finished { ending: *ending, tolerated: *tolerated };
            job.ended = Some(*at);
            job.why.clone_from(why);
            // Actions that were cut short.
            for step in job.steps.iter_mut().filter(|step| step.ending.is_none()) {
                (step.ending, step.ended) = (Some(Ending::Cancelled), Some(*at));
                step.conclusion = step.ending;
            }
            let index = job.group;
            let group = Arc::make_mut(&mut run.groups[index]);
            let given = outputs.iter().filter(|(_, value)| !value.is_empty());
            group.outputs.extend(given.map(|(name, value)| (name.clone(), value.clone())));
            if let Some(ending) = together(run, index) {
                close_group(run, index, ending);
            }
        }
        _ => step_event(run, event),
    }
}

fn step_event(run: &mut Run, event: &Event) {
    match event {
        Event::StepStarted { job: id, spec, at, then, post, ahead } => {
            let step = begun(run, *id, spec.title.clone(), *at, *post || ahead.is_some());
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Running(spec.index);
            if matches!(spec.action, StepAction::Answer { .. }) {
                job.answers = Some(spec.index);
            }
            match ahead {
                Some(path) => add_ahead(job, step, path, true),
                None => add_step(job, step, *post),
            }
            job.posts.extend(then.as_deref().cloned());
        }
        Event::StepFinished { job: id, index, outcome, ending, conclusion, at } => {
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Ready;
            if *ending == Ending::Skipped {
                // There is nothing to tidy up.
                job.posts.retain(|post| post.owner != *index);
            }
            job.env.extend(outcome.env.clone());
            let newer = outcome.path.iter().rev().cloned();
            job.path = newer.chain(job.path.drain(..)).collect();
            note_status(job, *conclusion);
            let said: usize = job.steps.iter().map(|step| step.annotations.kept.len()).sum();
            let Some(step) = job.steps.get_mut(*index as usize) else { return };
            step.annotations = outcome.annotations.clone().limited(JOB_MAX.saturating_sub(said));
            step.summary_bytes = outcome.summary_bytes;
            if let Some(measured) = &outcome.measured {
                step.tests = measured.tests.as_ref().map(|tests| tests.counts);
                step.coverage = measured.coverage;
            }
            if let Conclusion::Unable(why) = &outcome.conclusion {
                step.note.clone_from(why);
            }
            step.ending = Some(*ending);
            step.conclusion = Some(*conclusion);
            step.outputs.clone_from(&outcome.outputs);
            step.state.clone_from(&outcome.state);
            step.ended = Some(*at);
            let shares = step.shares;
            if let Some(first) = shares.and_then(|first| job.steps.get_mut(first as usize)) {
                first.state.extend(outcome.state.clone());
            }
            found_ahead(job, outcome);
        }
        Event::StepSettled {
            job: id, title, ending, conclusion, note, at, post, ahead, ..
        } => {
            let mut step = begun(run, *id, title.clone(), *at, *post || ahead.is_some());
            step.ending = Some(*ending);
            step.conclusion = Some(*conclusion);
            step.ended = Some(*at);
            step.note.clone_from(note);
            let Some(job) = job(run, *id) else { return };
            match ahead {
                Some(path) => add_ahead(job, step, path, false),
                None => add_step(job, step, *post),
            }
            note_status(job, *conclusion);
        }
        _ => action_event(run, event),
    }
}

fn action_event(run: &mut Run, event: &Event) {
    match event {
        Event::ActionEntered { job: id, index, action, inputs, env, done_ahead } => {
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Ready;
            job.frames.push(Frame {
                owner: Some(*index),
                action: Some(Arc::new((**action).clone())),
                inputs: inputs.clone(),
                env: env.clone(),
                done_ahead: *done_ahead,
                ..Frame::root()
            });
        }
        Event::ActionLeft { job: id, index, outputs, ending, conclusion, note, at } => {
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Ready;
            job.frames.pop();
            note_status(job, *conclusion);
            let Some(step) = job.steps.get_mut(*index as usize) else { return };
            step.ending = Some(*ending);
            step.conclusion = Some(*conclusion);
            step.outputs.clone_from(outputs);
            step.ended = Some(*at);
            step.note.clone_from(note);
        }
        _ => {}
    }
}

/// A step that is begun, the next of the innermost frame unless it comes before or after all of its
/// job.
fn begun(run: &Run, id: JobId, title: String, at: Timestamp, aside: bool) -> StepRun {
    let job = run.job(id);
    let frame = job.and_then(|job| job.frames.last()).filter(|_| !aside);
    let is_program = frame.and_then(|frame| frame.action.as_ref());
    let is_program = is_program.is_some_and(|action| action.steps().is_empty());
    let planned =
        job.zip(frame).and_then(|(job, frame)| frame::planned(run, job, frame).get(frame.next));
    StepRun {
        id: planned.and_then(|step| step.id.clone()),
        title,
        ending: None,
        conclusion: None,
        outputs: Default::default(),
        state: Default::default(),
        shares: job.filter(|_| is_program).and_then(ahead::of_program),
        depth: job.map_or(0, |job| u32::try_from(job.frames.len() - 1).unwrap_or(0)),
        annotations: Default::default(),
        summary_bytes: 0,
        tests: None,
        coverage: None,
        started: at,
        ended: None,
        note: String::new(),
    }
}

fn add_step(job: &mut JobRun, step: StepRun, post: bool) {
    let index = u32::try_from(job.steps.len()).unwrap_or(u32::MAX);
    job.steps.push(step);
    if post {
        job.posts.pop();
    } else if let Some(frame) = job.frames.last_mut() {
        frame.next += 1;
        frame.steps.push(index);
    }
}

/// Something before the first step of the innermost frame.
fn add_ahead(job: &mut JobRun, step: StepRun, path: &[u32], is_begun: bool) {
    let index = u32::try_from(job.steps.len()).unwrap_or(u32::MAX);
    job.steps.push(step);
    let Some(frame) = job.frames.last_mut() else { return };
    let ahead = frame.ahead.get_or_insert_default();
    if path.is_empty() {
        return;
    }
    ahead.next += 1;
    if is_begun {
        job.pres.push((path.to_vec(), index));
    }
}

fn found_ahead(job: &mut JobRun, outcome: &StepOutcome) {
    let Some(ahead) = job.frames.last_mut().and_then(|frame| frame.ahead.as_mut()) else { return };
    let shared = |action: &Option<Box<ActionPlan>>| action.as_deref().cloned().map(Arc::new);
    let found = outcome.found.iter().map(|(uses, action)| (uses.clone(), shared(action)));
    ahead.found.extend(found);
}

fn job(run: &mut Run, id: JobId) -> Option<&mut JobRun> {
    let index = run.index_of(id)?;
    Some(Arc::make_mut(&mut run.jobs[index]))
}

/// Of the innermost frame; the job's own status is that of its own frame.
fn note_status(job: &mut JobRun, conclusion: Ending) {
    let together = |status, conclusion| match (status, conclusion) {
        (Ending::Cancelled, _) | (_, Ending::Cancelled) => Ending::Cancelled,
        (Ending::Failure, _) | (_, Ending::Failure) => Ending::Failure,
        _ => Ending::Success,
    };
    if let [_, .., inner] = job.frames.as_mut_slice() {
        inner.status = together(inner.status, conclusion);
    } else {
        job.status = together(job.status, conclusion);
    }
}

/// What a group's jobs came to, once all of them are over.
fn together(run: &Run, index: usize) -> Option<Ending> {
    let mut endings = Vec::new();
    for job in &run.groups[index].jobs {
        match run.jobs[*job].phase {
            JobPhase::Finished { tolerated: true, ending: Ending::Failure } => {
                endings.push(Ending::Success);
            }
            JobPhase::Finished { ending, .. } => endings.push(ending),
            JobPhase::Queued | JobPhase::Preparing | JobPhase::Ready | JobPhase::Running(_) => {
                return None;
            }
        }
    }
    let worst_first = [Ending::Failure, Ending::Cancelled, Ending::Success];
    Some(worst_first.into_iter().find(|e| endings.contains(e)).unwrap_or(Ending::Skipped))
}
