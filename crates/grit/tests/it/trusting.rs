//! What names in commits, approvals of before and runs of others do not open.

use crate::env::{Env, wait_for};
use crate::hosted::{Server, job, named};

const DEPLOY: &str = "name: deploy\non: { push: { branches: [main] } }\njobs:\n  live:\n    \
    runs-on: ubuntu-latest\n    environment: production\n    \
    steps: [{ run: 'echo \"${{ github.sha }} for ${{ github.actor }}\"' }]\n";
const PROTECTED: &str =
    "environments:\n  production:\n    protection: { approval: { min: 1, distinct: true } }\n";

/// S06 and S07 of the cases.
#[test]
fn an_approval_is_of_somebody_else_than_who_pushed_and_for_one_commit() {
    let env = Env::new();
    let files = [(".github/workflows/deploy.yml", DEPLOY), ("grit.yaml", PROTECTED)];
    let server = Server::start(&env, &files);
    let mona =
        env.data(&server.repository, &["token", "create", "mona", "--role", "Admin", "--json"]);
    let mona = mona["token"].as_str().unwrap();
    // The commit says that somebody else made it, who may approve.
    let forged = ["-c", "user.name=mona", "-c", "user.email=mona@localhost"];
    let commit = ["commit", "--quiet", "--allow-empty", "--author", "mona <mona@localhost>"];
    env.git(&server.repository, &[&forged[..], &commit, &["--message", "by mona"]].concat());
    server.push(&["main"]);
    let runs = server.wait(1, |run| job(run, "live")["waiting"].is_string());
    let first = runs[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(runs[0]["actor"], "owner", "whoever pushed, and not who is named");
    let own = server.grit(&["approve", &first]).expect_code(6);
    assert!(own.stderr.contains("whoever started the run cannot approve it"), "{own:?}");
    env.grit_as(mona, &server.repository, &["approve", &first]).expect_code(0);
    let runs = server.over(1);
    assert_eq!(runs[0]["status"], "success", "{runs:#?}");
    assert!(server.said(&runs[0]).contains("for owner"));
    server.commit(&[("more", "1")], "another");
    server.push(&["main"]);
    wait_for("another approval is asked for", || {
        let runs = server.runs();
        let waits = runs.len() == 2 && job(&runs[0], "live")["waiting"].is_string();
        if waits { Ok(()) } else { Err(format!("{runs:#?}")) }
    });
    env.grit_as(mona, &server.repository, &["approve", &first]).expect_code(4);
    assert!(job(&server.runs()[0], "live")["started"].is_null(), "that of the other opens nothing");
    server.end();
}

const MAKE: &str = "name: make\non: { push: { branches: [topic] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps:\n      - run: mkdir dist && echo theirs > dist/a\n      \
    - uses: actions/upload-artifact@v4\n        with: { name: dist, path: dist }\n";
const RELEASE: &str = "name: release\non: { push: { branches: [main] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/download-artifact@v4\n        \
    with: { name: dist }\n      - run: cat a\n";

/// S09 of the cases.
#[test]
fn a_run_finds_no_artifact_that_another_made() {
    let env = Env::new();
    let files = [(".github/workflows/make.yml", MAKE), (".github/workflows/release.yml", RELEASE)];
    let server = Server::start(&env, &files);
    server.push(&["main:refs/heads/topic"]);
    assert_eq!(server.over(1)[0]["status"], "success");
    server.commit(&[("x", "1")], "release");
    server.push(&["main"]);
    let runs = server.over(2);
    let release = named(&runs, "release");
    assert_eq!(release["status"], "failure", "{release:#}");
    let said = server.said(release);
    assert!(said.contains("dist") && !said.contains("theirs"), "{said}");
    server.end();
}

const TARGET: &str = "name: target\non: pull_request_target\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n        \
    with: { ref: '${{ github.event.pull_request.head.sha }}' }\n      \
    - env: { KEY: '${{ secrets.KEY }}' }\n        run: ./build.sh\n";

/// S05 of the cases: as on the service it is run, so it is found before.
#[test]
fn code_of_a_pull_request_beside_secrets_is_found_before_it_runs() {
    let env = Env::new();
    let repository = env.repository("repo", &[(".github/workflows/t.yml", TARGET)]);
    let found = env.data(&repository, &["pipeline", "lint", "--json"]);
    let codes: Vec<_> = found["findings"].as_array().unwrap().iter().map(|f| &f["code"]).collect();
    assert_eq!(codes, ["W0111"], "{found:#}");
    let safe = TARGET.replace(
        "        with: { ref: '${{ github.event.pull_request.head.sha }}' }\n      ",
        "      ",
    );
    env.commit(&repository, &[(".github/workflows/t.yml", &*safe)], "the base only");
    let found = env.data(&repository, &["pipeline", "lint", "--json"]);
    assert_eq!(found["findings"].as_array().unwrap().len(), 0, "{found:#}");
}
