//! How a record is a commit: its canonical JSON as the message, the empty tree, the record before
//! it as the parent.

use std::path::Path;

use gix::objs::{CommitRef, Kind, compute_hash};
use grit_locks::{LEASE_BYTES_MAX, Lease};
use grit_types::CommitId;

use super::error::RecordError;
use crate::repository::{commit_id, existing, oid};
use crate::{GitError, object};

/// A record, and the headers of its commit.
const COMMIT_BYTES_MAX: u64 = LEASE_BYTES_MAX as u64 + (8 << 10);

/// Writes the commit of a record; it is on no ref yet.
pub(super) fn write(
    objects: &Path,
    lease: &Lease,
    parent: Option<&CommitId>,
) -> Result<CommitId, GitError> {
    let tree = gix::ObjectId::empty_tree(gix::hash::Kind::Sha1);
    if !object::is_loose(objects, &tree) {
        object::write(objects, Kind::Tree, b"")?;
    }
    let parent = parent.map(|id| format!("parent {id}\n")).unwrap_or_default();
    // For `git log` only; who holds it is in the record.
    let name = lease.owner.actor.as_str();
    let address = if name.contains('@') { name.to_owned() } else { format!("{name}@grit") };
    let signature = format!("{name} <{address}> {} +0000", lease.at.millis() / 1_000);
    let head = format!("tree {tree}\n{parent}author {signature}\ncommitter {signature}\n\n");
    let mut commit = head.into_bytes();
    commit.extend(lease.encode());
    commit.push(b'\n');
    object::write(objects, Kind::Commit, &commit).map(commit_id)
}

/// Reads the record in commit `id`, which the ref of `key` names, and checks that it is one.
pub(super) fn read(
    repository: &gix::Repository,
    id: &CommitId,
    key: &str,
) -> Result<Lease, RecordError> {
    let (lease, _) = read_entry(repository, id)?;
    if lease.resource.key() != key {
        return Err(RecordError::Misplaced(lease.resource));
    }
    Ok(lease)
}

/// Whether `id` is `tip`, or one of the `limit` records before it.
pub(super) fn is_in_chain(
    repository: &gix::Repository,
    tip: &CommitId,
    id: &CommitId,
    limit: usize,
) -> bool {
    let mut at = Some(tip.clone());
    for _ in 0..=limit {
        let Some(current) = at else { return false };
        if current == *id {
            return true;
        }
        at = read_entry(repository, &current).ok().and_then(|(_, parent)| parent);
    }
    false
}

pub(super) fn read_entry(
    repository: &gix::Repository,
    id: &CommitId,
) -> Result<(Lease, Option<CommitId>), RecordError> {
    let oid = oid(id.as_str())?;
    let bytes = existing(repository, oid, Kind::Commit, COMMIT_BYTES_MAX)?;
    if compute_hash(oid.kind(), Kind::Commit, &bytes).ok() != Some(oid) {
        return Err(RecordError::Altered);
    }
    let commit = CommitRef::from_bytes(&bytes, oid.kind()).map_err(RecordError::Commit)?;
    let message: &[u8] = commit.message;
    let lease = Lease::decode(message.strip_suffix(b"\n").unwrap_or(message))?;
    Ok((lease, commit.parents().next().map(commit_id)))
}
