//! `grit run`: the workflow of the current commit, here, without a server.

use std::path::Path;

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::env::{Env, GRIT, Running, wait_for};

const WORKFLOW: &str = ".github/workflows/ci.yml";

const GREEN: &str = r#"name: CI
on: push
env:
  COLOUR: blue
jobs:
  first:
    runs-on: ubuntu-latest
    outputs:
      word: ${{ steps.say.outputs.word }}
    steps:
      - uses: actions/checkout@v4
      - id: say
        run: echo "word=$(cat word)-$COLOUR" >> "$GITHUB_OUTPUT"
  each:
    needs: first
    runs-on: ubuntu-latest
    strategy:
      matrix:
        size: [small, large]
    env:
      WORD: ${{ needs.first.outputs.word }}
    steps:
      - name: Compare
        run: test "$WORD" = "hello-blue" && test -n "${{ matrix.size }}"
      - name: Only when it failed
        if: failure()
        run: exit 1
"#;

const RED: &str = r#"name: CI
on: push
jobs:
  bad:
    runs-on: ubuntu-latest
    steps:
      - name: Break
        run: |
          echo "before the end"
          exit 3
      - name: Not reached
        run: echo "unreachable"
      - name: Clean up
        if: failure()
        run: echo "cleaning"
  after:
    needs: bad
    runs-on: ubuntu-latest
    steps:
      - run: echo "never"
"#;

#[test]
fn a_green_run_ends_with_zero_and_leaves_nothing() {
    let env = Env::new();
    let repository = env.repository("repo", &[(WORKFLOW, GREEN), ("word", "hello")]);
    let out = env.grit(&repository, &["run"]).expect_code(0);
    assert!(out.stdout.starts_with("CI: success in "), "{out:?}");
    assert!(out.stdout.ends_with("3 succeeded, 0 failed, 0 skipped\n"), "{out:?}");
    assert!(out.stderr.contains("skipped each (small) / Only when it failed"), "{out:?}");
    assert!(out.stderr.contains("ok      each (large) / Compare"), "{out:?}");
    assert_eq!(env.left_over(), [""; 0]);
    assert_eq!(env.processes(), []);
    assert_eq!(env.git(&repository, &["status", "--porcelain"]), "");
}

#[test]
fn a_red_run_ends_with_one_and_shows_the_log_of_the_step_that_failed() {
    let env = Env::new();
    let repository = env.repository("repo", &[(WORKFLOW, RED)]);
    let out = env.grit(&repository, &["run"]).expect_code(1);
    assert!(out.stdout.ends_with("0 succeeded, 1 failed, 1 skipped\n"), "{out:?}");
    assert!(out.stderr.contains("FAILED  bad / Break"), "{out:?}");
    assert!(out.stderr.contains("before the end"), "{out:?}");
    assert!(out.stderr.contains("ok      bad / Clean up"), "{out:?}");
    assert!(!out.stderr.contains("unreachable"), "{out:?}");
    assert_eq!(env.left_over(), [""; 0]);
}

