//! What keeps a job back when its needs are done: its concurrency group and its environment's
//! protection. As on the service a job that waits for people has its place in its group: it holds
//! the group, or is replaced in it.

use std::collections::BTreeSet;

use grit_types::{JobId, Principal, Role, Timestamp};
use indexmap::IndexSet;

use super::context::Names;
use super::decide::Draft;
use super::state::{Ending, GroupPhase, JobPhase, JobRun, Phase, Run};
use super::{CancelCause, Event, Refusal, Request};
use crate::concurrency::{Holder, Word};
use crate::expr::Lookup;
use crate::plan::{Concurrency, ConcurrencyPlan, Protection};
use crate::trigger;

/// What a job waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hold {
    /// Of its environment; `None`: nothing, or it was decided.
    pub protection: Option<Protection>,
    pub approvals: BTreeSet<Principal>,
    /// Not before this.
    pub until: Option<Timestamp>,
    /// It asked its group.
    pub claimed: bool,
    /// And it is its turn.
    pub granted: bool,
}

impl Hold {
    /// Approvals that are missing.
    pub fn missing(&self) -> u32 {
        let given = u32::try_from(self.approvals.len()).unwrap_or(u32::MAX);
        self.protection.as_ref().map_or(0, |p| p.approvals.saturating_sub(given))
    }

    fn is_open(&self) -> bool {
        self.missing() == 0 && self.until.is_none()
    }
}

/// Whether nothing keeps the job from a slot.
pub(crate) fn is_free(run: &Run, job: &JobRun) -> bool {
    job.hold.is_open() && has_its_turn(run, job)
}

/// Whether nobody else in its concurrency group, if it has one, comes first.
fn has_its_turn(run: &Run, job: &JobRun) -> bool {
    !run.is_grouped() || job.cell.concurrency.is_none() || job.hold.granted
}

/// What it waits for, for people.
pub(super) fn waits_for(run: &Run, job: &JobRun) -> Option<String> {
    if job.phase != JobPhase::Queued || is_free(run, job) {
        return None;
    }
    if let Some(own) = job.cell.concurrency.as_ref().filter(|_| !has_its_turn(run, job)) {
        return Some(format!("for its turn in the concurrency group {}", own.group));
    }
    let environment = job.cell.environment.as_deref().unwrap_or_default();
    Some(match (job.hold.missing(), job.hold.until) {
        (0, None) => return None,
        (0, Some(until)) => format!("for {environment} until {until}"),
        (1, _) => format!("for an approval for {environment}"),
        (missing, _) => format!("for {missing} approvals for {environment}"),
    })
}

/// The group that is named; none where the name is empty.
pub(super) fn concurrency(
    plan: &ConcurrencyPlan,
    names: &dyn Lookup,
) -> Result<Option<Concurrency>, String> {
    let group = plan.group.text(names).map_err(|error| format!("concurrency: {error}"))?;
    let flag = plan.cancel_in_progress.as_ref().map(|template| template.value(names)).transpose();
    let flag = flag.map_err(|error| format!("cancel-in-progress: {error}"))?;
    let cancel_in_progress = match flag {
        None => false,
        Some(value) => value.to_flag().ok_or("`cancel-in-progress` must be true or false")?,
    };
    let queue = plan.queue.as_ref().map(|template| template.text(names)).transpose();
    let queue = queue.map_err(|error| format!("queue: {error}"))?;
    let patient = match queue.as_deref() {
        None | Some("" | "single") => false,
        Some("max") if cancel_in_progress => {
            return Err("`queue: max` and `cancel-in-progress` shut each other out".to_owned());
        }
        Some("max") => true,
        Some(other) => return Err(format!("`queue` is `{other}`, and must be single or max")),
    };
    Ok((!group.is_empty()).then_some(Concurrency { group, cancel_in_progress, patient }))
}

