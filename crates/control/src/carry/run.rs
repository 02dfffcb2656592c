use grit_pipeline::Runner;
use grit_pipeline::concurrency::Command as GroupCommand;
use grit_pipeline::plan::Concurrency;
use grit_pipeline::queue::Command as QueueCommand;
use grit_pipeline::run::{Command as RunCommand, Concluded, Effect, Ending, Outcome};
use grit_types::{Actor, Clock, EffectId, chain};

use super::{Carry, group, queue, sleep_until, until_done};
use crate::aggregate::Command;
use crate::ports::RepoId;
use crate::reactor::Handle;
use crate::repo;

impl Carry {
    pub(super) async fn run(&self, effect: Effect) -> Command {
        if let Effect::Conclude(concluded) = &effect {
            self.conclude(concluded).await;
        }
        let (runner, clock) = (&*self.ports.runner, &*self.ports.clock);
        let outcome = outcome(&self.id, &self.handle, runner, clock, effect).await;
        Command::Run(RunCommand::Outcome(outcome))
    }

    /// A run of a commit that was never pushed here (`grit run`) concerns nobody else.
    async fn conclude(&self, concluded: &Concluded) {
        if concluded.aside {
            return;
        }
        let at = RepoId { tenant: concluded.tenant.clone(), repo: concluded.repo.clone() };
        let succeeded = |ending: Ending| matches!(ending, Ending::Success | Ending::Skipped);
        let command = || {
            Command::Repo(repo::Command::Concluded {
                commit: concluded.commit.clone(),
                run: concluded.run,
                succeeded: concluded.ending == Ending::Success,
                replaces: concluded.rerun_of,
                jobs: concluded
                    .jobs
                    .iter()
                    .map(|job| (job.key.to_string(), succeeded(job.ending)))
                    .collect(),
            })
        };
        let actor = Actor::grit(format!("run/{}", concluded.run));
        if let Err(refusal) = self.submit(at.stream(), command, actor).await {
            tracing::debug!(run = %concluded.run, %refusal, "the repository does not know the run");
        }
    }
}

/// What comes of an effect; a run that is over concerns others, who are told elsewhere.
pub(super) async fn outcome(
    id: &EffectId,
    handle: &Handle,
    runner: &dyn Runner,
    clock: &dyn Clock,
    effect: Effect,
) -> Outcome {
    match effect {
        Effect::PrepareJob(spec) => {
            let result = runner.prepare(id, &spec).await.map_err(|error| chain(&error));
            Outcome::Prepared { job: spec.job, result }
        }
        Effect::StartStep(spec) => {
            let ran = runner.run(id, &spec).await;
            let outcome = ran.unwrap_or_else(|error| unable(&chain(&error)));
            Outcome::StepDone { job: spec.job, index: spec.index, outcome }
        }
        Effect::CancelJob { job } => {
            until_done(id, "cancelling a job", || runner.cancel(job)).await;
            Outcome::Done
        }
        Effect::CleanJob { job } => {
            let result = runner.clean(id, job).await.map_err(|error| chain(&error));
            Outcome::Cleaned { job, result }
        }
        Effect::WakeAt { at, timer } => {
            sleep_until(clock, at).await;
            Outcome::Woke(timer)
        }
        Effect::Claim { tenant, repo, group: wanted, holder } => {
            let stream = group::group_stream(&tenant, &repo, &wanted.group);
            let Concurrency { cancel_in_progress, patient, .. } = wanted;
            let claim = GroupCommand::Claim { holder, cancel_in_progress, patient };
            group::ask(handle, id, stream, &claim).await;
            Outcome::Done
        }
        Effect::Release { tenant, repo, group: wanted, holder } => {
            let stream = group::group_stream(&tenant, &repo, &wanted);
            group::ask(handle, id, stream, &GroupCommand::Release { holder }).await;
            Outcome::Done
        }
        Effect::WantSlots(wish) => {
            queue::ask(handle, id, &QueueCommand::Ask(wish)).await;
            Outcome::Done
        }
        Effect::LeaveQueue { run } => {
            queue::ask(handle, id, &QueueCommand::Leave { run }).await;
            Outcome::Done
        }
        Effect::Conclude(_) => Outcome::Done,
    }
}

fn unable(reason: &str) -> grit_pipeline::StepOutcome {
    grit_pipeline::StepOutcome::of(grit_pipeline::Conclusion::Unable(reason.to_owned()))
}
