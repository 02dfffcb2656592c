use std::time::Duration;

use grit_types::{CommitId, RefName};

use super::Repository;
use crate::{Git, GitError, remote};

/// A remote of somebody else's is waited for so long.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
const BRING_TIMEOUT: Duration = Duration::from_secs(300);

/// Where what is brought from elsewhere is kept, by commit.
const BROUGHT: &str = "refs/grit/brought";

/// A commit of another repository, and the ref that leads to it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub commit: CommitId,
    /// None: it was asked for by its id.
    pub name: Option<RefName>,
}

impl Elsewhere {
    /// What a tag, a branch or a full commit id is at `url`: a tag before a branch of its name.
    /// None where it is nothing.
    ///
    /// Neither is taken for a flag, and only files, https and ssh are spoken.
    pub fn ask(url: &str, reference: &str) -> Result<Option<Self>, GitError> {
        if let Ok(commit) = CommitId::try_from(reference.to_owned()) {
            return Ok(Some(Self { commit, name: None }));
        }
        let places = ["refs/tags/", "refs/heads/"];
        let names: Vec<RefName> =
            places.iter().filter_map(|place| format!("{place}{reference}").parse().ok()).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let mut asked = Git::new("ls-remote").timeout(ASK_TIMEOUT).operand(url);
        for name in &names {
            asked = asked.operand(name.as_str()).operand(format!("{}^{{}}", name.as_str()));
        }
        let answer = String::from_utf8_lossy(&asked.run()?.stdout).into_owned();
        let commit_of = |wanted: &str| {
            let mut lines = answer.lines().filter_map(|line| line.split_once('\t'));
            let (id, _) = lines.find(|(_, name)| *name == wanted)?;
            CommitId::try_from(id.to_owned()).ok()
        };
        Ok(names.into_iter().find_map(|name| {
            // An annotated tag leads to its commit.
            let peeled = commit_of(&format!("{}^{{}}", name.as_str()));
            let commit = peeled.or_else(|| commit_of(name.as_str()))?;
            Some(Self { commit, name: Some(name) })
        }))
    }
}

impl Repository {
    /// Brings a commit of the repository at `url` here, with its files and without its history;
    /// one that is here already is not asked for.
    ///
    /// # Errors
    /// The ref leads elsewhere by now: [`GitError::Moved`].
    pub fn bring(&self, url: &str, wanted: &Elsewhere) -> Result<(), GitError> {
        let commit = &wanted.commit;
        if self.commit_info(commit).is_ok() {
            return Ok(());
        }
        let from = wanted.name.as_ref().map_or(commit.as_str(), RefName::as_str);
        let one = format!("+{from}:{BROUGHT}/{commit}");
        let shallow = remote::fetch_shallow(self.git_dir(), url, BRING_TIMEOUT).operand(one).run();
        match shallow {
            Ok(_) => {}
            Err(error) if wanted.name.is_some() => return Err(error),
            // A host that gives no commit by its id gives its branches and tags.
            Err(_) => return self.bring_all(url, wanted),
        }
        match self.commit_info(commit) {
            Ok(_) => Ok(()),
            Err(_) if wanted.name.is_some() => Err(GitError::Moved { name: from.to_owned() }),
            Err(error) => Err(error),
        }
    }

    /// Brings every branch and tag of the repository at `url` here, with its history, and sees that
    /// the commit is among them.
    pub fn bring_all(&self, url: &str, wanted: &Elsewhere) -> Result<(), GitError> {
        remote::fetch(self.git_dir(), url, BRING_TIMEOUT)
            .operand(format!("+refs/heads/*:{BROUGHT}/heads/*"))
            .operand(format!("+refs/tags/*:{BROUGHT}/tags/*"))
            .run()?;
        self.commit_info(&wanted.commit).map(drop)
    }
}
