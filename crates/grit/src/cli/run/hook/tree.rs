//! The working tree and the index that hooks are run on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use grit_git::{Git, GitError};
use grit_types::Digest;

use crate::cli::place::git_failure;
use crate::exit::{Exit, Failure};

/// A working tree; its index may be another one while git commits.
pub struct WorkTree {
    pub folder: PathBuf,
    /// What of it is its own: not shared with linked working trees.
    pub git_dir: PathBuf,
    index: Option<OsString>,
}

impl WorkTree {
    pub fn new(folder: PathBuf, git_dir: PathBuf) -> Self {
        Self { folder, git_dir, index: std::env::var_os("GIT_INDEX_FILE") }
    }

    /// The file of the index that counts.
    pub fn index(&self) -> PathBuf {
        match &self.index {
            Some(named) => self.folder.join(named),
            None => self.git_dir.join("index"),
        }
    }

    /// What git answers; anything but success is a failure.
    pub fn run(&self, git: Git) -> Result<Vec<u8>, Failure> {
        self.run_with(git, &self.index(), Vec::new())
    }

    /// The same, with another index, reading `input`.
    pub fn run_with(&self, git: Git, index: &Path, input: Vec<u8>) -> Result<Vec<u8>, Failure> {
        use std::io::Write;
        use std::process::Stdio;
        let mut command = git.worktree(&self.folder).into_command();
        command.env("GIT_INDEX_FILE", index).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => git_failure(&GitError::Missing(error)),
            _ => Failure::because("git cannot be run", &error),
        };
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let writer = std::thread::spawn(move || {
            // Who does not read to the end says why by how it exits.
            stdin.map(|mut stdin| stdin.write_all(&input))
        });
        let output = child.wait_with_output().map_err(failed)?;
        let _ = writer.join();
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::new(Exit::Environment, "git", format!("git: {said}")))
    }

    /// The paths that are staged and there.
    pub fn staged(&self) -> Result<Vec<String>, Failure> {
        let git = Git::new("diff").flag("--cached").flag("--name-only").flag("--no-ext-diff");
        let listed = self.run(git.flag("-z").flag("--diff-filter=ACMRTUXB"))?;
        Ok(names(&listed))
    }

    /// Every path that is tracked.
    pub fn tracked(&self) -> Result<Vec<String>, Failure> {
        self.run(Git::new("ls-files").flag("-z")).map(|listed| names(&listed))
    }

    /// What tells whether tracked files have changed in between.
    pub fn digest(&self) -> Result<Digest, Failure> {
        let git = Git::new("diff").flag("--no-ext-diff").flag("--no-textconv");
        let difference = self.run(git.flag("--ignore-submodules").flag("--binary"))?;
        Ok(Digest::of(&difference))
    }
}

fn names(listed: &[u8]) -> Vec<String> {
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}
