//! What is refused, with which exit status and which words.

use std::net::TcpListener;

use insta::assert_snapshot;

use crate::env::{Env, GRIT};

#[test]
fn an_unknown_verb_is_a_usage_error() {
    let env = Env::new();
    let out = env.grit(&env.path(""), &["frobnicate"]);
    assert_snapshot!(out.refusal(), @r"
    exit 2
    error: unrecognized subcommand 'frobnicate'

    Usage: grit [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_usage_error_with_json_is_one_document_on_stdout() {
    let env = Env::new();
    for args in
        [&["--json", "frobnicate"][..], &["deploy", "--json"], &["status", "--no", "--json"]]
    {
        let out = env.grit(&env.path(""), args).expect_code(2);
        let document = out.document();
        assert_eq!(document["schema"], 1);
        assert_eq!(document["ok"], false);
        assert_eq!(document["error"]["code"], "usage");
        assert_ne!(document["error"]["message"], "");
        assert_eq!(out.stderr, "");
    }
}

#[test]
fn outside_a_repository_the_hint_says_how_to_get_one() {
    let env = Env::new();
    let out = env.grit(&env.path("home"), &["status"]);
    assert_snapshot!(out.refusal(), @r"
    exit 5
    Error: `[ROOT]/home` is not in a git repository
    Hint: `git init` makes one, `grit init --example shop` makes one with something in it
    ");
    let document = env.grit(&env.path("home"), &["status", "--json"]).expect_code(5).document();
    assert_eq!(document["error"]["code"], "no_repository");
}

#[test]
fn without_a_control_process_the_hint_says_how_to_start_one() {
    let env = Env::new();
    let repository = env.repository("repo", &[]);
    assert_snapshot!(env.grit(&repository, &["status"]).refusal(), @r"
    exit 5
    Error: no control process runs on [ROOT]/repo/.git/grit/data
    Hint: `grit up` starts one
    ");
    for args in [
        &["approve"][..],
        &["logs", "api"],
        &["deploy", "api", "--env", "production", "--version", "v1"],
        &["rollout", "promote"],
        &["rollback", "api", "--env", "production"],
        &["token", "list"],
    ] {
        env.grit(&repository, args).expect_code(5);
    }
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let env = Env::new();
    // A port that was free a moment ago, and that nobody was told of.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let args = ["--server", &url, "status"];
    let out = env.grit_as("any", &env.path(""), &args).expect_code(5);
    assert!(out.stderr.contains(&format!("{address} cannot be reached")), "{out:?}");
    assert!(out.stderr.contains("Connection refused"), "{out:?}");
    assert_snapshot!(env.grit(&env.path(""), &args).refusal(), @r"
    exit 2
    Error: a server is named, and no token is given
    Hint: set GRIT_TOKEN
    ");
}

#[test]
fn a_code_is_explained_and_an_unknown_one_is_not_found() {
    let env = Env::new();
    let out = env.grit(&env.path(""), &["explain", "e0201"]).expect_code(0);
    assert_snapshot!(out.stdout, @r"
    E0201: a service is needed that is not declared

    `needs` lists services of the same file that are deployed before this one. The name given is none of them.

    Check the spelling, or declare the service under `services`.
    ");
    assert_snapshot!(env.grit(&env.path(""), &["explain", "X"]).refusal(), @r"
    exit 3
    Error: there is no code `X`
    Hint: codes stand in brackets in messages: `error[E0201]`
    ");
}

#[test]
fn an_issue_id_that_is_too_short_or_unknown_is_told_apart() {
    let env = Env::new();
    let repository = env.repository("repo", &[]);
    assert_snapshot!(env.grit(&repository, &["issue", "show", "zz"]).refusal(), @r"
    exit 2
    Error: `zz` is too short: type at least 4 characters of the id
    Hint: `grit issue list --state all`
    ");
    assert_snapshot!(env.grit(&repository, &["issue", "close", "abcdef"]).refusal(), @r"
    exit 3
    Error: no id begins with `abcdef`
    Hint: `grit issue list --state all`
    ");
}

#[test]
fn the_version_is_that_of_the_package() {
    let env = Env::new();
    let out = env.grit(&env.path(""), &["--version"]).expect_code(0);
    assert_eq!(out.stdout, format!("grit {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_schema_is_json_and_every_verb_has_help() {
    let env = Env::new();
    let out = env.grit(&env.path(""), &["schema"]).expect_code(0);
    assert!(out.document()["properties"]["services"].is_object(), "{out:?}");
    let verbs = [
        "demo", "init", "run", "up", "serve", "edge", "deploy", "status", "history", "rollout",
        "approve", "rollback", "issue", "logs", "artifact", "token", "explain", "schema",
    ];
    for verb in verbs {
        let out = env.grit(&env.path(""), &[verb, "--help"]).expect_code(0);
        assert!(out.stdout.contains(&format!("Usage: grit {verb}")), "{out:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let env = Env::new();
    let script = format!("set -o pipefail; {GRIT} schema | head -c 1 >/dev/null");
    env.run(env.command("bash", &env.path("")).args(["-c", &script])).expect_code(0);
}
