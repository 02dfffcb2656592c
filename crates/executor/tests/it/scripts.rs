use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use grit_pipeline::seal::Sealed;
use grit_pipeline::{Conclusion, JobSpec, StepAction};

use crate::ground::{PASSWORD, TOKEN, WORD, step};
use crate::world::{World, log, run, succeed};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

#[tokio::test]
async fn what_a_step_writes_for_later_ones() {
    let world = World::new();
    let runner = world.ready().await;
    let script = "
        echo 'version=1.2' >> $GITHUB_OUTPUT
        printf 'notes<<END\\none\\ntwo\\nEND\\n' >> $GITHUB_OUTPUT
        echo '::set-output name=old::way'
        echo '::set-output name=version::lost'
        echo 'LEVEL=info' >> $GITHUB_ENV
        echo /opt/a >> $GITHUB_PATH; echo /opt/b >> $GITHUB_PATH
        echo \"# it went well, $GRIT_TOKEN\" >> $GITHUB_STEP_SUMMARY
        test -f $GITHUB_STATE";
    let step = step(0, script);
    let outcome = run(&runner, &step).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0));
    let outputs = map(&[("version", "1.2"), ("notes", "one\ntwo"), ("old", "way")]);
    assert_eq!(outcome.outputs, outputs);
    assert_eq!(outcome.env, map(&[("LEVEL", "info")]));
    assert_eq!(outcome.path, ["/opt/a", "/opt/b"]);
    assert_eq!(log(&runner, &step).await, "");
    let summary = runner.read_summary(step.run, step.job, 0).await.unwrap().unwrap();
    assert_eq!(summary, b"# it went well, ***\n");
}

#[tokio::test]
async fn marks_are_filled_in_and_what_they_hide_is_in_no_log() {
    let world = World::new();
    let runner = world.ready().await;
    let secret = Sealed::Secret("PASSWORD".to_owned());
    let files = Sealed::Files(vec!["absent".to_owned()]).mark(WORD);
    let (ours, forged) = (secret.mark(WORD), secret.mark("guess"));
    let script = format!(
        "test '{ours}' = '{PASSWORD}'; test -z '{files}'; test '{forged}' != '{PASSWORD}'
        echo 'it is {ours}'; cat \"$GITHUB_EVENT_PATH\""
    );
    let mut step = step(0, &script);
    let event = world.folder().join("temp").join(JobSpec::EVENT_FILE);
    step.env.insert("GITHUB_EVENT_PATH".to_owned(), event.display().to_string());
    let outcome = run(&runner, &step).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0));
    assert_eq!(log(&runner, &step).await, "it is ***\n{\"forced\":false}");
}

#[tokio::test]
async fn a_malformed_or_reserved_entry_fails_the_step() {
    let world = World::new();
    let runner = world.ready().await;
    let cases = [
        ("echo A=1 >> $GITHUB_ENV; echo oops >> $GITHUB_ENV", "GITHUB_ENV: line 2: `oops`"),
        ("echo 'A<<END' >> $GITHUB_OUTPUT", "GITHUB_OUTPUT: line 1: no line with `END`"),
        ("echo GRIT_TOKEN=x >> $GITHUB_ENV", "GITHUB_ENV: `GRIT_TOKEN` may not be set"),
        ("head -c 1100000 /dev/zero >> $GITHUB_PATH", "GITHUB_PATH: more than 1 MiB"),
        (
            "rm $GITHUB_ENV; mkfifo $GITHUB_ENV; printf '\\377' > $GITHUB_PATH",
            "GITHUB_PATH: line 1",
        ),
    ];
    for (index, (script, reason)) in (0..).zip(cases) {
        let step = step(index, script);
        let outcome = run(&runner, &step).await;
        let log = log(&runner, &step).await;
        assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{log}");
        assert!(log.contains(reason), "{log}");
        assert_eq!(outcome.env, map(&[]));
    }
}

