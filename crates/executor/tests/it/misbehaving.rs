//! Steps that take more than is theirs: what they do is bounded and named, and the rest goes on.

use std::fs;
use std::time::Duration;

use grit_executor::LOG_MAX_BYTES;
use grit_pipeline::{Conclusion, Runner};

use crate::ground::{TOKEN, effect, job, step};
use crate::world::{NO_PROCESS, World, log, patiently, run, succeed};

#[tokio::test]
async fn a_step_that_writes_without_end_is_cut_in_its_log_and_ended_at_its_timeout() {
    let world = World::new();
    let runner = world.ready().await;
    let mut endless = step(0, "yes 'a line that is written again and again'");
    endless.timeout = Duration::from_secs(4);
    assert_eq!(run(&runner, &endless).await.conclusion, Conclusion::TimedOut);
    let log = runner.read_log(endless.run, endless.job, 0, 0, usize::MAX).await.unwrap().unwrap();
    assert!(log.len() as u64 <= LOG_MAX_BYTES + 1000, "{}", log.len());
    let end = String::from_utf8_lossy(&log[log.len() - 200..]).into_owned();
    assert!(end.contains("The step was ended after 4s, its timeout."), "{end}");
    assert_eq!(world.processes(), NO_PROCESS);
    assert_eq!(succeed(&runner, &step(1, "echo on")).await, "on\n");
}

#[tokio::test]
async fn one_line_without_end_takes_no_memory_and_is_no_command() {
    let world = World::new();
    let runner = world.ready().await;
    let line = step(
        0,
        "printf '::error::'; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo ::notice::seen",
    );
    let outcome = run(&runner, &line).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0));
    let messages: Vec<&str> =
        outcome.annotations.kept.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(messages, ["seen"]);
}

#[tokio::test]
async fn what_forks_detaches_and_ignores_sigterm_is_ended_with_its_job() {
    let world = World::new();
    let runner = world.ready().await;
    let script = "for n in 1 2 3; do (trap '' TERM HUP; setsid sh -c \"trap '' TERM HUP; while :; do sleep 1; done\" >/dev/null 2>&1 &) & done; echo gone";
    assert_eq!(succeed(&runner, &step(0, script)).await, "gone\n");
    assert_ne!(world.processes(), NO_PROCESS, "they run on, as servers of a job do");
    patiently("clean", runner.clean(&effect(9), job().job)).await.unwrap();
    assert_eq!(world.processes(), NO_PROCESS);
}

#[tokio::test]
async fn annotations_and_summaries_hold_no_secret_in_any_chunk() {
    let world = World::new();
    let runner = world.ready().await;
    let script = "
        printf '::error file=%s.rs,title=%s::' $GRIT_TOKEN $GRIT_TOKEN; printf '%.7s' $GRIT_TOKEN; sleep 0.05
        printf '%s\\n' ${GRIT_TOKEN#???????}
        echo \"sum $GRIT_TOKEN\" >> $GITHUB_STEP_SUMMARY
        printf %s $GRIT_TOKEN | base64 | sed 's/^/::warning::/'";
    let outcome = run(&runner, &step(0, script)).await;
    assert_eq!(outcome.annotations.kept.len(), 2, "{outcome:?}");
    let told = serde_json::to_string(&outcome).unwrap();
    assert!(!told.contains(TOKEN) && !told.contains("Z3JpdC10"), "{told}");
    let summary = runner.read_summary(job().run, job().job, 0).await.unwrap().unwrap();
    assert_eq!(summary, b"sum ***\n");
    assert_eq!(outcome.summary_bytes, 8);
    let log = log(&runner, &step(0, script)).await;
    assert!(log.starts_with("##[error]***\n"), "{log}");
}

#[tokio::test]
async fn no_secret_is_among_the_arguments_of_any_process() {
    let world = World::new();
    let runner = world.ready().await;
    let script = "for pid in /proc/[0-9]*; do tr '\\0' ' ' 2>/dev/null < $pid/cmdline || true; echo; done > seen; true";
    succeed(&runner, &step(0, script)).await;
    assert!(!world.read("seen").contains(TOKEN));
    assert!(fs::metadata(world.workspace().join("seen")).unwrap().len() > 0);
}

#[tokio::test]
async fn matchers_of_a_step_serve_those_after_it_until_they_are_removed() {
    let world = World::new();
    let runner = world.ready().await;
    let matcher = r#"{"problemMatcher": [{"owner": "o", "pattern": [{"regexp": "^bad (.*)$", "message": 1}]}]}"#;
    let script = format!(
        "echo '{matcher}' > m.json; echo ::add-matcher::m.json; echo ::add-matcher::none.json"
    );
    let told = succeed(&runner, &step(0, &script)).await;
    assert!(told.contains("Problem matchers are not used: none.json"), "{told}");
    let found =
        run(&runner, &step(1, "echo bad one; echo '::remove-matcher owner=o::'; echo bad two"))
            .await;
    assert_eq!(found.annotations.kept.len(), 1);
    assert_eq!(found.annotations.kept[0].message, "one");
    assert!(run(&runner, &step(2, "echo bad three")).await.annotations.is_empty());
}
