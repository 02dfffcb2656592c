use gix::bstr::ByteSlice;
use gix::objs::{CommitRef, Kind};
use grit_types::{CommitId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

use super::{OBJECT_BYTES_MAX, Repository, commit_id, existing, oid};
use crate::GitError;
use crate::error::Reading;

/// A commit whose message somebody gave a meaning. Its names prove nothing: anyone can write any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub id: CommitId,
    pub parents: Vec<CommitId>,
    pub name: String,
    pub email: String,
    pub at: Timestamp,
    /// Bytes that are no UTF-8 are replaced.
    pub message: String,
}

impl Repository {
    /// The refs that begin with `prefix`, which ends in `/`, by what follows it; those that name no
    /// commit are left out.
    pub fn refs_below(&self, prefix: &str) -> Result<BTreeMap<String, CommitId>, GitError> {
        let what = || format!("the refs below `{prefix}`");
        let repository = self.local();
        let mut refs = BTreeMap::new();
        let platform = repository.references().reading(what)?;
        for found in platform.prefixed(prefix).reading(what)? {
            let found = found.reading(what)?;
            let name = found.name().as_bstr().to_string();
            if let (Some(name), Some(id)) = (name.strip_prefix(prefix), found.try_id()) {
                refs.insert(name.to_owned(), commit_id(id));
            }
        }
        Ok(refs)
    }

    /// All commits that `tip` has behind it and itself, each after its parents, at most `limit`:
    /// more are [`GitError::TooLarge`]. Of a shallow clone, those that are there.
    pub fn told(&self, tip: &CommitId, limit: usize) -> Result<Vec<Told>, GitError> {
        let mut open = vec![(tip.clone(), false)];
        let mut seen = BTreeSet::new();
        let mut read: BTreeMap<CommitId, Told> = BTreeMap::new();
        let mut all = Vec::new();
        while let Some((id, is_done)) = open.pop() {
            if is_done {
                all.extend(read.remove(&id));
                continue;
            }
            if !seen.insert(id.clone()) {
                continue;
            }
            if seen.len() > limit {
                let (bytes, limit) = (seen.len() as u64, limit as u64);
                return Err(GitError::TooLarge { what: format!("commits of {tip}"), bytes, limit });
            }
            let told = match self.told_one(&id) {
                Err(GitError::NoObject { .. }) if id != *tip => continue,
                other => other?,
            };
            open.push((id.clone(), true));
            open.extend(told.parents.iter().rev().map(|parent| (parent.clone(), false)));
            read.insert(id, told);
        }
        Ok(all)
    }

    fn told_one(&self, id: &CommitId) -> Result<Told, GitError> {
        let what = || format!("commit {id}");
        let bytes = existing(&self.local(), oid(id.as_str())?, Kind::Commit, OBJECT_BYTES_MAX)?;
        let commit = CommitRef::from_bytes(&bytes, gix::hash::Kind::Sha1).reading(what)?;
        let author = commit.author().reading(what)?;
        let seconds = author.time().reading(what)?.seconds;
        Ok(Told {
            id: id.clone(),
            parents: commit.parents().map(commit_id).collect(),
            name: author.name.to_str_lossy().trim().to_owned(),
            email: author.email.to_str_lossy().trim().to_owned(),
            at: Timestamp::from_millis(seconds.saturating_mul(1_000)),
            message: commit.message.to_str_lossy().into_owned(),
        })
    }
}
