//! Reports of tests, coverage and scanners: read, shown, and kept beside the step's log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use grit_host::durable;
use grit_insight::coverage::{self, Coverage};
use grit_insight::flaky::Quarantine;
use grit_insight::suite::{self, Case, Outcome, Totals};
use grit_pipeline::{Conclusion, Covered, TestCounts, TestOutcome, TestResult, Tests};
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
/// the action itself would. What is in quarantine fails nothing.
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
    let cases = cases(at, &files, &manners).await?;
    let results = results(at, &cases).await?;
    let counts = results.counts;
    annotate(at, &cases, &results, manners.annotations_max).await?;
    at.summarise(&summary(inputs.or("name", inputs.or("check_name", "Tests")), &cases, counts))
        .await?;
    let totals = Totals::of(&cases);
    keep(at, "tests.json", &json!({"v": 1, "totals": totals, "cases": cases})).await?;
    outputs(counts, given);
    at.say(&format!("{} in {} files", told(counts), files.len())).await?;
    given.measured.tests = Some(results);
    if (counts.total == 0 && manners.fails_without)
        || (counts.passed == 0 && manners.fails_without_passed)
    {
        let kind = if counts.total == 0 { "" } else { " that passed" };
        return Err(format!("the files of test results have no test in them{kind}").into());
    }
    Ok(Conclusion::Exited(i32::from(counts.counting() > 0 && manners.fails_on_failure)))
}

async fn cases(at: &Attempt, files: &[String], manners: &Manners) -> Result<Vec<Case>, Stop> {
    let mut cases = Vec::new();
    for file in files {
        let text = at.text_of(file).await?.unwrap_or_default();
        match suite::read(&text) {
            Ok(found) => cases.extend(found),
            Err(error) if manners.fails_unreadable => return Err(format!("{file}: {error}").into()),
            Err(error) => at.announce("error", "Tests", &format!("{file}: {error}")).await?,
        }
    }
    Ok(cases)
}

/// As they become part of the record: without secrets, and with what is tolerated marked.
async fn results(at: &Attempt, cases: &[Case]) -> Result<Tests, Stop> {
    let (held, now) = (quarantine(at).await?, at.shared.config.clock.now());
    let masks = at.job.masks();
    let masked = |text: &str| String::from_utf8_lossy(&masks.apply(text.as_bytes())).into_owned();
    let result = |case: &Case| {
        let name = case.full_name();
        TestResult {
            outcome: match case.outcome {
                Outcome::Passed => TestOutcome::Passed,
                Outcome::Failed(_) => TestOutcome::Failed,
                Outcome::Skipped => TestOutcome::Skipped,
            },
            millis: case.millis,
            failed_before: case.failed_before,
            quarantined: case.failure().is_some() && held.covers(&name, now),
            name: masked(&name),
            text: masked(case.failure().unwrap_or_default()),
        }
    };
    Ok(Tests::new(cases.iter().map(result)))
}

/// What the workspace says of it. A file that cannot be read tolerates nothing.
async fn quarantine(at: &Attempt) -> Result<Quarantine, Stop> {
    let Some(text) = at.text_of(Quarantine::FILE).await? else { return Ok(Quarantine::default()) };
    match Quarantine::parse(&text) {
        Ok(held) => Ok(held),
        Err(why) => {
            let text = format!("{} is not read: {why}", Quarantine::FILE);
            at.announce("warning", "Tests", &text).await?;
            Ok(Quarantine::default())
        }
    }
}

/// How an action is told what to read and when to fail.
struct Manners {
    patterns: Vec<String>,
    fails_on_failure: bool,
    fails_without: bool,
    fails_without_passed: bool,
    fails_unreadable: bool,
    annotations_max: usize,
}

impl Manners {
    fn of(action: &str, inputs: &Inputs<'_>) -> Result<Self, Stop> {
        match action {
            "dorny/test-reporter" => Self::of_reporter(inputs),
            "mikepenz/action-junit-report" => Ok(Self {
                patterns: match inputs.get("report_paths") {
                    Some(_) => inputs.list("report_paths"),
                    None => vec!["**/junit-reports/TEST-*.xml".to_owned()],
                },
                fails_on_failure: inputs.is_on("fail_on_failure"),
                fails_without: inputs.is_on("require_tests"),
                fails_without_passed: inputs.is_on("require_passed_tests"),
                fails_unreadable: inputs.is_on("fail_on_parse_error"),
                annotations_max: ANNOTATIONS_MAX,
            }),
            _ => Ok(Self::of_publisher(inputs)),
        }
    }

    fn of_reporter(inputs: &Inputs<'_>) -> Result<Self, Stop> {
        let form = inputs.or("reporter", "java-junit");
        if !["java-junit", "jest-junit", "python-xunit"].contains(&form) {
            let text = format!("test results of the form `{form}` are not read: JUnit's are");
            return Err(text.into());
        }
        if inputs.get("path").is_none() {
            return Err("dorny/test-reporter needs `path`".to_owned().into());
        }
        let most = inputs.or("max-annotations", "10").parse::<usize>();
        let most = most.ok().filter(|most| *most <= ANNOTATIONS_MAX);
        let most = most.ok_or("`max-annotations` is a number from 0 to 50".to_owned())?;
        Ok(Self {
            patterns: inputs.list("path"),
            fails_on_failure: inputs.get("fail-on-error") != Some("false"),
            fails_without: inputs.get("fail-on-empty") != Some("false"),
            fails_without_passed: false,
            fails_unreadable: true,
            annotations_max: most,
        })
    }

