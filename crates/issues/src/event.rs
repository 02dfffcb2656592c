use std::collections::BTreeSet;

use grit_ledger::{PayloadError, join};
use grit_types::{EventId, IssueId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::value::{Attachment, Date, Dependency, ItemRef, Link, Priority};

/// Ids that an event speaks of.
pub type Ids = BTreeSet<EventId>;

/// What happened to an issue, or to the saved queries of the repository.
///
/// An event that writes a register (a title, a state, …) carries in `replaces` the writes of it
/// that its author had seen and that still stood; one that takes something out of a set carries in
/// `removes` the additions that its author had seen. What a field says when it is missing is what
/// events written before it mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    #[serde(rename = "issue.created")]
    Created(Draft),
    #[serde(rename = "issue.retitled")]
    Retitled {
        issue: IssueId,
        title: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "issue.body_edited")]
    BodyEdited {
        issue: IssueId,
        body: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
        /// The checks of items that the text already shows; those it does not name still count.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        covers: Ids,
    },
    #[serde(rename = "issue.commented")]
    Commented {
        issue: IssueId,
        body: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        imported: Option<Imported>,
    },
    #[serde(rename = "issue.comment_edited")]
    CommentEdited {
        issue: IssueId,
        comment: EventId,
        body: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "issue.comment_deleted")]
    CommentDeleted {
        issue: IssueId,
        comment: EventId,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    /// The reason, where there is one and it was not imported, is a comment too.
    #[serde(rename = "issue.closed")]
    Closed {
        issue: IssueId,
        reason: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        imported: Option<Imported>,
    },
    #[serde(rename = "issue.reopened")]
    Reopened {
        issue: IssueId,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "issue.labelled")]
    Labelled { issue: IssueId, label: String },
    #[serde(rename = "issue.unlabelled")]
    Unlabelled { issue: IssueId, label: String, removes: Ids },
    #[serde(rename = "issue.assigned")]
    Assigned { issue: IssueId, assignee: Principal },
    #[serde(rename = "issue.unassigned")]
    Unassigned { issue: IssueId, assignee: Principal, removes: Ids },
    #[serde(rename = "issue.milestone_set")]
    MilestoneSet {
        issue: IssueId,
        milestone: Option<String>,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "issue.priority_set")]
    PrioritySet {
        issue: IssueId,
        priority: Option<Priority>,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "issue.due_set")]
    DueSet {
        issue: IssueId,
        due: Option<Date>,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "issue.link_added")]
    LinkAdded { issue: IssueId, link: Link },
    #[serde(rename = "issue.link_removed")]
    LinkRemoved { issue: IssueId, link: Link, removes: Ids },
    #[serde(rename = "issue.attachment_added")]
    AttachmentAdded { issue: IssueId, attachment: Attachment },
    #[serde(rename = "issue.attachment_removed")]
    AttachmentRemoved { issue: IssueId, attachment: Attachment, removes: Ids },
    #[serde(rename = "issue.dependency_added")]
    DependencyAdded { issue: IssueId, dependency: Dependency },
    #[serde(rename = "issue.dependency_removed")]
    DependencyRemoved { issue: IssueId, dependency: Dependency, removes: Ids },
    #[serde(rename = "issue.item_checked")]
    ItemChecked {
        issue: IssueId,
        item: ItemRef,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "issue.item_unchecked")]
    ItemUnchecked {
        issue: IssueId,
        item: ItemRef,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "query.saved")]
    QuerySaved {
        name: String,
        query: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
    #[serde(rename = "query.removed")]
    QueryRemoved {
        name: String,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        replaces: Ids,
    },
}

/// What an issue is created with. What is not set is not written, so that an issue of an older
/// Grit keeps its bytes and its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    pub title: String,
    pub body: String,
    pub labels: BTreeSet<String>,
    /// Idempotency: whoever creates again under the same key means the same issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The name of the template that the text was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub assignees: BTreeSet<Principal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Date>,
    /// What an alert is recognised by when it fires again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Box<Imported>>,
}

