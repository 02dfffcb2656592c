use std::collections::BTreeMap;
use std::sync::Arc;

use grit_ledger::Context;
use grit_types::{JobId, Principal, Timestamp};

use super::context::Names;
use super::frame::{self, Frame};
use super::state::{Ending, JobPhase, JobRun, Phase, Run};
use super::step::{self, Next};
use super::{
    ATTEMPTS_MAX, CancelCause, Command, Event, Outcome, REQUEST_BYTES_MAX, Refusal, Request, Timer,
};
use super::{advance, ahead, bounded, evolve, hold, inputs, outputs, slots, turn};
use crate::plan::{ActionPlan, JOBS_MAX, Job};
use crate::{Conclusion, Prepared, StepOutcome, seal};

/// No address is longer.
const URL_BYTES_MAX: usize = 2_000;

pub(super) fn decide(
    state: &Run,
    command: &Command,
    context: &Context,
) -> Result<Vec<Event>, Refusal> {
    match (state.phase, command) {
        (Phase::New, Command::Plan(request)) => plan(state, request, context),
        (Phase::New, Command::Cancel { .. }) => Err(Refusal::NotPlanned),
        (Phase::New | Phase::Finished(_), Command::Outcome(_)) => Ok(Vec::new()),
        (Phase::New, Command::Group { .. } | Command::Slots { .. } | Command::Review { .. }) => {
            Err(Refusal::NotPlanned)
        }
        (
            Phase::Finished(_),
            Command::Cancel { .. }
            | Command::Group { .. }
            | Command::Slots { .. }
            | Command::Review { .. },
        ) => Err(Refusal::Finished),
        (Phase::Running | Phase::Cancelling, Command::Slots { total }) => {
            let mut draft = Draft::new(state, context);
            slots::given(&mut draft, *total).map(|()| draft.events)
        }
        (Phase::Running | Phase::Cancelling, Command::Group { job, call, word }) => {
            let mut draft = Draft::new(state, context);
            let told = match call {
                Some(call) => turn::told(&mut draft, *call, *word),
                None => hold::told(&mut draft, *job, *word),
            };
            told.map(|()| draft.events)
        }
        (Phase::Running | Phase::Cancelling, Command::Review { job, approved, roles, comment }) => {
            let mut draft = Draft::new(state, context);
            hold::review(&mut draft, *job, *approved, roles, comment).map(|()| draft.events)
        }
        (Phase::Running | Phase::Cancelling | Phase::Finished(_), Command::Plan(_)) => {
            Err(Refusal::Planned)
        }
        (Phase::Running | Phase::Cancelling, Command::Cancel { reason, force }) => {
            let mut draft = Draft::new(state, context);
            draft.cancel(reason, *force);
            Ok(draft.events)
        }
        (Phase::Running | Phase::Cancelling, Command::Outcome(outcome)) => {
            let mut draft = Draft::new(state, context);
            draft.outcome(outcome);
            Ok(draft.events)
        }
    }
}

fn plan(state: &Run, request: &Arc<Request>, context: &Context) -> Result<Vec<Event>, Refusal> {
    check(request)?;
    let inputs = inputs::inputs(request)?;
    let mut request = request.clone();
    if request.payload != request.payload.sorted() {
        let payload = request.payload.sorted();
        Arc::make_mut(&mut request).payload = payload;
    }
    let mut draft = Draft::new(state, context);
    draft.emit(Event::Planned { request, inputs, at: context.now });
    if let Err(why) = hold::claim_run(&mut draft) {
        hold::give_up(&mut draft, Ending::Failure, &why);
    }
    advance::advance(&mut draft);
    Ok(draft.events)
}

fn check(request: &Request) -> Result<(), Refusal> {
    let plan = &request.plan;
    if plan.jobs.is_empty() || plan.jobs.len() > JOBS_MAX {
        return Err(Refusal::NoJobs);
    }
    if let Some(key) = request.only.jobs.iter().find(|key| !plan.jobs.contains_key(*key)) {
        let there: Vec<&str> = plan.jobs.keys().map(|key| key.as_str()).collect();
        return Err(Refusal::NoSuchJob { key: key.clone(), there: there.join(", ") });
    }
    for job in plan.jobs.values() {
        if let Some(need) = job.needs.iter().find(|need| !plan.jobs.contains_key(*need)) {
            return Err(Refusal::NoSuchNeed { job: job.key.clone(), need: need.clone() });
        }
    }
    let bytes = serde_json::to_vec(request).map_or(0, |text| text.len());
    if bytes > REQUEST_BYTES_MAX {
        return Err(Refusal::TooLarge { bytes });
    }
    match plan.cycle() {
        Some(cycle) => {
            let keys: Vec<&str> = cycle.iter().map(|key| key.as_str()).collect();
            Err(Refusal::Cycle(keys.join(" → ")))
        }
        None => Ok(()),
    }
}

