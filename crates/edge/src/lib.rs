//! The data plane: it stands in front of all instances, and decides request by request which
//! revision answers.
//!
//! It is a process of its own, so that a controller that dies moves no traffic: it serves from a
//! snapshot on disk, takes new routes only under a newer fence or act, and follows a route only
//! when the snapshot that holds it would survive a power cut. By itself it moves traffic in one
//! direction only: the guard takes it away from a revision that fails, to stable.
//!
//! What it deliberately does not do: it starts and checks no instances, knows no steps and no
//! analysis, terminates no TLS, speaks HTTP/1.1 only, and never sends a request again that an
//! endpoint may have acted on.
//!
//! Main types: [`run`] serves by an [`EdgeConfig`] and blocks; [`Edge`] does the same in two steps
//! and tells its address in between. [`EdgeClient`] is the [`grit_rollout::TrafficRouter`] that
//! talks to it through the admin socket, and [`State`] is all that it knows.
//!
//! ```no_run
//! # use std::{path::PathBuf, time::Duration};
//! use grit_edge::{Edge, EdgeConfig};
//! let (socket, snapshot) = (PathBuf::from("admin.sock"), PathBuf::from("snapshot"));
//! let edge = Edge::bind(EdgeConfig::new("127.0.0.1:0".parse()?, socket, snapshot))?;
//! let serving = edge.spawn()?;
//! let router = serving.client(); // a `TrafficRouter`
//! # let _ = router;
//! serving.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod admin;
mod check;
mod client;
mod clock;
mod config;
mod control;
mod data;
mod edge;
mod guard;
mod handover;
mod listen;
mod shared;
mod smooth;
mod snapshot;
mod stats;
mod table;
mod wire;

pub use client::EdgeClient;
pub use config::{EdgeConfig, EdgeError, Limits};
pub use edge::{Edge, Handle, run};
pub use snapshot::{SnapshotError, SnapshotFile, SnapshotStore};
pub use wire::{Failure, SlotState, State, Totals};
