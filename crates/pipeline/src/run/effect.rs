use std::time::Duration;

use grit_types::{CommitId, JobId, RefName, Repo, RunId, Tenant, Timestamp};
use serde::{Deserialize, Serialize};

use super::containers;
use super::context::Names;
use super::{Ending, Event, Run};
use super::{allow, hold, turn};
use crate::concurrency::Holder;
use crate::plan::{Concurrency, JobKey};
use crate::queue::Wish;
use crate::{JobSpec, StepSpec};

/// How long the steps of a cancelled job that still want to be done may take.
const GRACE: Duration = Duration::from_secs(300);

/// What must be done; see [`crate::Runner`] for how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Answer with [`super::Outcome::Prepared`].
    PrepareJob(Box<JobSpec>),
    /// Answer with [`super::Outcome::StepDone`].
    StartStep(Box<StepSpec>),
    /// Answer with [`super::Outcome::Done`]; the step that ends answers for itself.
    CancelJob { job: JobId },
    /// Answer with [`super::Outcome::Cleaned`].
    CleanJob { job: JobId },
    /// Answer with [`super::Outcome::Woke`] then.
    WakeAt { at: Timestamp, timer: Timer },
    /// Ask the concurrency group; answer with [`super::Outcome::Done`], and the group tells by
    /// itself.
    Claim { tenant: Tenant, repo: Repo, group: Concurrency, holder: Holder },
    /// Give the turn back; answer with [`super::Outcome::Done`].
    Release { tenant: Tenant, repo: Repo, group: String, holder: Holder },
    /// Tell the queue of the machine; answer with [`super::Outcome::Done`], and the queue tells by
    /// itself.
    WantSlots(Wish),
    /// The run leaves the queue; answer with [`super::Outcome::Done`].
    LeaveQueue { run: RunId },
    /// Tell the repository that the run is over; answer with [`super::Outcome::Done`].
    Conclude(Box<Concluded>),
}

/// What a wake-up is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// The job has had its time.
    Timeout { job: JobId },
    /// The cancelled job has had time to tidy up.
    Grace { job: JobId },
    /// It has waited as long as its environment wants.
    Wait { job: JobId },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concluded {
    pub run: RunId,
    pub tenant: Tenant,
    pub repo: Repo,
    pub commit: CommitId,
    pub ref_name: Option<RefName>,
    /// The pipeline's name.
    pub pipeline: String,
    pub number: u64,
    pub ending: Ending,
    /// What each job of the plan came to, in its order.
    pub jobs: Vec<JobEnding>,
    /// It is not what its commit is built by.
    #[serde(default)]
    pub aside: bool,
    /// The run that it takes the place of.
    #[serde(default)]
    pub rerun_of: Option<RunId>,
    pub started: Timestamp,
    pub ended: Timestamp,
}

/// What a job of the plan came to, all its combinations together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEnding {
    pub key: JobKey,
    pub ending: Ending,
}

pub(super) fn effects(run: &Run, event: &Event) -> Vec<Effect> {
    let mut effects = own_effects(run, event);
    let released = hold::released(run, event).into_iter().chain(turn::released(run, event));
    let Some(request) = run.request.as_ref() else { return effects };
    effects.extend(released.map(|(group, holder)| Effect::Release {
        tenant: request.tenant.clone(),
        repo: request.repo.clone(),
        group: group.group,
        holder,
    }));
    effects
}

