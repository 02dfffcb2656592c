//! Published packages with the workflow that their authors wrote: run by Grit, and beside it by hand.
//!
//! They come through Cargo, at one version each, with what their own tests need. Before that every workflow in
//! Cargo's download folder is parsed.

mod fetch;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{repo::Repo, shell};

/// A package and the job of its workflow that is run.
struct Package {
    name: &'static str,
    version: &'static str,
    job: &'static str,
    matrix: Option<&'static str>,
    /// What the job's steps come to, for the toolchain at hand.
    by_hand: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package {
        name: "hashlink",
        version: "0.12.2",
        job: "test",
        matrix: Some("rust=stable"),
        by_hand: &["cargo test --locked --all-features"],
    },
    Package {
        name: "scopeguard",
        version: "1.2.0",
        job: "build",
        matrix: Some("rust=stable"),
        by_hand: &["cargo build", "cargo test", "cargo test --no-default-features"],
    },
    Package {
        name: "http",
        version: "1.5.0",
        job: "test",
        matrix: Some("rust=stable"),
        by_hand: &["cargo test"],
    },
];

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of each package on each side; the times are medians.
    pub rounds: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

/// One way of running a package's tests.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    success: bool,
    tests: Tests,
    took: Duration,
}

/// From the `test result:` lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tests {
    passed: u64,
    failed: u64,
}

/// # Errors
/// A package cannot be fetched, or a program does not start: then nothing was compared.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    let binary = repo.grit(settings.binary.as_deref())?;
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let sources = fetch::all(folder.path())?;
    let at = Place { binary, folder: folder.path().to_owned() };
    parse_downloads(repo, &sources[0])?;
    println!(
        "package             jobs planned  run  tests: Grit  by hand  result   Grit    by hand  ratio"
    );
    let mut agree = true;
    for (package, source) in PACKAGES.iter().zip(&sources) {
        let line = compare(&at, package, source, settings.rounds)
            .with_context(|| format!("{} {}", package.name, package.version))?;
        agree &= line.agrees;
        println!("{}", line.text);
    }
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// With what, and where.
struct Place {
    binary: PathBuf,
    folder: PathBuf,
}

struct Line {
    agrees: bool,
    text: String,
}

/// Both sides compile everything anew, in a folder of their own; who goes first alternates, since the second finds more
/// in memory.
fn compare(at: &Place, package: &Package, source: &Path, rounds: u64) -> Result<Line> {
    let (mut ours, mut hand, mut jobs) = (Vec::new(), Vec::new(), Jobs { planned: 0, run: 0 });
    for round in 0..rounds {
        let mut by_hand = || -> Result<()> {
            let checkout = fetch::repository(source, &at.folder.join("hand"))?;
            hand.push(self::by_hand(package, &checkout)?);
            Ok(fs::remove_dir_all(checkout)?)
        };
        if round % 2 == 0 {
            by_hand()?;
        }
        let checkout = fetch::repository(source, &at.folder.join(package.name))?;
        let (ran, of) = by_grit(at, package, &checkout)?;
        fs::remove_dir_all(checkout)?;
        ours.push(ran);
        jobs = of;
        if round % 2 == 1 {
            by_hand()?;
        }
    }
    Ok(line(package, &jobs, &mut ours, &mut hand))
}

fn line(package: &Package, jobs: &Jobs, ours: &mut [Ran], hand: &mut [Ran]) -> Line {
    let (first, told) = (&ours[0], &hand[0]);
    let same = |ran: &Ran| ran.success == told.success && ran.tests == told.tests;
    let agrees = ours.iter().chain(hand.iter()).all(same) && jobs.run > 0;
    let result = match (agrees, first.success) {
        (false, _) => "DIFFERS",
        (true, true) => "green",
        (true, false) => "red",
    };
    let counts = (first.tests.total(), told.tests.total());
    let (ours, hand) = (median(ours), median(hand));
    let text = format!(
        "{:<20}{:>12}{:>5}{:>13}{:>9}  {result:<7}{ours:>5.1} s{hand:>9.1} s{:>7.2}",
        format!("{}-{}", package.name, package.version),
        jobs.planned,
        jobs.run,
        counts.0,
        counts.1,
        ours / hand,
    );
    Line { agrees, text }
}

/// Of the times, in seconds.
fn median(ran: &mut [Ran]) -> f64 {
    ran.sort_by_key(|ran| ran.took);
    ran[ran.len() / 2].took.as_secs_f64()
}

