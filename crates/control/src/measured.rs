//! What the runs of a repository measured: results of tests, over many runs.

use std::collections::BTreeMap;

use grit_insight::flaky::{Seen, Steadiness, steadiness};
use grit_insight::pipelines::{Part, TestRun, of_tests, pasts};
use grit_ledger::{Row, RowQuery};
use grit_pipeline::run::{Ending, JobView, Run};
use grit_pipeline::schedule::Past;
use grit_pipeline::{Measured, TestOutcome, TestResult};
use grit_types::{JobId, RunId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::control::{Control, ControlError};
use crate::ports::RepoId;
use crate::project::{self, TESTS};
use crate::view::{RunView, TestsView};

/// The kind of the event that tells what a step came to.
const STEP_FINISHED: &str = "run.step_finished";
/// So many reports are looked back on, the newest: each may name some thousand tests.
const REPORTS_MAX: usize = 300;

/// Of an event's data, what is looked at.
#[derive(Deserialize)]
struct Finished {
    job: JobId,
    index: u32,
    at: Timestamp,
    outcome: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    measured: Option<Box<Measured>>,
}

/// The row of each report of tests that these events tell of.
pub(crate) fn rows<'e>(
    state: &Run,
    events: impl Iterator<Item = (&'e str, &'e Value)>,
) -> Vec<Row> {
    let told = events.filter(|(kind, data)| {
        *kind == STEP_FINISHED && !data["outcome"]["measured"]["tests"].is_null()
    });
    told.filter_map(|(_, data)| row(state, Finished::deserialize(data).ok()?)).collect()
}

fn row(state: &Run, finished: Finished) -> Option<Row> {
    let Finished { job, index, at, outcome } = finished;
    let tests = outcome.measured?.tests?;
    let (request, of) = (state.request.as_ref()?, state.job(job)?);
    let failed = tests.counts.counting() > 0;
    let view = TestsView {
        run: request.run,
        workflow: request.plan.name.clone(),
        commit: request.commit.clone(),
        ref_name: request.ref_name.clone(),
        job: state.groups.get(of.group)?.key.clone(),
        job_name: of.cell.name.clone(),
        step: of.steps.get(index as usize)?.title.clone(),
        at,
        tests,
    };
    Some(Row {
        table: TESTS.to_owned(),
        key: format!("{}/{job}/{index}", view.run),
        tenant: request.tenant.clone(),
        scope: format!("{}/{}", request.repo, view.run),
        status: if failed { "failure" } else { "success" }.to_owned(),
        order: at.millis(),
        body: project::body(&view),
    })
}

/// What the jobs of a pipeline came to in these runs.
pub(crate) fn past(runs: &[RunView], pipeline: &str) -> BTreeMap<String, Past> {
    let jobs = runs.iter().filter(|run| run.name == pipeline).flat_map(|run| &run.jobs);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    pasts(jobs.filter_map(finished))
        .into_iter()
        .map(|(name, of)| {
            let (runs, failed) = (count(of.runs), count(of.failed));
            (name.to_owned(), Past { runs, failed, median_millis: of.median_millis })
        })
        .collect()
}

fn finished(job: &JobView) -> Option<(&str, bool, u64)> {
    let passed = match job.ending? {
        Ending::Success => true,
        Ending::Failure => false,
        Ending::Cancelled | Ending::Skipped => return None,
    };
    let millis = job.ended?.since(job.started?).as_millis();
    Some((&job.name, passed, u64::try_from(millis).unwrap_or(u64::MAX)))
}

impl Control {
    /// The reports of tests of a run, the first first.
    pub async fn tests_of(&self, at: &RepoId, run: RunId) -> Result<Vec<TestsView>, ControlError> {
        let query = self.query(TESTS, Some(format!("{}/{run}", at.repo)), 0);
        let mut views: Vec<TestsView> = self.views(&query).await?;
        views.reverse();
        Ok(views)
    }

    /// The steadiness of each test that was reported since then, as far as that is looked back on.
    pub async fn steadiness(
        &self,
        at: &RepoId,
        since: Timestamp,
    ) -> Result<Vec<Steadiness>, ControlError> {
        let views = self.reports(at, since).await?;
        let seen: Vec<Seen> = views.iter().flat_map(TestsView::seen).collect();
        Ok(steadiness(&seen))
    }

    /// How long each test takes and how often it succeeds, where it is reported.
    pub async fn test_parts(
        &self,
        at: &RepoId,
        since: Timestamp,
    ) -> Result<Vec<Part>, ControlError> {
        let views = self.reports(at, since).await?;
        Ok(of_tests(views.iter().flat_map(timed)))
    }

    async fn reports(&self, at: &RepoId, since: Timestamp) -> Result<Vec<TestsView>, ControlError> {
        let query: RowQuery = self.query(TESTS, Some(at.repo.to_string()), REPORTS_MAX);
        let mut views: Vec<TestsView> = self.views(&query).await?;
        views.retain(|view| view.at >= since);
        Ok(views)
    }
}

fn counted(view: &TestsView) -> impl Iterator<Item = (&TestResult, bool)> {
    let results = view.tests.results.iter();
    let counted = results.filter(|result| result.outcome != TestOutcome::Skipped);
    counted.map(|result| (result, result.outcome == TestOutcome::Passed))
}

impl TestsView {
    /// Its results, without those that were skipped, as steadiness is counted by.
    pub fn seen(&self) -> impl Iterator<Item = Seen> {
        counted(self).map(|(result, passed)| Seen {
            test: result.name.clone(),
            commit: self.commit.to_string(),
            at: self.at,
            passed,
            failed_before: result.failed_before,
        })
    }
}

fn timed(view: &TestsView) -> impl Iterator<Item = TestRun<'_>> {
    counted(view).map(|(result, passed)| TestRun {
        workflow: &view.workflow,
        job: view.job.as_str(),
        step: &view.step,
        test: &result.name,
        passed,
        millis: result.millis,
    })
}