/// A run that was just planned asks its group.
pub(super) fn claim_run(draft: &mut Draft<'_>) -> Result<(), String> {
    let Some(request) = draft.request().filter(|request| request.setting.grouped) else {
        return Ok(());
    };
    let (Some(plan), Some(first)) = (&request.plan.concurrency, draft.run.groups.first()) else {
        return Ok(());
    };
    let first = first.clone();
    let group = concurrency(plan, &Names::of_group(&draft.run, &request, &first))?;
    if let Some(group) = group {
        draft.emit(Event::Claimed { job: None, group });
    }
    Ok(())
}

/// The run does not go on before its turn.
pub(super) fn waits(run: &Run) -> bool {
    run.claim.is_some() && !run.granted
}

/// Jobs that were just expanded are held by the protection of their environment.
pub(super) fn hold(draft: &mut Draft<'_>, group: usize) {
    let Some(request) = draft.request() else { return };
    for index in draft.run.groups[group].jobs.clone() {
        let job = draft.run.jobs[index].clone();
        let Some(name) = job.cell.environment.as_ref() else { continue };
        let Some(spec) = request.setting.environment(name) else { continue };
        let protection = &spec.protection;
        if *protection == Protection::default() || job.phase.is_finished() {
            continue;
        }
        if let Some(why) = elsewhere(&request, protection, name) {
            draft.finish_job(job.id, Ending::Failure, Some(why));
            continue;
        }
        let now = draft.context.now;
        let until = (!protection.wait.is_zero()).then(|| now.after(protection.wait));
        let protection = Box::new(protection.clone());
        draft.emit(Event::JobHeld { job: job.id, protection, until });
    }
}

/// The ref may not deploy there.
fn elsewhere(request: &Request, protection: &Protection, environment: &str) -> Option<String> {
    if protection.refs.is_empty() {
        return None;
    }
    let name = request.ref_name.as_ref().map(|name| name.short().to_owned());
    let shown = name.clone().unwrap_or_else(|| "no ref".to_owned());
    let allowed = name.is_some_and(|name| trigger::included(&protection.refs, &[name]));
    let list = protection.refs.join(", ");
    (!allowed).then(|| format!("{shown} may not deploy to {environment}, only {list}"))
}

/// Jobs that were expanded ask their groups.
pub(super) fn claim_jobs(draft: &mut Draft<'_>) -> bool {
    if !draft.request().is_some_and(|request| request.setting.grouped) {
        return false;
    }
    let wants = |job: &&std::sync::Arc<JobRun>| job.phase == JobPhase::Queued && !job.hold.claimed;
    let jobs = draft.run.jobs.iter().filter(wants);
    let claims: Vec<_> =
        jobs.filter_map(|job| Some((job.id, job.cell.concurrency.clone()?))).collect();
    let any = !claims.is_empty();
    for (job, group) in claims {
        draft.emit(Event::Claimed { job: Some(job), group });
    }
    any
}

/// What the group says. A turn that comes too late is refused, so that the group goes on.
pub(super) fn told(draft: &mut Draft<'_>, first: Option<JobId>, word: Word) -> Result<(), Refusal> {
    let Some(first) = first else { return told_run(draft, word) };
    let index = draft.run.jobs.iter().position(|job| job.cell.job == first);
    let index = index.ok_or(Refusal::NotClaimed(first))?;
    let job = &draft.run.jobs[index];
    if !job.hold.claimed || job.phase.is_finished() {
        return Err(Refusal::NotClaimed(first));
    }
    match word {
        Word::Granted if job.hold.granted => {}
        Word::Granted => {
            let job = Some(job.id);
            draft.emit(Event::Granted { job });
        }
        Word::Replaced | Word::Full if job.hold.granted => {}
        Word::Replaced => draft.cancel_job(index, CancelCause::Replaced, false),
        Word::Full => draft.cancel_job(index, CancelCause::Full, false),
        Word::Superseded => draft.cancel_job(index, CancelCause::Superseded, false),
    }
    super::advance::advance(draft);
    Ok(())
}

