mod given;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;

use grit_control::aggregate::Command;
use grit_control::reactor::{self, Submission, SubmitError};
use grit_control::view::RunView;
use grit_control::{RunCarrier, run_stream};
use grit_executor::HostRunner;
use grit_git::Repository;
use grit_ledger::{Journal, MemoryJournal, RowQuery};
use grit_pipeline::plan::Plan;
use grit_pipeline::run::{
    Command as RunCommand, Ending, Foreign, JobView, Request, Selection, Setting,
};
use grit_types::{Clock, CommitId, RunId, Tenant};

use super::args::Run;
use super::files::{self, Files, WORKFLOWS};
use super::place::{Place, git_failure, git_is_there};
use super::signals::Signals;
use crate::compose::{OsEntropy, SystemClock, job_env, open_local};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use given::Given;

/// Bytes of a log that are read at once.
const LOG_BYTES: usize = 64 << 10;

/// Runs the pipelines of the current commit on this machine; no server is needed.
pub async fn run(options: &Run, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repository = place.repository()?;
    let head = repository.head().map_err(|error| git_failure(&error))?;
    let commit = head.commit.ok_or_else(|| {
        Failure::environment("the repository has no commit yet").hint("`git commit` makes one")
    })?;
    let mut files = files(&repository, &commit, options, ui)?;
    let given = Given::read(options, head.branch.clone())?;
    files.plans.retain(|plan| given.starts(plan));
    if options.plan {
        ui.data(&files.plans, |plans| {
            let text = serde_json::to_string_pretty(plans).unwrap_or_default();
            format!("{text}\n")
        });
        return Ok(Exit::Done);
    }
    git_is_there()?;
    let mut stop = Stop { signals: Signals::listen()?, seen: 0 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = tempfile::Builder::new().prefix("grit-run-").tempdir();
    let folder = folder.map_err(|error| Failure::because("no temporary folder", &error))?;
    let logs = options.logs.clone().unwrap_or_else(|| folder.path().join("logs"));
    let secrets = given.secrets.clone();
    let runner = open_local(folder.path(), &logs, repository, secrets, clock.clone()).await?;
    let mut views = Vec::new();
    for plan in files.plans {
        let mut request = request(place, options, plan, &commit, &given, &*clock)?;
        // What jobs publish is theirs to find again, and goes with the run.
        request.env = job_env(None, &folder.path().join("blobs"));
        views.push(one(request, runner.clone(), clock.clone(), &mut stop, ui).await?);
        if stop.seen > 0 {
            break;
        }
    }
    let failed = views.iter().any(|view| view.status != Ending::Success.as_str());
    if options.report && stop.seen == 0 {
        report::failures(&views, &runner, &files.issues, place, ui).await;
    }
    ui.data(&views, |views| views.iter().map(summary).collect());
    Ok(match (stop.seen, failed) {
        (0, false) => Exit::Done,
        (0, true) => Exit::Failed,
        _ => Exit::Interrupted,
    })
}

/// What is wanted of the commit's files; what is wrong with a file stops all of it before anything starts.
fn files(
    repository: &Repository,
    commit: &CommitId,
    options: &Run,
    ui: &Ui,
) -> Result<Files, Failure> {
    let files = files::read(repository, commit, options.workflow.as_deref())?;
    if let Some(refusal) = files.refusal(repository) {
        return Err(refusal);
    }
    for warning in &files.warnings {
        ui.status(warning);
    }
    if files.plans.is_empty() {
        let message = match &options.workflow {
            Some(name) => format!("no workflow of the current commit ends with `{name}`"),
            None => format!("no pipeline in {WORKFLOWS} of the current commit"),
        };
        return Err(Failure::new(Exit::NotFound, "no_pipeline", message).hint(
            "commit a workflow file; `grit init --example shop` makes a repository with one",
        ));
    }
    Ok(files)
}

fn request(
    place: &Place,
    options: &Run,
    plan: Plan,
    commit: &CommitId,
    given: &Given,
    clock: &dyn Clock,
) -> Result<Request, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, "usage", message);
    let jobs: Result<Vec<_>, _> = options.jobs.iter().map(|job| job.parse()).collect();
    let jobs = jobs.map_err(|error: grit_pipeline::plan::JobKeyError| usage(error.to_string()))?;
    let matrix = given::pairs("--matrix", &options.matrix)?;
    Ok(Request {
        run: RunId::new(clock.now(), &OsEntropy),
        tenant: Tenant::local(),
        repo: place.repo_name()?,
        number: 1,
        plan,
        event: given.occurrence.event.clone(),
        commit: commit.clone(),
        ref_name: given.occurrence.ref_name.clone(),
        actor: place.actor().principal,
        inputs: given.inputs.clone(),
        payload: given.payload.clone(),
        vars: given.vars.clone(),
        env: BTreeMap::new(),
        slots: options.slots,
        only: Selection { jobs, matrix },
        os: "Linux".to_owned(),
        foreign: Foreign::Skip,
        serves: options.here.clone(),
        secrets: given.secrets.keys().cloned().collect(),
        seal: given::word(&OsEntropy),
        setting: Setting { grouped: true, ..Setting::default() },
    })
}

/// Runs one plan to its end, and tells each step as it ends.
async fn one(
    request: Request,
    runner: Arc<HostRunner>,
    clock: Arc<dyn Clock>,
    stop: &mut Stop,
    ui: &Ui,
) -> Result<RunView, Failure> {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let (own, at) = (runner.clone(), clock.clone());
    let carrier = move |handle| -> Arc<dyn reactor::Carrier> { RunCarrier::new(own, at, handle) };
    let (handle, reactor) = reactor::start(Tenant::local(), journal.clone(), clock, carrier);
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
            () = stop.signals.next() => stop.one_more(&handle, run, &runner, ui).await,
        }
    };
    reactor.stop().await;
    Ok(view)
}

/// How often somebody asked for the end.
struct Stop {
    signals: Signals,
    seen: u32,
}

impl Stop {
    /// Once: what runs is ended, and what asks for it (`always()`) tidies up. Once more: at once.
    async fn one_more(
        &mut self,
        handle: &reactor::Handle,
        run: RunId,
        runner: &HostRunner,
        ui: &Ui,
    ) {
        self.seen += 1;
        let force = self.seen > 1;
        if force {
            runner.hurry();
        } else {
            ui.status("Interrupted: ending what runs. Once more ends it at once.");
        }
        let submission = Submission {
            stream: run_stream(run),
            command: Command::Run(RunCommand::Cancel { reason: "interrupted".to_owned(), force }),
            actor: grit_types::Actor::grit("run"),
        };
        // A run that is over needs no cancelling.
        let _ = handle.submit(submission).await;
    }
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
    let cancelled = match count(Ending::Cancelled) {
        0 => String::new(),
        some => format!(", {some} cancelled"),
    };
    format!(
        "{}: {} in {:.1} s - {} succeeded, {} failed, {} skipped{cancelled}
",
        view.name,
        view.status,
        millis as f64 / 1000.0,
        count(Ending::Success),
        count(Ending::Failure),
        count(Ending::Skipped)
    )
}
