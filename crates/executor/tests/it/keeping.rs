//! Caches and artifacts of jobs: what comes back, to whom, and what does not.

use std::fs;
use std::sync::Arc;

use grit_executor::HostRunner;
use grit_pipeline::keep::{
    DownloadSpec, IfNone, JobScope, MergeSpec, RustCacheSpec, Trust, UploadSpec,
};
use grit_pipeline::{Conclusion, JobSpec, Runner, StepAction, StepOutcome, StepSpec};
use grit_types::{EffectId, EventId, JobId, Timestamp};

use crate::ground::{PASSWORD, inside, job, step};
use crate::world::{World, patiently};

/// A job of its own on one runner, whose steps come one after the other.
pub struct Job<'a> {
    runner: &'a HostRunner,
    pub spec: JobSpec,
    next: u32,
}

impl<'a> Job<'a> {
    pub async fn begin(runner: &'a Arc<HostRunner>, name: &str, scope: JobScope) -> Self {
        Self::begin_as(runner, name, JobSpec { scope, ..job() }).await
    }

    pub async fn begin_as(runner: &'a Arc<HostRunner>, name: &str, spec: JobSpec) -> Self {
        let id = JobId::derived(Timestamp::from_millis(1_700_000_000_000), name.as_bytes());
        let spec = JobSpec { job: id, ..spec };
        let begun = Self { runner, spec, next: 0 };
        runner.prepare(&begun.effect(u16::MAX), &begun.spec).await.unwrap();
        begun
    }

    fn effect(&self, index: u16) -> EffectId {
        EffectId { event: EventId::of(self.spec.job.to_string().as_bytes()), index }
    }

    /// Does it, and answers what came of it, with its log.
    pub async fn act(&mut self, action: StepAction) -> (StepOutcome, String) {
        self.act_with(action, &[]).await
    }

