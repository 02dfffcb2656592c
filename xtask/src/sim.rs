use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::repo::Repo;

/// Which worlds to simulate; what is left out is the simulation's own default.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    pub first: Option<u64>,
    pub count: Option<u64>,
    /// How many lines of a trace to show.
    pub trace: Option<u64>,
}

/// Runs the simulation of grit-control on a release build and hands on its exit code.
///
/// # Errors
/// Cargo does not start.
pub fn run(repo: &Repo, seeds: &Seeds) -> Result<ExitCode> {
    let mut command = repo.cargo(&[
        "run",
        "--release",
        "--quiet",
        "--package=grit-control",
        "--example=sim",
        "--",
    ]);
    let options = [("--seed", seeds.first), ("--seeds", seeds.count), ("--trace", seeds.trace)];
    for (option, value) in options {
        if let Some(value) = value {
            command.arg(option).arg(value.to_string());
        }
    }
    let status = command.status().context("start the simulation")?;
    // Killed by a signal: no code of its own, and certainly not success.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
