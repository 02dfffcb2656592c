//! Where instances run.
//!
//! [`process::ProcessTarget`] runs them as processes of this machine: each in a process session of
//! its own, recorded before it starts, health-checked, started again when it dies, and adopted by
//! whoever opens the same folder after a crash. It implements [`grit_rollout::Target`].
//!
//! What it deliberately does not do: it moves no traffic, decides no rollout, and never ends an
//! instance that nobody asked it to end. `ensure` never scales down.
//!
//! Main types: [`process::ProcessTarget`] and its [`process::Config`].
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use grit_target::process::{Config, ProcessTarget};
//! # use grit_rollout::{InstanceSet, Target};
//! # use grit_types::EffectId;
//! # async fn example(config: Config, effect: EffectId, set: InstanceSet) -> Result<(), Box<dyn std::error::Error>> {
//! let target = ProcessTarget::open(config).await?;
//! for instance in target.ensure(&effect, &set).await? {
//!     tracing::info!(id = %instance.id, address = instance.address, "ready");
//! }
//! target.close().await; // the instances run on
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

pub mod process;
