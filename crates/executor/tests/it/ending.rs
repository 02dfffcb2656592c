use std::fs;
use std::time::Duration;

use grit_executor::{HostRunner, OpenError};
use grit_pipeline::{Conclusion, Runner};

use crate::ground::{self, effect, job, step};
use crate::world::{NO_PROCESS, World, fixture, log, patiently, run, until};

/// Tells when it is there, and has a child that is not a member of its session.
const ENDLESS: &str = "setsid sleep 1000 & sleep 1000 & touch there; wait";

#[tokio::test]
async fn a_timeout_ends_everything_even_what_will_not_go() {
    let world = World::new();
    let runner = world.ready().await;
    let mut step = step(0, "trap '' TERM; (sleep 1000; sleep 1000) & while :; do sleep 1000; done");
    step.timeout = Duration::from_millis(300);
    let outcome = run(&runner, &step).await;
    assert_eq!(outcome.conclusion, Conclusion::TimedOut);
    assert_eq!(world.processes(), NO_PROCESS);
    let log = log(&runner, &step).await;
    assert!(log.contains("The step was ended after"), "{log}");
}

#[tokio::test]
async fn cancel_lets_it_tidy_up_and_waits() {
    let world = World::new();
    let runner = world.ready().await;
    let script = "trap 'echo tidy; echo tidied=1 >> $GITHUB_OUTPUT; exit 0' TERM";
    let step = step(0, &format!("{script}; {ENDLESS}"));
    let cancel = async {
        until("the step", async || world.workspace().join("there").exists()).await;
        runner.cancel(job().job).await.unwrap();
        assert_eq!(world.processes(), NO_PROCESS);
    };
    let both = async { tokio::join!(runner.run(&effect(0), &step), cancel) };
    let (outcome, ()) = patiently("the end", both).await;
    let outcome = outcome.unwrap();
    assert_eq!(outcome.conclusion, Conclusion::Cancelled);
    assert_eq!(outcome.outputs["tidied"], "1");
    assert!(log(&runner, &step).await.ends_with("tidy\nThe step was cancelled.\n"));

    let next = self::step(1, "echo on failure or when cancelled");
    assert_eq!(run(&runner, &next).await.conclusion, Conclusion::Exited(0));
}

#[tokio::test]
async fn close_interrupts_and_another_takes_over() {
    let world = World::new();
    let runner = world.ready().await;
    let in_use = HostRunner::open(ground::config(world.data(), fixture())).await;
    assert!(matches!(in_use, Err(OpenError::InUse { .. })));
    let step = step(0, ENDLESS);
    let close = async {
        until("the step", async || world.workspace().join("there").exists()).await;
        runner.close().await;
        assert_eq!(world.processes(), NO_PROCESS);
    };
    let both = async { tokio::join!(runner.run(&effect(0), &step), close) };
    let (outcome, ()) = patiently("the end", both).await;
    assert_eq!(outcome.unwrap().conclusion, Conclusion::Interrupted);
    assert!(runner.run(&effect(1), &step).await.is_err());

    let runner = world.open().await;
    assert_eq!(run(&runner, &step).await.conclusion, Conclusion::Interrupted);
}

#[tokio::test]
async fn clean_ends_the_step_and_removes_what_is_read_only() {
    let world = World::new();
    let runner = world.ready().await;
    let step = step(0, &format!("mkdir -p mod/cache; chmod 500 mod/cache mod; {ENDLESS}"));
    let clean = async {
        until("the step", async || world.workspace().join("there").exists()).await;
        runner.clean(&effect(1), job().job).await.unwrap();
    };
    let both = async { tokio::join!(runner.run(&effect(0), &step), clean) };
    let (outcome, ()) = patiently("the end", both).await;
    assert_eq!(outcome.unwrap().conclusion, Conclusion::Cancelled);
    assert_eq!(world.processes(), NO_PROCESS);
    let names = fs::read_dir(world.work()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), [".lock"]);
}

#[tokio::test]
async fn one_place_has_one_effect() {
    let world = World::new();
    let runner = world.ready().await;
    run(&runner, &step(0, "echo >> times")).await;
    let error = runner.run(&effect(5), &step(0, "echo >> times")).await.unwrap_err();
    assert!(error.source.to_string().contains("already"), "{}", error.source);
    assert_eq!(world.read("times"), "\n");
}
