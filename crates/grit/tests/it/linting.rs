//! `grit pipeline`: what is said of workflows before anything of them runs.

use insta::assert_snapshot;
use serde_json::Value;

use crate::env::Env;

const CI: &str = ".github/workflows/ci.yml";
const SOUND: &str = "name: CI\non:\n  push: { branches: [main], paths: ['src/**'] }\n  workflow_dispatch:\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n  test:\n    needs: build\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";
const MISSPELT: &str = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n  ship:\n    needs: biuld\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";
const DANGEROUS: &str = "on: issues\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.event.issue.title }}\n";

#[test]
fn what_is_wrong_in_the_working_tree_is_shown_and_ends_with_two() {
    let env = Env::new();
    let repository = env.repository("repo", &[(CI, SOUND)]);
    let out = env.grit(&repository, &["pipeline", "lint"]).expect_code(0);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("", "1 file: nothing is wrong\n"));
    std::fs::write(repository.join(CI), MISSPELT).unwrap();
    let out = env.grit(&repository, &["pipeline", "lint"]).expect_code(2);
    assert_snapshot!(format!("{}---\n{}", out.stdout, out.stderr), @r"
    error[E0112]: there is no job `biuld`
     --> .github/workflows/ci.yml:7:12
      |
    7 |     needs: biuld
      |            ^^^^^
      |
      = help: did you mean `build`?
    ---
    1 file: 1 error, 0 warnings; `grit explain CODE` says more about one
    ");
    // The commit is still sound.
    env.grit(&repository, &["pipeline", "lint", "--at", "HEAD"]).expect_code(0);
    env.grit(&repository, &["pipeline", "lint", "--at", "nothing"]).expect_code(3);
}

#[test]
fn what_is_dangerous_is_a_warning_and_stops_nothing() {
    let env = Env::new();
    let repository = env.repository("repo", &[(CI, DANGEROUS)]);
    let found = env.data(&repository, &["pipeline", "lint", "--json"]);
    assert_eq!((&found["errors"], &found["warnings"]), (&0.into(), &1.into()), "{found}");
    let finding = &found["findings"][0];
    assert_eq!(finding["code"], "W0110", "{found}");
    assert_eq!((&finding["line"], &finding["column"]), (&6.into(), &23.into()), "{found}");
    let explained = env.grit(&repository, &["explain", "W0110"]).expect_code(0);
    assert!(explained.stdout.contains("env: { TITLE"), "{explained:?}");
    let event = r#"{"event": "issues", "payload": {"issue": {"title": "fine"}}}"#;
    std::fs::write(repository.join("event.json"), event).unwrap();
    env.grit(&repository, &["run", "--event", "event.json"]).expect_code(0);
}

/// S01 of the cases: as a variable the value stays text.
#[test]
fn a_value_from_outside_that_is_given_as_a_variable_is_no_command() {
    let env = Env::new();
    let mark = env.path("pwn");
    let text = format!(
        "on: issues\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - env: {{ TITLE: '${{{{ github.event.issue.title }}}}' }}\n        run: |\n          cd {}\n          test \"$TITLE\" = 'a\";touch${{IFS}}pwn;#`touch pwn`'\n",
        env.path("").display()
    );
    let repository = env.repository("repo", &[(CI, &text)]);
    let event = r#"{"event": "issues", "payload": {"issue": {"title": "a\";touch${IFS}pwn;#`touch pwn`"}}}"#;
    std::fs::write(repository.join("event.json"), event).unwrap();
    env.grit(&repository, &["run", "--event", "event.json"]).expect_code(0);
    assert!(!mark.exists());
    let found = env.data(&repository, &["pipeline", "lint", "--json"]);
    assert_eq!(found["findings"].as_array().unwrap().len(), 0, "{found}");
}

