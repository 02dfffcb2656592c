//! `grit run`: what is run when nothing is said, and what when something is.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::env::{Env, GRIT, wait_for};

const CI: &str = ".github/workflows/ci.yml";

const FILTERED: &str = "name: CI\non:\n  push: { branches: [main, 'release/**'], paths: ['src/**'] }\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";
const BY_HAND: &str = "name: Hand\non:\n  workflow_dispatch: { inputs: { who: { required: true } } }\njobs:\n  hello:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'test \"${{ inputs.who }}\" = me' }]\n";
const STEPS: &str = "name: Steps\non: push\njobs:\n  first:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n  work:\n    needs: first\n    runs-on: ubuntu-latest\n    strategy: { fail-fast: false, matrix: { size: [small, large] } }\n    steps:\n      - uses: actions/checkout@v4\n      - name: Prepare\n        run: echo prepare-${{ matrix.size }} >> \"$MARKS\"\n        env: { MARKS: MARKS_FILE }\n      - id: build\n        name: Build it\n        run: echo build-${{ matrix.size }} >> \"$MARKS\"; test -f word; exit ${{ matrix.size == 'large' && 3 || 0 }}\n        env: { MARKS: MARKS_FILE }\n";

/// A clone whose remote has its first commit.
fn cloned(env: &Env, files: &[(&str, &str)]) -> PathBuf {
    let root = env.path("");
    env.repository("seed", files);
    env.git(&root, &["clone", "--quiet", "--bare", "seed", "hosted.git"]);
    env.git(&root, &["clone", "--quiet", "hosted.git", "work"]);
    env.path("work")
}

