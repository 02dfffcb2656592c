use grit_pipeline::Runner;

use crate::ground::{TOKEN, effect, job, step};
use crate::world::{NO_PROCESS, World, log, patiently, succeed, until};

#[tokio::test]
async fn both_outputs_in_the_order_they_were_written() {
    let world = World::new();
    let runner = world.ready().await;
    let step = step(0, "for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf end");
    let expected = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nend";
    assert_eq!(succeed(&runner, &step).await, expected);
    let part = |offset, limit| runner.read_log(step.run, step.job, 0, offset, limit);
    assert_eq!(part(6, 5).await.unwrap().unwrap(), b"err 1");
    assert_eq!(part(1000, 5).await.unwrap().unwrap(), b"");
    assert_eq!(runner.read_log(step.run, step.job, 1, 0, 5).await.unwrap(), None);
}

#[tokio::test]
async fn can_be_read_while_the_step_runs() {
    let world = World::new();
    let runner = world.ready().await;
    let step = step(0, "printf 'first, '; until [ -e go ]; do sleep 0.01; done; echo second");
    let outcome = runner.run(&effect(0), &step);
    let watcher = async {
        until("the first words", async || {
            let bytes = runner.read_log(step.run, step.job, 0, 0, 100).await.unwrap();
            bytes.is_some_and(|bytes| bytes == b"first, ")
        })
        .await;
        std::fs::write(world.workspace().join("go"), "").unwrap();
    };
    let (outcome, ()) = patiently("both", async { tokio::join!(outcome, watcher) }).await;
    outcome.unwrap();
    assert_eq!(log(&runner, &step).await, "first, second\n");
}

#[tokio::test]
async fn much_output_is_complete_when_the_step_is_done() {
    let world = World::new();
    let runner = world.ready().await;
    let log = succeed(&runner, &step(0, "seq 1 200000")).await;
    assert_eq!(log.lines().count(), 200_000);
    assert!(log.ends_with("199999\n200000\n"));
}

#[tokio::test]
async fn secrets_are_masked_now_and_after_another_runner_took_over() {
    let world = World::new();
    let runner = world.ready().await;
    let script = "
        printf \"token %.8s\" $GRIT_TOKEN; printf '%s\\n' ${GRIT_TOKEN#grit-t0k}
        printf %s $GRIT_TOKEN | base64
        echo hush-hush; echo ::add-mask::hush-hush; echo hush-hush";
    assert_eq!(succeed(&runner, &step(0, script)).await.lines().next(), Some("token ***"));
    let text = log(&runner, &step(0, script)).await;
    let encoded = text.lines().nth(1).unwrap();
    assert!(encoded.starts_with("***") && encoded.len() < 10, "{encoded}");
    assert!(text.ends_with("\nhush-hush\n***\n"), "{text}");
    runner.close().await;

    let runner = world.open().await;
    let script = format!("echo a hush-hush b {TOKEN}");
    assert_eq!(succeed(&runner, &step(1, &script)).await, "a *** b ***\n");
}

#[tokio::test]
async fn what_is_left_in_the_background_is_logged_on_and_ended_by_clean() {
    let world = World::new();
    let runner = world.ready().await;
    let server = "(until [ -e go ]; do sleep 0.01; done; echo served; touch said; sleep 1000) &";
    let server = step(0, &format!("{server} echo started"));
    assert_eq!(succeed(&runner, &server).await, "started\n");
    succeed(&runner, &step(1, "touch go; until [ -e said ]; do sleep 0.01; done")).await;
    until("the server's words", async || log(&runner, &server).await == "started\nserved\n").await;
    assert_ne!(world.processes(), NO_PROCESS);

    patiently("clean", runner.clean(&effect(9), job().job)).await.unwrap();
    assert_eq!(world.processes(), NO_PROCESS);
    assert!(!world.folder().exists());
    assert_eq!(log(&runner, &server).await, "started\nserved\n");
}
