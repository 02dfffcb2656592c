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

use std::{
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result, bail};

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

/// What the command tells.
///
/// # Errors
/// It does not start, or fails: with all that it said.
fn ended(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {} {}", output.status, said.trim(), told.trim());
    }
    Ok(told.into_owned())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Of two in the middle, their mean; of none, no number.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one_counts() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([1.0, 2.0]), 1.5);
        assert!(median(Vec::new()).is_nan());
    }
}
