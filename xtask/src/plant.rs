//! Bugs planted on purpose: a guard counts only when it sees the bug that it is there for.

mod header;
mod tree;

use std::{fs::File, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::{cli::Which, repo::Repo};
use header::Plant;
use tree::{Checked, Tree};

/// Where plants are.
pub const FOLDER: &str = "xtask/plants";

/// How much of a check's output is shown when its plant was not caught.
const SHOWN_LINES: usize = 30;

#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    List,
    Try { which: Which, verify_clean: bool },
}

/// What became of one plant.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// The check failed as it should; the line in which it says so.
    Caught(String),
    /// The check passed with the bug in place: it guards nothing.
    Missed,
    /// The patch, or the check, says nothing about the guard.
    Unusable(String),
}

/// # Errors
/// No such plant, a header that does not read, or git does not do its part.
pub fn run(repo: &Repo, request: &Request) -> Result<ExitCode> {
    let plants = plants(repo)?;
    match request {
        Request::List => {
            for plant in plants {
                println!("{:<28} {}\n{:<28} {}", plant.name, plant.why, "", plant.check.join(" "));
            }
            Ok(ExitCode::SUCCESS)
        }
        Request::Try { which: Which::All, verify_clean } => {
            try_plants(repo, &plants, *verify_clean)
        }
        Request::Try { which: Which::One(name), verify_clean } => {
            let chosen: Vec<Plant> =
                plants.into_iter().filter(|plant| plant.name == *name).collect();
            if chosen.is_empty() {
                bail!(
                    "no plant `{name}` in {FOLDER}; `cargo xtask plant --list` shows those there are"
                );
            }
            try_plants(repo, &chosen, *verify_clean)
        }
    }
}

fn plants(repo: &Repo) -> Result<Vec<Plant>> {
    let mut plants = Vec::new();
    for path in repo.files(FOLDER, "patch")? {
        let text = repo.read(&path)?.with_context(|| format!("{path} vanished"))?;
        plants.push(header::parse(&repo.path(&path), &text).with_context(|| path.clone())?);
    }
    if plants.is_empty() {
        bail!("there is no plant in {FOLDER}");
    }
    Ok(plants)
}

fn try_plants(repo: &Repo, plants: &[Plant], verify_clean: bool) -> Result<ExitCode> {
    let target = repo.path("target/plants");
    std::fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
    // Cargo tells fresh from stale by modification times, so two worktrees must not build into one folder at a time.
    let lock = File::create(target.join("plants.lock")).context("create the lock file")?;
    lock.lock().context("wait for another `cargo xtask plant`")?;
    if !repo.git(&["status", "--porcelain"]).output().context("start git status")?.stdout.is_empty()
    {
        println!("plant: what is not committed is not part of what is tried");
    }

    let tree = Tree::at_head(repo, &target)?;
    let mut fates = Vec::new();
    for plant in plants {
        println!("plant: {} — {}", plant.name, plant.check.join(" "));
        let fate = try_plant(&tree, plant, verify_clean)?;
        tree.clean()?;
        fates.push((plant, fate));
    }
    drop(tree);
    report(&fates);
    let all_caught = fates.iter().all(|(_, fate)| matches!(fate, Fate::Caught(_)));
    Ok(if all_caught { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn try_plant(tree: &Tree, plant: &Plant, verify_clean: bool) -> Result<Fate> {
    if verify_clean {
        let checked = tree.check(&plant.check)?;
        if checked.code != Some(0) {
            show_end(&checked);
            return Ok(Fate::Unusable("the check fails without the bug as well".into()));
        }
    }
    if let Err(why) = tree.apply(&plant.patch)? {
        return Ok(Fate::Unusable(format!("the patch no longer applies: {why}")));
    }
    let checked = tree.check(&plant.check)?;
    let fate = judge(&checked, plant.expect.as_deref());
    if !matches!(fate, Fate::Caught(_)) {
        show_end(&checked);
    }
    Ok(fate)
}

/// A check has caught the bug when it failed and its output shows that it was the guard that failed, and not the
/// compiler or a mistyped command.
fn judge(checked: &Checked, expect: Option<&str>) -> Fate {
    let evidence = expect.unwrap_or("test result: FAILED");
    if checked.code == Some(0) {
        return Fate::Missed;
    }
    if checked.timed_out {
        return Fate::Unusable("the check hangs; give what it waits for a deadline".into());
    }
    // A denied lint stops the compiler too, so what is expected counts before that; a mistake in the code does not.
    if let Some(line) = checked.output.lines().find(|line| line.starts_with("error[E")) {
        Fate::Unusable(format!("the planted code does not compile: {line}"))
    } else if let Some(line) = checked.output.lines().find(|line| line.contains(evidence)) {
        Fate::Caught(line.trim().to_owned())
    } else if checked.output.contains("error: could not compile") {
        Fate::Unusable("the planted code does not compile".into())
    } else {
        Fate::Unusable(format!("the check failed without saying `{evidence}`"))
    }
}

fn show_end(checked: &Checked) {
    let lines: Vec<&str> = checked.output.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        println!("    {line}");
    }
}

fn report(fates: &[(&Plant, Fate)]) {
    let width = fates.iter().map(|(plant, _)| plant.name.len()).max().unwrap_or(0);
    println!();
    for (plant, fate) in fates {
        let (word, detail) = match fate {
            Fate::Caught(line) => ("caught", line.as_str()),
            Fate::Missed => ("MISSED", "the check passes with the bug in place"),
            Fate::Unusable(why) => ("UNUSABLE", why.as_str()),
        };
        println!("{:<width$}  {word:<8}  {detail}", plant.name);
    }
    let caught = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Caught(_))).count();
    println!("plant: {caught} of {} caught", fates.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: Option<i32>, output: &str, expect: Option<&str>) -> Fate {
        judge(&Checked { code, timed_out: false, output: output.into() }, expect)
    }

    #[test]
    fn only_a_failing_guard_is_a_catch() {
        let failed =
            "running 1 test\ntest result: FAILED. 0 passed; 1 failed\nerror: test failed\n";
        assert!(
            matches!(judged(Some(101), failed, None), Fate::Caught(line) if line.starts_with("test result: FAILED"))
        );
        let tidy = "tidy: 1 violation\n";
        assert!(matches!(judged(Some(1), tidy, Some("1 violation")), Fate::Caught(_)));
        assert_eq!(judged(Some(0), "test result: ok. 0 passed", None), Fate::Missed);
        for output in [
            "error[E0308]: mismatched types\nerror: could not compile `x`\n",
            "error: unexpected token\nerror: could not compile `x`\n",
            "error: package ID specification `grit-x` did not match any packages\n",
            "",
        ] {
            assert!(matches!(judged(Some(101), output, None), Fate::Unusable(_)), "{output}");
        }
    }

    #[test]
    fn what_a_plant_expects_must_be_said() {
        let failed = "oracle: weight out of bounds\ntest result: FAILED. 0 passed; 1 failed\n";
        assert!(matches!(judged(Some(101), failed, Some("weight out of bounds")), Fate::Caught(_)));
        assert!(matches!(judged(Some(101), failed, Some("acknowledged twice")), Fate::Unusable(_)));
        let lint = "error: use of a disallowed method\nerror: could not compile `x`\n";
        assert!(matches!(judged(Some(101), lint, Some("disallowed method")), Fate::Caught(_)));
    }

    #[test]
    fn a_hanging_check_is_no_catch() {
        let hung = Checked { code: None, timed_out: true, output: "test result: FAILED".into() };
        assert!(matches!(judge(&hung, None), Fate::Unusable(_)));
    }
}
