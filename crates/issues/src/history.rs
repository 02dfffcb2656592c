use std::collections::BTreeMap;

use grit_ledger::Hlc;
use grit_types::{EventId, IssueId, Principal, Timestamp};
use serde::Serialize;

use crate::event::{Event, Ids, Imported};
use crate::issue::Field;
use crate::shown::shown;
use crate::value::ItemRef;

/// Characters of a value that a line shows; its fields hold all of it.
const VALUE_CHARS_MAX: usize = 120;

/// One thing that happened to an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    pub id: EventId,
    pub at: Timestamp,
    pub by: Principal,
    /// What acted for them: `cli`, `job/job_01…`.
    pub via: String,
    pub kind: String,
    /// What they did, safe for a terminal.
    pub what: String,
    /// The value of the field that they had before them; all of it, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value that they wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What became of it, for what has one value at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
}

/// What became of a written value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "by")]
pub enum Fate {
    /// It shows.
    Shows,
    /// It showed until this event replaced it.
    Replaced(EventId),
    /// It never won against this one, which was written without having seen it.
    Lost(EventId),
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.at, self.by, self.what)?;
        match &self.fate {
            Some(Fate::Lost(winner)) => write!(f, " (lost to {})", winner.short()),
            Some(Fate::Shows | Fate::Replaced(_)) | None => Ok(()),
        }
    }
}

/// What happened to `issue`, in the order of the clocks. Of `events` only its own count; those that
/// cannot be read are passed over.
pub fn history<'a>(
    issue: &IssueId,
    events: impl IntoIterator<Item = &'a grit_ledger::Event>,
) -> Vec<Line> {
    let mut own: BTreeMap<(Hlc, EventId), (&grit_ledger::Event, Event)> = BTreeMap::new();
    for event in events {
        let Ok(Some(payload)) = Event::read(event) else { continue };
        let id = event.id();
        if payload.issue().unwrap_or(&id) == issue {
            own.insert((event.hlc, id), (event, payload));
        }
    }
    let mut slots: BTreeMap<Slot, Writes> = BTreeMap::new();
    for ((_, id), (_, payload)) in &own {
        for (slot, value, replaces) in written(id, payload) {
            slots.entry(slot).or_default().push(Written { id: id.clone(), value, replaces });
        }
    }
    own.into_iter().map(|((_, id), (event, payload))| line(id, event, &payload, &slots)).collect()
}

/// A field, and which of several it is.
type Slot = (Field, Option<EventId>, Option<ItemRef>);

/// In the order of the clocks.
type Writes = Vec<Written>;

struct Written {
    id: EventId,
    value: String,
    replaces: Ids,
}

/// The values that an event gives to fields of one value.
fn written(id: &EventId, payload: &Event) -> Vec<(Slot, String, Ids)> {
    let field = |field: Field| (field, None, None);
    let comment = |id: &EventId| (Field::Comment, Some(id.clone()), None);
    let item = |item: &ItemRef| (Field::Item, None, Some(item.clone()));
    let one = |slot, value: String, replaces: &Ids| vec![(slot, value, replaces.clone())];
    let none = Ids::new();
    match payload {
        Event::Created(draft) => {
            let first = |of: Field, value: String| (field(of), value, Ids::new());
            vec![
                first(Field::Title, draft.title.clone()),
                first(Field::Body, draft.body.clone()),
                first(Field::State, "open".to_owned()),
                first(Field::Milestone, optional(draft.milestone.as_ref())),
                first(Field::Priority, optional(draft.priority)),
                first(Field::Due, optional(draft.due)),
            ]
        }
        Event::Retitled { title, replaces, .. } => {
            one(field(Field::Title), title.clone(), replaces)
        }
        Event::BodyEdited { body, replaces, .. } => one(field(Field::Body), body.clone(), replaces),
        Event::Closed { replaces, .. } => one(field(Field::State), "closed".to_owned(), replaces),
        Event::Reopened { replaces, .. } => one(field(Field::State), "open".to_owned(), replaces),
        Event::MilestoneSet { milestone, replaces, .. } => {
            one(field(Field::Milestone), optional(milestone.as_ref()), replaces)
        }
        Event::PrioritySet { priority, replaces, .. } => {
            one(field(Field::Priority), optional(*priority), replaces)
        }
        Event::DueSet { due, replaces, .. } => one(field(Field::Due), optional(*due), replaces),
        Event::Commented { body, .. } => one(comment(id), body.clone(), &none),
        Event::CommentEdited { comment: said, body, replaces, .. } => {
            one(comment(said), body.clone(), replaces)
        }
        Event::CommentDeleted { comment: said, replaces, .. } => {
            one(comment(said), String::new(), replaces)
        }
        Event::ItemChecked { item: on, replaces, .. } => {
            one(item(on), "checked".to_owned(), replaces)
        }
        Event::ItemUnchecked { item: on, replaces, .. } => {
            one(item(on), "open".to_owned(), replaces)
        }
        _ => Vec::new(),
    }
}

