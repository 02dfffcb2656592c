use std::collections::HashSet;

use gix::bstr::ByteSlice;
use gix::objs::Kind;
use grit_types::{CommitId, RefName};

use super::{Repository, commit_id};
use crate::GitError;
use crate::error::Reading;

/// Shorter prefixes of a commit id name nothing, as in git.
const PREFIX_LENGTH_MIN: usize = 4;

/// Where a short name is looked for, in git's order (gitrevisions(7)).
const PLACES: [&str; 5] = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];

/// What HEAD stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoHead {
    /// None when HEAD is detached.
    pub branch: Option<RefName>,
    /// None when the branch has no commit yet.
    pub commit: Option<CommitId>,
}

/// A tag and the commit that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagInfo {
    /// `refs/tags/v1.0.0`.
    pub name: RefName,
    pub commit: CommitId,
}

impl Repository {
    /// What HEAD stands on.
    pub fn head(&self) -> Result<RepoHead, GitError> {
        let repository = self.local();
        let what = || "HEAD".to_owned();
        let mut head = repository.head().reading(what)?;
        let branch = head.referent_name().and_then(|name| name.as_bstr().to_str().ok());
        let branch = branch.and_then(|name| name.parse().ok());
        let commit = head.try_peel_to_id().reading(what)?.map(commit_id);
        Ok(RepoHead { branch, commit })
    }

    /// The commit that `text` names: a full id, a tag, a branch, a remote's branch, `HEAD`, a full
    /// ref, or a unique beginning of an id of at least four digits. None where it names none.
    ///
    /// `text` may be hostile: nothing but names is understood, no `~`, `^`, `:` or `@{}`.
    /// A beginning of several commits' ids is [`GitError::Ambiguous`].
    pub fn resolve(&self, text: &str) -> Result<Option<CommitId>, GitError> {
        let repository = self.local();
        if let Ok(id) = gix::ObjectId::from_hex(text.as_bytes())
            && let Some(commit) = peeled(&repository, id)?
        {
            return Ok(Some(commit));
        }
        if text == "HEAD" {
            return Ok(self.head()?.commit);
        }
        for name in PLACES.iter().filter_map(|place| full_name(place, text)) {
            let what = || format!("ref `{name}`");
            let found = repository.try_find_reference(name.as_str()).reading(what)?;
            if let Some(mut found) = found {
                let id = found.peel_to_id().reading(what)?.detach();
                return peeled(&repository, id);
            }
        }
        unique_prefix(&repository, text)
    }

    /// The tags that lead to a commit, by name. A tag of a tree or a file is none.
    pub fn tags(&self) -> Result<Vec<TagInfo>, GitError> {
        let leading = self.leading("refs/tags/")?;
        Ok(leading.into_iter().map(|(name, commit)| TagInfo { name, commit }).collect())
    }

    /// The branches and their commits, by name.
    pub fn branches(&self) -> Result<Vec<(RefName, CommitId)>, GitError> {
        self.leading("refs/heads/")
    }

    /// The refs below a prefix that lead to a commit, by name.
    fn leading(&self, prefix: &str) -> Result<Vec<(RefName, CommitId)>, GitError> {
        let repository = self.local();
        let what = || format!("the refs below {prefix}");
        let platform = repository.references().reading(what)?;
        let mut leading = Vec::new();
        for found in platform.prefixed(prefix).reading(what)? {
            let mut found = found.reading(what)?;
            let Ok(name) = found.name().as_bstr().to_string().parse() else { continue };
            let id = found.peel_to_id().reading(what)?.detach();
            leading.extend(peeled(&repository, id)?.map(|commit| (name, commit)));
        }
        leading.sort();
        Ok(leading)
    }
}

fn full_name(place: &str, text: &str) -> Option<RefName> {
    format!("{place}{text}").parse().ok()
}

/// The commit that an object is or, as an annotated tag, leads to.
fn peeled(repository: &gix::Repository, id: gix::ObjectId) -> Result<Option<CommitId>, GitError> {
    let what = || format!("object {id}");
    let Some(header) = repository.try_find_header(id).reading(what)? else { return Ok(None) };
    if !matches!(header.kind(), Kind::Commit | Kind::Tag) {
        return Ok(None);
    }
    let object = repository.find_object(id).reading(what)?;
    let end = object.peel_tags_to_end().reading(what)?;
    Ok((end.kind == Kind::Commit).then(|| commit_id(end.id)))
}

fn unique_prefix(repository: &gix::Repository, text: &str) -> Result<Option<CommitId>, GitError> {
    let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hexadecimal || !(PREFIX_LENGTH_MIN..40).contains(&text.len()) {
        return Ok(None);
    }
    let what = || format!("objects that begin with {text}");
    let prefix = gix::hash::Prefix::from_hex(text).reading(what)?;
    let mut candidates = HashSet::new();
    repository.objects.lookup_prefix(prefix, Some(&mut candidates)).reading(what)?;
    let mut commits = Vec::new();
    for candidate in candidates {
        let header = repository.try_find_header(candidate).reading(what)?;
        if header.is_some_and(|header| header.kind() == Kind::Commit) {
            commits.push(commit_id(candidate));
        }
    }
    commits.sort();
    match commits.len() {
        0 | 1 => Ok(commits.pop()),
        several => {
            let (text, first) = (text.to_owned(), commits.swap_remove(0));
            Err(GitError::Ambiguous { text, first, others: several - 1 })
        }
    }
}