/// The state as the events decided so far leave it.
pub(super) struct Draft<'a> {
    pub(super) run: Run,
    pub(super) events: Vec<Event>,
    pub(super) context: &'a Context,
}

impl<'a> Draft<'a> {
    fn new(state: &Run, context: &'a Context) -> Self {
        Self { run: state.clone(), events: Vec::new(), context }
    }

    pub(super) fn emit(&mut self, event: Event) {
        evolve::apply(&mut self.run, &event);
        self.events.push(event);
    }

    pub(super) fn request(&self) -> Option<Arc<Request>> {
        self.run.request.clone()
    }

    fn principal(&self) -> Principal {
        self.context.actor.principal.clone()
    }

    pub(super) fn cancel(&mut self, reason: &str, force: bool) {
        if self.run.phase == Phase::Cancelling && !force {
            return;
        }
        let (by, at) = (self.principal(), self.context.now);
        self.emit(Event::CancelRequested { reason: reason.to_owned(), by, force, at });
        for index in 0..self.run.jobs.len() {
            self.cancel_job(index, CancelCause::Requested, force);
        }
        advance::advance(self);
    }

    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Prepared { job, result } => self.prepared(*job, result),
            Outcome::StepDone { job, index, outcome } => self.step_done(*job, *index, outcome),
            Outcome::Cleaned { job, result } => {
                if self.run.left_over.contains(job) {
                    let problem = result.as_ref().err().cloned();
                    self.emit(Event::JobCleaned { job: *job, problem });
                    advance::advance(self);
                }
            }
            Outcome::Woke(Timer::Timeout { job }) => {
                if let Some(index) = self.run.index_of(*job) {
                    self.cancel_job(index, CancelCause::TimedOut, false);
                }
            }
            Outcome::Woke(Timer::Grace { job }) => {
                let cause = self.run.job(*job).and_then(|job| job.cancelled);
                if let (Some(index), Some(cause)) = (self.run.index_of(*job), cause) {
                    self.cancel_job(index, cause, true);
                }
            }
            Outcome::Woke(Timer::Wait { job }) => {
                if self.run.job(*job).is_some_and(|job| job.hold.until.is_some()) {
                    self.emit(Event::JobWaited { job: *job });
                    advance::advance(self);
                }
            }
            Outcome::Done => {}
        }
    }

    fn prepared(&mut self, id: JobId, result: &Result<Prepared, String>) {
        let Some(job) = self.run.job(id).filter(|job| job.phase == JobPhase::Preparing) else {
            return;
        };
        let Some(request) = self.request() else { return };
        let ready = match result {
            Ok(prepared) => {
                let mut job = job.clone();
                job.prepared = Some(prepared.clone());
                job_env(&self.run, &request, &job).map(|env| (prepared.clone(), env))
            }
            Err(problem) => Err(format!("its workspace could not be made: {problem}")),
        };
        match ready {
            Ok((prepared, env)) => {
                self.emit(Event::JobPrepared { job: id, prepared, env });
                self.go_on(id);
            }
            Err(why) => self.finish_job(id, Ending::Failure, Some(why)),
        }
        advance::advance(self);
    }

    fn step_done(&mut self, id: JobId, index: u32, outcome: &StepOutcome) {
        let Some(job) = self.run.job(id).filter(|job| job.phase == JobPhase::Running(index)) else {
            return;
        };
        let (at, interrupted) = (self.context.now, outcome.conclusion == Conclusion::Interrupted);
        if interrupted && job.attempt < ATTEMPTS_MAX && job.status != Ending::Cancelled {
            let next = JobId::derived(at, format!("{id}/{}", job.attempt + 1).as_bytes());
            self.emit(Event::JobInterrupted { job: id, next, at });
            return advance::advance(self);
        }
        if let (Some(action), Conclusion::Exited(0)) = (&outcome.action, &outcome.conclusion) {
            return self.enter(id, index, action);
        }
        let ending = match outcome.conclusion {
            Conclusion::Exited(0) => Ending::Success,
            Conclusion::Cancelled => Ending::Cancelled,
            Conclusion::Skipped => Ending::Skipped,
            Conclusion::Exited(_)
            | Conclusion::TimedOut
            | Conclusion::Interrupted
            | Conclusion::Unable(_) => Ending::Failure,
        };
        let conclusion = match ending {
            Ending::Failure if interrupted => ending,
            Ending::Failure if outcome.tolerated || self.step_may_fail(job, index) => {
                Ending::Success
            }
            other => other,
        };
        let outcome = Box::new(outcome.clone());
        self.emit(Event::StepFinished { job: id, index, outcome, ending, conclusion, at });
        if interrupted {
            let why = format!("the runner died under it {ATTEMPTS_MAX} times");
            self.finish_job(id, Ending::Failure, Some(why));
        } else {
            self.go_on(id);
        }
        if self.run.job(id).is_none_or(|job| job.phase.is_finished()) {
            advance::advance(self);
        }
    }

    fn step_may_fail(&self, job: &JobRun, index: u32) -> bool {
        let Some(request) = self.request() else { return false };
        let frame = job.frames.last().filter(|frame| frame.steps.last() == Some(&index));
        let step = frame.and_then(|frame| frame::current(&self.run, job, frame));
        let step = step.or_else(|| ahead::owner(&self.run, job, index));
        let env = step::shared_env(job);
        let names = Names::of_job(&self.run, &request, job).with_env(&env);
        step.is_some_and(|step| step::may_fail(step.continue_on_error.as_ref(), &names))
    }

    /// The step at `index` has found its action: goes through that one's steps.
    fn enter(&mut self, id: JobId, index: u32, action: &ActionPlan) {
        let (Some(request), Some(job)) = (self.request(), self.run.job(id)) else { return };
        match step::entered(&self.run, &request, job, action) {
            Ok((inputs, env)) => {
                let done_ahead = ahead::is_done(&self.run, job, action);
                let action = Box::new(action.clone());
                self.emit(Event::ActionEntered { job: id, index, action, inputs, env, done_ahead });
                self.go_on(id);
            }
            Err(why) => {
                let outcome = StepOutcome::unable(why);
                return self.step_done(id, index, &outcome);
            }
        }
        if self.run.job(id).is_none_or(|job| job.phase.is_finished()) {
            advance::advance(self);
        }
    }

    /// Begins the next step that is to be done, or ends the job.
    fn go_on(&mut self, id: JobId) {
        let Some(request) = self.request() else { return };
        while let Some(job) = self.run.job(id).filter(|job| !job.halted) {
            let Some(event) = turn(&self.run, &request, job, self.context.now) else { break };
            let started = matches!(event, Event::StepStarted { .. });
            self.emit(event);
            if started {
                return;
            }
        }
        if let Some(job) = self.run.job(id) {
            let (ending, why) = (job.status, job.cancelled.map(|cause| cause.text().to_owned()));
            self.finish_job(id, ending, why);
        }
    }

    /// Ends a job; where its matrix fails fast, the others of it as well.
    pub(super) fn finish_job(&mut self, id: JobId, mut ending: Ending, mut why: Option<String>) {
        let (Some(request), Some(job)) = (self.request(), self.run.job(id)) else { return };
        let group = job.group;
        let names = Names::of_job(&self.run, &request, job).with_env(&job.env);
        let planned = self.run.planned(&self.run.groups[group]);
        let may_fail =
            planned.is_some_and(|job| step::may_fail(job.continue_on_error.as_ref(), &names));
        let outputs = match planned.filter(|_| job.prepared.is_some()) {
            Some(planned) => outputs::outputs(planned, &names.sealing()),
            None => Ok(Default::default()),
        };
        let (outputs, annotations) = outputs.unwrap_or_else(|problem| {
            ending = Ending::Failure;
            why.get_or_insert(problem);
            Default::default()
        });
        let tolerated = may_fail && ending == Ending::Failure;
        let url = planned.filter(|_| job.prepared.is_some()).and_then(|job| url(job, &names));
        let at = self.context.now;
        let job = id;
        let event =
            Event::JobFinished { job, ending, tolerated, outputs, why, at, url, annotations };
        self.emit(event);
        if ending == Ending::Failure && !tolerated && self.run.groups[group].fail_fast {
            for index in self.run.groups[group].jobs.clone() {
                self.cancel_job(index, CancelCause::FailFast, false);
            }
        }
    }

    pub(super) fn cancel_job(&mut self, index: usize, cause: CancelCause, halt: bool) {
        let job = &self.run.jobs[index];
        let (id, at) = (job.id, self.context.now);
        match job.phase {
            JobPhase::Queued => {
                self.finish_job(id, Ending::Cancelled, Some(cause.text().to_owned()));
            }
            JobPhase::Preparing | JobPhase::Ready | JobPhase::Running(_) => {
                if job.cancelled.is_none() || (halt && !job.halted) {
                    self.emit(Event::JobCancelling { job: id, cause, halt, at });
                }
            }
            JobPhase::Finished { .. } => {}
        }
    }
}

