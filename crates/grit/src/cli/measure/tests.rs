use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use grit_host::durable;
use grit_insight::flaky::{Quarantined, Seen, Steadiness, steadiness};
use grit_insight::suite::{Case, Totals, read};
use grit_types::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use super::args::{Test, TestVerb};
use super::{text, unreadable};
use crate::cli::place::{Place, git_failure};
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// So many results are looked back on.
const HISTORY_BYTES_MAX: u64 = 64 << 20;
const QUARANTINE_BYTES_MAX: u64 = 1 << 20;
const QUARANTINE_FILE: &str = ".grit/quarantine.json";

#[derive(Serialize)]
struct Report<'c> {
    totals: Totals,
    failed: Vec<Named<'c>>,
    flaky: Vec<Named<'c>>,
}

#[derive(Serialize)]
struct Named<'c> {
    test: String,
    file: Option<&'c str>,
    line: Option<u32>,
    text: &'c str,
    /// Its failure is tolerated.
    quarantined: bool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quarantine {
    v: u64,
    tests: Vec<Quarantined>,
}

/// `grit test`.
pub fn test(options: &Test, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    match &options.verb {
        TestVerb::Report { files, record } => report(files, *record, now, place, ui),
        TestVerb::Flaky => flaky(place, ui),
        TestVerb::Quarantine { test, time, reason, end } => {
            let until = now.after(if *end { std::time::Duration::ZERO } else { *time });
            quarantine(test.as_deref(), (now, until), reason, place, ui)
        }
    }
}

fn report(
    files: &[PathBuf],
    record: bool,
    now: Timestamp,
    place: &Place,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let mut cases = Vec::new();
    for file in files {
        let found = read(&text(file)?);
        cases.extend(found.map_err(|error| unreadable(file, &error.to_string()))?);
    }
    if cases.is_empty() {
        return Err(Failure::new(Exit::Failed, "no_tests", "the reports have no test in them"));
    }
    if record {
        remember(&cases, now, place)?;
    }
    let held = match place.repository().ok().and_then(|repository| repository.worktree()) {
        Some(folder) => in_quarantine(&folder)?.tests,
        None => Vec::new(),
    };
    let named = |case: &'_ Case| {
        let test = case.full_name();
        held.iter().any(|held| held.covers(&test, now))
    };
    let view = |case| Named {
        test: Case::full_name(case),
        file: case.file.as_deref(),
        line: case.line,
        text: case.failure().unwrap_or_default(),
        quarantined: named(case),
    };
    let failed: Vec<Named<'_>> =
        cases.iter().filter(|it| it.failure().is_some()).map(view).collect();
    let flaky = cases.iter().filter(|case| case.is_flaky()).map(view).collect();
    let counting = failed.iter().filter(|named| !named.quarantined).count();
    for one in &failed {
        let tolerated = if one.quarantined { " (in quarantine)" } else { "" };
        ui.status(format!("FAILED {}{tolerated}\n{}", one.test, indented(one.text)));
    }
    let report = Report { totals: Totals::of(&cases), failed, flaky };
    ui.data(&report, |report| {
        let Totals { total, passed, failed, skipped, flaky, .. } = report.totals;
        format!(
            "{total} tests: {passed} passed, {failed} failed, {skipped} skipped, {flaky} flaky\n"
        )
    });
    Ok(if counting > 0 { Exit::Failed } else { Exit::Done })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect::<String>().trim_end().to_owned()
}

fn history(place: &Place) -> Result<PathBuf, Failure> {
    Ok(place.repository()?.common_dir().join("grit").join("tests.jsonl"))
}

