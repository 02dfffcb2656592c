//! Locks between clones, as scripts use them: the remote says who has one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::env::{Env, GRIT, Out, wait_for};

const DEPLOY: &str = "deploy:production";

/// What the guide for release engineers types, word for word.
const DEPLOYMENT_LOCK: &str = r#"
# Acquire deployment lock
if ! grit lock acquire --resource "deploy:production" --ttl 1h; then
  echo "Deployment already in progress"
  exit 1
fi

# Deploy
./deploy.sh

# Release lock
grit lock release --resource "deploy:production"
"#;

const CRITICAL_OPERATIONS: &str = r#"
set -e
# Deployment
grit lock acquire --resource "deploy:$ENV" --ttl 1h

# Database migrations
grit lock acquire --resource "migration:$DB" --ttl 30m

# Release creation
grit lock acquire --resource "repo:release" --ttl 2h
"#;

fn clone(env: &Env, name: &str) -> PathBuf {
    if !env.path("hosted.git").exists() {
        let deploy = "#!/bin/sh\necho deployed\n";
        let seed = env.repository("seed", &[("deploy.sh", deploy)]);
        env.git(&seed, &["update-index", "--chmod=+x", "deploy.sh"]);
        env.git(&seed, &["commit", "--quiet", "--message", "executable"]);
        env.host(&seed);
    }
    env.clone(name)
}

/// A script of the shell in which `grit` is ours.
fn script(env: &Env, folder: &Path, text: &str) -> Out {
    let bin = Path::new(GRIT).parent().unwrap().display();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let mut command = env.command("bash", folder);
    env.run(command.args(["-c", text]).env("PATH", path).env("ENV", "staging").env("DB", "main"))
}

fn lock(env: &Env, folder: &Path, args: &[&str]) -> Out {
    env.grit(folder, &[&["lock"], args].concat())
}

fn lock_data(env: &Env, folder: &Path, args: &[&str]) -> Value {
    env.data(folder, &[&["lock"], args, &["--json"]].concat())
}

/// `grit lock run` under the lock, not waited for.
fn lock_run(env: &Env, folder: &Path, ttl: &str, command: &str) -> Command {
    let mut run = env.command(GRIT, folder);
    run.args(["lock", "run", "--resource", DEPLOY, "--ttl", ttl, "--", "sh", "-c", command]);
    run
}

/// Waits until the command has said so by a file, and answers what the file holds.
fn said(path: &Path) -> String {
    wait_for("word of the command", || match std::fs::read_to_string(path) {
        Ok(text) if text.ends_with('\n') => Ok(text.trim().to_owned()),
        other => Err(format!("{other:?}")),
    })
}

fn wait_gone(pid: &str) {
    wait_for("end of the command", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let gone = stat.is_empty() || stat.contains(") Z ");
        if gone { Ok(()) } else { Err(stat) }
    });
}

#[test]
fn the_guides_deployment_lock_lets_one_deploy_at_a_time() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let deployed = script(&env, &one, DEPLOYMENT_LOCK).expect_code(0);
    assert!(deployed.stdout.contains("deployed\n"), "{deployed:?}");
    let took = lock(&env, &one, &["acquire", "--resource", DEPLOY, "--ttl", "1h"]);
    assert_eq!(took.expect_code(0).stdout, "2\n", "a pipe gets the number of the grant");
    let refused = script(&env, &two, DEPLOYMENT_LOCK).expect_code(1);
    assert_eq!(refused.stdout, "Deployment already in progress\n");
    assert!(refused.stderr.contains("lock `deploy:production` is held by tess"), "{refused:?}");
    lock(&env, &one, &["release", "--resource", DEPLOY]).expect_code(0);
    script(&env, &two, DEPLOYMENT_LOCK).expect_code(0);
}