/// Where something came from that was first written down elsewhere. It is what whoever imported it
/// says: the event's own actor and time are theirs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Imported {
    /// What it is called there, such as `github:OWNER/REPO#12`: what was imported before is known
    /// again by it.
    pub key: String,
    pub by: Principal,
    pub at: Timestamp,
}

/// What the events of this room are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A new issue, called by the event itself.
    New,
    Issue(&'a IssueId),
    /// The saved query of that name.
    Query(&'a str),
}

/// An event of this room that cannot be read. Everything else goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("`{kind}` is not known here: a newer Grit wrote it")]
    Newer { kind: String },
    #[error("the event's data is broken")]
    Broken(#[source] PayloadError),
}

const KINDS: &[&str] = &[
    "issue.created",
    "issue.retitled",
    "issue.body_edited",
    "issue.commented",
    "issue.comment_edited",
    "issue.comment_deleted",
    "issue.closed",
    "issue.reopened",
    "issue.labelled",
    "issue.unlabelled",
    "issue.assigned",
    "issue.unassigned",
    "issue.milestone_set",
    "issue.priority_set",
    "issue.due_set",
    "issue.link_added",
    "issue.link_removed",
    "issue.attachment_added",
    "issue.attachment_removed",
    "issue.dependency_added",
    "issue.dependency_removed",
    "issue.item_checked",
    "issue.item_unchecked",
    "query.saved",
    "query.removed",
];

impl Event {
    /// A new issue.
    pub fn created<L: Into<String>>(
        title: impl Into<String>,
        body: impl Into<String>,
        labels: impl IntoIterator<Item = L>,
    ) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        Self::Created(Draft { title: title.into(), body: body.into(), labels, ..Draft::default() })
    }

    /// Are events of this kind, known or not, about issues or saved queries?
    pub fn is_ours(kind: &str) -> bool {
        kind.starts_with("issue.") || kind.starts_with("query.")
    }

    /// Reads an event of the ledger; `None` where it is about other things.
    pub fn read(event: &grit_ledger::Event) -> Result<Option<Self>, ReadError> {
        let kind = event.kind.as_str();
        if !Self::is_ours(kind) {
            return Ok(None);
        }
        if !KINDS.contains(&kind) {
            return Err(ReadError::Newer { kind: event.kind.clone() });
        }
        join(kind, &event.data).map(Some).map_err(ReadError::Broken)
    }

    /// Where it came from, when it was first written down elsewhere.
    pub fn imported(&self) -> Option<&Imported> {
        match self {
            Self::Created(draft) => draft.imported.as_deref(),
            Self::Commented { imported, .. } | Self::Closed { imported, .. } => imported.as_ref(),
            _ => None,
        }
    }

    /// The issue that it is about; a new one is called by the event itself.
    pub fn issue(&self) -> Option<&IssueId> {
        match self.subject() {
            Subject::Issue(issue) => Some(issue),
            Subject::New | Subject::Query(_) => None,
        }
    }

    /// What it is about.
    pub fn subject(&self) -> Subject<'_> {
        match self {
            Self::Created(_) => Subject::New,
            Self::QuerySaved { name, .. } | Self::QueryRemoved { name, .. } => Subject::Query(name),
            Self::Retitled { issue, .. }
            | Self::BodyEdited { issue, .. }
            | Self::Commented { issue, .. }
            | Self::CommentEdited { issue, .. }
            | Self::CommentDeleted { issue, .. }
            | Self::Closed { issue, .. }
            | Self::Reopened { issue, .. }
            | Self::Labelled { issue, .. }
            | Self::Unlabelled { issue, .. }
            | Self::Assigned { issue, .. }
            | Self::Unassigned { issue, .. }
            | Self::MilestoneSet { issue, .. }
            | Self::PrioritySet { issue, .. }
            | Self::DueSet { issue, .. }
            | Self::LinkAdded { issue, .. }
            | Self::LinkRemoved { issue, .. }
            | Self::AttachmentAdded { issue, .. }
            | Self::AttachmentRemoved { issue, .. }
            | Self::DependencyAdded { issue, .. }
            | Self::DependencyRemoved { issue, .. }
            | Self::ItemChecked { issue, .. }
            | Self::ItemUnchecked { issue, .. } => Subject::Issue(issue),
        }
    }
}
