//! Completing what somebody wants deployed into a request that a slot can decide on.

use std::collections::BTreeSet;

use grit_ledger::{Journal, RowQuery, StorageError};
use grit_rollout::config::{Config, Wanted};
use grit_rollout::slot::{Change, Request};
use grit_rollout::{Gate, SlotId};
use grit_types::{CommitId, Principal, RefName, Service};

use crate::ports::RepoId;
use crate::project::{COMMITS, SLOTS, row};
use crate::view::{CommitView, SlotView};

/// Commits that a deployment's record names at most.
pub(crate) const CHANGES_MAX: usize = 500;

/// How the instances of one service reach another: through the edge.
pub type ServiceUrl = std::sync::Arc<dyn Fn(&SlotId) -> String + Send + Sync>;

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
    let key = format!("{}/{}/{}", slot.repo, slot.environment, slot.service);
    row(journal, SLOTS, &slot.tenant, key).await
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

/// The request that `grit.yaml` makes of it; `None` where the file knows no such slot.
///
/// It waits for the services that it needs only where they are deployed `beside` it, and reaches
/// each of them by `NAME_URL`.
pub(crate) fn complete(
    config: &Config,
    slot: &SlotId,
    wanted: Wanted,
    beside: &[Service],
    url: &ServiceUrl,
) -> Option<Request> {
    let mut request = config.request(slot.clone(), wanted)?;
    for need in &config.service(&slot.service)?.needs {
        let name = format!("{}_URL", need.as_str().to_uppercase().replace(['-', '.'], "_"));
        let needed = SlotId { service: need.clone(), ..slot.clone() };
        request.run.env.entry(name).or_insert_with(|| url(&needed));
    }
    for gate in &mut request.gates {
        if let Gate::Needs(services) = gate {
            services.retain(|service| beside.contains(service));
        }
    }
    request.gates.retain(|gate| !matches!(gate, Gate::Needs(services) if services.is_empty()));
    Some(request)
}
