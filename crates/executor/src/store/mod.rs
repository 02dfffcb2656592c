//! What steps keep: caches for later runs, artifacts for later jobs and for people.
//!
//! On disk, below one root: `blobs/sha256/` (files, lists of files and archives, by digest),
//! `caches/TENANT/REPO/TRUST/DIGEST.json` and `artifacts/RUN/DIGEST.json` (a record each, written
//! last: what has one is whole). Nothing is ever removed but by [`Store::tidy`], which goes by the
//! records, and by whoever replaces or deletes an artifact.

mod artifacts;
mod caches;
mod record;
pub(crate) mod select;
pub(crate) mod zip;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use grit_blob::{TreeError, Trees};
use grit_host::durable;
use grit_types::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use artifacts::{Artifact, ArtifactError, NewArtifact, check_name};
pub(crate) use caches::NewCache;

/// One cache, or one artifact.
pub(crate) const KEPT_BYTES_MAX: u64 = 10 << 30;

/// The caches of a repository together; then those go whose last use is longest ago.
const REPO_BYTES_MAX: u64 = 10 << 30;

/// A cache that nobody used for so long goes.
const UNUSED_DAYS_MAX: u64 = 7;

/// A store of files, and the records of what is in it.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    pub trees: Trees,
    repo_bytes_max: u64,
}

/// What was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    /// Files, by their list.
    Tree(Digest),
    /// An archive of somebody's own.
    Archive(Digest),
}

/// Why something is not kept, or not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("{action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl From<grit_blob::BlobError> for StoreError {
    fn from(error: grit_blob::BlobError) -> Self {
        Self::Tree(error.into())
    }
}

impl Store {
    /// Opens the store at `root`, made where it is missing.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        durable::create_dir_all(root).map_err(StoreError::io("create", root))?;
        Ok(Self {
            root: root.to_owned(),
            trees: Trees::open(root)?,
            repo_bytes_max: REPO_BYTES_MAX,
        })
    }

    /// Removes what is over: caches that nobody uses, the least used of a repository that has too
    /// many, artifacts whose time is up, and then every blob that no record needs.
    pub fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        let gone = self.expire_caches(now)? + self.expire_artifacts(now)?;
        if gone > 0 {
            self.trees.collect(|| self.live())?;
        }
        Ok(())
    }

    /// Every blob that a record needs. A record that cannot be read keeps all from being removed.
    fn live(&self) -> Result<HashSet<Digest>, StoreError> {
        let mut live = HashSet::new();
        for content in self.cached()?.into_iter().chain(self.uploaded()?) {
            match content {
                Content::Archive(digest) => drop(live.insert(digest)),
                Content::Tree(digest) => live.extend(self.blobs_of(digest)?),
            }
        }
        Ok(live)
    }

    /// A list that is lost needs nothing: what it is of cannot be restored.
    fn blobs_of(&self, tree: Digest) -> Result<HashSet<Digest>, StoreError> {
        use grit_blob::BlobError::{Damaged, Missing};
        match self.trees.blobs_of(tree) {
            Err(TreeError::Blob(Missing { .. } | Damaged { .. })) => Ok(HashSet::new()),
            blobs => Ok(blobs?),
        }
    }
}

/// The stores of a runner, opened when they are first used.
#[derive(Debug)]
pub(crate) struct Stores {
    caches: PathBuf,
    artifacts: PathBuf,
    opened: Mutex<HashMap<PathBuf, Arc<Store>>>,
}

impl Stores {
    pub fn new(caches: &Path, artifacts: &Path) -> Self {
        let (caches, artifacts) = (caches.to_owned(), artifacts.to_owned());
        Self { caches, artifacts, opened: Mutex::default() }
    }

    /// Blocks.
    pub fn caches(&self) -> Result<Arc<Store>, StoreError> {
        self.open(&self.caches)
    }

    /// Blocks.
    pub fn artifacts(&self) -> Result<Arc<Store>, StoreError> {
        self.open(&self.artifacts)
    }

    fn open(&self, root: &Path) -> Result<Arc<Store>, StoreError> {
        let mut opened = crate::host::locked(&self.opened);
        if let Some(store) = opened.get(root) {
            return Ok(store.clone());
        }
        let store = Arc::new(Store::open(root)?);
        opened.insert(root.to_owned(), store.clone());
        Ok(store)
    }
}
