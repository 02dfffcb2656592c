use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::repo::Repo;

/// The longest that one check may take, its build included.
const CHECK_MAX: Duration = Duration::from_secs(20 * 60);
const POLL: Duration = Duration::from_millis(50);

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

    /// Runs `check` to its end or to its deadline, in a process group of its own so that nothing of it stays.
    pub fn check(&self, check: &[String]) -> Result<Checked> {
        let (program, args) = check.split_first().context("a check has a program")?;
        let log = self.folder.path().join("log");
        let out = File::create(&log).context("create the log of the check")?;
        let mut child = Command::new(program)
            .args(args)
            .current_dir(self.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .env("INSTA_UPDATE", "no")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {program}"))?;

        let deadline = Instant::now() + CHECK_MAX;
        let mut timed_out = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                timed_out = true;
                kill_group(child.id());
                break child.wait()?;
            }
            thread::sleep(POLL);
        };
        let output =
            String::from_utf8_lossy(&std::fs::read(&log).context("read the log of the check")?)
                .into_owned();
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

fn kill_group(leader: u32) {
    // The group may be gone already; then there is nothing left to end.
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{leader}")]).status();
}

fn git(command: &mut Command) -> Result<()> {
    let output = command.output().context("start git")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
