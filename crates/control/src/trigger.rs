//! What other runs and deployments came to starts pipelines: `workflow_run`, `grit_deployment`.
//!
//! A consumer of the journal with a place of its own, like the relay: each event is told to its
//! repository at least once, under a name that follows from the event, so that it starts a thing once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use grit_ledger::{Journal, Recorded, RowQuery, StorageError, StreamId};
use grit_types::{Actor, CommitId, Principal, RunId, Sequence, Version};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::aggregate::Command;
use crate::follow::{self, PAGE};
use crate::ports::{RepoId, Source, SourceError};
use crate::project::{DEPLOYMENTS, RUNS, row};
use crate::reactor::{Handle, Submission, SubmitError};
use crate::repo::{self, Trigger};
use crate::view::{DeploymentView, RunView};

/// Who this is among the journal's consumers.
const CONSUMER: &str = "triggers";
/// A run that was started by so many others, one after the other, starts none.
const DEPTH_MAX: u32 = 3;
/// Of so many runs it is remembered that they have begun; of others it is read.
const BEGUN_MAX: usize = 1_000;

/// Tells repositories; see the module.
pub struct Triggers {
    journal: Arc<dyn Journal>,
    source: Arc<dyn Source>,
    handle: Handle,
    /// Runs of which a job was started.
    begun: Mutex<VecDeque<StreamId>>,
}

