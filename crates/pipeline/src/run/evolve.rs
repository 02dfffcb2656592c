use std::sync::Arc;

use grit_types::JobId;

use super::Request;
use super::event::{Cell, Event};
use super::state::{Ending, Group, GroupPhase, JobPhase, JobRun, Phase, Run, StepRun};
use crate::plan::JobKey;

pub(super) fn evolve(mut run: Run, event: &Event) -> Run {
    apply(&mut run, event);
    run
}

pub(super) fn apply(run: &mut Run, event: &Event) {
    match event {
        Event::Planned { request, inputs, at } => {
            run.groups = groups(request);
            run.request = Some(request.clone());
            run.inputs = Arc::new(inputs.clone());
            run.started = *at;
            run.phase = Phase::Running;
        }
        Event::JobExpanded { key, cells, fail_fast, max_parallel, notes } => {
            let Some(index) = run.group_of(key) else { return };
            let first = run.jobs.len();
            run.jobs.extend(cells.iter().map(|cell| Arc::new(queued(cell, index))));
            let group = Arc::make_mut(&mut run.groups[index]);
            group.phase = GroupPhase::Expanded;
            group.jobs = (first..first + cells.len()).collect();
            group.fail_fast = *fail_fast;
            group.max_parallel = *max_parallel;
            group.notes.clone_from(notes);
        }
        Event::JobSkipped { key, ending, why } => {
            let Some(index) = run.group_of(key) else { return };
            Arc::make_mut(&mut run.groups[index]).why = Some(why.clone());
            close_group(run, index, *ending);
        }
        Event::CancelRequested { .. } => run.phase = Phase::Cancelling,
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
        | Event::JobCancelling { .. }
        | Event::JobInterrupted { .. }
        | Event::JobFinished { .. } => job_event(run, event),
    }
}

fn groups(request: &Request) -> Vec<Arc<Group>> {
    let plan = &request.plan;
    let keys = match request.only.jobs.as_slice() {
        [] => plan.jobs.keys().cloned().collect(),
        wanted => plan.closure(wanted),
    };
    let places: std::collections::HashMap<_, usize> =
        keys.iter().enumerate().map(|(index, key)| (key, index)).collect();
    let group = |key: &JobKey| {
        let needs = plan.jobs.get(key).map(|job| job.needs.as_slice()).unwrap_or_default();
        Arc::new(Group {
            key: key.clone(),
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
    keys.iter().map(group).collect()
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
        env: Default::default(),
        path: Vec::new(),
        prepared: None,
        started: None,
        ended: None,
        why: None,
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
            *job = JobRun { id: *next, attempt, ..queued(&job.cell, job.group) };
        }
        Event::JobFinished { job: id, ending, tolerated, outputs, why, at } => {
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Finished { ending: *ending, tolerated: *tolerated };
            job.ended = Some(*at);
            job.why.clone_from(why);
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
        Event::StepStarted { job: id, spec, at } => {
            let step_id = step_id(run, *id, spec.index);
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Running(spec.index);
            job.steps.push(StepRun {
                id: step_id,
                title: spec.title.clone(),
                ending: None,
                conclusion: None,
                outputs: Default::default(),
                started: *at,
                ended: None,
                note: String::new(),
            });
        }
        Event::StepFinished { job: id, index, outcome, ending, conclusion, at } => {
            let Some(job) = job(run, *id) else { return };
            job.phase = JobPhase::Ready;
            job.env.extend(outcome.env.clone());
            let newer = outcome.path.iter().rev().cloned();
            job.path = newer.chain(job.path.drain(..)).collect();
            note_status(job, *conclusion);
            let Some(step) = job.steps.get_mut(*index as usize) else { return };
            step.ending = Some(*ending);
            step.conclusion = Some(*conclusion);
            step.outputs.clone_from(&outcome.outputs);
            step.ended = Some(*at);
        }
        Event::StepSettled { job: id, index, title, ending, conclusion, note, at } => {
            let step_id = step_id(run, *id, *index);
            let Some(job) = job(run, *id) else { return };
            note_status(job, *conclusion);
            job.steps.push(StepRun {
                id: step_id,
                title: title.clone(),
                ending: Some(*ending),
                conclusion: Some(*conclusion),
                outputs: Default::default(),
                started: *at,
                ended: Some(*at),
                note: note.clone(),
            });
        }
        _ => {}
    }
}

fn job(run: &mut Run, id: JobId) -> Option<&mut JobRun> {
    let index = run.index_of(id)?;
    Some(Arc::make_mut(&mut run.jobs[index]))
}

fn step_id(run: &Run, id: JobId, index: u32) -> Option<JobKey> {
    let job = run.job(id)?;
    run.planned(&run.groups[job.group])?.steps.get(index as usize)?.id.clone()
}

fn note_status(job: &mut JobRun, conclusion: Ending) {
    job.status = match (job.status, conclusion) {
        (Ending::Cancelled, _) | (_, Ending::Cancelled) => Ending::Cancelled,
        (Ending::Failure, _) | (_, Ending::Failure) => Ending::Failure,
        _ => Ending::Success,
    };
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