#[tokio::test]
async fn the_environment_is_exact() {
    let world = World::new();
    let runner = world.ready().await;
    let mut step = step(0, "env -0 | tr '\\n\\0' ' \\n' > env; [ \"$GRIT_TOKEN\" = \"$WANTED\" ]");
    step.env = map(&[("WANTED", TOKEN), ("LANG", "C"), ("GITHUB_ENV", "/x"), ("GRIT_TOKEN", "x")]);
    step.path = vec!["/first".to_owned(), "/second".to_owned()];
    succeed(&runner, &step).await;
    let text = world.read("env");
    let env: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    assert!(env["PATH"].starts_with("/first:/second:/"), "{}", env["PATH"]);
    assert_eq!(env["LANG"], "C");
    assert!(env["GITHUB_ENV"].ends_with("/files/0/env"));
    assert_eq!(env["TMPDIR"], env["RUNNER_TEMP"]);
    assert!(env["TMPDIR"].ends_with("/temp"));
    // The tests' own environment has it.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!env.contains_key("CARGO_MANIFEST_DIR"));
}

#[tokio::test]
async fn starts_in_the_folder_that_is_asked_for() {
    let world = World::new();
    let runner = world.ready().await;
    let workspace = world.workspace().canonicalize().unwrap().to_string_lossy().into_owned();
    assert_eq!(succeed(&runner, &step(0, "mkdir sub; pwd")).await, format!("{workspace}\n"));
    let at = |index, folder: &str| {
        let mut step = step(index, "pwd");
        step.working_directory = Some(folder.to_owned());
        step
    };
    assert_eq!(succeed(&runner, &at(1, "sub")).await, format!("{workspace}/sub\n"));
    assert_eq!(succeed(&runner, &at(2, "/")).await, "/\n");
    let absent = run(&runner, &at(3, "absent")).await;
    let reason = "working-directory `absent` does not exist".to_owned();
    assert_eq!(absent.conclusion, Conclusion::Unable(reason.clone()));
    assert_eq!(log(&runner, &at(3, "absent")).await, format!("{reason}\n"));
}

#[tokio::test]
async fn exits_as_its_command_does() {
    let world = World::new();
    let runner = world.ready().await;
    let conclusion = async |step| run(&runner, &step).await.conclusion;
    assert_eq!(conclusion(step(0, "exit 7")).await, Conclusion::Exited(7));
    assert_eq!(conclusion(step(1, "kill -9 $$")).await, Conclusion::Exited(137));
    assert_eq!(conclusion(step(2, "false\necho not reached")).await, Conclusion::Exited(1));

    let with = |index, command: &[&str]| {
        let mut step = step(index, "#!/bin/sh\nexit 4");
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        step.action = StepAction::Script { script: "#!/bin/sh\nexit 4".to_owned(), command };
        step
    };
    assert_eq!(conclusion(with(3, &["{0}"])).await, Conclusion::Exited(4));
    let unable = |reason: &str| Conclusion::Unable(reason.to_owned());
    let absent = unable("`no-such-shell` is not installed, or not on the PATH of this machine");
    assert_eq!(conclusion(with(4, &["no-such-shell", "{0}"])).await, absent);
    assert_eq!(conclusion(with(5, &["./x", "{0}"])).await, unable("`./x` does not exist"));
    assert_eq!(conclusion(with(6, &[])).await, unable("the step's command is empty"));
}

#[tokio::test]
async fn a_tool_must_be_there_and_work() {
    let world = World::new();
    let runner = world.ready().await;
    let tools = world.data().join("tools");
    fs::create_dir(&tools).unwrap();
    for (name, script) in [("works", "echo works 1.2.3"), ("broken", "echo no toolchain; exit 2")] {
        fs::write(tools.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let tool = |index, program: &str| {
        let mut step = step(index, "");
        step.action = StepAction::Tool { program: program.to_owned() };
        step.path = vec![tools.to_string_lossy().into_owned()];
        step
    };
    let works = succeed(&runner, &tool(0, "works")).await;
    assert!(works.ends_with("/tools/works\nworks 1.2.3\n"), "{works}");
    assert_eq!(run(&runner, &tool(1, "broken")).await.conclusion, Conclusion::Exited(2));
    assert_eq!(run(&runner, &tool(2, "absent-tool")).await.conclusion, Conclusion::Exited(1));
    assert!(log(&runner, &tool(2, "absent-tool")).await.contains("`absent-tool` is not installed"));
    let path = run(&runner, &tool(3, "../sh")).await.conclusion;
    assert!(matches!(path, Conclusion::Unable(_)), "{path:?}");
}
