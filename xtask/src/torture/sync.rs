//! Clones that create alone and then sync all at once, CI jobs that share lanes, and processes that create in one
//! clone: everything must be in every clone.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::repo::Repo;

/// So many CI jobs run at a time.
const JOBS_AT_ONCE: usize = 16;
/// Everything must be everywhere after so many times that all sync.
const ROUNDS: usize = 2;

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub clones: u64,
    /// Each clone's, before it first syncs.
    pub events: u64,
    pub runners: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { clones: 8, events: 50, runners: 64, binary: None }
    }
}

/// # Errors
/// A command fails that must not.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    let place = tempfile::tempdir().context("make a folder")?;
    let ground =
        Ground { grit: repo.grit(settings.binary.as_deref())?, root: place.path().to_owned() };
    let wrong = [
        clones(&ground, settings.clones, settings.events)?,
        runners(&ground, settings.runners)?,
        processes(&ground)?,
    ];
    for line in wrong.iter().flatten() {
        println!("WRONG: {line}");
    }
    Ok(if wrong.iter().all(Vec::is_empty) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Ground {
    grit: PathBuf,
    root: PathBuf,
}

fn clones(ground: &Ground, count: u64, events: u64) -> Result<Vec<String>> {
    ground.remote("team")?;
    let names: Vec<String> = (0..count).map(|number| format!("c{number}")).collect();
    each(&names, |name| {
        ground.clone("team", name, &[])?;
        (0..events).try_for_each(|_| ground.create(name, false))
    })?;
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        each(&names, |name| ground.grit(name, &["sync"], false).map(drop))?;
    }
    println!("{count} clones x {events} creates, {ROUNDS} rounds of sync: {:?}", begun.elapsed());
    let mut wrong = Vec::new();
    for name in &names {
        let there = ground.log(name)?.len();
        if there as u64 != count * events {
            wrong.push(format!("{name} has {there} of {} events", count * events));
        }
    }
    let exports: BTreeSet<String> =
        names.iter().map(|name| ground.grit(name, &["export"], false)).collect::<Result<_>>()?;
    let (different, bytes) = (exports.len(), exports.first().map_or(0, String::len));
    println!("`grit export` in {count} clones: {bytes} bytes, {different} different");
    wrong.extend((different != 1).then(|| format!("{different} different exports")));
    Ok(wrong)
}

fn runners(ground: &Ground, count: u64) -> Result<Vec<String>> {
    ground.remote("ci")?;
    let names: Vec<String> = (0..count).map(|number| format!("r{number}")).collect();
    let begun = Instant::now();
    for some in names.chunks(JOBS_AT_ONCE) {
        each(some, |name| {
            ground.clone("ci", name, &["--depth", "1"])?;
            ground.create(name, true)?;
            ground.grit(name, &["sync", "--push"], true).map(drop)
        })?;
    }
    println!("{count} CI jobs, {JOBS_AT_ONCE} at a time, one event each: {:?}", begun.elapsed());
    ground.clone("ci", "reader", &[])?;
    ground.grit("reader", &["sync"], false)?;
    let there = ground.log("reader")?.len();
    Ok(if there as u64 == count {
        vec![]
    } else {
        vec![format!("{there} of {count} jobs' events")]
    })
}

fn processes(ground: &Ground) -> Result<Vec<String>> {
    let begun = Instant::now();
    ground.clone("ci", "shared", &[])?;
    let writers = vec!["shared".to_owned(); 8];
    each(&writers, |name| (0..25).try_for_each(|_| ground.create(name, false)))?;
    println!("8 processes x 25 creates in one clone: {:?}", begun.elapsed());
    let there = ground.log("shared")?.len();
    Ok(if there == 200 { vec![] } else { vec![format!("{there} of 200 creates in one clone")] })
}

/// All at once; the first failure is told.
fn each(names: &[String], work: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = names.iter().map(|name| scope.spawn(move || work(name))).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread panicked"),
        })
    })
}

impl Ground {
    /// A bare repository with two commits, so that a shallow clone lacks one.
    fn remote(&self, name: &str) -> Result<()> {
        let seed = format!("{name}-seed");
        self.git(&["init", "--quiet", &seed])?;
        for message in ["first", "second"] {
            let named = ["-c", "user.name=T", "-c", "user.email=t@localhost"];
            let commit = ["-C", &seed, "commit", "--quiet", "--allow-empty", "--message", message];
            self.git(&[&named[..], &commit[..]].concat())?;
        }
        self.git(&["clone", "--quiet", "--bare", &seed, &format!("{name}.git")])
    }

    fn clone(&self, remote: &str, name: &str, options: &[&str]) -> Result<()> {
        let url = format!("file://{}/{remote}.git", self.root.display());
        self.git(&[&["clone", "--quiet"], options, &[url.as_str(), name]].concat())
    }

    fn create(&self, clone: &str, ci: bool) -> Result<()> {
        self.grit(clone, &["issue", "create", "--title", "the same everywhere"], ci).map(drop)
    }

    fn log(&self, clone: &str) -> Result<BTreeSet<String>> {
        Ok(self.grit(clone, &["log"], false)?.lines().map(str::to_owned).collect())
    }

    fn grit(&self, clone: &str, args: &[&str], ci: bool) -> Result<String> {
        let mut command = Command::new(&self.grit);
        command.args(args).env("CI", if ci { "true" } else { "" });
        told(&self.root.join(clone), command)
    }

    fn git(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new("git");
        command.args(args);
        told(&self.root, command).map(drop)
    }
}

fn told(folder: &Path, mut command: Command) -> Result<String> {
    let output = command.current_dir(folder).output().context("start a command")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("what it said")
}
