use std::fs::File;

use grit_types::{BoxFuture, Digest, JobId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

/// Reads what the jobs of runs gave to others.
pub trait Artifacts: Send + Sync {
    /// The artifacts of a run, the oldest first.
    fn list(&self, run: RunId) -> BoxFuture<'_, Result<Vec<ArtifactView>, ArtifactsError>>;

    /// The ZIP archive of one, at its first byte, and how long it is; `None`: there is none.
    fn open(
        &self,
        run: RunId,
        name: &str,
    ) -> BoxFuture<'_, Result<Option<(File, u64)>, ArtifactsError>>;
}

/// What a job gave to later jobs, and to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactView {
    pub id: u64,
    pub name: String,
    pub job: JobId,
    /// Of its archive.
    pub bytes: u64,
    pub digest: Digest,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Artifacts cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("artifacts cannot be read")]
pub struct ArtifactsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
