//! What the repository records travels by git, between as many clones as there are.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::{Env, GRIT, Running};

/// A bare remote with a commit in it.
fn host(env: &Env) -> PathBuf {
    let seed = env.repository("seed", &[("README", "seed\n")]);
    env.commit(&seed, &[("README", "more\n")], "second");
    env.host(&seed);
    env.path("hosted.git")
}

fn clone(env: &Env, name: &str, options: &[&str]) -> PathBuf {
    let url = format!("file://{}", env.path("hosted.git").display());
    let args = [&["clone", "--quiet"], options, &[url.as_str(), name]].concat();
    env.git(&env.path(""), &args);
    env.path(name)
}

fn create(env: &Env, folder: &Path, title: &str) -> String {
    let out = env.grit(folder, &["issue", "create", "--title", title]).expect_code(0);
    out.stdout.trim_end().to_owned()
}

/// The ids of everything that a clone has, without asking anybody.
fn log(env: &Env, folder: &Path) -> Vec<String> {
    let out = env.grit(folder, &["log"]).expect_code(0);
    out.stdout.lines().map(str::to_owned).collect()
}

fn all_at_once(commands: impl IntoIterator<Item = Running>) -> Vec<String> {
    let running: Vec<Running> = commands.into_iter().collect();
    running.into_iter().map(|command| command.wait().expect_code(0).stdout).collect()
}

