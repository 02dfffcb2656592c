use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use grit_types::Digest;

use super::keep::pass;
use super::{EntryKind, Tree, TreeError, Trees, in_parallel};
use crate::BlobError;

/// A name in a tree, and a link's target.
const NAME_BYTES_MAX: usize = 4096;
const DEPTH_MAX: usize = 256;

/// Where a part of a tree goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Made where it is missing; links on the way to it are followed.
    pub folder: PathBuf,
    /// Links to folders that were there before are followed as well; else they are replaced.
    pub follows: bool,
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub files: u64,
    pub bytes: u64,
}

/// A file whose place is made.
struct Due {
    to: PathBuf,
    digest: Digest,
    mode: u32,
    modified: (i64, u32),
}

impl Trees {
    /// Puts the tree to where `anchor` says for the first part of each name; `None` refuses it.
    ///
    /// Files and links replace what is in their place, folders are merged. Whatever the list says,
    /// nothing is written outside of the anchors: no name leads up, and no link of the tree is ever
    /// gone through. A file whose bytes are not what they were is not put in place, and its blob
    /// is removed, so that keeping it again heals it.
    pub fn restore(
        &self,
        tree: &Tree,
        anchor: &dyn Fn(&OsStr) -> Option<Anchor>,
    ) -> Result<Restored, TreeError> {
        let mut placing = Placing::new(anchor);
        let mut due = Vec::new();
        for entry in &tree.entries {
            let name = entry.name.path();
            match &entry.kind {
                EntryKind::Folder => {
                    let folder = placing.folder_of(name, true)?;
                    placing.finish.push((folder, entry.mode, entry.modified));
                }
                EntryKind::Link { target } => placing.link(name, target.path())?,
                EntryKind::File { digest, .. } => {
                    let to = placing.free(name)?;
                    let (mode, modified) = (entry.mode, entry.modified);
                    due.push(Due { to, digest: *digest, mode, modified });
                }
            }
        }
        let may_share = AtomicBool::new(true);
        let bytes = in_parallel(&due, |due| self.place(due, &may_share))?;
        placing.done()?;
        Ok(Restored { files: due.len() as u64, bytes: bytes.into_iter().sum() })
    }

    fn place(&self, due: &Due, may_share: &AtomicBool) -> Result<u64, TreeError> {
        let mut from = self.blobs().get(due.digest)?;
        let write = || TreeError::file("write", &due.to);
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&due.to)
            .map_err(write())?;
        let is_shared = may_share.load(Ordering::Relaxed) && share(&from, &to);
        may_share.store(is_shared, Ordering::Relaxed);
        let (found, size) = match is_shared {
            true => pass(&mut from, &mut io::sink()),
            false => pass(&mut from, &mut to),
        }
        .map_err(write())?;
        if found != due.digest {
            // The first error is the one to tell.
            let _ = fs::remove_file(&due.to);
            self.blobs().discard(due.digest)?;
            return Err(BlobError::Damaged { digest: due.digest, found }.into());
        }
        to.set_times(times(due.modified)).map_err(write())?;
        to.set_permissions(Permissions::from_mode(due.mode & 0o777)).map_err(write())?;
        Ok(size)
    }
}

/// The same blocks on the disk for both, until one of them is written.
#[cfg(target_os = "linux")]
fn share(from: &File, to: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn share(_from: &File, _to: &File) -> bool {
    false
}

/// The folders of a tree that is being restored.
struct Placing<'a> {
    anchor: &'a dyn Fn(&OsStr) -> Option<Anchor>,
    anchors: BTreeMap<OsString, Anchor>,
    /// Folders that may be gone into.
    made: HashSet<PathBuf>,
    /// What was put there by us and is no folder.
    placed: HashSet<PathBuf>,
    /// What folders are to be like in the end, those above others first.
    finish: Vec<(PathBuf, u32, (i64, u32))>,
    /// Folders that were there and could not be written.
    loosened: Vec<(PathBuf, Permissions)>,
}

impl<'a> Placing<'a> {
    fn new(anchor: &'a dyn Fn(&OsStr) -> Option<Anchor>) -> Self {
        Self {
            anchor,
            anchors: BTreeMap::new(),
            made: HashSet::new(),
            placed: HashSet::new(),
            finish: Vec::new(),
            loosened: Vec::new(),
        }
    }

    /// The folder of that name, or that the name is in; made with all above it.
    fn folder_of(&mut self, name: &Path, itself: bool) -> Result<PathBuf, TreeError> {
        let parts = parts(name)?;
        let (first, below) = parts.split_first().ok_or(TreeError::refused(name, "has no name"))?;
        let anchor = self.anchor_of(first, name)?;
        let below = match itself {
            true => below,
            false => below.split_last().ok_or(TreeError::refused(name, "has no name"))?.1,
        };
        let mut at = anchor.folder;
        for part in below {
            at.push(part);
            if !self.made.contains(&at) {
                self.enter(&at, anchor.follows)?;
                self.made.insert(at.clone());
            }
        }
        Ok(at)
    }

