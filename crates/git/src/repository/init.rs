use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::GitError;
use crate::durable::{create_folders, parent, replace, sync_folder};
use crate::error::Doing;

/// `hooksPath` is named, because a person's own configuration may point git elsewhere.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tfsync = all
\tfsyncMethod = fsync
\thooksPath = hooks
\tuseReplaceRefs = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[transfer]
\tfsckObjects = true
\tunpackLimit = 1
[receive]
\tfsckObjects = true
\tautogc = false
\tdenyDeleteCurrent = refuse
\tmaxInputSize = 4g
\tunpackLimit = 1
";

const FOLDERS: [&str; 7] =
    ["grit/pending", "hooks", "info", "objects/info", "objects/pack", "refs/heads", "refs/tags"];

/// Lays out gitrepository-layout(5) beside `path` and moves it there when it is whole.
pub(super) fn init_bare(path: &Path) -> Result<(), GitError> {
    create_folders(parent(path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.tmp-{}", std::process::id()));
    if draft.exists() {
        // Of a process that had our id before us and was killed.
        fs::remove_dir_all(&draft).doing("remove", &draft)?;
    }
    let moved = lay_out(&draft).and_then(|()| take_name(&draft, path));
    if moved.is_err() {
        // A leftover costs room only, and the first error is the one to tell.
        let _ = fs::remove_dir_all(&draft);
    }
    moved?;
    sync_folder(parent(path))
}

fn lay_out(root: &Path) -> Result<(), GitError> {
    create_folders(root)?;
    for folder in FOLDERS {
        create_folders(&root.join(folder))?;
    }
    replace(&root.join("config"), CONFIG.as_bytes(), 0o644)?;
    replace(&root.join("HEAD"), b"ref: refs/heads/main\n", 0o644)
}

fn take_name(draft: &Path, path: &Path) -> Result<(), GitError> {
    match renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(GitError::Exists { path: path.to_owned() }),
        Err(error) => Err(io::Error::from(error)).doing("rename to", path),
    }
}
