use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grit_pipeline::{Conclusion, JobSpec, Prepared, Runner, RunnerError, StepOutcome, StepSpec};
use grit_types::{BoxFuture, EffectId, JobId};

type Script = Box<dyn Fn(&StepSpec) -> StepOutcome + Send + Sync>;

/// A [`Runner`] whose steps end at once, as a closure says.
///
/// It keeps the contract of a real one: the closure is asked once for an effect, and a job that is
/// not prepared, or was cleaned, runs nothing. It remembers in memory only.
pub struct DummyRunner {
    script: Script,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    prepared: BTreeSet<JobId>,
    done: BTreeMap<EffectId, (JobId, StepOutcome)>,
}

impl DummyRunner {
    /// Answers with what `script` says of each step.
    pub fn new(script: impl Fn(&StepSpec) -> StepOutcome + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), state: Mutex::default() }
    }

    /// Every step succeeds and says nothing.
    pub fn succeeding() -> Self {
        Self::new(|_| Self::outcome(Conclusion::Exited(0)))
    }

    /// An outcome without outputs that took no time.
    pub fn outcome(conclusion: Conclusion) -> StepOutcome {
        StepOutcome::of(conclusion)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A script that panics has changed nothing yet.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, effect: &EffectId, step: &StepSpec) -> StepOutcome {
        let mut state = self.state();
        if let Some((_, outcome)) = state.done.get(effect) {
            return outcome.clone();
        }
        if !state.prepared.contains(&step.job) {
            return Self::outcome(Conclusion::Unable(crate::host::NOT_PREPARED.to_owned()));
        }
        let outcome = (self.script)(step);
        state.done.insert(effect.clone(), (step.job, outcome.clone()));
        outcome
    }
}

impl Runner for DummyRunner {
    fn prepare(
        &self,
        _effect: &EffectId,
        job: &JobSpec,
    ) -> BoxFuture<'_, Result<Prepared, RunnerError>> {
        self.state().prepared.insert(job.job);
        let prepared = Prepared {
            workspace: format!("/dummy/{}/workspace", job.job),
            temp: format!("/dummy/{}/temp", job.job),
            os: "Linux".to_owned(),
            arch: "X64".to_owned(),
            containers: Default::default(),
        };
        Box::pin(std::future::ready(Ok(prepared)))
    }

    fn run(
        &self,
        effect: &EffectId,
        step: &StepSpec,
    ) -> BoxFuture<'_, Result<StepOutcome, RunnerError>> {
        Box::pin(std::future::ready(Ok(self.answer(effect, step))))
    }

    /// Steps end at once, so there is none to end.
    fn cancel(&self, _job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn clean(&self, _effect: &EffectId, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        let mut state = self.state();
        state.prepared.remove(&job);
        state.done.retain(|_, (of, _)| *of != job);
        Box::pin(std::future::ready(Ok(())))
    }
}
