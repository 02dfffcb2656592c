//! Runs a conformance suite: `cases github-parse FOLDER`, the folder that holds `cases.json`.
//!
//! Of its cases of kind `parse`, each workflow, with those that it calls, must be found valid or
//! invalid as the peer finds it; there must be an error on each line where the peer has one, and the
//! plan must have the peer's jobs. Prints each failure with
//! expected and seen, and `github-parse: P passed, F failed, S skipped`. Exit 1 where something
//! failed or the suite could not be read.
#![allow(clippy::print_stdout, reason = "the result is what this program is for")]

use std::path::Path;
use std::process::ExitCode;

use grit_diag::{Diagnostic, Diagnostics, Severity};
use grit_dialect::github::{Policy, link};
use grit_pipeline::plan::{Access, Permissions, Plan};
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

/// Cases that are not counted, and why.
const SKIPPED: &[(&str, &str)] = &[(
    "parse/events-single-invalid",
    "an unknown key of `workflow_dispatch` is refused by the editor's parser, whose case this is; \
     the service's own ignores it, as `parse/on-workflow_dispatch-unknown-keys-ignored` shows",
)];

fn run(folder: &Path) -> Result<usize, String> {
    let text = read(&folder.join("cases.json"))?;
    let document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = document["cases"].as_array().ok_or("cases.json holds no cases")?;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for case in cases.iter().filter(|case| case["kind"] == "parse") {
        if let Some((id, why)) = SKIPPED.iter().find(|(id, _)| case["id"] == *id) {
            println!("{id}: skipped: {why}");
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
    println!("github-parse: {passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn check(folder: &Path, case: &Value) -> Result<Option<String>, String> {
    let file = case["file"].as_str().ok_or("a case names no file")?;
    let path = case["as_path"].as_str().unwrap_or(file);
    let (plan, findings) = linked(folder, case, path, &read(&folder.join(file))?);
    let expect = &case["expect"];
    let has_errors = findings.iter().any(Diagnostics::has_errors);
    if expect["valid"].as_bool().unwrap_or(false) {
        if has_errors {
            return Ok(Some(format!("expected valid, seen {}", errors(&findings).join("; "))));
        }
        return Ok(jobs(&expect["plan"], plan.as_ref()));
    }
    if !has_errors {
        return Ok(Some(format!("expected invalid ({}), seen valid", expect["errors"])));
    }
    let place = |error: &Value| {
        let file = error["file"].as_str().unwrap_or(path);
        error["line"].as_u64().map(|line| (file.to_owned(), line))
    };
    let wanted: Vec<(String, u64)> =
        expect["errors"].as_array().into_iter().flatten().filter_map(place).collect();
    let seen = lines(&findings);
    if wanted.iter().all(|line| seen.contains(line)) {
        return Ok(None);
    }
    Ok(Some(format!("expected errors at {wanted:?}, seen {}", errors(&findings).join("; "))))
}

/// The workflow with those that it calls, which lie beside it, and the findings of each file.
fn linked(folder: &Path, case: &Value, path: &str, text: &str) -> (Option<Plan>, Vec<Diagnostics>) {
    let (mut plan, mut own) = grit_dialect::github::read(path, text);
    let mut load = |uses: &str| {
        let text = read(&folder.join(case["reusable"][uses].as_str()?)).ok()?;
        Some(grit_dialect::github::read(uses, &text))
    };
    let permissions = case["default_permissions"].as_str().map(|_| limited_read());
    let policy = Policy { permissions };
    let mut findings = Vec::new();
    if let Some(plan) = plan.as_mut().filter(|_| !own.has_errors()) {
        findings = link(plan, &mut own, &policy, &mut load);
    }
    findings.push(own);
    (plan, findings)
}

/// What a job may do in a repository that gives little by default.
fn limited_read() -> Permissions {
    let read = |scope: &str| (scope.to_owned(), Access::Read);
    Permissions { scopes: ["contents", "packages"].map(read).into(), ..Permissions::default() }
}

/// The plan has the jobs that the peer lists, with their needs and as many steps.
fn jobs(expect: &Value, plan: Option<&Plan>) -> Option<String> {
    let Some(plan) = plan else { return Some("valid, and no plan".to_owned()) };
    for job in expect["jobs"].as_array().into_iter().flatten() {
        let id = job["id"].as_str().unwrap_or_default();
        let found = plan.jobs.values().find(|found| found.key.as_str() == id);
        let Some(found) = found else { return Some(format!("the plan has no job `{id}`")) };
        let counts = [("steps", found.steps.len()), ("needs", found.needs.len())];
        for (what, seen) in counts {
            if job[what].as_array().is_some_and(|wanted| wanted.len() != seen) {
                return Some(format!("job `{id}` has {seen} {what}, not {}", job[what]));
            }
        }
        let called = found.call.as_ref().map(|call| call.uses.as_str());
        if job["ref"].as_str() != called {
            return Some(format!("job `{id}` calls {called:?}, not {}", job["ref"]));
        }
        let inner = called.and_then(|uses| plan.called.get(uses));
        if job["jobs"].is_array()
            && let Some(problem) = jobs(job, inner)
        {
            return Some(problem);
        }
    }
    None
}

fn lines(findings: &[Diagnostics]) -> Vec<(String, u64)> {
    let of_file = |diagnostics: &Diagnostics| {
        let source = diagnostics.source().clone();
        let line = |finding: &Diagnostic| {
            (source.name().to_owned(), u64::from(source.position(finding.primary.span).0))
        };
        let errors = diagnostics.sorted().into_iter().filter(|f| f.severity == Severity::Error);
        errors.map(line).collect::<Vec<_>>()
    };
    findings.iter().flat_map(of_file).collect()
}

fn errors(findings: &[Diagnostics]) -> Vec<String> {
    let of_file = |diagnostics: &Diagnostics| {
        let source = diagnostics.source().clone();
        let text = |finding: &Diagnostic| {
            let (line, column) = source.position(finding.primary.span);
            format!("{}:{line}:{column} {}", source.name(), finding.message)
        };
        let errors = diagnostics.sorted().into_iter().filter(|f| f.severity == Severity::Error);
        errors.map(text).collect::<Vec<_>>()
    };
    findings.iter().flat_map(of_file).collect()
}
