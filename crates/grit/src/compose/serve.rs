use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use grit_blob::Layout;
use grit_control::listen::Listener;
use grit_control::ports::RepoId;
use grit_control::reactor::{self, Reactor};
use grit_control::relay::Relay;
use grit_control::schedule::Scheduler;
use grit_control::trigger::Triggers;
use grit_control::{Control, PortCarrier, Ports, ServiceUrl};
use grit_executor::HostRunner;
use grit_git::Repository;
use grit_host::Shim;
use grit_journal::{OpenError, SqliteJournal};
use grit_ledger::Journal;
use grit_rollout::SlotId;
use grit_server::{App, JobTokens, Tokens, Vault};
use grit_target::process::{self, ProcessTarget, RestartPolicy};
use grit_types::{Actor, BoxFuture, Clock, Entropy, Principal, Repo, Role, Tenant};
use tokio::task::JoinSet;

use super::observe::Reports;
use super::runner::{self, HostArtifacts, HostLogs, Tokened, job_env};
use super::verify::HostVerifier;
use super::{DataFolder, EdgeProcess, GitSource, OsEntropy, ServeFile, SystemClock};
use crate::exit::{Exit, Failure};
use grit_types::chain;

/// What a control process is started with.
#[derive(Clone, Debug)]
pub struct Options {
    pub data: std::path::PathBuf,
    pub listen: SocketAddr,
    pub edge_listen: SocketAddr,
    pub repo: Repo,
    /// How many jobs are worked on at once.
    pub slots: u32,
}

/// As many as are wanted, else as many as there are cores.
pub fn slots(wanted: Option<u32>) -> u32 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
    wanted.unwrap_or_else(|| u32::try_from(cores()).unwrap_or(u32::MAX))
}

/// A running control process.
pub struct Server {
    pub file: ServeFile,
    pub data: DataFolder,
    reactor: Reactor,
    target: Arc<ProcessTarget>,
    tasks: JoinSet<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

/// Starts everything that a data folder needs: adopts what runs there, starts the edge where none
/// does, goes on with what was owed, and answers when requests are served.
pub async fn start(options: Options) -> Result<Server, Failure> {
    let data = DataFolder::open(&options.data)?;
    let journal = Arc::new(open_journal(&data)?);
    // Before anything is started that would outlive a refusal.
    let listener = listen(options.listen).await?;
    let ground = Ground::lay(&data, &options, journal).await?;
    let address = listener.local_addr().map_err(|e| Failure::because("no address", &e))?;
    let target = ground.target(&data).await?;
    let runner = ground.runner(&data).await?;
    let ports = ground.ports(&data, address, target.clone(), runner.clone());
    let (tenant, journal, clock) = (Tenant::local(), ground.journal.clone(), ground.clock.clone());
    let begun = ground.journal.clone();
    let carrier = |handle| -> Arc<dyn reactor::Carrier> { PortCarrier::new(ports, handle) };
    let (handle, reactor) = reactor::start(tenant, journal, clock, carrier);
    let triggers = Triggers::new(begun, ground.source.clone(), handle.clone());
    triggers.begin().await.map_err(|e| Failure::because("the journal cannot be read", &e))?;
    let heard = ground.listener(&options.repo, handle.clone());
    heard.begin().await.map_err(|e| Failure::because("the ledger cannot be read", &e))?;
    let control = ground.control(handle.clone());
    let resized = control.resize_queue(options.slots).await;
    resized.map_err(|e| Failure::because("the queue of jobs cannot be kept", &e))?;
    ground.reports.connect(control.clone());
    missed(&control, &ground.source, &options.repo).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut tasks = ground.watchers(&data, &handle);
    tasks.spawn(triggers.run(handle.changes()));
    tasks.spawn(heard.run());
    tasks.spawn(ground.scheduler(&options.repo, handle.clone()).run());
    let (tokens, token) = owner_token(&data, ground.clock.as_ref(), ground.entropy.as_ref())?;
    let app = App {
        control,
        tokens,
        vault: ground.vault.clone(),
        jobs: ground.jobs.clone(),
        logs: Arc::new(HostLogs { runner: runner.clone(), target: target.clone() }),
        artifacts: Arc::new(HostArtifacts(runner)),
        clock: ground.clock.clone(),
        entropy: ground.entropy.clone(),
        repo: options.repo.clone(),
    };
    let ended: BoxFuture<'static, ()> = Box::pin(until(stopped));
    let serving = grit_server::serve(Arc::new(app), listener, ended);
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(cause = chain(&error), "the API ended");
        }
    });
    let file = ServeFile {
        v: 1,
        server: address,
        edge: ground.edge_address,
        pid: std::process::id(),
        started_at: ground.clock.now().millis(),
        token,
        repo: options.repo.to_string(),
    };
    data.write_serve_file(&file)?;
    Ok(Server { file, data, reactor, target, tasks, stop })
}