    /// Its check fails, and the step does where it is told to.
    fn of_publisher(inputs: &Inputs<'_>) -> Self {
        let mut patterns = [inputs.lines("files"), inputs.lines("junit_files")].concat();
        if patterns.is_empty() {
            patterns.push("*.xml".to_owned());
        }
        let fails = inputs.is_on("action_fail");
        Self {
            patterns,
            fails_on_failure: fails && inputs.get("fail_on") != Some("nothing"),
            fails_without: inputs.is_on("action_fail_on_inconclusive"),
            fails_without_passed: false,
            fails_unreadable: fails && inputs.get("fail_on") != Some("nothing"),
            annotations_max: ANNOTATIONS_MAX,
        }
    }
}

fn told(counts: TestCounts) -> String {
    let TestCounts { total, passed, failed, skipped, flaky, quarantined, .. } = counts;
    let mut text = format!(
        "{total} tests: {passed} passed, {failed} failed, {skipped} skipped, {flaky} flaky"
    );
    if quarantined > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, ", {quarantined} in quarantine");
    }
    text
}

fn outputs(counts: TestCounts, given: &mut Given) {
    let conclusion = if counts.counting() > 0 { "failure" } else { "success" };
    given.output("conclusion", conclusion);
    for (name, value) in [
        ("total", counts.total),
        ("passed", counts.passed),
        ("failed", counts.failed),
        ("skipped", counts.skipped),
        ("flaky", counts.flaky),
        ("quarantined", counts.quarantined),
    ] {
        given.output(name, value.to_string());
    }
    given.output("time", counts.millis.to_string());
    let stats = json!({
        "tests": counts.total, "tests_succ": counts.passed, "tests_fail": counts.failed,
        "tests_skip": counts.skipped, "tests_error": 0,
    });
    given.output("json", json!({"conclusion": conclusion, "stats": stats}).to_string());
}

async fn annotate(at: &Attempt, cases: &[Case], results: &Tests, most: usize) -> Result<(), Stop> {
    let tolerated: BTreeSet<&str> = results
        .results
        .iter()
        .filter(|result| result.quarantined)
        .map(|result| result.name.as_str())
        .collect();
    let failed = cases.iter().filter_map(|case| case.failure().map(|text| (case, text)));
    for (case, text) in failed.take(most) {
        let name = case.full_name();
        let (level, word) = match tolerated.contains(name.as_str()) {
            true => ("warning", "failed in quarantine"),
            false => ("error", "failed"),
        };
        let text = format!("{name} {word}: {}", &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]);
        annotation(at, level, "Test", case.file.as_deref(), case.line, &text).await?;
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

fn summary(name: &str, cases: &[Case], counts: TestCounts) -> String {
    let TestCounts { total, passed, failed, skipped, flaky, quarantined, .. } = counts;
    let mut text = format!(
        "### {name}\n\n| tests | passed | failed | skipped | flaky | in quarantine |\n\
         |---|---|---|---|---|---|\n\
         | {total} | {passed} | {failed} | {skipped} | {flaky} | {quarantined} |\n"
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
    let patterns = coverage_patterns(inputs);
    let files = matching(at, patterns.clone()).await?;
    let must = inputs.is_on("fail_ci_if_error");
    let mut merged = Coverage::default();
    let mut problems = Vec::new();
    if files.is_empty() {
        let none = format!("no report of coverage matches {}", patterns.join(", "));
        match inputs.is_on("handle_no_reports_found") {
            true => at.say(&none).await?,
            false => problems.push(none),
        }
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
    if share.total > 0 {
        let (covered, total) = (share.covered, share.total);
        given.measured.coverage = Some(Covered { covered, total });
    }
    keep(at, "coverage.json", &json!({"v": 1, "coverage": merged})).await?;
    Ok(Conclusion::Exited(0))
}

/// The files that are named, else those that are found; what is excluded is neither.
fn coverage_patterns(inputs: &Inputs<'_>) -> Vec<String> {
    let folder = |name: &str| inputs.get(name).map(|folder| folder.trim_matches('/').to_owned());
    let named = [inputs.list("files"), inputs.list("file")].concat();
    let root = folder("directory").or_else(|| folder("working-directory"));
    let below = |name: &str| match &root {
        Some(root) => format!("{root}/{name}"),
        None => name.to_owned(),
    };
    let mut patterns = match named.is_empty() && !inputs.is_on("disable_search") {
        true => COVERAGE_FILES.map(below).to_vec(),
        false => named,
    };
    let excluded = inputs.list("exclude");
    patterns.extend(excluded.iter().map(|folder| format!("!{}/**", folder.trim_matches('/'))));
    patterns
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
