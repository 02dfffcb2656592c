use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::repo::Repo;

/// The longest that one check may take, its build included.
const CHECK_MAX: &str = "20m";
/// With these timeout(1) says that the deadline came, and that it had to kill.
const TIMED_OUT: i32 = 124;
const TIMED_OUT_KILLED: i32 = 137;

/// A scratch worktree of HEAD, gone when dropped.
pub struct Tree<'a> {
    repo: &'a Repo,
    folder: TempDir,
    target: PathBuf,
}

/// What a check did.
#[derive(Debug)]
pub struct Checked {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub timed_out: bool,
    /// stdout and stderr as they came.
    pub output: String,
}

impl<'a> Tree<'a> {
    /// All worktrees build into `target`, so that only what a patch touches is compiled again.
    pub fn at_head(repo: &'a Repo, target: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("grit-plant-")
            .tempdir()
            .context("create a scratch folder")?;
        // A run that was interrupted leaves a record of a folder that is gone.
        git(&mut repo.git(&["worktree", "prune"]))?;
        let tree = Self { repo, folder, target: target.to_path_buf() };
        let mut add = repo.git(&["worktree", "add", "--quiet", "--detach"]);
        git(add.arg(tree.path()).arg("HEAD"))?;
        Ok(tree)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Back to HEAD.
    pub fn clean(&self) -> Result<()> {
        git(Command::new("git").args(["reset", "--quiet", "--hard"]).current_dir(self.path()))?;
        git(Command::new("git").args(["clean", "--quiet", "-fd"]).current_dir(self.path()))
    }

    /// The inner error is git's reason why the patch does not fit.
    pub fn apply(&self, patch: &Path) -> Result<Result<(), String>> {
        let output = Command::new("git")
            .args(["apply", "--whitespace=nowarn", "--"])
            .arg(patch)
            .current_dir(self.path())
            .output()
            .context("start git apply")?;
        let why = || {
            String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or("no reason given")
                .to_owned()
        };
        Ok(if output.status.success() { Ok(()) } else { Err(why()) })
    }

    /// Runs `check` to its end or to its deadline; then it and all its children are killed.
    pub fn check(&self, check: &[String]) -> Result<Checked> {
        let log = self.folder.path().join("log");
        let out = File::create(&log).context("create the log of the check")?;
        // coreutils' timeout is the leader of a process group, so it reaches what cargo has started.
        let status = Command::new("timeout")
            .args(["--kill-after=10s", CHECK_MAX])
            .args(check)
            .current_dir(self.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .env("INSTA_UPDATE", "no")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .status()
            .context("start timeout (coreutils)")?;
        let log = std::fs::read(&log).context("read the log of the check")?;
        let output = String::from_utf8_lossy(&log).into_owned();
        let timed_out = matches!(status.code(), Some(TIMED_OUT | TIMED_OUT_KILLED));
        Ok(Checked { code: status.code(), timed_out, output })
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        let mut remove = self.repo.git(&["worktree", "remove", "--force"]);
        if let Err(error) = git(remove.arg(self.path())) {
            eprintln!("plant: the scratch worktree stays: {error:#}");
        }
    }
}

fn git(command: &mut Command) -> Result<()> {
    let output = command.output().context("start git")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