/// Pushes that came while nobody was there to be told. They are the owner's, as all are that come
/// through the file system.
async fn missed(control: &Control, source: &GitSource, repo: &Repo) {
    let refs = source.open(repo).map_err(chained).and_then(|repository| {
        let branches = repository.branches().map_err(chained)?;
        let tags = repository.tags().map_err(chained)?;
        Ok(branches.into_iter().chain(tags.into_iter().map(|tag| (tag.name, tag.commit))).collect())
    });
    let at = RepoId { tenant: control.tenant().clone(), repo: repo.clone() };
    let taken = match refs {
        Ok(refs) => {
            let actor = Actor::new(owner(), "start");
            control.missed(&at, refs, actor).await.map_err(chained)
        }
        Err(error) => Err(error),
    };
    match taken {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "refs had moved that nobody told of"),
        Err(cause) => tracing::warn!(cause, "pushes that were missed could not be looked for"),
    }
}

fn chained(error: impl std::error::Error) -> String {
    chain(&error)
}

/// Who a control process belongs to.
fn owner() -> Principal {
    // A valid principal by its form.
    "owner".parse().expect("a valid name")
}

/// What everything else of a control process stands on.
struct Ground {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    source: Arc<GitSource>,
    jobs: Arc<JobTokens>,
    vault: Arc<Vault>,
    reports: Arc<Reports>,
    edge: EdgeProcess,
    edge_address: SocketAddr,
    registry: std::path::PathBuf,
}

impl Ground {
    async fn lay(
        data: &DataFolder,
        options: &Options,
        journal: Arc<dyn Journal>,
    ) -> Result<Self, Failure> {
        let edge = EdgeProcess::of(data);
        open_repository(data, &options.repo)?;
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
        let vault = Vault::open(data.root(), entropy.as_ref())
            .map_err(|error| Failure::because("secrets cannot be kept", &error))?;
        let edge_address = edge.ensure(data.root(), options.edge_listen).await?;
        Ok(Self {
            journal,
            clock: Arc::new(SystemClock),
            entropy,
            vault: Arc::new(vault),
            source: Arc::new(GitSource::new(data.root())),
            jobs: Arc::default(),
            reports: Arc::default(),
            edge,
            edge_address,
            registry: data.path("blobs"),
        })
    }

