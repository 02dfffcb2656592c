//! Containers of jobs and steps, at a Docker engine.
//!
//! A job that wants containers has a network of its own; services are in it, and where the job
//! itself has a container, each of its steps is a command in that one. What the machine does for
//! the job (checkouts, caches) it does in the job's folder, which the container sees. Everything is
//! labelled: with the data folder, the job, and the step that it is of. `RUN/JOB/engine` says that
//! something may be at the engine, `RUN/JOB/containers.json`, written last, what is.

mod action;
mod command;
mod end;
mod gateway;
mod image;
mod options;
mod owner;
mod paths;
mod prepare;
mod wanted;

use std::path::PathBuf;
use std::sync::Arc;

use grit_engine::{Engine, EngineError, Gateway};
use grit_pipeline::{PreparedContainers, RunnerError};
use grit_types::{JobId, RunId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::{Shared, chain, failed};

pub(super) use action::run as run_action;
pub(super) use command::{ask, run as run_command};
pub(super) use end::{down, orphans, step as end_step};
pub(super) use gateway::gateway;
pub(super) use paths::Paths;
pub(super) use prepare::prepare;

/// Where containers are, and what they may.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// As `DOCKER_HOST` has it; `None`: where engines are.
    pub host: Option<String>,
    /// Where `docker login` keeps what it was told.
    pub logins: Option<PathBuf>,
    /// Whether a job may ask for `--privileged` and what comes to the same.
    pub privileged: bool,
}

/// What a job has at the engine, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub v: u64,
    pub prepared: PreparedContainers,
    pub inside: Option<Inside>,
    /// Where its containers reach this machine.
    #[serde(default)]
    pub gateway: Option<Gateway>,
}

/// The container that the steps of a job run in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inside {
    pub id: String,
    /// Its `PATH`.
    pub path: String,
    /// Whether it sees the Node of this machine.
    pub node: bool,
    /// Whether it sees processes that are not its own.
    #[serde(default)]
    pub pids: bool,
}

/// A preparation under way.
#[derive(Default)]
pub(super) struct Preparing {
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
    pub cancel: CancellationToken,
}

pub(super) async fn engine(shared: &Shared) -> Result<Engine, EngineError> {
    Engine::connect(shared.config.engine.host.as_deref()).await
}

/// What everything of ours is labelled with.
const UNIT: &str = "grit.unit";
const JOB: &str = "grit.job";
const STEP: &str = "grit.step";

fn labels(shared: &Shared, run: RunId, job: JobId, step: Option<u32>) -> Vec<(String, String)> {
    let unit = &shared.unit;
    let mut labels = vec![
        (UNIT.to_owned(), unit.clone()),
        (JOB.to_owned(), format!("{unit}/{job}")),
        ("grit.run".to_owned(), run.to_string()),
    ];
    if shared.config.passing {
        labels.extend(owner::label());
    }
    labels.extend(step.map(|index| (STEP.to_owned(), format!("{unit}/{job}/{index}"))));
    labels
}

fn refused(action: &str, error: &EngineError) -> RunnerError {
    failed(action.to_owned(), chain(error))
}

/// Where a long piece of work at the engine tells how it goes, and what it told.
fn telling() -> (impl Fn(&str) + Send + Sync, UnboundedReceiver<String>) {
    let (sender, lines) = unbounded_channel();
    (move |line: &str| drop(sender.send(line.to_owned())), lines)
}

/// Puts that into the log, until the work is done.
async fn tell(
    at: &super::step::Attempt,
    mut lines: UnboundedReceiver<String>,
) -> Result<(), RunnerError> {
    while let Some(line) = lines.recv().await {
        at.say(&line).await?;
    }
    Ok(())
}

/// One preparation of a job at a time; whoever cancels the job cancels it.
pub(super) fn preparing(shared: &Shared, job: JobId) -> Arc<Preparing> {
    super::locked(&shared.preparing).entry(job).or_default().clone()
}
