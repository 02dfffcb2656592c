use std::path::Path;

use grit_types::{CommitId, RefName};

use super::Repository;
use crate::error::Doing;
use crate::{Git, GitError, durable};

impl Repository {
    /// Clones into `into`, which must be missing or empty, and checks `commit` out there: what a
    /// job finds that expects a working tree with a `.git` (as after actions/checkout).
    ///
    /// For a branch, the branch is checked out at `commit`; else HEAD is detached. Objects are
    /// shared with this repository, which must outlive the clone; `origin` is this repository.
    /// No hook runs, and none is there afterwards.
    pub fn checkout(
        &self,
        commit: &CommitId,
        at: Option<&RefName>,
        into: &Path,
    ) -> Result<(), GitError> {
        self.checkout_part(commit, at, &[], false, into)
    }

    /// As [`Repository::checkout`], of the paths alone that match `patterns`, as
    /// git-sparse-checkout(1) reads them; `cone`: they are folders. All where there are none.
    pub fn checkout_part(
        &self,
        commit: &CommitId,
        at: Option<&RefName>,
        patterns: &[String],
        cone: bool,
        into: &Path,
    ) -> Result<(), GitError> {
        self.commit_info(commit)?;
        let into = &std::path::absolute(into).doing("find", into)?;
        let above = durable::parent(into);
        std::fs::create_dir_all(above).doing("create", above)?;
        Git::new("clone")
            .flag("--quiet")
            .flag("--shared")
            .flag("--no-checkout")
            .flag("--template=")
            .flag("--origin=origin")
            .operand(&self.git_dir)
            .operand(into)
            .run()?;
        if !patterns.is_empty() {
            Git::new("sparse-checkout")
                .worktree(into)
                .flag("set")
                .flag(if cone { "--cone" } else { "--no-cone" })
                .flag("--stdin")
                .input(patterns.join("\n").into_bytes())
                .run()?;
        }
        // A name that begins with `-` is a valid ref, but git accepts it for no branch.
        let branch = at.and_then(RefName::branch).filter(|name| !name.starts_with('-'));
        let checkout = Git::new("checkout").worktree(into).flag("--quiet").flag("--force");
        let checkout = match branch {
            Some(branch) => checkout.flag("--no-track").option("-B", branch),
            None => checkout.flag("--detach"),
        };
        checkout.commit(commit).run()?;
        Ok(())
    }
}
