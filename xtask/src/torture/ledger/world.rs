//! A remote and two clones, made once and copied for every kill.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// What is done under the knife.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Create,
    /// With an event to send and one to take.
    Sync,
    Acquire,
}

impl Deed {
    pub const ALL: [Self; 3] = [Self::Create, Self::Sync, Self::Acquire];

    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Sync => "sync",
            Self::Acquire => "acquire",
        }
    }

    pub fn args(self) -> &'static [&'static str] {
        match self {
            Self::Create => &["issue", "create", "--title", "under the knife"],
            Self::Sync => &["sync"],
            Self::Acquire => &["lock", "acquire", RESOURCE, "--ttl", "1h"],
        }
    }
}

pub const RESOURCE: &str = "deploy:production";

/// Counts the runs of git, the remote's too, and has the one that is asked for killed, or all of them traced.
const SHIM: &str = r#"#!/bin/sh
export GIT_EXEC_PATH=@SHIMS@
[ -n "$TORTURE_COUNT" ] || exec @GIT@ "$@"
n=0
until mkdir "$TORTURE_COUNT/$n" 2>/dev/null; do n=$((n+1)); done
if [ -n "$TORTURE_TRACE" ]; then
  exec strace -qq -s 0 -o "$TORTURE_COUNT/$n/trace" -e "trace=$TORTURE_TRACE" @GIT@ "$@"
fi
if [ "$n" = "$TORTURE_CHILD" ]; then
  exec strace -qq -o "$TORTURE_COUNT/$n/killed" -e "trace=$TORTURE_CALL" \
    -e "inject=$TORTURE_CALL:signal=KILL:when=$TORTURE_NTH" @GIT@ "$@"
fi
exec @GIT@ "$@"
"#;

pub struct Template {
    folder: TempDir,
    grit: PathBuf,
}

impl Template {
    pub fn make(grit: PathBuf) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("grit-torture-").tempdir()?;
        let template = Self { folder, grit };
        let root = template.path("");
        fs::write(
            template.path("gitconfig"),
            "[user]\n\tname = T\n\temail = t@localhost\n[init]\n\tdefaultBranch = main\n",
        )?;
        template.shim()?;
        fs::create_dir(template.path("world"))?;
        let world =
            World { template: &template, root: root.join("world"), folder: None, within: None };
        world.git("", &["init", "--quiet", "--bare", "team.git"])?;
        for clone in ["ours", "theirs"] {
            world.git("", &["clone", "--quiet", "team.git", clone])?;
            world.git(clone, &["remote", "set-url", "origin", "../team.git"])?;
        }
        world.git("ours", &["commit", "--quiet", "--allow-empty", "--message", "work"])?;
        world.done("ours", &["issue", "create", "--title", "first"])?;
        world.done("ours", &["sync"])?;
        world.done("theirs", &["sync"])?;
        world.done("theirs", &["issue", "create", "--title", "theirs"])?;
        world.done("theirs", &["sync"])?;
        // What a look at the tracker keeps is there already.
        world.done("ours", &["issue", "list"])?;
        world.done("ours", &["issue", "create", "--title", "not sent yet"])?;
        Ok(template)
    }

    /// Git's own folder of programs, with `git` itself replaced.
    fn shim(&self) -> Result<()> {
        let told = Command::new("git").arg("--exec-path").output().context("start git")?;
        let programs = PathBuf::from(String::from_utf8(told.stdout)?.trim());
        let shims = self.path("shims");
        fs::create_dir(&shims)?;
        for entry in fs::read_dir(&programs)? {
            let entry = entry?;
            if entry.file_name() != "git" {
                symlink(entry.path(), shims.join(entry.file_name()))?;
            }
        }
        let shim = shims.join("git");
        let text = SHIM.replace("@SHIMS@", &shims.display().to_string());
        let text = text.replace("@GIT@", &programs.join("git").display().to_string());
        fs::write(&shim, text)?;
        fs::set_permissions(&shim, fs::Permissions::from_mode(0o755))?;
        // Their names must lead to the shim as well: they call `git` by the folder that they are in.
        for name in ["git-upload-pack", "git-receive-pack"] {
            let path = shims.join(name);
            let verb = name.trim_start_matches("git-");
            let _ = fs::remove_file(&path);
            fs::write(&path, format!("#!/bin/sh\nexec {} {verb} \"$@\"\n", shim.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A world of its own.
    pub fn copy(&self) -> Result<World<'_>> {
        let folder = tempfile::Builder::new().prefix("world-").tempdir_in(self.folder.path())?;
        let root = folder.path().join("w");
        copy(&self.path("world"), &root)?;
        Ok(World { template: self, root, folder: Some(folder), within: None })
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().context("start cp")?;
    ensure!(copied.success(), "cp fails");
    Ok(())
}

pub struct World<'a> {
    template: &'a Template,
    root: PathBuf,
    /// Kept until the world ends.
    folder: Option<TempDir>,
    /// The process whose file systems its programs see.
    within: Option<u32>,
}

impl World<'_> {
    /// From now on its programs see the file systems that this process sees.
    pub fn enter(&mut self, pid: u32) {
        self.within = Some(pid);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A name that only this world's processes have in their environment.
    pub fn mark(&self) -> String {
        self.folder.as_ref().map_or(&*self.root, TempDir::path).display().to_string()
    }

    /// A program in a clone, git replaced by the shim.
    pub fn command(&self, program: impl AsRef<OsStr>, clone: &str) -> Command {
        let mut command = self.seeing(program.as_ref(), &self.path(clone));
        let shims = self.template.path("shims");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", shims.display()))
            .env("GIT_CONFIG_GLOBAL", self.template.path("gitconfig"))
            .env("HOME", self.template.folder.path())
            .env("TORTURE_WORLD", self.mark())
            .env_remove("GRIT_SERVER")
            .env_remove("CI")
            .stdin(Stdio::null());
        command
    }

    fn seeing(&self, program: &OsStr, folder: &Path) -> Command {
        let Some(pid) = self.within else {
            let mut command = Command::new(program);
            command.current_dir(folder);
            return command;
        };
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--preserve-credentials", "--target", &pid.to_string()]);
        // A working folder that is given to `nsenter` is the one outside.
        command.args(["sh", "-c", r#"cd "$0" && exec "$@""#]).arg(folder).arg(program);
        command
    }

    pub fn program(&self) -> &Path {
        &self.template.grit
    }

    pub fn grit(&self, clone: &str, args: &[&str]) -> Result<Output> {
        self.command(self.program(), clone).args(args).output().context("start grit")
    }

    /// What it says on standard output, where it must succeed.
    pub fn done(&self, clone: &str, args: &[&str]) -> Result<String> {
        let output = self.grit(clone, args)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`grit {}` in {clone}: {}: {}", args.join(" "), output.status, said.trim());
        }
        String::from_utf8(output.stdout).context("what it said")
    }

    pub fn json(&self, clone: &str, args: &[&str]) -> Result<Value> {
        let told = self.done(clone, &[args, &["--json"]].concat())?;
        Ok(serde_json::from_str::<Value>(&told)?["data"].take())
    }

    /// The ids of all events that a clone has.
    pub fn events(&self, clone: &str) -> Result<BTreeSet<String>> {
        Ok(self.done(clone, &["log"])?.lines().map(str::to_owned).collect())
    }

    pub fn git(&self, folder: &str, args: &[&str]) -> Result<String> {
        let mut command = self.command("git", folder);
        let output = command.args(args).output().context("start git")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {}: {}", args.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
