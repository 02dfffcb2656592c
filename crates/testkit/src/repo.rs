use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use grit_types::CommitId;
use tempfile::TempDir;

use crate::temp_dir;

/// The first commit's time, 2026-01-02T03:04:05Z; each later one is a minute after the one before.
const FIRST_COMMIT: u64 = 1_767_323_045;

/// A git repository with a working tree, in a temporary folder, made step by step. The same steps
/// always give the same commit ids.
#[derive(Debug)]
pub struct TestRepo {
    folder: TempDir,
    commits: u64,
}

/// An empty repository on branch `main`.
#[track_caller]
pub fn repo() -> TestRepo {
    let folder = temp_dir();
    git(folder.path(), &["init", "--quiet", "--initial-branch=main", "--template=", "."]);
    TestRepo { folder, commits: 0 }
}

impl TestRepo {
    /// The working tree.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; the folders above it are made.
    #[track_caller]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.prepared(path);
        fs::write(path, content).expect("write a file");
        self
    }

    /// Writes a file that may be executed.
    #[track_caller]
    pub fn executable(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let file = self.prepared(path);
        fs::write(&file, content).expect("write a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("make it executable");
        self
    }

    /// Makes a symbolic link.
    #[track_caller]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        symlink(target, self.prepared(path)).expect("make a symbolic link");
        self
    }

    /// Commits everything that the working tree holds, even if nothing changed.
    #[track_caller]
    pub fn commit(mut self, message: &str) -> Self {
        self.git(&["add", "--all"]);
        self.commits += 1;
        self.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "-m", message]);
        self
    }

    /// Tags HEAD, with a tag object of its own.
    #[track_caller]
    pub fn tag(self, name: &str) -> Self {
        self.git(&["tag", "-a", "-m", name, name]);
        self
    }

    /// Makes a branch at HEAD and goes there.
    #[track_caller]
    pub fn branch(self, name: &str) -> Self {
        self.git(&["checkout", "--quiet", "-b", name]);
        self
    }

    /// The commit that HEAD is at.
    #[track_caller]
    pub fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().expect("git writes an id")
    }

    /// Runs git in the working tree; answers what it printed, without the last line end.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let seconds = FIRST_COMMIT + 60 * self.commits.saturating_sub(1);
        run(self.path(), args, seconds)
    }

    #[track_caller]
    fn prepared(&self, path: &str) -> std::path::PathBuf {
        let path = self.path().join(path);
        let folder = path.parent().expect("a path in the repository");
        fs::create_dir_all(folder).expect("make a folder");
        path
    }
}

/// Runs git in `folder` with fixed dates and identities and without anyone's configuration;
/// answers what it printed, without the last line end, and panics when it fails.
#[track_caller]
pub fn git(folder: &Path, args: &[&str]) -> String {
    run(folder, args, FIRST_COMMIT)
}

#[track_caller]
fn run(folder: &Path, args: &[&str], seconds: u64) -> String {
    let mut command = Command::new("git");
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_"))
    {
        command.env_remove(name);
    }
    let date = format!("{seconds} +0000");
    command
        .current_dir(folder)
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
        .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.invalid")])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.invalid")]);
    let output = command.output().expect("start git: apt-get install -y git");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_steps_give_the_same_commit() {
        let make = || repo().file("a/b", "x\n").commit("first").tag("v1").commit("second");
        let (one, other) = (make(), make());
        assert_eq!(one.head(), other.head());
        assert_eq!(one.git(&["describe"]), other.git(&["describe"]));
    }
}
