use std::path::{Path, PathBuf};

use gix::objs::Kind;
use gix::odb::store::init::Slots;
use grit_types::CommitId;

use crate::GitError;
use crate::error::{Doing, Reading};
use crate::refs::RefWriter;

mod changes;
mod checkout;
mod elsewhere;
mod export;
mod foreign;
mod init;
mod read;
mod revision;
mod tree;

pub use elsewhere::Elsewhere;
pub use export::{EXPORT_BYTES_MAX, EXPORT_ENTRIES_MAX};
pub use foreign::Told;
pub use read::CommitInfo;
pub use revision::{RepoHead, TagInfo};
pub use tree::{DirEntry, EntryKind};

/// No commit, tree or other object that Grit only looks through is larger.
pub(crate) const OBJECT_BYTES_MAX: u64 = 32 << 20;

/// No file is exported that is larger: gix holds an object in memory.
pub const BLOB_BYTES_MAX: u64 = 512 << 20;

/// A git repository on this machine, bare or with a working tree.
///
/// Cheap to clone and to share between threads. It reads only the repository's own configuration
/// and no environment, and never follows replacement refs, which a push could bring.
#[derive(Clone)]
pub struct Repository {
    inner: gix::ThreadSafeRepository,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

impl Repository {
    /// The repository that `path` is in: it, or the nearest folder above it that is one.
    pub fn discover(path: &Path) -> Result<Self, GitError> {
        let path = path.canonicalize().doing("find", path)?;
        let options = gix::sec::trust::Mapping { full: options(), reduced: options() };
        gix::ThreadSafeRepository::discover_opts(&path, Default::default(), options)
            .map_err(|error| not_a_repository(&path, error))
            .and_then(Self::checked)
    }

    /// The repository at `path`: a bare one, a `.git` folder, or the folder that holds one.
    pub fn open(path: &Path) -> Result<Self, GitError> {
        let path = path.canonicalize().doing("find", path)?;
        gix::ThreadSafeRepository::open_opts(&path, options())
            .map_err(|error| not_a_repository(&path, error))
            .and_then(Self::checked)
    }

    /// A new bare repository at `path`, which must not exist: the hosted form, where everything
    /// that git writes is synced, received objects are checked, refs are files, nothing is
    /// collected behind our back, and only its own hooks run.
    ///
    /// It appears at once and whole, and survives a power cut from then on.
    pub fn init_bare(path: &Path) -> Result<Self, GitError> {
        init::init_bare(path)?;
        Self::open(path)
    }

    fn checked(inner: gix::ThreadSafeRepository) -> Result<Self, GitError> {
        let local = inner.to_thread_local();
        let git_dir = local.git_dir().canonicalize().doing("find", local.git_dir())?;
        let common_dir = local.common_dir().canonicalize().doing("find", local.common_dir())?;
        if common_dir.join("reftable").is_dir() {
            return Err(GitError::RefFormat { path: common_dir });
        }
        Ok(Self { inner, git_dir, common_dir })
    }

    /// The git folder: `.git`, the bare repository, or the linked working tree's own.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The git folder that all working trees of the repository share.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Where the files are; none in a bare repository.
    pub fn worktree(&self) -> Option<PathBuf> {
        self.local().workdir().map(Path::to_owned)
    }

    /// The value of a setting in the repository's own configuration, such as `grit.server`.
    pub fn setting(&self, name: &str) -> Result<Option<String>, GitError> {
        // Opened again: the configuration is read once per opening, and may have changed.
        let opened = gix::ThreadSafeRepository::open_opts(&self.git_dir, options())
            .map_err(|error| not_a_repository(&self.git_dir, error))?;
        let opened = opened.to_thread_local();
        let value = opened.config_snapshot().string(name).map(|value| value.to_string());
        Ok(value)
    }

    /// The names of the remotes in the repository's own configuration.
    pub fn remotes(&self) -> Result<Vec<String>, GitError> {
        let opened = gix::ThreadSafeRepository::open_opts(&self.git_dir, options())
            .map_err(|error| not_a_repository(&self.git_dir, error))?;
        Ok(opened.to_thread_local().remote_names().iter().map(ToString::to_string).collect())
    }