#[test]
fn the_guides_critical_operations_are_one_clones_and_stop_all_others() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let took = script(&env, &one, CRITICAL_OPERATIONS).expect_code(0);
    assert_eq!(took.stdout, "1\n1\n1\n");
    let held = lock(&env, &two, &["status"]).expect_code(0).stdout;
    assert_eq!(held, "deploy:staging\nmigration:main\nrepo:release\n");
    let refused = lock(&env, &two, &["acquire", "issue:7"]).expect_code(4);
    assert!(
        refused.stderr.contains("lock `issue:7` is excluded by `repo:release`, held by tess on "),
        "{refused:?}"
    );
    lock(&env, &one, &["release", "--resource", "repo:release"]).expect_code(0);
    lock(&env, &two, &["acquire", "issue:7"]).expect_code(0);
    let excluded = lock(&env, &two, &["acquire", "repo:release"]).expect_code(4);
    assert!(excluded.stderr.contains("excluded by"), "{excluded:?}");
}

#[test]
fn every_verb_answers_one_document() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let took = lock_data(&env, &one, &["acquire", DEPLOY, "--ttl", "90", "--reason", "v2"]);
    assert_eq!(
        (&took["fence"], &took["state"], &took["ttl_ms"]),
        (&1.into(), &"held".into(), &90_000.into())
    );
    assert_eq!((&took["owner"]["actor"], &took["reason"]), (&"tess".into(), &"v2".into()));
    assert_eq!(took["scope"]["remote"], "origin");
    let refused = lock(&env, &two, &["acquire", DEPLOY, "--json"]).expect_code(4);
    assert_eq!(refused.stderr, "");
    let error = refused.document()["error"].clone();
    assert_eq!((&error["code"], &error["details"]["lease"]), (&"lock_held".into(), &took["lease"]));
    assert_eq!(error["details"]["expires_at"], took["expires_at"]);
    assert!(error["hint"].as_str().unwrap().contains("--wait 5m"), "{error}");
    let renewed = lock_data(&env, &one, &["renew", "--resource", DEPLOY, "--ttl", "2h"]);
    assert_eq!((&renewed["fence"], &renewed["ttl_ms"]), (&1.into(), &7_200_000.into()));
    let status = lock_data(&env, &two, &["status", DEPLOY]);
    assert_eq!((&status[0]["standing"], &status[0]["here"]), (&"held".into(), &false.into()));
    assert_eq!(lock_data(&env, &two, &["check", DEPLOY, "--token", "1"])["fence"], 1);
    lock(&env, &two, &["check", DEPLOY, "--token", "2", "--json"]).expect_code(4);
    lock(&env, &two, &["check", "deploy:x", "--token", "1", "--json"]).expect_code(3);
    lock(&env, &two, &["release", DEPLOY, "--json"]).expect_code(4);
    lock(&env, &two, &["release", "deploy:x", "--json"]).expect_code(3);
    let lease = took["lease"].as_str().unwrap();
    let broken = lock_data(&env, &two, &["break", "--lease", lease, "--reason", "died"]);
    assert_eq!((&broken["state"], &broken["ended_by"]), (&"broken".into(), &"tess".into()));
    let lost = lock(&env, &one, &["renew", DEPLOY, "--json"]).expect_code(4).document();
    assert_eq!(lost["error"]["code"], "lock_lost");
    lock(&env, &two, &["break", "--lease", lease, "--reason", "died"]).expect_code(3);
    assert_eq!(lock_data(&env, &two, &["gc"]), serde_json::json!([]));
    let released = lock_data(&env, &two, &["acquire", DEPLOY]);
    assert_eq!(released["fence"], 2);
    assert_eq!(lock_data(&env, &two, &["release", DEPLOY])["state"], "released");
    assert_eq!(lock_data(&env, &one, &["status"])[0]["state"], "released");
}

