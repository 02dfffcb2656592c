//! What git-bug keeps in `refs/bugs/ID` and `refs/identities/ID` (format version 4 of bugs): JSON
//! packs of operations, in the order of their Lamport clocks, then of the packs' hashes.

use std::collections::{BTreeMap, HashMap};

use grit_types::{Digest, Principal, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Foreign, ForeignClosed, ForeignComment, Found, ImportError, person, word};
use crate::State;

/// The format versions of bugs that are read.
pub const VERSIONS: std::ops::RangeInclusive<u64> = 3..=4;

/// One commit of a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Where it stands, for messages.
    pub place: String,
    /// Its Lamport clock: the number in the name of the tree's entry `edit-clock-N`.
    pub clock: u64,
    /// The blob `ops`.
    pub ops: Vec<u8>,
}

/// Who somebody is: the blob `version` of the last commit of an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Identity {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub login: String,
}

#[derive(Deserialize)]
struct Packed<'a> {
    author: Author,
    #[serde(borrow)]
    ops: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Author {
    id: String,
}

#[derive(Deserialize)]
struct Op {
    #[serde(rename = "type")]
    kind: u64,
    timestamp: i64,
    #[serde(default)]
    metadata: Option<HashMap<String, String>>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: u64,
    #[serde(default)]
    target: String,
    added: Option<Vec<String>>,
    removed: Option<Vec<String>>,
}

/// Reads bugs: the id of each, and its packs. `people` by the ids of their identities.
pub fn read(
    bugs: &[(String, Vec<Pack>)],
    people: &BTreeMap<String, Identity>,
) -> Result<Found, ImportError> {
    let mut found = Found::default();
    let mut unknown = 0;
    for (id, packs) in bugs {
        let mut packs: Vec<(u64, String, &Pack)> =
            packs.iter().map(|pack| (pack.clock, Digest::of(&pack.ops).hex(), pack)).collect();
        packs.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut folding = Folding {
            id,
            issue: None,
            root: String::new(),
            comments: Vec::new(),
            unknown: &mut unknown,
        };
        for (_, _, pack) in packs {
            folding.take(pack, people)?;
        }
        let place = format!("refs/bugs/{id}");
        let missing = || ImportError::thing(place, "nothing in it creates a bug");
        found.issues.push(folding.issue.ok_or_else(missing)?);
    }
    if unknown > 0 {
        found.left_out.push(format!("{unknown} operations that are not known here"));
    }
    Ok(found)
}

struct Folding<'a> {
    id: &'a str,
    issue: Option<Foreign>,
    /// What the operation is called that created the bug.
    root: String,
    /// What the operations are called that said the comments.
    comments: Vec<String>,
    unknown: &'a mut usize,
}

impl Folding<'_> {
    fn take(
        &mut self,
        pack: &Pack,
        people: &BTreeMap<String, Identity>,
    ) -> Result<(), ImportError> {
        let wrong = |error: &serde_json::Error| {
            ImportError::thing(&pack.place, crate::shown(&error.to_string(), 200))
        };
        let packed: Packed<'_> =
            serde_json::from_slice(&pack.ops).map_err(|error| wrong(&error))?;
        let by = who(&packed.author.id, people);
        for raw in packed.ops {
            let op: Op = serde_json::from_str(raw.get()).map_err(|error| wrong(&error))?;
            // An operation is called by the hash of its bytes as they are stored.
            self.apply(op, Digest::of(raw.get().as_bytes()).hex(), by.clone());
        }
        Ok(())
    }

    fn apply(&mut self, op: Op, id: String, by: Principal) {
        let at = Timestamp::from_millis(op.timestamp.saturating_mul(1_000));
        let Some(issue) = &mut self.issue else {
            if op.kind == 1 {
                self.root = id;
                self.issue = Some(created(self.id, op, by, at));
            }
            return;
        };
        match op.kind {
            2 => issue.title = op.title,
            3 => {
                let key = page(&op).unwrap_or_else(|| format!("git-bug:{id}"));
                issue.comments.push(ForeignComment { key, author: by, at, body: op.message });
                self.comments.push(id);
            }
            4 if op.status == 2 => {
                issue.state = State::Closed;
                issue.closed = Some(ForeignClosed { by, at, reason: String::new() });
            }
            4 => (issue.state, issue.closed) = (State::Open, None),
            5 => {
                let labels = issue.labels.get_or_insert_default();
                labels.extend(op.added.iter().flatten().filter_map(|label| word(label)));
                let gone: Vec<String> =
                    op.removed.iter().flatten().filter_map(|label| word(label)).collect();
                labels.retain(|label| !gone.contains(label));
            }
            6 if op.target == self.root => issue.body = Some(op.message),
            6 => {
                let target = self.comments.iter().position(|id| *id == op.target);
                if let Some(comment) = target.and_then(|at| issue.comments.get_mut(at)) {
                    comment.body = op.message;
                }
            }
            // Nothing to show, and data of bridges.
            7 | 8 => {}
            _ => *self.unknown += 1,
        }
    }
}

fn created(id: &str, op: Op, by: Principal, at: Timestamp) -> Foreign {
    let key = page(&op).unwrap_or_else(|| format!("git-bug:{id}"));
    let mut issue = Foreign::new(key, op.title, by, at);
    issue.create_under = Some(issue.key.clone());
    issue.body = Some(op.message);
    issue.labels = Some(Default::default());
    issue
}

/// What came from GitHub is called as GitHub's own document calls it: imported from both, it is
/// one.
fn page(op: &Op) -> Option<String> {
    let url = op.metadata.as_ref()?.get("github-url")?;
    let rest = url.strip_prefix("https://github.com/")?;
    let (project, number) = rest.split_once("/issues/")?;
    match number.split_once("#issuecomment-") {
        Some((_, comment)) => Some(format!("github:{project}#comment-{comment}")),
        None => Some(format!("github:{project}#{}", number.split('#').next()?)),
    }
}

fn who(id: &str, people: &BTreeMap<String, Identity>) -> Principal {
    let Some(Identity { name, email, login }) = people.get(id) else {
        let id: String = id.chars().take(8).collect();
        return person(&format!("git-bug-{id}"), None);
    };
    let name = if login.is_empty() { name } else { login };
    person(name, Some(email))
}
