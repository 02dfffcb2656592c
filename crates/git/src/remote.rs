//! How Grit fetches from a remote and pushes to it: the ledger and the locks alike.

use std::path::Path;
use std::time::Duration;

use grit_types::CommitId;

use crate::Git;

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