/// A command as a CI job has it: `CI` is set, and nobody is known to git.
fn job(env: &Env, folder: &Path, script: &str) -> Command {
    let mut command = env.command("bash", folder);
    command.args(["-ec", script, GRIT]).env("CI", "true").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

#[test]
fn a_fresh_clone_and_one_sync_show_everything() {
    let env = Env::new();
    host(&env);
    let one = clone(&env, "one", &[]);
    let ids: Vec<String> = ["a", "b"].map(|title| create(&env, &one, title)).into();
    let sent = env.data(&one, &["sync", "--push", "--json"]);
    assert_eq!(
        (&sent["remote"], &sent["sent"], &sent["rounds"]),
        (&"origin".into(), &2.into(), &1.into())
    );
    let fresh = clone(&env, "fresh", &[]);
    assert_eq!(log(&env, &fresh), Vec::<String>::new());
    let out = env.grit(&fresh, &["sync"]).expect_code(0);
    assert_eq!(out.stdout, "origin: 2 received, 0 sent\n");
    let known = log(&env, &fresh);
    assert_eq!(known.len(), 2);
    assert!(ids.iter().all(|id| known.contains(id)), "{known:?}");
}

#[test]
fn pulling_sends_nothing_and_says_what_waits() {
    let env = Env::new();
    host(&env);
    let (one, two) = (clone(&env, "one", &[]), clone(&env, "two", &[]));
    create(&env, &one, "a");
    create(&env, &two, "b");
    env.grit(&two, &["sync"]).expect_code(0);
    let out = env.grit(&one, &["sync", "--pull"]).expect_code(0);
    assert_eq!(out.stdout, "origin: 1 received, 0 sent, 1 not sent yet\n");
    let findings = env.data(&one, &["doctor", "--json"]);
    assert_eq!(findings[0]["check"], "not-sent", "{findings}");
    let out = env.grit(&one, &["sync", "--pull", "--push"]).expect_code(0);
    assert_eq!(out.stdout, "origin: 0 received, 1 sent\n");
    assert_eq!(env.grit(&one, &["doctor"]).expect_code(0).stdout, "nothing is wrong\n");
}

#[test]
fn eight_clones_that_sync_at_once_have_everything_after_two_rounds() {
    let env = Env::new();
    let hosted = host(&env);
    let clones: Vec<PathBuf> = (0..8).map(|n| clone(&env, &format!("c{n}"), &[])).collect();
    let script = r#"for n in 1 2 3 4 5 6 7 8 9 10; do "$0" issue create --title "$n"; done"#;
    all_at_once(
        clones
            .iter()
            .map(|clone| env.start(env.command("bash", clone).args(["-ec", script, GRIT]))),
    );
    for _round in 0..2 {
        all_at_once(clones.iter().map(|clone| env.start(env.command(GRIT, clone).arg("sync"))));
    }
    let all = log(&env, &clones[0]);
    assert_eq!(all.len(), 80);
    for clone in &clones {
        assert_eq!(log(&env, clone), all);
    }
    env.git(&hosted, &["fsck", "--strict"]);
    let verified = env.grit(&clones[3], &["verify"]).expect_code(0).stdout;
    assert_eq!(verified, "80 events in 8 lanes: whole\n");
}

#[test]
fn eight_processes_that_create_in_one_clone_lose_nothing() {
    let env = Env::new();
    host(&env);
    let one = clone(&env, "one", &[]);
    let script = r#"for n in $(seq 25); do "$0" issue create --title "$n"; done"#;
    let told = all_at_once(
        (0..8).map(|_| env.start(env.command("bash", &one).args(["-ec", script, GRIT]))),
    );
    let mut ids: Vec<String> =
        told.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    ids.sort_unstable();
    let mut known = log(&env, &one);
    known.sort_unstable();
    assert_eq!(known.len(), 200);
    assert!(known == ids, "what was told is not what is there");
}

#[test]
fn sixteen_shallow_ci_jobs_leave_sixteen_events_in_shared_lanes() {
    let env = Env::new();
    let hosted = host(&env);
    let jobs: Vec<PathBuf> =
        (0..16).map(|n| clone(&env, &format!("j{n}"), &["--depth", "1"])).collect();
    let script = r#""$0" issue create --title "CI failure"; "$0" sync --push"#;
    for some in jobs.chunks(8) {
        all_at_once(some.iter().map(|clone| env.start(&mut job(&env, clone, script))));
    }
    let reader = clone(&env, "reader", &[]);
    env.grit(&reader, &["sync"]).expect_code(0);
    assert_eq!(log(&env, &reader).len(), 16);
    let refs = env.git(&hosted, &["for-each-ref", "--format=%(refname)", "refs/grit"]);
    assert!(refs.lines().all(|name| name.starts_with("refs/grit/ci/")), "{refs}");
    let verified = env.grit(&reader, &["verify"]).expect_code(0).stdout;
    assert!(verified.starts_with("16 events in "), "{verified}");
}

#[test]
fn the_setting_decides_whose_lane_it_is() {
    let env = Env::new();
    let hosted = host(&env);
    let shallow = clone(&env, "shallow", &["--depth", "1"]);
    env.git(&shallow, &["config", "grit.lane", "own"]);
    create(&env, &shallow, "a");
    env.grit(&shallow, &["sync"]).expect_code(0);
    let whole = clone(&env, "whole", &[]);
    env.git(&whole, &["config", "grit.lane", "ci"]);
    create(&env, &whole, "b");
    env.grit(&whole, &["sync"]).expect_code(0);
    let refs = env.git(&hosted, &["for-each-ref", "--format=%(refname)", "refs/grit"]);
    let kinds: Vec<&str> = refs.lines().filter_map(|name| name.split('/').nth(2)).collect();
    assert_eq!(kinds, ["a", "ci"]);
    env.grit(&shallow, &["sync"]).expect_code(0);
    assert_eq!(log(&env, &shallow), log(&env, &whole));
    env.git(&whole, &["config", "grit.lane", "mine"]);
    env.grit(&whole, &["sync"]).expect_code(2);
}

#[test]
fn worktrees_and_bare_repositories_are_clones_like_any_other() {
    let env = Env::new();
    host(&env);
    let one = clone(&env, "one", &[]);
    env.git(&one, &["worktree", "add", "--quiet", "../tree", "-b", "side"]);
    let bare = clone(&env, "bare.git", &["--bare"]);
    create(&env, &env.path("tree"), "from a worktree");
    create(&env, &bare, "from a bare repository");
    for folder in [&env.path("tree"), &bare, &one] {
        env.grit(folder, &["sync"]).expect_code(0);
    }
    assert_eq!(log(&env, &one).len(), 2);
    assert_eq!(log(&env, &env.path("tree")), log(&env, &one));
}

#[test]
fn a_remote_that_takes_nothing_or_is_not_there_is_told_with_what_waits() {
    let env = Env::new();
    let hosted = host(&env);
    let one = clone(&env, "one", &[]);
    let hook = hosted.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    create(&env, &one, "a");
    let out = env.grit(&one, &["sync", "--push"]).expect_code(5);
    insta::assert_snapshot!(out.refusal(), @r"
    exit 5
    Error: remote `origin` does not take what is new here: [remote rejected] (pre-receive hook declined)
    Hint: nothing is lost: `grit sync --push` sends what waits here (1 event) once the remote takes it; `grit sync --pull` only takes
    ");
    std::fs::remove_file(hook).unwrap();
    std::fs::rename(&hosted, env.path("away.git")).unwrap();
    let out = env.grit(&one, &["sync", "--json"]).expect_code(5).document();
    assert_eq!(out["error"]["code"], "unreachable", "{out}");
    std::fs::rename(env.path("away.git"), &hosted).unwrap();
    assert_eq!(env.data(&one, &["sync", "--json"])["sent"], 1);
    let out = env.grit(&one, &["sync", "--remote", "upstream"]);
    insta::assert_snapshot!(out.refusal(), @r"
    exit 5
    Error: no remote `upstream` is configured
    Hint: `grit sync --remote origin`
    ");
    let alone = env.repository("alone", &[]);
    insta::assert_snapshot!(env.grit(&alone, &["sync"]).refusal(), @r"
    exit 5
    Error: no remote is configured
    Hint: `git remote add origin URL`
    ");
}

#[test]
fn a_repository_with_long_ids_is_refused_by_its_reason() {
    let env = Env::new();
    env.git(&env.path(""), &["init", "--quiet", "--object-format=sha256", "long"]);
    for args in [&["sync"][..], &["issue", "create", "--title", "x"], &["log"]] {
        let out = env.grit(&env.path("long"), args).expect_code(5);
        assert!(out.stderr.contains("SHA-256"), "{out:?}");
    }
}

#[test]
fn what_is_no_event_is_named_and_the_rest_goes_on() {
    let env = Env::new();
    host(&env);
    let one = clone(&env, "one", &[]);
    create(&env, &one, "a");
    env.git(&one, &["update-ref", "refs/grit/a/odd", "HEAD"]);
    assert_eq!(log(&env, &one).len(), 1);
    let odd = env.git(&one, &["rev-parse", "HEAD"]);
    let findings = env.grit(&one, &["doctor", "--json"]).expect_code(1).document();
    let named = findings["data"].to_string();
    assert!(named.contains("quarantined") && named.contains(odd.trim()), "{named}");
    let verified = env.grit(&one, &["verify"]).expect_code(1).stdout;
    assert!(verified.contains(odd.trim()), "{verified}");
    env.grit(&one, &["sync"]).expect_code(0);
    let other = clone(&env, "other", &[]);
    env.grit(&other, &["sync"]).expect_code(0);
    assert_eq!(log(&env, &other).len(), 1);
    env.grit(&one, &["log", "--lane", "a/nobody"]).expect_code(3);
}

#[test]
fn a_missing_object_is_told_by_verify() {
    let env = Env::new();
    host(&env);
    let one = clone(&env, "one", &[]);
    create(&env, &one, "a");
    let lane = env.git(&one, &["for-each-ref", "--format=%(objectname)", "refs/grit/a"]);
    create(&env, &one, "b");
    let (folder, file) = lane.trim().split_at(2);
    std::fs::remove_file(one.join(".git/objects").join(folder).join(file)).unwrap();
    let verified = env.grit(&one, &["verify"]).expect_code(1).stdout;
    assert!(verified.contains(lane.trim()) && verified.contains("not whole"), "{verified}");
    assert_eq!(log(&env, &one).len(), 1);
}

#[test]
fn the_doctor_clears_what_a_dead_process_left() {
    let env = Env::new();
    host(&env);
    let one = clone(&env, "one", &[]);
    create(&env, &one, "a");
    let lock = one.join(".git/refs/heads/main.lock");
    let file = std::fs::File::create(&lock).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3_600))
        .unwrap();
    let findings = env.grit(&one, &["doctor"]).expect_code(1).stdout;
    assert!(findings.contains("main.lock") && lock.exists(), "{findings}");
    let findings = env.grit(&one, &["doctor", "--repair"]).expect_code(0).stdout;
    assert!(findings.contains("repaired: ") && !lock.exists(), "{findings}");
}

#[test]
fn the_log_says_who_did_what_and_whose_clock_is_ahead() {
    let env = Env::new();
    host(&env);
    let one = clone(&env, "one", &[]);
    create(&env, &one, "a");
    create(&env, &one, "b");
    let entries = env.data(&one, &["log", "--json"]);
    assert_eq!(entries.as_array().unwrap().len(), 2);
    assert_eq!((&entries[0]["by"], &entries[0]["via"]), (&"tess".into(), &"cli".into()));
    assert_eq!(entries[0]["kind"], "issue.created");
    assert_eq!(entries[0]["farAhead"], false);
    assert!(entries[0]["at"].as_str() >= entries[1]["at"].as_str(), "the newest is first");
    // The same event of a clock that is a day ahead, as another clone would have sent it.
    let message = env.git(
        &one,
        &[
            "log",
            "-1",
            "--format=%B",
            entries[0]["lane"].as_str().map(|lane| format!("refs/grit/{lane}")).unwrap().as_str(),
        ],
    );
    let mut event: serde_json::Value = serde_json::from_str(message.trim()).unwrap();
    event["hlc"][0] = (event["hlc"][0].as_i64().unwrap() + 86_400_000).into();
    let tree = env.git(&one, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let commit = env.git(&one, &["commit-tree", "-m", &event.to_string(), tree.trim()]);
    env.git(&one, &["update-ref", "refs/grit/a/ahead", commit.trim()]);
    let entries = env.data(&one, &["log", "--json", "-n", "1"]);
    assert_eq!((&entries[0]["lane"], &entries[0]["farAhead"]), (&"a/ahead".into(), &true.into()));
    let findings = env.grit(&one, &["doctor"]).expect_code(0).stdout;
    assert!(findings.contains("that clock is ahead"), "{findings}");
}

#[test]
fn folding_changes_nothing_that_is_read() {
    let env = Env::new();
    let host = host(&env);
    let (one, two) = (clone(&env, "one", &[]), clone(&env, "two", &[]));
    for folder in [&one, &two] {
        create(&env, folder, "a");
        env.grit(folder, &["sync"]).expect_code(0);
    }
    env.grit(&one, &["sync"]).expect_code(0);
    let (before, verified) = (log(&env, &one), env.data(&one, &["verify", "--json"]));
    let out = env.grit(&one, &["compact"]).expect_code(0);
    assert_eq!(out.stdout, "origin: 0 lanes folded, 0 refs removed, 2 left\n");
    let out = env.grit(&one, &["compact", "--idle", "0", "--dry-run"]).expect_code(0);
    assert_eq!(out.stdout, "origin: 2 of 2 lanes would be folded\n");
    let out = env.grit(&one, &["compact", "--idle", "0"]).expect_code(0);
    assert_eq!(out.stdout, "origin: 2 lanes folded, 2 refs removed, 0 left\n");
    let refs = env.git(&host, &["for-each-ref", "--format=%(refname)", "refs/grit"]);
    assert_eq!(refs.trim_end(), "refs/grit/base");
    let fresh = clone(&env, "fresh", &["--depth", "1"]);
    for folder in [&one, &two, &fresh] {
        env.grit(folder, &["sync"]).expect_code(0);
        assert_eq!(log(&env, folder), before);
        assert_eq!(env.data(folder, &["verify", "--json"]), verified);
    }
    create(&env, &two, "b");
    env.grit(&two, &["sync"]).expect_code(0);
    env.grit(&one, &["sync"]).expect_code(0);
    assert_eq!(log(&env, &one).len(), 3);
}

/// A remote behind ssh, and an ssh that somebody chose: it leaves a mark and goes nowhere.
#[test]
fn the_way_to_a_remote_is_the_users_own() {
    let env = Env::new();
    let host = host(&env);
    let one = clone(&env, "one", &[]);
    let url = format!("ssh://nowhere.invalid{}", host.display());
    env.git(&one, &["remote", "set-url", "origin", &url]);
    let script = env.path("ssh");
    let text = format!(
        "#!/bin/sh\necho \"$SSH_AUTH_SOCK\" >> {}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        env.path("mark").display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    create(&env, &one, "a");
    let grit = |words: &[&str]| {
        let mut command = env.command(GRIT, &one);
        command.args(words).env("GIT_SSH_COMMAND", &script).env("SSH_AUTH_SOCK", "/the/agent");
        env.run(&mut command)
    };
    assert_eq!(grit(&["sync"]).expect_code(0).stdout, "origin: 0 received, 1 sent\n");
    grit(&["lock", "acquire", "--resource", "deploy:x", "--ttl", "1m"]).expect_code(0);
    let mark = std::fs::read_to_string(env.path("mark")).unwrap();
    assert!(mark.lines().count() >= 4 && mark.lines().all(|line| line == "/the/agent"), "{mark}");
    // What is a hook's says nothing of the repository that is meant.
    let mut command = env.command(GRIT, &one);
    command.args(["log"]).env("GIT_DIR", "/nowhere").env("GIT_OBJECT_DIRECTORY", "/nowhere");
    assert_eq!(env.run(&mut command).expect_code(0).stdout.lines().count(), 1);
}

/// A fetch moves what we know of the remote before its folders are synced: those refs may come up again without what
/// they name.
#[test]
fn what_a_power_cut_took_of_a_fetch_comes_with_the_next_sync() {
    let env = Env::new();
    host(&env);
    let (one, two) = (clone(&env, "one", &[]), clone(&env, "two", &[]));
    let mut ids = [create(&env, &one, "a"), create(&env, &two, "b")];
    ids.sort();
    env.grit(&two, &["sync"]).expect_code(0);
    let packs = || {
        let files = std::fs::read_dir(one.join(".git/objects/pack")).unwrap();
        files.map(|file| file.unwrap().path()).collect::<Vec<PathBuf>>()
    };
    let before = packs();
    let fetch = ["-c", "fetch.unpackLimit=1", "fetch", "--quiet", "origin"];
    let known = "+refs/grit/a/*:refs/grit/remotes/origin/a/*";
    env.git(&one, &[&fetch[..], &[known]].concat());
    let (_, lost): (Vec<_>, Vec<_>) = packs().into_iter().partition(|file| before.contains(file));
    assert!(!lost.is_empty());
    lost.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    env.grit(&one, &["sync"]).expect_code(0);
    let mut there = log(&env, &one);
    there.sort();
    assert_eq!(there, ids);
    env.git(&one, &["fsck", "--strict", "--no-dangling"]);
}