fn by_hand(package: &Package, folder: &Path) -> Result<Ran> {
    let began = Instant::now();
    let (mut success, mut tests) = (true, Tests::default());
    for line in package.by_hand {
        let words = shell::words(line).context("a quote is open")?;
        let mut command = clean(&words[0]);
        let told = command.args(&words[1..]).current_dir(folder).output()?;
        tests.add(&String::from_utf8_lossy(&told.stdout));
        success &= told.status.success();
        if !success {
            break;
        }
    }
    Ok(Ran { success, tests, took: began.elapsed() })
}

/// Jobs of the whole workflow, and those that were run.
struct Jobs {
    planned: usize,
    run: usize,
}

fn by_grit(at: &Place, package: &Package, checkout: &Path) -> Result<(Ran, Jobs)> {
    let mut command = clean(&at.binary);
    command.args(["run", "--json", "--job", package.job]).current_dir(checkout);
    if let Some(matrix) = package.matrix {
        command.args(["--matrix", matrix]);
    }
    command.arg("--data").arg(at.folder.join("data"));
    let began = Instant::now();
    let told = command.env("GRIT_VERBOSE", "1").output().context("start grit")?;
    let took = began.elapsed();
    let said = String::from_utf8_lossy(&told.stderr);
    let report: Value = serde_json::from_slice(&told.stdout).with_context(|| said.to_string())?;
    let mut tests = Tests::default();
    tests.add(&said);
    if !told.status.success() {
        println!("{}", said.trim());
    }
    Ok((Ran { success: told.status.success(), tests, took }, jobs(&report)))
}

fn jobs(report: &Value) -> Jobs {
    let runs = report["data"].as_array().into_iter().flatten();
    let jobs: Vec<&Value> = runs.filter_map(|run| run["jobs"].as_array()).flatten().collect();
    let ran = |job: &&&Value| matches!(job["ending"].as_str(), Some("success" | "failure"));
    Jobs { planned: jobs.len(), run: jobs.iter().filter(ran).count() }
}

/// Without what Cargo and rustup set for this program: both sides find the machine's own toolchain.
fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("CARGO") && text != "CARGO_HOME";
        if ours || text.starts_with("RUSTUP_TOOLCHAIN") || text.starts_with("RUSTFLAGS") {
            command.env_remove(&name);
        }
    }
    command
}

impl Tests {
    /// `test result: ok. 23 passed; 0 failed; 0 ignored; …`, once for each program of tests.
    fn add(&mut self, output: &str) {
        for line in output.lines().filter(|line| line.contains("test result:")) {
            let number = |label: &str| {
                let before = line.split_once(label)?.0;
                before.split_whitespace().next_back()?.parse::<u64>().ok()
            };
            self.passed += number(" passed").unwrap_or_default();
            self.failed += number(" failed").unwrap_or_default();
        }
    }

    fn total(self) -> u64 {
        self.passed + self.failed
    }
}

/// Every workflow of the folder that `source`, one package's, is in.
fn parse_downloads(repo: &Repo, source: &Path) -> Result<()> {
    let registry = source.parent().context("a package lies in a folder")?;
    let mut files = workflows(registry)?;
    files.sort();
    let mut command = repo.cargo(&["run", "-q", "-p", "grit-dialect", "--example", "parse"]);
    let mut child = command.stdin(Stdio::piped()).spawn().context("start the parser")?;
    let mut input = child.stdin.take().context("the parser has an input")?;
    for file in &files {
        writeln!(input, "{}", file.display())?;
    }
    drop(input);
    println!("{} workflow files of published packages:", files.len());
    // What is refused is told, and is no failure of this comparison.
    child.wait()?;
    Ok(())
}

fn workflows(registry: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for package in fs::read_dir(registry)? {
        let folder = package?.path().join(".github/workflows");
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let yaml = |path: &PathBuf| path.extension().is_some_and(|e| e == "yml" || e == "yaml");
        found.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(yaml));
    }
    ensure!(!found.is_empty(), "no package in {} has a workflow", registry.display());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tests_are_counted_over_all_programs() {
        let mut tests = Tests::default();
        tests.add(
            "running 2 tests\ntest result: ok. 23 passed; 0 failed; 1 ignored; 0 measured\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored\n",
        );
        assert_eq!(tests, Tests { passed: 26, failed: 2 });
        assert_eq!(tests.total(), 28);
    }

    #[test]
    fn a_skipped_job_is_planned_and_not_run() {
        let report = json!({"data": [{"jobs": [
            {"ending": "success"}, {"ending": "skipped"}, {"ending": "failure"}, {"ending": null},
        ]}]});
        let jobs = jobs(&report);
        assert_eq!((jobs.planned, jobs.run), (4, 2));
    }
}
