use std::collections::BTreeMap;

use grit_ledger::Hlc;
use grit_types::{EventId, IssueId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::add_wins::AddWins;
use crate::event::{Draft, Event, Ids, Imported};
use crate::register::{Register, Write};
use crate::value::{Attachment, Date, Dependency, ItemRef, Link, Priority};
use crate::{State, issue};

/// The version of a stored [`Record`], and of the kinds of events that it is made of. A row of
/// another version is thrown away and folded again: count it up with every new kind.
pub const RECORD_VERSION: u32 = 2;

/// All that is known of one issue, whatever came in whatever order: what an index stores as a row,
/// and what decides on commands. People see the [`issue::Issue`] that follows from it.
///
/// An event may come before the one that created its issue; it waits here, and there is no issue
/// to see until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub(crate) id: IssueId,
    pub(crate) created: Option<Origin>,
    /// The latest reading of any event.
    pub(crate) latest: Hlc,
    /// When anything last happened to it, here or where it was imported from.
    pub(crate) touched: Timestamp,
    pub(crate) title: Register<String>,
    pub(crate) body: Register<Text>,
    pub(crate) state: Register<Status>,
    pub(crate) milestone: Register<Option<String>>,
    pub(crate) priority: Register<Option<Priority>>,
    pub(crate) due: Register<Option<Date>>,
    pub(crate) labels: AddWins<String>,
    pub(crate) assignees: AddWins<Principal>,
    pub(crate) links: AddWins<Link>,
    pub(crate) attachments: AddWins<Attachment>,
    pub(crate) dependencies: AddWins<Dependency>,
    pub(crate) comments: BTreeMap<EventId, Remark>,
    #[serde(with = "crate::pairs")]
    pub(crate) items: BTreeMap<ItemRef, Register<bool>>,
}

/// What only the creation says, and nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub by: Principal,
    pub at: Hlc,
    pub key: Option<String>,
    pub template: Option<String>,
    pub fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// A body, and the checks of items that it already shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub text: String,
    pub covers: Ids,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub state: State,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// A comment; one that only edits are known of was not said yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remark {
    pub said: Option<(Principal, Hlc)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// `None` where it was deleted.
    pub text: Register<Option<String>>,
}

/// The envelope's part of a write.
#[derive(Clone, Copy)]
struct Stamp<'a> {
    id: &'a EventId,
    at: Hlc,
    by: &'a Principal,
}

impl Stamp<'_> {
    fn write<T>(self, value: T) -> Write<T> {
        Write { id: self.id.clone(), at: self.at, by: self.by.clone(), value }
    }

    /// When it happened: nothing is imported before it happened, whatever the import says.
    fn time(self, imported: Option<&Imported>) -> Timestamp {
        let now = self.at.timestamp();
        imported.map_or(now, |imported| imported.at.min(now))
    }
}

impl Record {
    /// An issue of which nothing came yet.
    pub fn new(id: IssueId) -> Self {
        Self {
            id,
            created: None,
            latest: Hlc { millis: i64::MIN, count: 0 },
            touched: Timestamp::from_millis(i64::MIN),
            title: Register::default(),
            body: Register::default(),
            state: Register::default(),
            milestone: Register::default(),
            priority: Register::default(),
            due: Register::default(),
            labels: AddWins::default(),
            assignees: AddWins::default(),
            links: AddWins::default(),
            attachments: AddWins::default(),
            dependencies: AddWins::default(),
            comments: BTreeMap::new(),
            items: BTreeMap::new(),
        }
    }

    /// What the issue is called.
    pub fn id(&self) -> &IssueId {
        &self.id
    }

    /// The issue as people see it; `None` until its creation came.
    pub fn issue(&self) -> Option<issue::Issue> {
        issue::view(self)
    }

    /// The idempotency key that it was created under.
    pub fn key(&self) -> Option<&str> {
        self.created.as_ref()?.key.as_deref()
    }

