//! What is not staged, put aside while hooks look at what is.
//!
//! Nothing of it is ever only in memory or only in the working tree: its tree is written to the
//! repository, and a record of it to disk, before the first file is touched. Whoever comes after a
//! kill, at any moment, finds the record and puts everything back; doing that twice changes nothing.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use grit_git::Git;
use grit_host::durable;
use serde::{Deserialize, Serialize};

use super::tree::WorkTree;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Keeps the tree that is put aside from being collected; linked working trees have their own.
const REF: &str = "refs/worktree/grit-hook";
const VERSION: u32 = 1;

/// The record, below the git folder of the working tree.
pub const ASIDE: &str = "grit/hook.json";

const MODE_LINK: &str = "120000";
const MODE_EXECUTABLE: &str = "100755";
const MODE_SUBMODULE: &str = "160000";

/// What is put aside, as the record says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// Of what is not staged.
    tree: String,
    entries: Vec<Entry>,
}

/// A file that is not as it is staged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    path: String,
    staged: Blob,
    /// None: it was removed.
    own: Option<Blob>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Blob {
    mode: String,
    oid: String,
}

/// The right to run hooks on a working tree.
pub struct Alone {
    _lock: File,
}

impl Alone {
    /// One at a time; what one that was killed has put aside is put back first.
    pub fn acquire(tree: &WorkTree, ui: &Ui) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::because("the git folder cannot be used", &error);
        durable::create_dir_all(&folder(tree)).map_err(failed)?;
        let path = folder(tree).join("hook.lock");
        let lock = File::options().create(true).append(true).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = "hooks are run on this working tree by another process";
                return Err(Failure::new(Exit::Conflict, "in_use", message));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        recover(tree, ui)?;
        Ok(Self { _lock: lock })
    }
}

/// What is not staged, out of the way.
pub struct Aside {
    record: Option<Record>,
}

impl Aside {
    /// Makes the tracked files as they are staged.
    pub fn put(tree: &WorkTree) -> Result<Self, Failure> {
        let staged = tree.run(Git::new("write-tree")).map_err(|failure| {
            Failure::new(Exit::Conflict, "unmerged", failure.message)
                .hint("hooks look at what is staged: resolve the conflicts first")
        })?;
        let own = own_tree(tree)?;
        let entries = differences(tree, &text(&staged), &own)?;
        if entries.is_empty() {
            return Ok(Self { record: None });
        }
        let keep = Git::new("update-ref").setting("core.fsync=all").operand(REF).operand(&own);
        tree.run(keep)?;
        let record = Record { version: VERSION, tree: own, entries };
        write_record(tree, &record)?;
        let paths: Vec<u8> =
            record.entries.iter().flat_map(|entry| entry.path.bytes().chain([0])).collect();
        let checkout = Git::new("checkout-index").flag("-f").flag("-z").flag("--stdin");
        tree.run_with(checkout, &tree.index(), paths)?;
        Ok(Self { record: Some(record) })
    }

    pub fn is_empty(&self) -> bool {
        self.record.is_none()
    }

    /// Puts it back, on top of what hooks have changed; answers the files whose changes by hooks were
    /// undone because the two do not go together.
    pub fn put_back(self, tree: &WorkTree) -> Result<Vec<String>, Failure> {
        let Some(record) = self.record else { return Ok(Vec::new()) };
        let mut undone = Vec::new();
        for entry in &record.entries {
            match now(tree, &entry.path)? {
                now if now == entry.own => {}
                now if now.as_ref() == Some(&entry.staged) => write(tree, entry)?,
                _ => {
                    if !merged(tree, entry)? {
                        undone.push(entry.path.clone());
                        write(tree, entry)?;
                    }
                }
            }
        }
        forget(tree)?;
        Ok(undone)
    }
}

/// After a kill: what was put aside wins, and what stands in its place by now is kept beside.
fn recover(tree: &WorkTree, ui: &Ui) -> Result<(), Failure> {
    let Some(record) = read_record(tree)? else { return Ok(()) };
    for entry in &record.entries {
        let now = now(tree, &entry.path)?;
        if now == entry.own {
            continue;
        }
        if now.is_some() && now.as_ref() != Some(&entry.staged) {
            let kept = keep(tree, &entry.path)?;
            ui.status(format!("{} as it was found is in {}", entry.path, kept.display()));
        }
        write(tree, entry)?;
    }
    forget(tree)?;
    let count = record.entries.len();
    ui.status(format!(
        "Put back what was not staged when a run of hooks was killed: {count} files"
    ));
    Ok(())
}

