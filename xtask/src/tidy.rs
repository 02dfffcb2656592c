//! What a compiler does not check: layers, sizes, forgotten files, forbidden words and dependencies,
//! documents that no longer tell the truth, plants that fit nowhere.
//!
//! Every check reads, none writes; all violations are collected and printed in order, each with its place
//! and its remedy.

mod deps;
mod docs;
mod graph;
mod modules;
mod plants;
mod pure;
mod readme;
mod sizes;
mod source;
mod words;

use std::{fmt, process::ExitCode};

use anyhow::{Context, Result};

use crate::repo::Repo;
use source::Source;

pub use readme::check as readme_commands;

/// The folders whose Rust files are ours.
const RUST_FOLDERS: &[&str] = &["crates", "examples", "xtask"];

/// One place that breaks a rule of the house, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    path: String,
    line: usize,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// What the checks found so far.
#[derive(Default)]
pub struct Findings(Vec<Violation>);

impl Findings {
    /// Lines count from 1; what concerns a whole file stands at line 1.
    fn add(&mut self, path: &str, line: usize, message: impl Into<String>) {
        self.0.push(Violation { path: path.to_owned(), line, message: message.into() });
    }

    /// Prints every violation in order, then the count; true when there is none.
    pub fn report(mut self) -> bool {
        self.0.sort();
        for violation in &self.0 {
            println!("{violation}");
        }
        match self.0.len() {
            0 => println!("tidy: clean"),
            1 => println!("tidy: 1 violation"),
            many => println!("tidy: {many} violations"),
        }
        self.0.is_empty()
    }

    #[cfg(test)]
    fn lines(&self) -> Vec<String> {
        self.0.iter().map(Violation::to_string).collect()
    }
}

/// # Errors
/// A file cannot be read, or Cargo or git does not start.
pub fn run(repo: &Repo) -> Result<ExitCode> {
    let mut findings = check(repo)?;
    if !readme_commands(repo, &mut findings)? {
        println!(
            "tidy: README's `grit` lines were not tried: no debug binary (cargo build -p grit)"
        );
    }
    Ok(if findings.report() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that needs no binary of ours.
pub fn check(repo: &Repo) -> Result<Findings> {
    let mut findings = Findings::default();
    let metadata = repo.metadata()?;
    graph::check(repo, &metadata, &mut findings)?;
    deps::check(repo, &mut findings)?;
    docs::check(repo, &mut findings)?;
    plants::check(repo, &mut findings)?;

    let sources = sources(repo)?;
    for source in &sources {
        sizes::check(source, &mut findings);
        words::check(source, &mut findings);
        pure::check(source, &mut findings);
    }
    sizes::check_exceptions(&sources, &mut findings);
    modules::check(&sources, &mut findings);
    Ok(findings)
}

fn sources(repo: &Repo) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in RUST_FOLDERS {
        for path in repo.files(folder, "rs")? {
            let text = repo.read(&path)?.with_context(|| format!("{path} vanished"))?;
            sources.push(Source::new(path, text));
        }
    }
    Ok(sources)
}
