//! Ends what steps left behind.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use grit_host::{InvalidMarker, Marker, find_marked, record, sweep};
use grit_pipeline::RunnerError;
use grit_types::{Digest, JobId};

use super::folder::{self, Folder};
use super::{Shared, blocking, container, failed, locked};

/// The variable by which a step's processes are known: `UNIT/JOB/INDEX`.
pub(super) const MARKER: &str = "GRIT_STEP";

const UNIT_LEN: usize = 16;

/// What a data folder's processes are marked with.
pub(super) fn unit(work: &Path) -> String {
    let digest = Digest::of(work.as_os_str().as_encoded_bytes());
    digest.hex().chars().take(UNIT_LEN).collect()
}

pub(super) fn marker(unit: &str, job: JobId, index: u32) -> Result<Marker, InvalidMarker> {
    Marker::new(MARKER, format!("{unit}/{job}/{index}"))
}

/// Ends everything of a step that another process of ours started.
pub(super) async fn step(
    shared: &Shared,
    folder: &Folder,
    job: JobId,
    index: u32,
) -> Result<(), RunnerError> {
    let action = || format!("end what is left of step {index} of {job}");
    let session = folder.session(index);
    let recorded = blocking(move || record::read(&session)).await;
    match recorded {
        Ok(Some(session)) => {
            let ended = session.terminate(shared.grace()).await;
            ended.map_err(|error| failed(action(), error))?;
        }
        Ok(None) => {}
        // Torn by a power cut, after which nothing runs; the marker finds what does.
        Err(error) => tracing::warn!(%job, index, %error, "record of a step is unusable"),
    }
    let marker = marker(&shared.unit, job, index).map_err(|error| failed(action(), error))?;
    let ended = sweep(&marker, shared.grace()).await;
    ended.map_err(|error| failed(action(), error))?;
    container::end_step(shared, folder, job, index).await
}

/// Ends the steps of a job that a process of ours started which died; they end as interrupted
/// when they are asked for.
pub(super) async fn unfinished(shared: &Shared, job: JobId) -> Result<(), RunnerError> {
    let work = shared.config.work.clone();
    let found = blocking(move || -> io::Result<_> {
        let Some(folder) = folder::find(&work, job)? else { return Ok(None) };
        let steps = folder.unfinished()?;
        Ok(Some((folder, steps)))
    });
    let found = found.await.map_err(|error| failed(format!("look for steps of {job}"), error))?;
    let Some((folder, steps)) = found else { return Ok(()) };
    for index in steps {
        // One that began in the meantime is none of them.
        if !locked(&shared.steps).contains_key(&(job, index)) {
            step(shared, &folder, job, index).await?;
        }
    }
    Ok(())
}

/// Ends every process of a job.
pub(super) async fn processes(shared: &Shared, job: JobId) -> Result<(), RunnerError> {
    unfinished(shared, job).await?;
    let action = || format!("end the processes of {job}");
    let prefix = format!("{}/{job}/", shared.unit);
    let found = blocking(move || find_marked(MARKER, &prefix)).await;
    let found = found.map_err(|error| failed(action(), error))?;
    let values: BTreeSet<String> = found.into_iter().map(|marked| marked.value).collect();
    for value in values {
        let marker = Marker::new(MARKER, value).map_err(|error| failed(action(), error))?;
        sweep(&marker, shared.grace()).await.map_err(|error| failed(action(), error))?;
    }
    Ok(())
}

/// Ends processes of ours whose job has no folder. What cannot be ended now is left to be.
pub(super) async fn orphans(shared: &Shared) {
    let (prefix, work) = (format!("{}/", shared.unit), shared.config.work.clone());
    let found = blocking(move || -> io::Result<BTreeSet<JobId>> {
        let mut orphaned = BTreeSet::new();
        for marked in find_marked(MARKER, &prefix)? {
            let job = marked.value.split('/').nth(1).and_then(|job| job.parse().ok());
            let Some(job) = job else { continue };
            if folder::find(&work, job)?.is_none() {
                orphaned.insert(job);
            }
        }
        Ok(orphaned)
    });
    let orphaned = found.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "orphans of steps could not be looked for");
        BTreeSet::new()
    });
    for job in orphaned {
        tracing::info!(%job, "ending processes of a job that is gone");
        if let Err(error) = processes(shared, job).await {
            tracing::warn!(%job, error = super::chain(&error), "orphans of a step are still there");
        }
    }
}