#[test]
fn who_waits_has_it_when_it_is_given_back() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    lock(&env, &one, &["acquire", DEPLOY]).expect_code(0);
    let mut waiting = env.command(GRIT, &two);
    let waiting = env.start(waiting.args(["lock", "acquire", DEPLOY, "--wait", "3m"]));
    wait_for("line", || {
        let said = waiting.stderr();
        if said.contains("Waiting up to 3m for `deploy:production`.") { Ok(()) } else { Err(said) }
    });
    lock(&env, &one, &["release", DEPLOY]).expect_code(0);
    assert_eq!(waiting.wait().expect_code(0).stdout, "2\n");
    let mut waiting = env.command(GRIT, &one);
    let waiting = env.start(waiting.args(["lock", "acquire", DEPLOY, "--wait", "3m"]));
    wait_for("line", || {
        let said = waiting.stderr();
        if said.contains("Waiting") { Ok(()) } else { Err(said) }
    });
    waiting.end(Signal::INT).expect_code(130);
    lock(&env, &two, &["check", DEPLOY, "--token", "2"]).expect_code(0);
}

#[test]
fn what_was_typed_wrong_is_told() {
    let env = Env::new();
    let one = clone(&env, "one");
    for (args, word) in [
        (&["acquire"][..], "RESOURCE"),
        (&["acquire", "production"], "deploy:production"),
        (&["acquire", "deploy:a b"], "not allowed"),
        (&["acquire", DEPLOY, "--resource", DEPLOY], "cannot be used with"),
        (&["acquire", DEPLOY, "--ttl", "10ms"], "1s to 30d"),
        (&["acquire", DEPLOY, "--ttl", "soon"], "is not a duration"),
        (&["check", DEPLOY, "--token", "x"], "whole number"),
        (&["break", "--lease", "7", "--reason", "x"], "lease id"),
        (&["push", "--resource", DEPLOY, "HEAD:refs/grit/lock/x"], "not pushed under a lock"),
    ] {
        let refused = lock(&env, &one, args).expect_code(2);
        assert!(refused.stderr.contains(word), "{args:?}: {refused:?}");
    }
}

#[test]
fn without_the_remote_nothing_is_granted() {
    let env = Env::new();
    let one = clone(&env, "one");
    std::fs::rename(env.path("hosted.git"), env.path("away")).unwrap();
    let refused = lock(&env, &one, &["acquire", DEPLOY]).expect_code(5);
    assert!(refused.stderr.contains("remote `origin` cannot be asked"), "{refused:?}");
    assert!(refused.stderr.contains("Hint: a lock is granted by its remote or not at all"));
    let document = lock(&env, &one, &["acquire", DEPLOY, "--json"]).expect_code(5).document();
    assert_eq!(document["error"]["code"], "unreachable");
    std::fs::rename(env.path("away"), env.path("hosted.git")).unwrap();
    assert_eq!(lock(&env, &one, &["acquire", DEPLOY]).expect_code(0).stdout, "1\n");
}

#[test]
fn without_any_remote_it_is_local_and_says_so() {
    let env = Env::new();
    let alone = env.repository("alone", &[]);
    let took = lock(&env, &alone, &["acquire", DEPLOY]).expect_code(0);
    assert!(took.stderr.contains("No remote is configured: locks hold among the processes of"));
    lock(&env, &alone, &["acquire", DEPLOY]).expect_code(4);
    assert_eq!(lock_data(&env, &alone, &["acquire", "deploy:x"])["scope"], "local");
    lock(&env, &alone, &["release", DEPLOY]).expect_code(0);
}

#[test]
fn a_command_runs_under_a_lock_and_its_exit_code_is_ours() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let command = "echo $GRIT_LOCK_RESOURCE $GRIT_LOCK_TOKEN; cat; exit 7";
    let out = env.run(&mut lock_run(&env, &one, "1h", command)).expect_code(7);
    assert_eq!(out.stdout, "deploy:production 1\n");
    assert_eq!(lock(&env, &two, &["status"]).expect_code(0).stdout, "", "it was released");
    let killed = env.run(&mut lock_run(&env, &one, "1h", "kill -9 $$"));
    killed.expect_code(137);
    let mut json = env.command(GRIT, &one);
    json.args(["--json", "lock", "run", "--resource", DEPLOY, "--", "echo", "to people"]);
    let out = env.run(&mut json).expect_code(0);
    assert_eq!(out.document()["data"]["exit_code"], 0);
    assert_eq!(out.stderr, "to people\n");
    let mut absent = env.command(GRIT, &one);
    absent.args(["lock", "run", "--resource", DEPLOY, "--", "no-such-program"]);
    env.run(&mut absent).expect_code(5);
    assert_eq!(lock(&env, &two, &["acquire", DEPLOY]).expect_code(0).stdout, "5\n");
    let refused = env.run(&mut lock_run(&env, &one, "1h", "echo never")).expect_code(4);
    assert_eq!(refused.stdout, "");
}