fn names(runs: &Value) -> Vec<String> {
    runs.as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plain_run_is_what_a_push_of_the_branch_would_start() {
    let env = Env::new();
    let work =
        cloned(&env, &[(CI, FILTERED), ("src/a", "1"), (".github/workflows/hand.yml", BY_HAND)]);
    let run = || names(&env.data(&work, &["run", "--json"]));
    env.commit(&work, &[("src/a", "0")], "code [skip ci]");
    assert_eq!(run(), [""; 0], "the message says so");
    env.git(&work, &["push", "--quiet", "origin", "main"]);
    env.commit(&work, &[("README.md", "docs")], "docs");
    assert_eq!(run(), [""; 0], "no path of the push is in src");
    env.commit(&work, &[("src/a", "2")], "code");
    env.commit(&work, &[("README.md", "more docs")], "docs again");
    assert_eq!(run(), ["CI"], "a commit of the push is in src");
    env.git(&work, &["switch", "--quiet", "-c", "feature/x"]);
    let out = env.grit(&work, &["run"]).expect_code(0);
    assert!(out.stderr.contains("Nothing is started by push of feature/x:"), "{out:?}");
    assert!(out.stderr.contains("push (branches: main, release/**; paths: src/**)"), "{out:?}");
    assert!(out.stderr.contains("`grit run -W ci.yml`"), "{out:?}");
    env.git(&work, &["switch", "--quiet", "-c", "release/1"]);
    assert_eq!(run(), ["CI"], "a new branch is compared with where it left the remote's");
    env.git(&work, &["push", "--quiet", "origin", "release/1"]);
    assert_eq!(run(), [""; 0], "what is pushed already counts as its last commit: docs");
}

#[test]
fn what_is_named_is_run_whatever_starts_it() {
    let env = Env::new();
    let work = cloned(&env, &[(CI, FILTERED), (".github/workflows/hand.yml", BY_HAND)]);
    env.commit(&work, &[("README.md", "docs")], "docs");
    assert_eq!(names(&env.data(&work, &["run", "--json"])), [""; 0]);
    assert_eq!(names(&env.data(&work, &["run", "--json", "-W", "ci.yml"])), ["CI"]);
    assert_eq!(names(&env.data(&work, &["run", "--json", "-j", "a"])), ["CI"]);
    assert_eq!(names(&env.data(&work, &["run", "--json", "--input", "who=me"])), ["Hand"]);
    let out = env.grit(&work, &["run", "--input", "who=it's you"]).expect_code(1);
    assert!(out.stderr.contains("--input 'who=it'\\''s you'"), "{out:?}");
    let out = env.grit(&work, &["run", "-W", "hand.yml"]).expect_code(2);
    assert!(out.stderr.contains("`who` is required"), "{out:?}");
    let out = env.grit(&work, &["run", "-j", "helo"]).expect_code(2);
    assert!(out.stderr.contains("did you mean `hello`?"), "{out:?}");
}

fn steps(env: &Env) -> (PathBuf, PathBuf) {
    let marks = env.path("marks");
    let text = STEPS.replace("MARKS_FILE", &marks.display().to_string());
    (env.repository("repo", &[(CI, &text), ("word", "x")]), marks)
}

fn taken(marks: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(marks).unwrap_or_default();
    let _ = std::fs::remove_file(marks);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn nothing_runs_where_it_is_only_shown() {
    let env = Env::new();
    let (repository, marks) = steps(&env);
    let out = env.grit(&repository, &["run", "--list"]).expect_code(0);
    assert_eq!(out.stdout, "first\nwork\n");
    let out = env.grit(&repository, &["run", "--graph"]).expect_code(0);
    assert_eq!(out.stdout, format!("Steps ({CI})\n  first\n    work (matrix) ← first\n"));
    let graph = env.data(&repository, &["run", "--graph", "--json"]);
    assert_eq!(graph[0]["edges"], json!([{"from": "first", "to": "work"}]));
    let out = env.grit(&repository, &["run", "--dry-run"]).expect_code(0);
    for line in ["ok      work (small)", "    ok      Build it", "ok      first"] {
        assert!(out.stdout.contains(line), "{out:?}");
    }
    assert_eq!(taken(&marks), [""; 0]);
}

#[test]
fn a_red_step_says_what_runs_it_again_and_that_does() {
    let env = Env::new();
    let (repository, marks) = steps(&env);
    let out = env.grit(&repository, &["run"]).expect_code(1);
    let again = "Again: grit run -W ci.yml -j work --matrix size:large --from build";
    assert!(out.stderr.contains(again), "{out:?}");
    assert_eq!(taken(&marks).len(), 4);
    let words: Vec<&str> = again.split_whitespace().skip(2).collect();
    let out = env.grit(&repository, &words).expect_code(1);
    assert_eq!(taken(&marks), ["build-large"], "{out:?}");
    assert!(out.stderr.contains("Prepare - counts as done"), "{out:?}");
    env.grit(&repository, &["run", "--matrix", "size=small"]).expect_code(0);
    assert_eq!(taken(&marks), ["build-small", "prepare-small"]);
    env.grit(&repository, &["run", "--matrix", "size:small", "--from", "3"]).expect_code(0);
    assert_eq!(taken(&marks), ["build-small"]);
    let out = env.grit(&repository, &["run", "--from", "biuld"]).expect_code(2);
    assert!(out.stderr.contains("no job has a step `biuld`"), "{out:?}");
}

#[test]
fn what_happens_comes_as_lines_of_json() {
    let env = Env::new();
    let (repository, _) = steps(&env);
    let out = env.grit(&repository, &["run", "--json-lines", "-j", "first"]).expect_code(0);
    let events: Vec<Value> =
        out.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let wanted = [
        "run.started",
        "job.started",
        "step.started",
        "step.finished",
        "job.finished",
        "run.finished",
    ];
    assert_eq!(kinds, wanted, "{out:?}");
    assert_eq!(events[3]["data"]["step"]["ending"], "success");
    assert_eq!(events[5]["data"]["status"], "success");
}

#[test]
fn a_job_without_a_checkout_fails_as_on_the_service_and_is_told_why() {
    let env = Env::new();
    let text =
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{ run: ./build.sh }]\n";
    let repository = env.repository("repo", &[(CI, text), ("build.sh", "#!/bin/sh\n")]);
    let out = env.grit(&repository, &["run"]).expect_code(1);
    assert!(out.stderr.contains("./build.sh"), "{out:?}");
    assert!(out.stderr.contains("Hint: the job has no `uses: actions/checkout@v4`"), "{out:?}");
}

#[test]
fn what_is_not_committed_is_run_when_asked_for_and_nothing_is_moved() {
    let env = Env::new();
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{ uses: actions/checkout@v4 }, { run: test \"$(cat word)\" = new }]\n";
    let repository = env.repository("repo", &[(CI, text), ("word", "old")]);
    std::fs::write(repository.join("word"), "new").unwrap();
    env.grit(&repository, &["run"]).expect_code(1);
    env.grit(&repository, &["run", "--uncommitted"]).expect_code(0);
    assert_eq!(env.git(&repository, &["status", "--porcelain"]), " M word\n");
    assert_eq!(env.git(&repository, &["stash", "list"]), "");
}

#[test]
fn a_change_of_a_tracked_file_runs_it_again_until_it_is_ended() {
    let env = Env::new();
    let marks = env.path("marks");
    let text = format!(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{{ uses: actions/checkout@v4 }}, {{ run: 'cat word >> {}' }}]\n",
        marks.display()
    );
    let repository = env.repository("repo", &[(CI, &text), ("word", "one\n")]);
    let running = env.start(env.command(GRIT, &repository).args(["run", "--watch"]));
    let waits = |count: usize| {
        wait_for("a run", || {
            let said = running.stderr();
            (said.matches("Waiting for a change").count() == count).then_some(()).ok_or(said)
        });
    };
    waits(1);
    std::fs::write(repository.join("untracked"), "x").unwrap();
    std::fs::write(repository.join("word"), "two\n").unwrap();
    waits(2);
    assert_eq!(std::fs::read_to_string(&marks).unwrap(), "one\ntwo\n");
    running.end(Signal::INT).expect_code(130);
    assert_eq!(env.left_over(), [""; 0]);
}

#[test]
fn a_shell_needs_a_terminal() {
    let env = Env::new();
    let (repository, marks) = steps(&env);
    let out = env.grit(&repository, &["run", "--shell", "build"]).expect_code(2);
    assert!(out.stderr.contains("needs a terminal"), "{out:?}");
    assert_eq!(taken(&marks), [""; 0]);
}

#[test]
fn a_shell_has_the_surroundings_of_the_step_that_failed() {
    let env = Env::new();
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    env: { COLOUR: blue }\n    steps:\n      - run: echo HERE=there >> \"$GITHUB_ENV\"; mkdir deep; echo kept > deep/file\n      - name: Break\n        working-directory: deep\n        run: exit 3\n      - if: always()\n        run: echo after\n";
    let repository = env.repository("repo", &[(CI, text)]);
    let seen = env.path("seen");
    let (typed, mut keys) = std::io::pipe().unwrap();
    let mut script = env.command("script", &repository);
    script
        .args(["--quiet", "--flush", "--return", "--command"])
        .arg(format!("{GRIT} run --shell Break"))
        .arg(env.path("typescript"))
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .stdin(typed);
    let running = env.start(&mut script);
    script.stdin(std::process::Stdio::null());
    let shown = || {
        String::from_utf8_lossy(&std::fs::read(env.path("typescript")).unwrap_or_default())
            .into_owned()
    };
    wait_for("the shell", || shown().contains("(Break)").then_some(()).ok_or_else(shown));
    use std::io::Write;
    writeln!(keys, "echo \"$COLOUR $HERE $(cat file)\" > '{}'; exit", seen.display()).unwrap();
    running.wait().expect_code(1);
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "blue there kept\n");
    assert!(shown().contains("ok      a / Run echo after"), "{}", shown());
    assert_eq!(env.left_over(), [""; 0]);
}
