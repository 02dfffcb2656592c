//! Runs the steps of jobs.
//!
//! - [`HostRunner`] runs them as processes of this machine: each job in a workspace of its own,
//!   each step in a process session of its own, its output masked before it is stored.
//!   A job that asks for containers has them at a Docker engine ([`EngineConfig`]): its steps are
//!   commands in its own, services are beside it, and an action may be a container as well.
//! - [`DummyRunner`] answers from a script and starts nothing: for simulations and for tests of
//!   what stands above.
//!
//! Both are a [`grit_pipeline::Runner`] and keep its contract: an effect is carried out once, and
//! a step that was under way when the runner died is told of as interrupted.
//!
//! Caches and artifacts of jobs are kept in a store by content, apart by trust; actions that bring
//! their own program find the services that they expect, on this machine.
//!
//! What it deliberately does not do: it isolates nothing (steps without a container are processes
//! of the user that Grit runs as), fetches nobody's actions, installs no toolchain, and reads no
//! repository: files of a
//! commit come through [`Checkouts`].
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use grit_executor::{HostConfig, HostRunner};
//! # use grit_pipeline::{JobSpec, Runner, StepSpec};
//! # use grit_types::EffectId;
//! # async fn example(config: HostConfig, ids: [EffectId; 3], job: JobSpec, step: StepSpec) -> Result<(), Box<dyn std::error::Error>> {
//! let runner = HostRunner::open(config).await?;
//! runner.prepare(&ids[0], &job).await?;
//! let outcome = runner.run(&ids[1], &step).await?;
//! let log = runner.read_log(step.run, step.job, step.index, 0, 4096).await?;
//! # let _ = (outcome, log);
//! runner.clean(&ids[2], job.job).await?; // the log stays
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod dummy;
mod host;
mod service;
mod store;
mod text;

pub use dummy::DummyRunner;
pub use host::{
    ActionRepo, Actions, Checkouts, EngineConfig, HostConfig, HostRunner, KeptError, LOG_MAX_BYTES,
    OpenError, Secrets, unpack_archive,
};
