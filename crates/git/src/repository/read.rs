use gix::bstr::ByteSlice;
use gix::objs::{CommitRef, Kind};
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;
use grit_types::{CommitId, ObjectId, Timestamp};

use super::{OBJECT_BYTES_MAX, Repository, commit_id, existing, object_id, oid};
use crate::GitError;
use crate::error::Reading;

/// Longer subjects are cut.
const SUBJECT_LENGTH_MAX: usize = 500;

/// A commit, as far as Grit looks at it. Its names prove nothing: anyone can write any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    pub id: CommitId,
    pub tree: ObjectId,
    pub parents: Vec<CommitId>,
    /// The name that the commit gives its author.
    pub author: String,
    pub author_time: Timestamp,
    pub committer_time: Timestamp,
    /// The first paragraph of the message on one line.
    pub subject: String,
}

impl Repository {
    /// Reads a commit; [`GitError::NoObject`] where there is none.
    pub fn commit_info(&self, commit: &CommitId) -> Result<CommitInfo, GitError> {
        let what = || format!("commit {commit}");
        let bytes = existing(&self.local(), oid(commit.as_str())?, Kind::Commit, OBJECT_BYTES_MAX)?;
        let decoded = CommitRef::from_bytes(&bytes, gix::hash::Kind::Sha1).reading(what)?;
        let author = decoded.author().reading(what)?;
        let committer = decoded.committer().reading(what)?;
        let subject = decoded.message().summary().to_str_lossy().into_owned();
        Ok(CommitInfo {
            id: commit.clone(),
            tree: object_id(decoded.tree()),
            parents: decoded.parents().map(commit_id).collect(),
            author: author.name.to_str_lossy().trim().to_owned(),
            author_time: timestamp(author.time().reading(what)?),
            committer_time: timestamp(committer.time().reading(what)?),
            subject: subject.chars().take(SUBJECT_LENGTH_MAX).collect(),
        })
    }

    /// The commits that `to` has and `from` has not, newest first, at most `limit`: as many as
    /// that may mean that there are more. All of `to` without `from`.
    pub fn commits_between(
        &self,
        from: Option<&CommitId>,
        to: &CommitId,
        limit: usize,
    ) -> Result<Vec<CommitId>, GitError> {
        let repository = self.local();
        let what = || format!("commits up to {to}");
        let hidden = from.map(|from| oid(from.as_str())).transpose()?;
        let tip = oid(to.as_str())?;
        for id in hidden.iter().chain([&tip]) {
            existing(&repository, *id, Kind::Commit, OBJECT_BYTES_MAX)?;
        }
        let walk = repository
            .rev_walk([tip])
            .with_hidden(hidden)
            .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
            .all()
            .reading(what)?;
        walk.take(limit).map(|info| info.map(|info| commit_id(info.id)).reading(what)).collect()
    }
}

fn timestamp(time: gix::date::Time) -> Timestamp {
    Timestamp::from_millis(time.seconds.saturating_mul(1_000))
}
