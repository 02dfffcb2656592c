//! Reports of tests, coverage and scanners: read, shown, and kept beside the step's log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use grit_host::durable;
use grit_insight::coverage::{self, Coverage};
use grit_insight::suite::{self, Case, Totals};
use grit_pipeline::Conclusion;
use serde_json::{Value, json};

use super::{Given, Inputs, Stop, matching};
use crate::host::blocking;
use crate::host::log;
use crate::host::step::Attempt;

/// So many files of a report are read.
const FILES_MAX: usize = 2_000;
/// So many failures or findings are annotated.
const ANNOTATIONS_MAX: usize = 50;
/// Longest part of a failure's text in an annotation, in bytes.
const TEXT_BYTES_MAX: usize = 2 << 10;

/// Where the action looks for coverage when nobody says.
const COVERAGE_FILES: [&str; 8] = [
    "**/coverage.xml",
    "**/cobertura.xml",
    "**/cobertura-coverage.xml",
    "**/lcov.info",
    "**/*.lcov",
    "**/jacoco*.xml",
    "**/coverage.lcov",
    "**/llvm-cov.json",
];

/// The actions that report tests: their files are read, failures annotated, and the step fails where
/// the action itself would.
pub(super) async fn tests(
    at: &Attempt,
    action: &str,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let manners = Manners::of(action, inputs)?;
    let files = matching(at, manners.patterns.clone()).await?;
    if files.len() > FILES_MAX {
        return Err(format!("more than {FILES_MAX} files of test results are not read").into());
    }
    if files.is_empty() {
        let text = format!("no file of test results matches {}", manners.patterns.join(", "));
        if manners.fails_without {
            return Err(text.into());
        }
        at.announce("warning", "Tests", &text).await?;
    }
    let mut cases = Vec::new();
    for file in &files {
        let text = at.text_of(file).await?.unwrap_or_default();
        cases.extend(suite::read(&text).map_err(|error| format!("{file}: {error}"))?);
    }
    let totals = Totals::of(&cases);
    annotate(at, &cases).await?;
    at.summarise(&summary(inputs.or("name", inputs.or("check_name", "Tests")), &cases, totals))
        .await?;
    keep(at, "tests.json", &json!({"v": 1, "totals": totals, "cases": cases})).await?;
    outputs(totals, given);
    at.say(&format!(
        "{} tests in {} files: {} passed, {} failed, {} skipped, {} flaky",
        totals.total,
        files.len(),
        totals.passed,
        totals.failed,
        totals.skipped,
        totals.flaky
    ))
    .await?;
    if totals.total == 0 && manners.fails_without {
        return Err("the files of test results have no test in them".to_owned().into());
    }
    Ok(Conclusion::Exited(i32::from(totals.failed > 0 && manners.fails_on_failure)))
}

/// How an action is told what to read and when to fail.
struct Manners {
    patterns: Vec<String>,
    fails_on_failure: bool,
    fails_without: bool,
}

impl Manners {
    fn of(action: &str, inputs: &Inputs<'_>) -> Result<Self, Stop> {
        let list = |name: &str, default: &str| match inputs.get(name) {
            Some(_) => inputs.list(name),
            None => vec![default.to_owned()],
        };
        Ok(match action {
            "dorny/test-reporter" => {
                let form = inputs.or("reporter", "java-junit");
                if !["java-junit", "jest-junit", "python-xunit"].contains(&form) {
                    return Err(format!(
                        "test results of the form `{form}` are not read: JUnit's are"
                    )
                    .into());
                }
                if inputs.get("path").is_none() {
                    return Err("dorny/test-reporter needs `path`".to_owned().into());
                }
                Self {
                    patterns: inputs.list("path"),
                    fails_on_failure: inputs.get("fail-on-error") != Some("false"),
                    fails_without: inputs.get("fail-on-empty") != Some("false"),
                }
            }
            "mikepenz/action-junit-report" => Self {
                patterns: list("report_paths", "**/junit-reports/TEST-*.xml"),
                fails_on_failure: inputs.is_on("fail_on_failure"),
                fails_without: inputs.is_on("require_tests"),
            },
            // Its check fails, and the step does where it is told to.
            _ => Self {
                patterns: [inputs.list("files"), inputs.list("junit_files")].concat(),
                fails_on_failure: inputs.is_on("action_fail"),
                fails_without: inputs.is_on("action_fail_on_inconclusive"),
            },
        })
    }
}

