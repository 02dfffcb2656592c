//! Machines that tell of failures: one issue for as long as each lasts.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::env::{Env, wait_for};
use crate::living::Living;

const WORKFLOW: &str = ".github/workflows/ci.yml";

fn workflow(script: &str) -> String {
    format!(
        "name: CI\non: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - name: Test\n        run: |\n          {script}\n"
    )
}

/// A clone of a bare remote, with one workflow.
fn team(env: &Env, script: &str) -> PathBuf {
    let seed = env.repository("seed", &[(WORKFLOW, &workflow(script))]);
    env.host(&seed);
    std::fs::remove_dir_all(seed).unwrap();
    clone(env, "one", &[])
}

fn clone(env: &Env, name: &str, options: &[&str]) -> PathBuf {
    let url = format!("file://{}", env.path("hosted.git").display());
    env.git(&env.path(""), &[&["clone", "--quiet"], options, &[&url, name]].concat());
    env.path(name)
}

fn issues(env: &Env, folder: &Path) -> Vec<Value> {
    let issues = env.data(folder, &["issue", "list", "--state", "all", "--json"]);
    issues.as_array().unwrap().clone()
}

#[track_caller]
fn only(env: &Env, folder: &Path) -> Value {
    let issues = issues(env, folder);
    assert_eq!(issues.len(), 1, "{issues:?}");
    issues[0].clone()
}

fn comments(issue: &Value) -> Vec<&str> {
    let comments = issue["comments"].as_array().unwrap();
    comments.iter().map(|comment| comment["body"].as_str().unwrap()).collect()
}

/// As the environment of a CI job has it.
fn job_run(env: &Env, folder: &Path) -> crate::env::Out {
    let mut command = env.command(crate::env::GRIT, folder);
    command.args(["run", "--report"]).env("CI", "true").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GITHUB_RUN_NUMBER", "1234").env("CI_JOB_URL", "https://ci/jobs/9");
    env.run(&mut command)
}

#[test]
fn a_failed_run_is_reported_from_a_ci_job() {
    let env = Env::new();
    let one = team(&env, "echo \"thread panicked $((6 * 7))\"; exit 3");
    let job = clone(&env, "job", &["--depth", "1"]);
    let out = job_run(&env, &job).expect_code(1);
    assert!(out.stderr.contains("Reported: issue "), "{out:?}");
    env.grit(&one, &["sync"]).expect_code(0);
    let issue = only(&env, &one);
    assert_eq!(issue["title"], "CI Failure: build [build #1234]");
    assert_eq!(issue["labels"], serde_json::json!(["ci-failure"]));
    let commit = env.git(&job, &["rev-parse", "HEAD"]);
    let body = issue["body"].as_str().unwrap();
    for line in [
        "- Build: #1234\n",
        "- Workflow: CI\n",
        "- Branch: main\n",
        &format!("- Commit: {}\n", commit.trim()),
        "build / Test\n",
        "thread panicked 42\n",
        "## Logs\nhttps://ci/jobs/9\n",
    ] {
        assert!(body.contains(line), "{line} in {body}");
    }
    // Ten thousand jobs must not leave ten thousand refs.
    let refs =
        env.git(&env.path("hosted.git"), &["for-each-ref", "--format=%(refname)", "refs/grit"]);
    assert!(refs.lines().all(|name| name.starts_with("refs/grit/ci/")), "{refs}");
}

#[test]
fn a_retried_run_says_nothing_new_and_the_next_commit_does() {
    let env = Env::new();
    let one = team(&env, "exit 3");
    for number in ["first", "second"] {
        let job = clone(&env, number, &["--depth", "1"]);
        job_run(&env, &job).expect_code(1);
    }
    env.grit(&one, &["sync"]).expect_code(0);
    assert_eq!(comments(&only(&env, &one)), [""; 0]);
    let id = only(&env, &one)["id"].as_str().unwrap().to_owned();
    env.grit(&one, &["issue", "close", &id]).expect_code(0);
    env.commit(&one, &[("word", "x")], "another");
    let out = env.grit(&one, &["run", "--report"]).expect_code(1);
    assert!(out.stderr.contains("reopened"), "{out:?}");
    let issue = only(&env, &one);
    assert_eq!(issue["state"], "open");
    assert_eq!(comments(&issue).len(), 1);
}

#[test]
fn a_green_run_reports_nothing_and_closes_nothing() {
    let env = Env::new();
    let one = team(&env, "exit 3");
    env.grit(&one, &["run", "--report"]).expect_code(1);
    env.commit(&one, &[(WORKFLOW, &workflow("exit 0"))], "mended");
    let out = env.grit(&one, &["run", "--report"]).expect_code(0);
    assert!(!out.stderr.contains("Reported"), "{out:?}");
    assert_eq!(only(&env, &one)["state"], "open");
}