fn own_effects(run: &Run, event: &Event) -> Vec<Effect> {
    match event {
        Event::Claimed { job, group } => {
            let job = job.and_then(|job| run.job(job)).map(|job| job.cell.job);
            claim(run, job, None, group)
        }
        Event::CallClaimed { call, group } => claim(run, None, Some(*call), group),
        Event::JobHeld { job, until: Some(at), .. } => {
            vec![Effect::WakeAt { at: *at, timer: Timer::Wait { job: *job } }]
        }
        Event::JobStarted { job, deadline, .. } => {
            let timer = Timer::Timeout { job: *job };
            let mut effects = vec![Effect::WakeAt { at: *deadline, timer }];
            effects.extend(job_spec(run, *job).map(Box::new).map(Effect::PrepareJob));
            effects
        }
        Event::StepStarted { spec, .. } => vec![Effect::StartStep(spec.clone())],
        Event::JobCancelling { job, halt, at, .. } => {
            let mut effects = vec![Effect::CancelJob { job: *job }];
            if !halt {
                let (at, timer) = (at.after(GRACE), Timer::Grace { job: *job });
                effects.push(Effect::WakeAt { at, timer });
            }
            effects
        }
        Event::JobFinished { job, .. } if run.left_over.contains(job) => {
            vec![Effect::CleanJob { job: *job }]
        }
        Event::JobInterrupted { job, .. } => vec![Effect::CleanJob { job: *job }],
        Event::SlotsWanted { wish } => vec![Effect::WantSlots(*wish)],
        Event::Finished { ending, at } => {
            let request = run.request.as_ref().filter(|_| run.slots.number > 0);
            let left = request.map(|request| Effect::LeaveQueue { run: request.run });
            let told = concluded(run, *ending, *at).map(|c| Effect::Conclude(Box::new(c)));
            told.into_iter().chain(left).collect()
        }
        Event::Planned { .. }
        | Event::Granted { .. }
        | Event::SlotsGiven { .. }
        | Event::CallGranted { .. }
        | Event::CallDropped { .. }
        | Event::JobHeld { .. }
        | Event::JobReviewed { .. }
        | Event::JobWaited { .. }
        | Event::Called { .. }
        | Event::CallFinished { .. }
        | Event::ActionEntered { .. }
        | Event::ActionLeft { .. }
        | Event::JobExpanded { .. }
        | Event::JobSkipped { .. }
        | Event::JobPrepared { .. }
        | Event::StepFinished { .. }
        | Event::StepSettled { .. }
        | Event::JobFinished { .. }
        | Event::JobCleaned { .. }
        | Event::CancelRequested { .. } => Vec::new(),
    }
}

fn claim(run: &Run, job: Option<JobId>, call: Option<u32>, group: &Concurrency) -> Vec<Effect> {
    let claim = |request: &std::sync::Arc<super::Request>| Effect::Claim {
        tenant: request.tenant.clone(),
        repo: request.repo.clone(),
        group: group.clone(),
        holder: Holder { run: request.run, job, call },
    };
    run.request.as_ref().map(claim).into_iter().collect()
}

fn job_spec(run: &Run, job: JobId) -> Option<JobSpec> {
    let request = run.request.as_ref()?;
    let planned = run.job(job)?;
    // A job whose containers cannot be said was not started.
    let containers = containers::wanted(run, request, planned).unwrap_or_default();
    Some(JobSpec {
        permissions: allow::permissions(run, request, &run.groups[planned.group]),
        environment: planned.cell.environment.clone(),
        from_outside: allow::is_from_outside(request),
        job,
        run: request.run,
        tenant: request.tenant.clone(),
        repo: request.repo.clone(),
        commit: request.commit.clone(),
        ref_name: request.ref_name.clone(),
        seal: request.seal.clone(),
        event: Names::event(request).to_json(),
        scope: super::scope::job_scope(request),
        containers,
    })
}

fn concluded(run: &Run, ending: Ending, ended: Timestamp) -> Option<Concluded> {
    let request = run.request.as_ref()?;
    let job_ending = |group: &super::Group| {
        let ending = group.ending().unwrap_or(Ending::Skipped);
        JobEnding { key: group.key.clone(), ending }
    };
    let own = run.groups.iter().filter(|group| group.scope == 0);
    Some(Concluded {
        run: request.run,
        tenant: request.tenant.clone(),
        repo: request.repo.clone(),
        commit: request.commit.clone(),
        ref_name: request.ref_name.clone(),
        pipeline: request.plan.name.clone(),
        number: request.number,
        ending,
        jobs: own.map(|group| job_ending(group)).collect(),
        aside: request.setting.aside,
        rerun_of: request.setting.rerun_of,
        started: run.started,
        ended,
    })
}
