//! Actions that are not in the workspace: where their files come from.

use std::error::Error;
use std::fmt;
use std::path::Path;

use grit_pipeline::JobSpec;

const NAME_LEN_MAX: usize = 100;
const REFERENCE_LEN_MAX: usize = 255;

/// A repository with an action in it, at a tag, a branch or a commit: `OWNER/REPO@REF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRepo {
    pub owner: String,
    pub repo: String,
    pub reference: String,
}

/// Where actions of others come from.
pub trait Actions: Send + Sync {
    /// Writes the files of the repository into `into`, which does not exist; its parent does.
    /// Answers what to tell people. Blocks. The error is shown to people, with its causes.
    fn fetch(
        &self,
        job: &JobSpec,
        wanted: &ActionRepo,
        into: &Path,
    ) -> Result<String, Box<dyn Error + Send + Sync>>;
}

impl ActionRepo {
    /// Reads `OWNER/REPO[/PATH]@REF`, and the path in it; none where it is nothing of that form.
    /// All three are safe in a path and in an argument.
    pub fn parse(uses: &str) -> Option<(Self, &str)> {
        let (path, reference) = uses.split_once('@')?;
        let mut parts = path.splitn(3, '/');
        let (owner, repo) = (parts.next()?, parts.next()?);
        let inside = parts.next().unwrap_or_default();
        let is_name = |name: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            (1..=NAME_LEN_MAX).contains(&name.len())
                && name.chars().all(known)
                && !name.starts_with(['.', '-'])
                && !name.ends_with(".git")
        };
        let is_reference = (1..=REFERENCE_LEN_MAX).contains(&reference.len())
            && reference.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+".contains(c))
            && !reference.starts_with(['-', '/', '.'])
            && reference.split('/').all(|part| !part.is_empty() && part != "..");
        let (owner, repo, reference) = (owner.to_owned(), repo.to_owned(), reference.to_owned());
        (is_name(&owner) && is_name(&repo) && is_reference)
            .then_some((Self { owner, repo, reference }, inside))
    }
}

impl fmt::Display for ActionRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.owner, self.repo, self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_arguments() {
        let (repo, path) = ActionRepo::parse("o-w/re.po/deep/er@releases/v1").unwrap();
        assert_eq!((repo.to_string().as_str(), path), ("o-w/re.po@releases/v1", "deep/er"));
        for wrong in [
            "o/r",
            "o@v1",
            "../r@v1",
            "o/..@v1",
            "-o/r@v1",
            "o/r@--upload-pack=x",
            "o/r@",
            "o/r@a/../b",
            "o/r@v1 x",
            "o/r@/v1",
            "o/r.git@v1",
            "o r/x@v1",
            "o/r@v1\nx",
        ] {
            assert_eq!(ActionRepo::parse(wrong), None, "{wrong}");
        }
    }
}
