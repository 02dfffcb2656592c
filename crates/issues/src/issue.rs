use std::collections::{BTreeMap, BTreeSet};

use grit_ledger::{Hlc, join};
use grit_types::{IssueId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Event;

/// A prefix shorter than this is too easily another issue's tomorrow.
const PREFIX_MIN: usize = 4;

/// An issue as all events together leave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    pub id: IssueId,
    pub title: String,
    pub body: String,
    pub labels: BTreeSet<String>,
    pub state: State,
    pub author: Principal,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub comments: Vec<Comment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Open,
    Closed,
}

/// Something said about an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comment {
    pub author: Principal,
    pub at: Timestamp,
    pub body: String,
}

/// All issues of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issues {
    by_id: BTreeMap<IssueId, Issue>,
}

/// Text that names no issue, or more than one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("`{prefix}` is too short: type at least {PREFIX_MIN} characters of the id")]
    TooShort { prefix: String },
    #[error("no issue's id begins with `{prefix}`")]
    NotFound { prefix: String },
    #[error("`{prefix}` is the beginning of {} ids: {}", .candidates.len(), .candidates.join(", "))]
    Ambiguous { prefix: String, candidates: Vec<String> },
}

impl Issues {
    /// Folds the events of a ledger; those of other things are passed over, and so are those whose
    /// issue is not there (yet).
    pub fn fold(events: &[grit_ledger::Event]) -> Self {
        let mut ordered: Vec<(Hlc, IssueId, &grit_ledger::Event)> = events
            .iter()
            .filter(|event| event.kind.starts_with("issue."))
            .map(|event| (event.hlc, event.id(), event))
            .collect();
        ordered.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut issues = Self::default();
        let (created, later): (Vec<_>, Vec<_>) =
            ordered.into_iter().partition(|(_, _, event)| event.kind == "issue.created");
        for (_, id, event) in created.into_iter().chain(later) {
            // Kinds that a newer Grit writes are its own.
            if let Ok(payload) = join::<Event>(&event.kind, &event.data) {
                issues.take(id, event, payload);
            }
        }
        issues
    }

    fn take(&mut self, id: IssueId, event: &grit_ledger::Event, payload: Event) {
        let (author, at) = (event.actor.principal.clone(), event.hlc.timestamp());
        if let Event::Created { title, body, labels } = payload {
            let (state, comments) = (State::Open, vec![]);
            let (created_at, updated_at) = (at, at);
            let issue = Issue {
                id: id.clone(),
                title,
                body,
                labels,
                state,
                author,
                created_at,
                updated_at,
                comments,
            };
            self.by_id.entry(id).or_insert(issue);
            return;
        }
        let Some(issue) = payload.issue().and_then(|issue| self.by_id.get_mut(issue)) else {
            return;
        };
        issue.updated_at = issue.updated_at.max(at);
        match payload {
            Event::Created { .. } => {}
            Event::Commented { body, .. } => issue.comments.push(Comment { author, at, body }),
            Event::Closed { reason, .. } => {
                issue.state = State::Closed;
                if !reason.is_empty() {
                    issue.comments.push(Comment { author, at, body: reason });
                }
            }
            Event::Reopened { .. } => issue.state = State::Open,
        }
    }

    /// All of them, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &Issue> {
        let mut issues: Vec<&Issue> = self.by_id.values().collect();
        issues.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        issues.into_iter()
    }

    /// The issue whose id begins with `prefix`.
    pub fn find(&self, prefix: &str) -> Result<&Issue, LookupError> {
        let prefix = prefix.trim().to_ascii_lowercase();
        if prefix.len() < PREFIX_MIN {
            return Err(LookupError::TooShort { prefix });
        }
        let mut found = self.by_id.values().filter(|issue| issue.id.as_str().starts_with(&prefix));
        match (found.next(), found.next()) {
            (Some(issue), None) => Ok(issue),
            (None, _) => Err(LookupError::NotFound { prefix }),
            (Some(first), Some(second)) => {
                let ids = [first, second].into_iter().chain(found);
                let candidates = ids.map(|issue| issue.id.as_str()[..12].to_owned()).collect();
                Err(LookupError::Ambiguous { prefix, candidates })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_ledger::split;
    use grit_types::{Actor, Tenant};
    use proptest::prelude::*;

    fn event(millis: i64, payload: &Event) -> grit_ledger::Event {
        let (kind, data) = split(payload).unwrap();
        grit_ledger::Event {
            kind,
            tenant: Tenant::local(),
            repo: "shop".parse().unwrap(),
            subject: "issue".to_owned(),
            actor: Actor::new("alice".parse().unwrap(), "cli"),
            hlc: Hlc { millis, count: 0 },
            cause: None,
            data,
        }
    }

    fn history() -> Vec<grit_ledger::Event> {
        let created = event(1, &Event::created("first", "body", ["a", "b"]));
        let issue = created.id();
        let body = "looked at it".to_owned();
        vec![
            event(2, &Event::Commented { issue: issue.clone(), body }),
            event(3, &Event::Closed { issue: issue.clone(), reason: "fixed".into() }),
            event(4, &Event::Reopened { issue: issue.clone() }),
            event(5, &Event::Closed { issue, reason: String::new() }),
            event(6, &Event::created("second", "", [""; 0])),
            created,
        ]
    }

    #[test]
    fn events_add_up() {
        let issues = Issues::fold(&history());
        let titles: Vec<&str> = issues.all().map(|issue| issue.title.as_str()).collect();
        assert_eq!(titles, ["second", "first"]);
        let first = issues.all().nth(1).unwrap();
        assert_eq!((first.state, first.comments.len()), (State::Closed, 2));
        assert_eq!(issues.find(&first.id.as_str()[..8]).unwrap(), first);
        assert!(matches!(issues.find("zz"), Err(LookupError::TooShort { .. })));
        assert!(matches!(issues.find("00000"), Err(LookupError::NotFound { .. })));
    }

    proptest! {
        #[test]
        fn order_of_arrival_does_not_matter(order in Just(history()).prop_shuffle()) {
            prop_assert_eq!(Issues::fold(&order), Issues::fold(&history()));
        }
    }
}
