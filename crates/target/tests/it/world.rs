//! A data folder, a target in it, and the wish to leave no process behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use grit_rollout::{Instance, InstanceSet, InstanceState, Target, TargetError};
use grit_target::process::{Config, ProcessTarget};
use grit_types::{Digest, InstanceId, Revision};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ground::{self, Recorder};

/// For what happens in milliseconds, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
pub const DRAIN: Duration = Duration::from_secs(20);
pub const NO_PROCESS: [u32; 0] = [];

pub struct World {
    data: TempDir,
    artifact: Digest,
    pub recorder: Arc<Recorder>,
}

impl World {
    pub fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (_, artifact) = ground::artifacts(data.path(), fixture());
        Self { data, artifact, recorder: Arc::default() }
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn root(&self) -> PathBuf {
        self.data().join("instances")
    }

    pub fn folder(&self, id: InstanceId) -> PathBuf {
        self.root().join(id.to_string())
    }

    pub fn config(&self) -> Config {
        ground::config(self.data(), fixture(), self.recorder.clone())
    }

    pub async fn open(&self) -> Arc<ProcessTarget> {
        ProcessTarget::open(self.config()).await.unwrap()
    }

    /// Two instances of the fixture's server.
    pub fn set(&self) -> InstanceSet {
        ground::set(self.artifact)
    }

    /// [`World::set`] with variables that make the fixture misbehave.
    pub fn set_with(&self, env: &[(&str, &str)]) -> InstanceSet {
        let mut set = self.set();
        set.run.env.extend(env.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        set
    }

    /// [`World::set`] run by a shell.
    pub fn set_of_shell(&self, script: &str) -> InstanceSet {
        let mut set = self.set();
        set.run.command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        set
    }

    /// Folders of instances that are there.
    pub fn recorded(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    /// The pids of all processes that were started in this data folder, in order.
    pub fn processes(&self) -> Vec<u32> {
        // The folder of a process is in its environment as HOME, until that is gone.
        let home = self.root().to_string_lossy().into_owned();
        let marked = grit_host::find_marked("HOME", &home).unwrap();
        let mut pids: Vec<u32> = marked.into_iter().map(|marked| marked.process.pid).collect();
        pids.sort_unstable();
        pids
    }

    pub async fn last_report(
        &self,
        what: &str,
        condition: impl Fn(&[Instance]) -> bool,
    ) -> Vec<Instance> {
        let last = || self.recorder.reports().last().map(|(_, instances)| instances.clone());
        until(what, || last().is_some_and(|instances| condition(&instances))).await;
        last().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for pid in self.processes() {
            kill(pid);
        }
    }
}

pub fn fixture() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_grit-target-fixture"))
}

pub async fn ensure(target: &ProcessTarget, set: &InstanceSet) -> Vec<Instance> {
    patiently("ready", target.ensure(&ground::effect(1), set)).await.unwrap()
}

pub async fn stop(target: &ProcessTarget, ids: &[InstanceId]) -> Result<(), TargetError> {
    stop_within(target, ids, DRAIN).await
}

pub async fn stop_within(
    target: &ProcessTarget,
    ids: &[InstanceId],
    drain: Duration,
) -> Result<(), TargetError> {
    let stop = target.stop(&ground::effect(2), &ground::slot(), Revision(1), ids, drain);
    patiently("gone", stop).await
}

pub fn never_ready(error: TargetError) -> String {
    match error {
        TargetError::NeverReady { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

pub fn states(instances: &[Instance]) -> Vec<InstanceState> {
    instances.iter().map(|instance| instance.state).collect()
}

pub async fn get(address: &str, path: &str) -> String {
    try_get(address, path).await.unwrap_or_else(|error| panic!("{address}{path}: {error}"))
}

pub async fn try_get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

pub async fn pid(instance: &Instance) -> u32 {
    get(&instance.address, "/pid").await.parse().unwrap()
}

pub async fn env_of(instance: &Instance) -> BTreeMap<String, String> {
    let text = get(&instance.address, "/env").await;
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("kill {pid:?}: {error}"),
    }
}

/// Waits for `condition`, and fails when it does not come.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    patiently(what, met).await;
}

/// Waits for `future`, and fails when it does not end.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}
