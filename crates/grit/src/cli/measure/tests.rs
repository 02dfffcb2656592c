mod history;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use grit_host::durable;
use grit_insight::flaky::{Quarantine, Quarantined, Seen, Steadiness, steadiness};
use grit_insight::suite::{Case, Totals, read};
use grit_types::{Clock, Timestamp};
use serde::Serialize;

use super::args::{Test, TestVerb};
use super::{text, unreadable};
use crate::cli::place::{Place, git_failure};
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// So many results are looked back on.
const HISTORY_BYTES_MAX: u64 = 64 << 20;
const QUARANTINE_BYTES_MAX: u64 = 1 << 20;
const QUARANTINE_FILE: &str = Quarantine::FILE;

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

/// `grit test`.
pub async fn test(options: &Test, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    match &options.verb {
        TestVerb::Report { run: Some(run), .. } => history::report(*run, place, ui).await,
        TestVerb::Report { files, record, .. } => report(files, *record, now, place, ui),
        TestVerb::Flaky => flaky(place, ui).await,
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
        remember(&seen(&cases, now, place)?, place)?;
    }
    let held = match place.repository().ok().and_then(|repository| repository.worktree()) {
        Some(folder) => in_quarantine(&folder)?,
        None => Quarantine::default(),
    };
    let view = |case| Named {
        test: Case::full_name(case),
        file: case.file.as_deref(),
        line: case.line,
        text: case.failure().unwrap_or_default(),
        quarantined: held.covers(&case.full_name(), now),
    };
    let failed: Vec<Named<'_>> =
        cases.iter().filter(|it| it.failure().is_some()).map(view).collect();
    let flaky = cases.iter().filter(|case| case.is_flaky()).map(view).collect();
    let counting = failed.iter().filter(|named| !named.quarantined).count();
    for one in &failed {
        tell(&one.test, one.quarantined, one.text, ui);
    }
    ui.data(&Report { totals: Totals::of(&cases), failed, flaky }, |report| told(report.totals));
    Ok(if counting > 0 { Exit::Failed } else { Exit::Done })
}

fn told(totals: Totals) -> String {
    let Totals { total, passed, failed, skipped, flaky, .. } = totals;
    format!("{total} tests: {passed} passed, {failed} failed, {skipped} skipped, {flaky} flaky\n")
}

fn tell(test: &str, quarantined: bool, text: &str, ui: &Ui) {
    let tolerated = if quarantined { " (in quarantine)" } else { "" };
    ui.status(format!("FAILED {test}{tolerated}\n{}", indented(text)));
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect::<String>().trim_end().to_owned()
}

fn record_file(place: &Place) -> Result<PathBuf, Failure> {
    Ok(place.repository()?.common_dir().join("grit").join("tests.jsonl"))
}

fn seen(cases: &[Case], now: Timestamp, place: &Place) -> Result<Vec<Seen>, Failure> {
    let head = place.repository()?.head().map_err(|error| git_failure(&error))?;
    let commit = head.commit.map(|commit| commit.to_string()).unwrap_or_default();
    let counted = cases.iter().filter(|case| case.outcome != grit_insight::suite::Outcome::Skipped);
    let seen = counted.map(|case| Seen {
        test: case.full_name(),
        commit: commit.clone(),
        at: now,
        passed: case.failure().is_none(),
        failed_before: case.failed_before,
    });
    Ok(seen.collect())
}

/// One line for each result; old ones go when there are too many.
pub fn remember(seen: &[Seen], place: &Place) -> Result<(), Failure> {
    let path = record_file(place)?;
    let failed = |error: std::io::Error| Failure::because("results cannot be remembered", &error);
    durable::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    if path.metadata().is_ok_and(|file| file.len() > HISTORY_BYTES_MAX / 2) {
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let half = text.ceil_char_boundary(text.len() / 2);
        let kept = text[half..].split_once('\n').map_or("", |(_, kept)| kept);
        durable::write(&path, kept.as_bytes()).map_err(failed)?;
    }
    let mut lines = String::new();
    for one in seen {
        lines.push_str(&serde_json::to_string(one).unwrap_or_default());
        lines.push('\n');
    }
    let mut file = File::options().append(true).create(true).open(&path).map_err(failed)?;
    file.write_all(lines.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Of this clone, and of the server where there is one: what both know counts as each of them saw it.
async fn flaky(place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let (here, there) = (recorded(place)?, history::steadiness(place, ui).await?);
    if here.is_none() && there.is_none() {
        return Err(Failure::new(
            Exit::NotFound,
            "no_results",
            "no results are recorded in this clone, and no server is there",
        )
        .hint("`grit test report FILE --record` records them"));
    }
    let mut flaky: Vec<Steadiness> = there.unwrap_or_default();
    flaky.extend(here.map(|seen| steadiness(&seen)).unwrap_or_default());
    flaky.retain(|of| of.is_flaky);
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

fn recorded(place: &Place) -> Result<Option<Vec<Seen>>, Failure> {
    let Ok(file) = File::open(record_file(place)?) else { return Ok(None) };
    // A line that was cut off when the machine stopped is none.
    let lines = BufReader::new(file.take(HISTORY_BYTES_MAX)).lines().map_while(Result::ok);
    Ok(Some(lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()))
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
        held.v = Quarantine::VERSION;
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
    Quarantine::parse(&text).map_err(|why| unreadable(Path::new(QUARANTINE_FILE), &why))
}
