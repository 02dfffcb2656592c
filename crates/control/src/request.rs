//! Completing what somebody wants deployed into a request that a slot can decide on.

use std::collections::BTreeSet;

use grit_ledger::{Journal, RowQuery, StorageError};
use grit_rollout::config::{EnvironmentConfig, ServiceConfig};
use grit_rollout::slot::{Change, Request, Trigger};
use grit_rollout::{Gate, SlotId};
use grit_types::{CommitId, DeploymentId, Digest, Principal, RefName, Service};

use crate::ports::RepoId;
use crate::project::{COMMITS, SLOTS};
use crate::view::{CommitView, SlotView};

/// Commits that a deployment's record names at most.
pub(crate) const CHANGES_MAX: usize = 500;

/// What somebody wants deployed.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub id: DeploymentId,
    pub slot: SlotId,
    pub version: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub trigger: Trigger,
    pub requested_by: Principal,
    /// Services that are being deployed with it.
    pub needs: Vec<Service>,
}

/// What people call a commit: its tag, else its short id.
pub(crate) fn version(refs: &[RefName], commit: &CommitId) -> String {
    let tag = refs.iter().find_map(RefName::tag);
    tag.unwrap_or(commit.short()).to_owned()
}

/// The slot as its row shows it.
pub(crate) async fn current(
    journal: &dyn Journal,
    slot: &SlotId,
) -> Result<Option<SlotView>, StorageError> {
    let query = RowQuery {
        table: SLOTS.to_owned(),
        tenant: Some(slot.tenant.clone()),
        key: Some(format!("{}/{}/{}", slot.repo, slot.environment, slot.service)),
        ..RowQuery::default()
    };
    let rows = journal.rows(&query).await?;
    Ok(rows.into_iter().find_map(|row| serde_json::from_value(row.body).ok()))
}

/// The commit that runs there.
pub(crate) fn deployed(current: Option<&SlotView>) -> Option<CommitId> {
    current.and_then(|view| view.stable.as_ref()).map(|stable| stable.commit.clone())
}

/// Everybody who pushed one of the changes; names in commits prove nothing.
pub(crate) async fn authors(
    journal: &dyn Journal,
    at: &RepoId,
    commit: &CommitId,
    changes: &[Change],
) -> Result<Vec<Principal>, StorageError> {
    let query = RowQuery {
        table: COMMITS.to_owned(),
        tenant: Some(at.tenant.clone()),
        scope: Some(at.repo.to_string()),
        limit: 1_000,
        ..RowQuery::default()
    };
    let brought: BTreeSet<&CommitId> =
        changes.iter().map(|change| &change.commit).chain([commit]).collect();
    let rows = journal.rows(&query).await?;
    let views =
        rows.into_iter().filter_map(|row| serde_json::from_value::<CommitView>(row.body).ok());
    let authors: BTreeSet<Principal> = views
        .filter(|view| brought.contains(&view.commit))
        .flat_map(|view| view.state.pushers)
        .collect();
    Ok(authors.into_iter().collect())
}

/// The request, with the gates that follow from `after` and `needs` before those that are written.
pub(crate) fn complete(
    wanted: &Wanted,
    service: &ServiceConfig,
    environment: &EnvironmentConfig,
    changes: Vec<Change>,
    authors: Vec<Principal>,
) -> Request {
    let needs: Vec<Service> =
        service.needs.iter().filter(|need| wanted.needs.contains(need)).cloned().collect();
    let mut gates: Vec<Gate> = environment.after.clone().map(Gate::After).into_iter().collect();
    if !needs.is_empty() {
        gates.push(Gate::Needs(needs));
    }
    gates.extend(environment.gates.iter().cloned());
    Request {
        id: wanted.id,
        slot: wanted.slot.clone(),
        version: wanted.version.clone(),
        commit: wanted.commit.clone(),
        artifact: wanted.artifact,
        run: service.run.clone(),
        strategy: environment.strategy.clone(),
        gates,
        verify: environment.verify.clone(),
        trigger: wanted.trigger.clone(),
        requested_by: wanted.requested_by.clone(),
        authors,
        changes,
        warm: environment.warm,
    }
}

/// A failure elsewhere, as the store's.
pub(crate) fn failed(
    action: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> StorageError {
    StorageError { action: action.to_owned(), full: false, source: Box::new(error) }
}
