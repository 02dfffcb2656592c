//! Keys, signatures and what else the team agrees on.

use crate::env::Env;

#[test]
fn from_the_first_key_to_a_team_that_requires_signatures() {
    let (env, one, two) = Env::two_clones();
    let create = ["issue", "create", "--title", "t"];
    env.grit(&one, &["key", "publish"]).expect_code(5);
    env.grit(&one, &["policy", "--signatures", "require"]).expect_code(6);
    let line = env.grit(&one, &["key", "create"]).expect_code(0).stdout;
    assert!(line.starts_with("ssh-ed25519 "), "{line}");
    env.grit(&one, &["key", "create"]).expect_code(4);
    env.grit(&one, &["key", "publish"]).expect_code(0);
    env.grit(&one, &create).expect_code(0);
    env.grit(&two, &create).expect_code(0);
    env.grit(&two, &["sync"]).expect_code(0);
    env.grit(&one, &["policy", "--signatures", "warn"]).expect_code(0);
    env.grit(&one, &["sync"]).expect_code(0);
    let events = env.data(&one, &["log", "--json"]);
    let verified: Vec<_> = events.as_array().unwrap().iter().map(|e| &e["verified"]).collect();
    assert!(verified.contains(&&true.into()) && verified.contains(&&false.into()), "{events}");
    let issues = env.data(&one, &["issue", "list", "--json"]);
    for issue in issues.as_array().unwrap() {
        let id = issue["id"].as_str().unwrap();
        let event = events.as_array().unwrap().iter().find(|event| event["id"] == issue["id"]);
        let expected = &event.unwrap()["verified"];
        assert_eq!(&env.data(&one, &["issue", "show", id, "--json"])["verified"], expected);
        let history = env.data(&one, &["issue", "history", id, "--json"]);
        assert_eq!(&history[0]["verified"], expected);
        let text = env.grit(&one, &["issue", "show", id]).expect_code(0).stdout;
        assert_eq!(text.contains("unverified: 1 of 1 events"), *expected == false, "{text}");
    }
    let findings = env.data(&one, &["doctor", "--json"]);
    assert_eq!(findings[0]["check"], "unsigned", "{findings}");
    env.grit(&one, &["verify"]).expect_code(0);

    env.grit(&one, &["policy", "--signatures", "require"]).expect_code(0);
    let out = env.grit(&two, &["sync"]).expect_code(0);
    assert!(out.stderr.is_empty(), "{}", out.stderr);
    let out = env.grit(&two, &["verify"]).expect_code(1);
    assert!(out.stdout.contains("it is not signed"), "{}", out.stdout);
    assert!(out.stdout.contains("1 events in 2 lanes, 1 signed: not whole"), "{}", out.stdout);
    assert_eq!(env.grit(&two, &["log"]).expect_code(0).stdout.lines().count(), 1);
    let out = env.grit(&two, &["doctor"]).expect_code(1);
    assert!(out.stdout.contains("is left out: event "), "{}", out.stdout);
    // A key that nobody vouches for helps nobody.
    env.grit(&two, &["key", "create"]).expect_code(0);
    env.grit(&two, &["key", "publish"]).expect_code(6);
    let public = two.join(".git/grit/signing-key.pub");
    let publish = ["key", "publish", "--key", public.to_str().unwrap()];
    env.grit(&one, &publish).expect_code(0);
    env.grit(&two, &create).expect_code(0);
    env.grit(&two, &["sync"]).expect_code(0);
    assert_eq!(env.grit(&two, &["log"]).expect_code(0).stdout.lines().count(), 2);

    // Rotation.
    let keys = env.grit(&two, &["key", "list"]).expect_code(0).stdout;
    let first = keys.lines().next().unwrap().to_owned();
    env.grit(&two, &["key", "revoke", &first]).expect_code(0);
    env.grit(&one, &["sync"]).expect_code(0);
    env.grit(&one, &["key", "revoke", keys.lines().nth(1).unwrap()]).expect_code(6);
    assert_eq!(env.grit(&one, &["log"]).expect_code(0).stdout.lines().count(), 2);
}

/// A key's record and a change signed with it may come from two clocks: the later is later.
#[test]
fn what_follows_a_record_is_later_than_the_record() {
    let (env, one, _) = Env::two_clones();
    env.grit(&one, &["label", "define", "bug"]).expect_code(0);
    let read = |name: &str| -> serde_json::Value {
        let message = env.git(&one, &["log", "-1", "--format=%B", name]);
        serde_json::from_str(message.trim()).unwrap()
    };
    let mut record = read("refs/grit/meta");
    let ahead = record["hlc"][0].as_i64().unwrap() + 120_000;
    record["hlc"][0] = ahead.into();
    let tree = env.git(&one, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let commit = env.git(&one, &["commit-tree", "-m", &record.to_string(), tree.trim()]);
    env.git(&one, &["update-ref", "refs/grit/meta", commit.trim()]);
    env.grit(&one, &["issue", "create", "--title", "t"]).expect_code(0);
    let lane = env.git(&one, &["for-each-ref", "--format=%(refname)", "refs/grit/a"]);
    let created = read(lane.trim());
    assert!(created["hlc"][0].as_i64().unwrap() >= ahead, "{created}");
}

mod needs_ssh_keygen {
    use super::*;

    #[test]
    fn git_reads_the_keys_that_grit_lists() {
        let (env, one, _) = Env::two_clones();
        env.grit(&one, &["key", "create"]).expect_code(0);
        env.grit(&one, &["key", "publish"]).expect_code(0);
        env.grit(&one, &["issue", "create", "--title", "t"]).expect_code(0);
        let signers = env.grit(&one, &["key", "list", "--allowed-signers"]).expect_code(0).stdout;
        std::fs::write(env.path("allowed"), signers).unwrap();
        let allowed = env.path("allowed");
        env.git(&one, &["config", "gpg.ssh.allowedSignersFile", allowed.to_str().unwrap()]);
        let tip = env.git(&one, &["for-each-ref", "--format=%(objectname)", "refs/grit/a"]);
        env.git(&one, &["verify-commit", tip.trim()]);
        env.git(&one, &["verify-commit", "refs/grit/meta"]);
    }
}

#[test]
fn labels_and_the_grace_of_locks_are_the_teams() {
    let (env, one, two) = Env::two_clones();
    let define = ["label", "define", "bug", "--color", "#D73A4A", "--description", "It is wrong"];
    env.grit(&one, &define).expect_code(0);
    env.grit(&one, &["label", "define", "x", "--color", "red"]).expect_code(6);
    env.grit(&one, &["policy", "--lock-grace", "200ms"]).expect_code(0);
    env.grit(&two, &["sync"]).expect_code(0);
    let labels = env.data(&two, &["label", "list", "--json"]);
    assert_eq!(labels["bug"]["color"], "d73a4a");
    let policy = env.data(&two, &["policy", "--json"]);
    assert_eq!((&policy["signatures"], &policy["lockGraceMillis"]), (&"off".into(), &200.into()));
    env.grit(&two, &["label", "remove", "bag"]).expect_code(3);
    env.grit(&two, &["label", "remove", "bug"]).expect_code(0);
    // Nobody agrees with a remote that is away.
    std::fs::rename(env.path("hosted.git"), env.path("away")).unwrap();
    env.grit(&two, &["label", "define", "x"]).expect_code(5);
    assert_eq!(env.grit(&two, &["label", "list"]).expect_code(0).stdout, "");
}