#[test]
fn a_report_that_cannot_be_sent_says_so_and_the_run_keeps_its_status() {
    let env = Env::new();
    let one = team(&env, "exit 3");
    std::fs::rename(env.path("hosted.git"), env.path("away.git")).unwrap();
    let out = env.grit(&one, &["run", "--report", "--json"]).expect_code(1);
    assert_eq!(out.document()["ok"], true);
    assert!(out.stderr.contains("Warning: the report: "), "{out:?}");
    assert!(out.stderr.contains("nothing is lost"), "{out:?}");
    only(&env, &one);
    let alone = env.repository("alone", &[(WORKFLOW, &workflow("exit 3"))]);
    let out = env.grit(&alone, &["run", "--report"]).expect_code(1);
    assert!(!out.stderr.contains("Warning"), "{out:?}");
    only(&env, &alone);
}

fn alert(status: &str, since: &str) -> String {
    serde_json::json!({
        "version": "4", "status": status,
        "alerts": [{
            "status": status,
            "labels": { "alertname": "HighCPU", "instance": "prod-api-3", "severity": "critical" },
            "annotations": { "summary": "High CPU" },
            "startsAt": since, "endsAt": "2024-01-15T15:00:00Z",
            "generatorURL": "http://prometheus/graph", "fingerprint": "c0ffee",
        }],
    })
    .to_string()
}

fn ingest(env: &Env, folder: &Path, format: &str, text: &str) -> Vec<Value> {
    std::fs::write(env.path("told"), text).unwrap();
    let told = env.path("told").display().to_string();
    let told = env.data(folder, &["issue", "ingest", "--format", format, &told, "--json"]);
    told.as_array().unwrap().clone()
}

#[test]
fn an_alert_has_one_issue_from_its_first_firing_to_its_last() {
    let env = Env::new();
    let text = "issues: { alert: { labels: [alert, paging], close: true } }\n";
    let repository = env.repository("repo", &[("grit.yaml", text)]);
    let mut fates = Vec::new();
    for (status, since) in [
        ("firing", "2024-01-15T14:30:00Z"),
        ("firing", "2024-01-15T14:30:00Z"),
        ("resolved", "2024-01-15T14:30:00Z"),
        ("firing", "2024-01-16T08:00:00Z"),
    ] {
        let told = ingest(&env, &repository, "alertmanager", &alert(status, since));
        fates.push(told[0]["fate"].as_str().unwrap().to_owned());
    }
    assert_eq!(fates, ["opened", "unchanged", "closed", "reopened"]);
    let issue = only(&env, &repository);
    assert_eq!(issue["title"], "Alert: High CPU on prod-api-3");
    assert_eq!(issue["labels"], serde_json::json!(["alert", "paging"]));
    assert_eq!(issue["priority"], "critical");
}

const RED: &str = r#"<testsuites><testsuite name="auth">
<testcase classname="login" name="success"><failure message="not 200">at line 7</failure></testcase>
<testcase classname="login" name="other"/></testsuite></testsuites>"#;

