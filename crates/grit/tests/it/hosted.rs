//! A control process of a test's own, over a repository with workflows.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::env::{Env, GRIT, Out, Running, wait_for};

const ANY: &str = "127.0.0.1:0";

/// `grit up` of a repository with these workflows.
pub struct Server<'a> {
    pub env: &'a Env,
    pub repository: PathBuf,
    pub up: Running,
}

impl<'a> Server<'a> {
    pub fn start(env: &'a Env, files: &[(&str, &str)]) -> Self {
        Self::start_with(env, files, &[])
    }

    pub fn start_with(env: &'a Env, files: &[(&str, &str)], options: &[&str]) -> Self {
        let repository = env.repository("shelf", files);
        let up = Self::up(env, &repository, options);
        Self { env, repository, up }
    }

    fn up(env: &Env, repository: &Path, options: &[&str]) -> Running {
        let args = [&["up", "--listen", ANY, "--edge-listen", ANY], options].concat();
        let up = env.start(env.command(GRIT, repository).args(args));
        wait_for("control process", || {
            up.stdout().contains("data ").then_some(()).ok_or_else(|| up.stderr())
        });
        up
    }

    /// Kills the control process, and starts another one.
    pub fn again(self, options: &[&str]) -> Self {
        self.again_after(options, || ())
    }

    /// The same; that is done while there is none.
    pub fn again_after(self, options: &[&str], meanwhile: impl FnOnce()) -> Self {
        let Self { env, repository, up } = self;
        up.end(Signal::KILL);
        meanwhile();
        let up = Self::up(env, &repository, options);
        Self { env, repository, up }
    }

    pub fn grit(&self, args: &[&str]) -> Out {
        self.env.grit(&self.repository, args)
    }

    pub fn push(&self, refs: &[&str]) {
        self.env.git(&self.repository, &[&["push", "--quiet", "grit"], refs].concat());
    }

    pub fn commit(&self, files: &[(&str, &str)], message: &str) {
        self.env.commit(&self.repository, files, message);
    }

    /// Keeps a secret; the value goes through standard input.
    pub fn secret(&self, args: &[&str], value: &str) {
        let mut command = self.env.command(GRIT, &self.repository);
        command.args(["secret", "set"]).args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{out:?}");
    }

    /// The newest first.
    pub fn runs(&self) -> Vec<Value> {
        let runs = self.env.data(&self.repository, &["pipeline", "runs", "--json"]);
        runs.as_array().unwrap().clone()
    }

    pub fn run(&self, id: &str) -> Value {
        self.env.data(&self.repository, &["pipeline", "runs", id, "--json"])
    }

    /// Waits until there are so many runs and `is` holds of them all.
    #[track_caller]
    pub fn wait(&self, count: usize, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        wait_for("runs", || {
            let runs = self.runs();
            let there = runs.len() == count && runs.iter().all(&is);
            if there { Ok(runs) } else { Err(format!("{runs:#?}\n{}", self.up.stderr())) }
        })
    }

    #[track_caller]
    pub fn over(&self, count: usize) -> Vec<Value> {
        self.wait(count, |run| !run["completedAt"].is_null())
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.repository.join(".git/grit/data")
    }

    /// All that the steps of a run said.
    pub fn said(&self, run: &Value) -> String {
        let run = run["id"].as_str().unwrap();
        let logs = self.data().join("logs").join(run);
        let mut said = String::new();
        let mut folders = vec![logs];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    said += &std::fs::read_to_string(entry.path()).unwrap();
                }
            }
        }
        said
    }

    pub fn end(self) {
        self.up.end(Signal::TERM).expect_code(0);
    }
}

#[track_caller]
pub fn named<'a>(runs: &'a [Value], name: &str) -> &'a Value {
    runs.iter().find(|run| run["name"] == name).unwrap_or_else(|| panic!("{name}: {runs:#?}"))
}

pub fn job<'a>(run: &'a Value, key: &str) -> &'a Value {
    run["jobs"].as_array().unwrap().iter().find(|job| job["key"] == key).unwrap()
}
