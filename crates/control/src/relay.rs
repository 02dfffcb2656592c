//! The relay: carries the journal's events on, in their order, each at least once.
//!
//! It has two consumers, each with a place of its own in that order. The audit lane of the
//! repository concerned gets one summary for each run and deployment that is over: it follows from
//! the journal's event alone, so that one that is written twice is the same event, and readers see
//! it once. The repository's issues get what its `grit.yaml` asks for.

mod issues;
mod note;
mod slots;

use std::sync::Arc;

use grit_ledger::{Cause, Event, Journal, Lane, Recorded, RowQuery};
use grit_types::Actor;
use serde_json::Value;
use tokio::sync::watch;

use crate::follow;
use crate::ports::{RepoId, Source, SourceError};
use crate::project::{DEPLOYMENTS, RUNS, row};

/// Who the relay is among the journal's consumers.
#[derive(Clone, Copy)]
enum Consumer {
    Audit,
    Issues,
}

impl Consumer {
    fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Issues => "issues",
        }
    }
}

/// Kind of the summary of a deployment.
pub const DEPLOYMENT_SUMMARY: &str = "deployment.summary";
/// Kind of the summary of a run.
pub const RUN_SUMMARY: &str = "run.summary";

/// Carries events on until it is dropped.
pub struct Relay {
    journal: Arc<dyn Journal>,
    source: Arc<dyn Source>,
    server: String,
    slots: slots::Slots,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("read the journal")]
    Journal(#[from] grit_ledger::StorageError),
    #[error("write the ledger")]
    Ledger(#[from] SourceError),
    #[error("read grit.yaml")]
    Config(#[source] SourceError),
    #[error("the ledger's writer panicked")]
    Panicked,
}

impl Relay {
    /// Carries on what is in `journal`; `server` is the name of its lanes in the ledgers.
    pub fn new(journal: Arc<dyn Journal>, source: Arc<dyn Source>, server: String) -> Self {
        Self { journal, source, server, slots: slots::Slots::default() }
    }

    /// Runs for ever; what fails is tried again.
    pub async fn run(self, changes: watch::Receiver<u64>) {
        follow::every_change("the relay", changes, || self.catch_up()).await;
    }

    async fn catch_up(&self) -> Result<(), RelayError> {
        // One that cannot go on does not hold the other up.
        let audit = self.follow(Consumer::Audit).await;
        self.follow(Consumer::Issues).await.and(audit)
    }

    async fn follow(&self, consumer: Consumer) -> Result<(), RelayError> {
        let take = |recorded| async move {
            match consumer {
                Consumer::Audit => self.relay(&recorded).await,
                Consumer::Issues => self.tell(&recorded).await,
            }
        };
        follow::to_the_end(self.journal.as_ref(), consumer.name(), take).await
    }

    async fn relay(&self, recorded: &Recorded) -> Result<(), RelayError> {
        let Some(summary) = self.summary(recorded).await? else { return Ok(()) };
        let (source, lane) = (self.source.clone(), Lane::Audit(self.server.clone()));
        let append = move || -> Result<(), SourceError> {
            let at = RepoId { tenant: summary.tenant.clone(), repo: summary.repo.clone() };
            let ledger = source.ledger(&at)?;
            ledger.append(&lane, &summary).map(drop).map_err(|source| SourceError {
                action: format!("append to the audit lane of {at}"),
                source: source.into(),
            })
        };
        tokio::task::spawn_blocking(append).await.map_err(|_| RelayError::Panicked)??;
        Ok(())
    }

    async fn summary(&self, recorded: &Recorded) -> Result<Option<Event>, RelayError> {
        let event = &recorded.event;
        let (kind, body) = match event.kind.as_str() {
            "deployment.finished" => {
                let number = event.data["number"].as_u64().unwrap_or_default();
                (DEPLOYMENT_SUMMARY, self.deployment(recorded, number).await?)
            }
            "run.finished" => (RUN_SUMMARY, self.run_row(recorded).await?),
            _ => return Ok(None),
        };
        let Some(body) = body else { return Ok(None) };
        let repo = body["repo"].as_str().and_then(|repo| repo.parse().ok());
        Ok(Some(Event {
            kind: kind.to_owned(),
            repo: repo.unwrap_or_else(|| event.repo.clone()),
            actor: Actor::grit("relay"),
            cause: Some(Cause::Event(recorded.id.clone())),
            subject: event.subject.clone(),
            tenant: event.tenant.clone(),
            hlc: event.hlc,
            data: body,
        }))
    }

    async fn deployment(&self, of: &Recorded, number: u64) -> Result<Option<Value>, RelayError> {
        let scope = of.stream.parts().skip(1).collect::<Vec<_>>().join("/");
        let query = RowQuery {
            table: DEPLOYMENTS.to_owned(),
            tenant: Some(of.event.tenant.clone()),
            scope: Some(scope),
            ..RowQuery::default()
        };
        let rows = self.journal.rows(&query).await?;
        let mut bodies = rows.into_iter().map(|row| row.body);
        Ok(bodies.find(|body| body["number"].as_u64() == Some(number)))
    }

    async fn run_row(&self, of: &Recorded) -> Result<Option<Value>, RelayError> {
        let Some(key) = of.stream.parts().next() else { return Ok(None) };
        let journal = self.journal.as_ref();
        Ok(row(journal, RUNS, &of.event.tenant, key.to_owned()).await?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
