//! Grit's own form of a tracker: a JSON document that holds its events.
//!
//! Version 1: `{"format":"grit-tracker","version":1,"issues":[…],"queries":{…},"events":[…]}`, one
//! issue or event to a line. `issues` and `queries` are for readers; what is taken in is `events`,
//! each with its id, in the one order that all clones have. So the same events give the same bytes
//! everywhere, and a tracker that was taken in from a document gives that document again.

use grit_ledger::merge;
use grit_types::EventId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ImportError;
use crate::Issues;
use crate::event::Event;

/// What a document says it is.
pub const FORMAT: &str = "grit-tracker";
/// The version that is written, and the newest that is read.
pub const VERSION: u64 = 1;

/// The document of a ledger's events; those of other things than issues are left out.
pub fn write(events: impl IntoIterator<Item = grit_ledger::Event>) -> String {
    let events = merge(events.into_iter().filter(|event| Event::is_ours(&event.kind)));
    let issues = Issues::fold(&events);
    let mut all: Vec<_> = issues.all().collect();
    all.reverse();
    let mut text = format!("{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\n\"issues\":[");
    // Views are plain data: they always serialise.
    lines(&mut text, all.iter().map(|issue| json!(issue)));
    text.push_str("],\n\"queries\":");
    text.push_str(&grit_ledger::canonical(&json!(issues.queries().texts())));
    text.push_str(",\n\"events\":[");
    lines(&mut text, events.iter().map(|event| json!({ "id": event.id(), "event": raw(event) })));
    text.push_str("]}\n");
    text
}

/// The event as its canonical bytes have it, version included.
fn raw(event: &grit_ledger::Event) -> Value {
    serde_json::from_slice(&event.encode()).unwrap_or_default()
}

fn lines(text: &mut String, values: impl Iterator<Item = Value>) {
    for (at, value) in values.enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&grit_ledger::canonical(&value));
    }
}

#[derive(Deserialize)]
struct Document {
    format: Option<String>,
    version: Option<u64>,
    events: Option<Vec<Entry>>,
    /// Around a document that `--json` answered.
    data: Option<Box<Document>>,
}

#[derive(Deserialize)]
struct Entry {
    id: EventId,
    event: Value,
}

/// The events of a document, each what its id says it is.
pub fn read(text: &str) -> Result<Vec<grit_ledger::Event>, ImportError> {
    let document: Document =
        serde_json::from_str(text).map_err(|error| ImportError::json(&error, 0))?;
    let document = match document {
        Document { format: None, data: Some(data), .. } => *data,
        other => other,
    };
    let wrong = |message: String| ImportError::at(text, 0, message);
    if document.format.as_deref() != Some(FORMAT) {
        return Err(wrong(format!("this is no `{FORMAT}` document")));
    }
    match document.version {
        Some(VERSION) => {}
        Some(newer) => {
            let message = format!("the document has version {newer}, and {VERSION} is read here");
            return Err(wrong(message));
        }
        None => return Err(wrong("the document has no version".to_owned())),
    }
    let entries = document.events.ok_or_else(|| wrong("the document has no events".to_owned()))?;
    entries.into_iter().enumerate().map(|(at, entry)| checked(at, entry)).collect()
}

fn checked(at: usize, entry: Entry) -> Result<grit_ledger::Event, ImportError> {
    let place = || format!("event {} ({})", at + 1, entry.id.short());
    let bytes = grit_ledger::canonical(&entry.event).into_bytes();
    let event = grit_ledger::Event::decode(&bytes)
        .map_err(|error| ImportError::thing(place(), grit_types::chain(&error)))?;
    if EventId::of(&bytes) != entry.id || event.id() != entry.id {
        return Err(ImportError::thing(place(), "it is not what its id stands for"));
    }
    if !Event::is_ours(&event.kind) {
        let message = format!("`{}` is about something else than issues", event.kind);
        return Err(ImportError::thing(place(), crate::shown(&message, 200)));
    }
    Ok(event)
}