#[test]
fn a_command_whose_lock_is_renewed_runs_on_and_one_that_lost_it_is_ended() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let pid = env.path("pid");
    let command = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    let running = env.start(&mut lock_run(&env, &one, "6s", &command));
    let child = said(&pid);
    let first = lock_data(&env, &two, &["status", DEPLOY]);
    wait_for("renewal", || {
        let now = lock_data(&env, &two, &["status", DEPLOY]);
        let later = now[0]["expires_at"].as_str() > first[0]["expires_at"].as_str();
        if later { Ok(()) } else { Err(now.to_string()) }
    });
    let lease = first[0]["lease"].as_str().unwrap();
    lock(&env, &two, &["break", "--lease", lease, "--reason", "stop it"]).expect_code(0);
    let out = running.wait().expect_code(4);
    assert!(out.stderr.contains("the lease on `deploy:production` is lost: it was broken by tess"));
    wait_gone(&child);
}

#[test]
fn a_command_that_cannot_renew_is_ended_before_its_lease_is() {
    let env = Env::new();
    let one = clone(&env, "one");
    let pid = env.path("pid");
    let command = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", pid.display());
    let running = env.start(&mut lock_run(&env, &one, "3s", &command));
    let child = said(&pid);
    std::fs::rename(env.path("hosted.git"), env.path("away")).unwrap();
    let out = running.wait().expect_code(4);
    assert!(out.stderr.contains("could not be renewed in time"), "{out:?}");
    wait_gone(&child);
}

#[test]
fn a_signal_ends_the_command_and_gives_the_lock_back() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let pid = env.path("pid");
    let command = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    let running = env.start(&mut lock_run(&env, &one, "1h", &command));
    let child = said(&pid);
    running.end(Signal::TERM).expect_code(130);
    wait_gone(&child);
    assert_eq!(lock(&env, &two, &["acquire", DEPLOY]).expect_code(0).stdout, "2\n");
}

#[test]
fn a_command_does_not_outlive_one_that_was_killed_or_stopped() {
    let env = Env::new();
    let one = clone(&env, "one");
    for (signal, ttl) in [(Signal::KILL, "1h"), (Signal::STOP, "3s")] {
        let pid = env.path(&format!("pid-{ttl}"));
        let command = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let mut run = lock_run(&env, &one, ttl, &command);
        let running = env.start(&mut run);
        let child = said(&pid);
        running.signal(signal);
        wait_gone(&child);
        running.signal(Signal::CONT);
        running.end(Signal::KILL);
        lock(&env, &one, &["release", DEPLOY]).expect_code(0);
    }
}

#[test]
fn a_push_lands_only_while_the_lock_is_held() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    env.commit(&one, &[("a", "1")], "a");
    let target = "HEAD:refs/heads/release";
    let refused = lock(&env, &one, &["push", "--resource", DEPLOY, target]).expect_code(3);
    assert!(refused.stderr.contains("`deploy:production` is not held"), "{refused:?}");
    let lease = lock_data(&env, &one, &["acquire", DEPLOY])["lease"].clone();
    let pushed = lock(&env, &one, &["push", "--resource", DEPLOY, target]).expect_code(0);
    assert!(pushed.stderr.contains("Pushed under `deploy:production`, token 1."), "{pushed:?}");
    let lease = lease.as_str().unwrap();
    lock(&env, &two, &["break", "--lease", lease, "--reason", "x"]).expect_code(0);
    env.commit(&one, &[("a", "2")], "b");
    lock(&env, &one, &["push", "--resource", DEPLOY, target]).expect_code(4);
    let (ours, there) = (
        env.git(&one, &["rev-parse", "HEAD~1"]),
        env.git(&env.path("hosted.git"), &["rev-parse", "release"]),
    );
    assert_eq!(ours, there);
}

