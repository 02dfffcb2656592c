use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use gix::objs::tree::EntryRef;
use gix::objs::{Kind, TreeRefIter};
use grit_types::CommitId;

use super::tree::{EntryKind, kind, root};
use super::{BLOB_BYTES_MAX, OBJECT_BYTES_MAX, Repository, existing};
use crate::GitError;
use crate::error::{Doing, Reading};

/// A tree that unfolds to more entries is refused: a few objects can stand for millions.
pub const EXPORT_ENTRIES_MAX: usize = 500_000;

/// A tree whose files have more bytes together is refused.
pub const EXPORT_BYTES_MAX: u64 = 8 << 30;

impl Repository {
    /// Writes the files of `commit` into `into`, which is created or must be empty.
    ///
    /// No `.git`, no filters and no line-end conversion: the bytes as committed, executable bits
    /// and symbolic links included; a submodule becomes an empty folder. Links are made after
    /// everything else, so that nothing is written through one, and names that could lead out of
    /// `into` or into its `.git` are [`GitError::UnsafeTree`]. Not synced to disk.
    pub fn export_tree(&self, commit: &CommitId, into: &Path) -> Result<(), GitError> {
        fs::create_dir_all(into).doing("create", into)?;
        if fs::read_dir(into).doing("list", into)?.next().is_some() {
            return Err(GitError::Exists { path: into.to_owned() });
        }
        let repository = self.local();
        let mut export = Export::new(&repository);
        export.folders.push((root(&repository, commit)?, into.to_owned()));
        while let Some((tree, folder)) = export.folders.pop() {
            export.write_folder(tree, &folder)?;
        }
        for (target, path) in export.links {
            symlink(OsStr::from_bytes(&target), &path).doing("create", &path)?;
        }
        Ok(())
    }
}

struct Export<'a> {
    repository: &'a gix::Repository,
    folders: Vec<(gix::ObjectId, PathBuf)>,
    links: Vec<(Vec<u8>, PathBuf)>,
    entries: usize,
    bytes: u64,
}

impl<'a> Export<'a> {
    fn new(repository: &'a gix::Repository) -> Self {
        Self { repository, folders: Vec::new(), links: Vec::new(), entries: 0, bytes: 0 }
    }

    fn write_folder(&mut self, tree: gix::ObjectId, folder: &Path) -> Result<(), GitError> {
        let bytes = existing(self.repository, tree, Kind::Tree, OBJECT_BYTES_MAX)?;
        for entry in TreeRefIter::from_bytes(&bytes, tree.kind()) {
            self.write_entry(entry.reading(|| format!("tree {tree}"))?, folder)?;
        }
        Ok(())
    }

    fn write_entry(&mut self, entry: EntryRef<'_>, folder: &Path) -> Result<(), GitError> {
        self.entries += 1;
        if self.entries > EXPORT_ENTRIES_MAX {
            return Err(GitError::UnsafeTree(format!("more than {EXPORT_ENTRIES_MAX} entries")));
        }
        let path = folder.join(safe_name(entry.filename)?);
        let kind = kind(entry.mode);
        match kind {
            EntryKind::Folder => {
                fs::create_dir(&path).doing("create", &path)?;
                self.folders.push((entry.oid.to_owned(), path));
            }
            EntryKind::Submodule => fs::create_dir(&path).doing("create", &path)?,
            EntryKind::Symlink => {
                let target = self.blob(entry.oid)?;
                self.links.push((target, path));
            }
            EntryKind::File => write_file(&path, &self.blob(entry.oid)?, 0o666)?,
            EntryKind::Executable => write_file(&path, &self.blob(entry.oid)?, 0o777)?,
        }
        Ok(())
    }

    fn blob(&mut self, id: &gix::oid) -> Result<Vec<u8>, GitError> {
        let bytes = existing(self.repository, id.to_owned(), Kind::Blob, BLOB_BYTES_MAX)?;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.bytes > EXPORT_BYTES_MAX {
            return Err(GitError::UnsafeTree(format!("more than {EXPORT_BYTES_MAX} bytes")));
        }
        Ok(bytes)
    }
}

/// The system's umask takes from `mode` what it takes from any new file.
fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), GitError> {
    let mut options = OpenOptions::new();
    // Never through something that is there already, and so never through a link.
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(bytes)).doing("write", path)
}

fn safe_name(name: &[u8]) -> Result<&OsStr, GitError> {
    let dots = matches!(name, b"" | b"." | b"..");
    if dots || name.eq_ignore_ascii_case(b".git") || name.iter().any(|b| matches!(b, b'/' | 0)) {
        let shown = String::from_utf8_lossy(name).escape_debug().to_string();
        return Err(GitError::UnsafeTree(format!("the name `{shown}`")));
    }
    Ok(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/x", b".git", b".GIT", b"a\0b"] {
            assert!(safe_name(name).is_err(), "{name:?}");
        }
        for name in [&b"a"[..], b"...", b".github", b"-x", b"\xff"] {
            assert!(safe_name(name).is_ok(), "{name:?}");
        }
    }
}
