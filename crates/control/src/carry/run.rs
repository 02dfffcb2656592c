use grit_pipeline::run::{Command as RunCommand, Concluded, Effect, Ending, Outcome};
use grit_types::Actor;

use super::{Carry, chain};
use crate::aggregate::Command;
use crate::ports::RepoId;
use crate::repo;

impl Carry {
    pub(super) async fn run(&self, effect: Effect) -> Command {
        let outcome = match effect {
            Effect::PrepareJob(spec) => {
                let result = self.ports.runner.prepare(&self.id, &spec).await;
                let result = result.map_err(|error| chain(&error));
                Outcome::Prepared { job: spec.job, result }
            }
            Effect::StartStep(spec) => {
                let ran = self.ports.runner.run(&self.id, &spec).await;
                let outcome = ran.unwrap_or_else(|error| unable(&chain(&error)));
                Outcome::StepDone { job: spec.job, index: spec.index, outcome }
            }
            Effect::CancelJob { job } => {
                let attempt = || self.ports.runner.cancel(job);
                self.until_done("cancelling a job", attempt).await;
                Outcome::Done
            }
            Effect::CleanJob { job } => {
                let result = self.ports.runner.clean(&self.id, job).await;
                Outcome::Cleaned { job, result: result.map_err(|error| chain(&error)) }
            }
            Effect::WakeAt { at, timer } => {
                self.sleep_until(at).await;
                Outcome::Woke(timer)
            }
            Effect::Conclude(concluded) => {
                self.conclude(&concluded).await;
                Outcome::Done
            }
        };
        Command::Run(RunCommand::Outcome(outcome))
    }

    /// A run of a commit that was never pushed here (`grit run`) concerns nobody else.
    async fn conclude(&self, concluded: &Concluded) {
        let at = RepoId { tenant: concluded.tenant.clone(), repo: concluded.repo.clone() };
        let succeeded = |ending: Ending| matches!(ending, Ending::Success | Ending::Skipped);
        let command = || {
            Command::Repo(repo::Command::Concluded {
                commit: concluded.commit.clone(),
                run: concluded.run,
                succeeded: concluded.ending == Ending::Success,
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

fn unable(reason: &str) -> grit_pipeline::StepOutcome {
    grit_pipeline::StepOutcome {
        conclusion: grit_pipeline::Conclusion::Unable(reason.to_owned()),
        outputs: std::collections::BTreeMap::new(),
        env: std::collections::BTreeMap::new(),
        path: vec![],
        duration: std::time::Duration::ZERO,
    }
}
