//! The collected cases: what other systems' own tests and specifications say must happen.
//!
//! A suite is an example of the crate that owns the engine. It is given one folder, reads everything in it,
//! prints each failure with what was expected and seen, and ends with `NAME: P passed, F failed, S skipped`.
//! What asks the whole binary is a module here.

mod github;
mod seed;
mod workflows;

use std::{
    env, fs,
    ops::AddAssign,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, bail};

use crate::{cli::Which, repo::Repo, shell};

/// The variable that names the folder with one subfolder per suite.
const FOLDER: &str = "GRIT_CASES";

pub const NOT_RUN: &str = "cases: NOT RUN";

/// Where the pages are, beside the cases.
const PAGES: &str = "seeds";

struct Suite {
    name: &'static str,
    /// Below the folder of cases; none: it reads the pages beside that.
    folder: Option<&'static str>,
    engines: &'static [Engine],
}

enum Engine {
    /// A crate's example `cases`, for what asks that crate alone.
    Example { package: &'static str, suites: &'static [&'static str] },
    /// For what asks the whole binary.
    Binary(fn(&Repo, &Path) -> Result<Score>),
}

const SUITES: &[Suite] = &[
    Suite {
        name: "dora",
        folder: Some("dora"),
        engines: &[Engine::Example { package: "grit-insight", suites: &[] }],
    },
    Suite {
        name: "github",
        folder: Some("pipelines/github"),
        engines: &[
            Engine::Example {
                package: "grit-pipeline",
                suites: &["expressions", "interpolation", "filters"],
            },
            Engine::Example { package: "grit-dialect", suites: &["github-parse"] },
            Engine::Binary(github::run),
        ],
    },
    Suite { name: "seed", folder: None, engines: &[Engine::Binary(seed::run)] },
    Suite { name: "seed-workflows", folder: None, engines: &[Engine::Binary(workflows::run)] },
];

/// So many cases at once: most of a case is waiting for processes.
const AT_ONCE: usize = 4;

/// How many cases came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What a run of the suites showed.
pub enum Outcome {
    /// Nobody said where the cases are.
    NotRun,
    Ran {
        score: Score,
        /// Suites that failed, or that did not report.
        red: Vec<&'static str>,
        /// Folders that no engine reads yet.
        unread: Vec<String>,
    },
}

/// # Errors
/// The folder is named but missing or empty, there is no such suite, or Cargo does not start.
pub fn run(repo: &Repo, which: &Which) -> Result<ExitCode> {
    match try_suites(repo, which)? {
        Outcome::NotRun => {
            println!("{NOT_RUN}");
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Ran { red, unread, .. } => {
            for name in unread {
                println!("{name}: NOT RUN, no engine reads it yet");
            }
            for name in &red {
                println!("{name}: FAILED");
            }
            Ok(if red.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Runs one suite, or all that there are.
pub fn try_suites(repo: &Repo, which: &Which) -> Result<Outcome> {
    let suites: Vec<&Suite> = match which {
        Which::All => SUITES.iter().collect(),
        Which::One(name) => vec![suite(name)?],
    };
    let Some(folder) = env::var_os(FOLDER) else { return Ok(Outcome::NotRun) };
    let folder = repo.root().join(folder);
    let unread = match which {
        Which::All => unread(&folder)?,
        Which::One(_) => Vec::new(),
    };
    let (mut score, mut red) = (Score::default(), Vec::new());
    for suite in suites {
        match try_suite(repo, suite, &folder)? {
            Some(cases) => {
                score += cases;
                red.extend((cases.failed > 0).then_some(suite.name));
            }
            None => red.push(suite.name),
        }
    }
    Ok(Outcome::Ran { score, red, unread })
}

/// The folders that no suite reads: of one in which some are read, the others in it.
fn unread(folder: &Path) -> Result<Vec<String>> {
    let read: Vec<&str> = SUITES.iter().filter_map(|suite| suite.folder).collect();
    let mut unread = Vec::new();
    for name in subfolders(folder)? {
        if read.iter().any(|read| read.starts_with(&format!("{name}/"))) {
            let inner = subfolders(&folder.join(&name))?;
            unread.extend(inner.into_iter().map(|inner| format!("{name}/{inner}")));
        } else {
            unread.push(name);
        }
    }
    unread.retain(|name| !read.contains(&name.as_str()));
    Ok(unread)
}

fn suite(name: &str) -> Result<&'static Suite> {
    let known = || SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
    SUITES
        .iter()
        .find(|suite| suite.name == name)
        .with_context(|| format!("no suite `{name}`; there are {}", known()))
}

fn subfolders(folder: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{FOLDER} names {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    if names.is_empty() {
        bail!("{FOLDER} names {}, in which there are no cases", folder.display());
    }
    names.sort();
    Ok(names)
}

/// `None`: a part of the suite broke off, or ran nothing, which is no success.
fn try_suite(repo: &Repo, suite: &Suite, folder: &Path) -> Result<Option<Score>> {
    let at = match suite.folder {
        Some(name) => folder.join(name),
        None => pages(folder)?,
    };
    if !at.is_dir() {
        bail!("{FOLDER} has no folder for `{}`: {}", suite.name, at.display());
    }
    let (mut sum, mut whole) = (Score::default(), true);
    for engine in suite.engines {
        match try_engine(repo, engine, &at)? {
            Some(score) => sum += score,
            None => whole = false,
        }
    }
    Ok(whole.then_some(sum))
}

fn try_engine(repo: &Repo, engine: &Engine, folder: &Path) -> Result<Option<Score>> {
    let ran = |score: &Score| score.passed + score.failed > 0;
    match engine {
        Engine::Binary(run) => Ok(Some(run(repo, folder)?).filter(ran)),
        Engine::Example { package, suites } => {
            let package = format!("--package={package}");
            let args = ["run", "--quiet", &package, "--example=cases", "--"];
            let told = shell::tee(repo.cargo(&args).args(*suites).arg(folder))?;
            let score = score(&told.stdout).filter(ran);
            Ok(score.filter(|score| told.status.success() || score.failed > 0))
        }
    }
}

/// The folder of pages beside the cases; `None`: nobody said where they are.
///
/// # Errors
/// The variable names a folder that is not there.
pub fn pages_given(repo: &Repo) -> Result<Option<PathBuf>> {
    env::var_os(FOLDER).map(|folder| pages(&repo.root().join(folder))).transpose()
}

fn pages(folder: &Path) -> Result<PathBuf> {
    let folder = folder.canonicalize().with_context(|| format!("find {}", folder.display()))?;
    Ok(folder.parent().unwrap_or(&folder).join(PAGES))
}

/// The sum of all lines `NAME: P passed, F failed, S skipped`; `None` when there is none.
fn score(stdout: &str) -> Option<Score> {
    stdout.lines().filter_map(score_line).reduce(|mut sum, line| {
        sum += line;
        sum
    })
}

fn score_line(line: &str) -> Option<Score> {
    let (_, counts) = line.rsplit_once(": ")?;
    let mut counts = counts.split(", ");
    let mut count = |what: &str| counts.next()?.strip_suffix(what)?.trim_end().parse().ok();
    Some(Score { passed: count("passed")?, failed: count("failed")?, skipped: count("skipped")? })
}

/// Tries each, several at once, and answers the failures in their own order.
fn side_by_side<C: Sync, F: Ord + Send>(
    cases: &[C],
    fails: impl Fn(&C) -> Result<Option<F>> + Sync,
) -> Result<Vec<F>> {
    let next = Mutex::new(cases.iter());
    let worker = || -> Result<Vec<F>> {
        let mut failures = Vec::new();
        loop {
            let case = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(case) = case else { return Ok(failures) };
            failures.extend(fails(case)?);
        }
    };
    let mut failures = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(found) => found.map(|found| failures.extend(found)),
            Err(_) => bail!("a worker panicked"),
        })
    })?;
    failures.sort();
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_lines_are_summed() {
        let stdout = "DS07: expected 1, seen 2\ndora: 19 passed, 1 failed, 0 skipped\nmore: 3 passed, 0 failed, 2 skipped\n";
        assert_eq!(score(stdout), Some(Score { passed: 22, failed: 1, skipped: 2 }));
        assert_eq!(score("all good\n"), None);
        assert_eq!(score("dora: many passed, 0 failed, 0 skipped\n"), None);
    }
}