fn optional<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn line(
    id: EventId,
    event: &grit_ledger::Event,
    payload: &Event,
    slots: &BTreeMap<Slot, Writes>,
) -> Line {
    let mut line = Line {
        at: event.hlc.timestamp(),
        by: event.actor.principal.clone(),
        via: event.actor.via.clone(),
        kind: event.kind.clone(),
        what: String::new(),
        before: None,
        after: None,
        fate: None,
        id,
    };
    let written = written(&line.id, payload);
    // A creation writes many fields, and its line is about the issue as a whole.
    if let [(slot, value, _)] = written.as_slice() {
        let writes = slots.get(slot).map(Vec::as_slice).unwrap_or_default();
        line.before = before(writes, &line.id);
        line.after = Some(value.clone());
        line.fate = fate(writes, &line.id);
    }
    line.what = what(payload, line.before.as_deref());
    if let Some(Imported { key, by, at }) = payload.imported() {
        line.what.push_str(&format!(", first by {by} at {at} ({})", shown(key, VALUE_CHARS_MAX)));
    }
    line
}

/// What an author had before them: of the writes that theirs replaces the latest, or where it names
/// none the one before it.
fn before(writes: &[Written], id: &EventId) -> Option<String> {
    let at = writes.iter().position(|write| write.id == *id)?;
    let replaces = &writes[at].replaces;
    let seen = writes.iter().rev().find(|write| replaces.contains(&write.id));
    let earlier = || writes[..at].last();
    seen.or_else(earlier).map(|write| write.value.clone())
}

fn fate(writes: &[Written], id: &EventId) -> Option<Fate> {
    let is_standing = |write: &&Written| !writes.iter().any(|by| by.replaces.contains(&write.id));
    let replacing = writes.iter().find(|by| by.replaces.contains(id));
    // The winner among those that stood together when one who had seen them all replaced them, or
    // that stand now.
    let winner = match replacing {
        Some(by) => writes.iter().rev().find(|write| by.replaces.contains(&write.id))?,
        None => writes.iter().rev().find(is_standing)?,
    };
    Some(match replacing {
        _ if winner.id != *id => Fate::Lost(winner.id.clone()),
        Some(by) => Fate::Replaced(by.id.clone()),
        None => Fate::Shows,
    })
}

/// What an event did, as a fragment that follows a name.
fn what(payload: &Event, before: Option<&str>) -> String {
    let quoted = |text: &str| format!("“{}”", shown(text, VALUE_CHARS_MAX));
    let from = |text: &str| match before {
        Some("") | None => text.to_owned(),
        Some(before) => format!("{text} (was {})", quoted(before)),
    };
    let set = |what: &str, value: String| match value.as_str() {
        "" => from(&format!("took the {what} away")),
        value => from(&format!("set the {what} to {}", quoted(value))),
    };
    match payload {
        Event::Created(draft) => {
            let labels: Vec<String> = draft.labels.iter().map(|label| quoted(label)).collect();
            let with = if labels.is_empty() { String::new() } else { " with ".to_owned() };
            format!("created {}{with}{}", quoted(&draft.title), labels.join(", "))
        }
        Event::Retitled { title, .. } => from(&format!("changed the title to {}", quoted(title))),
        Event::BodyEdited { .. } => "edited the body".to_owned(),
        Event::Commented { body, .. } => format!("commented {}", quoted(body)),
        Event::CommentEdited { comment, body, .. } => {
            from(&format!("edited the comment {} to {}", comment.short(), quoted(body)))
        }
        Event::CommentDeleted { comment, .. } => {
            from(&format!("deleted the comment {}", comment.short()))
        }
        Event::Closed { reason, .. } if reason.is_empty() => "closed it".to_owned(),
        Event::Closed { reason, .. } => format!("closed it: {}", quoted(reason)),
        Event::Reopened { .. } => "reopened it".to_owned(),
        Event::MilestoneSet { milestone, .. } => set("milestone", optional(milestone.as_ref())),
        Event::PrioritySet { priority, .. } => set("priority", optional(*priority)),
        Event::DueSet { due, .. } => set("due day", optional(*due)),
        Event::ItemChecked { item, .. } => format!("checked {}", quoted(&item.text)),
        Event::ItemUnchecked { item, .. } => format!("unchecked {}", quoted(&item.text)),
        other => set_change(other, quoted),
    }
}

/// What an event put into a set or took out of it.
fn set_change(payload: &Event, quoted: impl Fn(&str) -> String) -> String {
    let depends =
        |dependency: &crate::Dependency| format!("{} {}", dependency.kind, dependency.on.short());
    match payload {
        Event::Labelled { label, .. } => format!("added the label {}", quoted(label)),
        Event::Unlabelled { label, .. } => format!("took the label {} off", quoted(label)),
        Event::Assigned { assignee, .. } => format!("assigned it to {assignee}"),
        Event::Unassigned { assignee, .. } => format!("unassigned {assignee}"),
        Event::LinkAdded { link, .. } => format!("added the link {}", quoted(&link.url)),
        Event::LinkRemoved { link, .. } => format!("took the link {} off", quoted(&link.url)),
        Event::AttachmentAdded { attachment: file, .. } => {
            format!(
                "attached {} ({} bytes, {})",
                quoted(&file.name),
                file.size,
                file.digest.short()
            )
        }
        Event::AttachmentRemoved { attachment: file, .. } => {
            format!("took the attachment {} off", quoted(&file.name))
        }
        Event::DependencyAdded { dependency, .. } => format!("added {}", depends(dependency)),
        Event::DependencyRemoved { dependency, .. } => format!("removed {}", depends(dependency)),
        // Every other kind has a text of its own.
        _ => String::new(),
    }
}
