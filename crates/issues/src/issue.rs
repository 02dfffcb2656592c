use std::collections::BTreeSet;

use grit_types::{EventId, IssueId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::checklist::{self, Item, Progress};
use crate::event::Imported;
use crate::mention::mentions;
use crate::record::{Origin, Record, Remark, Status};
use crate::register::{Register, Write};
use crate::value::{Attachment, Date, Dependency, Link, Priority};

/// An issue as all events together leave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    pub id: IssueId,
    pub title: String,
    /// As its author left it, but for the boxes of its checklists: they are as they were last
    /// checked.
    pub body: String,
    pub labels: BTreeSet<String>,
    pub state: State,
    pub author: Principal,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// In the order in which they were made; those that were deleted are not among them.
    pub comments: Vec<Comment>,
    #[serde(default)]
    pub assignees: BTreeSet<Principal>,
    #[serde(default)]
    pub milestone: Option<String>,
    #[serde(default)]
    pub priority: Option<Priority>,
    #[serde(default)]
    pub due: Option<Date>,
    #[serde(default)]
    pub links: Vec<Link>,
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// What this issue says of others; what they say of it is in [`crate::Dependencies`].
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
    #[serde(default)]
    pub checklist: Vec<Item>,
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Only while it is closed.
    #[serde(default)]
    pub closed: Option<Closed>,
    /// Who is called in the body and the comments.
    #[serde(default)]
    pub mentions: BTreeSet<Principal>,
    /// What was written without having seen what shows now, and was not settled since.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub template: Option<String>,
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Only of an issue that was imported: its author and times are those that it had there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Open,
    Closed,
}

impl State {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something said about an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comment {
    /// That of the event that said it.
    pub id: EventId,
    pub author: Principal,
    pub at: Timestamp,
    pub body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Edited>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// The last edit of a comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    pub by: Principal,
    pub at: Timestamp,
}

/// How an issue came to be closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub by: Principal,
    pub at: Timestamp,
    /// May be empty.
    pub reason: String,
}

/// A value that lost against one that was written at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The event that wrote it.
    pub id: EventId,
    pub field: Field,
    pub value: String,
    pub by: Principal,
    pub at: Timestamp,
}

/// What has one value at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    Title,
    Body,
    State,
    Milestone,
    Priority,
    Due,
    Comment,
    Item,
}

impl Field {
    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Body => "body",
            Self::State => "state",
            Self::Milestone => "milestone",
            Self::Priority => "priority",
            Self::Due => "due",
            Self::Comment => "comment",
            Self::Item => "item",
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Issue {
    /// Is it open past its day?
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.state == State::Open && self.due.is_some_and(|due| due.end() <= now)
    }
}

/// What a record comes to.
pub(crate) fn view(record: &Record) -> Option<Issue> {
    let Origin { by, at, key, template, fingerprint, imported } = record.created.clone()?;
    let (author, created_at) = first_written(&imported, &by, at.timestamp());
    let (body, checklist) = body(record)?;
    let comments: Vec<Comment> = comments(record);
    let status = record.state.shown()?;
    let mut called = mentions(&body);
    called.extend(comments.iter().flat_map(|comment| mentions(&comment.body)));
    Some(Issue {
        id: record.id.clone(),
        title: record.title.shown()?.value.clone(),
        labels: record.labels.iter().cloned().collect(),
        state: status.value.state,
        author,
        created_at,
        updated_at: record.touched,
        comments,
        assignees: record.assignees.iter().cloned().collect(),
        milestone: value(&record.milestone),
        priority: value(&record.priority),
        due: value(&record.due),
        links: record.links.iter().cloned().collect(),
        attachments: record.attachments.iter().cloned().collect(),
        dependencies: record.dependencies.iter().cloned().collect(),
        progress: checklist::progress(&checklist),
        closed: closed(status),
        mentions: called,
        conflicts: conflicts(record, &checklist),
        checklist,
        key,
        template,
        fingerprint,
        imported,
        body,
    })
}

