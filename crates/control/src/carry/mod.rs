//! Carrying effects out through the ports, and saying what came of them.

mod gate;
mod group;
mod issue;
mod payload;
pub(crate) mod plan;
mod promote;
mod queue;
mod run;
mod slot;

pub use group::group_stream;
pub use queue::queue_stream;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use grit_ledger::{Journal, PendingEffect};
use grit_pipeline::Runner;
use grit_rollout::{Target, TrafficRouter, Verifier};
use grit_types::{Actor, BoxFuture, Clock, EffectId, Entropy, Timestamp, chain};

use crate::aggregate::{Command, Effect};
use crate::ports::{Settings, Source};
use crate::reactor::{Carrier, Handle, Receipt, Submission, SubmitError};

/// First pause before what failed in passing is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// And the longest.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Everything effects are carried out through.
pub struct Ports {
    pub journal: Arc<dyn Journal>,
    pub source: Arc<dyn Source>,
    pub router: Arc<dyn TrafficRouter>,
    pub target: Arc<dyn Target>,
    pub verifier: Arc<dyn Verifier>,
    pub runner: Arc<dyn Runner>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub settings: Arc<dyn Settings>,
    /// What every step of a run finds in its environment: `GRIT_SERVER`, `GRIT_REGISTRY`.
    pub job_env: std::collections::BTreeMap<String, String>,
    pub service_url: crate::request::ServiceUrl,
    /// The server's name in its repositories' ledgers.
    pub server: String,
}

/// The carrier over real ports.
pub struct PortCarrier {
    ports: Arc<Ports>,
    handle: Handle,
}

impl PortCarrier {
    /// Carries through `ports`; effects that ask other streams submit through `handle`.
    pub fn new(ports: Arc<Ports>, handle: Handle) -> Arc<Self> {
        Arc::new(Self { ports, handle })
    }
}

impl Carrier for PortCarrier {
    fn carry(&self, effect: PendingEffect) -> BoxFuture<'static, Command> {
        let carry = Carry {
            ports: self.ports.clone(),
            handle: self.handle.clone(),
            id: effect.id,
            stream: effect.stream,
        };
        match serde_json::from_value::<Effect>(effect.body) {
            Ok(Effect::Slot(effect)) => Box::pin(async move { carry.slot(effect).await }),
            Ok(Effect::Run(effect)) => Box::pin(async move { carry.run(effect).await }),
            Ok(Effect::Repo(effect)) => Box::pin(async move { carry.repo(effect).await }),
            Ok(Effect::Group(effect)) => {
                Box::pin(async move { group::tell(&carry.handle, &carry.id, effect).await })
            }
            Ok(Effect::Queue(effect)) => {
                Box::pin(async move { queue::give(&carry.handle, &carry.id, effect).await })
            }
            Err(error) => {
                tracing::error!(effect = %carry.id, %error, "an effect of another version stays owed");
                Box::pin(std::future::pending())
            }
        }
    }
}

/// Carries the effects of runs alone: for a pipeline that concerns nobody but its user.
pub struct RunCarrier {
    runner: Arc<dyn Runner>,
    clock: Arc<dyn Clock>,
    handle: Handle,
}

impl RunCarrier {
    /// Carries through `runner`; concurrency groups are asked through `handle`.
    pub fn new(runner: Arc<dyn Runner>, clock: Arc<dyn Clock>, handle: Handle) -> Arc<Self> {
        Arc::new(Self { runner, clock, handle })
    }
}

impl Carrier for RunCarrier {
    fn carry(&self, effect: PendingEffect) -> BoxFuture<'static, Command> {
        let (runner, clock) = (self.runner.clone(), self.clock.clone());
        let handle = self.handle.clone();
        Box::pin(async move {
            match serde_json::from_value::<Effect>(effect.body) {
                Ok(Effect::Run(run)) => {
                    let outcome = run::outcome(&effect.id, &handle, &*runner, &*clock, run).await;
                    Command::Run(grit_pipeline::run::Command::Outcome(outcome))
                }
                Ok(Effect::Group(told)) => group::tell(&handle, &effect.id, told).await,
                Ok(Effect::Queue(given)) => queue::give(&handle, &effect.id, given).await,
                Ok(Effect::Slot(_) | Effect::Repo(_)) | Err(_) => std::future::pending().await,
            }
        })
    }
}

/// One effect under way.
struct Carry {
    ports: Arc<Ports>,
    handle: Handle,
    id: EffectId,
    /// Whose effect it is.
    stream: grit_ledger::StreamId,
}

/// Tries until it is done; what changes nothing by trying again is `Ok` as well.
async fn until_done<T, E, F>(effect: &EffectId, what: &str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error,
{
    let mut pause = RETRY_FIRST;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => {
                let cause = chain(&error);
                tracing::warn!(%effect, %cause, "{what} failed, tried again");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Asks another stream; a refusal is an answer, a store that fails is not.
async fn submit<C: Fn() -> Command>(
    handle: &Handle,
    effect: &EffectId,
    stream: grit_ledger::StreamId,
    command: C,
    actor: Actor,
) -> Result<Receipt, Arc<crate::aggregate::Refusal>> {
    let attempt = || async {
        let (stream, actor) = (stream.clone(), actor.clone());
        match handle.submit(Submission { stream, command: command(), actor }).await {
            Ok(receipt) => Ok(Ok(receipt)),
            Err(SubmitError::Refused(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(error),
        }
    };
    until_done(effect, "asking another stream", attempt).await
}

async fn sleep_until(clock: &dyn Clock, at: Timestamp) {
    loop {
        let left = at.since(clock.now());
        if left.is_zero() {
            return;
        }
        // Short turns, so that a clock that is set forward is noticed.
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
    }
}

impl Carry {
    async fn until_done<T, E, F>(&self, what: &str, attempt: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T, E>>,
        E: std::error::Error,
    {
        until_done(&self.id, what, attempt).await
    }

    /// Asks another stream; a refusal is an answer, a store that fails is not.
    async fn submit<C: Fn() -> Command>(
        &self,
        stream: grit_ledger::StreamId,
        command: C,
        actor: Actor,
    ) -> Result<Receipt, Arc<crate::aggregate::Refusal>> {
        submit(&self.handle, &self.id, stream, command, actor).await
    }

    /// Runs what blocks where it may.
    async fn blocking<T: Send + 'static, E: std::error::Error + Send + 'static>(
        &self,
        work: impl FnOnce(&Ports) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Blocked<E>> {
        let ports = self.ports.clone();
        let joined = tokio::task::spawn_blocking(move || work(&ports)).await;
        joined.map_err(|_| Blocked::Panicked)?.map_err(Blocked::Failed)
    }
}

/// What became of blocking work.
#[derive(Debug, thiserror::Error)]
enum Blocked<E: std::error::Error> {
    #[error("it ended with a panic")]
    Panicked,
    #[error("it failed")]
    Failed(#[source] E),
}