#[test]
fn sarif_has_rules_places_and_what_to_write_instead() {
    let env = Env::new();
    let files = [(CI, MISSPELT), (".github/workflows/b c.yml", DANGEROUS)];
    let repository = env.repository("repo", &files);
    let out = env.grit(&repository, &["pipeline", "lint", "--sarif"]).expect_code(2);
    let document: Value = serde_json::from_str(&out.stdout).unwrap();
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let rules: Vec<&str> = run["tool"]["driver"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["E0112", "W0110"]);
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{document:#}");
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]);
    }
    let misspelt = results.iter().find(|result| result["ruleId"] == "E0112").unwrap();
    assert_eq!(misspelt["level"], "error");
    let region = &misspelt["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (&region["startLine"], &region["startColumn"], &region["endColumn"]),
        (&7.into(), &12.into(), &17.into())
    );
    let fix = &misspelt["fixes"][0]["artifactChanges"][0]["replacements"][0];
    assert_eq!(fix["insertedContent"]["text"], "build");
    let dangerous = results.iter().find(|result| result["ruleId"] == "W0110").unwrap();
    let place = &dangerous["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place["uri"], ".github/workflows/b%20c.yml");
    env.grit(&repository, &["pipeline", "lint", "--sarif", "--json"]).expect_code(2);
}

#[test]
fn workflows_are_listed_with_what_starts_them() {
    let env = Env::new();
    let repository = env.repository("repo", &[(CI, SOUND), (".github/workflows/x.yml", MISSPELT)]);
    let out = env.grit(&repository, &["pipeline", "list"]).expect_code(2);
    assert_eq!(out.stdout, format!("{CI}\n"));
    assert!(out.stderr.contains(".github/workflows/x.yml cannot be used"), "{out:?}");
    std::fs::remove_file(repository.join(".github/workflows/x.yml")).unwrap();
    let listed = env.data(&repository, &["pipeline", "list", "--json"]);
    assert_eq!(listed[0]["triggers"][0], "push (branches: main; paths: src/**)", "{listed}");
    assert_eq!(listed[0]["jobs"], serde_json::json!(["build", "test"]));
}

#[test]
fn the_plan_is_what_a_push_here_or_an_event_would_run() {
    let env = Env::new();
    let other = "name: Other\non: pull_request\njobs:\n  x:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";
    let repository = env.repository("repo", &[(CI, SOUND), (".github/workflows/o.yml", other)]);
    let names = |args: &[&str]| {
        let plans = env.data(&repository, args);
        plans
            .as_array()
            .unwrap()
            .iter()
            .map(|plan| plan["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&["pipeline", "plan", "--json"]), ["CI"]);
    assert_eq!(names(&["pipeline", "plan", "--event", "pull_request", "--json"]), ["Other"]);
    assert_eq!(names(&["pipeline", "plan", "-W", "o.yml", "--json"]), ["Other"]);
}

#[test]
fn a_workflow_of_50_megabytes_an_alias_bomb_and_a_matrix_of_a_million_are_named_and_the_rest_is_read()
 {
    let env = Env::new();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..=9 {
        let all = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb += &format!("a{level}: &a{level} [{all}]\n");
    }
    let values: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let values = values.join(", ");
    let matrix = format!(
        "on: push\njobs:\n  a:\n    runs-on: x\n    strategy: {{ matrix: {{ a: [{values}], b: [{values}] }} }}\n    steps: [{{ run: 'true' }}]\n"
    );
    let twice = "on: push\npermissions: read-all\npermissions: write-all\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: 'true' }]\n";
    let repository = env.repository(
        "repo",
        &[
            (CI, SOUND),
            (".github/workflows/bomb.yml", &bomb),
            (".github/workflows/large.yml", &"#".repeat(50 << 20)),
            (".github/workflows/matrix.yml", &matrix),
            (".github/workflows/nested.yml", &"[".repeat(10_000)),
            (".github/workflows/twice.yml", twice),
        ],
    );
    for at in [&["pipeline", "lint", "--json"][..], &["pipeline", "lint", "--json", "--at", "HEAD"]]
    {
        let out = env.grit(&repository, at).expect_code(2);
        let found = out.document()["data"].clone();
        assert_eq!(found["files"].as_array().unwrap().len(), 6, "{found}");
        let mut codes: Vec<String> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| {
                let file = finding["file"].as_str().unwrap().rsplit('/').next().unwrap();
                format!("{file} {}", finding["code"].as_str().unwrap())
            })
            .collect();
        codes.dedup();
        assert_eq!(
            codes,
            [
                "bomb.yml E0005",
                "large.yml E0003",
                "matrix.yml E0121",
                "nested.yml E0004",
                "twice.yml E0002",
            ],
            "{found}"
        );
    }
    let out = env.grit(&repository, &["run"]).expect_code(2);
    assert!(out.stderr.contains("large.yml cannot be used"), "{out:?}");
}
