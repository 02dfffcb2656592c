use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use grit_control::ports::RepoId;
use grit_executor::{Checkouts, EngineConfig, HostConfig, HostRunner, Secrets};
use grit_git::{Git, Repository};
use grit_host::Shim;
use grit_pipeline::keep::KeptArtifact;
use grit_pipeline::run::TOKEN;
use grit_pipeline::{
    CheckoutPart, JobSpec, Prepared, Runner, RunnerError, StepOutcome, StepSpec, Submodules,
};
use grit_rollout::SlotId;
use grit_server::{Artifacts, ArtifactsError, JobTokens, LogError, Logs, Vault};
use grit_target::process::ProcessTarget;
use grit_types::{BoxFuture, Clock, EffectId, Entropy, InstanceId, JobId, RunId};

use super::actions::{GitActions, Pinning, Places};
use super::modules::Modules;
use super::{DataFolder, GitSource, OsEntropy, Pins};
use crate::exit::Failure;

/// No `grit.lock` is larger.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where steps exchange their ledger, where the repository has a remote of its own.
const LEDGER_REMOTE: &str = "grit";

/// What came with a log that cannot be read.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The runner of a data folder: jobs get a token of their own.
pub async fn open(
    data: &DataFolder,
    source: Arc<GitSource>,
    jobs: Arc<JobTokens>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Arc<HostRunner>, Failure> {
    let (tokens, random, identity) = (jobs.clone(), entropy.clone(), entropy.clone());
    let secrets = move |job: &JobSpec| {
        BTreeMap::from([("GRIT_TOKEN".to_owned(), tokens.of(job, random.as_ref()))])
    };
    let named = move |job: &JobSpec| {
        let mut values = given(&vault, job);
        values.insert(TOKEN.to_owned(), jobs.of(job, entropy.as_ref()));
        values
    };
    let config = HostConfig {
        work: data.path("work"),
        logs: data.path("logs"),
        caches: data.path("caches"),
        // One store: what caches and artifacts have in common is there once.
        artifacts: data.path("caches"),
        keys: Some(data.path("keys")),
        entropy: identity,
        shim: Shim::this_binary(),
        actions: Arc::new(hosted_actions(data, source.clone())),
        source: Arc::new(Hosted {
            places: Places::find(None),
            store: data.path("actions"),
            source,
        }),
        secrets: Arc::new(secrets),
        named: Arc::new(named),
        clock,
        engine: engine(),
        passing: false,
    };
    open_runner(config).await
}

/// The secrets that are for a job; none are for what comes from outside.
fn given(vault: &Vault, job: &JobSpec) -> BTreeMap<String, String> {
    if job.from_outside {
        return BTreeMap::new();
    }
    let at = RepoId { tenant: job.tenant.clone(), repo: job.repo.clone() };
    let values = vault.values(&at, job.environment.as_deref());
    values.unwrap_or_else(|error| {
        let cause = grit_types::chain(&error);
        tracing::error!(job = %job.job, cause, "a job starts without its secrets");
        BTreeMap::new()
    })
}

/// A runner whose jobs' tokens end with them.
pub struct Tokened {
    pub runner: Arc<HostRunner>,
    pub jobs: Arc<JobTokens>,
}

impl Runner for Tokened {
    fn prepare(
        &self,
        effect: &EffectId,
        job: &JobSpec,
    ) -> BoxFuture<'_, Result<Prepared, RunnerError>> {
        self.runner.prepare(effect, job)
    }

    fn run(
        &self,
        effect: &EffectId,
        step: &StepSpec,
    ) -> BoxFuture<'_, Result<StepOutcome, RunnerError>> {
        self.runner.run(effect, step)
    }

    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        self.runner.cancel(job)
    }

    fn clean(&self, effect: &EffectId, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        self.jobs.revoke(job);
        self.runner.clean(effect, job)
    }
}

/// The runner of one repository, without a server.
pub async fn open_local(
    work: &Path,
    logs: &Path,
    repository: Repository,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
) -> Result<Arc<HostRunner>, Failure> {
    let config = HostConfig {
        work: work.join("work"),
        logs: logs.to_owned(),
        caches: repository.common_dir().join("grit").join("caches"),
        // They go with the run, unless somebody wants them.
        artifacts: work.join("artifacts"),
        keys: None,
        entropy: Arc::new(OsEntropy),
        shim: Shim::this_binary(),
        actions: Arc::new(local_actions(&repository)),
        source: Arc::new(Local(repository)),
        secrets: Arc::new(|_: &JobSpec| BTreeMap::new()),
        named: secrets,
        clock,
        engine: engine(),
        passing: true,
    };
    open_runner(config).await
}

