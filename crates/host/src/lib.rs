//! Processes: started on record, stopped with everything they started, and found again after a
//! crash of whoever started them.
//!
//! A command is launched through a *shim*, a second life of the same binary (`grit __exec`): it
//! opens a process session of its own, writes who it is into the record file, and only then
//! becomes the command. So a running command always has a record, and a controller that comes
//! back after a crash adopts by it: pid, start time and boot id together name a process for ever,
//! a pid alone does not.
//!
//! What it deliberately does not do: it restarts nothing, checks no health, keeps no table of what
//! runs (the records on disk are the table), reads no output, and uses neither cgroups nor
//! containers. It needs Linux's `/proc`.
//!
//! Main types: [`Spec`] says what to run, [`launch`] starts it and gives a [`Launched`] (the
//! parent's view, with an exit status) around a [`Session`] (anyone's view: alive, gone,
//! terminate, pause). [`record::read`] brings a `Session` back; [`find_marked`] finds processes
//! that carry a [`Marker`]: one without a record is an orphan, and [`sweep`] ends it.
//!
//! ```no_run
//! # use grit_host::{Marker, Output, Shim, Spec, launch, record};
//! # use std::{path::Path, time::Duration};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let spec = Spec::new("./api", Marker::new("GRIT_INSTANCE", "api-1")?)
//!     .cwd("/srv/api")
//!     .env("PORT", "8080")
//!     .output(Output::File("/srv/api.log".into()))
//!     .synced();
//! let launched = launch(spec, Path::new("/srv/record.json"), &Shim::this_binary()).await?;
//! drop(launched); // it runs on, here or after this process has died
//!
//! let session = record::read(Path::new("/srv/record.json"))?.ok_or("never started")?;
//! let ending = session.terminate(Duration::from_secs(10)).await?;
//! # let _ = ending; Ok(()) }
//! ```
#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("grit-host needs Linux: process identity comes from /proc and pidfd");

pub mod durable;
mod exit;
mod identity;
mod launch;
mod marker;
mod order;
mod pidfd;
mod reach;
pub mod record;
mod scan;
mod session;
pub mod shim;
mod spec;

pub use exit::Exit;
pub use identity::ProcessId;
pub use launch::{LaunchError, Launched, Limit, launch};
pub use marker::{InvalidMarker, Marker};
pub use scan::{Marked, find_marked, session_members};
pub use session::{Ending, KILL_WAIT_MAX, Session, TerminateError, sweep};
pub use shim::Shim;
pub use spec::{InvalidSpec, Limits, Output, Spec};
