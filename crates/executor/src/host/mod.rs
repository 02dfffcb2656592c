//! Steps as processes of this machine.
//!
//! On disk, below [`HostConfig::work`]: `RUN/JOB/job.json` (what the job is; written last, so a
//! job that has it is prepared), `RUN/JOB/{workspace,temp}`, `RUN/JOB/steps/INDEX.json` (the
//! effect, and what became of it), `RUN/JOB/steps/INDEX.session.json` (its processes, for whoever
//! comes after a crash), `RUN/JOB/steps/INDEX.kept.json` (what it gave that holds a secret),
//! `RUN/JOB/files/INDEX/` (its script and its `GITHUB_ENV` and the like). Of jobs that are of nobody
//! when this process is gone, what became of their steps is in memory only. The log is
//! `RUN/JOB/INDEX.log` below [`HostConfig::logs`], masked; `INDEX.summary.md` beside it.
//!
//! In memory: one task per step under way; whoever asks for the step's effect waits for it.

mod action;
mod artifact;
mod cache;
mod checkout;
mod container;
mod environment;
mod fetching;
pub(crate) mod folder;
mod ground;
mod hiding;
mod job;
mod kept;
mod known;
mod log;
mod look_ahead;
mod process;
mod programs;
mod rust_cache;
mod said;
mod script;
mod step;
mod sweeping;
mod tool;
mod unseal;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grit_host::{Shim, durable};
use grit_pipeline::{
    CheckoutPart, JobSpec, Prepared, PreparedContainers, Runner, RunnerError, StepOutcome, StepSpec,
};
use grit_types::{BoxFuture, Clock, EffectId, Entropy, JobId, RunId};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::service::{self, Services};
use crate::store::Stores;
use environment::Inherited;
use folder::Folder;
use job::Job;
use step::Step;

pub use container::EngineConfig;
pub use fetching::{ActionRepo, Actions};
pub use kept::{KeptError, unpack_archive};
pub use log::LOG_MAX_BYTES;

/// Between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(5);

/// How often a workspace is tried to be made on a disk that is full.
const LOOKS_FOR_ROOM: u32 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why a step of a job without a workspace does not run.
pub(crate) const NOT_PREPARED: &str =
    "the job has no workspace: it was never prepared, or it is cleaned up already";

type BoxError = Box<dyn Error + Send + Sync>;

/// Variables that the steps of a job get when they start, and that no log may show.
pub type Secrets = Arc<dyn Fn(&JobSpec) -> BTreeMap<String, String> + Send + Sync>;

/// What a [`HostRunner`] stands on.
#[derive(Clone)]
pub struct HostConfig {
    /// `DATA/work`; made if it is missing, owned by one runner at a time.
    pub work: PathBuf,
    /// `DATA/logs`; made if it is missing.
    pub logs: PathBuf,
    /// `DATA/caches`, for all jobs; made when the first is kept.
    pub caches: PathBuf,
    /// The store of artifacts, which may be that of caches; made when the first is kept.
    pub artifacts: PathBuf,
    /// `DATA/keys`; `None`: the key that says who jobs are goes with the process.
    pub keys: Option<PathBuf>,
    pub entropy: Arc<dyn Entropy>,
    /// The binary that becomes the step's command.
    pub shim: Shim,
    pub source: Arc<dyn Checkouts>,
    /// Asked for actions that are neither built in nor in the workspace.
    pub actions: Arc<dyn Actions>,
    /// Asked at every start of a step.
    pub secrets: Secrets,
    /// What `secrets` gives to expressions, asked as well; no log may show these either.
    pub named: Secrets,
    pub clock: Arc<dyn Clock>,
    /// For containers; nobody asks there before a job wants one.
    pub engine: EngineConfig,
    /// Whether what it has is of nobody when this process is gone: no file has to outlast a power
    /// cut, and what is at the engine is removed by whoever finds it. Else a runner of the same
    /// folders comes back for it.
    pub passing: bool,
}

