use std::collections::BTreeMap;
use std::sync::Arc;

use grit_control::aggregate::Command;
use grit_control::reactor::{self, Submission, SubmitError};
use grit_control::view::RunView;
use grit_control::{RunCarrier, run_stream};
use grit_diag::render;
use grit_executor::HostRunner;
use grit_git::Repository;
use grit_ledger::{Journal, MemoryJournal, RowQuery};
use grit_pipeline::expr::Value;
use grit_pipeline::plan::Plan;
use grit_pipeline::run::{Command as RunCommand, Ending, Foreign, JobView, Request, Selection};
use grit_types::{Clock, CommitId, RefName, RunId, Tenant};

use super::args::Run;
use super::place::{Place, git_failure};
use crate::compose::{OsEntropy, SystemClock, open_local};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Where GitHub's workflows are.
const WORKFLOWS: &str = ".github/workflows";
/// A workflow file is never larger than this.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a log that are read at once.
const LOG_BYTES: usize = 64 << 10;

/// Runs the pipelines of the current commit on this machine; no server is needed.
pub async fn run(options: &Run, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repository = place.repository()?;
    let head = repository.head().map_err(|error| git_failure(&error))?;
    let commit = head.commit.ok_or_else(|| {
        Failure::environment("the repository has no commit yet").hint("`git commit` makes one")
    })?;
    let plans = plans(&repository, &commit, options, ui)?;
    if options.plan {
        ui.data(&plans, |plans| {
            let text = serde_json::to_string_pretty(plans).unwrap_or_default();
            format!("{text}\n")
        });
        return Ok(Exit::Done);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = tempfile::Builder::new().prefix("grit-run-").tempdir();
    let folder = folder.map_err(|error| Failure::because("no temporary folder", &error))?;
    let runner = open_local(folder.path(), repository, clock.clone()).await?;
    let mut views = Vec::new();
    for plan in plans {
        let request = request(place, options, plan, &commit, head.branch.clone(), &*clock)?;
        views.push(one(request, runner.clone(), clock.clone(), ui).await?);
    }
    let failed = views.iter().any(|view| view.status != Ending::Success.as_str());
    ui.data(&views, |views| views.iter().map(summary).collect());
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// The plans that are wanted; what is wrong with a file stops all of it before anything starts.
fn plans(
    repository: &Repository,
    commit: &CommitId,
    options: &Run,
    ui: &Ui,
) -> Result<Vec<Plan>, Failure> {
    let listed = repository.list_dir(commit, WORKFLOWS).map_err(|error| git_failure(&error))?;
    let names = listed.unwrap_or_default().into_iter().map(|entry| entry.name);
    let paths: Vec<String> = names.map(|name| format!("{WORKFLOWS}/{name}")).collect();
    let mut plans = Vec::new();
    for found in grit_dialect::detect(paths.iter().map(String::as_str)) {
        if options.workflow.as_ref().is_some_and(|wanted| !found.path.ends_with(wanted.as_str())) {
            continue;
        }
        let bytes = repository.read_file(commit, &found.path, FILE_BYTES_MAX);
        let bytes = bytes.map_err(|error| git_failure(&error))?.unwrap_or_default();
        let (plan, findings) = grit_dialect::read(&found, &String::from_utf8_lossy(&bytes));
        if findings.has_errors() {
            let message = format!("{} cannot be used\n{}", found.path, render::plain(&findings));
            return Err(Failure::new(Exit::Usage, "pipeline", message)
                .hint("`grit explain CODE` says more about a finding"));
        }
        if !findings.is_empty() {
            ui.status(render::plain(&findings));
        }
        plans.extend(plan);
    }
    if plans.is_empty() {
        return Err(Failure::new(
            Exit::NotFound,
            "no_pipeline",
            format!("no pipeline in {WORKFLOWS} of the current commit"),
        )
        .hint("commit a workflow file; `grit init --example shop` makes a repository with one"));
    }
    Ok(plans)
}

fn request(
    place: &Place,
    options: &Run,
    plan: Plan,
    commit: &CommitId,
    ref_name: Option<RefName>,
    clock: &dyn Clock,
) -> Result<Request, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, "usage", message);
    let jobs: Result<Vec<_>, _> = options.jobs.iter().map(|job| job.parse()).collect();
    let jobs = jobs.map_err(|error: grit_pipeline::plan::JobKeyError| usage(error.to_string()))?;
    let pair = |text: &String| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let matrix: Option<BTreeMap<String, String>> = options.matrix.iter().map(pair).collect();
    let matrix = matrix.ok_or_else(|| usage("`--matrix` takes NAME=VALUE".to_owned()))?;
    Ok(Request {
        run: RunId::new(clock.now(), &OsEntropy),
        tenant: Tenant::local(),
        repo: place.repo_name()?,
        number: 1,
        plan,
        event: "push".to_owned(),
        commit: commit.clone(),
        ref_name,
        actor: place.actor().principal,
        inputs: BTreeMap::new(),
        payload: Value::Null,
        vars: BTreeMap::new(),
        env: BTreeMap::new(),
        slots: options.slots,
        only: Selection { jobs, matrix },
        os: "Linux".to_owned(),
        foreign: Foreign::Skip,
    })
}

