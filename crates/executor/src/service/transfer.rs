//! What jobs are sending, and what they may fetch: behind addresses that nobody can guess.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use grit_blob::{BlobError, Descriptor, Hold};
use grit_types::{Digest, JobId};

use super::Refusal;
use crate::host::locked;
use crate::store::{KEPT_BYTES_MAX, Store, StoreError};

/// What one job sends at the same time.
const UPLOADS_PER_JOB_MAX: usize = 128;
/// As the store that it speaks like has it.
const BLOCKS_MAX: usize = 50_000;
const BLOCK_ID_BYTES_MAX: usize = 128;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Artifact { name: String, retention_days: u32 },
    Cache { key: String, version: String, scope: String },
}

/// Something that a job sends.
#[derive(Debug)]
pub(super) struct Upload {
    pub ticket: String,
    /// For clients that count.
    pub number: u64,
    pub job: JobId,
    pub purpose: Purpose,
    pub store: Arc<Store>,
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the names that the client gives them.
    blocks: HashMap<String, (PathBuf, u64)>,
    parts: u64,
    bytes: u64,
    /// Everything, once the client said so; nothing is collected as long as nothing refers to it.
    whole: Option<(Descriptor, Hold)>,
}

/// Something that may be fetched.
#[derive(Clone, Debug)]
pub(super) struct Download {
    pub job: JobId,
    pub store: Arc<Store>,
    pub digest: Digest,
    pub kind: &'static str,
}

/// All that is under way.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    uploads: Vec<Arc<Upload>>,
    downloads: HashMap<String, Download>,
    number: u64,
}

impl Transfers {
    /// Begins an upload. One for the same, by the same job, is given up; by another job, it is in
    /// the way.
    pub fn begin(
        &self,
        ticket: String,
        job: JobId,
        purpose: Purpose,
        store: Arc<Store>,
        folder: &std::path::Path,
    ) -> Result<Arc<Upload>, Refusal> {
        let mut inner = locked(&self.inner);
        let same =
            |upload: &&Arc<Upload>| upload.purpose.is_in_the_way_of(&purpose, upload.job == job);
        if inner.uploads.iter().find(same).is_some_and(|other| other.job != job) {
            return Err(Refusal::taken("another job may be creating this cache"));
        }
        inner.uploads.retain(|upload| !(upload.job == job && upload.purpose.is_same(&purpose)));
        if inner.uploads.iter().filter(|upload| upload.job == job).count() >= UPLOADS_PER_JOB_MAX {
            return Err(Refusal::too_large());
        }
        inner.number += 1;
        let folder = folder.join(&ticket);
        fs::create_dir_all(&folder)?;
        let (number, state) = (inner.number, Mutex::default());
        let upload = Arc::new(Upload { ticket, number, job, purpose, store, folder, state });
        inner.uploads.push(upload.clone());
        Ok(upload)
    }

    /// The upload behind an address.
    pub fn upload(&self, ticket: &str) -> Option<Arc<Upload>> {
        let inner = locked(&self.inner);
        inner.uploads.iter().find(|upload| upload.ticket == ticket).cloned()
    }

    /// The job's upload that fits.
    pub fn of_job(&self, job: JobId, fits: impl Fn(&Upload) -> bool) -> Option<Arc<Upload>> {
        let inner = locked(&self.inner);
        inner.uploads.iter().find(|upload| upload.job == job && fits(upload)).cloned()
    }

    /// It is kept, or given up.
    pub fn end(&self, upload: &Upload) {
        locked(&self.inner).uploads.retain(|other| other.ticket != upload.ticket);
        // What stays goes with the job's folder.
        let _ = fs::remove_dir_all(&upload.folder);
    }

    pub fn offer(&self, ticket: String, download: Download) {
        locked(&self.inner).downloads.insert(ticket, download);
    }

    pub fn download(&self, ticket: &str) -> Option<Download> {
        locked(&self.inner).downloads.get(ticket).cloned()
    }