#[test]
fn a_test_has_one_issue_as_long_as_it_fails() {
    let env = Env::new();
    let repository = env.repository("repo", &[("README", "x")]);
    let told = ingest(&env, &repository, "junit", RED);
    assert_eq!((&told[0]["fate"], &told[1]["fate"]), (&"opened".into(), &"unchanged".into()));
    assert_eq!(ingest(&env, &repository, "junit", RED)[0]["fate"], "unchanged");
    let again = RED.replace("line 7", "line 8");
    assert_eq!(ingest(&env, &repository, "junit", &again)[0]["fate"], "commented");
    let issue = only(&env, &repository);
    assert_eq!(issue["title"], "Test failure: login::success");
    assert!(issue["body"].as_str().unwrap().contains("not 200\nat line 7\n"), "{issue}");
    let green = RED.replace(r#"<failure message="not 200">at line 7</failure>"#, "");
    std::fs::write(env.path("green"), green).unwrap();
    let file = env.path("green").display().to_string();
    let args = ["issue", "ingest", "--format", "junit", "--close", &file];
    let out = env.grit(&repository, &args).expect_code(0);
    assert_eq!(out.stdout.trim(), issue["id"].as_str().unwrap());
    assert_eq!(only(&env, &repository)["state"], "closed");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let env = Env::new();
    let repository = env.repository("repo", &[("README", "x")]);
    let refused = |format: &str, text: &[u8]| {
        std::fs::write(repository.join("told"), text).unwrap();
        let args = ["issue", "ingest", "--format", format, "told"];
        env.grit(&repository, &args).expect_code(2).stderr
    };
    let bomb =
        b"<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\n<testsuite name=\"&b;\"/>";
    let declared = "line 1 column 1: what a document declares is not read";
    assert!(refused("junit", bomb).contains(declared));
    assert!(refused("junit", b"<testsuite>\n<x></testsuite>").contains("line 2"));
    assert!(refused("alertmanager", b"{\n \"version\": 4}").contains("line 2 column"));
    assert!(refused("junit", b"<a>\n\xff").contains("line 2 column 1: this is not UTF-8"));
    assert_eq!(issues(&env, &repository), Vec::<Value>::new());
}

#[test]
fn clones_that_did_not_know_of_each_other_close_all_that_they_opened() {
    let env = Env::new();
    let one = team(&env, "true");
    let two = clone(&env, "two", &[]);
    for folder in [&one, &two] {
        ingest(&env, folder, "junit", RED);
        env.grit(folder, &["sync"]).expect_code(0);
    }
    env.grit(&one, &["sync"]).expect_code(0);
    assert_eq!(issues(&env, &one).len(), 2);
    let green = RED.replace(r#"<failure message="not 200">at line 7</failure>"#, "");
    std::fs::write(one.join("green.xml"), green).unwrap();
    let args = ["issue", "ingest", "--format", "junit", "--close", "--sync", "green.xml"];
    env.grit(&one, &args).expect_code(0);
    env.grit(&two, &["sync"]).expect_code(0);
    assert!(issues(&env, &two).iter().all(|issue| issue["state"] == "closed"));
}

const ISSUES: &str = "\nissues:\n  deployment: { labels: [rollout] }\n  pipelineFailed: { close: true }\n  \
                      rolledBack: { labels: [page] }\n";

/// The issue with this title, once it is as wanted.
#[track_caller]
fn titled(env: &Env, folder: &Path, title: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(title, || {
        env.grit(folder, &["sync"]).expect_code(0);
        let issues = issues(env, folder);
        let mut named = issues.iter().filter(|issue| issue["title"] == title);
        let found = named.next().filter(|issue| wanted(issue)).cloned();
        assert!(named.next().is_none(), "two issues: {issues:#?}");
        found.ok_or_else(|| format!("{issues:#?}"))
    })
}

fn is_closed(issue: &Value) -> bool {
    issue["state"] == "closed"
}

#[test]
fn a_deployment_is_followed_by_its_issue() {
    let env = Env::new();
    let living = Living::start(&env);
    let rolling = format!("{{ rolling: {{ batch: 2, soak: 100ms }} }}{ISSUES}");
    living.push("v1", "[./svc, one]", &rolling);
    living.ended("v1", &["SUCCEEDED"]);
    let first = titled(&env, &living.repository, "Deploy v1 of svc to live", is_closed);
    assert_eq!(first["labels"], serde_json::json!(["live", "rollout", "svc"]));
    assert_eq!(first["closed"]["reason"], "Deployment complete");

    let steps = "[{ setWeight: 20 }, { pause: { duration: 300ms } }, { setWeight: 50 }]";
    let canary = format!("{{ canary: {{ steps: {steps}, soak: 500ms }} }}{ISSUES}");
    living.push("v2", "[./svc, two]", &canary);
    living.ended("v2", &["SUCCEEDED"]);
    let second = titled(&env, &living.repository, "Deploy v2 of svc to live", is_closed);
    let mut said = comments(&second);
    said.truncate(4);
    assert_eq!(
        said,
        [
            "Canary at 20%",
            "Canary healthy, proceeding to 50%",
            "Canary at 50%",
            "Canary healthy, proceeding to 100%",
        ]
    );

    let load = living.load();
    let waits = "{ canary: { steps: [{ setWeight: 20 }, { pause: {} }], soak: 500ms } }";
    living.push("v3", "[./svc, dying]", &format!("{waits}{ISSUES}"));
    living.ended("v3", &["ROLLED_BACK"]);
    drop(load);
    let went_back = |issue: &Value| comments(issue).len() >= 3;
    let third = titled(&env, &living.repository, "Deploy v3 of svc to live", went_back);
    assert_eq!(third["state"], "open");
    let said = comments(&third);
    let last = said[said.len() - 1];
    assert!(said[said.len() - 2].starts_with("Rolling back: "), "{said:?}");
    assert_eq!(last, "Deployment rolled back");
    let incident = "v3 of svc was rolled back in live";
    let incident = titled(&env, &living.repository, incident, |_| true);
    assert_eq!(incident["labels"], serde_json::json!(["live", "page", "svc"]));
}

#[test]
fn a_failed_pipeline_has_an_issue_until_it_is_green() {
    let env = Env::new();
    let living = Living::start(&env);
    let push = |script: &str| {
        let files = [(WORKFLOW, &*workflow(script)), ("grit.yaml", ISSUES)];
        env.commit(&living.repository, &files, script);
        env.git(&living.repository, &["push", "--quiet", "grit", "main"]);
    };
    push("exit 7");
    let title = "CI Failure: build [build #1]";
    let issue = titled(&env, &living.repository, title, |_| true);
    assert_eq!(issue["labels"], serde_json::json!(["ci-failure"]));
    assert!(issue["body"].as_str().unwrap().contains("build / Test\n"), "{issue:#}");
    push("exit 8");
    titled(&env, &living.repository, title, |issue| comments(issue).len() == 1);
    push("exit 0");
    titled(&env, &living.repository, title, is_closed);
}
