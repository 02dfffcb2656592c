pub mod args;
mod artifacts;
mod begin;
mod clean;
pub mod door;
mod dotenv;
mod gate;
mod given;
mod hook;
mod live;
mod report;
mod shell;
mod show;
mod told;
mod wanted;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grit_control::aggregate::Command;
use grit_control::project::TESTS;
use grit_control::reactor::{self, Submission, SubmitError};
use grit_control::view::{RunView, TestsView};
use grit_control::{RunCarrier, run_stream};
use grit_executor::{DummyRunner, HostRunner};
use grit_git::Repository;
use grit_insight::flaky::Seen;
use grit_ledger::{Journal, MemoryJournal, RowQuery};
use grit_pipeline::plan::EnvironmentSpec;
use grit_pipeline::run::{Command as RunCommand, Ending, Foreign, Request, Selection, Setting};
use grit_pipeline::{JobSpec, Runner};
use grit_types::{Clock, CommitId, RunId, Tenant};

use super::measure;
use super::place::{Place, git_failure, git_is_there};
use super::signals::Signals;
use crate::compose::{OsEntropy, SystemClock, job_env, open_local};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use args::Run;
use begin::Begin;
use door::Door;
use given::Settings;
use told::Teller;
use wanted::Chosen;

pub use hook::ASIDE;
pub use show::plans as show_plans;
pub use wanted::{Wanted, wanted};

/// Bytes of a log that are read at once.
const LOG_BYTES: usize = 64 << 10;

/// How often what stands on a terminal is drawn anew.
const TICK: Duration = Duration::from_secs(1);

/// Runs the pipelines of the current commit on this machine; no server is needed.
pub async fn run(options: &Run, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    if let Some(stage) = &options.hook {
        return hook::run(options, stage, place, ui).await;
    }
    if options.watch {
        return watch::run(options, place, ui).await;
    }
    let mut stop = Stop { signals: Signals::listen()?, seen: 0 };
    once(options, place, &mut stop, ui).await
}

/// What HEAD stands on.
pub fn head(repository: &Repository) -> Result<CommitId, Failure> {
    let head = repository.head().map_err(|error| git_failure(&error))?;
    head.commit.ok_or_else(|| {
        Failure::environment("the repository has no commit yet").hint("`git commit` makes one")
    })
}

/// One time.
async fn once(options: &Run, place: &Place, stop: &mut Stop, ui: &Ui) -> Result<Exit, Failure> {
    let repository = place.repository()?;
    let commit = match options.uncommitted || options.watch {
        true => watch::snapshot(&repository)?,
        false => head(&repository)?,
    };
    let mut wanted = wanted(&options.what, &repository, &commit, ui)?;
    if options.plan {
        show::plans(&wanted.plans, ui);
        return Ok(Exit::Done);
    }
    if options.list || options.graph {
        show::jobs(&wanted.plans, options.graph, ui);
        return Ok(Exit::Done);
    }
    let begin = Begin::find(options, &mut wanted.chosen)?;
    git_is_there()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (secrets, vars) = (Settings::read(&options.secrets)?, Settings::read(&options.vars)?);
    let wanted = &wanted;
    for name in given::in_vain([&secrets, &vars], wanted.chosen.iter().map(|one| &one.plan)) {
        ui.status(format!("Nothing of it deploys to {name}: what is given for that is not used."));
    }
    let session = Session { options, place, commit, wanted, begin, secrets, vars, clock, ui };
    if options.dry_run {
        return session.dry(stop).await;
    }
    session.all(repository, stop).await
}

/// What all runs of a command have in common.
struct Session<'a> {
    options: &'a Run,
    place: &'a Place,
    commit: CommitId,
    wanted: &'a Wanted,
    begin: Begin,
    secrets: Settings,
    vars: Settings,
    clock: Arc<dyn Clock>,
    ui: &'a Ui,
}