    pub fn forget(&self, job: JobId) {
        let mut inner = locked(&self.inner);
        inner.uploads.retain(|upload| upload.job != job);
        inner.downloads.retain(|_, download| download.job != job);
    }
}

impl Purpose {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Artifact { name, .. }, Self::Artifact { name: of, .. }) => name == of,
            (cache, other) => cache == other,
        }
    }

    /// Artifacts of jobs meet only when they are kept.
    fn is_in_the_way_of(&self, other: &Self, own: bool) -> bool {
        self.is_same(other) && (own || matches!(self, Self::Cache { .. }))
    }
}

impl Upload {
    /// A file for bytes that come, and how many may come.
    pub fn part(&self) -> Result<(PathBuf, u64), Refusal> {
        let mut state = self.state();
        state.parts += 1;
        if state.parts > 4 * BLOCKS_MAX as u64 {
            return Err(Refusal::too_large());
        }
        let room = KEPT_BYTES_MAX.saturating_sub(state.bytes);
        Ok((self.folder.join(state.parts.to_string()), room))
    }

    /// A block has come.
    pub fn block(&self, id: &str, path: PathBuf, size: u64) -> Result<(), Refusal> {
        if id.is_empty() || id.len() > BLOCK_ID_BYTES_MAX {
            return Err(Refusal::bad("the id of a block is too long"));
        }
        let mut state = self.state();
        if state.blocks.len() >= BLOCKS_MAX && !state.blocks.contains_key(id) {
            return Err(Refusal::too_large());
        }
        state.bytes = state.bytes.saturating_add(size);
        if let Some((old, bytes)) = state.blocks.insert(id.to_owned(), (path, size)) {
            state.bytes = state.bytes.saturating_sub(bytes);
            // It goes with the folder otherwise.
            let _ = fs::remove_file(old);
        }
        if state.bytes > KEPT_BYTES_MAX { Err(Refusal::too_large()) } else { Ok(()) }
    }

    /// The blocks of that order are all of it. Blocks; what is stored is on the disk.
    pub fn commit(&self, ids: &[String]) -> Result<Descriptor, Refusal> {
        let mut state = self.state();
        let parts: Option<Vec<PathBuf>> =
            ids.iter().map(|id| state.blocks.get(id).map(|(path, _)| path.clone())).collect();
        let parts = parts.ok_or_else(|| Refusal::bad("InvalidBlockList: a block is not there"))?;
        let hold = self.store.trees.hold().map_err(StoreError::from)?;
        let stored = self.join(&parts)?;
        state.whole = Some((stored, hold));
        Ok(stored)
    }

    /// The blocks whose names are the places at which they begin.
    pub fn commit_by_place(&self, size: u64) -> Result<Descriptor, Refusal> {
        let mut starts: Vec<(u64, u64)> = {
            let state = self.state();
            let start =
                |(id, (_, size)): (&String, &(PathBuf, u64))| Some((id.parse().ok()?, *size));
            state.blocks.iter().filter_map(start).collect()
        };
        starts.sort_unstable();
        let mut at = 0;
        for (start, length) in &starts {
            if *start != at {
                return Err(Refusal::bad("bytes are missing, or came twice"));
            }
            at += length;
        }
        if at != size {
            return Err(Refusal::bad(format!("{at} bytes came, and {size} should have")));
        }
        let ids: Vec<String> = starts.iter().map(|(start, _)| start.to_string()).collect();
        self.commit(&ids)
    }

    fn join(&self, parts: &[PathBuf]) -> Result<Descriptor, Refusal> {
        let failed = |error: BlobError| Refusal::from(StoreError::from(error));
        let mut writer = self.store.trees.blobs().writer().map_err(failed)?;
        for part in parts {
            io::copy(&mut File::open(part)?, &mut writer)?;
        }
        writer.finish().map_err(failed)
    }

    /// What it came to, once it is whole.
    pub fn whole(&self) -> Option<Descriptor> {
        self.state().whole.as_ref().map(|(stored, _)| *stored)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