/// One line for each result; old ones go when there are too many.
fn remember(cases: &[Case], now: Timestamp, place: &Place) -> Result<(), Failure> {
    let head = place.repository()?.head().map_err(|error| git_failure(&error))?;
    let commit = head.commit.map(|commit| commit.to_string()).unwrap_or_default();
    let path = history(place)?;
    let failed = |error: std::io::Error| Failure::because("results cannot be remembered", &error);
    durable::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    if path.metadata().is_ok_and(|file| file.len() > HISTORY_BYTES_MAX / 2) {
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let half = text.ceil_char_boundary(text.len() / 2);
        let kept = text[half..].split_once('\n').map_or("", |(_, kept)| kept);
        durable::write(&path, kept.as_bytes()).map_err(failed)?;
    }
    let mut lines = String::new();
    for case in cases.iter().filter(|case| case.outcome != grit_insight::suite::Outcome::Skipped) {
        let seen = Seen {
            test: case.full_name(),
            commit: commit.clone(),
            at: now,
            passed: case.failure().is_none(),
            failed_before: case.failed_before,
        };
        lines.push_str(&serde_json::to_string(&seen).unwrap_or_default());
        lines.push('\n');
    }
    let mut file = File::options().append(true).create(true).open(&path).map_err(failed)?;
    file.write_all(lines.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn flaky(place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let path = history(place)?;
    let Ok(file) = File::open(&path) else {
        return Err(Failure::new(
            Exit::NotFound,
            "no_results",
            "no results are recorded in this clone",
        )
        .hint("`grit test report FILE --record` records them"));
    };
    // A line that was cut off when the machine stopped is none.
    let lines = BufReader::new(file.take(HISTORY_BYTES_MAX)).lines().map_while(Result::ok);
    let seen: Vec<Seen> = lines.filter_map(|line| serde_json::from_str(&line).ok()).collect();
    let flaky: Vec<Steadiness> = steadiness(&seen).into_iter().filter(|it| it.is_flaky).collect();
    ui.data(&flaky, |flaky| {
        let row = |of: &Steadiness| {
            let numbers = [of.results, of.failures, of.both_ways, of.retried, of.flips];
            std::iter::once(of.test.clone())
                .chain(numbers.iter().map(ToString::to_string))
                .collect()
        };
        let rows: Vec<Vec<String>> = flaky.iter().map(row).collect();
        table(&["TEST", "RESULTS", "FAILURES", "BOTH WAYS", "RETRIED", "FLIPS"], &rows)
    });
    Ok(Exit::Done)
}

fn quarantine(
    test: Option<&str>,
    (now, until): (Timestamp, Timestamp),
    reason: &str,
    place: &Place,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let folder = place.repository()?.worktree();
    let folder =
        folder.ok_or_else(|| Failure::environment("a bare repository has no working tree"))?;
    let mut held = in_quarantine(&folder)?;
    held.tests.retain(|held| now < held.until);
    if let Some(test) = test {
        let usage = |message: String| Failure::new(Exit::Usage, "usage", message);
        held.tests.retain(|held| held.test != test);
        if now < until {
            held.tests.push(Quarantined::new(test, now, until, reason).map_err(usage)?);
        }
        held.v = 1;
        let text = serde_json::to_string_pretty(&held).unwrap_or_default() + "\n";
        let path = folder.join(QUARANTINE_FILE);
        let failed =
            |error: std::io::Error| Failure::because("the quarantine cannot be written", &error);
        durable::create_dir_all(&folder.join(".grit")).map_err(failed)?;
        durable::write(&path, text.as_bytes()).map_err(failed)?;
        ui.status(format!("{QUARANTINE_FILE} is for everybody once it is committed"));
    }
    ui.data(&held.tests, |tests| {
        let row = |held: &Quarantined| {
            vec![held.test.clone(), held.until.to_string(), held.reason.clone()]
        };
        table(&["TEST", "UNTIL", "REASON"], &tests.iter().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}

fn in_quarantine(folder: &Path) -> Result<Quarantine, Failure> {
    let path = folder.join(QUARANTINE_FILE);
    let Ok(file) = File::open(&path) else { return Ok(Quarantine::default()) };
    let mut text = String::new();
    let read = file.take(QUARANTINE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::because("the quarantine cannot be read", &error))?;
    let held: Quarantine = serde_json::from_str(&text)
        .map_err(|error| unreadable(Path::new(QUARANTINE_FILE), &error.to_string()))?;
    if held.v > 1 {
        return Err(unreadable(Path::new(QUARANTINE_FILE), "it is of a newer version"));
    }
    Ok(held)
}
