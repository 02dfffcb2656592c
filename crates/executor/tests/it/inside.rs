//! What Grit does itself in a job whose steps run in a container: it looks at the container's
//! programs, and tells the paths that the container has.

mod needs_dockerd {
    mod needs_busybox {
        use std::io::Write;
        use std::process::Stdio;

        use grit_pipeline::keep::{DownloadSpec, UploadSpec};
        use grit_pipeline::{
            Conclusion, ContainerSpec, Containers, JobSpec, Runner, StepAction, StepOutcome,
        };
        use grit_testkit::engine::{BUSYBOX, engine};

        use crate::ground::{effect, inside, job};
        use crate::keeping::Job;
        use crate::world::World;

        const TOOLS: &str = "grit-test/tools:1";

        /// An image with programs that tell of themselves.
        fn tools() -> ContainerSpec {
            let program = |path: &str, script: &str| {
                format!(
                    "RUN mkdir -p $(dirname {path}) && printf '{script}' > {path} && chmod +x {path}\n"
                )
            };
            let recipe = [
                format!(
                    "FROM {BUSYBOX}\nENV PATH=/opt/node/bin:/usr/bin:/bin CARGO_HOME=/opt/cargo\n"
                ),
                program("/opt/node/bin/node", r"#!/bin/sh\necho v18.19.1\n"),
                program("/usr/bin/python3.11", r"#!/bin/sh\necho 3.11.2\n"),
                program("/usr/bin/docker", r#"#!/bin/sh\necho "$* in $DOCKER_CONFIG"\ncat\n"#),
            ];
            let mut command = engine().client(&["build", "--quiet", "--tag", TOOLS, "-"]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(recipe.concat().as_bytes()).unwrap();
            assert!(child.wait().unwrap().success());
            ContainerSpec::of(TOOLS)
        }

        fn with_tools() -> JobSpec {
            JobSpec {
                containers: Containers { job: Some(tools()), ..Containers::default() },
                ..job()
            }
        }

        fn known(name: &str, with: &[(&str, &str)]) -> StepAction {
            let with = with.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let (name, reference) = (name.to_owned(), "v4".to_owned());
            StepAction::Known { name, reference, with: with.collect(), post: false }
        }

        fn why(outcome: &StepOutcome) -> &str {
            match &outcome.conclusion {
                Conclusion::Unable(why) => why,
                other => panic!("{other:?}"),
            }
        }

        #[tokio::test]
        async fn toolchains_are_those_of_the_image() {
            let world = World::with_engine();
            let runner = world.open().await;
            let mut job = Job::begin_as(&runner, "job", with_tools()).await;
            let with = [("node-version", "18.x"), ("registry-url", "https://npm.example")];
            let (outcome, log) = job.act(known("actions/setup-node", &with)).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            assert_eq!(outcome.outputs["node-version"], "v18.19.1");
            assert_eq!(outcome.path, ["/opt/node/bin"]);
            assert_eq!(outcome.env["NPM_CONFIG_USERCONFIG"], "/__w/_temp/.npmrc");
            job.script("grep npm.example /__w/_temp/.npmrc").await;

            let (outcome, _) =
                job.act(known("actions/setup-node", &[("node-version", "20")])).await;
            let said = why(&outcome);
            assert!(said.contains("the job's container has 18.19.1"), "{said}");
            assert!(said.contains("image") && !said.contains("nvm"), "{said}");
            let (outcome, _) = job.act(known("astral-sh/setup-uv", &[])).await;
            assert!(why(&outcome).contains("the image of the job's container has no `uv`"));

            let (outcome, log) =
                job.act(known("actions/setup-python", &[("python-version", "3.11")])).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            assert_eq!(outcome.outputs["python-path"], "/usr/bin/python3.11");
            let [folder] = &outcome.path[..] else { panic!("{:?}", outcome.path) };
            assert!(folder.starts_with("/__w/_temp/"), "{folder}");
            assert_eq!(job.script(&format!("{folder}/python --version")).await, "3.11.2\n");
            runner.clean(&effect(1), job.spec.job).await.unwrap();
        }

        #[tokio::test]
        async fn commands_get_what_they_are_given() {
            let world = World::with_engine();
            let runner = world.open().await;
            let mut job = Job::begin_as(&runner, "job", with_tools()).await;
            let with = [("username", "me"), ("password", "hush-hush"), ("registry", "r.example")];
            let (outcome, log) = job.act(known("docker/login-action", &with)).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            let own =
                "login --username me --password-stdin r.example in /__w/_temp/docker\nhush-hush";
            assert!(log.contains(own), "{log}");
            assert_eq!(outcome.env["DOCKER_CONFIG"], "/__w/_temp/docker");
            runner.clean(&effect(1), job.spec.job).await.unwrap();
        }

        #[tokio::test]
        async fn a_checkout_is_trusted_by_the_git_of_the_container() {
            let world = World::with_engine();
            let runner = world.open().await;
            let mut job = Job::begin_as(&runner, "job", with_tools()).await;
            let checkout = |path: Option<&str>| StepAction::Checkout {
                reference: None,
                path: path.map(str::to_owned),
                fetch_depth: 1,
                part: Default::default(),
            };
            for path in [None, Some("a/b"), None] {
                let (outcome, log) = job.act(checkout(path)).await;
                assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            }
            let said = job.script("cat ~/.gitconfig").await;
            let own = "[safe]\n\tdirectory = \"/__w/shop/shop\"\n";
            assert_eq!(said, format!("{own}[safe]\n\tdirectory = \"/__w/shop/shop/a/b\"\n"));
            runner.clean(&effect(1), job.spec.job).await.unwrap();
        }

        fn save(paths: &[&str]) -> StepAction {
            let paths = paths.iter().map(ToString::to_string).collect();
            StepAction::Save { key: "k".to_owned(), paths }
        }

        #[tokio::test]
        async fn caches_are_of_the_containers_home_and_of_nothing_of_the_machine() {
            let world = World::with_engine();
            let runner = world.open().await;
            let mut first = Job::begin_as(&runner, "first", with_tools()).await;
            first.script("mkdir -p ~/.cache; echo kept > ~/.cache/x").await;
            let paths = ["~/.cache", "/etc", "../../../secret", "!~/.cache/y"];
            let (_, log) = first.act(save(&paths)).await;
            assert!(log.contains("nothing is kept, and so not /etc, ../../../secret"), "{log}");
            assert!(log.contains("Cache saved with key: k (1 files"), "{log}");
            let mut next = Job::begin_as(&runner, "next", with_tools()).await;
            let StepAction::Save { key, paths } = save(&paths) else { unreachable!() };
            let restore = StepAction::Restore {
                key,
                restore_keys: vec![],
                paths,
                must: true,
                lookup_only: false,
            };
            let (outcome, log) = next.act(restore).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            assert_eq!(next.script("cat /github/home/.cache/x").await, "kept\n");
            runner.clean(&effect(1), first.spec.job).await.unwrap();
            runner.clean(&effect(2), next.spec.job).await.unwrap();
        }

        #[tokio::test]
        async fn an_artifact_holds_nothing_of_the_machine() {
            let world = World::with_engine();
            let runner = world.open().await;
            let mut job = Job::begin_as(&runner, "job", with_tools()).await;
            job.script("echo good > good; ln -s /etc/hostname leak; mkdir in").await;
            let upload = |path: &str| {
                let (name, paths) = ("a".to_owned(), vec![path.to_owned()]);
                StepAction::Upload(UploadSpec { name, paths, ..UploadSpec::default() })
            };
            for (path, said) in [("/etc/hostname", "of the image"), ("leak", "leads out")] {
                let (outcome, log) = job.act(upload(path)).await;
                assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{log}");
                assert!(log.contains(said), "{log}");
            }
            let (outcome, log) = job.act(upload("/__w/shop/shop/good")).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            let download = |path: &str| {
                let (name, path) = ("a".to_owned(), path.to_owned());
                StepAction::Download(DownloadSpec { name, path, ..DownloadSpec::default() })
            };
            let (outcome, log) = job.act(download("/tmp/in")).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{log}");
            let (outcome, log) = job.act(download("in")).await;
            assert_eq!(outcome.outputs["download-path"], "/__w/shop/shop/in", "{log}");
            assert_eq!(job.script("cat in/good").await, "good\n");
            runner.clean(&effect(1), job.spec.job).await.unwrap();
        }

        #[tokio::test]
        async fn jobs_of_the_machine_are_as_they_were() {
            let world = World::new();
            let runner = world.open().await;
            let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
            let (outcome, _) = job.act(known("astral-sh/setup-uv", &[("version", "999.1")])).await;
            assert!(why(&outcome).contains("uv") && !why(&outcome).contains("container"));
            runner.close().await;
        }
    }
}
