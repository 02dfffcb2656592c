//! What people and programs ask of the control plane.

use std::collections::BTreeMap;
use std::sync::Arc;

use grit_ledger::{Journal, RowQuery, StorageError, StreamId};
use grit_pipeline::run::JobView;
use grit_rollout::config::{Config, Wanted};
use grit_rollout::slot::{Command as SlotCommand, Trigger};
use grit_rollout::{Report, SlotId};
use grit_types::{
    Actor, Clock, CommitId, DeploymentId, Digest, Entropy, Environment, RefName, Revision, Role,
    RunId, Sequence, Service, Tenant,
};
use serde::de::DeserializeOwned;

use crate::aggregate::Command;
use crate::carry::plan::run_stream;
use crate::carry::queue_stream;
use crate::pipelines;
use crate::ports::{RepoId, Source, SourceError};
use crate::project::{COMMITS, DEPLOYMENTS, QUEUES, RUNS, SLOTS};
use crate::reactor::{Handle, Receipt, Submission, SubmitError};
use crate::repo::{self, RefUpdate};
use crate::request::{self, ServiceUrl};
use crate::view::{CommitView, DeploymentView, QueueView, RunView, SlotView};

/// Why something asked for did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("there is no version `{version}`{}", listed(.version, .known))]
    UnknownVersion { version: String, known: Vec<String> },
    #[error("{kind} `{name}` is not in grit.yaml of that version{}", listed(.name, .known))]
    Unknown { kind: &'static str, name: String, known: Vec<String> },
    #[error("there is no pipeline `{name}` in that version{}", listed(.name, .known))]
    UnknownPipeline { name: String, known: Vec<String> },
    /// `known`: as they are typed.
    #[error("nothing was ever deployed as `{slot}`{}", listed(.slot, .known))]
    UnknownSlot { slot: String, known: Vec<String> },
    #[error("{version} has no built artifact for `{image}`{hint}")]
    NotBuilt { version: String, image: String, hint: String },
    #[error("commit {0} has no grit.yaml")]
    NoConfig(CommitId),
    #[error("grit.yaml of {commit} cannot be used")]
    BadConfig { commit: CommitId, rendered: String },
    #[error("{0}")]
    NotFound(String),
    /// What was asked for cannot be, and why.
    #[error("{0}")]
    Refused(String),
    #[error("the control process is overloaded")]
    Panicked,
}

/// What there is, and what was probably meant.
fn listed(name: &str, known: &[String]) -> String {
    let all = match known {
        [] => "there is none yet".to_owned(),
        [one] => format!("there is only {one}"),
        several => format!("there are {}", several.join(", ")),
    };
    match grit_diag::suggest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("; did you mean `{meant}`? ({all})"),
        None => format!("; {all}"),
    }
}

/// What [`Control::can_record`] writes is no consumer's position.
const PROBE: &str = "probe";

/// Versions that are named where one is not found.
const VERSIONS_LISTED_MAX: usize = 10;

/// The control plane, as one thing to ask.
#[derive(Clone)]
pub struct Control {
    handle: Handle,
    pub(crate) journal: Arc<dyn Journal>,
    source: Arc<dyn Source>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    tenant: Tenant,
    service_url: ServiceUrl,
}

/// A deployment that somebody asks for by name.
#[derive(Clone, Debug)]
pub struct Deploy {
    pub at: RepoId,
    pub service: Service,
    pub environment: Environment,
    /// A tag, a branch or a commit id.
    pub version: String,
    /// Strategy by name; none: that of `grit.yaml`.
    pub strategy: Option<String>,
    /// What it is called; the same is deployed once. None: anew.
    pub id: Option<DeploymentId>,
}

/// What a person does to a slot. What makes a deployment takes its id: the same is made once.
#[derive(Clone, Debug)]
pub enum Steer {
    Promote { full: bool },
    Pause,
    Resume,
    Abort { reason: String },
    Retry { id: Option<DeploymentId> },
    Rollback { to: Option<Revision>, id: Option<DeploymentId> },
    Approve { number: Option<u64>, roles: Vec<Role> },
    Reject { number: Option<u64>, reason: String },
}

impl Control {
    /// A control plane over a running reactor.
    pub fn new(
        tenant: Tenant,
        handle: Handle,
        journal: Arc<dyn Journal>,
        source: Arc<dyn Source>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        service_url: ServiceUrl,
    ) -> Self {
        Self { handle, journal, source, clock, entropy, tenant, service_url }
    }

