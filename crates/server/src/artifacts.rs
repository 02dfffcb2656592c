use std::fs::File;

use grit_pipeline::keep::KeptArtifact;
use grit_types::{BoxFuture, RunId};

/// Reads what the jobs of runs gave to others.
pub trait Artifacts: Send + Sync {
    /// The artifacts of a run, the oldest first.
    fn list(&self, run: RunId) -> BoxFuture<'_, Result<Vec<KeptArtifact>, ArtifactsError>>;

    /// The ZIP archive of one, at its first byte, and how long it is; `None`: there is none.
    fn open(
        &self,
        run: RunId,
        name: &str,
    ) -> BoxFuture<'_, Result<Option<(File, u64)>, ArtifactsError>>;
}

/// Artifacts cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("artifacts cannot be read")]
pub struct ArtifactsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
