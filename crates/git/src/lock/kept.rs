//! The leases of this clone, so that nobody has to type their ids: one file each in
//! `grit/leases/KEY/LEASE.json`, written before its request leaves and again before its grant is
//! answered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grit_locks::Resource;
use grit_types::LeaseId;
use serde::{Deserialize, Serialize};

use super::sight::Counted;
use crate::GitError;
use crate::durable::{create_folders, parent, replace};
use crate::error::{Doing, Reading};

const VERSION: u32 = 1;

/// A lease that this clone asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    v: u32,
    pub(super) resource: Resource,
    pub(super) lease: LeaseId,
    /// Whether it was answered. One that was not may have got through all the same.
    pub(super) granted: bool,
    /// When it is over for its holder, who counts from before the request.
    until: Counted,
}

impl Kept {
    pub(super) fn new(resource: &Resource, lease: LeaseId, until: Counted) -> Self {
        Self { v: VERSION, resource: resource.clone(), lease, granted: false, until }
    }

    /// The same, counted from now on for so long.
    #[must_use]
    pub(super) fn until(self, until: Counted) -> Self {
        Self { until, ..self }
    }

    /// The same, answered.
    #[must_use]
    pub(super) fn granted(self) -> Self {
        Self { granted: true, ..self }
    }

    /// What is left of it; none when it is of another boot.
    pub(super) fn left(&self) -> Option<Duration> {
        self.until.since(&Counted::now())
    }
}

/// The folder that holds them.
pub(super) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub(super) fn new(common: &Path) -> Self {
        Self { folder: common.join("grit/leases") }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes it, durably.
    pub(super) fn put(&self, kept: &Kept) -> Result<(), GitError> {
        let path = self.path(&kept.resource, kept.lease);
        create_folders(parent(&path))?;
        // Strings and numbers only: it always serialises.
        let bytes = serde_json::to_vec(kept).unwrap_or_default();
        replace(&path, &bytes, 0o600)
    }

    pub(super) fn get(
        &self,
        resource: &Resource,
        lease: LeaseId,
    ) -> Result<Option<Kept>, GitError> {
        let path = self.path(resource, lease);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).doing("read", &path),
        };
        let what = || format!("`{}`", path.display());
        let kept: Kept = serde_json::from_slice(&bytes).reading(what)?;
        if kept.v > VERSION {
            return Err(io::Error::other("it was written by a newer Grit")).doing("read", &path);
        }
        Ok(Some(kept))
    }

    /// Whether this clone has asked for `resource` and not given it back.
    pub(super) fn any(&self, resource: &Resource) -> bool {
        let entries = fs::read_dir(self.folder.join(resource.key())).into_iter().flatten();
        entries.flatten().any(|entry| entry.path().extension().is_some_and(|name| name == "json"))
    }

    /// Forgets it; one that stays costs room only.
    pub(super) fn remove(&self, resource: &Resource, lease: LeaseId) {
        let _ = fs::remove_file(self.path(resource, lease));
    }

    /// Forgets all others of the resource: their lock is now this lease's.
    pub(super) fn keep_only(&self, resource: &Resource, lease: LeaseId) {
        let ours = self.path(resource, lease);
        let entries = fs::read_dir(parent(&ours)).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| *path != ours) {
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, resource: &Resource, lease: LeaseId) -> PathBuf {
        self.folder.join(resource.key()).join(format!("{lease}.json"))
    }
}
