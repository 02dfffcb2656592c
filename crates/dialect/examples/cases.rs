//! Runs a conformance suite: `cases github-parse FOLDER`, the folder that holds `cases.json`.
//!
//! Of its cases of kind `parse`, each workflow must be found valid or invalid as the peer finds it,
//! and an error must stand on one of the lines where the peer has them. Prints each failure with
//! expected and seen, and `github-parse: P passed, F failed, S skipped`. Exit 1 where something
//! failed or the suite could not be read.
#![allow(clippy::print_stdout, reason = "the result is what this program is for")]

use std::path::Path;
use std::process::ExitCode;

use grit_diag::{Diagnostics, Severity};
use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [suite, folder] = arguments.as_slice() else {
        println!("usage: cases github-parse FOLDER");
        return ExitCode::FAILURE;
    };
    let result = match suite.as_str() {
        "github-parse" => run(Path::new(folder)),
        other => Err(format!("there is no suite `{other}`")),
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("{suite}: NOT RUN: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path) -> Result<usize, String> {
    let text = read(&folder.join("cases.json"))?;
    let document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = document["cases"].as_array().ok_or("cases.json holds no cases")?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for case in cases {
        if case["kind"] != "parse" {
            skipped += 1;
            continue;
        }
        match check(folder, case)? {
            None => passed += 1,
            Some(problem) => {
                failed += 1;
                println!("{}: {problem}", case["id"].as_str().unwrap_or_default());
            }
        }
    }
    println!("github-parse: {passed} passed, {failed} failed, {skipped} skipped (of another kind)");
    Ok(failed)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn check(folder: &Path, case: &Value) -> Result<Option<String>, String> {
    let file = case["file"].as_str().ok_or("a case names no file")?;
    let text = read(&folder.join(file))?;
    let (plan, diagnostics) = grit_dialect::github::read(file, &text);
    let expect = &case["expect"];
    let valid = expect["valid"].as_bool().unwrap_or(false);
    if valid {
        if diagnostics.has_errors() {
            return Ok(Some(format!("expected valid, seen {}", errors(&diagnostics).join("; "))));
        }
        return Ok(jobs(expect, plan.as_ref()));
    }
    if !diagnostics.has_errors() {
        return Ok(Some(format!("expected invalid ({}), seen valid", expect["errors"])));
    }
    let wanted: Vec<u64> = expect["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["line"].as_u64())
        .collect();
    let seen = lines(&diagnostics);
    if wanted.is_empty() || wanted.iter().all(|line| seen.contains(line)) {
        return Ok(None);
    }
    Ok(Some(format!(
        "expected errors on lines {wanted:?}, seen {}",
        errors(&diagnostics).join("; ")
    )))
}

/// Where the peer lists the jobs, the plan has them with their needs and as many steps.
fn jobs(expect: &Value, plan: Option<&grit_pipeline::plan::Plan>) -> Option<String> {
    let Some(plan) = plan else { return Some("valid, and no plan".to_owned()) };
    for job in expect["jobs"].as_array().into_iter().flatten() {
        let id = job["id"].as_str().unwrap_or_default();
        let found = plan.jobs.values().find(|found| found.key.as_str() == id);
        let Some(found) = found else { return Some(format!("the plan has no job `{id}`")) };
        if job["steps"].as_u64().is_some_and(|steps| steps != found.steps.len() as u64) {
            return Some(format!(
                "job `{id}` has {} steps, not {}",
                found.steps.len(),
                job["steps"]
            ));
        }
        if job["needs"].as_array().is_some_and(|needs| needs.len() != found.needs.len()) {
            return Some(format!("job `{id}` needs {:?}, not {}", found.needs, job["needs"]));
        }
    }
    None
}

fn lines(diagnostics: &Diagnostics) -> Vec<u64> {
    let line = |finding: &&grit_diag::Diagnostic| {
        u64::from(diagnostics.source().position(finding.primary.span).0)
    };
    let errors = diagnostics.sorted().into_iter().filter(|f| f.severity == Severity::Error);
    errors.map(|finding| line(&finding)).collect()
}

fn errors(diagnostics: &Diagnostics) -> Vec<String> {
    let errors = diagnostics.sorted().into_iter().filter(|f| f.severity == Severity::Error);
    let text = |finding: &grit_diag::Diagnostic| {
        let (line, column) = diagnostics.source().position(finding.primary.span);
        format!("{line}:{column} {}", finding.message)
    };
    errors.map(text).collect()
}