/// The tree of the tracked files as they are.
fn own_tree(tree: &WorkTree) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::because("the index cannot be copied", &error);
    let index = folder(tree).join("hook.index");
    match fs::copy(tree.index(), &index) {
        Ok(_) => {}
        // Nothing was ever staged.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let add = Git::new("add").setting("core.fsync=all").flag("--update");
    tree.run_with(add, &index, Vec::new())?;
    let written = Git::new("write-tree").setting("core.fsync=all");
    let written = tree.run_with(written, &index, Vec::new())?;
    let _ = fs::remove_file(&index);
    Ok(text(&written))
}

/// What differs between two trees; files that are not staged at all stay where they are.
fn differences(tree: &WorkTree, staged: &str, own: &str) -> Result<Vec<Entry>, Failure> {
    let git = Git::new("diff-tree").flag("-r").flag("-z").flag("--no-renames");
    let listed = tree.run(git.operand(staged).operand(own))?;
    let mut parts = listed.split(|byte| *byte == 0);
    let mut entries = Vec::new();
    while let (Some(head), Some(path)) = (parts.next(), parts.next()) {
        let head = String::from_utf8_lossy(head).into_owned();
        let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let [old_mode, new_mode, old, new, status] = words.as_slice() else { continue };
        if status.starts_with('A') || *old_mode == MODE_SUBMODULE || *new_mode == MODE_SUBMODULE {
            continue;
        }
        let path = String::from_utf8(path.to_owned()).map_err(|_| {
            Failure::new(
                Exit::Usage,
                "name",
                "a file that is not staged has a name that is no UTF-8",
            )
            .hint("stage it, or put it aside yourself: `git stash -k`")
        })?;
        let blob = |mode: &str, oid: &str| Blob { mode: mode.to_owned(), oid: oid.to_owned() };
        let own = (!status.starts_with('D')).then(|| blob(new_mode, new));
        entries.push(Entry { path, staged: blob(old_mode, old), own });
    }
    Ok(entries)
}

/// What stands at a path, as git would store it.
fn now(tree: &WorkTree, path: &str) -> Result<Option<Blob>, Failure> {
    let full = tree.folder.join(path);
    let Ok(metadata) = fs::symlink_metadata(&full) else { return Ok(None) };
    if metadata.file_type().is_symlink() {
        let target = fs::read_link(&full);
        let target = target.map_err(|error| Failure::because("a link cannot be read", &error))?;
        let git = Git::new("hash-object").flag("--stdin");
        let oid = tree.run_with(git, &tree.index(), target.as_os_str().as_bytes().to_owned())?;
        return Ok(Some(Blob { mode: MODE_LINK.to_owned(), oid: text(&oid) }));
    }
    if !metadata.is_file() {
        return Ok(Some(Blob { mode: "040000".to_owned(), oid: String::new() }));
    }
    let oid = tree.run(Git::new("hash-object").operand(path))?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    let mode = if executable { MODE_EXECUTABLE } else { "100644" };
    Ok(Some(Blob { mode: mode.to_owned(), oid: text(&oid) }))
}

/// Makes the file as it was, at once and whole.
fn write(tree: &WorkTree, entry: &Entry) -> Result<(), Failure> {
    let path = tree.folder.join(&entry.path);
    let failed = |error: io::Error| {
        Failure::because(&format!("{} cannot be put back", entry.path), &error)
            .hint("nothing is lost: `grit run --hook pre-commit` tries again")
    };
    let Some(own) = &entry.own else {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
    };
    let bytes = content(tree, &entry.path, own)?;
    let above = above_of(&path);
    fs::create_dir_all(above).map_err(failed)?;
    if own.mode == MODE_LINK {
        let _ = fs::remove_file(&path);
        let target = Path::new(std::ffi::OsStr::from_bytes(&bytes));
        return std::os::unix::fs::symlink(target, &path).map_err(failed);
    }
    replace(&path, above, &bytes, own.mode == MODE_EXECUTABLE).map_err(failed)
}

