//! Jobs in containers, services beside them, and actions that are containers.

use std::fs;
use std::time::Duration;

use grit_executor::HostRunner;
use grit_pipeline::{ContainerSpec, Runner};

use crate::ground::{self, effect};
use crate::world::{World, fixture, job_in_container};

#[tokio::test]
async fn without_an_engine_the_job_says_what_to_do() {
    let world = World::new();
    let mut config = ground::config(world.data(), fixture());
    config.engine.host = Some("unix:///nobody/here.sock".to_owned());
    let runner = HostRunner::open(config).await.unwrap();
    let error = runner.prepare(&effect(1), &job_in_container()).await.unwrap_err();
    let said = error.source.to_string();
    assert!(said.contains("unix:///nobody/here.sock") && said.contains("DOCKER_HOST"), "{said}");
}

mod needs_dockerd {
    mod needs_busybox {
        use grit_pipeline::{ActionImage, Conclusion, JobSpec, StepAction, StepSpec};
        use grit_testkit::engine::BUSYBOX;

        use super::super::*;
        use crate::ground::{PASSWORD, TOKEN, WORD, job, step};
        use crate::world::{log, patiently, run, succeed, until};

        const NOTHING: [&str; 0] = [];

        /// A service that answers with a word, and is healthy after a while.
        fn answering(word: &str) -> ContainerSpec {
            let script = format!(
                "(sleep 1; touch /tmp/ready) & while true; do echo {word} | nc -l -p 5432; done"
            );
            ContainerSpec {
                command: Some(format!("sh -c \"{script}\"")),
                ports: vec!["5432".to_owned()],
                options: "--health-cmd 'test -e /tmp/ready' --health-interval 200ms \
                          --health-retries 50"
                    .to_owned(),
                ..ContainerSpec::of(BUSYBOX)
            }
        }

        fn with_service(mut job: JobSpec, spec: ContainerSpec) -> JobSpec {
            job.containers.services.insert("db".to_owned(), spec);
            job
        }

        #[tokio::test]
        async fn a_step_finds_what_the_service_promises_it() {
            let world = World::with_engine();
            let mut job = job_in_container();
            let container = job.containers.job.as_mut().unwrap();
            container.env.insert("COLOUR".to_owned(), "blue".to_owned());
            container.options = "--tmpfs /scratch --user 0".to_owned();
            let (runner, prepared) = world.ready_for(&job).await;
            assert_eq!(prepared.workspace, "/__w/shop/shop");
            let mut first = step(
                0,
                r#"pwd; echo "home $HOME, $COLOUR, $MORE"; cat "$GITHUB_EVENT_PATH"
                   test -d /scratch; test -n "$RUNNER_TEMP"; test -w "$RUNNER_TEMP"
                   mkdir -p sub/bin; printf '#!/bin/sh\necho tool here\n' > sub/bin/tool; chmod +x sub/bin/tool
                   echo "$PWD/sub/bin" >> "$GITHUB_PATH"
                   echo "word=said" >> "$GITHUB_OUTPUT"; echo "SET=yes" >> "$GITHUB_ENV"
                   echo "was=here" >> "$GITHUB_STATE"; echo "all done" >> "$GITHUB_STEP_SUMMARY"
                   echo "secret $GRIT_TOKEN"; echo "::add-mask::hush"; echo hush"#,
            );
            first.env.insert("MORE".to_owned(), format!("{}/x", prepared.workspace));
            let outcome = run(&runner, &first).await;
            let said = log(&runner, &first).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{said}");
            assert!(
                said.starts_with("/__w/shop/shop\nhome /github/home, blue, /__w/shop/shop/x\n"),
                "{said}"
            );
            assert!(said.contains("forced") && said.ends_with("secret ***\n***\n"), "{said}");
            assert!(!said.contains(TOKEN));
            assert_eq!(outcome.outputs["word"], "said");
            assert_eq!(outcome.env["SET"], "yes");
            assert_eq!(outcome.state["was"], "here");
            assert_eq!(outcome.path, ["/__w/shop/shop/sub/bin"]);
            assert!(world.workspace().join("sub/bin/tool").exists());

            let mut second = step(1, "pwd; tool; command -v cargo || echo no cargo");
            second.path = outcome.path;
            second.working_directory = Some("sub".to_owned());
            let said = succeed(&runner, &second).await;
            assert_eq!(said, "/__w/shop/shop/sub\ntool here\nno cargo\n");
            let mut absent = step(2, "pwd");
            absent.working_directory = Some("absent".to_owned());
            let outcome = run(&runner, &absent).await;
            assert!(matches!(outcome.conclusion, Conclusion::Unable(_)), "{outcome:?}");
            let third = run(&runner, &step(3, "exit 7")).await;
            assert_eq!(third.conclusion, Conclusion::Exited(7));
            runner.clean(&effect(9), job.job).await.unwrap();
            assert_eq!(world.at_the_engine(), NOTHING);
        }

