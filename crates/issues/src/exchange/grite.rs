//! What grite keeps in `refs/grite/wal`: chunks of events in CBOR, read to what its own projection
//! makes of them (events in the order of time, actor and id; the last one counts).

use std::collections::BTreeMap;

use grit_types::{Principal, Timestamp};

use super::cbor::{self, Value};
use super::{Foreign, ForeignClosed, ForeignComment, Found, ImportError, person, word};
use crate::{DependencyKind, Link, State};

/// What a chunk begins with.
const MAGIC: &[u8] = b"GRITECNK";
const VERSION: u16 = 1;
const CODEC: &[u8] = b"cbor-v1";

struct Event {
    at: u64,
    actor: Vec<u8>,
    id: Vec<u8>,
    issue: Vec<u8>,
    kind: u64,
    data: Vec<Value>,
}

/// Reads chunks: where each stands (for messages), and its bytes.
pub fn read<'a>(
    chunks: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Found, ImportError> {
    let mut events = Vec::new();
    for (place, bytes) in chunks {
        let wrong = |message: String| ImportError::thing(place, message);
        let payload = payload(bytes).map_err(wrong)?;
        let Value::Array(list) = cbor::decode(payload).map_err(wrong)? else {
            return Err(wrong("it holds no list of events".to_owned()));
        };
        for (at, value) in list.into_iter().enumerate() {
            let event = event(value).ok_or_else(|| wrong(format!("event {} is none", at + 1)))?;
            events.push(event);
        }
    }
    events.sort_by(|a, b| (a.at, &a.actor, &a.id).cmp(&(b.at, &b.actor, &b.id)));
    events.dedup_by(|a, b| a.id == b.id);
    let mut folding = Folding::default();
    for event in &events {
        folding.take(event);
    }
    Ok(folding.finish())
}

fn payload(bytes: &[u8]) -> Result<&[u8], String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no chunk: its first bytes are others")?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or("it ends within its head")?;
    let version = u16::from_le_bytes(*version);
    if version != VERSION {
        return Err(format!("it has version {version}, and {VERSION} is read here"));
    }
    let (length, rest) = rest.split_first().ok_or("it ends within its head")?;
    let (codec, payload) =
        rest.split_at_checked(usize::from(*length)).ok_or("it ends within its head")?;
    if codec == CODEC {
        Ok(payload)
    } else {
        Err("it is in a form that is not read here".to_owned())
    }
}

/// `[id, issue, actor, time, parent, kind, data, signature]`.
fn event(value: Value) -> Option<Event> {
    let Value::Array(fields) = value else { return None };
    let [id, issue, actor, at, _, kind, data, _]: [Value; 8] = fields.try_into().ok()?;
    match (id, issue, actor, at, kind, data) {
        (
            Value::Bytes(id),
            Value::Bytes(issue),
            Value::Bytes(actor),
            Value::Number(at),
            Value::Number(kind),
            Value::Array(data),
        ) if (id.len(), issue.len(), actor.len()) == (32, 16, 16) => {
            Some(Event { at, actor, id, issue, kind, data })
        }
        _ => None,
    }
}

#[derive(Default)]
struct Folding {
    issues: BTreeMap<Vec<u8>, Foreign>,
    /// In the order of their creation.
    order: Vec<Vec<u8>>,
    attachments: usize,
    others: usize,
}

impl Folding {
    fn take(&mut self, event: &Event) {
        let (by, at) = (actor(&event.actor), time(event.at));
        if event.kind == 1 {
            if let ([title, body, labels], None) =
                (event.data.as_slice(), self.issues.get(&event.issue))
            {
                let key = format!("grite:{}", hex(&event.issue));
                let mut issue = Foreign::new(key, text(title), by, at);
                issue.create_under = Some(issue.key.clone());
                issue.body = Some(text(body));
                let Value::Array(labels) = labels else { return };
                issue.labels = Some(labels.iter().filter_map(|one| word(&text(one))).collect());
                issue.assignees = Some(Default::default());
                self.order.push(event.issue.clone());
                self.issues.insert(event.issue.clone(), issue);
            }
            return;
        }
        // An event of an issue that was never created shows nowhere there either.
        let Some(issue) = self.issues.get_mut(&event.issue) else { return };
        match (event.kind, event.data.as_slice()) {
            (2, [title, body]) => {
                if *title != Value::Null {
                    issue.title = text(title);
                }
                if *body != Value::Null {
                    issue.body = Some(text(body));
                }
            }
            (3, [body]) => {
                let (key, body) = (format!("grite:{}", hex(&event.id)), text(body));
                issue.comments.push(ForeignComment { key, author: by, at, body });
            }
            (4, [label]) => issue.labels.get_or_insert_default().extend(word(&text(label))),
            (5, [label]) => {
                let label = word(&text(label)).unwrap_or_default();
                issue.labels.get_or_insert_default().remove(&label);
            }
            (6, [state]) => set_state(issue, &text(state), by, at),
            (7, [url, note]) => {
                issue.links.insert(Link { url: text(url), title: text(note) });
            }
            (8, [user]) => {
                issue.assignees.get_or_insert_default().insert(person(&text(user), None));
            }
            (9, [user]) => {
                issue.assignees.get_or_insert_default().remove(&person(&text(user), None));
            }
            (10, _) => self.attachments += 1,
            (11, [target, kind]) => issue.dependencies.extend(dependency(target, kind)),
            (12, [target, kind]) => {
                let gone = dependency(target, kind);
                issue.dependencies.retain(|one| Some(one) != gone.as_ref());
            }
            _ => self.others += 1,
        }
    }

    fn finish(mut self) -> Found {
        let mut found = Found::default();
        for id in self.order {
            found.issues.extend(self.issues.remove(&id));
        }
        if self.attachments > 0 {
            let message = "attachments, of which grite keeps no bytes";
            found.left_out.push(format!("{} {message}", self.attachments));
        }
        if self.others > 0 {
            found.left_out.push(format!("{} events about something else", self.others));
        }
        found
    }
}

fn set_state(issue: &mut Foreign, state: &str, by: Principal, at: Timestamp) {
    (issue.state, issue.closed) = match state {
        "closed" => (State::Closed, Some(ForeignClosed { by, at, reason: String::new() })),
        _ => (State::Open, None),
    };
}

fn dependency(target: &Value, kind: &Value) -> Option<(DependencyKind, String)> {
    let Value::Bytes(target) = target else { return None };
    let kind = match text(kind).as_str() {
        "blocks" => DependencyKind::Blocks,
        "depends_on" => DependencyKind::DependsOn,
        "related_to" => DependencyKind::Related,
        _ => return None,
    };
    Some((kind, format!("grite:{}", hex(target))))
}

fn text(value: &Value) -> String {
    if let Value::Text(text) = value { text.clone() } else { String::new() }
}

/// Its refs know actors by their ids alone.
fn actor(id: &[u8]) -> Principal {
    person(&format!("grite-{}", &hex(id)[..8]), None)
}

fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