    pub async fn act_with(
        &mut self,
        action: StepAction,
        env: &[(&str, &str)],
    ) -> (StepOutcome, String) {
        let mut spec = step(self.next, "");
        (spec.job, spec.action) = (self.spec.job, action);
        spec.env.extend(env.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        self.next += 1;
        self.done(&spec).await
    }

    pub async fn script(&mut self, script: &str) -> String {
        let StepAction::Script { command, .. } = step(0, "").action else { unreachable!() };
        let script = script.to_owned();
        let (outcome, log) = self.act(StepAction::Script { script, command }).await;
        assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
        log
    }

    async fn done(&self, spec: &StepSpec) -> (StepOutcome, String) {
        let index = u16::try_from(spec.index).unwrap();
        let outcome =
            patiently("a step", self.runner.run(&self.effect(index), spec)).await.unwrap();
        let log = self.runner.read_log(spec.run, spec.job, spec.index, 0, 1 << 20).await.unwrap();
        (outcome, String::from_utf8(log.unwrap_or_default()).unwrap())
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn restore(key: &str, others: &[&str], paths: &[&str]) -> StepAction {
    let (key, restore_keys, paths) = (key.to_owned(), texts(others), texts(paths));
    StepAction::Restore { key, restore_keys, paths, must: false, lookup_only: false }
}

fn save(key: &str, paths: &[&str]) -> StepAction {
    StepAction::Save { key: key.to_owned(), paths: texts(paths) }
}

fn upload(name: &str, paths: &[&str]) -> UploadSpec {
    UploadSpec { name: name.to_owned(), paths: texts(paths), ..UploadSpec::default() }
}

fn outside(own: &str) -> JobScope {
    JobScope { trust: Trust::Outside, ..inside(own) }
}

#[tokio::test]
async fn a_cache_comes_back_as_it_was_to_another_job() {
    let world = World::new();
    let runner = world.open().await;
    let mut first = Job::begin(&runner, "first", inside("refs/heads/main")).await;
    first
        .script(
            "mkdir -p deep/empty deep/locked out \"$RUNNER_TEMP/t\"\n\
             printf '#!/bin/sh\\necho ran\\n' > deep/run; chmod 755 deep/run\n\
             ln -s run deep/link; ln -s /nowhere deep/away; touch -d 2001-02-03T04:05:06Z deep/old\n\
             echo x > deep/locked/x; chmod 555 deep/locked; echo no > out/skip; echo yes > out/take\n\
             echo temp > \"$RUNNER_TEMP/t/file\"",
        )
        .await;
    let temp = |job: &Job<'_>| {
        let (work, spec) = (world.work().canonicalize().unwrap(), &job.spec);
        work.join(spec.run.to_string())
            .join(spec.job.to_string())
            .join("temp/t")
            .display()
            .to_string()
    };
    let paths = ["deep", "out/*", "!out/skip", &temp(&first)];
    let (outcome, log) = first.act(restore("k-1", &["k-"], &paths)).await;
    assert_eq!(outcome.outputs.get("cache-hit"), None, "{log}");
    let (_, log) = first.act(save("k-1", &paths)).await;
    assert!(log.contains("Cache saved with key: k-1"), "{log}");
    let (_, log) = first.act(save("k-1", &paths)).await;
    assert!(log.contains("not kept"), "{log}");

    let mut second = Job::begin(&runner, "second", inside("refs/heads/topic")).await;
    let paths = ["deep", "out/*", "!out/skip", &temp(&second)];
    let (outcome, log) = second.act(restore("k-2", &["k-"], &paths)).await;
    assert_eq!(outcome.outputs["cache-hit"], "false", "{log}");
    assert_eq!(outcome.outputs["cache-matched-key"], "k-1");
    assert_eq!(outcome.state["CACHE_KEY"], "k-2");
    let seen = second
        .script(
            "deep/run; deep/link; stat -c '%a %F %Y' deep/old deep/empty deep/locked\n\
             readlink deep/away; ls out; cat \"$RUNNER_TEMP/t/file\"",
        )
        .await;
    let lines: Vec<&str> = seen.lines().map(|line| line.rsplit("Z ").next().unwrap()).collect();
    assert!(seen.matches("ran").count() == 2 && seen.contains("981173106"), "{seen}");
    assert!(seen.contains("555 directory") && seen.contains("/nowhere"), "{lines:?}");
    assert!(seen.contains("take") && !seen.contains("skip") && seen.contains("temp"), "{seen}");
    // What the second writes is no business of the store.
    second.script("chmod u+w deep/run; echo broken >> deep/run").await;
    let mut third = Job::begin(&runner, "third", inside("refs/heads/main")).await;
    let paths = ["deep", "out/*", "!out/skip", &temp(&third)];
    let (outcome, _) = third.act(restore("k-1", &[], &paths)).await;
    assert_eq!(outcome.outputs["cache-hit"], "true");
    assert!(!third.script("cat deep/run").await.contains("broken"));
    runner.close().await;
}

#[tokio::test]
async fn what_a_stranger_keeps_no_push_restores() {
    let world = World::new();
    let runner = world.open().await;
    // It says that it is the main branch, as far as it can.
    for (name, own) in [("a", "refs/heads/main"), ("b", "refs/pull/1/merge")] {
        let mut stranger = Job::begin(&runner, name, outside(own)).await;
        stranger.script("mkdir d; echo poison > d/x").await;
        let (_, log) = stranger.act(save("k-1", &["d"])).await;
        assert!(log.contains("Cache saved"), "{log}");
    }
    let mut release = Job::begin(&runner, "release", inside("refs/heads/main")).await;
    let (outcome, log) = release.act(restore("k-1", &["k"], &["d"])).await;
    assert_eq!(outcome.outputs.get("cache-matched-key"), None, "{log}");
    release.script("test ! -e d; mkdir d; echo good > d/x").await;
    release.act(save("k-1", &["d"])).await;
    let mut stranger = Job::begin(&runner, "c", outside("refs/pull/2/merge")).await;
    let (_, log) = stranger.act(restore("k-1", &[], &["d"])).await;
    assert!(stranger.script("cat d/x").await.contains("good"), "{log}");
    runner.close().await;
}

#[tokio::test]
async fn a_cache_is_looked_up_missed_and_kept_under_the_key_that_was_asked_for() {
    let world = World::new();
    let runner = world.open().await;
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    job.script("mkdir d; echo x > d/x").await;
    let must = StepAction::Restore {
        key: "k".to_owned(),
        restore_keys: vec![],
        paths: texts(&["d"]),
        must: true,
        lookup_only: true,
    };
    let (outcome, log) = job.act(must.clone()).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{log}");
    let (_, log) = job.act_with(save("other by now", &["d"]), &[("STATE_CACHE_KEY", "k")]).await;
    assert!(log.contains("Cache saved with key: k"), "{log}");
    job.script("rm -r d").await;
    let (outcome, _) = job.act(must).await;
    assert_eq!(outcome.outputs["cache-hit"], "true");
    job.script("test ! -e d").await;
    let (_, log) = job.act(save("none", &["absent"])).await;
    assert!(log.contains("none of its paths exist"), "{log}");
    let (outcome, log) = job.act(restore(&format!("k-{PASSWORD}"), &[], &["d"])).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{log}");
    assert!(log.contains("holds a secret") && outcome.outputs.is_empty(), "{log}");
    runner.close().await;
}

#[tokio::test]
async fn artifacts_go_from_job_to_job() {
    let world = World::new();
    let runner = world.open().await;
    let mut build = Job::begin(&runner, "build", inside("refs/heads/main")).await;
    build
        .script(
            "mkdir -p out/sub out/.git docs; echo a > out/a.txt; echo b > out/sub/b.txt\n\
             echo h > out/.git/h; echo c > docs/c.md; ln -s a.txt out/l.txt; chmod 755 out/a.txt",
        )
        .await;
    let (outcome, log) = build.act(StepAction::Upload(upload("site", &["out"]))).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
    let id: u64 = outcome.outputs["artifact-id"].parse().unwrap();
    assert_eq!(outcome.outputs["artifact-digest"].len(), 64);
    let (outcome, log) = build.act(StepAction::Upload(upload("site", &["docs"]))).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(1), "a name is there once: {log}");
    build.act(StepAction::Upload(upload("docs-1", &["docs", "out/a.txt"]))).await;
    let again = UploadSpec { overwrite: true, ..upload("docs-1", &["docs/*", "out/a.txt"]) };
    build.act(StepAction::Upload(again)).await;

    let mut test = Job::begin(&runner, "test", inside("refs/heads/main")).await;
    let one = DownloadSpec { name: "site".to_owned(), path: "in".to_owned(), ..Default::default() };
    let (outcome, log) = test.act(StepAction::Download(one)).await;
    assert!(outcome.outputs["download-path"].ends_with("/workspace/in"), "{log}");
    let seen =
        test.script("cd in; find . | sort; stat -c %a a.txt; cat l.txt; test ! -L l.txt").await;
    assert!(seen.contains("./sub/b.txt") && !seen.contains(".git"), "{seen}");
    assert!(!seen.contains("755"), "the service keeps no modes");
    test.act(StepAction::Download(DownloadSpec::default())).await;
    test.script("test -f site/a.txt -a -f docs-1/docs/c.md -a -f docs-1/out/a.txt").await;
    let by_id = DownloadSpec { ids: vec![id], path: "id".to_owned(), ..Default::default() };
    test.act(StepAction::Download(by_id)).await;
    let merged = DownloadSpec {
        pattern: "{docs-*,none}".to_owned(),
        merge: true,
        path: "m".to_owned(),
        ..Default::default()
    };
    test.act(StepAction::Download(merged)).await;
    test.script("test -f id/a.txt -a -f m/docs/c.md -a ! -e m/a.txt").await;
    let none = DownloadSpec { name: "none".to_owned(), ..Default::default() };
    let (outcome, log) = test.act(StepAction::Download(none)).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{log}");

    let all = MergeSpec {
        name: "all".to_owned(),
        pattern: "*".to_owned(),
        separate: true,
        delete: true,
        ..Default::default()
    };
    let (outcome, log) = test.act(StepAction::Merge(all)).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
    let left = runner.artifacts(job().run).await.unwrap();
    assert_eq!(left.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["all"]);
    let exported = world.data().join("exported");
    runner.export_artifacts(job().run, &exported).await.unwrap();
    assert_eq!(fs::read_to_string(exported.join("all/site/sub/b.txt")).unwrap(), "b\n");
    runner.close().await;
}

#[tokio::test]
async fn an_upload_without_files_is_as_asked() {
    let world = World::new();
    let runner = world.open().await;
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    for (if_none, exit) in [(IfNone::Warn, 0), (IfNone::Error, 1), (IfNone::Ignore, 0)] {
        let spec = UploadSpec { if_none, ..upload("x", &["none/*"]) };
        let (outcome, log) = job.act(StepAction::Upload(spec)).await;
        assert_eq!(outcome.conclusion, Conclusion::Exited(exit), "{log}");
        assert!(log.contains("No files were found"), "{log}");
        assert!(outcome.outputs.is_empty());
    }
    job.script("echo x > 'a:b'; echo x > y").await;
    for (name, path) in [("a/b", "y"), ("..", "y"), ("x", "a:b"), (PASSWORD, "y")] {
        let (outcome, log) = job.act(StepAction::Upload(upload(name, &[path]))).await;
        assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{name} {path}: {log}");
        assert!(!log.contains(PASSWORD));
    }
    assert!(runner.artifacts(job.spec.run).await.unwrap().is_empty());
    runner.close().await;
}

/// Linked folders in the workspace lead a download nowhere else.
#[tokio::test]
async fn a_download_goes_through_no_link() {
    let world = World::new();
    let runner = world.open().await;
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    let away = world.data().join("away");
    fs::create_dir(&away).unwrap();
    job.script(&format!(
        "mkdir -p out/sub; echo x > out/sub/x; mkdir in; ln -s {} in/sub",
        away.display()
    ))
    .await;
    job.act(StepAction::Upload(upload("a", &["out"]))).await;
    let into = DownloadSpec { name: "a".to_owned(), path: "in".to_owned(), ..Default::default() };
    let (outcome, log) = job.act(StepAction::Download(into)).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
    job.script("test -f in/sub/x -a ! -L in/sub").await;
    assert!(fs::read_dir(&away).unwrap().next().is_none());
    runner.close().await;
}

#[tokio::test]
async fn a_rust_cache_keeps_what_dependencies_were_built_to() {
    let world = World::new();
    let runner = world.open().await;
    let spec = RustCacheSpec {
        prefix: "v0-rust".to_owned(),
        workspaces: vec![(".".to_owned(), "target".to_owned())],
        targets: true,
        job_in_key: true,
        environment_in_key: true,
        ..RustCacheSpec::default()
    };
    let make = "printf '[[package]]\\nname = \"dep\"\\nsource = \"registry\"\\n' > Cargo.lock\n\
        mkdir -p bin; printf '#!/bin/sh\\necho rustc 1.2.3\\n' > bin/rustc; chmod +x bin/rustc";
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    job.script(make).await;
    let path = |job: &Job<'_>| {
        let folder = world.work().join(job.spec.run.to_string()).join(job.spec.job.to_string());
        format!("{}:/usr/bin:/bin", folder.join("workspace/bin").display())
    };
    let at = path(&job);
    let env = [("PATH", at.as_str()), ("GITHUB_JOB", "test"), ("RUNNER_OS", "Linux")];
    let (outcome, log) = job.act_with(StepAction::RustRestore(spec.clone()), &env).await;
    assert_eq!(outcome.outputs["cache-hit"], "false", "{log}");
    assert_eq!(outcome.env["CARGO_INCREMENTAL"], "0");
    let key = outcome.state["CACHE_KEY"].clone();
    assert!(key.starts_with("v0-rust-test-Linux-"), "{key}");
    job.script(
        "mkdir -p target/debug/.fingerprint/dep-aa target/debug/.fingerprint/app-bb target/debug/deps\n\
         touch target/debug/deps/libdep-aa.rlib target/debug/deps/app-bb target/debug/app",
    )
    .await;
    let kept = [env[0], ("STATE_CACHE_KEY", key.as_str())];
    let (_, log) = job.act_with(StepAction::RustSave(spec.clone()), &kept).await;
    assert!(log.contains("Cache saved"), "{log}");

    let mut next = Job::begin(&runner, "next", inside("refs/heads/main")).await;
    next.script(make).await;
    let at = path(&next);
    let env = [("PATH", at.as_str()), ("GITHUB_JOB", "test"), ("RUNNER_OS", "Linux")];
    let (outcome, log) = next.act_with(StepAction::RustRestore(spec.clone()), &env).await;
    assert_eq!(outcome.outputs["cache-hit"], "true", "{log}");
    next.script("test -f target/debug/deps/libdep-aa.rlib -a ! -e target/debug/app -a ! -e target/debug/deps/app-bb").await;
    next.script("echo 'x = 1' > Cargo.toml").await;
    let (outcome, log) = next.act_with(StepAction::RustRestore(spec), &env).await;
    assert_eq!(outcome.outputs["cache-hit"], "false", "the manifest changed: {log}");
    assert_eq!(outcome.outputs["cache-matched-key"], key);
    runner.close().await;
}
