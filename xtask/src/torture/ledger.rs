//! The ledger's commands, killed without a word at their file system calls, and on a disk that is full: what was
//! acknowledged is there, what was not is there whole or not at all, and the next command works with no manual step.

mod calls;
mod full;
mod kill;
mod order;
mod world;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Result, anyhow};

use crate::{
    repo::Repo,
    tools::{self, Source, Tool},
};
use calls::Point;
use world::{Deed, Template};

const TOOLS: &[Tool] = &[Tool {
    name: "strace",
    probe: &["--version"],
    source: Source::Debian("strace"),
    why: "kills a program at a call",
}];

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Also where the programs only read, which leaves on disk what the next writing call finds.
    pub every_call: bool,
    /// One part alone.
    pub only: Option<Part>,
    /// So many worlds at a time.
    pub jobs: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Kills,
    Order,
    Full,
}

impl Part {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "kills" => Some(Self::Kills),
            "order" => Some(Self::Order),
            "full" => Some(Self::Full),
            _ => None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { every_call: false, only: None, jobs: 2, binary: None }
    }
}

/// # Errors
/// A tool is missing, or a part does not start.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    tools::need(TOOLS)?;
    let template = Template::make(repo.grit(settings.binary.as_deref())?)?;
    let mut wrong = Vec::new();
    let wanted = |part| settings.only.is_none_or(|only| only == part);
    for deed in Deed::ALL {
        if wanted(Part::Kills) {
            wrong.extend(kills(&template, deed, settings)?);
        }
        if wanted(Part::Order) {
            wrong.extend(order::check(&template, deed)?);
        }
        if wanted(Part::Full) {
            wrong.extend(full::check(&template, deed)?);
        }
    }
    for line in &wrong {
        println!("WRONG: {line}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills one command everywhere; answers what was not as it should be.
fn kills(template: &Template, deed: Deed, settings: &Settings) -> Result<Vec<String>> {
    let begun = Instant::now();
    let all = calls::points(template, deed)?;
    let points: Vec<&Point> =
        all.iter().filter(|point| settings.every_call || point.writes).collect();
    let (next, tally) = (AtomicUsize::new(0), Mutex::new((kill::Tally::default(), Vec::new())));
    thread::scope(|scope| -> Result<()> {
        let work = || -> Result<()> {
            while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                let what = kill::at(template, deed, point)?;
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.0.add(&what);
                for line in what.wrong {
                    let line = format!("{} killed at {point}: {line}", deed.name());
                    println!("{line}");
                    tally.1.push(line);
                }
            }
            Ok(())
        };
        let workers: Vec<_> = (0..settings.jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
        })
    })?;
    let (tally, wrong) = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (name, spent) = (deed.name(), begun.elapsed().as_secs());
    println!(
        "{name:<8} {} calls in {} processes; at {}: {tally}; {spent} s",
        all.len(),
        calls::processes(&all),
        points.len(),
    );
    Ok(wrong)
}
