use std::collections::BTreeSet;

use grit_types::IssueId;
use serde::{Deserialize, Serialize};

/// What happened to an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    #[serde(rename = "issue.created")]
    Created { title: String, body: String, labels: BTreeSet<String> },
    #[serde(rename = "issue.commented")]
    Commented { issue: IssueId, body: String },
    #[serde(rename = "issue.closed")]
    Closed { issue: IssueId, reason: String },
    #[serde(rename = "issue.reopened")]
    Reopened { issue: IssueId },
}

impl Event {
    /// A new issue.
    pub fn created<L: Into<String>>(
        title: impl Into<String>,
        body: impl Into<String>,
        labels: impl IntoIterator<Item = L>,
    ) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        Self::Created { title: title.into(), body: body.into(), labels }
    }

    /// The issue that it is about; a new one is called by the event itself.
    pub fn issue(&self) -> Option<&IssueId> {
        match self {
            Self::Created { .. } => None,
            Self::Commented { issue, .. }
            | Self::Closed { issue, .. }
            | Self::Reopened { issue } => Some(issue),
        }
    }
}
