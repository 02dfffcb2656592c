use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Case;

/// A repository with the files of a case as its one commit, on `main`.
pub struct World {
    grit: PathBuf,
    root: TempDir,
}

/// What a run showed.
pub struct Seen {
    pub exit: i32,
    /// The runs, as `--json` tells them.
    pub runs: Vec<Value>,
    /// Every log, in the order of its job and step.
    pub logs: Vec<String>,
    pub stderr: String,
}

impl World {
    pub fn new(grit: &Path, files: &Path) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let world = Self { grit: grit.to_owned(), root };
        copy(files, &world.path("repo"))?;
        fs::create_dir(world.path("home"))?;
        world.git(&["init", "--quiet", "--initial-branch", "main"])?;
        world.git(&["add", "--all"])?;
        let identity = ["-c", "user.name=case", "-c", "user.email=case@example.org"];
        world.git(&[&identity[..], &["commit", "--quiet", "--message", "case"]].concat())?;
        Ok(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn git(&self, args: &[&str]) -> Result<()> {
        let output = self.command(Path::new("git")).args(args).output().context("start git")?;
        if !output.status.success() {
            bail!("git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Nothing of who runs this gets in.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for name in ["CI", "GRIT_DATA", "GRIT_SERVER", "GRIT_ACTOR", "GRIT_TOKEN", "GRIT_VERBOSE"] {
            command.env_remove(name);
        }
        command.env("HOME", self.path("home")).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("USER", "case");
        command.current_dir(self.path("repo")).stdin(Stdio::null());
        command
    }

    /// The event of the case happens.
    pub fn run(&self, case: &Case) -> Result<Seen> {
        let (event, logs) = (self.path("event.json"), self.path("logs"));
        let told = json!({
            "event": case.event, "ref": case.ref_name, "payload": case.event_payload,
            "inputs": case.inputs, "changed": case.changed_files,
        });
        fs::write(&event, told.to_string())?;
        if logs.exists() {
            fs::remove_dir_all(&logs)?;
        }
        let mut command = self.command(&self.grit);
        command.args(["run", "--json", "--workflow", &case.workflow, "--event"]).arg(&event);
        command.arg("--logs").arg(&logs);
        command.arg("--secrets").arg(self.settings("secrets", &case.secrets)?);
        command.arg("--vars").arg(self.settings("vars", &case.vars)?);
        for label in case.runner_map.keys() {
            command.arg("--here").arg(label);
        }
        let output = command.output().context("start grit")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let answer: Value = serde_json::from_str(&stdout).unwrap_or_default();
        let runs = answer["data"].as_array().cloned().unwrap_or_default();
        Ok(Seen {
            exit: output.status.code().unwrap_or(-1),
            logs: runs.iter().flat_map(|run| logs_of(&logs, run)).collect(),
            runs,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Lines of `NAME=VALUE`.
    fn settings(&self, name: &str, values: &serde_json::Map<String, Value>) -> Result<PathBuf> {
        let path = self.path(name);
        let line = |(name, value): (&String, &Value)| {
            format!("{name}={}\n", value.as_str().unwrap_or_default())
        };
        fs::write(&path, values.iter().map(line).collect::<String>())?;
        Ok(path)
    }
}

fn logs_of(folder: &Path, run: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut logs = Vec::new();
    for job in run["jobs"].as_array().into_iter().flatten() {
        let folder = folder.join(text(&run["id"])).join(text(&job["job"]));
        for step in job["steps"].as_array().into_iter().flatten() {
            let file = folder.join(format!("{}.log", step["index"]));
            logs.extend(fs::read(file).ok().map(|log| String::from_utf8_lossy(&log).into_owned()));
        }
    }
    logs
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
