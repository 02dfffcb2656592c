//! Caches and artifacts of workflows: what one job keeps, another job, another run or a person gets.

use std::fs;

use serde_json::Value;

use crate::env::{Env, wait_for};
use crate::living::Living;

const WORKFLOW: &str = ".github/workflows/ci.yml";

const BUILD: &str = r#"name: CI
on: [push, pull_request]
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: kept
        uses: actions/cache@v4
        with:
          path: |
            made
            !made/skip
          key: made-${{ hashFiles('lock') }}
          restore-keys: made-
      - name: Make
        if: steps.kept.outputs.cache-hit != 'true'
        run: mkdir -p made && date > made/when && date > made/skip
      - run: mkdir -p dist/sub && cp made/when dist/sub && echo a > dist/a.txt
      - id: up
        uses: actions/upload-artifact@v4
        with: { name: site, path: dist }
      - run: test -n "${{ steps.up.outputs.artifact-id }}" && test -n "${{ steps.up.outputs.artifact-digest }}"
  check:
    needs: build
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@v4
        with: { name: site, path: got }
      - run: test -f got/sub/when && test "$(cat got/a.txt)" = a
"#;

#[test]
fn a_run_keeps_for_its_jobs_for_later_runs_and_for_people() {
    let env = Env::new();
    let repository = env.repository("repo", &[(WORKFLOW, BUILD), ("lock", "1")]);
    let (one, two) = (env.path("one"), env.path("two"));
    let into = |folder: &std::path::Path| folder.to_str().unwrap().to_owned();
    let first = env.grit(&repository, &["run", "--artifacts", &into(&one)]).expect_code(0);
    assert!(first.stderr.contains("ok      build / Make"), "{first:?}");
    let second = env.grit(&repository, &["run", "--artifacts", &into(&two)]).expect_code(0);
    assert!(second.stderr.contains("skipped build / Make"), "{second:?}");
    let when = |folder: &std::path::Path| fs::read_to_string(folder.join("site/sub/when")).unwrap();
    assert_eq!(when(&one), when(&two), "the second has it from the first");
    let told = env.grit(&repository, &["run"]).expect_code(0);
    assert!(told.stderr.contains("Artifacts: site."), "{told:?}");

    env.commit(&repository, &[("lock", "2")], "another");
    let third = env.grit(&repository, &["run", "--artifacts", &into(&env.path("three"))]);
    assert!(third.expect_code(0).stderr.contains("ok      build / Make"), "no exact key");
    assert_eq!(env.left_over(), [""; 0]);
}

const PULL: &str = r#"{"event": "pull_request", "ref": "refs/heads/main", "payload": {
  "action": "opened", "number": 3,
  "pull_request": {"number": 3, "base": {"ref": "main", "repo": {"full_name": "o/r"}},
    "head": {"ref": "main", "repo": {"full_name": "fork/r"}}}}}"#;

#[test]
fn what_a_pull_request_keeps_no_push_reads() {
    let env = Env::new();
    let repository = env.repository("repo", &[(WORKFLOW, BUILD), ("lock", "1")]);
    fs::write(env.path("pull.json"), PULL).unwrap();
    let pull = env.path("pull.json");
    let pulled = ["run", "--event", pull.to_str().unwrap()];
    let out = env.grit(&repository, &pulled).expect_code(0);
    assert!(out.stderr.contains("ok      build / Make"), "{out:?}");
    let out = env.grit(&repository, &pulled).expect_code(0);
    assert!(out.stderr.contains("skipped build / Make"), "its own it reads: {out:?}");
    let out = env.grit(&repository, &["run"]).expect_code(0);
    assert!(out.stderr.contains("ok      build / Make"), "poisoned: {out:?}");
}

const ACTION: &str = "name: act\nruns: {using: node20, main: main.mjs}\n";

const MAIN: &str = r#"
const token = process.env.ACTIONS_RUNTIME_TOKEN
const [, run] = JSON.parse(Buffer.from(token.split(".")[1], "base64url")).scp.split(":")
const answer = await fetch(new URL("/twirp/github.actions.results.api.v1.ArtifactService/ListArtifacts", process.env.ACTIONS_RESULTS_URL), {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ workflow_run_backend_id: run }),
})
const { artifacts } = await answer.json()
if (run !== process.env.GITHUB_RUN_ID || artifacts[0].name !== "site") process.exit(1)
"#;

#[test]
fn an_action_of_somebody_finds_the_services_it_expects() {
    let env = Env::new();
    let workflow = BUILD.replace(
        "      - run: test -f got",
        "      - uses: actions/checkout@v4\n      - uses: o/act@v1\n      - run: test -f got",
    );
    let repository = env.repository(
        "repo",
        &[
            (WORKFLOW, &workflow),
            ("lock", "1"),
            (".grit/actions/o/act@v1/action.yml", ACTION),
            (".grit/actions/o/act@v1/main.mjs", MAIN),
        ],
    );
    env.grit(&repository, &["run"]).expect_code(0);
}

#[test]
fn the_artifacts_of_a_server_s_run_are_listed_and_taken() {
    let env = Env::new();
    let repository = env.repository("shelf", &[(WORKFLOW, BUILD), ("lock", "1")]);
    let living = Living::resume(&env, repository);
    env.git(&living.repository, &["push", "--quiet", "grit", "main"]);
    let run = wait_for("the end of the run", || {
        let runs = living.get("/api/v1/runs");
        let run = &runs[0];
        match run["status"].as_str() {
            Some("success") => Ok(run["id"].as_str().unwrap().to_owned()),
            _ => Err(runs.to_string()),
        }
    });
    let listed = env.data(&living.repository, &["artifact", "list", "--run", &run, "--json"]);
    assert_eq!(listed[0]["name"], "site", "{listed}");
    let into = env.path("taken");
    let take = ["artifact", "download", "site", "--run", &run, "--into", into.to_str().unwrap()];
    env.grit(&living.repository, &take).expect_code(0);
    assert_eq!(fs::read_to_string(into.join("site/a.txt")).unwrap(), "a\n");
    env.grit(&living.repository, &take).expect_code(4);
    let none = ["artifact", "download", "none", "--run", &run];
    env.grit(&living.repository, &none).expect_code(3);
    let unknown = ["artifact", "list", "--run", "run_01HF7YAT00Z05NDZ1WSMACCPZ5"];
    env.grit(&living.repository, &unknown).expect_code(3);
    let missing: Value = living.get(&format!("/api/v1/runs/{run}/artifacts/..%2F..%2Fjournal.db"));
    assert_eq!(missing["status"], 404, "{missing}");
}