/// Where the files of a commit come from.
pub trait Checkouts: Send + Sync {
    /// Writes the files of `reference` (the job's commit if it is `None`) into `into`, as far as
    /// `part` says, with a `.git` of their own that knows the last `depth` commits; 0: all.
    ///
    /// `into` does not exist yet, its parent does. What is written there is moved afterwards, so it
    /// may not depend on where it is. Blocks. The error is shown to people, with its causes.
    fn checkout(
        &self,
        job: &JobSpec,
        reference: Option<&str>,
        depth: u32,
        part: &CheckoutPart,
        into: &Path,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Why a runner cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("jobs of {} are run by another process", work.display())]
    InUse { work: PathBuf },
    #[error("{action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// Runs steps as processes; see the module.
///
/// Dropping it interrupts what runs; [`HostRunner::close`] also waits for that.
pub struct HostRunner {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// What the tasks of steps use.
struct Shared {
    config: HostConfig,
    /// What steps keep.
    stores: Arc<Stores>,
    /// Started for the first step that needs it.
    services: OnceCell<Services>,
    inherited: Inherited,
    /// Tells our processes from those of another data folder.
    unit: String,
    jobs: Mutex<HashMap<JobId, Arc<Job>>>,
    steps: Mutex<HashMap<(JobId, u32), Running>>,
    preparing: Mutex<HashMap<JobId, Arc<container::Preparing>>>,
    /// What the dead left at the engine was looked for.
    swept: OnceCell<()>,
    /// Held while folders of jobs come or go.
    folders: tokio::sync::Mutex<()>,
    closing: CancellationToken,
    /// Nobody is given time to end.
    hurry: CancellationToken,
    /// Held as long as anyone may act on the folder.
    lock: Mutex<Option<Lock>>,
}

/// A step under way.
#[derive(Clone)]
struct Running {
    effect: EffectId,
    cancel: CancellationToken,
    done: watch::Receiver<Option<Result<StepOutcome, Arc<RunnerError>>>>,
}

impl HostRunner {
    /// Leaves every job as it is: what became of its steps is found out when they are asked for.
    /// Processes that are ours without a job, left by a crash, are ended.
    pub fn open(config: HostConfig) -> BoxFuture<'static, Result<Arc<Self>, OpenError>> {
        Box::pin(async move {
            let shared = blocking(move || open(config)).await?;
            // Nobody was here before in a folder that is of nobody.
            if !shared.config.passing {
                sweeping::orphans(&shared).await;
                container::orphans(&shared).await;
            }
            Ok(Arc::new(Self { shared: Arc::new(shared), tasks: TaskTracker::new() }))
        })
    }

    /// Ends what runs, as interrupted; returns when the folder is free for another runner.
    pub async fn close(&self) {
        {
            // Nobody is in between seeing it open and starting a step.
            let _steps = locked(&self.shared.steps);
            self.shared.closing.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
        let jobs: Vec<_> = locked(&self.shared.jobs).drain().map(|(_, job)| job).collect();
        for job in jobs {
            job.let_go().await;
        }
        locked(&self.shared.lock).take();
    }

    /// From now on what is ended is killed at once, and what is being ended, too.
    pub fn hurry(&self) {
        self.shared.hurry.cancel();
    }

    /// At most `limit` bytes of a step's log from `offset` on, of a cleaned job, too. `None`:
    /// there is no such log; empty: it has no more, or not yet.
    pub fn read_log(
        &self,
        run: RunId,
        job: JobId,
        index: u32,
        offset: u64,
        limit: usize,
    ) -> BoxFuture<'static, io::Result<Option<Vec<u8>>>> {
        let path = log::path(&self.shared.config.logs, run, job, index);
        Box::pin(blocking(move || log::read(&path, offset, limit)))
    }

    /// What a step wrote to `GITHUB_STEP_SUMMARY`, masked, of a cleaned job, too. `None`: nothing.
    pub fn read_summary(
        &self,
        run: RunId,
        job: JobId,
        index: u32,
    ) -> BoxFuture<'static, io::Result<Option<Vec<u8>>>> {
        let path = log::summary_path(&self.shared.config.logs, run, job, index);
        Box::pin(blocking(move || log::read(&path, 0, usize::MAX)))
    }

    /// Joins the step if it is under way, else starts it.
    fn join(&self, effect: &EffectId, step: &StepSpec) -> Result<Running, RunnerError> {
        let key = (step.job, step.index);
        let mut steps = locked(&self.shared.steps);
        if self.shared.closing.is_cancelled() {
            return Err(failed(step::what(step), "the runner is closed"));
        }
        if let Some(running) = steps.get(&key) {
            if running.effect == *effect {
                return Ok(running.clone());
            }
            return Err(step::other_effect(step, &running.effect));
        }
        let (sender, done) = watch::channel(None);
        let cancel = CancellationToken::new();
        let running = Running { effect: effect.clone(), cancel: cancel.clone(), done };
        steps.insert(key, running.clone());
        let registered = Registered { shared: self.shared.clone(), key };
        let (effect, spec) = (effect.clone(), step.clone());
        let step = Step { shared: self.shared.clone(), effect, spec, cancel };
        self.tasks.spawn(async move {
            let result = step.conclude().await.map_err(Arc::new);
            sender.send_replace(Some(result));
            drop(registered);
        });
        Ok(running)
    }