/// Runs one plan to its end, and tells each step as it ends.
async fn one(
    request: Request,
    runner: Arc<HostRunner>,
    clock: Arc<dyn Clock>,
    ui: &Ui,
) -> Result<RunView, Failure> {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let carrier = Arc::new(RunCarrier { runner: runner.clone(), clock: clock.clone() });
    let (handle, reactor) =
        reactor::start(Tenant::local(), journal.clone(), clock, move |_| carrier);
    let run = request.run;
    let submission = Submission {
        stream: run_stream(run),
        command: Command::Run(RunCommand::Plan(Arc::new(request))),
        actor: grit_types::Actor::grit("run"),
    };
    handle.submit(submission).await.map_err(|error| refused(&error))?;
    let mut told = Told::default();
    let mut changes = handle.changes();
    let view = loop {
        changes.mark_unchanged();
        let view = view(journal.as_ref()).await?;
        told.tell(&view, &runner, ui).await;
        if view.completed_at.is_some() {
            break view;
        }
        tokio::select! {
            changed = changes.changed() => {
                changed.map_err(|_| Failure::new(Exit::Bug, "bug", "the reactor ended early"))?;
            }
            () = super::up::ended() => {
                cancel(&handle, run).await;
            }
        }
    };
    reactor.stop().await;
    Ok(view)
}

async fn cancel(handle: &reactor::Handle, run: RunId) {
    let command = RunCommand::Cancel { reason: "interrupted".to_owned(), force: true };
    let submission = Submission {
        stream: run_stream(run),
        command: Command::Run(command),
        actor: grit_types::Actor::grit("run"),
    };
    // A run that is over needs no cancelling.
    let _ = handle.submit(submission).await;
}

fn refused(error: &SubmitError) -> Failure {
    Failure::new(Exit::Usage, "refused", grit_types::chain(error))
}

async fn view(journal: &dyn Journal) -> Result<RunView, Failure> {
    let query = RowQuery { table: "runs".to_owned(), limit: 1, ..RowQuery::default() };
    let rows = journal.rows(&query).await;
    let rows = rows.map_err(|error| Failure::because("the run cannot be read", &error))?;
    let view = rows.into_iter().next().and_then(|row| serde_json::from_value(row.body).ok());
    view.ok_or_else(|| Failure::new(Exit::Bug, "bug", "the run has no row"))
}

/// What was said already, by job and step.
#[derive(Default)]
struct Told {
    steps: BTreeMap<(String, u32), ()>,
    jobs: BTreeMap<String, ()>,
}

impl Told {
    async fn tell(&mut self, view: &RunView, runner: &HostRunner, ui: &Ui) {
        for job in &view.jobs {
            for step in job.steps.iter().filter(|step| step.ending.is_some()) {
                if self.steps.insert((job.name.clone(), step.index), ()).is_none() {
                    self.step(view, job, step, runner, ui).await;
                }
            }
            if let Some(ending) = job.ending
                && self.jobs.insert(job.name.clone(), ()).is_none()
            {
                let why = job.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                ui.status(format!("{} job {}{why}", mark(ending), job.name));
            }
        }
    }

    /// The log of a step that failed is shown; of one that passed, only that it did.
    async fn step(
        &self,
        view: &RunView,
        job: &JobView,
        step: &grit_pipeline::run::StepView,
        runner: &HostRunner,
        ui: &Ui,
    ) {
        let Some(ending) = step.ending else { return };
        let note = if step.note.is_empty() { String::new() } else { format!(" - {}", step.note) };
        ui.status(format!("  {} {} / {}{note}", mark(ending), job.name, step.title));
        let Some(id) = job.job else { return };
        if ending != Ending::Failure && std::env::var_os("GRIT_VERBOSE").is_none() {
            return;
        }
        let mut offset = 0;
        while let Ok(Some(bytes)) =
            runner.read_log(view.id, id, step.index, offset, LOG_BYTES).await
            && !bytes.is_empty()
        {
            offset += bytes.len() as u64;
            ui.status(String::from_utf8_lossy(&bytes).trim_end());
        }
    }
}

fn mark(ending: Ending) -> &'static str {
    match ending {
        Ending::Success => "ok     ",
        Ending::Failure => "FAILED ",
        Ending::Cancelled => "ended  ",
        Ending::Skipped => "skipped",
    }
}

fn summary(view: &RunView) -> String {
    let count = |ending: Ending| {
        let matches = view.jobs.iter().filter(|job| job.ending == Some(ending));
        matches.count()
    };
    let millis = view.completed_at.map_or(0, |end| end.since(view.started_at).as_millis());
    format!(
        "{}: {} in {:.1} s - {} succeeded, {} failed, {} skipped\n",
        view.name,
        view.status,
        millis as f64 / 1000.0,
        count(Ending::Success),
        count(Ending::Failure),
        count(Ending::Skipped)
    )
}
