//! Gitea's and Forgejo's JSON: of the REST API's `/repos/OWNER/REPO/issues` and
//! `/repos/OWNER/REPO/issues/comments`, in one document or several.

use super::forge::{self, Forge};
use super::{Found, ImportError};

const GITEA: Forge = Forge { name: "gitea", home: None, marks: &["/issues/", "/pulls/"] };

/// Reads issues with their comments. `project` is their `HOST/OWNER/REPO` where they do not say it.
pub fn read(text: &str, project: Option<&str>) -> Result<Found, ImportError> {
    forge::read(&GITEA, text, project)
}
