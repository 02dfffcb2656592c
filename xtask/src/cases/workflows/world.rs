use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Trial,
    table::{self, Case},
};

const WORKFLOW: &str = ".github/workflows/page.yml";

/// Writes down how it is called, and ends as it is told to.
const RECORD: &str = "name=${0##*/}\ncase \"$0\" in ./*) name=$0 ;; esac\nprintf '%s\\n' \"$name${*:+ $*}\" >> \"$CALLS\"\n";

/// What the tool cache asks a Python for is answered, and not written down.
const PROBED: &str = "case \"$2\" in *platform*) echo VERSION; exit ;; *prefix*) cd \"${0%/*}/..\"; pwd; echo \"$0\"; exit ;; esac\n";

/// A repository, and the programs that stand in for those of the page.
pub struct World {
    grit: PathBuf,
    root: PathBuf,
    _folder: TempDir,
}

/// What a run showed.
pub struct Seen {
    pub conclusion: String,
    pub commit: String,
    /// Those of all runs, as `--json` tells them.
    pub jobs: Vec<Value>,
    /// `PROGRAM WORDS`, in the order in which they were made.
    pub calls: Vec<String>,
    pub log: String,
    /// The logs, what lies beside them, and what `grit` itself said.
    pub everything: String,
    pub stderr: String,
}

impl World {
    pub fn make(grit: &Path, trial: &Trial) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let root = folder.path().canonicalize()?;
        let world = Self { grit: grit.to_owned(), root, _folder: folder };
        for name in ["home", "repo", "bin", "tmp"] {
            fs::create_dir(world.path(name))?;
        }
        let case = trial.case;
        for name in table::PROGRAMS {
            world.stand_in(&format!("bin/{name}"), case, "")?;
        }
        for name in table::SCRIPTS {
            world.stand_in(&format!("repo/{name}"), case, "")?;
        }
        world.tools(case)?;
        for (name, text) in table::FILES {
            world.write(&format!("repo/{name}"), text)?;
        }
        world.write(&format!("repo/{WORKFLOW}"), &trial.workflow)?;
        world.git(&["init", "--quiet", "--initial-branch", "main"])?;
        world.git(&["add", "--all"])?;
        let identity = ["-c", "user.name=page", "-c", "user.email=page@example.org"];
        world.git(&[&identity[..], &["commit", "--quiet", "--message", "page"]].concat())?;
        Ok(world)
    }

    /// The toolchains that the pages ask for, where a runner of the service has them.
    fn tools(&self, case: &Case) -> Result<()> {
        for (tool, version, programs) in table::TOOLS {
            for program in *programs {
                let path = format!("cache/{tool}/{version}/x64/bin/{program}");
                self.stand_in(&path, case, &probed(program, version))?;
            }
            self.write(&format!("cache/{tool}/{version}/x64.complete"), "")?;
        }
        // Before what this machine has, whatever that is.
        for (program, version) in table::MACHINE {
            self.stand_in(&format!("bin/{program}"), case, &probed(program, version))?;
        }
        Ok(())
    }

    fn stand_in(&self, name: &str, case: &Case, first: &str) -> Result<()> {
        let failing = case.failing.iter().any(|failing| name.ends_with(&format!("/{failing}")));
        let calls = self.path("calls");
        let end = if failing { "exit 1\n" } else { "exit 0\n" };
        let text = format!("#!/bin/sh\nCALLS='{}'\n{first}{RECORD}{end}", calls.display());
        self.write(name, &text)?;
        Ok(fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))?)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn git(&self, args: &[&str]) -> Result<String> {
        let output = self.command(Path::new("git")).args(args).output().context("start git")?;
        if !output.status.success() {
            bail!("git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Nothing of who runs this gets in, and no Docker engine that happens to run here.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env_clear().env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("USER", "page").env("LANG", "C.UTF-8");
        command.env("RUNNER_TOOL_CACHE", self.path("cache"));
        command.env("DOCKER_HOST", format!("unix://{}", self.path("no-engine").display()));
        command.current_dir(self.path("repo")).stdin(Stdio::null());
        command
    }

    /// The event of the case happens.
    pub fn run(&self, case: &Case) -> Result<Seen> {
        let inputs: serde_json::Map<String, Value> =
            case.inputs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let event = json!({"event": case.event, "ref": case.reference, "inputs": inputs});
        self.write("event.json", &event.to_string())?;
        let line = |(name, value): &(&str, &str)| format!("{name}={value}\n");
        self.write("secrets", &case.secrets.iter().map(line).collect::<String>())?;
        let mut command = self.command(&self.grit);
        command.args(["run", "--json", "--workflow", WORKFLOW, "--event"]);
        command.arg(self.path("event.json")).arg("--secrets").arg(self.path("secrets"));
        command.arg("--logs").arg(self.path("logs"));
        let output = command.output().context("start grit")?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer: Value = serde_json::from_str(&stdout).unwrap_or_default();
        let runs = answer["data"].as_array().cloned().unwrap_or_default();
        let conclusion = match runs.first() {
            Some(run) => run["status"].as_str().unwrap_or_default().to_owned(),
            None => format!("exit {}", output.status.code().unwrap_or(-1)),
        };
        let jobs = runs.iter().flat_map(|run| run["jobs"].as_array().cloned().unwrap_or_default());
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let (log, beside) = kept(&self.path("logs"))?;
        Ok(Seen {
            conclusion,
            commit: self.git(&["rev-parse", "HEAD"])?,
            jobs: jobs.collect(),
            calls: calls.lines().map(str::to_owned).collect(),
            everything: [&log, &beside, &stdout, &stderr].map(String::as_str).join("\n"),
            log,
            stderr,
        })
    }
}

/// Its version is told, and that is not written down.
fn probed(program: &str, version: &str) -> String {
    match program {
        "node" => format!("if [ \"$*\" = --version ]; then echo v{version}; exit; fi\n"),
        _ => PROBED.replace("VERSION", version),
    }
}

/// The logs, and everything that is kept beside them.
fn kept(folder: &Path) -> Result<(String, String)> {
    let (mut log, mut beside) = (String::new(), String::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop().filter(|folder| folder.exists()) {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let is_log = path.extension().is_some_and(|ending| ending == "log");
            let into = if is_log { &mut log } else { &mut beside };
            into.push_str(&String::from_utf8_lossy(&fs::read(&path)?));
        }
    }
    Ok((log, beside))
}