        #[tokio::test]
        async fn a_timeout_ends_everything_in_the_container_and_the_next_step_runs() {
            let world = World::with_engine();
            let (runner, _) = world.ready_for(&job_in_container()).await;
            let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & \
                          touch there; while :; do sleep 1000; done";
            let mut endless = step(0, script);
            endless.timeout = Duration::from_secs(2);
            let outcome = run(&runner, &endless).await;
            assert_eq!(outcome.conclusion, Conclusion::TimedOut);
            let left = succeed(
                &runner,
                &step(1, "ps -o stat,args | grep -v ^Z | grep -c '[s]leep' || true"),
            )
            .await;
            assert_eq!(left, "0\n");
        }

        #[tokio::test]
        async fn cancel_lets_a_step_tidy_up() {
            let world = World::with_engine();
            let job = job_in_container();
            let (runner, _) = world.ready_for(&job).await;
            let script = "trap 'echo tidy; echo tidied=1 >> $GITHUB_OUTPUT; exit 0' TERM; \
                          sleep 1000 & touch there; wait";
            let endless = step(0, script);
            let cancel = async {
                until("the step", async || world.workspace().join("there").exists()).await;
                runner.cancel(job.job).await.unwrap();
            };
            let both = async { tokio::join!(runner.run(&effect(0), &endless), cancel) };
            let (outcome, ()) = patiently("the end", both).await;
            let outcome = outcome.unwrap();
            assert_eq!(outcome.conclusion, Conclusion::Cancelled);
            assert_eq!(outcome.outputs["tidied"], "1");
        }

        #[tokio::test]
        async fn a_job_waits_for_the_health_of_its_service_and_reaches_it_by_name() {
            let world = World::with_engine();
            let job = with_service(job_in_container(), answering("from-db"));
            let (runner, prepared) = world.ready_for(&job).await;
            assert!(prepared.containers.services.contains_key("db"));
            let asks = step(0, "nc -w 20 db 5432 < /dev/null");
            assert_eq!(succeed(&runner, &asks).await, "from-db\n");
            assert!(!world.at_the_engine().is_empty());
            runner.clean(&effect(1), job.job).await.unwrap();
            assert_eq!(world.at_the_engine(), NOTHING);
        }

        #[tokio::test]
        async fn a_job_of_the_machine_reaches_a_service_by_its_port() {
            let world = World::with_engine();
            let (runner, prepared) =
                world.ready_for(&with_service(job(), answering("mapped"))).await;
            let port = &prepared.containers.services["db"].ports["5432"];
            let asks = step(0, &format!("busybox nc -w 20 127.0.0.1 {port} < /dev/null"));
            assert_eq!(succeed(&runner, &asks).await, "mapped\n");
        }

        #[tokio::test]
        async fn a_service_that_does_not_come_up_is_told_with_its_masked_log() {
            let world = World::with_engine();
            let secret = grit_pipeline::seal::Sealed::Secret("PASSWORD".to_owned()).mark(WORD);
            let failing = |line: &str, options: &str| {
                let mut spec = ContainerSpec::of(BUSYBOX);
                spec.env.insert("PASS".to_owned(), secret.clone());
                spec.command = Some(format!("sh -c '{line}'"));
                spec.options = options.to_owned();
                with_service(job(), spec)
            };
            let runner = world.open().await;
            for (line, options, why) in [
                (
                    r#"echo "with $PASS"; exit 3"#,
                    "--health-cmd true --health-interval 60s",
                    "ended, with status 3",
                ),
                (
                    r#"echo "with $PASS"; sleep 1000"#,
                    "--health-cmd false --health-interval 100ms --health-retries 2",
                    "not healthy",
                ),
            ] {
                let prepared = runner.prepare(&effect(1), &failing(line, options));
                let error = patiently("the failure", prepared).await.unwrap_err();
                let said = error.source.to_string();
                assert!(said.contains("`db`") && said.contains(why), "{said}");
                assert!(said.contains("with ***") && !said.contains(PASSWORD), "{said}");
                assert_eq!(world.at_the_engine(), NOTHING);
                runner.clean(&effect(2), job().job).await.unwrap();
            }
        }

