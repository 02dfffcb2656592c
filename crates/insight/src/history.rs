use std::cmp::Reverse;
use std::collections::BTreeMap;

use grit_ledger::{Cause, Event};
use grit_types::{
    CommitId, DeploymentId, Digest, Environment, EventId, IssueId, Principal, Repo, Service,
    Tenant, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Kind of the event that sums a deployment up.
const DEPLOYMENT_SUMMARY: &str = "deployment.summary";

/// A deployment that is over, as the server that made it summed it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub id: DeploymentId,
    pub tenant_id: Tenant,
    pub repo: Repo,
    pub service: Service,
    pub environment: Environment,
    /// Its place among the deployments of its service and environment.
    pub number: u64,
    pub version: String,
    pub commit: CommitId,
    pub artifact: Digest,
    pub status: Status,
    pub strategy: String,
    pub trigger: Trigger,
    pub requested_by: Principal,
    /// Why it did not succeed, in a sentence.
    #[serde(default)]
    pub reason: Option<String>,
    /// Known only where the summary was written after the issue.
    #[serde(default)]
    pub issue: Option<IssueId>,
    pub created_at: Timestamp,
    /// None if it never got past its gates.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    pub completed_at: Timestamp,
    /// The commits that it brought, oldest first.
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// A commit that a deployment brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub commit: CommitId,
    pub at: Timestamp,
    #[serde(default)]
    pub subject: String,
}

/// How a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Succeeded,
    RolledBack,
    Failed,
    /// There was no good revision to go back to.
    Degraded,
    /// A person called it off before it had traffic.
    Cancelled,
    /// A newer one took its place.
    Superseded,
}

impl Status {
    /// The text form, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::RolledBack => "ROLLED_BACK",
            Self::Failed => "FAILED",
            Self::Degraded => "DEGRADED",
            Self::Cancelled => "CANCELLED",
            Self::Superseded => "SUPERSEDED",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a deployment was made: one word, such as `push` or `rollback`.
///
/// A summary by a newer server may hold a word that is not known here, or say more than the word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value", into = "String")]
pub struct Trigger(String);

impl Trigger {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Somebody went back to an earlier revision.
    pub fn is_rollback(&self) -> bool {
        self.0 == "rollback"
    }
}

impl From<Value> for Trigger {
    fn from(value: Value) -> Self {
        let word = match &value {
            Value::String(word) => Some(word.as_str()),
            Value::Object(members) => members.keys().next().map(String::as_str),
            _ => None,
        };
        Self(word.unwrap_or("unknown").to_owned())
    }
}

impl From<Trigger> for String {
    fn from(trigger: Trigger) -> Self {
        trigger.0
    }
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// All deployments that the events tell of, each once, the newest first. Events of other kinds are
/// passed over, and so are summaries that only a newer Grit can read.
pub fn deployments(events: &[Event]) -> Vec<Summary> {
    let mut summaries: Vec<Summary> =
        recorded(events).into_values().map(|recorded| recorded.summary).collect();
    summaries.sort_by_key(|one| Reverse((one.completed_at, one.number, one.id)));
    summaries
}

/// A summary, and the event of the server's journal that it follows from.
pub(crate) struct Recorded {
    pub summary: Summary,
    pub ended_by: Option<EventId>,
}

pub(crate) fn recorded(events: &[Event]) -> BTreeMap<DeploymentId, Recorded> {
    let mut found = BTreeMap::<DeploymentId, Recorded>::new();
    for event in ordered(events, |kind| kind == DEPLOYMENT_SUMMARY) {
        let Ok(summary) = Summary::deserialize(&event.data) else { continue };
        let ended_by = match &event.cause {
            Some(Cause::Event(id)) => Some(id.clone()),
            Some(Cause::Effect(_)) | None => None,
        };
        let known = found.get(&summary.id).is_some_and(|known| known.summary.issue.is_some());
        // It may be written twice; the one that knows the issue knows more.
        if !known || summary.issue.is_some() {
            found.insert(summary.id, Recorded { summary, ended_by });
        }
    }
    found
}

/// The events of the kinds, in the ledger's order.
pub(crate) fn ordered(events: &[Event], wanted: impl Fn(&str) -> bool) -> Vec<&Event> {
    let mut found: Vec<&Event> = events.iter().filter(|event| wanted(&event.kind)).collect();
    found.sort_by_cached_key(|event| (event.hlc, event.id()));
    found
}
