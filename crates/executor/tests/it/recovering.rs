//! After a runner's process was killed.

use std::fs;
use std::process::{Child, Command, Stdio};

use grit_pipeline::{Conclusion, Runner};

use crate::ground::{effect, job, step};
use crate::world::{NO_PROCESS, World, fixture, log, patiently, run, until};

/// A process that owns the runner, killed with it.
struct Owner(Child);

impl Owner {
    /// Runs `script` as step 0 of the job.
    fn start(world: &World, script: &str) -> Self {
        let mut command = Command::new(fixture());
        command.arg("own").arg(world.data()).arg(script);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The step is at its endless part, its runner is dead, and its processes are not.
async fn abandoned(world: &World) -> &'static str {
    let script = "trap '' PIPE; echo >> times; setsid sleep 1000 & sleep 1000 & touch there; wait";
    let mut owner = Owner::start(world, script);
    until("the step", async || world.workspace().join("there").exists()).await;
    owner.kill();
    assert_ne!(world.processes(), NO_PROCESS);
    script
}

#[tokio::test]
async fn a_step_under_way_is_interrupted_and_nothing_of_it_left() {
    let world = World::new();
    let step = step(0, abandoned(&world).await);
    let runner = world.open().await;
    let outcome = run(&runner, &step).await;
    assert_eq!(outcome.conclusion, Conclusion::Interrupted);
    assert_eq!(world.processes(), NO_PROCESS);
    assert_eq!(world.read("times"), "\n");
    assert_eq!(log(&runner, &step).await, "The runner was stopped while this step ran.\n");
    assert_eq!(run(&runner, &step).await, outcome);
}

#[tokio::test]
async fn cancel_ends_what_a_dead_runner_started() {
    let world = World::new();
    let step = step(0, abandoned(&world).await);
    let runner = world.open().await;
    patiently("cancel", runner.cancel(job().job)).await.unwrap();
    assert_eq!(world.processes(), NO_PROCESS);
    assert_eq!(run(&runner, &step).await.conclusion, Conclusion::Interrupted);
}

#[tokio::test]
async fn clean_ends_what_a_dead_runner_started() {
    let world = World::new();
    abandoned(&world).await;
    let runner = world.open().await;
    patiently("clean", runner.clean(&effect(1), job().job)).await.unwrap();
    assert_eq!(world.processes(), NO_PROCESS);
    assert!(!world.folder().exists());
}

#[tokio::test]
async fn processes_without_a_job_are_ended_by_open() {
    let world = World::new();
    abandoned(&world).await;
    fs::remove_dir_all(world.folder()).unwrap();
    let _runner = patiently("open", world.open()).await;
    assert_eq!(world.processes(), NO_PROCESS);
}

#[tokio::test]
async fn what_is_done_stays_done() {
    let world = World::new();
    let step = step(0, "echo >> times; echo x=1 >> $GITHUB_OUTPUT; exit 3");
    let runner = world.ready().await;
    let outcome = run(&runner, &step).await;
    runner.close().await;
    let runner = world.open().await;
    assert_eq!(run(&runner, &step).await, outcome);
    assert_eq!(world.read("times"), "\n");
}

#[tokio::test]
async fn a_preparation_cut_short_is_made_anew() {
    let world = World::new();
    let runner = world.open().await;
    fs::create_dir_all(world.workspace().join("half")).unwrap();
    runner.prepare(&effect(1), &job()).await.unwrap();
    assert_eq!(fs::read_dir(world.workspace()).unwrap().count(), 0);
}