/// By whom and when something was first written down. Nothing is imported before it happened,
/// whatever the import says.
fn first_written(
    imported: &Option<Imported>,
    by: &Principal,
    at: Timestamp,
) -> (Principal, Timestamp) {
    match imported {
        Some(imported) => (imported.by.clone(), imported.at.min(at)),
        None => (by.clone(), at),
    }
}

fn closed(status: &Write<Status>) -> Option<Closed> {
    let Status { state, reason, imported } = &status.value;
    let (by, at) = first_written(imported, &status.by, status.time());
    (*state == State::Closed).then(|| Closed { by, at, reason: reason.clone() })
}

fn value<T: Clone>(register: &Register<Option<T>>) -> Option<T> {
    register.shown()?.value.clone()
}

/// The body that shows and its items, checked as they were last checked: by a check that the body
/// does not show yet, else by the body itself.
fn body(record: &Record) -> Option<(String, Vec<Item>)> {
    let shown = &record.body.shown()?.value;
    if record.items.is_empty() {
        return Some((shown.text.clone(), checklist::items(&shown.text)));
    }
    let text = checklist::with_marks(&shown.text, |item| {
        checks(record, item).last().map_or(item.checked, |check| check.value)
    });
    let items = checklist::items(&text);
    Some((text, items))
}

/// The checks of an item that the body does not show yet, the one that counts last.
fn checks<'a>(record: &'a Record, item: &Item) -> Vec<&'a Write<bool>> {
    let writes = record.items.get(&item.reference()).map_or(&[][..], Register::writes);
    let covers = record.body.shown().map(|body| &body.value.covers);
    let is_news = |write: &&Write<bool>| covers.is_none_or(|covers| !covers.contains(&write.id));
    writes.iter().filter(is_news).collect()
}

fn comments(record: &Record) -> Vec<Comment> {
    let mut said: Vec<_> = record.comments.iter().filter_map(said).collect();
    said.sort_by(|a, b| (a.1.at, a.0, &a.1.id).cmp(&(b.1.at, b.0, &b.1.id)));
    said.into_iter().map(|(_, comment)| comment).collect()
}

fn said((id, remark): (&EventId, &Remark)) -> Option<(grit_ledger::Hlc, Comment)> {
    let (by, hlc) = remark.said.clone()?;
    let shown = remark.text.shown()?;
    let body = shown.value.clone()?;
    let edited = (shown.id != *id).then(|| Edited { by: shown.by.clone(), at: shown.time() });
    let imported = remark.imported.clone();
    let (author, at) = first_written(&imported, &by, hlc.timestamp());
    Some((hlc, Comment { id: id.clone(), author, at, body, edited, imported }))
}

fn conflicts(record: &Record, checklist: &[Item]) -> Vec<Conflict> {
    let mut found = Vec::new();
    losers(&mut found, Field::Title, record.title.writes(), String::clone);
    losers(&mut found, Field::Body, record.body.writes(), |body| body.text.clone());
    losers(&mut found, Field::State, record.state.writes(), |status| status.state.to_string());
    losers(&mut found, Field::Milestone, record.milestone.writes(), text);
    losers(&mut found, Field::Priority, record.priority.writes(), text);
    losers(&mut found, Field::Due, record.due.writes(), text);
    for remark in record.comments.values() {
        losers(&mut found, Field::Comment, remark.text.writes(), text);
    }
    for item in checklist {
        let value =
            |checked: &bool| format!("[{}] {}", if *checked { "x" } else { " " }, item.text);
        losers(&mut found, Field::Item, checks(record, item), value);
    }
    found
}

fn text<T: std::fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Of the writes that stand those that say something else than the last, which shows.
fn losers<'a, T: 'a>(
    found: &mut Vec<Conflict>,
    field: Field,
    writes: impl IntoIterator<Item = &'a Write<T>>,
    text: impl Fn(&T) -> String,
) {
    let mut writes: Vec<&Write<T>> = writes.into_iter().collect();
    let Some(shown) = writes.pop().map(|write| text(&write.value)) else { return };
    let conflicts = writes.into_iter().map(|write| Conflict {
        id: write.id.clone(),
        field,
        value: text(&write.value),
        by: write.by.clone(),
        at: write.time(),
    });
    found.extend(conflicts.filter(|conflict| conflict.value != shown));
}