/// Pinned by the `grit.lock` of each job's commit.
fn hosted_actions(data: &DataFolder, source: Arc<GitSource>) -> GitActions {
    let read = move |job: &JobSpec| -> Result<Option<String>, BoxError> {
        let repository = source.open(&job.repo)?;
        let bytes = repository.read_file(&job.commit, Pins::FILE, FILE_BYTES_MAX)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    GitActions {
        places: Places::find(None),
        store: data.path("actions"),
        pinning: Pinning::Commit(Box::new(read)),
        alone: Mutex::default(),
    }
}

/// Pinned by the `grit.lock` of the working tree.
fn local_actions(repository: &Repository) -> GitActions {
    let folder = repository.worktree().unwrap_or_else(|| repository.git_dir().to_owned());
    GitActions {
        places: Places::find(Some(repository)),
        store: repository.common_dir().join("grit").join("actions"),
        pinning: Pinning::WorkingTree(folder),
        alone: Mutex::default(),
    }
}

/// What steps find: `grit` itself among the programs, where artifacts are kept, and the server.
pub fn job_env(server: Option<SocketAddr>, registry: &Path) -> BTreeMap<String, String> {
    let ours = std::env::current_exe().ok();
    let ours = ours.as_deref().and_then(Path::parent).map(Path::to_owned);
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&inherited).chain(ours);
    let path = std::env::join_paths(folders).unwrap_or(inherited);
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), path.to_string_lossy().into_owned()),
        ("GRIT_REGISTRY".to_owned(), registry.display().to_string()),
    ]);
    env.extend(server.map(|server| ("GRIT_SERVER".to_owned(), format!("http://{server}"))));
    env
}

/// Where containers are, as Docker's own client would find it, and what they may.
fn engine() -> EngineConfig {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
    let allowed = std::env::var("GRIT_CONTAINERS").unwrap_or_default();
    EngineConfig {
        host: std::env::var("DOCKER_HOST").ok(),
        logins: std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home),
        privileged: allowed.split(',').any(|word| word.trim() == "privileged"),
    }
}

async fn open_runner(config: HostConfig) -> Result<Arc<HostRunner>, Failure> {
    let opened = HostRunner::open(config).await;
    opened.map_err(|error| Failure::because("the runner's folder cannot be used", &error))
}

/// Checkouts from the repositories of a data folder.
struct Hosted {
    source: Arc<GitSource>,
    places: Places,
    store: PathBuf,
}

impl Checkouts for Hosted {
    fn checkout(
        &self,
        job: &JobSpec,
        reference: Option<&str>,
        _depth: u32,
        part: &CheckoutPart,
        into: &Path,
    ) -> Result<(), BoxError> {
        let modules = Modules { places: &self.places, store: &self.store, origin: None };
        check_out(&self.source.open(&job.repo)?, job, reference, part, &modules, into)
    }
}

/// Checkouts from the repository that a command is typed in.
struct Local(Repository);

impl Checkouts for Local {
    fn checkout(
        &self,
        job: &JobSpec,
        reference: Option<&str>,
        _depth: u32,
        part: &CheckoutPart,
        into: &Path,
    ) -> Result<(), BoxError> {
        let places = Places::find(Some(&self.0));
        let store = self.0.common_dir().join("grit").join("actions");
        let origin = self.0.setting("remote.origin.url")?;
        let origin = origin.map(|url| from_anywhere(&self.0, &url));
        let modules = Modules { places: &places, store: &store, origin };
        check_out(&self.0, job, reference, part, &modules, into)?;
        if part.repository.is_some() { Ok(()) } else { hand_down(&self.0, into) }
    }
}

