//! Folders kept file by file, each under the digest of its bytes, with a list of what was where.

mod keep;
mod manifest;
mod restore;

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use grit_types::Digest;

use crate::{BlobError, FileBlobs};

pub use keep::{Item, Kept};
pub use manifest::{Entry, EntryKind, Tree, TreeName};
pub use restore::{Anchor, Restored};

/// What a tree holds at most: files, folders and links together.
pub const TREE_ENTRIES_MAX: u64 = 1 << 20;

/// A list of files is never longer.
const LIST_BYTES_MAX: u64 = 512 << 20;

/// Trees over one folder of blobs. Calls block; several processes may use one folder at once.
///
/// What is kept shares nothing with what it was made from or is restored to: files are copied, by
/// reference where the file system can (`FICLONE`), else byte by byte and compared with their
/// digests. They are never hard links: whoever runs jobs shares our user, could write through such
/// a link, whatever its mode, and so into what another job reads.
#[derive(Clone, Debug)]
pub struct Trees {
    blobs: FileBlobs,
    lock: PathBuf,
}

/// What happened to a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("there are more than {max} {what}")]
    TooMuch { what: &'static str, max: u64 },
    #[error("`{}` {problem}", path.display())]
    Refused { path: PathBuf, problem: &'static str },
    /// The disk lost or changed it; keeping the same again heals it.
    #[error("the list of files {digest} cannot be read")]
    Malformed { digest: Digest, source: serde_json::Error },
    #[error("the list of files {digest} is of version {version}, newer than this Grit")]
    Newer { digest: Digest, version: u32 },
    #[error("{action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
}

impl TreeError {
    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    fn refused(path: &Path, problem: &'static str) -> Self {
        Self::Refused { path: path.to_owned(), problem }
    }
}

impl Trees {
    /// Opens the blobs below `root`, and makes the folders where they are missing.
    pub fn open(root: &Path) -> Result<Self, TreeError> {
        let blobs = FileBlobs::open(root)?;
        Ok(Self { blobs, lock: root.join(".grit").join("trees.lock") })
    }

    /// The blobs that files and lists lie in.
    pub fn blobs(&self) -> &FileBlobs {
        &self.blobs
    }

    /// The list of a tree, verified.
    pub fn tree(&self, digest: Digest) -> Result<Tree, TreeError> {
        let bytes = self.blobs.read(digest, LIST_BYTES_MAX)?;
        let tree: Tree = serde_json::from_slice(&bytes)
            .map_err(|source| TreeError::Malformed { digest, source })?;
        match tree.v {
            Tree::VERSION => Ok(tree),
            version => Err(TreeError::Newer { digest, version }),
        }
    }

    /// Held while something is stored that nothing refers to yet: until it is dropped, nothing is
    /// collected.
    pub fn hold(&self) -> Result<Hold, TreeError> {
        let file = self.open_lock()?;
        file.lock_shared().map_err(TreeError::file("lock", &self.lock))?;
        Ok(Hold(file))
    }

    /// Removes the blobs that `live` does not name, which is asked when nobody stores or restores
    /// anything; does nothing while somebody does. Answers how many went.
    pub fn collect<E: From<TreeError>>(
        &self,
        live: impl FnOnce() -> Result<HashSet<Digest>, E>,
    ) -> Result<u64, E> {
        let file = self.open_lock()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(0),
            Err(TryLockError::Error(error)) => {
                return Err(TreeError::file("lock", &self.lock)(error).into());
            }
        }
        let _alone = Hold(file);
        Ok(self.blobs.remove_others(&live()?).map_err(TreeError::from)?)
    }

    /// Every blob that a tree needs, its own list included.
    pub fn blobs_of(&self, tree: Digest) -> Result<HashSet<Digest>, TreeError> {
        let mut blobs: HashSet<Digest> = self
            .tree(tree)?
            .entries
            .into_iter()
            .filter_map(|entry| match entry.kind {
                EntryKind::File { digest, .. } => Some(digest),
                EntryKind::Folder | EntryKind::Link { .. } => None,
            })
            .collect();
        blobs.insert(tree);
        Ok(blobs)
    }

    fn open_lock(&self) -> Result<File, TreeError> {
        let opened = File::options().create(true).append(true).open(&self.lock);
        opened.map_err(TreeError::file("open", &self.lock))
    }
}

/// See [`Trees::hold`].
#[derive(Debug)]
pub struct Hold(File);

impl Drop for Hold {
    /// A child that another thread has forked may have the file open as well.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a store of files stays locked");
        }
    }
}

impl FileBlobs {
    /// Removes what is not in `live`.
    fn remove_others(&self, live: &HashSet<Digest>) -> Result<u64, BlobError> {
        let folder = self.folder();
        let read = |source| BlobError::File { action: "read", path: folder.to_owned(), source };
        let mut gone = 0;
        for entry in fs::read_dir(folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let digest = format!("sha256:{name}").parse::<Digest>();
            if digest.is_ok_and(|digest| live.contains(&digest)) {
                continue;
            }
            fs::remove_file(&path).map_err(|source| {
                let path = path.clone();
                BlobError::File { action: "remove", path, source }
            })?;
            gone += 1;
        }
        Ok(gone)
    }
}

/// Does `work` for each of `items` on as many threads as the machine has cores, up to four; the
/// first failure ends it.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, TreeError> + Sync,
) -> Result<Vec<R>, TreeError> {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let one = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            match work(item) {
                Ok(result) => done.push((at, result)),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    if threads == 1 || items.len() < 2 {
        return one().map(|done| done.into_iter().map(|(_, result)| result).collect());
    }
    let parts = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        running.into_iter().map(join).collect::<Result<Vec<Vec<(usize, R)>>, TreeError>>()
    })?;
    let mut all: Vec<(usize, R)> = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}