fn told_run(draft: &mut Draft<'_>, word: Word) -> Result<(), Refusal> {
    match word {
        Word::Granted if draft.run.granted => {}
        Word::Granted => {
            draft.emit(Event::Granted { job: None });
            super::advance::advance(draft);
        }
        Word::Replaced | Word::Full if draft.run.granted => {}
        Word::Replaced => draft.cancel(CancelCause::Replaced.text(), false),
        Word::Full => draft.cancel(CancelCause::Full.text(), false),
        Word::Superseded => draft.cancel(CancelCause::Superseded.text(), false),
    }
    Ok(())
}

/// A run that was cancelled before its turn: nothing of it is run.
pub(super) fn give_up(draft: &mut Draft<'_>, ending: Ending, why: &str) -> bool {
    let waiting = |group: &&std::sync::Arc<super::Group>| group.phase == GroupPhase::Waiting;
    let open: IndexSet<_> = draft
        .run
        .groups
        .iter()
        .filter(waiting)
        .map(|group| (group.key.clone(), u32::try_from(group.scope).unwrap_or(u32::MAX)))
        .collect();
    let any = !open.is_empty();
    for (key, scope) in open {
        draft.emit(Event::JobSkipped { key, scope, ending, why: why.to_owned() });
    }
    any
}

/// Somebody answers for a job that waits for an approval.
pub(super) fn review(
    draft: &mut Draft<'_>,
    id: JobId,
    approved: bool,
    roles: &[Role],
    comment: &str,
) -> Result<(), Refusal> {
    let request = draft.request().ok_or(Refusal::NotPlanned)?;
    let job = draft.run.job(id).ok_or(Refusal::NoApproval(id))?;
    let environment = job.cell.environment.clone().unwrap_or_default();
    if job.phase != JobPhase::Queued || job.hold.missing() == 0 {
        return Err(Refusal::NoApproval(id));
    }
    let protection = job.hold.protection.clone().unwrap_or_default();
    let (by, at) = (draft.context.actor.principal.clone(), draft.context.now);
    let least = protection.roles.iter().min();
    if let Some(least) = least
        && !roles.iter().any(|role| role >= least)
    {
        return Err(Refusal::Role { environment, wanted: least.to_string() });
    }
    if approved && protection.distinct && by == request.actor {
        return Err(Refusal::OwnRun);
    }
    let comment = comment.to_owned();
    draft.emit(Event::JobReviewed {
        job: id,
        by: by.clone(),
        approved,
        comment: comment.clone(),
        at,
    });
    if !approved {
        let said = if comment.is_empty() { String::new() } else { format!(": {comment}") };
        let why = format!("{by} refused the approval for {environment}{said}");
        draft.finish_job(id, Ending::Failure, Some(why));
    }
    super::advance::advance(draft);
    Ok(())
}

/// Who gives its turn back with this event: what it had, or asked for.
pub(super) fn released(run: &Run, event: &Event) -> Option<(Concurrency, Holder)> {
    let request = run.request.as_ref()?;
    let of_job = |id: &JobId| {
        let job = run.job(*id)?;
        let over = job.phase.is_finished() && !run.left_over.contains(id) && job.hold.claimed;
        let group = job.cell.concurrency.clone().filter(|_| over)?;
        Some((group, Holder { run: request.run, job: Some(job.cell.job), call: None }))
    };
    match event {
        Event::JobFinished { job, .. } | Event::JobCleaned { job, .. } => of_job(job),
        Event::Finished { .. } => {
            Some((run.claim.clone()?, Holder { run: request.run, job: None, call: None }))
        }
        _ => None,
    }
}

/// Before its turn nothing of the run may begin.
pub(super) fn is_cancelled_unbegun(run: &Run) -> bool {
    waits(run) && run.phase == Phase::Cancelling
}