    /// The tenant whose server this is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Moves whenever something was appended.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.handle.changes()
    }

    pub(crate) async fn submit(
        &self,
        stream: StreamId,
        command: Command,
        actor: Actor,
    ) -> Result<Receipt, ControlError> {
        Ok(self.handle.submit(Submission { stream, command, actor }).await?)
    }

    /// Takes note of a push.
    pub async fn push(
        &self,
        at: &RepoId,
        updates: Vec<RefUpdate>,
        actor: Actor,
    ) -> Result<Receipt, ControlError> {
        let command = Command::Repo(repo::Command::Push { updates });
        self.submit(at.stream(), command, actor).await
    }

    /// Takes note of refs that nobody told of: a push whose hook died, or found nobody. Answers
    /// how many there were.
    pub async fn missed(
        &self,
        at: &RepoId,
        refs: Vec<(RefName, CommitId)>,
        actor: Actor,
    ) -> Result<usize, ControlError> {
        let commits = self.commits(at, 0).await?.into_iter();
        let known: BTreeMap<_, _> = commits.map(|view| (view.commit, view.state.refs)).collect();
        let missed = |(name, commit): &(RefName, CommitId)| {
            known.get(commit).is_none_or(|refs| !refs.contains(name))
        };
        let update = |(name, commit)| RefUpdate { name, old: None, new: Some(commit) };
        let updates: Vec<RefUpdate> = refs.into_iter().filter(missed).map(update).collect();
        let count = updates.len();
        if count > 0 {
            self.push(at, updates, actor).await?;
        }
        Ok(count)
    }

    /// Whether something could be recorded now; it writes a few bytes to find out.
    pub async fn can_record(&self) -> Result<(), ControlError> {
        let now = u64::try_from(self.clock.now().millis()).unwrap_or_default();
        self.journal.cursor(PROBE, Some(Sequence(now))).await?;
        Ok(())
    }

    /// Takes note of an artifact that a job pushed.
    pub async fn publish(
        &self,
        at: &RepoId,
        commit: CommitId,
        image: String,
        artifact: Digest,
        run: Option<RunId>,
        actor: Actor,
    ) -> Result<Receipt, ControlError> {
        let command = Command::Repo(repo::Command::Publish { commit, image, artifact, run });
        self.submit(at.stream(), command, actor).await
    }

    /// Cancels a run.
    pub async fn cancel_run(
        &self,
        run: RunId,
        reason: String,
        actor: Actor,
    ) -> Result<Receipt, ControlError> {
        let command = grit_pipeline::run::Command::Cancel { reason, force: false };
        self.submit(run_stream(run), Command::Run(command), actor).await
    }

    /// Steers what is in a slot.
    pub async fn steer(
        &self,
        slot: &SlotId,
        steer: Steer,
        actor: Actor,
    ) -> Result<Receipt, ControlError> {
        if request::current(self.journal.as_ref(), slot).await?.is_none() {
            return Err(self.unknown(slot).await?);
        }
        let command = match steer {
            Steer::Promote { full } => SlotCommand::Promote { full },
            Steer::Pause => SlotCommand::Pause,
            Steer::Resume => SlotCommand::Resume,
            Steer::Abort { reason } => SlotCommand::Abort { reason },
            Steer::Retry { id } => SlotCommand::Retry { id: self.called(id) },
            Steer::Rollback { to, id } => SlotCommand::Rollback { to, id: self.called(id) },
            Steer::Approve { number, roles } => SlotCommand::Approve { number, roles },
            Steer::Reject { number, reason } => SlotCommand::Reject { number, reason },
        };
        self.submit(slot.stream(), Command::Slot(command), actor).await
    }

    fn called(&self, id: Option<DeploymentId>) -> DeploymentId {
        id.unwrap_or_else(|| DeploymentId::new(self.clock.now(), self.entropy.as_ref()))
    }

    async fn unknown(&self, slot: &SlotId) -> Result<ControlError, ControlError> {
        let slots = self.slots(Some(slot.repo.to_string())).await?;
        let typed = |service: &Service, environment| format!("{service} --env {environment}");
        let known = slots.iter().map(|slot| typed(&slot.service, &slot.environment)).collect();
        let slot = typed(&slot.service, &slot.environment);
        Ok(ControlError::UnknownSlot { slot, known })
    }

    /// Takes what a target or a router noticed; never waits.
    pub fn report(&self, report: Report) {
        let (Report::Instances { slot, .. } | Report::Tripped { slot, .. }) = &report;
        let submission = Submission {
            stream: slot.stream(),
            command: Command::Slot(SlotCommand::Report(report)),
            actor: Actor::grit("observer"),
        };
        if !self.handle.tell(submission) {
            tracing::warn!("a report was dropped; the next one repairs it");
        }
    }

    /// Requests a deployment of a version that was built.
    pub async fn deploy(&self, deploy: Deploy, actor: Actor) -> Result<DeploymentId, ControlError> {
        let commit = self.version(&deploy.at, &deploy.version).await?;
        let config = self.configuration(&deploy.at, &commit).await?;
        let image = image_of(&config, &deploy)?;
        let artifact = self.artifact(&deploy, &commit, &image).await?;
        let Deploy { at, service, environment, version, strategy, id } = deploy;
        let slot =
            SlotId { tenant: at.tenant.clone(), repo: at.repo.clone(), environment, service };
        let current = request::current(self.journal.as_ref(), &slot).await?;
        let from = request::deployed(current.as_ref());
        let (place, to) = (at.clone(), commit.clone());
        let changes = self
            .blocking(move |s| s.changes(&place, from.as_ref(), &to, request::CHANGES_MAX))
            .await?;
        let authors = request::authors(self.journal.as_ref(), &at, &commit, &changes).await?;
        let id = self.called(id);
        let requested_by = actor.principal.clone();
        let trigger = Trigger::Manual;
        let wanted =
            Wanted { id, version, commit, artifact, trigger, requested_by, authors, changes };
        let request = request::complete(&config, &slot, wanted, &[], &self.service_url);
        let Some(mut request) = request else {
            return Err(ControlError::NotFound(format!("{slot} is not in grit.yaml")));
        };
        if let Some(name) = strategy {
            let built_in = ["rolling", "canary"].map(str::to_owned);
            let known = config.strategies.keys().cloned().chain(built_in).collect();
            request.strategy = config.strategy(&name).ok_or(ControlError::Unknown {
                kind: "strategy",
                name,
                known,
            })?;
        }
        let command = Command::Slot(SlotCommand::Request(Box::new(request)));
        self.submit(slot.stream(), command, actor).await?;
        Ok(id)
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Source) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let source = self.source.clone();
        let joined = tokio::task::spawn_blocking(move || work(source.as_ref())).await;
        Ok(joined.map_err(|_| ControlError::Panicked)??)
    }

    async fn version(&self, at: &RepoId, version: &str) -> Result<CommitId, ControlError> {
        let (place, text) = (at.clone(), version.to_owned());
        if let Some(commit) = self.blocking(move |s| s.resolve(&place, &text)).await? {
            return Ok(commit);
        }
        let known = self.versions(at).await?;
        Err(ControlError::UnknownVersion { version: version.to_owned(), known })
    }

    /// What was pushed last, newest first, and then other tags.
    async fn versions(&self, at: &RepoId) -> Result<Vec<String>, ControlError> {
        let pushed = self.commits(at, VERSIONS_LISTED_MAX).await?;
        let called = |view: &CommitView| {
            let refs: Vec<RefName> = view.state.refs.iter().cloned().collect();
            request::version(&refs, &view.commit)
        };
        let mut known: Vec<String> = pushed.iter().map(called).collect();
        let place = at.clone();
        let tags = self.blocking(move |source| source.tags(&place)).await?;
        for (name, _) in tags {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        known.truncate(VERSIONS_LISTED_MAX);
        Ok(known)
    }

    async fn configuration(&self, at: &RepoId, commit: &CommitId) -> Result<Config, ControlError> {
        let (place, wanted) = (at.clone(), commit.clone());
        let read = self.blocking(move |s| pipelines::configuration(s, &place, &wanted)).await?;
        match read {
            Some(Ok(config)) => Ok(config),
            Some(Err(rendered)) => {
                Err(ControlError::BadConfig { commit: commit.clone(), rendered })
            }
            None => Err(ControlError::NoConfig(commit.clone())),
        }
    }

    async fn artifact(
        &self,
        deploy: &Deploy,
        commit: &CommitId,
        image: &str,
    ) -> Result<Digest, ControlError> {
        let known = self.commit(&deploy.at, commit).await?;
        let artifact = known.as_ref().and_then(|view| view.state.artifacts.get(image).copied());
        artifact.ok_or_else(|| {
            let hint = match known {
                None => "; push it first, so that it is built".to_owned(),
                Some(view) if view.state.problems.is_empty() => "; is its run over?".to_owned(),
                Some(view) => format!("; {}", view.state.problems.join("; ")),
            };
            ControlError::NotBuilt {
                version: deploy.version.clone(),
                image: image.to_owned(),
                hint,
            }
        })
    }

    /// A commit that was pushed, and what came of it.
    pub async fn commit(
        &self,
        at: &RepoId,
        commit: &CommitId,
    ) -> Result<Option<CommitView>, ControlError> {
        let query =
            RowQuery { key: Some(format!("{}/{commit}", at.repo)), ..self.query(COMMITS, None, 1) };
        Ok(self.views(&query).await?.pop())
    }

    /// The newest commits of a repository.
    pub async fn commits(
        &self,
        at: &RepoId,
        limit: usize,
    ) -> Result<Vec<CommitView>, ControlError> {
        self.views(&self.query(COMMITS, Some(at.repo.to_string()), limit)).await
    }

    /// All slots below a scope (`shop`, `shop/production`), by name.
    pub async fn slots(&self, scope: Option<String>) -> Result<Vec<SlotView>, ControlError> {
        let mut slots: Vec<SlotView> = self.views(&self.query(SLOTS, scope, 0)).await?;
        slots.sort_by(|a, b| (&a.environment, &a.service).cmp(&(&b.environment, &b.service)));
        Ok(slots)
    }

    /// The newest deployments below a scope, newest first.
    pub async fn deployments(
        &self,
        scope: Option<String>,
        limit: usize,
    ) -> Result<Vec<DeploymentView>, ControlError> {
        self.views(&self.query(DEPLOYMENTS, scope, limit)).await
    }

    /// A deployment.
    pub async fn deployment(
        &self,
        id: DeploymentId,
    ) -> Result<Option<DeploymentView>, ControlError> {
        let query = RowQuery { key: Some(id.to_string()), ..self.query(DEPLOYMENTS, None, 1) };
        Ok(self.views(&query).await?.pop())
    }

    /// The newest runs of a repository.
    pub async fn runs(&self, at: &RepoId, limit: usize) -> Result<Vec<RunView>, ControlError> {
        let views = self.views(&self.query(RUNS, Some(at.repo.to_string()), limit)).await?;
        self.with_queue(views).await
    }

    /// A run.
    pub async fn run(&self, id: RunId) -> Result<Option<RunView>, ControlError> {
        let query = RowQuery { key: Some(id.to_string()), ..self.query(RUNS, None, 1) };
        let views = self.views(&query).await?;
        Ok(self.with_queue(views).await?.pop())
    }

    /// The queue of the machine.
    pub async fn queue(&self) -> Result<QueueView, ControlError> {
        let found = self.views(&self.query(QUEUES, None, 1)).await?.pop();
        Ok(found.unwrap_or_default())
    }

    /// The machine has so many slots for jobs.
    pub async fn resize_queue(&self, slots: u32) -> Result<Receipt, ControlError> {
        let command = Command::Queue(grit_pipeline::queue::Command::Resize { slots });
        self.submit(queue_stream(), command, Actor::grit("start")).await
    }

    /// With what jobs wait for that nothing but the machine keeps back.
    async fn with_queue(&self, mut views: Vec<RunView>) -> Result<Vec<RunView>, ControlError> {
        let waits = |job: &JobView| job.state == "queued" && job.waiting.is_none();
        if !views.iter().any(|view| view.jobs.iter().any(waits)) {
            return Ok(views);
        }
        let queue = self.queue().await?;
        for view in &mut views {
            let why = queue.why(view.id);
            for job in view.jobs.iter_mut().filter(|job| waits(job)) {
                job.waiting = Some(why.clone());
            }
        }
        Ok(views)
    }

    pub(crate) fn query(&self, table: &str, scope: Option<String>, limit: usize) -> RowQuery {
        RowQuery {
            table: table.to_owned(),
            tenant: Some(self.tenant.clone()),
            scope,
            limit,
            ..RowQuery::default()
        }
    }

    pub(crate) async fn views<T: DeserializeOwned>(
        &self,
        query: &RowQuery,
    ) -> Result<Vec<T>, ControlError> {
        let rows = self.journal.rows(query).await?;
        let view = |row: grit_ledger::Row| match serde_json::from_value(row.body) {
            Ok(view) => Some(view),
            Err(error) => {
                tracing::warn!(key = row.key, %error, "a row of another version is left out");
                None
            }
        };
        Ok(rows.into_iter().filter_map(view).collect())
    }
}

/// The image of a service that is in the file, for an environment that is.
fn image_of(config: &Config, deploy: &Deploy) -> Result<String, ControlError> {
    let service = config.service(&deploy.service).ok_or_else(|| ControlError::Unknown {
        kind: "service",
        name: deploy.service.to_string(),
        known: config.services.iter().map(|service| service.name.to_string()).collect(),
    })?;
    if config.environment(&deploy.environment).is_none() {
        return Err(ControlError::Unknown {
            kind: "environment",
            name: deploy.environment.to_string(),
            known: config.environments.iter().map(|e| e.name.to_string()).collect(),
        });
    }
    Ok(service.image.clone())
}
