//! What steps say about places in files, and what they sum up.

use rustix::process::Signal;

use crate::env::{Env, GRIT, wait_for};
use crate::living::Living;

const CI: &str = ".github/workflows/ci.yml";
const TEXT: &str = r##"name: CI
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Say
        run: |
          echo "::group::inner"
          echo "::warning file=src/a.rs,line=3,col=7,title=Odd::the ${{ secrets.WORD }} is odd"
          echo "::endgroup::"
          echo "::debug::not shown"
          for n in $(seq 12); do echo "::notice::number $n"; done
          echo "# Well" >> "$GITHUB_STEP_SUMMARY"
          echo "done by ${{ secrets.WORD }}" >> "$GITHUB_STEP_SUMMARY"
      - name: Compile
        run: |
          echo "::add-matcher::matcher.json"
          printf 'src/a.rs\n  4:2 error no such thing\n  5:1 warning odd open-sesame\n'
          exit 1
"##;
const MATCHER: &str = r#"{"problemMatcher": [{"owner": "lint", "pattern": [
    {"regexp": "^(\\S+\\.rs)$", "file": 1},
    {"regexp": "^\\s+(\\d+):(\\d+) (error|warning) (.*)$", "line": 1, "column": 2, "severity": 3, "message": 4, "loop": true}]}]}"#;

#[test]
fn annotations_are_found_masked_counted_and_shown() {
    let env = Env::new();
    let files = [(CI, TEXT), ("matcher.json", MATCHER), ("src/a.rs", "")];
    let repository = env.repository("repo", &files);
    let secrets = env.path("secrets");
    std::fs::write(&secrets, "WORD=open-sesame\n").unwrap();
    let args = ["run", "--secrets", secrets.to_str().unwrap()];
    let out = env.grit(&repository, &args).expect_code(1);
    for line in [
        "    warning src/a.rs:3:7: Odd: the *** is odd",
        "    notice: number 1\n",
        "    and 2 more annotations",
        "    error src/a.rs:4:2: no such thing",
        "    warning src/a.rs:5:1: odd ***",
    ] {
        assert!(out.stderr.contains(line), "{line}: {out:?}");
    }
    let out = env.grit(&repository, &[&args[..], &["--json"]].concat()).expect_code(1);
    assert!(!out.stdout.contains("open-sesame") && !out.stderr.contains("open-sesame"), "{out:?}");
    let document = out.document();
    let steps = &document["data"][0]["jobs"][0]["steps"];
    assert_eq!(steps[1]["annotations"]["kept"].as_array().unwrap().len(), 11, "{steps:#}");
    assert_eq!(steps[1]["annotations"]["left_out"], 2);
    assert_eq!(steps[1]["annotations"]["kept"][0]["file"], "src/a.rs");
    assert_eq!(steps[1]["summary"], "# Well\ndone by ***\n");
    assert_eq!(steps[2]["annotations"]["kept"][1]["level"], "warning");
}

#[test]
fn what_is_shown_of_a_log_does_not_steer_the_terminal() {
    let env = Env::new();
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - name: Bad\n        run: printf 'a\\033]52;c;x\\007\\033[2Jb\\033[31mred\\rover\\342\\200\\256\\n'; exit 1\n";
    let repository = env.repository("repo", &[(CI, text)]);
    let out = env.grit(&repository, &["run"]).expect_code(1);
    assert!(!out.stderr.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']), "{out:?}");
    assert!(
        out.stderr.contains("a\u{241b}]52;c;x\u{2407}\u{241b}[2Jbred\u{240d}over\\u{202e}"),
        "{out:?}"
    );
}

const LINE: &str = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n\
    \x20     - { name: Before, run: 'touch \"$HOME/before\"; until test -e \"$HOME/on\"; do sleep 0.05; done' }\n\
    \x20     - { name: Line, run: 'head -c 200000000 /dev/zero | tr \"\\0\" x; echo; touch \"$HOME/after\"; until test -e \"$HOME/off\"; do sleep 0.05; done' }\n";

#[test]
fn a_line_without_end_takes_no_memory() {
    let env = Env::new();
    let repository = env.repository("repo", &[(CI, LINE)]);
    let running = env.start(env.command(GRIT, &repository).args(["run"]));
    let most = |mark: &str| {
        wait_for(mark, || {
            let is_there = env.path("home").join(mark).exists();
            is_there.then_some(()).ok_or_else(|| running.stderr())
        });
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = most("before");
    std::fs::write(env.path("home/on"), "").unwrap();
    let after = most("after");
    std::fs::write(env.path("home/off"), "").unwrap();
    running.wait().expect_code(0);
    assert!(after < before + (32 << 10), "{before} kB, then {after} kB");
}

#[test]
fn what_may_not_be_set_fails_the_step_and_later_ones_go_on() {
    let env = Env::new();
    let step = |line: &str| {
        format!("      - run: echo '{line}' >> \"$GITHUB_ENV\"\n        continue-on-error: true\n")
    };
    let refused = ["LD_PRELOAD=/x.so", "LD_AUDIT=/x.so", "NODE_OPTIONS=-r /x", "GRIT_TOKEN=x"];
    let refused: String = refused.iter().map(|line| step(line)).collect();
    let text = format!(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{refused}\
         \x20     - run: echo \"PATH=$PWD:$PATH\" >> \"$GITHUB_ENV\"; echo \"echo from-bash-env\" > rc; echo \"BASH_ENV=$PWD/rc\" >> \"$GITHUB_ENV\"; printf '#!/bin/sh\\necho mine' > own; chmod +x own\n\
         \x20     - run: test \"$(own)\" = mine; test -z \"$LD_PRELOAD$LD_AUDIT$NODE_OPTIONS\"; echo \"said $(bash -c true)\"; test \"$(bash -c true)\" = from-bash-env\n"
    );
    let repository = env.repository("repo", &[(CI, &text)]);
    let document = env.grit(&repository, &["run", "--json"]).expect_code(0).document();
    let steps = document["data"][0]["jobs"][0]["steps"].as_array().unwrap().clone();
    let endings: Vec<&str> = steps.iter().map(|step| step["ending"].as_str().unwrap()).collect();
    assert_eq!(endings, ["failure", "failure", "failure", "failure", "success", "success"]);
}

#[test]
fn a_server_tells_them_with_the_run() {
    let env = Env::new();
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo '::warning file=a.rs,line=3::odd'; echo 42 > \"$GITHUB_STEP_SUMMARY\"\n";
    let repository = env.repository("repo", &[(CI, text)]);
    let living = Living::resume(&env, repository);
    env.git(&living.repository, &["push", "--quiet", "grit", "main"]);
    let run = wait_for("the run", || {
        let runs = living.get("/api/v1/runs");
        let over = runs[0]["status"] == "success";
        if over { Ok(runs[0].clone()) } else { Err(runs.to_string()) }
    });
    let job = &run["jobs"][0];
    let said = &job["steps"][0]["annotations"]["kept"][0];
    assert_eq!(
        (&said["file"], &said["line"], &said["message"]),
        (&"a.rs".into(), &3.into(), &"odd".into())
    );
    let id = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let path = format!("/api/v1/runs/{}/jobs/{}/steps/0/summary", id(&run["id"]), id(&job["job"]));
    assert_eq!(living.get(&path), 42);
    living.up.end(Signal::INT).expect_code(0);
}
