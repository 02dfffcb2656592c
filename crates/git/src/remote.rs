//! How Grit fetches from a remote and pushes to it: the ledger and the locks alike.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use grit_types::CommitId;

use crate::{Git, GitError, Repository};

/// So long it takes at most until a lock file that nobody holds is known as such.
const LOCKED_MAX: Duration = Duration::from_secs(6);
const LOCKED_EVERY: Duration = Duration::from_millis(100);

/// A fetch that moves the refs it is given and nothing else, and checks and syncs what it writes.
/// The folders are the caller's to sync: see [`crate::durable::sync_changed`].
pub(crate) fn fetch(git_dir: &Path, remote: &str, timeout: Duration) -> Git {
    Git::new("fetch")
        .repository(git_dir)
        .setting("core.fsync=all")
        .setting("core.fsyncMethod=fsync")
        .setting("fetch.fsckObjects=true")
        .flag("--quiet")
        .flag("--no-tags")
        .flag("--no-write-fetch-head")
        .flag("--no-auto-maintenance")
        .flag("--refmap=")
        .timeout(timeout)
        .operand(remote)
}

/// The same, without the history of what is fetched.
pub(crate) fn fetch_shallow(git_dir: &Path, remote: &str, timeout: Duration) -> Git {
    fetch(git_dir, remote, timeout).flag("--depth=1")
}

/// What the remote has below `folder`: lines `ID TAB REF`.
pub(crate) fn list(
    git_dir: &Path,
    remote: &str,
    folder: &str,
    timeout: Duration,
) -> Result<String, GitError> {
    let listed = Git::new("ls-remote")
        .repository(git_dir)
        .flag("--refs")
        .timeout(timeout)
        .operand(remote)
        .operand(format!("{folder}/*"))
        .run()?;
    Ok(String::from_utf8_lossy(&listed.stdout).into_owned())
}

/// Whether a fetch failed because of what an object holds.
///
/// Git checks what it fetches, and takes all of it or nothing: where one ref is bad, the others are
/// had only by [`fetch_apart`].
pub(crate) fn is_bad_object(stderr: &str) -> bool {
    stderr.contains("fsck error")
}

/// Fetches refspecs each by itself, and answers those that failed, with git's reason.
///
/// # Errors
/// Git ended without a word, or could not be started: nothing is known of the rest.
pub(crate) fn fetch_apart<T>(
    git_dir: &Path,
    remote: &str,
    timeout: Duration,
    refspecs: impl IntoIterator<Item = (T, String)>,
) -> Result<Vec<(T, GitError)>, GitError> {
    let mut failed = Vec::new();
    for (what, refspec) in refspecs {
        match fetch(git_dir, remote, timeout).operand(refspec).run() {
            Ok(_) => {}
            Err(error @ GitError::Failed { .. }) => failed.push((what, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(failed)
}

/// A push of the refs it is given and nothing else, which says what became of each.
pub(crate) fn push(git_dir: &Path, remote: &str, timeout: Duration) -> Git {
    Git::new("push")
        .repository(git_dir)
        .flag("--porcelain")
        .flag("--no-verify")
        .flag("--no-follow-tags")
        .flag("--recurse-submodules=no")
        .timeout(timeout)
        .operand(remote)
}

/// The push, with a ref that moves only from what is expected; nothing expected means that it must
/// not exist.
pub(crate) fn moving(push: Git, name: &str, expected: Option<&CommitId>, new: &CommitId) -> Git {
    let expected = expected.map_or("", CommitId::as_str);
    push.option("--force-with-lease=", format!("{name}:{expected}"))
        .operand(format!("{new}:{name}"))
}

/// The push, with a ref that goes if it is still what is expected.
pub(crate) fn removing(push: Git, name: &str, expected: &CommitId) -> Git {
    push.option("--force-with-lease=", format!("{name}:{expected}")).operand(format!(":{name}"))
}

/// Whether a push failed on a lock file at the remote: of one that writes there at this moment, or
/// of one that was killed.
pub(crate) fn is_locked(stderr: &str) -> bool {
    stderr.contains(".lock': File exists")
}

/// Waits until the refs of a remote that is a folder of this machine are not locked any more, and
/// removes what nobody holds. A remote elsewhere is its host's to keep.
pub(crate) fn unlock_there(repository: &Repository, remote: &str) {
    let folder = folder(repository, remote).ok().flatten();
    if let Some(there) = folder.and_then(|folder| Repository::open(&folder).ok()) {
        unlock(&there);
    }
}

/// The same for this repository, where a git that was killed left locks a moment ago.
pub(crate) fn unlock(repository: &Repository) {
    let deadline = Instant::now() + LOCKED_MAX;
    let is_locked = || repository.clear_stale_locks().and_then(|_| repository.has_locks());
    while is_locked().unwrap_or(false) && Instant::now() < deadline {
        thread::sleep(LOCKED_EVERY);
    }
}

fn folder(repository: &Repository, remote: &str) -> Result<Option<PathBuf>, GitError> {
    let url = repository.setting(&format!("remote.{remote}.url"))?;
    let path = url.map(|url| url.strip_prefix("file://").map(str::to_owned).unwrap_or(url));
    Ok(path.map(PathBuf::from).filter(|path| path.is_dir()))
}