    fn anchor_of(&mut self, first: &OsStr, name: &Path) -> Result<Anchor, TreeError> {
        if let Some(known) = self.anchors.get(first) {
            return Ok(known.clone());
        }
        let wanted = (self.anchor)(first);
        let wanted = wanted.ok_or(TreeError::refused(name, "belongs nowhere here"))?;
        let failed = || TreeError::file("create", &wanted.folder);
        fs::create_dir_all(&wanted.folder).map_err(failed())?;
        let folder = wanted.folder.canonicalize().map_err(failed())?;
        self.loosen(&folder)?;
        let anchor = Anchor { folder, ..wanted };
        self.anchors.insert(first.to_owned(), anchor.clone());
        Ok(anchor)
    }

    /// Makes a folder that can be gone into.
    fn enter(&mut self, folder: &Path, follows: bool) -> Result<(), TreeError> {
        let create = || TreeError::file("create", folder);
        if self.placed.contains(folder) {
            return Err(TreeError::refused(folder, "is no folder, and something lies below it"));
        }
        match fs::symlink_metadata(folder) {
            Ok(found) if found.is_dir() => return self.loosen(folder),
            Ok(found) if found.is_symlink() && follows && folder.is_dir() => {
                return self.loosen(folder);
            }
            Ok(_) => fs::remove_file(folder).map_err(create())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(create()(error)),
        }
        DirBuilder::new().mode(0o755).create(folder).map_err(create())
    }

    fn loosen(&mut self, folder: &Path) -> Result<(), TreeError> {
        let failed = || TreeError::file("open", folder);
        let permissions = fs::metadata(folder).map_err(failed())?.permissions();
        if permissions.mode() & 0o300 != 0o300 {
            let loose = Permissions::from_mode(permissions.mode() | 0o700);
            fs::set_permissions(folder, loose).map_err(failed())?;
            self.loosened.push((folder.to_owned(), permissions));
        }
        Ok(())
    }

    /// A place in a folder with nothing in it.
    fn free(&mut self, name: &Path) -> Result<PathBuf, TreeError> {
        let folder = self.folder_of(name, false)?;
        let last = name.file_name().ok_or(TreeError::refused(name, "has no name"))?;
        let to = folder.join(last);
        if !self.placed.insert(to.clone()) || self.made.contains(&to) {
            return Err(TreeError::refused(name, "is there twice"));
        }
        let replace = || TreeError::file("replace", &to);
        match fs::symlink_metadata(&to) {
            // One that is not empty is not taken away for a file.
            Ok(found) if found.is_dir() => fs::remove_dir(&to).map_err(replace())?,
            Ok(_) => fs::remove_file(&to).map_err(replace())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(replace()(error)),
        }
        Ok(to)
    }

    fn link(&mut self, name: &Path, target: &Path) -> Result<(), TreeError> {
        let bytes = target.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX || bytes.contains(&0) {
            return Err(TreeError::refused(name, "links to no name of a file"));
        }
        let to = self.free(name)?;
        symlink(target, &to).map_err(TreeError::file("link", &to))
    }

    /// Folders get their times and modes when nothing is put into them any more, the deepest first.
    fn done(self) -> Result<(), TreeError> {
        let failed = |folder: &PathBuf| TreeError::file("close", folder);
        for (folder, _, modified) in self.finish.iter().rev() {
            let opened = File::open(folder);
            opened.and_then(|open| open.set_times(times(*modified))).map_err(failed(folder))?;
        }
        for (folder, mode, _) in self.finish.iter().rev() {
            let mode = Permissions::from_mode(mode & 0o777);
            fs::set_permissions(folder, mode).map_err(failed(folder))?;
        }
        let is_finished = |folder: &PathBuf| self.finish.iter().any(|(own, ..)| own == folder);
        for (folder, before) in self.loosened.iter().rev() {
            if !is_finished(folder) {
                fs::set_permissions(folder, before.clone()).map_err(failed(folder))?;
            }
        }
        Ok(())
    }
}

/// The parts of a name that leads nowhere but down.
fn parts(name: &Path) -> Result<Vec<&OsStr>, TreeError> {
    let bytes = name.as_os_str().as_bytes();
    if bytes.len() > NAME_BYTES_MAX || bytes.contains(&0) {
        return Err(TreeError::refused(name, "is no name of a file"));
    }
    let mut parts = Vec::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            _ => return Err(TreeError::refused(name, "leads out of its tree")),
        }
    }
    if parts.len() > DEPTH_MAX {
        return Err(TreeError::refused(name, "lies too deep"));
    }
    Ok(parts)
}

fn times((seconds, nanoseconds): (i64, u32)) -> FileTimes {
    let since = Duration::new(seconds.unsigned_abs(), 0);
    let moment = match seconds >= 0 {
        true => SystemTime::UNIX_EPOCH.checked_add(since),
        false => SystemTime::UNIX_EPOCH.checked_sub(since),
    };
    let exact = moment.and_then(|at| at.checked_add(Duration::from_nanos(nanoseconds.into())));
    FileTimes::new().set_modified(exact.unwrap_or(SystemTime::UNIX_EPOCH))
}
