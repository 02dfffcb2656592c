//! Files that come with an event: blobs in its commit's tree, named by their SHA-256 digests,
//! which the event names too. A git object's own id, SHA-1, proves nothing about hostile bytes.

use std::collections::BTreeSet;
use std::path::Path;

use gix::objs::{Kind, TreeRef};
use grit_ledger::{BytesError, FILE_BYTES_MAX};
use grit_types::{CommitId, Digest};

use super::chain::Chain;
use super::{GitLedger, entry, storage};
use crate::error::Reading;
use crate::repository::{self, OBJECT_BYTES_MAX};
use crate::{GitError, object};

/// Writes the files and their tree, each synced; answers the tree.
pub(super) fn write(objects: &Path, files: &[&[u8]]) -> Result<gix::ObjectId, GitError> {
    if files.is_empty() {
        let empty = gix::ObjectId::empty_tree(gix::hash::Kind::Sha1);
        return match object::is_loose(objects, &empty) {
            true => Ok(empty),
            false => object::write(objects, Kind::Tree, b""),
        };
    }
    // A tree is sorted by name, and names a file once.
    let mut rows = BTreeSet::new();
    for bytes in files {
        rows.insert((name(&Digest::of(bytes)), object::write(objects, Kind::Blob, bytes)?));
    }
    let mut tree = Vec::new();
    for (name, blob) in rows {
        tree.extend(format!("100644 {name}\0").as_bytes());
        tree.extend(blob.as_slice());
    }
    object::write(objects, Kind::Tree, &tree)
}

/// What a file is called in the tree.
fn name(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex())
}

impl GitLedger {
    /// The bytes of that digest which the entry `at` brought, checked against it.
    pub fn bytes_at(&self, at: &str, digest: &Digest) -> Result<Vec<u8>, BytesError> {
        let repository = self.repository.local();
        let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| {
            BytesError::Unreadable { digest: *digest, at: at.to_owned(), source }
        };
        let id: CommitId = at.parse().map_err(|_| BytesError::Unknown(*digest))?;
        let entry = entry::read(&repository, &id).map_err(|error| unreadable(error.into()))?;
        carried(&repository, &entry, digest)?.ok_or(BytesError::Unknown(*digest))
    }

    /// Of the entries that brought them, the first that has them whole answers.
    pub(super) fn find_bytes(&self, digest: &Digest) -> Result<Vec<u8>, BytesError> {
        let tips = self.ends().map_err(|error| storage("read the lanes", error))?;
        let repository = self.repository.local();
        let mut failed = None;
        for tip in tips.into_values() {
            for entry in Chain::new(&repository, Some(tip)).filter_map(Result::ok) {
                match carried(&repository, &entry, digest) {
                    Ok(Some(bytes)) => return Ok(bytes),
                    Ok(None) => {}
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        Err(failed.unwrap_or(BytesError::Unknown(*digest)))
    }
}

fn carried(
    repository: &gix::Repository,
    entry: &entry::Entry,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, BytesError> {
    if entry.tree.is_empty_tree() {
        return Ok(None);
    }
    let (digest, at) = (*digest, entry.id.to_string());
    let found = blob(repository, &entry.tree, &name(&digest))
        .map_err(|error| BytesError::Unreadable { digest, at: at.clone(), source: error.into() })?;
    match found {
        Blob::NotNamed => Ok(None),
        Blob::NotHere => Err(BytesError::NotHere { digest, at }),
        Blob::Here(bytes) if Digest::of(&bytes) == digest => Ok(Some(bytes)),
        Blob::Here(_) => Err(BytesError::Altered { digest, at }),
    }
}

enum Blob {
    NotNamed,
    NotHere,
    Here(Vec<u8>),
}

fn blob(repository: &gix::Repository, tree: &gix::ObjectId, name: &str) -> Result<Blob, GitError> {
    let Some(bytes) = repository::object(repository, *tree, Kind::Tree, OBJECT_BYTES_MAX)? else {
        return Ok(Blob::NotHere);
    };
    let rows = TreeRef::from_bytes(&bytes, tree.kind()).reading(|| format!("tree {tree}"))?;
    let Some(row) = rows.entries.iter().find(|row| row.filename == name.as_bytes()) else {
        return Ok(Blob::NotNamed);
    };
    match repository::existing(repository, row.oid.to_owned(), Kind::Blob, FILE_BYTES_MAX as u64) {
        Err(GitError::NoObject { .. }) => Ok(Blob::NotHere),
        found => found.map(Blob::Here),
    }
}
