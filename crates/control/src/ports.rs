//! What the control plane needs besides the ports of rollouts and runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grit_ledger::{Cut, Ledger};
use grit_locks::Lease;
use grit_pipeline::plan::EnvironmentSpec;
use grit_rollout::slot::Change;
use grit_types::{CommitId, ObjectId, RefName, Repo, Tenant, Timestamp};

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

    /// What the repository is about where nobody says it, and where that is now.
    fn default_branch(&self, at: &RepoId) -> Result<Option<(RefName, CommitId)>, SourceError>;

    /// The paths that differ between two commits; `None`: that cannot be found out.
    fn changed(
        &self,
        at: &RepoId,
        from: &CommitId,
        to: &CommitId,
    ) -> Result<Option<Vec<String>>, SourceError>;

    /// The commit that both come from.
    fn merge_base(
        &self,
        at: &RepoId,
        a: &CommitId,
        b: &CommitId,
    ) -> Result<Option<CommitId>, SourceError>;

    /// As [`Source::changes`], with all that a commit says.
    fn log(
        &self,
        at: &RepoId,
        from: Option<&CommitId>,
        to: &CommitId,
        limit: usize,
    ) -> Result<Vec<Logged>, SourceError>;

    /// The repository's ledger.
    fn ledger(&self, at: &RepoId) -> Result<Arc<dyn Ledger>, SourceError>;

    /// What became of the repository's locks behind `known`, which is by lock `lock/KEY`.
    fn locks(&self, at: &RepoId, known: &Cut) -> Result<LockChanges, SourceError>;
}

/// What became of locks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LockChanges {
    /// Lock by lock, each in its order.
    pub records: Vec<LockRecord>,
    /// Where each ends now, as `lock/KEY`.
    pub tips: Cut,
}

/// A record of a lock, and the one that it stands behind.
#[derive(Clone, Debug, PartialEq)]
pub struct LockRecord {
    /// Its own name.
    pub at: String,
    pub lease: Lease,
    pub before: Option<Lease>,
}

/// A commit, as payloads tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub commit: CommitId,
    pub tree: ObjectId,
    /// The name that the commit gives its author.
    pub author: String,
    pub at: Timestamp,
    pub subject: String,
}

/// What a repository has for its pipelines.
pub trait Settings: Send + Sync {
    /// That of the repository.
    fn of(&self, at: &RepoId) -> RepoSettings;
}

/// See [`Settings`]. No secret's value is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepoSettings {
    pub secrets: BTreeSet<String>,
    pub vars: BTreeMap<String, String>,
    /// What environments have, in lower case.
    pub environments: BTreeMap<String, EnvironmentSpec>,
}

impl RepoSettings {
    /// What an environment has, to be changed.
    pub fn environment(&mut self, name: &str) -> &mut EnvironmentSpec {
        self.environments.entry(name.to_lowercase()).or_default()
    }
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
