use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_control::ports::{LockChanges, LockRecord, Logged, RepoId, Source, SourceError};
use grit_git::{GitError, GitLedger, Repository};
use grit_ledger::{Cut, Ledger};
use grit_rollout::slot::Change;
use grit_types::{CommitId, ObjectId, RefName, Repo};

/// The name of a repository whose folder's name is none.
pub const LOCAL_REPO_DEFAULT: &str = "local";
/// Files that are read whole: configuration and pipelines.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The repositories of a data folder.
pub struct GitSource {
    repos: PathBuf,
}

impl GitSource {
    /// Reads `repos/NAME.git` below the data folder.
    pub fn new(data: &Path) -> Self {
        Self { repos: data.join("repos") }
    }

    /// Opens a repository.
    pub fn open(&self, repo: &Repo) -> Result<Repository, SourceError> {
        Repository::open(&self.repos.join(format!("{repo}.git"))).map_err(failed("open", repo))
    }
}

fn failed<'a>(
    action: &'a str,
    on: &'a dyn std::fmt::Display,
) -> impl Fn(GitError) -> SourceError + 'a {
    move |source| SourceError { action: format!("{action} {on}"), source: source.into() }
}

impl Source for GitSource {
    fn resolve(&self, at: &RepoId, revision: &str) -> Result<Option<CommitId>, SourceError> {
        self.open(&at.repo)?.resolve(revision).map_err(failed("resolve a revision of", at))
    }

    fn tags(&self, at: &RepoId) -> Result<Vec<(String, CommitId)>, SourceError> {
        let tags = self.open(&at.repo)?.tags().map_err(failed("list the tags of", at))?;
        Ok(tags.into_iter().rev().map(|tag| (tag.name.short().to_owned(), tag.commit)).collect())
    }

    fn read(
        &self,
        at: &RepoId,
        commit: &CommitId,
        path: &str,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        self.open(&at.repo)?.read_file(commit, path, FILE_BYTES_MAX).map_err(failed("read", &path))
    }

    fn list(&self, at: &RepoId, commit: &CommitId, path: &str) -> Result<Vec<String>, SourceError> {
        let listed = self.open(&at.repo)?.list_dir(commit, path).map_err(failed("list", &path))?;
        Ok(listed.unwrap_or_default().into_iter().map(|entry| entry.name).collect())
    }

    fn object(
        &self,
        at: &RepoId,
        commit: &CommitId,
        path: &str,
    ) -> Result<Option<ObjectId>, SourceError> {
        let path = if path == "." { "" } else { path };
        self.open(&at.repo)?.tree_oid(commit, path).map_err(failed("look at", &path))
    }

    fn changes(
        &self,
        at: &RepoId,
        from: Option<&CommitId>,
        to: &CommitId,
        limit: usize,
    ) -> Result<Vec<Change>, SourceError> {
        let repository = self.open(&at.repo)?;
        let wrong = failed("read the commits of", at);
        let mut commits = repository.commits_between(from, to, limit).map_err(&wrong)?;
        commits.reverse();
        let change = |commit: CommitId| {
            let info = repository.commit_info(&commit).map_err(&wrong)?;
            Ok(Change { commit, at: info.committer_time, subject: info.subject })
        };
        commits.into_iter().map(change).collect()
    }

    fn default_branch(&self, at: &RepoId) -> Result<Option<(RefName, CommitId)>, SourceError> {
        let repository = self.open(&at.repo)?;
        let wrong = failed("read the branches of", at);
        let head = repository.head().map_err(&wrong)?;
        if let (Some(name), Some(commit)) = (head.branch, head.commit) {
            return Ok(Some((name, commit)));
        }
        // HEAD of a hosted repository may name a branch that was never pushed.
        let branches = repository.branches().map_err(&wrong)?;
        let usual = ["main", "master", "trunk"].into_iter();
        let named = usual.filter_map(|usual| {
            branches.iter().find(|(name, _)| name.branch() == Some(usual)).cloned()
        });
        Ok(named.chain(branches.first().filter(|_| branches.len() == 1).cloned()).next())
    }

    fn changed(
        &self,
        at: &RepoId,
        from: &CommitId,
        to: &CommitId,
    ) -> Result<Option<Vec<String>>, SourceError> {
        let repository = self.open(&at.repo)?;
        // What a ref pointed at before may be gone.
        if repository.resolve(from.as_str()).ok().flatten().is_none() {
            return Ok(None);
        }
        repository.changed_paths(from, to).map(Some).map_err(failed("compare commits of", at))
    }

    fn merge_base(
        &self,
        at: &RepoId,
        a: &CommitId,
        b: &CommitId,
    ) -> Result<Option<CommitId>, SourceError> {
        self.open(&at.repo)?.merge_base(a, b).map_err(failed("compare branches of", at))
    }

    fn log(
        &self,
        at: &RepoId,
        from: Option<&CommitId>,
        to: &CommitId,
        limit: usize,
    ) -> Result<Vec<Logged>, SourceError> {
        let repository = self.open(&at.repo)?;
        let wrong = failed("read the commits of", at);
        let from = from.filter(|from| repository.resolve(from.as_str()).ok().flatten().is_some());
        let mut commits = repository.commits_between(from, to, limit).map_err(&wrong)?;
        commits.reverse();
        let logged = |commit: CommitId| {
            let info = repository.commit_info(&commit).map_err(&wrong)?;
            Ok(Logged {
                commit,
                tree: info.tree,
                author: info.author,
                at: info.committer_time,
                subject: info.subject,
            })
        };
        commits.into_iter().map(logged).collect()
    }

    fn ledger(&self, at: &RepoId) -> Result<Arc<dyn Ledger>, SourceError> {
        Ok(Arc::new(GitLedger::new(self.open(&at.repo)?)))
    }

    fn locks(&self, at: &RepoId, known: &Cut) -> Result<LockChanges, SourceError> {
        let key = |(name, tip): (&String, &String)| {
            Some((name.strip_prefix("lock/")?.to_owned(), tip.parse().ok()?))
        };
        let known = known.iter().filter_map(key).collect();
        let changes = grit_git::lock_changes(&self.open(&at.repo)?, &known);
        let changes = changes.map_err(|source| SourceError {
            action: format!("read the locks of {at}"),
            source: source.into(),
        })?;
        let record = |record: grit_git::LockRecord| LockRecord {
            at: record.at.to_string(),
            lease: record.lease,
            before: record.before,
        };
        let tips = changes.tips.into_iter();
        Ok(LockChanges {
            records: changes.records.into_iter().map(record).collect(),
            tips: tips.map(|(key, tip)| (format!("lock/{key}"), tip.to_string())).collect(),
        })
    }
}