#[derive(Debug, thiserror::Error)]
enum TriggerError {
    #[error("read the journal")]
    Journal(#[from] StorageError),
    #[error("read the repository")]
    Source(#[from] SourceError),
    #[error("tell the repository")]
    Submit(#[from] SubmitError),
    #[error("reading the repository panicked")]
    Panicked,
}

impl Triggers {
    /// Tells what is in `journal` from now on; what was there before this was ever asked for
    /// starts nothing.
    pub fn new(journal: Arc<dyn Journal>, source: Arc<dyn Source>, handle: Handle) -> Self {
        Self { journal, source, handle, begun: Mutex::default() }
    }

    /// Takes its place in a journal that it has none in yet: at its end. To be called before anything
    /// is appended.
    pub async fn begin(&self) -> Result<(), StorageError> {
        let begun = format!("{CONSUMER}/begun");
        if self.journal.cursor(&begun, None).await? > Sequence(0) {
            return Ok(());
        }
        let mut last = self.journal.cursor(CONSUMER, None).await?;
        while let Some(recorded) = self.journal.tail(last, PAGE).await?.pop() {
            last = recorded.sequence;
        }
        self.journal.cursor(CONSUMER, Some(last)).await?;
        self.journal.cursor(&begun, Some(Sequence(1))).await.map(drop)
    }

    /// Runs for ever; what fails is tried again.
    pub async fn run(self, changes: watch::Receiver<u64>) {
        follow::every_change("triggers", changes, || self.catch_up()).await;
    }

    async fn catch_up(&self) -> Result<(), TriggerError> {
        let take = |recorded| async move { self.tell(&recorded).await };
        follow::to_the_end(self.journal.as_ref(), CONSUMER, take).await
    }

    async fn tell(&self, recorded: &Recorded) -> Result<(), TriggerError> {
        let told = match recorded.event.kind.as_str() {
            "run.planned" => self.of_run(recorded, "requested").await?,
            "run.job_started" if self.begins(recorded).await? => {
                self.of_run(recorded, "in_progress").await?
            }
            "run.finished" => self.of_run(recorded, "completed").await?,
            kind @ ("deployment.requested" | "deployment.started" | "deployment.finished") => {
                self.of_deployment(recorded, kind).await?
            }
            _ => None,
        };
        let Some((at, trigger)) = told else { return Ok(()) };
        let command = Command::Repo(repo::Command::Trigger(Box::new(trigger)));
        let actor = Actor::grit("trigger");
        match self.handle.submit(Submission { stream: at.stream(), command, actor }).await {
            Err(SubmitError::Refused(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether no other job of the run was started before.
    async fn begins(&self, recorded: &Recorded) -> Result<bool, StorageError> {
        let begun = || self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun().contains(&recorded.stream) {
            return Ok(false);
        }
        let events = self.journal.read(&recorded.stream, Version::ZERO).await?;
        let first = events.iter().find(|before| before.event.kind == recorded.event.kind);
        let mut begun = begun();
        begun.push_back(recorded.stream.clone());
        let over = begun.len().saturating_sub(BEGUN_MAX);
        begun.drain(..over);
        Ok(first.is_some_and(|first| first.id == recorded.id))
    }

    async fn of_run(
        &self,
        recorded: &Recorded,
        activity: &str,
    ) -> Result<Option<(RepoId, Trigger)>, TriggerError> {
        let Some(key) = recorded.stream.parts().next() else { return Ok(None) };
        let (journal, tenant) = (self.journal.as_ref(), &recorded.event.tenant);
        let view: Option<RunView> = row(journal, RUNS, tenant, key.to_owned()).await?;
        let Some(view) = view.filter(|view| view.depth < DEPTH_MAX) else { return Ok(None) };
        let at = RepoId { tenant: view.tenant_id.clone(), repo: view.repo.clone() };
        let Some(mut trigger) = self.at_default(&at, &recorded.id.to_string()).await? else {
            return Ok(None);
        };
        let branch = view.ref_name.as_ref().and_then(|name| name.branch()).map(str::to_owned);
        trigger.event = "workflow_run".to_owned();
        trigger.activity = Some(activity.to_owned());
        trigger.workflow = Some(view.name.clone());
        trigger.actor = view.actor.clone();
        trigger.depth = view.depth + 1;
        trigger.payload = json!({
            "action": activity,
            "workflow": { "name": view.name },
            "workflow_run": workflow_run(&view, activity, branch.as_deref()),
        });
        trigger.branch = branch;
        Ok(Some((at, trigger)))
    }

    async fn of_deployment(
        &self,
        recorded: &Recorded,
        kind: &str,
    ) -> Result<Option<(RepoId, Trigger)>, TriggerError> {
        let scope = recorded.stream.parts().skip(1).collect::<Vec<_>>().join("/");
        let query = RowQuery {
            table: DEPLOYMENTS.to_owned(),
            tenant: Some(recorded.event.tenant.clone()),
            scope: Some(scope),
            ..RowQuery::default()
        };
        let number = recorded.event.data["number"]
            .as_u64()
            .or_else(|| recorded.event.data["request"]["number"].as_u64());
        let views = self.journal.rows(&query).await?.into_iter();
        let mut views =
            views.filter_map(|row| serde_json::from_value::<DeploymentView>(row.body).ok());
        let Some(view) = views.find(|view| number.is_none_or(|number| view.number == number))
        else {
            return Ok(None);
        };
        let at = RepoId { tenant: view.tenant_id.clone(), repo: view.repo.clone() };
        let Some(mut trigger) = self.at_default(&at, &recorded.id.to_string()).await? else {
            return Ok(None);
        };
        let activity = match kind {
            "deployment.finished" => view.status.to_string().to_lowercase(),
            other => other.trim_start_matches("deployment.").to_owned(),
        };
        trigger.event = "grit_deployment".to_owned();
        trigger.actor = view.requested_by.clone();
        trigger.payload = json!({ "action": activity, "deployment": view });
        trigger.activity = Some(activity);
        Ok(Some((at, trigger)))
    }

    /// Pipelines that are started by what others came to are those of the default branch.
    async fn at_default(&self, at: &RepoId, id: &str) -> Result<Option<Trigger>, TriggerError> {
        let (source, place) = (self.source.clone(), at.clone());
        let read = tokio::task::spawn_blocking(move || source.default_branch(&place)).await;
        let found = read.map_err(|_| TriggerError::Panicked)??;
        Ok(found.map(|(name, commit): (_, CommitId)| Trigger {
            id: id.to_owned(),
            ref_name: Some(name),
            actor: Principal::grit(),
            ..Trigger::none(&commit)
        }))
    }
}

fn workflow_run(view: &RunView, activity: &str, branch: Option<&str>) -> Value {
    let over = activity == "completed";
    let status = if activity == "requested" { "queued" } else { activity };
    let id: RunId = view.id;
    json!({
        "id": id.to_string(),
        "name": view.name,
        "event": view.event,
        "head_branch": branch,
        "head_sha": view.commit.as_str(),
        "run_number": view.number,
        "status": status,
        "conclusion": over.then_some(view.status.as_str()),
        "actor": { "login": view.actor.as_str() },
        "created_at": view.started_at.to_string(),
        "updated_at": view.completed_at.unwrap_or(view.started_at).to_string(),
    })
}