#[test]
fn a_lock_is_one_for_every_kind_of_clone() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    env.git(&one, &["worktree", "add", "--quiet", "../linked"]);
    env.git(&env.path(""), &["clone", "--quiet", "--bare", "hosted.git", "bare.git"]);
    let url = format!("file://{}", env.path("hosted.git").display());
    env.git(&env.path(""), &["clone", "--quiet", "--depth", "1", &url, "shallow"]);
    for (name, token) in [("linked", "1"), ("bare.git", "2"), ("shallow", "3")] {
        let folder = env.path(name);
        let took = lock(&env, &folder, &["acquire", DEPLOY]).expect_code(0);
        assert_eq!(took.stdout.trim_end(), token, "{name}");
        lock(&env, &two, &["acquire", DEPLOY]).expect_code(4);
        lock(&env, &folder, &["renew", DEPLOY]).expect_code(0);
        lock(&env, &folder, &["check", DEPLOY, "--token", token]).expect_code(0);
        let target = format!("HEAD:refs/heads/from-{name}");
        lock(&env, &folder, &["push", "--resource", DEPLOY, &target]).expect_code(0);
        lock(&env, &folder, &["release", DEPLOY]).expect_code(0);
    }
    lock(&env, &env.path("linked"), &["acquire", DEPLOY]).expect_code(0);
    lock(&env, &one, &["release", DEPLOY]).expect_code(0);
}

#[test]
fn nobody_need_be_known_to_git() {
    let env = Env::new();
    let (one, two) = (clone(&env, "one"), clone(&env, "two"));
    let nameless = |args: &[&str]| {
        let mut command = env.command(GRIT, &one);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env_remove("USER");
        env.run(command.arg("lock").args(args))
    };
    let took = nameless(&["acquire", DEPLOY, "--json"]).expect_code(0).document();
    assert_eq!(took["data"]["owner"]["actor"], "somebody");
    let refused = lock(&env, &two, &["acquire", DEPLOY]).expect_code(4);
    assert!(refused.stderr.contains("is held by somebody"), "{refused:?}");
    nameless(&["release", DEPLOY]).expect_code(0);
}

#[test]
fn a_remote_that_takes_nothing_grants_nothing() {
    let env = Env::new();
    let one = clone(&env, "one");
    let hook = env.path("hosted.git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho 'read only today' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = lock(&env, &one, &["acquire", DEPLOY]).expect_code(5);
    assert!(refused.stderr.contains("read only today"), "{refused:?}");
    lock(&env, &one, &["release", DEPLOY]).expect_code(3);
    std::fs::remove_file(hook).unwrap();
    assert_eq!(lock(&env, &one, &["acquire", DEPLOY]).expect_code(0).stdout, "1\n");
}

#[test]
fn ids_of_another_kind_are_told() {
    let env = Env::new();
    let one = clone(&env, "one");
    let init = ["init", "--quiet", "--object-format=sha256"];
    env.git(&env.path(""), &[&init[..], &["new"]].concat());
    let refused = lock(&env, &env.path("new"), &["acquire", DEPLOY]).expect_code(5);
    assert!(refused.stderr.contains("names its objects by SHA-256"), "{refused:?}");
    env.git(&env.path(""), &[&init[..], &["--bare", "new.git"]].concat());
    env.git(&one, &["remote", "set-url", "origin", "../new.git"]);
    let refused = lock(&env, &one, &["acquire", DEPLOY]).expect_code(5);
    assert!(refused.stderr.contains("hash algorithm"), "{refused:?}");
}
