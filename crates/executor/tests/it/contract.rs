//! What every runner promises, of each that there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use grit_executor::DummyRunner;
use grit_pipeline::{Conclusion, JobSpec, Runner};

use crate::ground::{effect, job, step};
use crate::world::{World, patiently};

/// `times` tells how often the step was done, which exits with 3.
async fn keeps_the_contract(runner: &dyn Runner, job: JobSpec, times: impl Fn() -> u32) {
    let step = step(0, "echo >> times; exit 3");
    let conclusion = async |n| {
        let effect = effect(n);
        let outcome = patiently("an outcome", runner.run(&effect, &step)).await;
        outcome.map(|outcome| outcome.conclusion)
    };
    let unprepared = conclusion(7).await.unwrap();
    assert!(matches!(unprepared, Conclusion::Unable(_)), "{unprepared:?}");

    let prepared = patiently("the job", runner.prepare(&effect(1), &job)).await.unwrap();
    assert_eq!(runner.prepare(&effect(1), &job).await.unwrap(), prepared);

    let both = tokio::join!(conclusion(0), conclusion(0));
    assert_eq!(both.0.unwrap(), Conclusion::Exited(3));
    assert_eq!(both.1.unwrap(), Conclusion::Exited(3));
    assert_eq!(conclusion(0).await.unwrap(), Conclusion::Exited(3));
    assert_eq!(runner.prepare(&effect(1), &job).await.unwrap(), prepared);
    assert_eq!(times(), 1);

    runner.cancel(job.job).await.unwrap();
    runner.clean(&effect(2), job.job).await.unwrap();
    runner.clean(&effect(2), job.job).await.unwrap();
    runner.cancel(job.job).await.unwrap();
    let cleaned = conclusion(3).await.unwrap();
    assert!(matches!(cleaned, Conclusion::Unable(_)), "{cleaned:?}");
}

#[tokio::test]
async fn of_the_host() {
    for world in [World::new(), World::passing()] {
        let runner = world.open().await;
        keeps_the_contract(&*runner, job(), || world.read("times").len().try_into().unwrap()).await;
    }
}

mod needs_dockerd {
    mod needs_busybox {
        use super::super::*;
        use crate::world::{job_in_container, times_of};

        #[tokio::test]
        async fn of_a_container() {
            let world = World::with_engine();
            let runner = world.open().await;
            keeps_the_contract(&*runner, job_in_container(), || times_of(&world)).await;
            assert_eq!(world.at_the_engine(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn of_the_dummy() {
    let times = Arc::new(AtomicU32::new(0));
    let counted = times.clone();
    let runner = DummyRunner::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        DummyRunner::outcome(Conclusion::Exited(3))
    });
    keeps_the_contract(&runner, job(), || times.load(Ordering::SeqCst)).await;
}