    async fn target(&self, data: &DataFolder) -> Result<Arc<ProcessTarget>, Failure> {
        let artifacts = Layout::open_or_create(&self.registry)
            .map_err(|error| Failure::because("the artifacts' folder cannot be used", &error))?;
        let opened = ProcessTarget::open(process::Config {
            root: data.path("instances"),
            logs: data.path("logs/instances"),
            artifacts,
            shim: Shim::this_binary(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            observer: self.reports.clone(),
            extra_env: Arc::new(|_| BTreeMap::new()),
            restart: RestartPolicy::default(),
        });
        opened.await.map_err(|error| Failure::because("instances cannot be adopted", &error))
    }

    async fn runner(&self, data: &DataFolder) -> Result<Arc<HostRunner>, Failure> {
        let (source, jobs, vault) = (self.source.clone(), self.jobs.clone(), self.vault.clone());
        runner::open(data, source, jobs, vault, self.clock.clone(), self.entropy.clone()).await
    }

    fn ports(
        &self,
        data: &DataFolder,
        address: SocketAddr,
        target: Arc<ProcessTarget>,
        runner: Arc<HostRunner>,
    ) -> Arc<Ports> {
        let source = self.source.clone();
        Arc::new(Ports {
            journal: self.journal.clone(),
            source: source.clone(),
            router: Arc::new(self.edge.client()),
            target,
            verifier: Arc::new(HostVerifier { source, work: data.path("work/checks") }),
            runner: Arc::new(Tokened { runner, jobs: self.jobs.clone() }),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            settings: self.vault.clone(),
            job_env: job_env(Some(address), &self.registry),
            service_url: service_url(self.edge_address),
            server: SERVER_NAME.to_owned(),
        })
    }

    fn control(&self, handle: reactor::Handle) -> Control {
        Control::new(
            Tenant::local(),
            handle,
            self.journal.clone(),
            self.source.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            service_url(self.edge_address),
        )
    }

    fn listener(&self, repo: &Repo, handle: reactor::Handle) -> Listener {
        Listener {
            at: RepoId { tenant: Tenant::local(), repo: repo.clone() },
            journal: self.journal.clone(),
            source: self.source.clone(),
            handle,
        }
    }

    fn scheduler(&self, repo: &Repo, handle: reactor::Handle) -> Scheduler {
        Scheduler {
            at: RepoId { tenant: Tenant::local(), repo: repo.clone() },
            journal: self.journal.clone(),
            source: self.source.clone(),
            clock: self.clock.clone(),
            handle,
        }
    }

    /// What runs beside the reactor: the relay, the edge's reports, the edge's keeper.
    fn watchers(&self, data: &DataFolder, handle: &reactor::Handle) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (journal, source) = (self.journal.clone(), self.source.clone());
        let relay = Relay::new(journal, source, SERVER_NAME.to_owned());
        tasks.spawn(relay.run(handle.changes()));
        tasks.spawn(self.edge.client().watch(self.reports.clone()));
        let (edge, root, listen) = (self.edge.clone(), data.root().to_owned(), self.edge_address);
        tasks.spawn(async move { edge.keep(&root, listen).await });
        tasks
    }
}

/// The server's name in its repositories' ledgers.
const SERVER_NAME: &str = "server";

async fn until(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // An error means that the server is gone, which is an end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

impl Server {
    /// Ends the control process; the edge and the instances run on.
    pub async fn stop(mut self) {
        // Nobody may listen any more.
        let _ = self.stop.send(true);
        self.reactor.stop().await;
        self.target.close().await;
        self.tasks.shutdown().await;
    }
}

fn open_journal(data: &DataFolder) -> Result<SqliteJournal, Failure> {
    SqliteJournal::open(&data.path("journal.db")).map_err(|error| match &error {
        OpenError::Held { .. } => Failure::new(Exit::Environment, "in_use", chain(&error))
            .hint("stop that process, or give another folder with `--data FOLDER`"),
        _ => Failure::because("the journal cannot be opened", &error),
    })
}

async fn listen(address: SocketAddr) -> Result<tokio::net::TcpListener, Failure> {
    tokio::net::TcpListener::bind(address).await.map_err(|error| {
        Failure::new(
            Exit::Environment,
            "port_in_use",
            format!("cannot listen on {address}: {error}"),
        )
        .hint("give another address with `--listen 127.0.0.1:0`")
    })
}

/// The hosted repository, made where it is missing; a push to it tells this server.
fn open_repository(data: &DataFolder, repo: &Repo) -> Result<(), Failure> {
    let failed =
        |error: grit_git::GitError| Failure::because("the repository cannot be hosted", &error);
    let path = data.repository(repo.as_str());
    let repository = if path.exists() {
        let repository = Repository::open(&path).map_err(failed)?;
        repository.clear_stale_locks().map_err(failed)?;
        repository
    } else {
        Repository::init_bare(&path).map_err(failed)?
    };
    let program = std::env::current_exe().map_err(|e| Failure::because("no program path", &e))?;
    grit_git::hook::install(&repository, &program, data.root()).map_err(failed)
}

/// A service is found at the edge, by a name that every program resolves to this machine.
fn service_url(edge: SocketAddr) -> ServiceUrl {
    Arc::new(move |slot: &SlotId| format!("http://{}:{}", slot.host(), edge.port()))
}

/// The owner's token of this folder, made anew at each start: only its hash is kept.
fn owner_token(
    data: &DataFolder,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(Tokens, String), Failure> {
    let failed = |error: grit_server::TokenError| Failure::because("tokens cannot be kept", &error);
    let tokens = Tokens::open(data.root()).map_err(failed)?;
    let made = tokens.renew(owner(), Role::Owner, clock, entropy).map_err(failed)?;
    Ok((tokens, made.token))
}