impl Session<'_> {
    async fn all(&self, repository: Repository, stop: &mut Stop) -> Result<Exit, Failure> {
        let (options, ui) = (self.options, self.ui);
        let folder = tempfile::Builder::new().prefix("grit-run-").tempdir();
        let folder = folder.map_err(|error| Failure::because("no temporary folder", &error))?;
        let logs = options.logs.clone().unwrap_or_else(|| folder.path().join("logs"));
        let (secrets, clock) = (self.secrets.clone(), self.clock.clone());
        let secrets = move |job: &JobSpec| secrets.secrets_of(job.environment.as_deref());
        let host = open_local(folder.path(), &logs, repository, Arc::new(secrets), clock).await?;
        let runner: Arc<dyn Runner> = match &self.begin.shell {
            None => host.clone(),
            Some(wish) => Arc::new(shell::ShellRunner::new(host.clone(), wish.clone())?),
        };
        let mut views = Vec::new();
        for chosen in &self.wanted.chosen {
            let mut request = self.request(chosen)?;
            request.setting.environments = self.protected();
            // What jobs publish is theirs to find again, and goes with the run.
            request.env = job_env(None, &folder.path().join("blobs"));
            let mut teller = Teller::new(options, &chosen.plan, ui);
            let run = request.run;
            let door = Door::of(&request, self.place, folder.path())?;
            let driven = Driven { runner: runner.clone(), host: Some(&host), door, stop };
            views.push(self.one(request, driven, &mut teller).await?);
            self.hand_out(&host, run, &chosen.plan.file).await?;
            if stop.seen > 0 {
                break;
            }
        }
        let failed = views.iter().any(|view| view.status == Ending::Failure.as_str())
            || views.iter().any(|view| view.status == Ending::Cancelled.as_str());
        if options.report && stop.seen == 0 {
            report::failures(&views, &host, &self.wanted.issues, self.place, ui).await;
        }
        self.conclude(&views, &host).await;
        Ok(match (stop.seen, failed) {
            (0, false) => Exit::Done,
            (0, true) => Exit::Failed,
            _ => Exit::Interrupted,
        })
    }

    /// The answer: what each run came to, with the summaries that its steps wrote.
    async fn conclude(&self, views: &[RunView], host: &HostRunner) {
        if self.options.json_lines {
            return;
        }
        let summaries = told::summaries(views, host).await;
        if self.ui.is_terminal() && !summaries.is_empty() {
            self.ui.status(told::shown(&summaries));
        }
        let documents = told::documents(views, &summaries);
        self.ui.data(&documents, |_| views.iter().map(told::summary).collect());
    }

    /// What jobs may deploy to, and have there.
    fn environments(&self) -> BTreeMap<String, EnvironmentSpec> {
        let mut all: BTreeMap<String, EnvironmentSpec> = BTreeMap::new();
        for (name, values) in self.vars.of_environments() {
            all.entry(name.clone()).or_default().vars.clone_from(values);
        }
        for (name, values) in self.secrets.of_environments() {
            all.entry(name.clone()).or_default().secrets = values.keys().cloned().collect();
        }
        all
    }

    /// The same, with what jobs wait for there.
    fn protected(&self) -> BTreeMap<String, EnvironmentSpec> {
        let mut all = self.environments();
        for (name, protection) in &self.wanted.protections {
            all.entry(name.to_lowercase()).or_default().protection = protection.clone();
        }
        all
    }

    /// As if every step succeeded.
    async fn dry(&self, stop: &mut Stop) -> Result<Exit, Failure> {
        let mut views = Vec::new();
        for chosen in &self.wanted.chosen {
            let request = self.request(chosen)?;
            let runner: Arc<dyn Runner> = Arc::new(DummyRunner::succeeding());
            let mut teller = Teller::silent(&chosen.plan, self.ui);
            let driven = Driven { runner, host: None, door: None, stop };
            views.push(self.one(request, driven, &mut teller).await?);
        }
        self.ui.data(&views, |views| views.iter().map(show::dry).collect());
        Ok(Exit::Done)
    }

    fn request(&self, chosen: &Chosen) -> Result<Request, Failure> {
        let (options, given) = (self.options, &self.wanted.given);
        let usage = |message: String| Failure::new(Exit::Usage, "usage", message);
        let has = |job: &&String| chosen.plan.jobs.keys().any(|key| key.as_str() == *job);
        let jobs = options.what.jobs.iter().filter(has).map(|job| job.parse());
        let jobs: Result<Vec<_>, grit_pipeline::plan::JobKeyError> = jobs.collect();
        let mut only = Selection {
            jobs: jobs.map_err(|error| usage(error.to_string()))?,
            matrix: wanted::matrix(&options.what.matrix)?,
            from: BTreeMap::new(),
        };
        self.begin.narrow(&chosen.plan, &mut only);
        Ok(Request {
            run: RunId::new(self.clock.now(), &OsEntropy),
            tenant: Tenant::local(),
            repo: self.place.repo_name()?,
            number: 1,
            plan: chosen.plan.clone(),
            event: chosen.event.clone(),
            commit: self.commit.clone(),
            ref_name: given.occurrence.ref_name.clone(),
            actor: self.place.actor().principal,
            inputs: given.inputs.clone(),
            payload: given.payload.clone(),
            vars: self.vars.of_all(),
            env: BTreeMap::new(),
            slots: crate::compose::slots(options.slots),
            only,
            os: "Linux".to_owned(),
            foreign: Foreign::Skip,
            serves: options.here.clone(),
            runners: self.wanted.runners.clone(),
            secrets: self.secrets.of_all().into_keys().collect(),
            seal: given::word(&OsEntropy),
            setting: Setting {
                grouped: true,
                environments: self.environments(),
                ..Setting::default()
            },
        })
    }

    /// Runs one plan to its end, and tells each step as it ends.
    async fn one(
        &self,
        request: Request,
        driven: Driven<'_>,
        teller: &mut Teller<'_>,
    ) -> Result<RunView, Failure> {
        let Driven { runner, host, door, stop } = driven;
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
        let at = self.clock.clone();
        let carrier =
            move |handle| -> Arc<dyn reactor::Carrier> { RunCarrier::new(runner, at, handle) };
        let clock = self.clock.clone();
        let (handle, reactor) = reactor::start(Tenant::local(), journal.clone(), clock, carrier);
        let run = request.run;
        let submission = Submission {
            stream: run_stream(run),
            command: Command::Run(RunCommand::Plan(Arc::new(request))),
            actor: grit_types::Actor::grit("run"),
        };
        handle.submit(submission).await.map_err(|error| refused(&error))?;
        let mut changes = handle.changes();
        let mut tick = tokio::time::interval(TICK);
        let view = loop {
            changes.mark_unchanged();
            let view = view(journal.as_ref()).await?;
            teller.tell(&view, host, self.clock.now()).await;
            if view.completed_at.is_some() {
                break view;
            }
            tokio::select! {
                changed = changes.changed() => {
                    changed.map_err(|_| Failure::new(Exit::Bug, "bug", "the reactor ended early"))?;
                }
                visitor = knock(door.as_ref()) => gate::hear(visitor, &handle, &view).await,
                () = stop.signals.next() => {
                    teller.clear();
                    stop.one_more(&handle, run, host, self.ui).await;
                }
                _ = tick.tick(), if teller.is_live() => {}
            }
        };
        reactor.stop().await;
        if host.is_some()
            && let Err(failure) = self.remember(journal.as_ref()).await
        {
            self.ui.status(format!("Warning: {}", failure.message));
        }
        Ok(view)
    }

    /// What steps reported of tests, for `grit test flaky`.
    async fn remember(&self, journal: &dyn Journal) -> Result<(), Failure> {
        let query = RowQuery { table: TESTS.to_owned(), ..RowQuery::default() };
        let rows = journal.rows(&query).await;
        let rows = rows.map_err(|error| Failure::because("tests cannot be read", &error))?;
        let views = rows.into_iter().filter_map(|row| serde_json::from_value(row.body).ok());
        let views: Vec<TestsView> = views.collect();
        let seen: Vec<Seen> = views.iter().flat_map(TestsView::seen).collect();
        if seen.is_empty() { Ok(()) } else { measure::remember(&seen, self.place) }
    }
}

/// What carries a run out, and what may end it.
struct Driven<'a> {
    runner: Arc<dyn Runner>,
    /// Has the logs.
    host: Option<&'a HostRunner>,
    /// Where people answer for it.
    door: Option<Door>,
    stop: &'a mut Stop,
}

/// The next that asks; where nobody can, nobody ever does.
async fn knock(door: Option<&Door>) -> door::Visitor {
    match door {
        Some(door) => door.next().await,
        None => std::future::pending().await,
    }
}

/// How often somebody asked for the end.
pub struct Stop {
    signals: Signals,
    seen: u32,
}

impl Stop {
    /// Once: what runs is ended, and what asks for it (`always()`) tidies up. Once more: at once.
    async fn one_more(
        &mut self,
        handle: &reactor::Handle,
        run: RunId,
        host: Option<&HostRunner>,
        ui: &Ui,
    ) {
        self.seen += 1;
        let force = self.seen > 1;
        if force {
            host.into_iter().for_each(HostRunner::hurry);
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

/// The folder of the working tree; a bare repository has none.
fn worktree(repository: &Repository) -> Result<PathBuf, Failure> {
    repository.worktree().ok_or_else(|| {
        Failure::environment("a bare repository has no working tree").hint("clone it, and go there")
    })
}
