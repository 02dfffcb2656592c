use std::collections::BTreeSet;

use grit_control::view::RunView;
use grit_executor::HostRunner;
use grit_issues::report::{Build, FailedStep, Policy};
use grit_pipeline::run::{Ending, JobView};
use grit_rollout::config::IssuesConfig;

use super::LOG_BYTES;
use crate::ci;
use crate::cli::issue::report::{per, record, send, take};
use crate::cli::issue::tracker::Tracker;
use crate::cli::place::Place;
use crate::exit::Failure;
use crate::ui::Ui;

/// So much of the end of a log is kept, in bytes.
const TAIL_BYTES_MAX: usize = 64 << 10;

/// Opens an issue for each run that failed, or says in the one that is there that it failed again;
/// then sends it, where there is a remote. A report that fails changes nothing about the run.
pub async fn failures(
    views: &[RunView],
    runner: &HostRunner,
    issues: &IssuesConfig,
    place: &Place,
    ui: &Ui,
) {
    let mut builds = Vec::new();
    for view in views.iter().filter(|view| view.status == Ending::Failure.as_str()) {
        builds.push(build(view, runner).await);
    }
    if !builds.is_empty()
        && let Err(failure) = tell(&builds, issues, place, ui)
    {
        let hint = failure.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        ui.status(format!("Warning: the report: {}{hint}", failure.message));
    }
}

fn tell(builds: &[Build], issues: &IssuesConfig, place: &Place, ui: &Ui) -> Result<(), Failure> {
    let rule = issues.pipeline_failed.clone().unwrap_or_default();
    let labels: BTreeSet<String> = rule.issue.labels.iter().cloned().collect();
    let reports = builds.iter().map(|build| build.report(per(rule.per), &labels)).collect();
    take(place, ui)?;
    let mut tracker = Tracker::open(place)?;
    let policy = Policy { reopen: rule.issue.reopen, close: false };
    for told in record(&mut tracker, reports, policy)? {
        if let Some(issue) = told.issue {
            ui.status(format!("Reported: issue {} {}", issue.short(), told.fate));
        }
    }
    send(place)
}

async fn build(view: &RunView, runner: &HostRunner) -> Build {
    let mut failed = Vec::new();
    for job in view.jobs.iter().filter(|job| job.ending == Some(Ending::Failure)) {
        failed.extend(steps(view, job, runner).await);
    }
    if failed.is_empty() {
        failed.push(FailedStep { job: view.name.clone(), ..FailedStep::default() });
    }
    let branch = view.ref_name.as_ref().map(|name| name.short().to_owned());
    Build {
        workflow: view.name.clone(),
        number: ci::build_number().unwrap_or_else(|| view.commit.short().to_owned()),
        branch: branch.or_else(ci::branch),
        commit: view.commit.to_string(),
        logs: ci::run_url(),
        failed,
    }
}

async fn steps(view: &RunView, job: &JobView, runner: &HostRunner) -> Vec<FailedStep> {
    let mut failed = Vec::new();
    for step in job.steps.iter().filter(|step| step.ending == Some(Ending::Failure)) {
        let log = tail(view, job, step.index, runner).await;
        let log = if log.trim().is_empty() { step.note.clone() } else { log };
        failed.push(FailedStep { job: job.name.clone(), step: Some(step.title.clone()), log });
    }
    if failed.is_empty() {
        let log = job.why.clone().unwrap_or_default();
        failed.push(FailedStep { job: job.name.clone(), step: None, log });
    }
    failed
}

/// The end of a step's log; secrets are masked in what is stored.
async fn tail(view: &RunView, job: &JobView, step: u32, runner: &HostRunner) -> String {
    let Some(id) = job.job else { return String::new() };
    let (mut tail, mut offset) = (Vec::new(), 0);
    while let Ok(Some(bytes)) = runner.read_log(view.id, id, step, offset, LOG_BYTES).await
        && !bytes.is_empty()
    {
        offset += bytes.len() as u64;
        tail.extend_from_slice(&bytes);
        let over = tail.len().saturating_sub(TAIL_BYTES_MAX);
        tail.drain(..over);
    }
    String::from_utf8_lossy(&tail).into_owned()
}
