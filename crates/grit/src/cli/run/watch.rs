//! Again whenever a tracked file changes.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use grit_git::{Git, Repository};
use grit_types::CommitId;

use super::args::Run;
use super::{Stop, head, once, worktree};
use crate::cli::place::{Place, git_failure};
use crate::cli::signals::Signals;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What is looked at of a tracked file: its path, size, time and number.
type Seen = Vec<(Vec<u8>, u64, i64, i64, u64)>;

/// Until somebody ends it. A file that cannot be used is told, and the next change is waited for.
pub async fn run(options: &Run, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repository = place.repository()?;
    let folder = worktree(&repository)?;
    let mut stop = Stop { signals: Signals::listen()?, seen: 0 };
    loop {
        let before = look(&repository, &folder)?;
        match once(options, place, &mut stop, ui).await {
            Ok(Exit::Interrupted) => return Ok(Exit::Interrupted),
            Ok(_) => {}
            Err(failure) if failure.exit == Exit::Usage => ui.failure(&failure),
            Err(failure) => return Err(failure),
        }
        ui.status("Waiting for a change; Ctrl-C ends it.");
        if !changed(&repository, &folder, before, &mut stop).await? {
            return Ok(Exit::Interrupted);
        }
    }
}

/// Returns when files have changed and nothing changes any more; `false`: somebody ends it.
async fn changed(
    repository: &Repository,
    folder: &Path,
    before: (Seen, CommitId),
    stop: &mut Stop,
) -> Result<bool, Failure> {
    let mut last = before.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.signals.next() => return Ok(false),
        }
        let now = look(repository, folder)?;
        if now != before && now == last {
            return Ok(true);
        }
        last = now;
    }
}

fn look(repository: &Repository, folder: &Path) -> Result<(Seen, CommitId), Failure> {
    let listed = Git::new("ls-files").worktree(folder).flag("-z").run();
    let listed = listed.map_err(|error| git_failure(&error))?;
    let mut seen = Vec::new();
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let path = folder.join(std::ffi::OsStr::from_bytes(name));
        seen.push(match std::fs::symlink_metadata(&path) {
            Ok(file) => (name.to_owned(), file.size(), file.mtime(), file.mtime_nsec(), file.ino()),
            Err(_) => (name.to_owned(), 0, 0, 0, 0),
        });
    }
    Ok((seen, head(repository)?))
}

/// A commit of what tracked files are now; HEAD where nothing of them has changed. Nothing is moved
/// and no ref is made.
pub fn snapshot(repository: &Repository) -> Result<CommitId, Failure> {
    let head = head(repository)?;
    let folder = worktree(repository)?;
    let made = Git::new("stash").worktree(&folder).flag("create").run();
    let made = made.map_err(|error| git_failure(&error))?;
    let text = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    Ok(if text.is_empty() { head } else { text.parse().unwrap_or(head) })
}