    /// What it depends on, blocks, and is related to, as it says itself.
    pub fn dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter()
    }

    /// Takes in what `event` says of this issue, `payload` read from it; `id` is the event's.
    /// Whether that changed anything: an event that came before does not, nor does one that is
    /// about another issue.
    pub fn apply(&mut self, id: &EventId, event: &grit_ledger::Event, payload: Event) -> bool {
        let about = payload.issue().unwrap_or(id);
        if *about != self.id {
            return false;
        }
        let stamp = Stamp { id, at: event.hlc, by: &event.actor.principal };
        let is_later = self.latest < stamp.at;
        self.latest = self.latest.max(stamp.at);
        self.touched = self.touched.max(stamp.time(payload.imported()));
        self.take(stamp, payload) | is_later
    }

    fn take(&mut self, stamp: Stamp<'_>, payload: Event) -> bool {
        match payload {
            Event::Created(draft) => self.create(stamp, draft),
            Event::Retitled { title, replaces, .. } => {
                self.title.write(stamp.write(title), &replaces)
            }
            Event::BodyEdited { body: text, replaces, covers, .. } => {
                self.body.write(stamp.write(Text { text, covers }), &replaces)
            }
            Event::Commented { body, imported, .. } => self.say(stamp, body, imported),
            Event::CommentEdited { comment, body, replaces, .. } => {
                let remark = self.comments.entry(comment).or_default();
                remark.text.write(stamp.write(Some(body)), &replaces)
            }
            Event::CommentDeleted { comment, replaces, .. } => {
                let remark = self.comments.entry(comment).or_default();
                remark.text.write(stamp.write(None), &replaces)
            }
            Event::Closed { reason, replaces, imported, .. } => {
                let is_comment = !reason.is_empty() && imported.is_none();
                let is_said = is_comment && self.say(stamp, reason.clone(), None);
                let status = Status { state: State::Closed, reason, imported };
                self.state.write(stamp.write(status), &replaces) | is_said
            }
            Event::Reopened { replaces, .. } => {
                self.state.write(stamp.write(Status::open()), &replaces)
            }
            Event::ItemChecked { item, replaces, .. } => {
                self.items.entry(item).or_default().write(stamp.write(true), &replaces)
            }
            Event::ItemUnchecked { item, replaces, .. } => {
                self.items.entry(item).or_default().write(stamp.write(false), &replaces)
            }
            other => self.take_attribute(stamp, other),
        }
    }

    fn take_attribute(&mut self, stamp: Stamp<'_>, payload: Event) -> bool {
        let id = || stamp.id.clone();
        match payload {
            Event::MilestoneSet { milestone, replaces, .. } => {
                self.milestone.write(stamp.write(milestone), &replaces)
            }
            Event::PrioritySet { priority, replaces, .. } => {
                self.priority.write(stamp.write(priority), &replaces)
            }
            Event::DueSet { due, replaces, .. } => self.due.write(stamp.write(due), &replaces),
            Event::Labelled { label, .. } => self.labels.add(label, id()),
            Event::Unlabelled { label, removes, .. } => self.labels.remove(label, &removes),
            Event::Assigned { assignee, .. } => self.assignees.add(assignee, id()),
            Event::Unassigned { assignee, removes, .. } => {
                self.assignees.remove(assignee, &removes)
            }
            Event::LinkAdded { link, .. } => self.links.add(link, id()),
            Event::LinkRemoved { link, removes, .. } => self.links.remove(link, &removes),
            Event::AttachmentAdded { attachment, .. } => self.attachments.add(attachment, id()),
            Event::AttachmentRemoved { attachment, removes, .. } => {
                self.attachments.remove(attachment, &removes)
            }
            Event::DependencyAdded { dependency, .. } => self.dependencies.add(dependency, id()),
            Event::DependencyRemoved { dependency, removes, .. } => {
                self.dependencies.remove(dependency, &removes)
            }
            Event::Created(_)
            | Event::Retitled { .. }
            | Event::BodyEdited { .. }
            | Event::Commented { .. }
            | Event::CommentEdited { .. }
            | Event::CommentDeleted { .. }
            | Event::Closed { .. }
            | Event::Reopened { .. }
            | Event::ItemChecked { .. }
            | Event::ItemUnchecked { .. }
            | Event::QuerySaved { .. }
            | Event::QueryRemoved { .. } => false,
        }
    }

    fn create(&mut self, stamp: Stamp<'_>, draft: Draft) -> bool {
        if self.created.is_some() {
            return false;
        }
        let Draft { key, template, fingerprint, imported, .. } = draft;
        let (by, imported) = (stamp.by.clone(), imported.map(|imported| *imported));
        self.created = Some(Origin { by, at: stamp.at, key, template, fingerprint, imported });
        let none = Ids::new();
        self.title.write(stamp.write(draft.title), &none);
        self.body.write(stamp.write(Text { text: draft.body, covers: Ids::new() }), &none);
        self.state.write(stamp.write(Status::open()), &none);
        // What is not said is not written, which keeps most rows small.
        if draft.milestone.is_some() {
            self.milestone.write(stamp.write(draft.milestone), &none);
        }
        if draft.priority.is_some() {
            self.priority.write(stamp.write(draft.priority), &none);
        }
        if draft.due.is_some() {
            self.due.write(stamp.write(draft.due), &none);
        }
        for label in draft.labels {
            self.labels.add(label, stamp.id.clone());
        }
        for assignee in draft.assignees {
            self.assignees.add(assignee, stamp.id.clone());
        }
        true
    }

    fn say(&mut self, stamp: Stamp<'_>, text: String, imported: Option<Imported>) -> bool {
        let remark = self.comments.entry(stamp.id.clone()).or_default();
        let is_new = remark.said.is_none();
        remark.said = Some((stamp.by.clone(), stamp.at));
        remark.imported = imported;
        remark.text.write(stamp.write(Some(text)), &Ids::new()) | is_new
    }

    /// Takes all in that another clone's record of the same issue holds.
    pub fn merge(&mut self, other: Self) {
        if other.id != self.id {
            return;
        }
        self.created = self.created.take().or(other.created);
        self.latest = self.latest.max(other.latest);
        self.touched = self.touched.max(other.touched);
        self.title.merge(other.title);
        self.body.merge(other.body);
        self.state.merge(other.state);
        self.milestone.merge(other.milestone);
        self.priority.merge(other.priority);
        self.due.merge(other.due);
        self.labels.merge(other.labels);
        self.assignees.merge(other.assignees);
        self.links.merge(other.links);
        self.attachments.merge(other.attachments);
        self.dependencies.merge(other.dependencies);
        for (id, theirs) in other.comments {
            let ours = self.comments.entry(id).or_default();
            ours.said = ours.said.take().or(theirs.said);
            ours.imported = ours.imported.take().or(theirs.imported);
            ours.text.merge(theirs.text);
        }
        for (item, theirs) in other.items {
            self.items.entry(item).or_default().merge(theirs);
        }
    }
}

impl Status {
    fn open() -> Self {
        Self { state: State::Open, reason: String::new(), imported: None }
    }
}
