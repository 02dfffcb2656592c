use grit_types::CommitId;

use super::Repository;
use crate::{Git, GitError};

impl Repository {
    /// The paths that differ between two commits, both names of what was moved; bytes that are no
    /// UTF-8 are replaced.
    pub fn changed_paths(&self, from: &CommitId, to: &CommitId) -> Result<Vec<String>, GitError> {
        let listed = Git::new("diff-tree")
            .repository(&self.git_dir)
            .flag("-r")
            .flag("-z")
            .flag("--name-only")
            .flag("--no-renames")
            .commit(from)
            .commit(to)
            .run()?;
        let names = listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// The commit that two have in common, the best where there are several.
    pub fn merge_base(&self, a: &CommitId, b: &CommitId) -> Result<Option<CommitId>, GitError> {
        let found =
            Git::new("merge-base").repository(&self.git_dir).commit(a).commit(b).output()?;
        match found.code {
            Some(0) => Ok(String::from_utf8_lossy(&found.stdout).trim().parse().ok()),
            Some(1) => Ok(None),
            _ => Err(found.into_failure("merge-base")),
        }
    }
}