    fn end_preparing(&self, job: JobId) {
        if let Some(preparing) = locked(&self.shared.preparing).get(&job) {
            preparing.cancel.cancel();
        }
    }

    /// Cancels what this process runs of the job, and waits for its end.
    async fn end_running(&self, job: JobId) {
        let running: Vec<Running> = {
            let steps = locked(&self.shared.steps);
            let of_job = steps.iter().filter(|((of, _), _)| *of == job);
            of_job.map(|(_, running)| running.clone()).collect()
        };
        for step in &running {
            step.cancel.cancel();
        }
        for step in running {
            // How it ended is for whoever runs it.
            let _ = step.outcome().await;
        }
    }
}

impl Drop for HostRunner {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}

impl Runner for HostRunner {
    fn prepare(
        &self,
        _effect: &EffectId,
        job: &JobSpec,
    ) -> BoxFuture<'_, Result<Prepared, RunnerError>> {
        let folder = self.shared.folder(job.run, job.job);
        let job = job.clone();
        Box::pin(async move {
            let prepared = self.shared.make_room(&folder, &job).await?;
            if job.containers.is_empty() {
                return Ok(prepared);
            }
            let containers = container::prepare(&self.shared, &folder, &job).await?;
            Ok(prepared_in(&folder, &job, containers))
        })
    }

    fn run(
        &self,
        effect: &EffectId,
        step: &StepSpec,
    ) -> BoxFuture<'_, Result<StepOutcome, RunnerError>> {
        let joined = self.join(effect, step);
        Box::pin(async move { joined?.outcome().await })
    }

    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        Box::pin(async move {
            self.end_preparing(job);
            self.end_running(job).await;
            sweeping::unfinished(&self.shared, job).await
        })
    }

    fn clean(&self, _effect: &EffectId, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        Box::pin(async move {
            self.end_preparing(job);
            self.end_running(job).await;
            sweeping::processes(&self.shared, job).await?;
            container::down(&self.shared, job).await?;
            let known = locked(&self.shared.jobs).remove(&job);
            if let Some(known) = known {
                known.let_go().await;
            }
            if let Some(services) = self.shared.services.get() {
                services.forget(job).await;
            }
            self.shared.remove(job).await?;
            locked(&self.shared.preparing).remove(&job);
            Ok(())
        })
    }
}

impl Shared {
    /// Between asking processes to end and killing them.
    fn grace(&self) -> Duration {
        if self.hurry.is_cancelled() { Duration::ZERO } else { GRACE }
    }

    /// The services of jobs, which run from the first call on.
    async fn services(&self) -> io::Result<&Services> {
        let start = || {
            let ground = service::Ground {
                stores: self.stores.clone(),
                clock: self.config.clock.clone(),
                entropy: self.config.entropy.clone(),
                keys: self.config.keys.clone(),
            };
            Services::start(ground, self.closing.clone())
        };
        self.services.get_or_try_init(start).await
    }

    /// The job's folder; where the disk is full, what fills it may be about to go.
    async fn make_room(&self, folder: &Folder, job: &JobSpec) -> Result<Prepared, RunnerError> {
        let action = format!("create workspace of {}", job.job);
        for _ in 0..LOOKS_FOR_ROOM {
            match self.make(folder.clone(), job.clone()).await {
                // What filled the disk may be about to be removed with its job.
                Err(error) if durable::is_full(&error) => tokio::time::sleep(LOOK_EVERY).await,
                made => return made.map_err(|source| failed(action, source)),
            }
        }
        let made = self.make(folder.clone(), job.clone()).await;
        made.map_err(|source| failed(action, source))
    }

    async fn make(&self, folder: Folder, job: JobSpec) -> io::Result<Prepared> {
        let _alone = self.folders.lock().await;
        blocking(move || folder.prepare(&job).map(|()| prepared(&folder))).await
    }

