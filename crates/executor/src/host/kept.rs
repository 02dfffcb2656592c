//! Artifacts of runs, for people.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use grit_blob::Anchor;
use grit_pipeline::keep::KeptArtifact;
use grit_types::{BoxFuture, RunId, Timestamp};

use super::{HostRunner, Shared, blocking};
use crate::store::zip::{self, ROOT};
use crate::store::{Artifact, StoreError};

/// Why an artifact is not given.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct KeptError {
    /// What was being done: `list the artifacts of run_…`.
    pub action: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl HostRunner {
    /// The artifacts of a run, the oldest first.
    pub fn artifacts(
        &self,
        run: RunId,
    ) -> BoxFuture<'static, Result<Vec<KeptArtifact>, KeptError>> {
        let (stores, now) = (self.shared.stores.clone(), self.shared.config.clock.now());
        let listed = blocking(move || stores.artifacts()?.artifacts(run, now));
        Box::pin(async move {
            let all: Result<_, StoreError> = listed.await;
            let all =
                all.map_err(|source| failed(format!("list the artifacts of {run}"), source))?;
            Ok(all.iter().map(told).collect())
        })
    }

    /// The archive of an artifact, at its first byte, and how long it is; `None`: there is none.
    pub fn artifact_archive(
        &self,
        run: RunId,
        name: &str,
    ) -> BoxFuture<'static, Result<Option<(File, u64)>, KeptError>> {
        let (stores, now) = (self.shared.stores.clone(), self.shared.config.clock.now());
        let name = name.to_owned();
        Box::pin(async move {
            let action = format!("read the artifact {name} of {run}");
            let opened = blocking(move || {
                let store = stores.artifacts()?;
                let found = store.artifact(run, &name, now)?;
                found.map(|artifact| store.open_archive(&artifact)).transpose()
            });
            opened.await.map_err(|source| failed(action, source))
        })
    }

    /// Puts the files of every artifact of a run below `into`, each in a folder of its name, and
    /// answers them.
    pub fn export_artifacts(
        &self,
        run: RunId,
        into: &Path,
    ) -> BoxFuture<'static, Result<Vec<KeptArtifact>, KeptError>> {
        let (shared, into) = (self.shared.clone(), into.to_owned());
        Box::pin(async move {
            let action = format!("write the artifacts of {run} to {}", into.display());
            let exported = blocking(move || export(&shared, run, &into)).await;
            exported.map_err(|source| failed(action, source))
        })
    }
}

/// Unpacks an artifact's archive, which may be anybody's, below a folder.
///
/// # Errors
/// What is wrong with it. Files before that are there.
pub fn unpack_archive(archive: &mut File, into: &Path) -> io::Result<u64> {
    zip::unpack(archive, into).map(|items| items.len() as u64)
}

fn export(shared: &Shared, run: RunId, into: &Path) -> Result<Vec<KeptArtifact>, StoreError> {
    let store = shared.stores.artifacts()?;
    let all = store.artifacts(run, shared.config.clock.now())?;
    let _hold = store.trees.hold()?;
    for artifact in &all {
        let scratch = scratch(&shared.config.work, artifact);
        let tree = store.files_of(artifact, &scratch);
        // What is left of it goes with the folder of all jobs.
        let _ = super::folder::remove_all(&scratch);
        let folder = into.join(&artifact.name);
        let anchor = |name: &std::ffi::OsStr| {
            (name == ROOT).then(|| Anchor { folder: folder.clone(), follows: false })
        };
        store.trees.restore(&tree?, &anchor)?;
    }
    Ok(all.iter().map(told).collect())
}

fn scratch(work: &Path, artifact: &Artifact) -> PathBuf {
    work.join(format!(".export-{}", artifact.id))
}

fn told(artifact: &Artifact) -> KeptArtifact {
    KeptArtifact {
        id: artifact.id,
        name: artifact.name.clone(),
        job: artifact.job,
        bytes: artifact.bytes,
        digest: artifact.digest,
        created_at: Timestamp::from_millis(artifact.created),
        expires_at: Timestamp::from_millis(artifact.expires),
    }
}

fn failed(action: String, source: StoreError) -> KeptError {
    KeptError { action, source: source.into() }
}
