use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use grit_types::{Digest, Digester};
use rustix::fs::OFlags;

use super::{Entry, EntryKind, TREE_ENTRIES_MAX, Tree, TreeError, TreeName, Trees, in_parallel};
use crate::disk::sync_folder;
use crate::layout::sync_file_system;
use crate::temporary::TemporaryFolder;

/// A file up to this size is read once, a larger one twice: what is there already is not written.
const SMALL_BYTES: u64 = 1 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// Up to here each file is synced alone, above the file system as a whole.
const SYNC_EACH_MAX: usize = 64;

/// One thing to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// From the tree's root.
    pub name: PathBuf,
    /// Where it is now.
    pub path: PathBuf,
    /// A link is kept as what it leads to.
    pub follow: bool,
}

/// What was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of the list.
    pub tree: Digest,
    pub files: u64,
    pub bytes: u64,
}

impl Trees {
    /// Keeps the items, and nothing that they hold; what is neither file nor folder nor link is
    /// left out. What is answered is on the disk. Files may change meanwhile: then they are kept as
    /// they were read.
    pub fn keep(&self, items: &[Item], bytes_max: u64) -> Result<Kept, TreeError> {
        if items.len() as u64 > TREE_ENTRIES_MAX {
            return Err(TreeError::TooMuch { what: "files", max: TREE_ENTRIES_MAX });
        }
        let batch = Batch::begin(self, bytes_max)?;
        let entries = in_parallel(items, |item| batch.entry(item))?;
        batch.commit()?;
        let tree = Tree::new(entries.into_iter().flatten().collect());
        let is_file = |entry: &&Entry| matches!(entry.kind, EntryKind::File { .. });
        let files = tree.entries.iter().filter(is_file).count() as u64;
        let list = serde_json::to_vec(&tree).map_err(|error| TreeError::File {
            action: "write the list of",
            path: self.lock.clone(),
            source: error.into(),
        })?;
        let kept = self.blobs.put(&mut &list[..])?;
        Ok(Kept { tree: kept.digest, files, bytes: tree.bytes() })
    }
}

/// Files that are stored together: named only after all of them are on the disk.
struct Batch<'a> {
    trees: &'a Trees,
    folder: TemporaryFolder,
    written: Mutex<BTreeMap<Digest, PathBuf>>,
    number: AtomicU64,
    bytes: AtomicU64,
    bytes_max: u64,
}

impl<'a> Batch<'a> {
    fn begin(trees: &'a Trees, bytes_max: u64) -> Result<Self, TreeError> {
        let temporary = trees.blobs.temporary();
        let folder = TemporaryFolder::in_folder(temporary)
            .map_err(TreeError::file("create a folder in", temporary))?;
        let (number, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { trees, folder, written: Mutex::default(), number, bytes, bytes_max })
    }

    /// `None`: it is nothing that can be kept, or gone.
    fn entry(&self, item: &Item) -> Result<Option<Entry>, TreeError> {
        let look = || TreeError::file("look at", &item.path);
        let looked = match item.follow {
            true => fs::metadata(&item.path),
            false => fs::symlink_metadata(&item.path),
        };
        let found = match looked {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            looked => looked.map_err(look())?,
        };
        let kind = if found.is_dir() {
            EntryKind::Folder
        } else if found.is_symlink() {
            let target = fs::read_link(&item.path).map_err(look())?;
            EntryKind::Link { target: target.into() }
        } else if found.is_file() {
            let (digest, size) = self.file(item)?;
            EntryKind::File { digest, size }
        } else {
            return Ok(None);
        };
        Ok(Some(entry(&item.name, &found, kind)))
    }

    fn file(&self, item: &Item) -> Result<(Digest, u64), TreeError> {
        let read = || TreeError::file("read", &item.path);
        let mut file = open(item).map_err(read())?;
        let mut start = Vec::new();
        (&mut file).take(SMALL_BYTES + 1).read_to_end(&mut start).map_err(read())?;
        if start.len() as u64 <= SMALL_BYTES {
            let (digest, size) = (Digest::of(&start), start.len() as u64);
            self.count(size)?;
            if !self.is_there(digest, size)? {
                self.write(&mut &start[..])?;
            }
            return Ok((digest, size));
        }
        drop(start);
        file.rewind().map_err(read())?;
        let (digest, size) = pass(&mut file, &mut io::sink()).map_err(read())?;
        self.count(size)?;
        if self.is_there(digest, size)? {
            return Ok((digest, size));
        }
        file.rewind().map_err(read())?;
        self.write(&mut file)
    }

    /// Writes the bytes; they may be others by now than when they were looked at.
    fn write(&self, from: &mut dyn Read) -> Result<(Digest, u64), TreeError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(number.to_string());
        let write = || TreeError::file("write", &path);
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(write())?;
        let (digest, size) = pass(from, &mut to).map_err(write())?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match written.entry(digest) {
            Slot::Occupied(_) => fs::remove_file(&path).map_err(write())?,
            Slot::Vacant(free) => drop(free.insert(path)),
        }
        Ok((digest, size))
    }

    fn count(&self, size: u64) -> Result<(), TreeError> {
        let all = self.bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        if all > self.bytes_max {
            return Err(TreeError::TooMuch { what: "bytes", max: self.bytes_max });
        }
        Ok(())
    }

    /// A blob of another size than its name promises is written again.
    fn is_there(&self, digest: Digest, size: u64) -> Result<bool, TreeError> {
        Ok(self.trees.blobs.size(digest)? == Some(size))
    }

    /// All bytes, then all names, then the folder: what has a name is whole after a power cut.
    fn commit(self) -> Result<(), TreeError> {
        let folder = self.folder.path();
        let failed = || TreeError::file("store", folder);
        let written = self.written.into_inner().unwrap_or_else(PoisonError::into_inner);
        if written.is_empty() {
            return Ok(());
        }
        let many = written.len() > SYNC_EACH_MAX;
        if !(many && sync_file_system(folder).map_err(failed())?) {
            let sync = |path: &PathBuf| File::open(path)?.sync_all();
            written.values().try_for_each(sync).map_err(failed())?;
        }
        let blobs = self.trees.blobs.folder();
        let rename =
            |(digest, path): (&Digest, &PathBuf)| fs::rename(path, blobs.join(digest.hex()));
        written.iter().try_for_each(rename).map_err(failed())?;
        sync_folder(blobs).map_err(failed())
    }
}

fn entry(name: &Path, found: &Metadata, kind: EntryKind) -> Entry {
    let nanoseconds = u32::try_from(found.mtime_nsec()).unwrap_or_default();
    Entry {
        name: TreeName::from(name.to_owned()),
        mode: found.mode() & 0o777,
        modified: (found.mtime(), nanoseconds),
        kind,
    }
}

/// What was a file a moment ago may be a pipe now, which nobody waits for.
fn open(item: &Item) -> io::Result<File> {
    let mut flags = OFlags::NONBLOCK;
    if !item.follow {
        flags |= OFlags::NOFOLLOW;
    }
    let flags = flags.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&item.path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file now")) }
}

/// Copies all bytes, and says what they are.
pub(super) fn pass(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(Digest, u64)> {
    let (mut digester, mut size) = (Digester::default(), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((digester.finish(), size)),
            Ok(count) => {
                digester.update(&buffer[..count]);
                to.write_all(&buffer[..count])?;
                size += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