fn outputs(totals: Totals, given: &mut Given) {
    let conclusion = if totals.failed > 0 { "failure" } else { "success" };
    given.output("conclusion", conclusion);
    for (name, value) in [
        ("total", totals.total),
        ("passed", totals.passed),
        ("failed", totals.failed),
        ("skipped", totals.skipped),
        ("flaky", totals.flaky),
    ] {
        given.output(name, value.to_string());
    }
    given.output("time", totals.millis.to_string());
    let stats = json!({
        "tests": totals.total, "tests_succ": totals.passed, "tests_fail": totals.failed,
        "tests_skip": totals.skipped, "tests_error": 0,
    });
    given.output("json", json!({"conclusion": conclusion, "stats": stats}).to_string());
}

async fn annotate(at: &Attempt, cases: &[Case]) -> Result<(), Stop> {
    let failed = cases.iter().filter_map(|case| case.failure().map(|text| (case, text)));
    for (case, text) in failed.take(ANNOTATIONS_MAX) {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let text = format!("{} failed: {text}", case.full_name());
        annotation(at, "error", "Test", case.file.as_deref(), case.line, &text).await?;
    }
    Ok(())
}

async fn annotation(
    at: &Attempt,
    level: &str,
    title: &str,
    file: Option<&str>,
    line: Option<u32>,
    text: &str,
) -> Result<(), Stop> {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut properties = format!("title={}", property(title));
    // Writing to a String cannot fail.
    if let Some(file) = file {
        let _ = write!(properties, ",file={}", property(file));
    }
    if let Some(line) = line {
        let _ = write!(properties, ",line={line}");
    }
    Ok(at.emit(&format!("::{level} {properties}::{}\n", data(text))).await?)
}

fn summary(name: &str, cases: &[Case], totals: Totals) -> String {
    let Totals { total, passed, failed, skipped, flaky, .. } = totals;
    let mut text = format!(
        "### {name}\n\n| tests | passed | failed | skipped | flaky |\n|---|---|---|---|---|\n\
         | {total} | {passed} | {failed} | {skipped} | {flaky} |\n"
    );
    let bad = cases.iter().filter(|case| case.failure().is_some() || case.is_flaky());
    for case in bad.take(ANNOTATIONS_MAX) {
        let word = if case.is_flaky() { "flaky" } else { "failed" };
        let _ = writeln!(text, "- {word}: `{}`", case.full_name().replace('`', "'"));
    }
    text
}

/// `codecov/codecov-action`: the reports are read and merged; sending them is not done, and said.
pub(super) async fn codecov(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let named = [inputs.list("files"), inputs.list("file")].concat();
    let folder = inputs.get("directory").map(|folder| folder.trim_matches('/').to_owned());
    let patterns = match (named.is_empty(), folder) {
        (false, _) => named.clone(),
        (true, Some(folder)) => COVERAGE_FILES.map(|name| format!("{folder}/{name}")).to_vec(),
        (true, None) => COVERAGE_FILES.map(str::to_owned).to_vec(),
    };
    let files = matching(at, patterns.clone()).await?;
    let must = inputs.is_on("fail_ci_if_error");
    let mut merged = Coverage::default();
    let mut problems = Vec::new();
    if files.is_empty() {
        problems.push(format!("no report of coverage matches {}", patterns.join(", ")));
    }
    for file in files.iter().take(FILES_MAX) {
        let text = at.text_of(file).await?.unwrap_or_default();
        match coverage::read(&text) {
            Ok(one) => merged.merge(one),
            Err(error) => problems.push(format!("{file}: {error}")),
        }
    }
    if must && !problems.is_empty() {
        return Err(problems.join("; ").into());
    }
    for problem in &problems {
        at.announce("warning", "Coverage", problem).await?;
    }
    let share = merged.share();
    let line = format!("coverage of {share}, from {}", files.join(", "));
    at.say(&format!("Not delivered: {line}")).await?;
    at.announce("notice", "Not delivered", &line).await?;
    at.summarise(&format!("### Coverage\n\n{share}\n")).await?;
    given.output("lines-covered", share.covered.to_string());
    given.output("lines-total", share.total.to_string());
    if let Some(percent) = share.percent() {
        given.output("coverage", format!("{percent:.2}"));
    }
    keep(at, "coverage.json", &json!({"v": 1, "coverage": merged})).await?;
    Ok(Conclusion::Exited(0))
}

