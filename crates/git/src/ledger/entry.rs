//! How an event is a commit.

use gix::objs::{CommitRef, Kind, compute_hash};
use grit_ledger::{DecodeError, Event};
use grit_types::{CommitId, EventId};

use super::sign::{self, Signer};
use crate::GitError;
use crate::repository::{commit_id, existing, oid};

/// More than the largest event and the headers of its commit.
const COMMIT_BYTES_MAX: u64 = 8 << 20;

/// The last second of the year 9999; git refuses dates that no calendar holds.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Where the signature of the event is.
const EVENT_HEADER: &str = "gritsig";
/// Where git looks for that of the commit.
const COMMIT_HEADER: &str = "gpgsig";

/// One commit of a lane.
pub(super) struct Entry {
    pub(super) id: CommitId,
    /// None at the beginning of the lane.
    pub(super) parent: Option<CommitId>,
    /// What should be an event's canonical bytes.
    message: Vec<u8>,
    /// Of the files that came with it.
    pub(super) tree: gix::ObjectId,
    /// Over the message, in PEM form.
    signature: Option<String>,
    parents: usize,
}

/// Where a lane cannot be followed further back.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("its bytes are not those that its id stands for")]
    Altered,
    #[error("it is no commit that git could have written")]
    Commit(#[source] gix::Error),
}

/// A commit that is no event; what is behind it may be.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEvent {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("its event is not in the canonical form that ids are made of")]
    NotCanonical,
    #[error("it has {0} parents, and a lane does not fork")]
    Parents(usize),
}

impl Entry {
    /// What its event is called; follows from the bytes alone, whether they are an event or not.
    pub(super) fn key(&self) -> EventId {
        EventId::of(&self.message)
    }

    pub(super) fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    pub(super) fn event(&self) -> Result<Event, NoEvent> {
        if self.parents > 1 {
            return Err(NoEvent::Parents(self.parents));
        }
        let event = Event::decode(&self.message)?;
        if event.encode() == self.message { Ok(event) } else { Err(NoEvent::NotCanonical) }
    }
}

/// The commit of an event: the same event behind the same parent is always the same commit.
pub(super) fn encode(
    event: &Event,
    canonical: &[u8],
    tree: &gix::oid,
    parent: Option<&CommitId>,
    signer: Option<&Signer>,
) -> Result<Vec<u8>, GitError> {
    let parent = parent.map(|id| format!("parent {id}\n")).unwrap_or_default();
    let by = signature(event);
    let mut head = format!("tree {tree}\n{parent}author {by}\ncommitter {by}\n");
    let mut message = vec![b'\n'];
    message.extend(canonical);
    message.push(b'\n');
    if let Some(signer) = signer {
        head.push_str(&header(EVENT_HEADER, &signer.sign(sign::EVENT, canonical)?));
        let unsigned = [head.as_bytes(), &message].concat();
        head.push_str(&header(COMMIT_HEADER, &signer.sign(sign::COMMIT, &unsigned)?));
    }
    Ok([head.as_bytes(), &message].concat())
}

/// A header of several lines: each but the first is indented.
fn header(name: &str, value: &str) -> String {
    format!("{name} {}\n", value.trim_end().replace('\n', "\n "))
}

/// For `git log` only; who acted is in the event.
fn signature(event: &Event) -> String {
    let name = event.actor.principal.as_str();
    let address = if name.contains('@') { name.to_owned() } else { format!("{name}@grit") };
    let seconds = seconds(event.hlc.millis);
    format!("{name} <{address}> {seconds} +0000")
}

/// What git takes for a time.
pub(super) fn seconds(millis: i64) -> i64 {
    (millis / 1_000).clamp(0, SECONDS_MAX)
}

/// What a commit says, and the commits that it stands behind; its bytes are checked.
pub(super) fn message_and_parents(
    repository: &gix::Repository,
    id: &CommitId,
) -> Result<(Vec<u8>, Vec<CommitId>), EntryError> {
    let (bytes, oid) = bytes(repository, id)?;
    let commit = CommitRef::from_bytes(&bytes, oid.kind()).map_err(EntryError::Commit)?;
    let message: &[u8] = commit.message;
    let message = message.strip_suffix(b"\n").unwrap_or(message).to_vec();
    Ok((message, commit.parents().map(commit_id).collect()))
}

/// Reads the entry `id`, and that its bytes are what its id stands for: gix does not check.
pub(super) fn read(repository: &gix::Repository, id: &CommitId) -> Result<Entry, EntryError> {
    let (bytes, oid) = bytes(repository, id)?;
    let commit = CommitRef::from_bytes(&bytes, oid.kind()).map_err(EntryError::Commit)?;
    let message: &[u8] = commit.message;
    let message = message.strip_suffix(b"\n").unwrap_or(message).to_vec();
    let (parent, parents) = (commit.parents().next().map(commit_id), commit.parents.len());
    let signature = commit.extra_headers.iter().find(|(name, _)| *name == EVENT_HEADER);
    let signature = signature.map(|(_, value)| value.to_string());
    Ok(Entry { id: id.clone(), parent, message, tree: commit.tree(), signature, parents })
}

/// The commit `id` as it would be behind another parent. Nothing else of it changes, so that it is
/// the same event, and what this program cannot read stays what it is; but for git's signature,
/// which is of the commit.
pub(super) fn behind(
    repository: &gix::Repository,
    id: &CommitId,
    parent: Option<&CommitId>,
) -> Result<Vec<u8>, EntryError> {
    let (bytes, _) = bytes(repository, id)?;
    let mut moved = Vec::with_capacity(bytes.len());
    let (mut in_headers, mut in_signature) = (true, false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        in_headers = in_headers && line != b"\n";
        in_signature = match line.first() {
            Some(b' ') => in_signature,
            _ => line.starts_with(b"gpgsig"),
        };
        if in_headers && (in_signature || line.starts_with(b"parent ")) {
            continue;
        }
        moved.extend(line);
        if let (true, Some(parent)) = (in_headers && line.starts_with(b"tree "), parent) {
            moved.extend(format!("parent {parent}\n").as_bytes());
        }
    }
    Ok(moved)
}

fn bytes(
    repository: &gix::Repository,
    id: &CommitId,
) -> Result<(Vec<u8>, gix::ObjectId), EntryError> {
    let oid = oid(id.as_str())?;
    let bytes = existing(repository, oid, Kind::Commit, COMMIT_BYTES_MAX)?;
    if compute_hash(oid.kind(), Kind::Commit, &bytes).ok() != Some(oid) {
        return Err(EntryError::Altered);
    }
    Ok((bytes, oid))
}
