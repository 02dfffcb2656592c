//! What happens to refs, issues and locks starts pipelines of a server.

use crate::env::{Env, GRIT};
use crate::hosted::{Server, named};

const ON_ISSUE: &str = r#"
name: issue
on: { grit_issue: { types: [opened, labeled] } }
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - env: { TITLE: '${{ github.event.issue.title }}' }
        run: |
          echo "issue ${{ github.event.action }} $TITLE [${{ github.event.label.name }}] by ${{ github.actor }}"
          GRIT issue create --title "made by a job"
          GRIT sync
"#;
const ON_LOCK: &str = "name: lock\non: grit_lock\njobs:\n  a:\n    runs-on: ubuntu-latest\n    \
    steps: [{ run: 'echo lock ${{ github.event.action }} ${{ github.event.lock.resource }} ${{ github.event.lock.fence }}' }]\n";

#[test]
fn what_happens_to_issues_and_locks_is_heard_once_also_across_a_restart() {
    let env = Env::new();
    let on_issue = ON_ISSUE.replace("GRIT ", &format!("{GRIT} "));
    let files =
        [(".github/workflows/issue.yml", &*on_issue), (".github/workflows/lock.yml", ON_LOCK)];
    let server = Server::start(&env, &files);
    server.push(&["main"]);
    let id = server
        .grit(&["issue", "create", "--title", "Broken"])
        .expect_code(0)
        .stdout
        .trim()
        .to_owned();
    server.grit(&["sync"]).expect_code(0);
    let runs = server.over(1);
    let said = server.said(&runs[0]);
    assert!(said.contains("issue opened Broken [] by tess"), "{said}");
    assert_eq!(runs[0]["status"], "success", "{said}\n{:#}", runs[0]);
    server.grit(&["lock", "acquire", "deploy:x"]).expect_code(0);
    let runs = server.over(2);
    assert!(server.said(named(&runs, "lock")).contains("lock acquired deploy:x 1"), "{runs:#?}");
    server.grit(&["lock", "renew", "deploy:x"]).expect_code(0);
    server.grit(&["lock", "release", "deploy:x"]).expect_code(0);
    let runs = server.over(3);
    assert!(server.said(&runs[0]).contains("lock released deploy:x 1"), "{runs:#?}");
    // While nobody listens.
    let server = server.again_after(&[], || {
        env.grit(&env.path("shelf"), &["issue", "label", "add", &id, "--label", "urgent"])
            .expect_code(0);
        env.grit(&env.path("shelf"), &["issue", "close", &id]).expect_code(0);
        env.grit(&env.path("shelf"), &["sync"]).expect_code(0);
    });
    let runs = server.over(4);
    let said = server.said(&runs[0]);
    assert!(said.contains("issue labelled Broken [urgent]"), "{said}");
    // What jobs made, and what was heard before, starts nothing: this comes next.
    server.grit(&["lock", "acquire", "deploy:y"]).expect_code(0);
    let runs = server.over(5);
    assert!(server.said(&runs[0]).contains("lock acquired deploy:y"), "{runs:#?}");
    server.grit(&["sync"]).expect_code(0);
    let issues = env.data(&server.repository, &["issue", "list", "--json"]);
    assert!(issues.to_string().contains("made by a job"), "it is there all the same: {issues}");
    server.end();
}

const ANY_BRANCH: &str = "name: branches\non: { push: { branches: ['**'] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps: [{ run: 'echo branch ${{ github.ref_name }}' }]\n";
const TAGS: &str = "name: tags\non: { push: { tags: ['**'] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps: [{ run: 'echo tag ${{ github.ref_name }}' }]\n";

#[test]
fn every_ref_of_one_push_starts_what_is_for_it() {
    let env = Env::new();
    let files = [(".github/workflows/b.yml", ANY_BRANCH), (".github/workflows/t.yml", TAGS)];
    let server = Server::start(&env, &files);
    env.git(&server.repository, &["tag", "v1"]);
    server.push(&["main", "main:refs/heads/next", "v1"]);
    let runs = server.over(3);
    let mut said: Vec<String> = runs.iter().map(|run| server.said(run)).collect();
    said.sort();
    for (said, wanted) in said.iter().zip(["branch main", "branch next", "tag v1"]) {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    server.end();
}

const BEGUN: &str = "name: begun\non: { workflow_run: { workflows: [tags], types: [in_progress] } }\n\
    jobs:\n  a:\n    runs-on: ubuntu-latest\n    \
    steps: [{ run: 'echo \"it is ${{ github.event.workflow_run.status }}\"' }]\n";
const TWO_JOBS: &str = "name: tags\non: { push: { tags: ['**'] } }\njobs:\n  a:\n    \
    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n  b:\n    needs: a\n    \
    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";

#[test]
fn a_run_that_begins_is_told_once() {
    let env = Env::new();
    let files = [(".github/workflows/begun.yml", BEGUN), (".github/workflows/t.yml", TWO_JOBS)];
    let server = Server::start(&env, &files);
    server.push(&["main"]);
    env.git(&server.repository, &["tag", "v1"]);
    server.push(&["v1"]);
    let runs = server.over(2);
    assert!(server.said(named(&runs, "begun")).contains("it is in_progress"), "{runs:#?}");
    env.git(&server.repository, &["tag", "v2"]);
    server.commit(&[("x", "1")], "more");
    server.push(&["main"]);
    env.git(&server.repository, &["tag", "v3"]);
    server.push(&["v3"]);
    let runs = server.over(4);
    assert_eq!(runs.iter().filter(|run| run["name"] == "begun").count(), 2, "{runs:#?}");
    server.end();
}
