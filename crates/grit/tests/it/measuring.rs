//! `grit test`, `grit coverage` and `grit bench`: reports that other programs wrote.

use crate::env::Env;

const GREEN: &str =
    r#"<testsuite name="s"><testcase classname="c" name="a" time="1"/></testsuite>"#;
const RED: &str = r#"<testsuite name="s"><testcase classname="c" name="a"><failure message="no">why</failure></testcase></testsuite>"#;

#[test]
fn a_failure_counts_until_its_test_is_in_quarantine() {
    let env = Env::new();
    let repository = env.repository("repo", &[("green.xml", GREEN), ("red.xml", RED)]);
    env.grit(&repository, &["test", "report", "green.xml"]).expect_code(0);
    let out = env.grit(&repository, &["test", "report", "green.xml", "red.xml"]).expect_code(1);
    assert_eq!(out.stdout, "2 tests: 1 passed, 1 failed, 0 skipped, 0 flaky\n");
    assert!(out.stderr.contains("FAILED c::a\n    no"), "{out:?}");
    let args = ["test", "quarantine", "c::a", "--for", "2d", "--reason", "slow network"];
    env.grit(&repository, &args).expect_code(0);
    let out = env.grit(&repository, &["test", "report", "red.xml"]).expect_code(0);
    assert!(out.stderr.contains("(in quarantine)"), "{out:?}");
    env.grit(&repository, &["test", "quarantine", "c::a", "--end"]).expect_code(0);
    env.grit(&repository, &["test", "report", "red.xml"]).expect_code(1);
    env.grit(&repository, &["test", "quarantine", "c::a", "--for", "400d"]).expect_code(2);
}

#[test]
fn the_same_commit_both_ways_is_flaky() {
    let env = Env::new();
    let repository = env.repository("repo", &[("green.xml", GREEN), ("red.xml", RED)]);
    env.grit(&repository, &["test", "flaky"]).expect_code(3);
    env.grit(&repository, &["test", "report", "--record", "green.xml"]).expect_code(0);
    assert_eq!(env.data(&repository, &["test", "flaky", "--json"]).as_array().unwrap().len(), 0);
    env.grit(&repository, &["test", "report", "--record", "red.xml"]).expect_code(1);
    let flaky = env.data(&repository, &["test", "flaky", "--json"]);
    assert_eq!((&flaky[0]["test"], &flaky[0]["both_ways"]), (&"c::a".into(), &1.into()), "{flaky}");
}

fn lcov(file: &str, hit: u32, of: u32) -> String {
    let lines: String =
        (1..=of).map(|line| format!("DA:{line},{}\n", u32::from(line <= hit))).collect();
    format!("SF:{file}\n{lines}end_of_record\n")
}

#[test]
fn coverage_is_held_against_all_critical_and_new_lines() {
    let env = Env::new();
    let old: String = (0..80).map(|n| format!("{n}\n")).collect();
    let repository =
        env.repository("repo", &[("src/a.py", &old), ("src/pay/b.py", &"x\n".repeat(10))]);
    env.git(&repository, &["checkout", "--quiet", "-b", "feature"]);
    let grown: String = (0..100).map(|n| format!("{n}\n")).collect();
    env.commit(&repository, &[("src/a.py", &grown)], "more");
    // 20 lines are new, of which 10 are covered.
    std::fs::write(repository.join("one.info"), lcov("/ci/repo/src/a.py", 90, 100)).unwrap();
    std::fs::write(repository.join("two.info"), lcov("src/pay/b.py", 9, 10)).unwrap();
    let gate = |demands: &[&str], code: i32| {
        let args: Vec<&str> = ["coverage", "gate", "one.info", "two.info", "--json"]
            .iter()
            .chain(demands)
            .copied()
            .collect();
        env.grit(&repository, &args).expect_code(code).document()["data"].clone()
    };
    let passed = gate(&["--overall", "80", "--critical", "src/pay=90", "--new", "50"], 0);
    assert_eq!((&passed["covered"], &passed["total"]), (&99.into(), &110.into()), "{passed}");
    let failed = gate(&["--overall", "80", "--critical", "src/pay=90", "--new", "85"], 1);
    assert_eq!(failed["verdicts"][2]["share"]["total"], 20, "{failed}");
    assert_eq!(failed["verdicts"][2]["missing"][0], "src/a.py:91", "{failed}");
    gate(&["--overall", "91"], 1);
    gate(&["--critical", "src/none=0"], 1);
}

#[test]
fn a_report_of_coverage_that_is_missing_passes_nothing() {
    let env = Env::new();
    let repository = env.repository("repo", &[("a.info", &lcov("a", 1, 1)), ("empty.info", "")]);
    env.grit(&repository, &["coverage", "gate", "a.info", "--overall", "80"]).expect_code(0);
    for file in ["none.info", "empty.info"] {
        let out = env.grit(&repository, &["coverage", "gate", "a.info", file, "--overall", "0"]);
        assert!(out.expect_code(1).stderr.contains("there is no report"));
    }
    env.commit(&repository, &[("text", "hello")], "more");
    env.grit(&repository, &["coverage", "gate", "text"]).expect_code(2);
}

#[test]
fn a_benchmark_that_is_slower_or_gone_fails() {
    let env = Env::new();
    let result = |seconds: f64| {
        format!(r#"{{"results":[{{"command":"x","median":{seconds},"stddev":0.001}}]}}"#)
    };
    let (before, slow) = (result(1.0), result(1.3));
    let files = [
        ("before.json", &*before),
        ("slow.json", &*slow),
        ("other.json", r#"{"results":[{"command":"y","median":1}]}"#),
    ];
    let repository = env.repository("repo", &files);
    let compare = |file: &str, limit: &str, code: i32| {
        env.grit(
            &repository,
            &["bench", "compare", "--baseline", "before.json", file, "--limit", limit],
        )
        .expect_code(code)
    };
    compare("before.json", "10", 0);
    assert!(compare("slow.json", "10", 1).stdout.contains("slower"));
    compare("slow.json", "50", 0);
    assert!(compare("other.json", "10", 1).stdout.contains("gone"));
}