        /// The second is healthy once the first is gone: whatever the machine is busy with, the job
        /// is looked at after that.
        #[tokio::test]
        async fn a_service_that_ends_at_once_fails_the_job() {
            let world = World::with_engine();
            let mut first = ContainerSpec::of(BUSYBOX);
            first.command = Some("sh -c 'echo its last words; exit 3'".to_owned());
            let mut second = ContainerSpec::of(BUSYBOX);
            second.command = Some("sleep 1000".to_owned());
            second.options = "--health-cmd '! ping -c 1 first' --health-interval 100ms \
                              --health-start-period 1h"
                .to_owned();
            let mut job = with_service(job(), second);
            job.containers.services.insert("first".to_owned(), first);
            let runner = world.open().await;
            let error = patiently("the failure", runner.prepare(&effect(1), &job)).await;
            let said = error.unwrap_err().source.to_string();
            assert!(
                said.contains("service container `first` failed: it ended, with status 3"),
                "{said}"
            );
            assert!(said.ends_with("its last words"), "{said}");
            assert_eq!(world.at_the_engine(), NOTHING);
        }

        #[tokio::test]
        async fn a_preparation_can_be_cancelled() {
            let world = World::with_engine();
            let mut spec = ContainerSpec::of(BUSYBOX);
            spec.command = Some("sleep 1000".to_owned());
            spec.options =
                "--health-cmd false --health-interval 1s --health-start-period 1h".to_owned();
            let job = with_service(job(), spec);
            let runner = world.open().await;
            let cancel = async {
                until("the service", async || !world.at_the_engine().is_empty()).await;
                runner.cancel(job.job).await.unwrap();
            };
            let both = async { tokio::join!(runner.prepare(&effect(1), &job), cancel) };
            let (prepared, ()) = patiently("the end", both).await;
            assert!(prepared.unwrap_err().source.to_string().contains("cancelled"));
            runner.clean(&effect(2), job.job).await.unwrap();
            assert_eq!(world.at_the_engine(), NOTHING);
        }

        fn action(
            index: u32,
            image: ActionImage,
            entrypoint: Option<&str>,
            args: &[&str],
        ) -> StepSpec {
            let entrypoint = entrypoint.map(str::to_owned);
            let args = args.iter().map(|arg| (*arg).to_owned()).collect();
            let action = StepAction::Container { image, entrypoint, args };
            StepSpec { action, ..step(index, "") }
        }

        #[tokio::test]
        async fn an_action_is_built_from_its_folder_and_run() {
            let world = World::with_engine();
            let (runner, _) = world.ready_for(&job()).await;
            let folder = world.workspace().join("act");
            fs::create_dir_all(&folder).unwrap();
            let recipe =
                format!("FROM {BUSYBOX}\nCOPY run.sh /run.sh\nENTRYPOINT [\"sh\", \"/run.sh\"]\n");
            fs::write(folder.join("Dockerfile"), recipe).unwrap();
            let script = "echo \"$INPUT_WHO: $*\"; pwd; echo made > made; echo \"a=b\" >> $GITHUB_OUTPUT\n\
                          cat $GITHUB_EVENT_PATH; echo $HOME; echo token $GRIT_TOKEN; exit 4\n";
            fs::write(folder.join("run.sh"), script).unwrap();
            let image = ActionImage::Built {
                folder: folder.display().to_string(),
                dockerfile: "Dockerfile".to_owned(),
            };
            for index in [0, 1] {
                let mut step = action(index, image.clone(), None, &["one two", "three"]);
                step.env.insert("INPUT_WHO".to_owned(), "me".to_owned());
                let outcome = run(&runner, &step).await;
                let said = log(&runner, &step).await;
                assert_eq!(outcome.conclusion, Conclusion::Exited(4), "{said}");
                assert_eq!(outcome.outputs["a"], "b");
                let own = "me: one two three\n/github/workspace\n{\"forced\":false}/github/home\ntoken ***\n";
                assert!(said.ends_with(own), "{said}");
                // What is as it was is not built again.
                assert_eq!(said.contains("Step 1"), index == 0, "{said}");
            }
            assert_eq!(world.read("made"), "made\n");
            assert_eq!(world.at_the_engine(), NOTHING);
        }

