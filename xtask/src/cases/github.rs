//! Workflows that are run, each in a repository of its own, by the real `grit run`; and what must come of it.

mod check;
mod world;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::{Score, side_by_side};
use crate::repo::Repo;

/// One case as the file has it.
#[derive(Deserialize)]
pub struct Case {
    id: String,
    kind: String,
    #[serde(default)]
    dir: String,
    #[serde(default)]
    workflow: String,
    #[serde(default)]
    event: String,
    #[serde(rename = "ref", default)]
    ref_name: Option<String>,
    #[serde(default)]
    event_payload: Value,
    #[serde(default)]
    inputs: serde_json::Map<String, Value>,
    #[serde(default)]
    secrets: serde_json::Map<String, Value>,
    #[serde(default)]
    vars: serde_json::Map<String, Value>,
    #[serde(default)]
    changed_files: Option<Vec<String>>,
    /// Labels of runners that stand for this machine.
    #[serde(default)]
    runner_map: serde_json::Map<String, Value>,
    expect: Value,
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Value>,
}

/// Runs every case of kind `run` in the folder.
///
/// # Errors
/// The cases do not read, the binary does not build, or a repository cannot be made.
pub fn run(repo: &Repo, folder: &Path) -> Result<Score> {
    let path = folder.join("cases.json");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let all: Cases = serde_json::from_str(&text).context("cases.json")?;
    let mut cases = Vec::new();
    for case in all.cases.into_iter().filter(|case| case["kind"] == "run") {
        cases.push(serde_json::from_value::<Case>(case).context("a case of cases.json")?);
    }
    let grit = repo.debug_grit()?;
    let failures = try_all(&grit, folder, &cases)?;
    for (id, problems) in &failures {
        println!("{id}: {}", problems.join("; "));
    }
    let failed = failures.len() as u64;
    let passed = cases.len() as u64 - failed;
    println!("github-run: {passed} passed, {failed} failed, 0 skipped");
    Ok(Score { passed, failed, skipped: 0 })
}

type Failure = (String, Vec<String>);

fn try_all(grit: &Path, folder: &Path, cases: &[Case]) -> Result<Vec<Failure>> {
    side_by_side(cases, |case| {
        let problems = try_case(grit, folder, case).with_context(|| case.id.clone())?;
        Ok((!problems.is_empty()).then(|| (case.id.clone(), problems)))
    })
}

/// What differs from what is expected.
fn try_case(grit: &Path, folder: &Path, case: &Case) -> Result<Vec<String>> {
    debug_assert_eq!(case.kind, "run");
    let world = world::World::new(grit, &folder.join(&case.dir))?;
    let times = case.expect["runs"].as_u64().unwrap_or(1);
    let mut problems = Vec::new();
    for time in 1..=times {
        let seen = world.run(case)?;
        let ordinal = (times > 1).then_some(time);
        problems.extend(check::problems(&case.expect, &seen, ordinal));
    }
    Ok(problems)
}