/// What steps record and lock is at once where the team has it: their ledger's remote is that of
/// the repository, not the repository itself, which is only their `origin`.
fn hand_down(repository: &Repository, into: &Path) -> Result<(), BoxError> {
    let remote = repository.setting("grit.remote")?.unwrap_or_else(|| "origin".to_owned());
    let set = |name: &str, value: &str| {
        let config = Git::new("config").worktree(into).flag("--local").flag("--add");
        config.operand(name).operand(value).run().map(drop)
    };
    for key in ["url", "pushurl"] {
        if let Some(url) = repository.setting(&format!("remote.{remote}.{key}"))? {
            set(&format!("remote.{LEDGER_REMOTE}.{key}"), &from_anywhere(repository, &url))?;
            set("grit.remote", LEDGER_REMOTE)?;
        }
    }
    for name in ["grit.prefix", "grit.lock.grace"] {
        if let Some(value) = repository.setting(name)? {
            set(name, &value)?;
        }
    }
    Ok(())
}

/// A path in the file system no longer depends on where it is used.
fn from_anywhere(repository: &Repository, url: &str) -> String {
    let base = repository.worktree().unwrap_or_else(|| repository.git_dir().to_owned());
    match base.join(url).canonicalize() {
        Ok(path) => path.display().to_string(),
        Err(_) => url.to_owned(),
    }
}

fn check_out(
    repository: &Repository,
    job: &JobSpec,
    reference: Option<&str>,
    part: &CheckoutPart,
    modules: &Modules<'_>,
    into: &Path,
) -> Result<(), BoxError> {
    let reference = reference.filter(|text| !text.is_empty());
    if let Some(name) = &part.repository
        && *name != format!("{}/{}", job.tenant, job.repo)
    {
        modules.other(name, reference, into)?;
    } else {
        let commit = match reference {
            None => job.commit.clone(),
            Some(text) => {
                let found = repository.resolve(text)?;
                found.ok_or_else(|| format!("there is no `{text}` in this repository"))?
            }
        };
        let at = job.ref_name.as_ref();
        repository.checkout_part(&commit, at, &part.sparse, part.cone, into)?;
    }
    match part.submodules {
        Submodules::None => Ok(()),
        Submodules::Own => modules.fill(into, false),
        Submodules::Recursive => modules.fill(into, true),
    }
}

/// Logs of jobs and instances of a data folder.
pub struct HostLogs {
    pub runner: Arc<HostRunner>,
    pub target: Arc<ProcessTarget>,
}

impl Logs for HostLogs {
    fn step(
        &self,
        run: RunId,
        job: JobId,
        index: u32,
        offset: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, LogError>> {
        Box::pin(async move {
            let read = self.runner.read_log(run, job, index, offset, limit).await;
            read.map_err(LogError::Read)?.ok_or(LogError::NotFound)
        })
    }

    fn summary(
        &self,
        run: RunId,
        job: JobId,
        index: u32,
    ) -> BoxFuture<'_, Result<Vec<u8>, LogError>> {
        Box::pin(async move {
            let read = self.runner.read_summary(run, job, index).await;
            read.map_err(LogError::Read)?.ok_or(LogError::NotFound)
        })
    }

    fn instances(&self, slot: &SlotId) -> BoxFuture<'_, Result<Vec<InstanceId>, LogError>> {
        let files = self.target.logs_of(slot);
        Box::pin(async move {
            let files = files.await.map_err(LogError::Read)?;
            Ok(files.into_iter().map(|file| file.instance).collect())
        })
    }

    fn instance(
        &self,
        slot: &SlotId,
        id: InstanceId,
        offset: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, LogError>> {
        let read = self.target.read_log(slot, id, offset, limit);
        Box::pin(async move { Ok(read.await.map_err(LogError::Read)?.bytes) })
    }
}

/// Artifacts of the runs of a data folder.
pub struct HostArtifacts(pub Arc<HostRunner>);

impl Artifacts for HostArtifacts {
    fn list(&self, run: RunId) -> BoxFuture<'_, Result<Vec<KeptArtifact>, ArtifactsError>> {
        let listed = self.0.artifacts(run);
        Box::pin(async move { listed.await.map_err(|error| ArtifactsError(error.into())) })
    }

    fn open(
        &self,
        run: RunId,
        name: &str,
    ) -> BoxFuture<'_, Result<Option<(File, u64)>, ArtifactsError>> {
        let opened = self.0.artifact_archive(run, name);
        Box::pin(async move { opened.await.map_err(|error| ArtifactsError(error.into())) })
    }
}
