//! The rows that pages read, brought up to date in the transaction of the append.

use grit_ledger::{Journal, Row, RowQuery, StorageError, StreamId};
use grit_pipeline::queue::Queue;
use grit_pipeline::run::Run;
use grit_rollout::slot::Slot;
use grit_types::Tenant;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::measured;
use crate::repo;
use crate::view::{CommitView, DeploymentView, QueueView, RunView, SlotView};

/// Deployments, one row each.
pub const DEPLOYMENTS: &str = "deployments";
/// Slots, one row each: what is there now.
pub const SLOTS: &str = "slots";
/// Runs, one row each.
pub const RUNS: &str = "runs";
/// Reports of tests, one row for each step that read some.
pub const TESTS: &str = "tests";
/// The queue of the machine, in one row.
pub const QUEUES: &str = "queues";
/// How far the ledgers of repositories were listened to, one row each.
pub const LEDGERS: &str = "ledgers";
/// Commits, one row each.
pub const COMMITS: &str = "commits";

/// What the row of that key shows; `None`: there is none, or none that this program can read.
pub(crate) async fn row<T: DeserializeOwned>(
    journal: &dyn Journal,
    table: &str,
    tenant: &Tenant,
    key: String,
) -> Result<Option<T>, StorageError> {
    let query = RowQuery {
        table: table.to_owned(),
        tenant: Some(tenant.clone()),
        key: Some(key),
        ..RowQuery::default()
    };
    let rows = journal.rows(&query).await?;
    Ok(rows.into_iter().find_map(|row| serde_json::from_value(row.body).ok()))
}

/// The rows of a slot: itself, and the deployments that it still remembers.
pub(crate) fn slot(slot: &Slot) -> Vec<Row> {
    let Some(view) = SlotView::new(slot) else { return vec![] };
    let scope = format!("{}/{}/{}", view.repo, view.environment, view.service);
    let status = view.deployment.as_ref().map(|deployment| deployment.status.to_string());
    let mut rows: Vec<Row> =
        slot.deployments.values().map(|d| deployment(slot, d, &scope)).collect();
    rows.push(Row {
        table: SLOTS.to_owned(),
        key: scope.clone(),
        tenant: view.tenant_id.clone(),
        scope,
        status: status.unwrap_or_default(),
        order: 0,
        body: body(&view),
    });
    rows
}

fn deployment(slot: &Slot, deployment: &grit_rollout::slot::Deployment, scope: &str) -> Row {
    let view = DeploymentView::new(slot, deployment);
    Row {
        table: DEPLOYMENTS.to_owned(),
        key: view.id.to_string(),
        tenant: view.tenant_id.clone(),
        scope: scope.to_owned(),
        status: view.status.to_string(),
        order: view.created_at.millis(),
        body: body(&view),
    }
}

/// The row of a run, and what these events of it measured.
pub(crate) fn run<E>(state: &Run, events: &[(String, Value, E)]) -> Vec<Row> {
    let Some(view) = RunView::new(state) else { return vec![] };
    let told = events.iter().map(|(kind, data, _)| (kind.as_str(), data));
    let mut rows = measured::rows(state, told);
    rows.push(Row {
        table: RUNS.to_owned(),
        key: view.id.to_string(),
        tenant: view.tenant_id.clone(),
        scope: view.repo.to_string(),
        status: view.status.clone(),
        order: view.started_at.millis(),
        body: body(&view),
    });
    rows
}

/// The row of a queue. It is of the machine, and so of whose server it is.
pub(crate) fn queue(stream: &StreamId, state: &Queue) -> Row {
    Row {
        table: QUEUES.to_owned(),
        key: stream.to_string(),
        tenant: Tenant::local(),
        scope: String::new(),
        status: String::new(),
        order: 0,
        body: body(&QueueView::new(state)),
    }
}

/// The rows of the commits that events are about, and how far the ledger was listened to.
pub(crate) fn repo<E>(
    stream: &StreamId,
    state: &repo::State,
    events: &[(String, Value, E)],
) -> Vec<Row> {
    let mut parts = stream.parts();
    let (Some(tenant), Some(repo)) = (parts.next(), parts.next()) else { return vec![] };
    let Ok(tenant) = tenant.parse::<Tenant>() else { return vec![] };
    let heard = events.iter().any(|(kind, ..)| kind == "ledger.heard").then(|| Row {
        table: LEDGERS.to_owned(),
        key: repo.to_owned(),
        tenant: tenant.clone(),
        scope: repo.to_owned(),
        status: String::new(),
        order: 0,
        body: body(&state.heard),
    });
    let mut commits: Vec<&str> = events.iter().flat_map(|(_, data, _)| named(data)).collect();
    commits.sort_unstable();
    commits.dedup();
    let known = commits.into_iter().filter_map(|commit| {
        let commit = commit.parse().ok()?;
        state.commits.get(&commit).map(|state| (commit, state))
    });
    let commits = known.map(|(commit, state)| {
        let status = if state.succeeded() { "succeeded" } else { "open" };
        let view = CommitView { commit, state: state.clone() };
        Row {
            table: COMMITS.to_owned(),
            key: format!("{repo}/{}", view.commit),
            tenant: tenant.clone(),
            scope: repo.to_owned(),
            status: status.to_owned(),
            order: state.pushed_at.millis(),
            body: body(&view),
        }
    });
    commits.chain(heard).collect()
}

/// Events of a repository name commits as `commit`, a push as `refs[].commit`.
fn named(data: &Value) -> Vec<&str> {
    let pushed = data["refs"].as_array().into_iter().flatten();
    let commits = pushed.map(|pushed| &pushed["commit"]).chain([&data["commit"]]);
    commits.filter_map(Value::as_str).collect()
}

/// A view is plain data: it always serialises.
pub(crate) fn body(view: &impl Serialize) -> Value {
    serde_json::to_value(view).expect("a view is plain data")
}
