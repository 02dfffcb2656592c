use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use super::{
    calls::{self, Call},
    model::{self, Issues},
};

/// The clone that scripts run in, and the one that looks on.
pub const HERE: &str = "here";
pub const THERE: &str = "there";

/// Writes down each call and what came of it, and what the other clone sees of locks at that moment.
const SHIM: &str = r#"#!/bin/sh
number=1
until mkdir "$calls/$number" 2>/dev/null; do number=$((number + 1)); done
call=$calls/$number
printf '%s\0' "$@" > "$call/argv"
cat > "$call/stdin"
"$real" "$@" < "$call/stdin" > "$call/stdout" 2> "$call/stderr"
code=$?
case "$1 $2 $code" in
"lock acquire 0")
    "$real" "$@" > /dev/null 2>&1
    echo $? > "$call/again"
    (cd "$there" && "$real" "$@") > /dev/null 2>&1
    echo $? > "$call/again-elsewhere"
    ;;
"issue create 0")
    id=$(sed -n 's/.*"id":"\([a-z0-9]*\)".*/\1/p; /^[a-z0-9]*$/p' "$call/stdout")
    for name in $names; do echo "$name=$id"; done > "$vars"
    ;;
esac
case "$1" in
lock) (cd "$there" && "$real" lock status --json) > "$call/elsewhere" 2>&1 ;;
esac
cat "$call/stdout"
cat "$call/stderr" >&2
echo $code > "$call/exit"
exit $code
"#;

/// A bare remote, two clones of it, and a `grit` on the PATH that writes down how it is called.
pub struct World {
    root: PathBuf,
    grit: PathBuf,
    /// Variables that hold the id of the issue that was created last.
    ids: Vec<String>,
    _folder: TempDir,
}

/// What a command did.
pub struct Told {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn make(grit: &Path, ids: Vec<String>) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let root = folder.path().canonicalize()?;
        let world = Self { root, grit: grit.to_owned(), ids, _folder: folder };
        for folder in ["calls", "programs", "bin", "home"] {
            fs::create_dir(world.path(folder))?;
        }
        world.git("", &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"])?;
        for clone in [HERE, THERE] {
            world.git("", &["clone", "--quiet", "remote.git", clone])?;
            world.git(clone, &["config", "user.name", "Seed"])?;
            world.git(clone, &["config", "user.email", "seed@localhost"])?;
        }
        world.commit("the first")?;
        world.git(THERE, &["pull", "--quiet"])?;
        world.script(
            "bin/grit",
            &format!("{}{}", world.names(), SHIM.trim_start_matches("#!/bin/sh\n")),
        )?;
        // Before each command of a script, so that it finds the newest id.
        let trap = format!("set -o functrace\ntrap '. {}' DEBUG\n", world.path("vars").display());
        fs::write(world.path("before"), trap)?;
        world.remember("")?;
        Ok(world)
    }

    fn names(&self) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!(
            "real='{}'\ncalls='{}'\nthere='{}'\nvars='{}'\nnames='{}'\n",
            self.grit.display(),
            path("calls"),
            path(THERE),
            path("vars"),
            self.ids.join(" ")
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn script(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}"))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?)
    }

    /// What the variables for ids hold until a script creates an issue.
    pub fn remember(&self, id: &str) -> Result<()> {
        let lines = self.ids.iter().map(|name| format!("{name}={id}\n"));
        Ok(fs::write(self.path("vars"), lines.collect::<String>())?)
    }

    /// A program beside the scripts; it notes that it ran, and which locks the other clone sees then.
    pub fn program(&self, name: &str) -> Result<()> {
        let note = "(cd \"$there\" && \"$real\" lock status --json)";
        let to = self.path("programs").join(name);
        self.script(
            &format!("{HERE}/{name}"),
            &format!("{}{note} >> '{}'\n", self.names(), to.display()),
        )
    }

    /// What a program noted; none when it did not run.
    pub fn noted(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("programs").join(name)).ok()
    }

    /// All that is in the first clone becomes a commit, and goes to the remote.
    pub fn commit(&self, message: &str) -> Result<()> {
        self.git(HERE, &["add", "--all"])?;
        self.git(HERE, &["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.git(HERE, &["push", "--quiet", "origin", "HEAD"]).map(drop)
    }

    pub fn git(&self, clone: &str, args: &[&str]) -> Result<String> {
        let told = self.told(self.command("git", clone).args(args))?;
        match told.exit {
            0 => Ok(told.stdout.trim().to_owned()),
            _ => bail!("git {}: {}", args.join(" "), told.stderr.trim()),
        }
    }

    /// The real one, unseen by the shim.
    pub fn grit(&self, clone: &str, args: &[&str]) -> Result<Told> {
        let grit = self.grit.display().to_string();
        self.told(self.command(&grit, clone).args(args))
    }

    /// The same where it must succeed.
    pub fn surely(&self, clone: &str, args: &[&str]) -> Result<String> {
        let told = self.grit(clone, args)?;
        match told.exit {
            0 => Ok(told.stdout.trim().to_owned()),
            code => bail!("grit {} exits {code}: {}", args.join(" "), told.stderr.trim()),
        }
    }

    /// All issues that a clone knows by itself.
    pub fn issues(&self, clone: &str) -> Result<Issues> {
        let answer = self.surely(clone, &["issue", "list", "--state", "all", "--json"])?;
        model::read(&answer).map_err(|error| anyhow!("grit issue list: {error}"))
    }

    /// Runs a program in the first clone, with the shim in front of the real `grit`.
    pub fn run(&self, words: &[&str], env: &BTreeMap<String, String>) -> Result<(Told, Vec<Call>)> {
        let mut command = self.command(words[0], HERE);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.args(&words[1..]).env("BASH_ENV", self.path("before")).envs(env);
        let told = self.told(&mut command)?;
        let calls = calls::read(&self.path("calls"))?;
        fs::remove_dir_all(self.path("calls"))?;
        fs::create_dir(self.path("calls"))?;
        Ok((told, calls))
    }

    /// Nothing of who runs this, and of where, gets in.
    fn command(&self, program: &str, clone: &str) -> Command {
        let mut command = Command::new(program);
        for name in ["CI", "GRIT_DATA", "GRIT_SERVER", "GRIT_ACTOR", "GRIT_TOKEN", "GRIT_VERBOSE"] {
            command.env_remove(name);
        }
        command.env("HOME", self.path("home")).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("USER", "seed");
        command.current_dir(self.path(clone)).stdin(Stdio::null());
        command
    }

    fn told(&self, command: &mut Command) -> Result<Told> {
        let output = command.output().with_context(|| format!("start {command:?}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let exit = output.status.code().unwrap_or(-1);
        Ok(Told { exit, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }
}
