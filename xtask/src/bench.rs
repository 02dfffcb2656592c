//! Ours beside its peer in one run, alternating: what slows a machine down slows both, so the ratios hold where the
//! figures do not. Nothing here passes or fails by a figure.

mod ask;
mod edge;
mod part;
pub mod pipeline;
mod proxies;
mod score;
pub mod tracker;
pub mod weights;
mod wrk;

use std::process::ExitCode;

use anyhow::Result;

use crate::repo::Repo;

pub use edge::Settings;

/// Which benchmark, and how long.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Edge(Settings),
    Weights(weights::Settings),
    Tracker(tracker::Settings),
    Pipeline(pipeline::Settings),
}

/// # Errors
/// A program is missing, does not start, or answers wrongly: then nothing was measured.
pub fn run(repo: &Repo, request: &Request) -> Result<ExitCode> {
    match request {
        Request::Edge(settings) => edge::run(repo, settings),
        Request::Weights(settings) => weights::run(repo, settings),
        Request::Tracker(settings) => tracker::run(repo, settings),
        Request::Pipeline(settings) => pipeline::run(repo, settings),
    }
}
