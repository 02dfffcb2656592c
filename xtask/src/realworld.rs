//! Published packages with the workflows that their authors wrote: every job of them that this machine can run, by Grit
//! and beside it by hand.
//!
//! The packages are a fixed list, `xtask/realworld.txt`, and come through Cargo with what their own tests need. What
//! does not run here is counted by its reason. Before that every workflow in Cargo's download folder is parsed; after
//! it a page's own workflow runs the tests of a Django project that `django-admin` makes.

mod compare;
mod django;
mod fetch;
mod list;
mod machine;
mod parse;
mod planned;
mod process;
mod reason;
mod score;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::repo::Repo;
use compare::Place;
use list::Package;
use machine::Machine;
use score::{Score, Summary};

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// The first so many packages of the list.
    pub crates: Option<u64>,
    /// Packages by name; none: all.
    pub only: Vec<String>,
    /// Packages at the same time.
    pub jobs: u64,
    /// The limit for one job on each side.
    pub minutes: u64,
    /// The Django project and nothing else.
    pub django: bool,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        let (crates, only, jobs, minutes) = (None, Vec::new(), 1, 10);
        Self { crates, only, jobs, minutes, django: false, binary: None }
    }
}

impl Settings {
    fn is_part(&self) -> bool {
        self.crates.is_some() || !self.only.is_empty()
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }
}

/// # Errors
/// A package cannot be fetched, or a program does not start: then nothing was compared.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    let wanted = wanted(list::read()?, settings)?;
    let binary = repo.grit(settings.binary.as_deref())?;
    let folder = tempfile::Builder::new().prefix("realworld-").tempdir()?;
    let mut good = true;
    if !settings.django {
        let sources = fetch::all(folder.path(), &wanted)?;
        good &= parse::downloads(repo, &sources[0])?;
        good &= packages(&binary, folder.path(), settings, &wanted, &sources)?;
    }
    if settings.django || !settings.is_part() {
        good &= django::run(repo, &binary, &folder.path().join("django"), settings.limit())?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wanted(mut all: Vec<Package>, settings: &Settings) -> Result<Vec<Package>> {
    for name in &settings.only {
        ensure!(all.iter().any(|package| package.name == *name), "`{name}` is not in the list");
    }
    all.retain(|one| settings.only.is_empty() || settings.only.contains(&one.name));
    all.truncate(
        settings.crates.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX)),
    );
    Ok(all)
}

/// Whether Grit and the command by hand agree in every job.
fn packages(
    binary: &Path,
    folder: &Path,
    settings: &Settings,
    packages: &[Package],
    sources: &[PathBuf],
) -> Result<bool> {
    let machine = Machine::look()?;
    println!("{}", score::HEAD);
    let next = AtomicUsize::new(0);
    let summary = Mutex::new(Summary::default());
    let work = |number: u64| -> Result<()> {
        let at = Place::make(binary, &folder.join(format!("worker-{number}")), settings.limit())?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(package), Some(source)) = (packages.get(index), sources.get(index)) else {
                return Ok(());
            };
            let told = |score: &Score| println!("{}", score.line(package));
            let scores = compare::package(&at, &machine, package, source, &told)
                .with_context(|| format!("{} {}", package.name, package.version))?;
            let mut summary = summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            summary.add(scores);
        }
    };
    thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> =
            (0..settings.jobs).map(|number| scope.spawn(move || work(number))).collect();
        for worker in workers {
            match worker.join() {
                Ok(ended) => ended?,
                Err(_) => bail!("a worker broke off"),
            }
        }
        Ok(())
    })?;
    let summary = summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{summary}");
    Ok(summary.agrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_list_is_taken_by_number_or_name() {
        let count =
            |settings: Settings| wanted(list::read().unwrap(), &settings).map(|all| all.len());
        assert_eq!(count(Settings::default()).unwrap(), 40);
        assert_eq!(count(Settings { crates: Some(3), ..Settings::default() }).unwrap(), 3);
        let only = |name: &str| Settings { only: vec![name.into()], ..Settings::default() };
        assert_eq!(count(only("hashlink")).unwrap(), 1);
        assert!(count(only("no-such-package")).is_err());
    }
}
