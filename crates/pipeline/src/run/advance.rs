use grit_types::JobId;

use super::call;
use super::context::Names;
use super::decide::Draft;
use super::expand::{expand, foreign};
use super::state::{Ending, GroupPhase, Phase, Run};
use super::turn::Held;
use super::{Event, Foreign, bounded, containers, hold, slots, step, turn};
use crate::schedule;

/// Takes the run as far as it goes without an outcome: expands what is ready, starts what has
/// room, ends the run when nothing is left.
pub(super) fn advance(draft: &mut Draft<'_>) {
    loop {
        let expanded = expand_ready(draft);
        let returned = finish_calls(draft);
        let claimed = turn::claim(draft) | hold::claim_jobs(draft);
        let started = start_jobs(draft);
        if !expanded && !returned && !claimed && !started {
            break;
        }
    }
    if let Some(ending) = over(&draft.run) {
        let at = draft.context.now;
        draft.emit(Event::Finished { ending, at });
    } else {
        slots::wish(draft);
    }
}

fn expand_ready(draft: &mut Draft<'_>) -> bool {
    let Some(request) = draft.request() else { return false };
    if hold::is_cancelled_unbegun(&draft.run) {
        let why = draft.run.why.clone().unwrap_or_default();
        return hold::give_up(draft, Ending::Cancelled, &why);
    }
    if hold::waits(&draft.run) {
        return false;
    }
    let mut any = false;
    for index in 0..draft.run.groups.len() {
        let group = draft.run.groups[index].clone();
        let done = |need: &usize| draft.run.groups[*need].ending().is_some();
        if group.phase != GroupPhase::Waiting {
            continue;
        }
        match turn::held(&draft.run, group.scope) {
            Held::No => {}
            Held::Waits => continue,
            Held::Dropped(why) => {
                any |= turn::give_up(draft, index, &why);
                continue;
            }
        }
        if !group.needs.iter().all(done) {
            continue;
        }
        any = true;
        let event = expand(&draft.run, &request, &group, draft.context.now);
        draft.emit(event);
        refuse_foreign(draft, index);
        hold::hold(draft, index);
    }
    any
}

fn finish_calls(draft: &mut Draft<'_>) -> bool {
    let Some(request) = draft.request() else { return false };
    let events = call::finished(&draft.run, &request);
    let any = !events.is_empty();
    events.into_iter().for_each(|event| draft.emit(event));
    any
}

/// Jobs for another system do not wait for a runner that never comes.
fn refuse_foreign(draft: &mut Draft<'_>, group: usize) {
    let Some(request) = draft.request() else { return };
    let ending = match request.foreign {
        Foreign::Run => return,
        Foreign::Skip => Ending::Skipped,
        Foreign::Refuse => Ending::Failure,
    };
    for index in draft.run.groups[group].jobs.clone() {
        let job = &draft.run.jobs[index];
        let label = foreign(&job.cell.runs_on, &request).map(str::to_owned);
        if let (Some(label), false) = (label, job.phase.is_finished()) {
            let why = format!("it asks for `{label}`, and this runner is {}", request.os);
            draft.finish_job(job.id, ending, Some(why));
        }
    }
}

fn start_jobs(draft: &mut Draft<'_>) -> bool {
    let startable = schedule::startable(&draft.run);
    let ids: Vec<JobId> = startable.iter().map(|index| draft.run.jobs[*index].id).collect();
    for id in &ids {
        start(draft, *id);
    }
    !ids.is_empty()
}

fn start(draft: &mut Draft<'_>, id: JobId) {
    let (Some(request), Some(job)) = (draft.request(), draft.run.job(id)) else { return };
    if job.phase.is_finished() {
        return;
    }
    let planned = draft.run.planned(&draft.run.groups[job.group]);
    let names = Names::of_job(&draft.run, &request, job);
    let timeout = step::timeout(planned.and_then(|job| job.timeout_minutes.as_ref()), &names);
    let (attempt, at) = (job.attempt, draft.context.now);
    let ready = timeout.and_then(|timeout| {
        let containers = containers::wanted(&draft.run, &request, job)?;
        bounded(&containers, "its containers").map(|()| timeout)
    });
    match ready {
        Ok(timeout) => {
            let deadline = at.after(timeout);
            draft.emit(Event::JobStarted { job: id, attempt, deadline, at });
        }
        Err(why) => draft.finish_job(id, Ending::Failure, Some(why)),
    }
}

/// What the run came to, once every job is over and nothing of any is left.
fn over(run: &Run) -> Option<Ending> {
    if !run.left_over.is_empty() || matches!(run.phase, Phase::New | Phase::Finished(_)) {
        return None;
    }
    let mut seen = [false; 4];
    for group in &run.groups {
        seen[group.ending()? as usize] = true;
    }
    let worst_first = if run.phase == Phase::Cancelling {
        [Ending::Cancelled, Ending::Failure, Ending::Success, Ending::Skipped]
    } else {
        [Ending::Failure, Ending::Cancelled, Ending::Success, Ending::Skipped]
    };
    worst_first.into_iter().find(|ending| seen[*ending as usize])
}
