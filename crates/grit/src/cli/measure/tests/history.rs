//! What a server's runs reported.

use grit_control::view::TestsView;
use grit_insight::flaky::Steadiness;
use grit_insight::suite::Totals;
use grit_pipeline::{TestCounts, TestOutcome, TestResult};
use grit_types::RunId;
use serde::Serialize;

use super::{tell, told};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

#[derive(Serialize)]
struct Report<'v> {
    totals: Totals,
    failed: Vec<Named<'v>>,
    flaky: Vec<Named<'v>>,
    /// Tests that are counted, and were too many to be named.
    left_out: u64,
}

#[derive(Serialize)]
struct Named<'v> {
    test: &'v str,
    job: &'v str,
    step: &'v str,
    text: &'v str,
    quarantined: bool,
}

/// What the steps of a run reported; a test that failed and was in no quarantine then fails it.
pub async fn report(run: RunId, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let views: Vec<TestsView> = place.client()?.get(&format!("/api/v1/runs/{run}/tests")).await?;
    if views.is_empty() {
        let message = format!("no step of {run} reported tests");
        return Err(Failure::new(Exit::NotFound, "no_tests", message)
            .hint("a step with `mikepenz/action-junit-report` or its like reports them"));
    }
    let named = |wanted: fn(&TestResult) -> bool| -> Vec<Named<'_>> {
        views
            .iter()
            .flat_map(|view| all(view).filter(move |(it, _)| wanted(it)))
            .map(|it| it.1)
            .collect()
    };
    let failed = named(|result| result.outcome == TestOutcome::Failed);
    let flaky = named(TestResult::is_flaky);
    for one in &failed {
        tell(one.test, one.quarantined, one.text, ui);
    }
    let counts = views.iter().map(|view| view.tests.counts);
    let counting: u64 = counts.clone().map(|counts| counts.counting()).sum();
    let left_out = views.iter().map(|view| view.tests.left_out).sum();
    let report = Report { totals: totals(counts), failed, flaky, left_out };
    ui.data(&report, |report| told(report.totals));
    Ok(if counting > 0 { Exit::Failed } else { Exit::Done })
}

fn all(view: &TestsView) -> impl Iterator<Item = (&TestResult, Named<'_>)> {
    view.tests.results.iter().map(|result| {
        let named = Named {
            test: &result.name,
            job: &view.job_name,
            step: &view.step,
            text: &result.text,
            quarantined: result.quarantined,
        };
        (result, named)
    })
}

fn totals(counts: impl Iterator<Item = TestCounts>) -> Totals {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let mut totals = Totals::default();
    for one in counts {
        totals.total += number(one.total);
        totals.passed += number(one.passed);
        totals.failed += number(one.failed);
        totals.skipped += number(one.skipped);
        totals.flaky += number(one.flaky);
        totals.millis = totals.millis.saturating_add(one.millis);
    }
    totals
}

/// How steady the server found tests; nothing where there is no server.
///
/// # Errors
/// One that is asked for by name cannot be reached.
pub async fn steadiness(place: &Place, ui: &Ui) -> Result<Option<Vec<Steadiness>>, Failure> {
    let client = match place.client() {
        Ok(client) => client,
        Err(failure) if place.names_server() => return Err(failure),
        Err(_) => return Ok(None),
    };
    match client.get("/api/v1/tests/steadiness").await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if place.names_server() => Err(failure),
        Err(failure) => {
            ui.status(format!("Without the server's runs: {}", failure.message));
            Ok(None)
        }
    }
}