fn replace(path: &Path, above: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    use std::io::Write;
    let mut file = tempfile::Builder::new().prefix(".grit-").tempfile_in(above)?;
    file.write_all(bytes)?;
    let mode = match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => there.permissions().mode() & 0o666,
        _ => 0o644,
    };
    let mode = if executable { mode | (mode & 0o444) >> 2 } else { mode };
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// The bytes of a file as they stand in the working tree.
fn content(tree: &WorkTree, path: &str, blob: &Blob) -> Result<Vec<u8>, Failure> {
    if blob.mode == MODE_LINK {
        return tree.run(Git::new("cat-file").flag("blob").operand(&blob.oid));
    }
    tree.run(Git::new("cat-file").flag("--filters").option("--path=", path).operand(&blob.oid))
}

/// What hooks have changed together with what was put aside, where that goes together.
fn merged(tree: &WorkTree, entry: &Entry) -> Result<bool, Failure> {
    let Some(own) = entry.own.as_ref().filter(|own| own.mode != MODE_LINK) else {
        return Ok(false);
    };
    let path = tree.folder.join(&entry.path);
    if entry.staged.mode == MODE_LINK || !path.is_file() {
        return Ok(false);
    }
    let failed = |error: io::Error| Failure::because("a file cannot be merged", &error);
    let folder = tempfile::tempdir().map_err(failed)?;
    let [ours, base, theirs] = ["ours", "base", "theirs"].map(|name| folder.path().join(name));
    fs::copy(&path, &ours).map_err(failed)?;
    fs::write(&base, content(tree, &entry.path, &entry.staged)?).map_err(failed)?;
    fs::write(&theirs, content(tree, &entry.path, own)?).map_err(failed)?;
    let git = Git::new("merge-file").flag("-p").flag("--quiet");
    match tree.run(git.operand(&ours).operand(&base).operand(&theirs)) {
        Ok(bytes) => {
            let executable = own.mode == MODE_EXECUTABLE;
            replace(&path, above_of(&path), &bytes, executable).map_err(failed)?;
            Ok(true)
        }
        // It counts the conflicts in its exit status.
        Err(_) => Ok(false),
    }
}

/// Copies what stands at a path to where nobody overwrites it.
fn keep(tree: &WorkTree, path: &str) -> Result<PathBuf, Failure> {
    let failed = |error: io::Error| Failure::because("a file cannot be kept aside", &error);
    let above = folder(tree).join("found");
    durable::create_dir_all(&above).map_err(failed)?;
    let name = path.replace('/', "-");
    let free =
        (1..).map(|number| above.join(format!("{name}.{number}"))).find(|path| !path.exists());
    // There is always a next number.
    let to = free.unwrap_or_else(|| above.join(&name));
    let from = tree.folder.join(path);
    let bytes = match fs::read_link(&from) {
        Ok(target) => target.into_os_string().into_encoded_bytes(),
        Err(_) => fs::read(&from).map_err(failed)?,
    };
    durable::write(&to, &bytes).map_err(failed)?;
    Ok(to)
}

fn folder(tree: &WorkTree) -> PathBuf {
    tree.git_dir.join("grit")
}

fn record_path(tree: &WorkTree) -> PathBuf {
    tree.git_dir.join(ASIDE)
}

fn write_record(tree: &WorkTree, record: &Record) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(record).unwrap_or_default();
    let written = durable::write(&record_path(tree), &bytes);
    written.map_err(|error| Failure::because("what is put aside cannot be recorded", &error))
}

fn read_record(tree: &WorkTree) -> Result<Option<Record>, Failure> {
    let path = record_path(tree);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::because("the record of hooks cannot be read", &error)),
    };
    let record = serde_json::from_slice(&bytes).ok();
    record.filter(|record: &Record| record.version == VERSION).map(Some).ok_or_else(|| {
        let message = format!("{} is of another version of Grit", path.display());
        Failure::environment(message)
            .hint(format!("`git read-tree -u --reset {REF}` has the files"))
    })
}

fn forget(tree: &WorkTree) -> Result<(), Failure> {
    durable::remove(&record_path(tree))
        .map_err(|error| Failure::because("the record of hooks cannot be removed", &error))?;
    tree.run(Git::new("update-ref").flag("-d").operand(REF)).map(drop)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn above_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