    /// Small work on files of a job. What a run of nobody else has is as good as in memory, and
    /// passing such work on would take longer than doing it.
    async fn at_files<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        if self.config.passing { work() } else { blocking(work).await }
    }

    fn folder(&self, run: RunId, job: JobId) -> Folder {
        let folder = Folder::new(&self.config.work, run, job);
        if self.config.passing { folder.passing() } else { folder }
    }

    async fn remove(&self, job: JobId) -> Result<(), RunnerError> {
        let action = || format!("remove workspace of {job}");
        let work = self.config.work.clone();
        let gone = {
            let _alone = self.folders.lock().await;
            blocking(move || folder::set_aside(&work, job)).await
        };
        let gone = gone.map_err(|source| failed(action(), source))?;
        let removed = blocking(move || gone.iter().try_for_each(|gone| folder::remove_all(gone)));
        removed.await.map_err(|source| failed(action(), source))
    }
}

impl Running {
    async fn outcome(mut self) -> Result<StepOutcome, RunnerError> {
        let known = self.done.wait_for(Option::is_some).await.ok().and_then(|done| done.clone());
        match known {
            Some(Ok(outcome)) => Ok(outcome),
            // Several may wait for one error, which cannot be cloned.
            Some(Err(error)) => Err(failed(error.action.clone(), chain(error.source.as_ref()))),
            None => Err(failed("run a step", "its task ended without a result")),
        }
    }
}

/// A step in the table of those under way; dropped, even by a panic, it is out of it.
struct Registered {
    shared: Arc<Shared>,
    key: (JobId, u32),
}

impl Drop for Registered {
    fn drop(&mut self) {
        locked(&self.shared.steps).remove(&self.key);
    }
}

fn open(config: HostConfig) -> Result<Shared, OpenError> {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io { action, path, source }
    }
    for folder in [&config.work, &config.logs] {
        durable::create_dir_all(folder).map_err(io("create folder", folder))?;
    }
    let absolute = |path: &Path| path.canonicalize().map_err(io("resolve", path));
    let (work, logs) = (absolute(&config.work)?, absolute(&config.logs)?);
    let lock = lock(&work)?;
    folder::remove_set_aside(&work).map_err(io("remove old workspaces in", &work))?;
    Ok(Shared {
        inherited: Inherited::from_this_process(),
        unit: sweeping::unit(&work),
        stores: Arc::new(Stores::new(&config.caches, &config.artifacts)),
        services: OnceCell::new(),
        config: HostConfig { work, logs, ..config },
        jobs: Mutex::default(),
        steps: Mutex::default(),
        preparing: Mutex::default(),
        swept: OnceCell::new(),
        folders: tokio::sync::Mutex::default(),
        closing: CancellationToken::new(),
        hurry: CancellationToken::new(),
        lock: Mutex::new(Some(lock)),
    })
}

/// The right to act on a work folder.
struct Lock(File);

impl Drop for Lock {
    /// Closing the file would do, but for a child that another thread has forked and that has not
    /// become its command yet: it has the file open as well.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the work folder is not free yet");
        }
    }
}

fn lock(work: &Path) -> Result<Lock, OpenError> {
    let path = work.join(".lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|source| OpenError::Io { action: "open", path, source })?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { work: work.to_owned() }),
        Err(TryLockError::Error(source)) => {
            Err(OpenError::Io { action: "lock", path: work.to_owned(), source })
        }
    }
}

fn prepared(folder: &Folder) -> Prepared {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "X64".to_owned(),
        "aarch64" => "ARM64".to_owned(),
        other => other.to_ascii_uppercase(),
    };
    Prepared {
        workspace: folder.workspace().to_string_lossy().into_owned(),
        temp: folder.temp().to_string_lossy().into_owned(),
        os: "Linux".to_owned(),
        arch,
        containers: Default::default(),
    }
}

/// The same for a job with containers: its steps are told the paths that theirs has.
fn prepared_in(folder: &Folder, job: &JobSpec, containers: PreparedContainers) -> Prepared {
    let mut prepared = prepared(folder);
    if containers.job.is_some() {
        let paths = container::Paths::of_job(folder, &job.repo);
        prepared.workspace = paths.inside(&prepared.workspace);
        prepared.temp = paths.inside(&prepared.temp);
    }
    Prepared { containers, ..prepared }
}

fn failed(action: impl Into<String>, source: impl Into<BoxError>) -> RunnerError {
    RunnerError { action: action.into(), source: source.into() }
}

/// An error with all its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Nothing is done under these locks that could leave what they guard half done.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs what waits for a disk where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
