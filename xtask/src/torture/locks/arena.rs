//! The remote, the clones, and how `grit` is started in them.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::contender::Clock;
use crate::shell;

/// Writes down what the remote took, and drops the connection after success as long as it is told to.
const HOOK: &str = r#"#!/bin/sh
[ "$1" = committed ] || exit 0
taken=$(cat)
case "$taken" in *refs/grit/lock/*) ;; *) exit 0 ;; esac
printf 'transaction\n%s\n' "$taken" >> taken
for one in dropping.*; do
  [ -f "$one" ] && rm "$one" && kill -9 $PPID
  break
done
exit 0
"#;

pub struct Arena {
    folder: TempDir,
    binary: PathBuf,
    /// The library that gives a wrong clock.
    faketime: String,
}

impl Arena {
    pub fn make(binary: PathBuf, faketime: String, clones: usize, grace: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("grit-torture-").tempdir()?;
        let arena = Self { folder, binary, faketime };
        fs::write(
            arena.path("gitconfig"),
            "[user]\n\tname = T\n\temail = t@localhost\n[init]\n\tdefaultBranch = main\n",
        )?;
        let root = arena.path("");
        arena.git(&root, &["init", "--quiet", "--bare", "store.git"])?;
        symlink("store.git", arena.path("remote.git"))?;
        let hook = arena.remote().join("hooks/reference-transaction");
        fs::create_dir_all(hook.parent().context("hooks")?)?;
        fs::write(&hook, HOOK)?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
        for number in 0..clones {
            let clone = arena.clone(number);
            arena.git(&root, &["clone", "--quiet", "remote.git", &format!("c{number}")])?;
            arena.git(&clone, &["config", "grit.lock.grace", grace])?;
            arena.git(&clone, &["commit", "--quiet", "--allow-empty", "--message", "work"])?;
            // Whoever has looked once notices a clock that is set later.
            ensure!(
                arena.quiet(number, &["lock", "status"])? == Some(0),
                "`grit lock status` fails"
            );
        }
        Ok(arena)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The repository itself, also while its address leads nowhere.
    pub fn remote(&self) -> PathBuf {
        self.path("store.git")
    }

    pub fn clone(&self, number: usize) -> PathBuf {
        self.path(&format!("c{number}"))
    }

    /// `grit` in a clone, under a clock; what it says goes nowhere unless the caller wants it.
    pub fn grit(&self, number: usize, clock: Clock, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .current_dir(self.clone(number))
            .env_remove("GRIT_SERVER")
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("HOME", self.folder.path())
            .env("USER", format!("c{number}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let offset = match clock {
            Clock::Right => return command,
            Clock::Ahead => "+7200s",
            Clock::Behind => "-7200s",
        };
        command
            .env("LD_PRELOAD", &self.faketime)
            .env("FAKETIME", offset)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }

    /// Runs `grit` to its end under the right clock; its exit code.
    pub fn quiet(&self, number: usize, args: &[&str]) -> Result<Option<i32>> {
        let status = self.grit(number, Clock::Right, args).status().context("start grit")?;
        Ok(status.code())
    }

    pub fn git(&self, folder: &Path, args: &[&str]) -> Result<String> {
        let mut command = Command::new("git");
        command.args(args).current_dir(folder).env("GIT_CONFIG_GLOBAL", self.path("gitconfig"));
        let output = command.output().context("start git")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {}: {}", args.join(" "), stderr.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// From now on so many replies are lost.
    pub fn drop_replies(&self, count: u64) -> Result<()> {
        for entry in fs::read_dir(self.remote())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dropping."))
            {
                // The hook may have been faster.
                let _ = fs::remove_file(path);
            }
        }
        for number in 0..count {
            fs::write(self.remote().join(format!("dropping.{number}")), "")?;
        }
        Ok(())
    }

    /// The remote's address leads nowhere for so long; what is going on there goes on.
    pub fn away(&self, pause: Duration) -> Result<()> {
        let (address, away) = (self.path("remote.git"), self.path("away.git"));
        fs::rename(&address, &away)?;
        thread::sleep(pause);
        fs::rename(&away, &address)?;
        Ok(())
    }
}

/// The library that gives processes a wrong clock.
pub fn faketime() -> Result<String> {
    let told = shell::tee(Command::new("faketime").args(["-f", "+0s", "printenv", "LD_PRELOAD"]))?;
    let library = told.stdout.trim().to_owned();
    ensure!(told.status.success() && !library.is_empty(), "faketime does not say what it preloads");
    Ok(library)
}
