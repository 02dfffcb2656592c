use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grit_blob::{Descriptor, Tree};
use grit_host::durable;
use grit_types::{Digest, Digester, JobId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Content, Store, StoreError, record, zip};

/// As long as nothing else is said.
const RETENTION_DAYS_DEFAULT: u32 = 90;
const NAME_BYTES_MAX: usize = 255;
/// Of every file that comes out of an artifact.
const MODE: u32 = 0o644;

/// An artifact that there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifact {
    v: u32,
    pub id: u64,
    pub name: String,
    pub run: RunId,
    pub job: JobId,
    attempt: u32,
    /// In milliseconds since 1970.
    pub created: i64,
    pub expires: i64,
    /// Of its archive.
    pub bytes: u64,
    pub digest: Digest,
    pub content: Content,
}

/// An artifact that is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewArtifact {
    pub name: String,
    pub run: RunId,
    pub job: JobId,
    /// What an earlier attempt of the job left is replaced.
    pub attempt: u32,
    /// 0: as long as nothing else is said.
    pub retention_days: u32,
    /// One of the same name is replaced.
    pub overwrite: bool,
    pub content: Content,
}

impl Artifact {
    /// Of the job that gave it.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Why an artifact is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    #[error("an artifact with this name already exists on the workflow run: {0}")]
    Taken(String),
    #[error("{0}")]
    Name(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Refuses what the service refuses: names must be good for every file system.
pub(crate) fn check_name(name: &str) -> Result<(), ArtifactError> {
    const REFUSED: [char; 11] = ['"', ':', '<', '>', '|', '*', '?', '\r', '\n', '\\', '/'];
    let refused = name.chars().find(|c| REFUSED.contains(c) || c.is_control());
    match refused {
        Some(c) => {
            let message = format!("the artifact name `{name}` must not contain {c:?}");
            Err(ArtifactError::Name(message))
        }
        None if name.is_empty() || name == "." || name == ".." || name.len() > NAME_BYTES_MAX => {
            let message = format!("`{name}` is no name of an artifact");
            Err(ArtifactError::Name(message))
        }
        None => Ok(()),
    }
}

impl Store {
    /// Keeps an artifact; what is answered is on the disk.
    pub fn add_artifact(
        &self,
        new: NewArtifact,
        now: Timestamp,
    ) -> Result<Artifact, ArtifactError> {
        check_name(&new.name)?;
        let archive = self.archive_of(new.content)?;
        let days =
            if new.retention_days == 0 { RETENTION_DAYS_DEFAULT } else { new.retention_days };
        let artifact = Artifact {
            v: 1,
            id: next_id(now),
            name: new.name,
            run: new.run,
            job: new.job,
            attempt: new.attempt,
            created: now.millis(),
            expires: now.after(Duration::from_secs(u64::from(days) * 86_400)).millis(),
            bytes: archive.size,
            digest: archive.digest,
            content: new.content,
        };
        let path = self.artifact_path(artifact.run, &artifact.name);
        let failed = || StoreError::io("write", &path);
        if record::create(&path, &artifact).map_err(failed())? {
            return Ok(artifact);
        }
        let there = self.artifact(artifact.run, &artifact.name, now)?;
        let may_replace = |old: Artifact| new.overwrite || old.attempt < artifact.attempt;
        if !there.is_none_or(may_replace) {
            return Err(ArtifactError::Taken(artifact.name));
        }
        record::replace(&path, &artifact).map_err(failed())?;
        Ok(artifact)
    }

    /// The artifacts of a run, the oldest first.
    pub fn artifacts(&self, run: RunId, now: Timestamp) -> Result<Vec<Artifact>, StoreError> {
        let folder = self.artifacts_of(run);
        let all = record::all::<Artifact>(&folder).map_err(StoreError::io("read", &folder))?;
        let alive = all.into_iter().map(|(_, artifact)| artifact);
        let mut alive: Vec<Artifact> =
            alive.filter(|artifact| artifact.expires > now.millis()).collect();
        alive.sort_by_key(|artifact| (artifact.created, artifact.id));
        Ok(alive)
    }

    /// The artifact of that name.
    pub fn artifact(
        &self,
        run: RunId,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Artifact>, StoreError> {
        let all = self.artifacts(run, now)?;
        Ok(all.into_iter().find(|artifact| artifact.name == name))
    }

    /// Removes an artifact; its id, if there was one.
    pub fn delete_artifact(
        &self,
        run: RunId,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let Some(there) = self.artifact(run, name, now)? else { return Ok(None) };
        let path = self.artifact_path(run, name);
        durable::remove(&path).map_err(StoreError::io("remove", &path))?;
        Ok(Some(there.id))
    }

    /// Its archive, opened at its first byte; made where it is kept as files.
    pub fn open_archive(&self, artifact: &Artifact) -> Result<(File, u64), StoreError> {
        let _hold = self.trees.hold()?;
        if let Content::Tree(tree) = artifact.content
            && self.trees.blobs().size(artifact.digest)?.is_none()
        {
            let mut writer = self.trees.blobs().writer()?;
            self.write_zip(tree, &mut writer)?;
            writer.finish()?;
        }
        let file = self.trees.blobs().get(artifact.digest)?;
        let size = file.metadata().map_err(StoreError::io("look at", &self.root))?.len();
        Ok((file, size))
    }

    /// Its files, under `all`; an archive is unpacked into `scratch`, which does not exist, first.
    pub fn files_of(
        &self,
        artifact: &Artifact,
        scratch: &std::path::Path,
    ) -> Result<Tree, StoreError> {
        let tree = match artifact.content {
            Content::Tree(tree) => tree,
            Content::Archive(archive) => {
                let mut file = self.trees.blobs().get(archive)?;
                let items =
                    zip::unpack(&mut file, scratch).map_err(StoreError::io("unpack", scratch))?;
                self.trees.keep(&items, super::KEPT_BYTES_MAX)?.tree
            }
        };
        let mut tree = self.trees.tree(tree)?;
        // As on the service, whose archives know no modes.
        tree.entries.iter_mut().for_each(|entry| entry.mode = MODE);
        Ok(tree)
    }

    /// What all artifacts hold.
    pub(super) fn uploaded(&self) -> Result<Vec<Content>, StoreError> {
        let mut contents = Vec::new();
        for folder in self.runs()? {
            let all = record::all::<Artifact>(&folder).map_err(StoreError::io("read", &folder))?;
            contents.extend(all.into_iter().map(|(_, artifact)| artifact.content));
        }
        Ok(contents)
    }

    /// Removes artifacts whose time is up; answers how many.
    pub(super) fn expire_artifacts(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut gone = 0;
        for folder in self.runs()? {
            let all = record::all::<Artifact>(&folder).map_err(StoreError::io("read", &folder))?;
            for (path, artifact) in all {
                if artifact.expires <= now.millis() {
                    durable::remove(&path).map_err(StoreError::io("remove", &path))?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }

    fn runs(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root.join("artifacts");
        record::entries(&folder).map_err(StoreError::io("read", &folder))
    }

    fn artifacts_of(&self, run: RunId) -> PathBuf {
        self.root.join("artifacts").join(run.to_string())
    }

    fn artifact_path(&self, run: RunId, name: &str) -> PathBuf {
        self.artifacts_of(run).join(format!("{}.json", Digest::of(name.as_bytes()).hex()))
    }

    /// What the archive of it is, or would be.
    fn archive_of(&self, content: Content) -> Result<Descriptor, StoreError> {
        match content {
            Content::Archive(digest) => {
                let size = self.trees.blobs().size(digest)?;
                let size = size.ok_or(grit_blob::BlobError::Missing { digest })?;
                Ok(Descriptor { digest, size })
            }
            Content::Tree(tree) => {
                let mut counted = Counted { digester: Digester::default(), size: 0 };
                self.write_zip(tree, &mut counted)?;
                Ok(Descriptor { digest: counted.digester.finish(), size: counted.size })
            }
        }
    }

    fn write_zip(&self, tree: Digest, to: &mut dyn io::Write) -> Result<(), StoreError> {
        let tree = self.trees.tree(tree)?;
        let open = |digest: Digest| -> io::Result<Box<dyn Read>> {
            let file = self.trees.blobs().get(digest).map_err(io::Error::other)?;
            Ok(Box::new(file))
        };
        zip::write(&tree, &open, to).map_err(StoreError::io("pack an artifact of", &self.root))
    }
}

/// Bytes that nobody needs but their digest.
struct Counted {
    digester: Digester,
    size: u64,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Grows with time, and is exact where programs count in floating point.
fn next_id(now: Timestamp) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % 1024;
    u64::try_from(now.millis()).unwrap_or(0) * 1024 + number
}
