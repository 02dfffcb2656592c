//! The pages that show pipelines: every workflow, job and step in them is run as it stands, in the wrapper that it
//! needs, by the real `grit run`; the programs that it calls are stand-ins that write down how.
//!
//! A block that looks like a part of a pipeline and is not in the table fails: nothing is passed over.

mod check;
mod table;
mod world;
mod wrap;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, anyhow};

use super::{
    Score,
    seed::{
        self,
        blocks::{self, Block},
    },
    side_by_side,
};
use crate::repo::Repo;
use table::{Case, Entry, Part};
use world::World;

/// What the names of the pages begin with.
const PAGES: &[&str] = &["001", "002", "003", "004"];

/// A case, ready to be run.
struct Trial {
    name: String,
    workflow: String,
    case: &'static Case,
}

/// Runs what the pages of a folder show.
///
/// # Errors
/// A page is missing or does not read, the binary does not build, or a repository cannot be made.
pub fn run(repo: &Repo, folder: &Path) -> Result<Score> {
    let (mut trials, mut failures) = (Vec::new(), Vec::new());
    for page in PAGES {
        let path = seed::page(folder, &format!("{page}_"))?;
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let blocks = blocks::read(&text).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        list(page, &blocks, &mut trials, &mut failures);
    }
    let grit = repo.debug_grit()?;
    failures.extend(try_all(&grit, &trials)?);
    for failure in &failures {
        println!("FAILED {failure}");
    }
    let failed = failures.len() as u64;
    let passed = (trials.len() as u64).saturating_sub(failed);
    println!("seed-workflows: {passed} passed, {failed} failed, 0 skipped");
    Ok(Score { passed, failed, skipped: 0 })
}

/// Finds the entry of every block of a page, and says what there is.
fn list(page: &str, blocks: &[Block], trials: &mut Vec<Trial>, failures: &mut Vec<String>) {
    let (mut counts, mut lines) = (BTreeMap::<&str, usize>::new(), Vec::new());
    let mut seen: Vec<&Entry> = Vec::new();
    let mut jobs = String::new();
    for block in blocks {
        let at = format!("{page} line {} ({})", block.line, block.heading);
        if !wrap::may_be_a_pipeline(block) {
            *counts.entry("in other languages").or_default() += 1;
            continue;
        }
        let is_it = |entry: &&Entry| entry.page == page && entry.heading == block.heading;
        let Some(entry) = table::ENTRIES.iter().find(is_it) else {
            failures.push(format!("{at}: the table does not know this block"));
            continue;
        };
        if seen.iter().any(|other| std::ptr::eq(*other, entry)) {
            failures.push(format!("{at}: two blocks under one heading, and the table knows one"));
            continue;
        }
        seen.push(entry);
        *counts.entry(entry.part.name()).or_default() += 1;
        if let Part::Other(what) = entry.part {
            lines.push(format!("  {at}: not run: {what}"));
            if wrap::is_of_the_service(block) {
                failures
                    .push(format!("{at}: the table says {what}, and it is a part of a workflow"));
            }
            continue;
        }
        if matches!(entry.part, Part::Job) {
            jobs.push_str(&block.text);
        }
        lines.push(format!("  {at}: {}", entry.part.wrapper()));
        let workflow = |case: &Case| wrap::workflow(entry.part, &block.text, case);
        trials.extend(entry.cases.iter().map(|case| trial(&at, case, workflow(case))));
    }
    for entry in table::ENTRIES.iter().filter(|entry| entry.page == page) {
        if entry.part == Part::Together {
            lines.push(format!("  {page} ({}): {}", entry.heading, entry.part.wrapper()));
            let workflow = |case: &Case| wrap::workflow(entry.part, &jobs, case);
            let at = format!("{page} ({})", entry.heading);
            trials.extend(entry.cases.iter().map(|case| trial(&at, case, workflow(case))));
        } else if !seen.iter().any(|other| std::ptr::eq(*other, entry)) {
            failures.push(format!("{page} ({}): no such block on the page", entry.heading));
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    println!("{page}: {} blocks: {}", blocks.len(), counts.join(", "));
    lines.iter().for_each(|line| println!("{line}"));
}

fn trial(at: &str, case: &'static Case, workflow: String) -> Trial {
    Trial { name: format!("{at}, {}", case.name), workflow, case }
}

/// What differs from what is expected.
fn try_all(grit: &Path, trials: &[Trial]) -> Result<Vec<String>> {
    side_by_side(trials, |trial| {
        let seen = World::make(grit, trial)
            .and_then(|world| world.run(trial.case))
            .with_context(|| trial.name.clone())?;
        let problems = check::problems(trial.case, &seen);
        let outcome = if problems.is_empty() { "as expected" } else { "WRONG" };
        let why = trial.case.why.map(|why| format!(", since {why}")).unwrap_or_default();
        println!("{}: {outcome}: {}{why}", trial.name, seen.conclusion);
        Ok((!problems.is_empty()).then(|| format!("{}: {}", trial.name, problems.join("; "))))
    })
}