        #[tokio::test]
        async fn an_action_of_an_image_ends_with_its_timeout() {
            let world = World::with_engine();
            let (runner, _) = world.ready_for(&job_in_container()).await;
            let image = || ActionImage::Named(BUSYBOX.to_owned());
            let says = action(0, image(), Some("/bin/echo"), &["hello"]);
            assert_eq!(succeed(&runner, &says).await, "hello\n");
            let mut endless = action(1, image(), None, &["sleep", "1000"]);
            endless.timeout = Duration::from_secs(2);
            runner.hurry();
            assert_eq!(run(&runner, &endless).await.conclusion, Conclusion::TimedOut);
            let absent =
                action(2, ActionImage::Named("127.0.0.1:1/absent:1".to_owned()), None, &[]);
            let outcome = run(&runner, &absent).await;
            assert!(matches!(outcome.conclusion, Conclusion::Unable(_)), "{outcome:?}");
            let said = log(&runner, &absent).await;
            assert!(said.contains("127.0.0.1:1/absent:1"), "{said}");
        }

        #[tokio::test]
        async fn what_opens_the_machine_is_for_those_who_are_trusted() {
            let world = World::with_engine();
            let runner = world.open().await;
            let open = |spec: &mut ContainerSpec, what: &str| match what.strip_prefix("volume ") {
                Some(volume) => spec.volumes.push(volume.to_owned()),
                None => spec.options = what.to_owned(),
            };
            let hostile = [
                "--privileged",
                "--pid=host",
                "--cap-add SYS_ADMIN",
                "volume /:/host",
                "volume /var/run/docker.sock:/var/run/docker.sock",
            ];
            for what in hostile {
                let (mut inside, mut beside) = (job_in_container(), ContainerSpec::of(BUSYBOX));
                open(inside.containers.job.as_mut().unwrap(), what);
                open(&mut beside, what);
                for job in [inside, with_service(job(), beside)] {
                    let error = runner.prepare(&effect(1), &job).await.unwrap_err();
                    let said = error.source.to_string();
                    assert!(said.contains("trusted: true"), "{said}");
                    assert_eq!(world.at_the_engine(), NOTHING);
                    runner.clean(&effect(2), job.job).await.unwrap();
                }
            }
            let mut trusted = job_in_container();
            trusted.containers.trusted = true;
            let container = trusted.containers.job.as_mut().unwrap();
            container.options = "--pid=host --cap-add SYS_ADMIN".to_owned();
            container.volumes.push("/:/host:ro".to_owned());
            runner.prepare(&effect(1), &trusted).await.unwrap();
            let pid = std::process::id();
            succeed(&runner, &step(0, &format!("test -d /host/proc && test -d /proc/{pid}"))).await;
            runner.clean(&effect(2), trusted.job).await.unwrap();
        }

        #[tokio::test]
        async fn after_a_crash_the_containers_of_jobs_that_are_gone_go() {
            let world = World::with_engine();
            let job = with_service(job_in_container(), answering("x"));
            let (runner, _) = world.ready_for(&job).await;
            assert_eq!(world.at_the_engine().len(), 3, "two containers and a network");
            runner.close().await;
            let again = world.open().await;
            assert_eq!(world.at_the_engine().len(), 3, "its job is still there");
            again.close().await;
            fs::remove_dir_all(world.folder()).unwrap();
            let _runner = patiently("open", world.open()).await;
            assert_eq!(world.at_the_engine(), NOTHING);
        }
    }
}
