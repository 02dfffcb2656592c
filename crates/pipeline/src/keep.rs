//! What steps keep for later steps, jobs and runs: caches and artifacts.

use grit_types::{Digest, JobId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a step that restores leaves for the one that keeps, in its state: the key that it had. Files
/// that the key is a digest of may be others by then.
pub const CACHE_KEY: &str = "CACHE_KEY";

/// Whether a job speaks for its repository.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    Inside,
    /// Somebody proposed what it runs: what it keeps, no job from inside ever reads.
    #[default]
    Outside,
}

/// Whose caches a job reads and writes. The default is a stranger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobScope {
    pub trust: Trust,
    /// The ref that its caches are kept under; empty: it keeps none.
    pub own: String,
    /// Refs from inside whose caches it reads where its own have none, in that order.
    pub reads: Vec<String>,
}

/// What a job gave to later jobs, and to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptArtifact {
    pub id: u64,
    pub name: String,
    pub job: JobId,
    /// Of its archive.
    pub bytes: u64,
    pub digest: Digest,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What becomes of an upload that finds no files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfNone {
    #[default]
    Warn,
    Error,
    Ignore,
}

/// `actions/upload-artifact`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UploadSpec {
    pub name: String,
    /// Patterns, one after the other; `!` takes back.
    pub paths: Vec<String>,
    pub if_none: IfNone,
    /// 0: as long as the store keeps them.
    pub retention_days: u32,
    pub overwrite: bool,
    /// Names that begin with a dot as well.
    pub hidden: bool,
}

/// `actions/download-artifact`: the one of that name, those of these ids, else all that match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DownloadSpec {
    pub name: String,
    pub ids: Vec<u64>,
    pub pattern: String,
    /// From the workspace, or absolute.
    pub path: String,
    /// All into one folder, instead of one of its own for each.
    pub merge: bool,
    /// Of another run of the repository; empty: of this one.
    pub run: String,
}

/// `actions/upload-artifact/merge`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MergeSpec {
    pub name: String,
    pub pattern: String,
    /// Each in a folder of its own.
    pub separate: bool,
    /// Those that were merged go.
    pub delete: bool,
    pub retention_days: u32,
}

/// `Swatinem/rust-cache`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RustCacheSpec {
    pub prefix: String,
    /// In place of the job's name and `key`.
    pub shared_key: String,
    pub key: String,
    /// Names, or beginnings of names, of variables that count for the key.
    pub env_vars: Vec<String>,
    /// Each with its target folder.
    pub workspaces: Vec<(String, String)>,
    /// Kept besides.
    pub directories: Vec<String>,
    pub targets: bool,
    /// Also what is in the target folder of the workspace's own crates.
    pub workspace_crates: bool,
    pub job_in_key: bool,
    pub environment_in_key: bool,
    pub lookup_only: bool,
}

impl UploadSpec {
    /// Texts that may hold marks of [`crate::seal`].
    pub fn texts(&mut self) -> Vec<&mut String> {
        std::iter::once(&mut self.name).chain(&mut self.paths).collect()
    }
}

impl DownloadSpec {
    /// Texts that may hold marks of [`crate::seal`].
    pub fn texts(&mut self) -> Vec<&mut String> {
        vec![&mut self.name, &mut self.pattern, &mut self.path, &mut self.run]
    }
}

impl MergeSpec {
    /// Texts that may hold marks of [`crate::seal`].
    pub fn texts(&mut self) -> Vec<&mut String> {
        vec![&mut self.name, &mut self.pattern]
    }
}

impl RustCacheSpec {
    /// Texts that may hold marks of [`crate::seal`].
    pub fn texts(&mut self) -> Vec<&mut String> {
        vec![&mut self.prefix, &mut self.shared_key, &mut self.key]
    }
}
