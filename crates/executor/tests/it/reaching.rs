//! The services of jobs, asked from within containers.

use grit_pipeline::StepAction;

use crate::ground::{inside, job};
use crate::keeping::Job;
use crate::world::World;

/// What builds an image with `type=gha` is told where the cache is, and who it is.
#[tokio::test]
async fn a_build_finds_the_cache_of_the_service() {
    let world = World::new();
    let runner = world.open().await;
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    let docker = "#!/bin/sh\necho \"$*\"\necho \"v1 $ACTIONS_CACHE_URL v2 $ACTIONS_RESULTS_URL\"\n\
                  case $2 in build) ;; *) exit 0;; esac\n\
                  test \"$ACTIONS_CACHE_SERVICE_V2\" = True || exit 9\n\
                  curl -sf -H \"Authorization: Bearer $ACTIONS_RUNTIME_TOKEN\" \
                  \"${ACTIONS_CACHE_URL}_apis/artifactcache/cache?keys=k&version=v\" -w '%{http_code}\\n'\n";
    let install = format!("mkdir bin; cat > bin/docker <<'EOF'\n{docker}EOF\nchmod +x bin/docker");
    job.script(&install).await;
    let workspace = job.script("pwd").await;
    let path = format!("{}/bin:{}", workspace.trim(), std::env::var("PATH").unwrap());
    let build = |cache: &str| StepAction::Known {
        name: "docker/build-push-action".to_owned(),
        reference: "v6".to_owned(),
        with: [("context", "."), ("cache-to", cache)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        post: false,
    };
    let (_, log) = job.act_with(build("type=gha,mode=max"), &[("PATH", &path)]).await;
    assert!(log.contains("--cache-to=type=gha,mode=max"), "{log}");
    assert!(log.contains("v1 http://127.0.0.1:") && log.contains("204"), "{log}");
    let (_, log) = job.act_with(build("type=inline"), &[("PATH", &path)]).await;
    assert!(log.contains("v1  v2 \n"), "who asks for no cache is given nothing: {log}");
    runner.close().await;
}

mod needs_dockerd {
    mod needs_busybox {
        use grit_pipeline::{ActionImage, Conclusion, ContainerSpec, Containers, JobSpec, Runner};
        use grit_testkit::engine::{BUSYBOX, engine};
        use grit_testkit::tool;

        use super::super::*;
        use crate::ground::effect;
        use crate::serving::{FIND, KEEP, TOOLKIT};

        const NODE: &str = "grit-test/node:1";

        /// A job in a container that has Node.
        fn with_node() -> JobSpec {
            tool("node", "nodejs");
            engine().import_programs(NODE, &["/usr/bin/node"]);
            let container = Some(ContainerSpec::of(NODE));
            JobSpec { containers: Containers { job: container, ..Containers::default() }, ..job() }
        }

        /// Runs a program that has the toolkit's calls before it, as an action's.
        async fn act(job: &mut Job<'_>, world: &World, name: &str, program: &str) -> String {
            let of_job = format!("{}/{}/workspace/{name}.mjs", job.spec.run, job.spec.job);
            let path = world.work().canonicalize().unwrap().join(of_job);
            std::fs::write(&path, format!("{TOOLKIT}\n{program}\n")).unwrap();
            let action = StepAction::Node { program: path.display().to_string() };
            let env = [("GITHUB_REPOSITORY", "local/shop"), ("GITHUB_REF", "refs/heads/main")];
            let (outcome, log) = job.act_with(action, &env).await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            log
        }

        const FIRST_VERSION: &str = r#"
            const base = new URL("/_apis/artifactcache/", process.env.ACTIONS_CACHE_URL)
            const call = (path, options) => fetch(new URL(path, base), { ...options,
                headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...options?.headers } })
            const { cacheId } = await (await call("caches", { method: "POST", body: JSON.stringify({ key: "layer-1", version: "v" }) })).json()
            const sent = await call(`caches/${cacheId}`, { method: "PATCH", body: "a layer",
                headers: { "content-range": "bytes 0-6/*", "content-type": "application/octet-stream" } })
            check(sent.status === 204, `sent: ${sent.status}`)
            const done = await call(`caches/${cacheId}`, { method: "POST", body: JSON.stringify({ size: 7 }) })
            check(done.status === 204, `kept: ${done.status}`)
            const found = await (await call("cache?keys=layer-1&version=v")).json()
            check(await (await fetch(found.archiveLocation)).text() === "a layer", "what was sent")
        "#;

        #[tokio::test]
        async fn a_program_in_a_container_reaches_the_services() {
            let world = World::with_engine();
            let runner = world.open().await;
            let mut job = Job::begin_as(&runner, "inside", with_node()).await;
            act(&mut job, &world, "keep", &KEEP.replace("KEY", "\"k-good\"")).await;
            let log = act(&mut job, &world, "find", FIND).await;
            assert!(log.contains("found k-good"), "{log}");
            act(&mut job, &world, "first", FIRST_VERSION).await;
            let artifact = r#"await upload("acted", archive([["a.txt", "by an action"]]), 7)"#;
            act(&mut job, &world, "upload", artifact).await;
            runner.clean(&effect(1), job.spec.job).await.unwrap();
            runner.close().await;
        }

        /// Where a container of the job's is told that the services are, and its token.
        async fn told(job: &mut Job<'_>) -> String {
            let args = ["-c", "echo \"$ACTIONS_RESULTS_URL\"; echo $ACTIONS_RUNTIME_TOKEN > token"];
            let (outcome, log) = job
                .act(StepAction::Container {
                    image: ActionImage::Named(BUSYBOX.to_owned()),
                    entrypoint: Some("/bin/sh".to_owned()),
                    args: args.map(str::to_owned).to_vec(),
                })
                .await;
            assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
            log.trim().to_owned()
        }

        /// A request, from wherever that is run; what is answered to it. The input stays open: who
        /// says that nothing more comes is not answered.
        fn asks(url: &str, token: &str) -> String {
            let address = url.trim_start_matches("http://").trim_end_matches('/');
            let address = address.replace(':', " ");
            format!(
                "rm -f held; mkfifo held; exec 3<>held; \
                 printf 'GET /_apis/artifactcache/cache?keys=k&version=v HTTP/1.0\\r\\n\
                 Authorization: Bearer {token}\\r\\n\\r\\n' >&3; \
                 nc -w 20 {address} < held | head -n 1 || true"
            )
        }

        #[tokio::test]
        async fn a_door_is_for_one_network_and_one_job() {
            let world = World::with_engine();
            let runner = world.open().await;
            let spec = crate::world::job_in_container();
            let mut own = Job::begin_as(&runner, "own", spec.clone()).await;
            let mut other = Job::begin_as(&runner, "other", spec).await;
            let (url, elsewhere) = (told(&mut own).await, told(&mut other).await);
            assert_ne!(url, elsewhere);
            assert!(url.starts_with("http://") && !url.contains("127.0.0.1"), "{url}");
            let read = |job: &Job<'_>| {
                let of_job = format!("{}/{}/workspace/token", job.spec.run, job.spec.job);
                std::fs::read_to_string(world.work().join(of_job)).unwrap().trim().to_owned()
            };
            let (good, strange) = (read(&own), read(&other));
            let said = own.script(&asks(&url, &good)).await;
            assert!(said.contains(" 204 "), "{said}");
            let said = own.script(&asks(&url, &strange)).await;
            assert!(said.contains(" 401 "), "the token of another job: {said}");
            let said = other.script(&asks(&url, &good)).await;
            assert!(!said.contains("HTTP/"), "from another network: {said}");
            runner.clean(&effect(1), own.spec.job).await.unwrap();
            runner.clean(&effect(2), other.spec.job).await.unwrap();
            runner.close().await;
        }
    }
}