/// What the pipeline and the job set for every step.
pub(super) fn job_env(
    run: &Run,
    request: &Request,
    job: &JobRun,
) -> Result<BTreeMap<String, String>, String> {
    let group = &run.groups[job.group];
    let names = Names::of_job(run, request, job).sealing();
    let all = run
        .plan_of(group)
        .into_iter()
        .flat_map(|plan| &plan.env)
        .chain(run.planned(group).into_iter().flat_map(|job| &job.env));
    let mut env = BTreeMap::new();
    for (name, template) in all {
        let value = template.text(&names).map_err(|error| format!("env `{name}`: {error}"))?;
        env.insert(name.clone(), value);
    }
    bounded(&env, "its variables").map(|()| env)
}

/// What happens next in a job between two steps; `None`: nothing is left.
fn turn(run: &Run, request: &Request, job: &JobRun, at: Timestamp) -> Option<Event> {
    let frame = job.frames.last()?;
    if let Some(event) = ahead::turn(run, request, job, at) {
        return Some(event);
    }
    if let Some(step) = frame::planned(run, job, frame).get(frame.next) {
        return Some(begin(job, step::next(run, request, job, step), false, None, at));
    }
    if let Some(action) = &frame.action {
        // How the job goes was asked before the step began.
        if frame.status == Ending::Success
            && let Some(next) = step::program(run, request, job, frame, action)
        {
            return Some(begin(job, next, false, None, at));
        }
        return left(run, request, job, frame, action, at);
    }
    let next = match job.posts.last() {
        Some(post) => step::post(run, request, job, post),
        None => Next::Start(outputs::asked(run, request, job)?, None),
    };
    Some(begin(job, next, true, None, at))
}

