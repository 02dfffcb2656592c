//! Real processes of a real `grit`, killed without a word at seeded random moments, under load.

mod api;
mod controller;
mod edge;
pub mod ledger;
pub mod locks;
mod random;
mod runs;
pub mod sync;
mod world;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::repo::Repo;

/// Whom to kill, and how often.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub victim: Victim,
    pub kills: u64,
    pub seed: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// `grit serve`, within production's canaries.
    Controller,
    /// The edge's process.
    Edge,
    /// `grit serve`, while it runs jobs.
    Runs,
}

/// # Errors
/// A part does not start, or what was waited for did not come.
pub fn run(repo: &Repo, request: &Request) -> Result<ExitCode> {
    let binary = repo.grit(request.binary.as_deref())?;
    let mut world = match request.victim {
        Victim::Runs => world::World::with_files(binary, &runs::files())?,
        Victim::Controller | Victim::Edge => world::World::make(repo, binary)?,
    };
    println!("seed {}, {}", request.seed, world.addresses());
    let verdict = match request.victim {
        Victim::Controller => controller::run(&mut world, request.kills, request.seed),
        Victim::Edge => edge::run(&mut world, request.kills, request.seed),
        Victim::Runs => runs::run(&mut world, request.kills, request.seed),
    };
    let left = world.end();
    println!("left behind             {left}");
    let wrong = verdict?;
    for line in &wrong {
        println!("WRONG: {line}");
    }
    Ok(if wrong.is_empty() && left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
