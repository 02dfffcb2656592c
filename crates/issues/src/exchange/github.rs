//! GitHub's JSON: of `gh issue list --json …` and `gh issue view --json …`, and of the REST API's
//! `/repos/OWNER/REPO/issues` and `/repos/OWNER/REPO/issues/comments`, in one document or several.

use super::forge::{self, Forge};
use super::{Found, ImportError};

const GITHUB: Forge =
    Forge { name: "github", home: Some("github.com"), marks: &["/issues/", "/pull/"] };

/// Reads issues with their comments. `project` is their `OWNER/REPO` where they do not say it.
pub fn read(text: &str, project: Option<&str>) -> Result<Found, ImportError> {
    forge::read(&GITHUB, text, project)
}