    /// Removes the lock files of refs whose makers are dead, and answers which: a git that was
    /// killed leaves them, and everything after it then fails with "File exists".
    pub fn clear_stale_locks(&self) -> Result<Vec<PathBuf>, GitError> {
        RefWriter::acquire(&self.common_dir)?.clear_stale()
    }

    /// Those that [`Self::clear_stale_locks`] would remove now.
    pub fn stale_locks(&self) -> Result<Vec<PathBuf>, GitError> {
        RefWriter::acquire(&self.common_dir)?.find_stale()
    }

    /// Whether refs are locked, by whom ever.
    pub(crate) fn has_locks(&self) -> Result<bool, GitError> {
        let locks = RefWriter::acquire(&self.common_dir)?.lock_files()?;
        Ok(locks.iter().any(|lock| lock.is_file()))
    }

    pub(crate) fn local(&self) -> gix::Repository {
        self.inner.to_thread_local()
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.common_dir.join("objects")
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repository").field(&self.git_dir).finish()
    }
}

fn options() -> gix::open::Options {
    // A long-lived process sees this many packs come; gix's own choice is 32.
    let slots = Slots::AsNeededByDiskState { multiplier: 2.0, minimum: 512 };
    gix::open::Options::isolated()
        .object_store_slots(slots)
        .config_overrides(["core.useReplaceRefs=false"])
}

fn not_a_repository(path: &Path, error: gix::Error) -> GitError {
    if let Some(found) = path.ancestors().find(|folder| has_long_ids(folder)) {
        return GitError::ObjectFormat { path: found.to_owned() };
    }
    GitError::NotARepository { path: path.to_owned(), source: error.into() }
}

/// Whether `folder` is a repository whose ids are SHA-256, which gix as it is built here calls none.
fn has_long_ids(folder: &Path) -> bool {
    let configs = [folder.join(".git/config"), folder.join("config")].into_iter();
    let texts = configs.filter_map(|config| std::fs::read_to_string(config).ok());
    texts.flat_map(|text| text.lines().map(str::to_lowercase).collect::<Vec<_>>()).any(|line| {
        line.split_once('=')
            .is_some_and(|(name, value)| name.trim() == "objectformat" && value.trim() == "sha256")
    })
}

/// An object of the wanted kind and at most `limit` bytes; none where there is no such object.
pub(crate) fn object(
    repository: &gix::Repository,
    id: gix::ObjectId,
    kind: Kind,
    limit: u64,
) -> Result<Option<Vec<u8>>, GitError> {
    let what = || format!("object {id}");
    let Some(header) = repository.try_find_header(id).reading(what)? else { return Ok(None) };
    if header.kind() != kind {
        return Ok(None);
    }
    if header.size() > limit {
        return Err(GitError::TooLarge { what: what(), bytes: header.size(), limit });
    }
    let found = repository.try_find_object(id).reading(what)?;
    Ok(found.map(|object| object.detach().data))
}

/// As [`object`], for one that must be there.
pub(crate) fn existing(
    repository: &gix::Repository,
    id: gix::ObjectId,
    kind: Kind,
    limit: u64,
) -> Result<Vec<u8>, GitError> {
    object(repository, id, kind, limit)?.ok_or_else(|| GitError::NoObject { id: id.to_string() })
}

/// gix's form of an id; an id of another hash function names nothing here.
pub(crate) fn oid(id: &str) -> Result<gix::ObjectId, GitError> {
    gix::ObjectId::from_hex(id.as_bytes()).map_err(|_| GitError::NoObject { id: id.to_owned() })
}

/// Our form of gix's id.
pub(crate) fn commit_id(id: impl AsRef<gix::oid>) -> CommitId {
    parsed(id.as_ref())
}

/// Our form of gix's id, for any kind of object.
pub(crate) fn object_id(id: impl AsRef<gix::oid>) -> grit_types::ObjectId {
    parsed(id.as_ref())
}

fn parsed<T: std::str::FromStr<Err = grit_types::NameError>>(id: &gix::oid) -> T {
    // An id of gix is always written as 40 lower-case hexadecimal digits.
    id.to_string().parse().expect("gix writes hexadecimal")
}