/// `github/codeql-action/upload-sarif`: the findings are shown and kept with the run. `fail-on`
/// (`error`, `warning`, `note`), which the service does not know, makes a gate of it.
pub(super) async fn sarif(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let path = inputs.or("sarif_file", "../results").trim_start_matches("../");
    let mut files = matching(at, vec![path.to_owned()]).await?;
    files.retain(|file| file == path || file.ends_with(".sarif") || file.ends_with(".json"));
    if files.is_empty() {
        return Err(format!("there is no `{path}` in the workspace").into());
    }
    let mut findings = Vec::new();
    for file in files.iter().take(FILES_MAX) {
        let text = at.text_of(file).await?.unwrap_or_default();
        let document: Value =
            serde_json::from_str(&text).map_err(|error| format!("{file} is no SARIF: {error}"))?;
        let runs = document["runs"].as_array();
        let runs = runs.ok_or_else(|| format!("{file} is no SARIF: it has no `runs`"))?;
        findings.extend(runs.iter().flat_map(of_run));
    }
    let shown = findings.iter().take(ANNOTATIONS_MAX);
    for finding in shown {
        let level = match finding.level.as_str() {
            "error" => "error",
            "note" | "none" => "notice",
            _ => "warning",
        };
        let file = finding.file.as_deref();
        annotation(at, level, &finding.rule, file, finding.line, &finding.text).await?;
    }
    let mut counts = BTreeMap::from([("error", 0_usize), ("warning", 0), ("note", 0)]);
    for finding in &findings {
        *counts.entry(severity(&finding.level)).or_default() += 1;
    }
    tell(at, &findings, &counts, given).await?;
    keep(
        at,
        "findings.json",
        &json!({"v": 1, "findings": findings.iter().map(Finding::json).collect::<Vec<_>>()}),
    )
    .await?;
    let over = match inputs.get("fail-on") {
        None => 0,
        Some("error") => counts["error"],
        Some("warning") => counts["error"] + counts["warning"],
        Some("note" | "any") => findings.len(),
        Some(other) => {
            return Err(format!("`fail-on` is error, warning or note, not `{other}`").into());
        }
    };
    Ok(Conclusion::Exited(i32::from(over > 0)))
}

async fn tell(
    at: &Attempt,
    findings: &[Finding],
    counts: &BTreeMap<&str, usize>,
    given: &mut Given,
) -> Result<(), Stop> {
    let (errors, warnings, notes) = (counts["error"], counts["warning"], counts["note"]);
    at.say(&format!("{errors} errors, {warnings} warnings, {notes} notes")).await?;
    let mut text = format!("### Findings\n\n{errors} errors, {warnings} warnings, {notes} notes\n");
    for finding in findings.iter().take(ANNOTATIONS_MAX) {
        let at = finding.file.as_deref().unwrap_or_default();
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "- {} `{}` {at}{line}", finding.level, finding.rule.replace('`', "'"));
    }
    at.summarise(&text).await?;
    given.output("findings", findings.len().to_string());
    given.output("errors", errors.to_string());
    given.output("warnings", warnings.to_string());
    given.output("sarif-id", format!("{}-{}", at.spec.run, at.spec.index));
    Ok(())
}

fn severity(level: &str) -> &'static str {
    match level {
        "error" => "error",
        "note" | "none" => "note",
        _ => "warning",
    }
}

struct Finding {
    rule: String,
    level: String,
    text: String,
    file: Option<String>,
    line: Option<u32>,
}

impl Finding {
    fn json(&self) -> Value {
        json!({"rule": self.rule, "level": self.level, "text": self.text, "file": self.file, "line": self.line})
    }
}

/// Source: SARIF 2.1.0, sections 3.27 (result) and 3.49 (rule).
fn of_run(run: &Value) -> Vec<Finding> {
    let rules = run["tool"]["driver"]["rules"].as_array();
    let default_of = |rule: &str| {
        let rule = rules?.iter().find(|known| known["id"] == rule)?;
        rule["defaultConfiguration"]["level"].as_str()
    };
    let finding = |result: &Value| {
        let rule = result["ruleId"].as_str().or(result["rule"]["id"].as_str());
        let rule = rule.unwrap_or("finding").to_owned();
        let place = &result["locations"][0]["physicalLocation"];
        let level = result["level"].as_str().or_else(|| default_of(&rule)).unwrap_or("warning");
        let text = result["message"]["text"].as_str().unwrap_or_default();
        Finding {
            level: level.to_owned(),
            text: text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned(),
            file: place["artifactLocation"]["uri"].as_str().map(str::to_owned),
            line: place["region"]["startLine"].as_u64().and_then(|line| line.try_into().ok()),
            rule,
        }
    };
    run["results"].as_array().map(|all| all.iter().map(finding).collect()).unwrap_or_default()
}

/// Beside the step's log, without secrets, for as long as that is kept.
pub(super) async fn keep(at: &Attempt, name: &str, what: &Value) -> Result<(), Stop> {
    let path = log::path(&at.shared.config.logs, at.spec.run, at.spec.job, at.spec.index);
    let path = path.with_extension(name);
    let bytes = at.job.masks().apply(what.to_string().as_bytes());
    let written = blocking(move || durable::write(&path, &bytes)).await;
    Ok(written.map_err(|error| format!("keep {name}: {error}"))?)
}
