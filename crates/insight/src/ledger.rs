//! The input of DORA's keys, from what a clone holds.

use std::collections::{BTreeMap, BTreeSet};

use grit_ledger::{Cause, Event};
use grit_types::{DeploymentId, EventId, IssueId, Service, Timestamp};
use serde::Deserialize;

use crate::dora::{Commit, Deployment, Incident, Input, Key, Outcome, PRODUCTION};
use crate::history::{Recorded, Status, Summary, ordered, recorded};

/// The label of an issue that is an incident.
const INCIDENT: &str = "incident";

/// Builds the input from the summaries of deployments and from the issues labelled `incident`.
///
/// A deployment counts when it began and was not called off; one that goes back to an earlier
/// revision is unplanned. An incident is resolved when its issue is closed, and linked to the
/// deployment whose end opened it, or to the one whose summary names it. One that a person opened
/// belongs to the service that a label names, and to production unless its labels name other
/// environments only.
pub fn from_ledger(events: &[Event]) -> Input {
    let recorded = recorded(events);
    let summaries = || recorded.values().map(|recorded| &recorded.summary);
    let mut commits = BTreeMap::new();
    for change in summaries().flat_map(|summary| &summary.changes) {
        commits.entry(&change.commit).or_insert(change.at);
    }
    let commit =
        |(sha, at): (&grit_types::CommitId, Timestamp)| Commit { sha: sha.as_str().into(), at };
    Input {
        commits: commits.into_iter().map(commit).collect(),
        deployments: summaries().filter_map(deployment).collect(),
        incidents: incidents(events, &recorded),
    }
}

fn deployment(summary: &Summary) -> Option<Deployment> {
    let outcome = match summary.status {
        Status::Succeeded => Outcome::Succeeded,
        Status::RolledBack => Outcome::RolledBack,
        // What a gate stopped reached nobody.
        Status::Failed | Status::Degraded => summary.started_at.map(|_| Outcome::Failed)?,
        Status::Cancelled | Status::Superseded => return None,
    };
    Some(Deployment {
        id: key(summary.id),
        service: summary.service.clone(),
        environment: summary.environment.clone(),
        outcome,
        finished_at: summary.completed_at,
        commits: summary.changes.iter().map(|change| change.commit.as_str().into()).collect(),
        unplanned: summary.trigger.is_rollback(),
    })
}

fn key(id: DeploymentId) -> Key {
    id.to_string().into()
}

/// What labels mean, and which deployment an issue came from.
struct Names<'a> {
    services: BTreeMap<&'a str, &'a Service>,
    environments: BTreeSet<&'a str>,
    by_issue: BTreeMap<&'a IssueId, &'a Summary>,
    by_end: BTreeMap<&'a EventId, &'a Summary>,
}

impl<'a> Names<'a> {
    fn new(recorded: &'a BTreeMap<DeploymentId, Recorded>) -> Self {
        let (mut services, mut environments) = (BTreeMap::new(), BTreeSet::new());
        let (mut by_issue, mut by_end) = (BTreeMap::new(), BTreeMap::new());
        for Recorded { summary, ended_by } in recorded.values() {
            services.insert(summary.service.as_str(), &summary.service);
            environments.insert(summary.environment.as_str());
            by_issue.extend(summary.issue.as_ref().map(|issue| (issue, summary)));
            by_end.extend(ended_by.as_ref().map(|event| (event, summary)));
        }
        Self { services, environments, by_issue, by_end }
    }

    fn cause(&self, id: &IssueId, issue: &Issue) -> Option<&'a Summary> {
        let by_issue = self.by_issue.get(id);
        by_issue.or_else(|| self.by_end.get(issue.opened_by.as_ref()?)).copied()
    }

    fn service(&self, issue: &Issue) -> Option<&'a Service> {
        issue.labels.iter().find_map(|label| self.services.get(label.as_str())).copied()
    }

    fn concerns_production(&self, issue: &Issue) -> bool {
        let mut named =
            issue.labels.iter().filter(|label| self.environments.contains(label.as_str()));
        issue.labels.contains(PRODUCTION) || named.next().is_none()
    }
}

fn incidents(events: &[Event], recorded: &BTreeMap<DeploymentId, Recorded>) -> Vec<Incident> {
    let names = Names::new(recorded);
    let incident = |(id, issue): (&IssueId, &Issue)| {
        let cause = names.cause(id, issue);
        let production = match cause {
            Some(summary) => summary.environment.as_str() == PRODUCTION,
            None => names.concerns_production(issue),
        };
        production.then(|| Incident {
            id: id.as_str().into(),
            service: cause
                .map(|summary| &summary.service)
                .or_else(|| names.service(issue))
                .cloned(),
            deployment: cause.map(|summary| key(summary.id)),
            opened_at: issue.opened_at,
            resolved_at: issue.resolved_at,
        })
    };
    issues(events).iter().filter_map(incident).collect()
}

/// Of an issue, what makes it an incident.
struct Issue {
    labels: BTreeSet<String>,
    /// The event whose effect opened it.
    opened_by: Option<EventId>,
    opened_at: Timestamp,
    resolved_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Created {
    #[serde(default)]
    labels: BTreeSet<String>,
}

#[derive(Deserialize)]
struct About {
    issue: IssueId,
}

/// The issues labelled `incident`.
fn issues(events: &[Event]) -> BTreeMap<IssueId, Issue> {
    let mut issues = BTreeMap::new();
    for event in ordered(events, |kind| kind == "issue.created") {
        let Ok(Created { labels }) = Created::deserialize(&event.data) else { continue };
        if labels.contains(INCIDENT) {
            let opened_by = match &event.cause {
                Some(Cause::Effect(effect)) => Some(effect.event.clone()),
                Some(Cause::Event(_)) | None => None,
            };
            let opened_at = event.hlc.timestamp();
            issues.insert(event.id(), Issue { labels, opened_by, opened_at, resolved_at: None });
        }
    }
    for event in ordered(events, |kind| matches!(kind, "issue.closed" | "issue.reopened")) {
        let Ok(About { issue }) = About::deserialize(&event.data) else { continue };
        let Some(issue) = issues.get_mut(&issue) else { continue };
        issue.resolved_at = if event.kind == "issue.reopened" {
            None
        } else {
            // Closed by a machine whose clock is behind, it still did not end before it began.
            issue.resolved_at.or(Some(event.hlc.timestamp().max(issue.opened_at)))
        };
    }
    issues
}

#[cfg(test)]
mod tests;
