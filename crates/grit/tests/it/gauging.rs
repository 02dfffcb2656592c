//! What a server's runs tell of tests: reports of a run, steadiness, durations, quarantine.

use serde_json::Value;

use crate::env::Env;
use crate::hosted::Server;

const GREEN: &str = r#"<testsuite name="s"><testcase classname="c" name="a" time="1"/>
<testcase classname="c" name="b" time="2"/></testsuite>"#;
const RED: &str = r#"<testsuite name="s"><testcase classname="c" name="a" time="3"><failure message="no">why TOKEN</failure></testcase>
<testcase classname="c" name="b with TOKEN" time="2"/></testsuite>"#;

/// The first run of a commit is red, later ones are green; `again` makes the next one red once more.
fn workflow(again: &str) -> String {
    format!(
        "name: CI\non: push\njobs:\n  unit:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - uses: actions/checkout@v4\n      \
         - env: {{TOKEN: '${{{{ secrets.TOKEN }}}}'}}\n        \
           run: if test -e {again}; then cp green.xml out.xml; else touch {again}; sed \"s/TOKEN/$TOKEN/\" red.xml > out.xml; fi\n      \
         - name: Report\n        uses: mikepenz/action-junit-report@v5\n        \
           with: {{report_paths: out.xml, fail_on_failure: true}}\n      \
         - if: always()\n        uses: codecov/codecov-action@v4\n        with: {{files: cov.info}}\n"
    )
}

#[test]
fn runs_of_a_server_tell_what_their_tests_came_to() {
    let env = Env::new();
    let again = env.path("again");
    let text = workflow(again.to_str().unwrap());
    let coverage = "SF:a.py\nDA:1,1\nDA:2,0\nend_of_record\n";
    let files = [
        (".github/workflows/ci.yml", &*text),
        ("green.xml", GREEN),
        ("red.xml", RED),
        ("cov.info", coverage),
    ];
    let server = Server::start(&env, &files);
    server.secret(&["TOKEN"], "hush-hush-9");
    server.push(&["main"]);
    let first = server.over(1).remove(0);
    assert_eq!(first["status"], "failure", "{first:#}");
    let steps = first["jobs"][0]["steps"].as_array().unwrap();
    let report = steps.iter().find(|step| step["title"] == "Report").unwrap();
    assert_eq!((&report["tests"]["failed"], &report["tests"]["total"]), (&1.into(), &2.into()));
    let covered = steps.iter().find_map(|step| step.get("coverage")).unwrap();
    assert_eq!((&covered["covered"], &covered["total"]), (&1.into(), &2.into()));

    let first = first["id"].as_str().unwrap();
    let out = server.grit(&["test", "report", "--run", first]).expect_code(1);
    assert_eq!(out.stdout, "2 tests: 1 passed, 1 failed, 0 skipped, 0 flaky\n");
    assert!(out.stderr.contains("FAILED c::a\n    no\n    why ***"), "{out:?}");
    server.grit(&["pipeline", "rerun", first]).expect_code(0);
    let second = server.over(2).remove(0)["id"].as_str().unwrap().to_owned();
    server.grit(&["test", "report", "--run", &second]).expect_code(0);

    let flaky = env.data(&server.repository, &["test", "flaky", "--json"]);
    assert_eq!(flaky.as_array().unwrap().len(), 1, "{flaky}");
    assert_eq!((&flaky[0]["test"], &flaky[0]["both_ways"]), (&"c::a".into(), &1.into()));
    let all = env.data(&server.repository, &["metrics", "pipelines", "--tests", "--json"]);
    let of = |name: &str| -> Value {
        let parts = all.as_array().unwrap().iter();
        parts.clone().find(|part| part["test"] == name).unwrap_or_else(|| panic!("{all:#}")).clone()
    };
    let part = of("c::a");
    assert_eq!(
        (&part["workflow"], &part["job"], &part["step"]),
        (&"CI".into(), &"unit".into(), &"Report".into())
    );
    assert_eq!(
        (&part["runs"], &part["success"], &part["median_millis"]),
        (&2.into(), &5_000.into(), &1_000.into())
    );
    assert_eq!(of("c::b with ***")["runs"], 1, "no secret is in a name: {all:#}");

    what_is_in_quarantine_fails_no_step_until_it_ends(&server, &again);
    server.end();
}

fn what_is_in_quarantine_fails_no_step_until_it_ends(server: &Server<'_>, again: &std::path::Path) {
    server.grit(&["test", "quarantine", "c::a", "--for", "2d"]).expect_code(0);
    std::fs::remove_file(again).unwrap();
    server.commit(&[], "in quarantine");
    server.push(&["main"]);
    let tolerated = server.over(3).remove(0);
    assert_eq!(tolerated["status"], "success", "{tolerated:#}");
    let out = server.grit(&["test", "report", "--run", tolerated["id"].as_str().unwrap()]);
    assert!(out.expect_code(0).stderr.contains("FAILED c::a (in quarantine)"));

    std::fs::remove_file(again).unwrap();
    let over = r#"{"v": 1, "tests": [{"test": "c::a", "until": 1000, "reason": ""}]}"#;
    server.commit(&[(".grit/quarantine.json", over)], "over");
    server.push(&["main"]);
    let failed = server.over(4).remove(0);
    assert_eq!(failed["status"], "failure", "{failed:#}");
}

#[test]
fn a_run_without_reports_has_none_to_show() {
    let env = Env::new();
    let text =
        "name: CI\non: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n";
    let server = Server::start(&env, &[(".github/workflows/ci.yml", text)]);
    server.push(&["main"]);
    let run = server.over(1).remove(0);
    let out = server.grit(&["test", "report", "--run", run["id"].as_str().unwrap()]);
    assert!(out.expect_code(3).stderr.contains("no step of"));
    let nobody = "run_01HZY3V6Z3X5Q8W9T2R4M7N6KB";
    server.grit(&["test", "report", "--run", nobody]).expect_code(3);
    server.grit(&["test", "report", "--run", nobody, "a.xml"]).expect_code(2);
    assert_eq!(env.data(&server.repository, &["test", "flaky", "--json"]), serde_json::json!([]));
    server.end();
}

#[test]
fn what_runs_in_a_clone_saw_is_known_there() {
    let env = Env::new();
    let again = env.path("again");
    let text = workflow(again.to_str().unwrap());
    let files = [(".github/workflows/ci.yml", &*text), ("green.xml", GREEN), ("red.xml", RED)];
    let repository = env.repository("repo", &files);
    env.grit(&repository, &["run"]).expect_code(1);
    assert_eq!(env.data(&repository, &["test", "flaky", "--json"]), serde_json::json!([]));
    env.grit(&repository, &["run"]).expect_code(0);
    let flaky = env.data(&repository, &["test", "flaky", "--json"]);
    assert_eq!((&flaky[0]["test"], &flaky[0]["both_ways"]), (&"c::a".into(), &1.into()), "{flaky}");
    env.grit(&repository, &["metrics", "pipelines", "--tests"]).expect_code(5);
}
