//! Grit's own form of a tracker: a JSON document that holds its events.
//!
//! Version 1: `{"format":"grit-tracker","version":1,"issues":[…],"queries":{…},"events":[…]}`, one
//! issue or event to a line. `issues` and `queries` are for readers; what is taken in is `events`,
//! each with its id, in the one order that all clones have. So the same events give the same bytes
//! everywhere, and a tracker that was taken in from a document gives that document again.
//!
//! `"files":{"sha256:…":"BASE64",…}` behind them, in the order of the digests, are the bytes of all
//! attachments that the events name, RFC 4648 section 4. A document that was written without them
//! has no `files`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use grit_ledger::merge;
use grit_types::{Digest, EventId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ImportError;
use crate::event::Event;
use crate::{ATTACHMENT_BYTES_MAX, Issues};

/// What a document says it is.
pub const FORMAT: &str = "grit-tracker";
/// The version that is written, and the newest that is read.
pub const VERSION: u64 = 1;

/// Bytes of attachments, by their digests.
pub type Files = BTreeMap<Digest, Vec<u8>>;

/// What a document holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    pub events: Vec<grit_ledger::Event>,
    /// `None` where it was written without them.
    pub files: Option<Files>,
}

/// The attachment that an event brings to an issue.
pub fn attachment(event: &grit_ledger::Event) -> Option<crate::Attachment> {
    match Event::read(event) {
        Ok(Some(Event::AttachmentAdded { attachment, .. })) => Some(attachment),
        _ => None,
    }
}

/// The document of a ledger's events, and the bytes of what they attach; those of other things than
/// issues are left out.
pub fn write(
    events: impl IntoIterator<Item = grit_ledger::Event>,
    files: Option<&Files>,
) -> String {
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
    text.push(']');
    if let Some(files) = files {
        text.push_str(",\n\"files\":{");
        for (at, (digest, bytes)) in files.iter().enumerate() {
            text.push_str(if at == 0 { "\n" } else { ",\n" });
            text.push_str(&format!("\"{digest}\":\""));
            BASE64.encode_string(bytes, &mut text);
            text.push('"');
        }
        text.push('}');
    }
    text.push_str("}\n");
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
    files: Option<BTreeMap<Digest, String>>,
    /// Around a document that `--json` answered.
    data: Option<Box<Document>>,
}

#[derive(Deserialize)]
struct Entry {
    id: EventId,
    event: Value,
}

/// The events and the files of a document, each what its id says it is.
pub fn read(text: &str) -> Result<Contents, ImportError> {
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
    let events: Vec<_> = entries
        .into_iter()
        .enumerate()
        .map(|(at, entry)| checked(at, entry))
        .collect::<Result<_, _>>()?;
    let named: BTreeSet<Digest> = events.iter().filter_map(attachment).map(|a| a.digest).collect();
    let file = |(digest, text): (Digest, String)| {
        if !named.contains(&digest) {
            return Err(wrong_file(&digest, "no event of the document names it"));
        }
        decoded(&digest, &text).map(|bytes| (digest, bytes))
    };
    let files = document.files.map(|files| files.into_iter().map(file).collect()).transpose()?;
    Ok(Contents { events, files })
}

fn wrong_file(digest: &Digest, message: &str) -> ImportError {
    ImportError::thing(format!("file {digest}"), message)
}

fn decoded(digest: &Digest, text: &str) -> Result<Vec<u8>, ImportError> {
    let bytes = BASE64.decode(text).map_err(|_| wrong_file(digest, "it is no base64"))?;
    if bytes.len() as u64 > ATTACHMENT_BYTES_MAX {
        let message = format!(
            "it has more than the {ATTACHMENT_BYTES_MAX} bytes that an attachment may have"
        );
        return Err(wrong_file(digest, &message));
    }
    if Digest::of(&bytes) != *digest {
        return Err(wrong_file(digest, "it is not what its digest stands for"));
    }
    Ok(bytes)
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