pub(super) fn begin(
    job: &JobRun,
    next: Next,
    post: bool,
    ahead: Option<Vec<u32>>,
    at: Timestamp,
) -> Event {
    let job = job.id;
    match next {
        Next::Start(spec, then) => Event::StepStarted { job, spec, at, then, post, ahead },
        Next::Settle { index, title, ending, conclusion, note } => {
            Event::StepSettled { job, index, title, ending, conclusion, note, at, post, ahead }
        }
    }
}

/// The steps of an action are over.
fn left(
    run: &Run,
    request: &Request,
    job: &JobRun,
    frame: &Frame,
    action: &ActionPlan,
    at: Timestamp,
) -> Option<Event> {
    let index = frame.owner?;
    let (mut ending, mut note) = (frame.status, String::new());
    if job.status == Ending::Cancelled {
        ending = Ending::Cancelled;
    }
    let outputs = step::given_back(run, request, job, frame, action).unwrap_or_else(|why| {
        (ending, note) = (Ending::Failure, why);
        BTreeMap::new()
    });
    let above = job.frames.get(job.frames.len().checked_sub(2)?)?;
    let names = Names::of_job(run, request, job).with_env(&job.env);
    let tolerated = frame::current(run, job, above)
        .is_some_and(|step| step::may_fail(step.continue_on_error.as_ref(), &names));
    let conclusion = match ending {
        Ending::Failure if tolerated => Ending::Success,
        other => other,
    };
    Some(Event::ActionLeft { job: job.id, index, outputs, ending, conclusion, note, at })
}

/// Where what it deployed is to be seen; what may hold a secret is not told.
fn url(job: &Job, names: &Names<'_>) -> Option<String> {
    let text = job.environment.as_ref()?.url.as_ref()?.text(names).ok()?;
    let told = !text.is_empty() && text.len() <= URL_BYTES_MAX;
    (told && !seal::is_sealed(&text, &names.request.seal)).then_some(text)
}
