//! What the control plane needs besides the ports of rollouts and runs.

use std::sync::Arc;

use grit_ledger::Ledger;
use grit_rollout::slot::Change;
use grit_types::{CommitId, ObjectId, Repo, Tenant};

/// Reads repositories. Implementations block.
pub trait Source: Send + Sync {
    /// The commit that a tag, a branch or a commit id (or a prefix of one) names.
    fn resolve(&self, at: &RepoId, revision: &str) -> Result<Option<CommitId>, SourceError>;

    /// The tags, the last by name first.
    fn tags(&self, at: &RepoId) -> Result<Vec<(String, CommitId)>, SourceError>;

    /// A file's bytes, where the commit has it.
    fn read(
        &self,
        at: &RepoId,
        commit: &CommitId,
        path: &str,
    ) -> Result<Option<Vec<u8>>, SourceError>;

    /// The names in a folder; none where there is no such folder.
    fn list(&self, at: &RepoId, commit: &CommitId, path: &str) -> Result<Vec<String>, SourceError>;

    /// What a file or folder is, as git names it: the same name is the same content.
    fn object(
        &self,
        at: &RepoId,
        commit: &CommitId,
        path: &str,
    ) -> Result<Option<ObjectId>, SourceError>;

    /// The commits in `to` that are not in `from`, oldest first, at most `limit` of the newest.
    fn changes(
        &self,
        at: &RepoId,
        from: Option<&CommitId>,
        to: &CommitId,
        limit: usize,
    ) -> Result<Vec<Change>, SourceError>;

    /// The repository's ledger.
    fn ledger(&self, at: &RepoId) -> Result<Arc<dyn Ledger>, SourceError>;
}

/// A repository of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoId {
    pub tenant: Tenant,
    pub repo: Repo,
}

impl RepoId {
    /// `repo/TENANT/REPO`.
    pub fn stream(&self) -> grit_ledger::StreamId {
        // Names are made of what a stream's parts may hold.
        format!("repo/{}/{}", self.tenant, self.repo).parse().expect("names are valid in a stream")
    }

    /// The repository that a stream folds to.
    pub fn of_stream(stream: &grit_ledger::StreamId) -> Option<Self> {
        let mut parts = stream.parts();
        let tenant = parts.next()?.parse().ok()?;
        Some(Self { tenant, repo: parts.next()?.parse().ok()? })
    }
}

impl std::fmt::Display for RepoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.repo.fmt(f)
    }
}

/// A repository cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct SourceError {
    /// What was being done, on what: `read grit.yaml of shop`.
    pub action: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
