use gix::bstr::ByteSlice;
use gix::objs::tree::{EntryKind as GitKind, EntryMode};
use gix::objs::{CommitRefIter, Kind, TreeRef, TreeRefIter};
use grit_types::{CommitId, ObjectId};

use super::{OBJECT_BYTES_MAX, Repository, existing, object, object_id, oid};
use crate::GitError;
use crate::error::Reading;

/// What stands in a folder of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Bytes that are no UTF-8 are replaced.
    pub name: String,
    pub kind: EntryKind,
    pub id: ObjectId,
}

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Executable,
    Symlink,
    Folder,
    Submodule,
}

impl Repository {
    /// The bytes of the file at `path` in `commit`; none where there is no file (a symbolic link
    /// is none). More than `limit` bytes are [`GitError::TooLarge`].
    ///
    /// Paths are relative, with `/`; a hostile one finds nothing.
    pub fn read_file(
        &self,
        commit: &CommitId,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let repository = self.local();
        match find(&repository, commit, path)? {
            Some((mode, id)) if mode.is_blob() => {
                object(&repository, id, Kind::Blob, limit).map_err(|error| named(error, path))
            }
            _ => Ok(None),
        }
    }

    /// The id of what stands at `path` in `commit`, which changes whenever anything in it does;
    /// the whole tree for an empty path.
    pub fn tree_oid(&self, commit: &CommitId, path: &str) -> Result<Option<ObjectId>, GitError> {
        let found = find(&self.local(), commit, path)?;
        Ok(found.map(|(_, id)| object_id(id)))
    }

    /// What stands in the folder `path` of `commit`, in git's order; none where there is no such
    /// folder.
    pub fn list_dir(
        &self,
        commit: &CommitId,
        path: &str,
    ) -> Result<Option<Vec<DirEntry>>, GitError> {
        let repository = self.local();
        let Some((mode, id)) = find(&repository, commit, path)? else { return Ok(None) };
        if !mode.is_tree() {
            return Ok(None);
        }
        let bytes = existing(&repository, id, Kind::Tree, OBJECT_BYTES_MAX)?;
        let tree = TreeRef::from_bytes(&bytes, id.kind()).reading(|| format!("tree {id}"))?;
        let entry = |entry: &gix::objs::tree::EntryRef<'_>| DirEntry {
            name: entry.filename.to_str_lossy().into_owned(),
            kind: kind(entry.mode),
            id: object_id(entry.oid),
        };
        Ok(Some(tree.entries.iter().map(entry).collect()))
    }
}

/// The id of a commit's root tree.
pub(super) fn root(
    repository: &gix::Repository,
    commit: &CommitId,
) -> Result<gix::ObjectId, GitError> {
    let id = oid(commit.as_str())?;
    let bytes = existing(repository, id, Kind::Commit, OBJECT_BYTES_MAX)?;
    CommitRefIter::from_bytes(&bytes, id.kind()).tree_id().reading(|| format!("commit {commit}"))
}

pub(super) fn kind(mode: EntryMode) -> EntryKind {
    match mode.kind() {
        GitKind::Blob => EntryKind::File,
        GitKind::BlobExecutable => EntryKind::Executable,
        GitKind::Link => EntryKind::Symlink,
        GitKind::Tree => EntryKind::Folder,
        GitKind::Commit => EntryKind::Submodule,
    }
}

/// Walks down by name; only names that stand in the trees are ever found, so `..` finds nothing.
fn find(
    repository: &gix::Repository,
    commit: &CommitId,
    path: &str,
) -> Result<Option<(EntryMode, gix::ObjectId)>, GitError> {
    let mut found = (EntryMode::from(GitKind::Tree), root(repository, commit)?);
    for name in path.split('/').filter(|_| !path.is_empty()) {
        let (mode, id) = found;
        if !mode.is_tree() {
            return Ok(None);
        }
        let bytes = existing(repository, id, Kind::Tree, OBJECT_BYTES_MAX)?;
        let mut next = None;
        for entry in TreeRefIter::from_bytes(&bytes, id.kind()) {
            let entry = entry.reading(|| format!("tree {id}"))?;
            if entry.filename == name.as_bytes() {
                next = Some((entry.mode, entry.oid.to_owned()));
                break;
            }
        }
        let Some(next) = next else { return Ok(None) };
        found = next;
    }
    Ok(Some(found))
}

/// Names the file instead of its object.
fn named(error: GitError, path: &str) -> GitError {
    match error {
        GitError::TooLarge { bytes, limit, .. } => {
            GitError::TooLarge { what: format!("`{path}`"), bytes, limit }
        }
        other => other,
    }
}
