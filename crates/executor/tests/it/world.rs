//! A data folder, a prepared job in it, and the wish to leave no process behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use grit_executor::{HostConfig, HostRunner};
use grit_pipeline::{
    Conclusion, ContainerSpec, Containers, JobSpec, Prepared, Runner, StepOutcome, StepSpec,
};
use grit_testkit::engine::{BUSYBOX, TestEngine};
use tempfile::TempDir;

use crate::ground::{self, effect, job};

/// For what happens in milliseconds, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
pub const NO_PROCESS: [u32; 0] = [];

pub struct World {
    data: TempDir,
    engine: Option<&'static TestEngine>,
    passing: bool,
}

impl World {
    pub fn new() -> Self {
        Self { data: tempfile::tempdir().unwrap(), engine: None, passing: false }
    }

    /// One whose jobs are of nobody when their process is gone.
    pub fn passing() -> Self {
        let mut world = Self::new();
        world.passing = true;
        world
    }

    /// One whose jobs may have containers.
    pub fn with_engine() -> Self {
        let mut world = Self::new();
        world.engine = Some(grit_testkit::engine::engine());
        world
    }

    /// What of this data folder's jobs is at the engine.
    pub fn at_the_engine(&self) -> Vec<String> {
        let work = self.work().canonicalize().unwrap();
        let unit = grit_types::Digest::of(work.as_os_str().as_encoded_bytes()).hex();
        self.engine.unwrap().labelled(&format!("grit.unit={}", &unit[..16]))
    }

    fn config(&self) -> HostConfig {
        let mut config = ground::config(self.data(), fixture());
        config.passing = self.passing;
        config.engine.host = self.engine.map(TestEngine::host);
        config
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn work(&self) -> PathBuf {
        self.data().join("work")
    }

    /// The job's folder.
    pub fn folder(&self) -> PathBuf {
        self.work().join(job().run.to_string()).join(job().job.to_string())
    }

    pub fn workspace(&self) -> PathBuf {
        self.folder().join("workspace")
    }

    pub async fn open(&self) -> Arc<HostRunner> {
        HostRunner::open(self.config()).await.unwrap()
    }

    /// A runner with that job prepared.
    pub async fn ready_for(&self, job: &JobSpec) -> (Arc<HostRunner>, Prepared) {
        let runner = self.open().await;
        let prepared = runner.prepare(&effect(u32::from(u16::MAX)), job);
        let prepared = patiently("the job", prepared).await.unwrap();
        (runner, prepared)
    }

    /// A runner with the job prepared.
    pub async fn ready(&self) -> Arc<HostRunner> {
        let runner = self.open().await;
        runner.prepare(&effect(u32::from(u16::MAX)), &job()).await.unwrap();
        runner
    }

    /// The pids of all processes that steps of this data folder started, in order.
    pub fn processes(&self) -> Vec<u32> {
        let work = self.work().canonicalize().unwrap_or_else(|_| self.work());
        let marked = grit_host::find_marked("RUNNER_TEMP", &work.to_string_lossy()).unwrap();
        let mut pids: Vec<u32> = marked.into_iter().map(|marked| marked.process.pid).collect();
        pids.sort_unstable();
        pids
    }

    /// What a script left in a file of the workspace.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.workspace().join(name)).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for pid in self.processes() {
            kill(pid);
        }
    }
}

/// A job whose steps are commands in a container.
pub fn job_in_container() -> JobSpec {
    let container = Some(ContainerSpec::of(BUSYBOX));
    JobSpec { containers: Containers { job: container, ..Containers::default() }, ..job() }
}

/// How often a step added a line to `times`.
pub fn times_of(world: &World) -> u32 {
    world.read("times").len().try_into().unwrap()
}

pub fn fixture() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_grit-executor-fixture"))
}

/// The step to its end, under its own effect.
pub async fn run(runner: &HostRunner, step: &StepSpec) -> StepOutcome {
    patiently("the end of a step", runner.run(&effect(step.index), step)).await.unwrap()
}

/// Runs it to its end, in which it succeeds, and answers with its log.
pub async fn succeed(runner: &HostRunner, step: &StepSpec) -> String {
    let outcome = run(runner, step).await;
    let log = log(runner, step).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
    log
}

pub async fn log(runner: &HostRunner, step: &StepSpec) -> String {
    let bytes = runner.read_log(step.run, step.job, step.index, 0, usize::MAX).await.unwrap();
    String::from_utf8(bytes.expect("a log")).unwrap()
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("kill {pid:?}: {error}"),
    }
}

pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    patiently(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