#[test]
fn the_result_of_a_red_run_is_one_document() {
    let env = Env::new();
    let repository = env.repository("repo", &[(WORKFLOW, RED)]);
    let document = env.grit(&repository, &["run", "--json", "--quiet"]).expect_code(1).document();
    let run = &document["data"][0];
    assert_eq!(run["status"], "failure");
    let steps: Vec<&str> = run["jobs"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["ending"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["failure", "skipped", "success"]);
}

#[test]
fn a_plan_is_shown_and_nothing_runs() {
    let env = Env::new();
    let mark = env.path("ran");
    let touching = GREEN.replace("run: echo", &format!("run: touch {}; echo", mark.display()));
    let repository = env.repository("repo", &[(WORKFLOW, &touching), ("word", "hello")]);
    let plans = env.data(&repository, &["run", "--plan", "--json"]);
    let text = plans.to_string();
    assert_eq!(plans.as_array().unwrap().len(), 1, "{text}");
    assert!(text.contains("\"first\"") && text.contains("\"each\""), "{text}");
    assert!(!mark.exists(), "a plan runs nothing");
    env.grit(&repository, &["run"]).expect_code(0);
    assert!(mark.exists(), "the same workflow, run");
}

#[test]
fn a_job_and_a_matrix_value_narrow_a_run() {
    let env = Env::new();
    let repository = env.repository("repo", &[(WORKFLOW, GREEN), ("word", "hello")]);
    let args = ["run", "--json", "--job", "each", "--matrix", "size=small"];
    let runs = env.data(&repository, &args);
    let names: Vec<&str> = runs[0]["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|job| job["ending"] == "success")
        .map(|job| job["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["first", "each (small)"]);
}

#[test]
fn a_cycle_in_a_workflow_stops_everything_before_it_starts() {
    let env = Env::new();
    let cycle = "on: push\njobs:\n  a:\n    needs: b\n    runs-on: ubuntu-latest\n    steps: [{ run: touch ran }]\n  b:\n    needs: a\n    runs-on: ubuntu-latest\n    steps: [{ run: touch ran }]\n";
    let repository = env.repository("repo", &[(WORKFLOW, cycle)]);
    let out = env.grit(&repository, &["run"]);
    assert_snapshot!(out.refusal(), @r"
    exit 2
    Error: .github/workflows/ci.yml cannot be used
    error[E0113]: jobs need each other in a circle: a → b → a
     --> .github/workflows/ci.yml:4:12
      |
    4 |     needs: b
      |            ^
    ...
    8 |     needs: a
      |            - and this
    Hint: `grit explain CODE` says more about a finding
    ");
    assert_eq!(env.left_over(), [""; 0]);
}

#[test]
fn a_matrix_of_a_million_and_a_workflow_that_calls_itself_are_refused_by_their_limits() {
    let env = Env::new();
    let job = "    runs-on: ubuntu-latest\n    steps: [{ run: touch ran }]\n";
    let values: Vec<String> = (0..1000).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    let matrix = format!(
        "on: push\njobs:\n  a:\n    strategy: {{ matrix: {{ x: [{values}], y: [{values}] }} }}\n{job}"
    );
    let computed = format!(
        "on: push\njobs:\n  a:\n    strategy: {{ matrix: {{ x: \"${{{{ fromJSON('[{values}]') }}}}\", \
         y: [{values}] }} }}\n{job}"
    );
    let called = "on: [push, workflow_call]\njobs:\n  a: { uses: ./.github/workflows/ci.yml }\n";
    for (name, text, said) in [
        ("matrix", &*matrix, "256"),
        ("computed", &*computed, "256"),
        ("loop", called, "calls itself"),
    ] {
        let repository = env.repository(name, &[(WORKFLOW, text)]);
        let out = env.grit(&repository, &["run"]);
        assert!(matches!(out.code, Some(1 | 2)), "{out:?}");
        assert!(out.stderr.contains(said) || out.stdout.contains(said), "{out:?}");
    }
}

#[test]
fn a_misspelt_need_is_named_with_its_place_and_a_suggestion() {
    let env = Env::new();
    let text = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n  ship:\n    needs: biuld\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";
    let repository = env.repository("repo", &[(WORKFLOW, text)]);
    assert_snapshot!(env.grit(&repository, &["run"]).refusal(), @r"
    exit 2
    Error: .github/workflows/ci.yml cannot be used
    error[E0112]: there is no job `biuld`
     --> .github/workflows/ci.yml:7:12
      |
    7 |     needs: biuld
      |            ^^^^^
      |
      = help: did you mean `build`?
    Hint: `grit explain CODE` says more about a finding
    ");
}

#[test]
fn a_job_publishes_with_grit_itself_and_nothing_of_it_stays() {
    let env = Env::new();
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      \
        - run: mkdir out && touch out/a && grit artifact push a out\n      \
        - run: test -f \"$GRIT_REGISTRY/index.json\" && test -z \"$GRIT_SERVER\"\n";
    let repository = env.repository("repo", &[(WORKFLOW, text)]);
    env.grit(&repository, &["run"]).expect_code(0);
    assert_eq!(env.left_over(), [""; 0]);
}

/// Two jobs, of which the first stays; its last step begins once the first is ended.
fn endless(mark: &Path, last: &str) -> String {
    let job = "    runs-on: ubuntu-latest\n    steps:\n";
    let (begun, tidying) = (mark.join("begun"), mark.join("tidying"));
    let stay = format!("touch '{}'; sleep 1000", begun.display());
    let last = format!("touch '{}'; {last}", tidying.display());
    format!(
        "on: push\njobs:\n  stay:\n{job}      - run: {stay}\n      - run: 'true'\n      \
         - run: {last}\n        if: always()\n  never:\n    needs: stay\n{job}      \
         - run: 'true'\n"
    )
}

fn until_there(path: &Path, running: &Running) {
    wait_for(&format!("{path:?}"), || path.exists().then_some(()).ok_or_else(|| running.stderr()));
}

#[test]
fn an_interrupted_run_tidies_up_tells_what_became_of_it_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let env = Env::new();
        let repository = env.repository("repo", &[(WORKFLOW, &endless(&env.path("tmp"), "true"))]);
        let running =
            env.start(env.command(GRIT, &repository).arg("run").env("TMPDIR", env.path("out")));
        until_there(&env.path("tmp/begun"), &running);
        let out = running.end(signal).expect_code(130);
        assert!(out.stdout.starts_with(".github/workflows/ci.yml: cancelled in "), "{out:?}");
        assert!(out.stdout.ends_with("0 succeeded, 0 failed, 0 skipped, 2 cancelled\n"), "{out:?}");
        assert!(env.path("tmp/tidying").exists(), "always() is said of a cancelled run, too");
        assert_eq!(env.processes(), []);
    }
}

#[test]
fn a_second_signal_ends_a_run_at_once() {
    let env = Env::new();
    let stubborn = "trap '' TERM; while true; do sleep 1; done";
    let repository = env.repository("repo", &[(WORKFLOW, &endless(&env.path("out"), stubborn))]);
    let running = env.start(env.command(GRIT, &repository).args(["run", "--json"]));
    until_there(&env.path("out/begun"), &running);
    running.signal(Signal::INT);
    until_there(&env.path("out/tidying"), &running);
    let document = running.end(Signal::INT).expect_code(130).document();
    assert_eq!(document["data"][0]["status"], "cancelled", "{document:#}");
    let endings: Vec<_> = document["data"][0]["jobs"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["ending"].as_str().unwrap())
        .collect();
    assert_eq!(endings, ["cancelled", "skipped", "cancelled"], "{document:#}");
    assert_eq!(env.processes(), []);
    assert_eq!(env.left_over(), [""; 0]);
}

#[test]
fn without_a_workflow_the_hint_says_what_to_commit() {
    let env = Env::new();
    let repository = env.repository("repo", &[]);
    assert_snapshot!(env.grit(&repository, &["run"]).refusal(), @r"
    exit 3
    Error: no pipeline in .github/workflows of the current commit
    Hint: commit a workflow file; `grit init --example shop` makes a repository with one
    ");
}

#[test]
fn what_a_step_records_and_locks_is_at_the_remote_of_the_repository() {
    let workflow = r#"name: CI
on: push
jobs:
  report:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          grit lock acquire --resource deploy:production --ttl 1h
          grit issue create --title "from a step"
          grit sync --push
"#;
    let env = Env::new();
    let seed = env.repository("seed", &[(WORKFLOW, workflow)]);
    env.host(&seed);
    // A path that says something else in a job's folder.
    env.git(&seed, &["remote", "add", "team", "../hosted.git"]);
    env.git(&seed, &["config", "grit.remote", "team"]);
    env.grit(&seed, &["run"]).expect_code(0);
    let other = env.clone("other");
    env.grit(&other, &["sync"]).expect_code(0);
    let issues = env.data(&other, &["issue", "list", "--json"]);
    assert_eq!(issues[0]["title"], "from a step", "{issues}");
    env.grit(&other, &["lock", "acquire", "deploy:production"]).expect_code(4);
}
