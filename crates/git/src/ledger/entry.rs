//! How an event is a commit.

use gix::objs::{CommitRef, Kind, compute_hash};
use grit_ledger::{DecodeError, Event};
use grit_types::CommitId;

use crate::GitError;
use crate::repository::{commit_id, existing, oid};

/// More than the largest event and the headers of its commit.
const COMMIT_BYTES_MAX: u64 = 8 << 20;

/// The last second of the year 9999; git refuses dates that no calendar holds.
const SECONDS_MAX: i64 = 253_402_300_799;

/// One event of a lane.
pub(super) struct Entry {
    /// None at the beginning of the lane.
    pub(super) parent: Option<CommitId>,
    pub(super) event: Event,
}

/// What stands in a lane and is no entry.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("its bytes are not those that its id stands for")]
    Altered,
    #[error("it is no commit that git could have written")]
    Commit(#[source] gix::Error),
    #[error("it has {0} parents, and a lane does not fork")]
    Parents(usize),
}

/// The commit of an event: the same event behind the same parent is always the same commit.
pub(super) fn encode(event: &Event, canonical: &[u8], parent: Option<&CommitId>) -> Vec<u8> {
    let tree = gix::ObjectId::empty_tree(gix::hash::Kind::Sha1);
    let parent = parent.map(|id| format!("parent {id}\n")).unwrap_or_default();
    let signature = signature(event);
    let head = format!("tree {tree}\n{parent}author {signature}\ncommitter {signature}\n\n");
    let mut commit = head.into_bytes();
    commit.extend(canonical);
    commit.push(b'\n');
    commit
}

/// For `git log` only; who acted is in the event.
fn signature(event: &Event) -> String {
    let name = event.actor.principal.as_str();
    let address = if name.contains('@') { name.to_owned() } else { format!("{name}@grit") };
    let seconds = (event.hlc.millis / 1_000).clamp(0, SECONDS_MAX);
    format!("{name} <{address}> {seconds} +0000")
}

/// Reads the entry `id`, and that its bytes are what its id stands for: gix does not check.
pub(super) fn read(repository: &gix::Repository, id: &CommitId) -> Result<Entry, EntryError> {
    let oid = oid(id.as_str())?;
    let bytes = existing(repository, oid, Kind::Commit, COMMIT_BYTES_MAX)?;
    if compute_hash(oid.kind(), Kind::Commit, &bytes).ok() != Some(oid) {
        return Err(EntryError::Altered);
    }
    let commit = CommitRef::from_bytes(&bytes, oid.kind()).map_err(EntryError::Commit)?;
    if commit.parents.len() > 1 {
        return Err(EntryError::Parents(commit.parents.len()));
    }
    let message: &[u8] = commit.message;
    let event = Event::decode(message.strip_suffix(b"\n").unwrap_or(message))?;
    let parent = commit.parents().next().map(commit_id);
    Ok(Entry { parent, event })
}
