//! Files that cannot be used: where, what and what was meant, and nothing is started.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::env::{Env, GRIT, wait_for};

const WORKFLOW: &str = ".github/workflows/ci.yml";

/// A repository whose only step leaves a mark.
fn repository(env: &Env, files: &[(&str, &str)]) -> (PathBuf, PathBuf) {
    let mark = env.path("ran");
    let touching = format!(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{{ run: touch '{}' }}]\n",
        mark.display()
    );
    let files: Vec<(&str, &str)> =
        [(WORKFLOW, &*touching)].into_iter().chain(files.iter().copied()).collect();
    (env.repository("repo", &files), mark)
}

fn refused(env: &Env, files: &[(&str, &str)]) -> String {
    let (repository, mark) = repository(env, files);
    let out = env.grit(&repository, &["run"]);
    assert!(!mark.exists(), "something ran: {out:?}");
    assert_eq!(env.left_over(), [""; 0]);
    out.refusal()
}

#[test]
fn a_typo_in_grit_yaml() {
    let text = "services:\n  api:\n    runn: { command: [./api] }\n";
    assert_snapshot!(refused(&Env::new(), &[("grit.yaml", text)]), @r"
    exit 2
    Error: grit.yaml cannot be used
    error[E0021]: unknown key `runn`
     --> grit.yaml:3:5
      |
    3 |     runn: { command: [./api] }
      |     ^^^^
      |
      = help: did you mean `run`?
    Hint: `grit explain CODE` says more about a finding
    ");
}

#[test]
fn a_wrong_type_in_grit_yaml() {
    let text = "services:\n  api:\n    run: { command: [./api], replicas: many }\n";
    assert_snapshot!(refused(&Env::new(), &[("grit.yaml", text)]), @r"
    exit 2
    Error: grit.yaml cannot be used
    error[E0020]: expected a whole number, found a string
     --> grit.yaml:3:40
      |
    3 |     run: { command: [./api], replicas: many }
      |                                        ^^^^
    Hint: `grit explain CODE` says more about a finding
    ");
}

#[test]
fn an_unknown_environment_in_grit_yaml() {
    let text = "services: { api: { run: { command: [./api] } } }\n\
        environments:\n  staging: {}\n  production: { after: stagin }\n";
    assert_snapshot!(refused(&Env::new(), &[("grit.yaml", text)]), @r"
    exit 2
    Error: grit.yaml cannot be used
    error[E0202]: there is no environment `stagin`
     --> grit.yaml:4:24
      |
    4 |   production: { after: stagin }
      |                        ^^^^^^
      |
      = help: did you mean `staging`?
    Hint: `grit explain CODE` says more about a finding
    ");
}

#[test]
fn a_circle_of_services_in_grit_yaml() {
    let text = "services:\n  api: { needs: [web], run: { command: [./api] } }\n  \
        web: { needs: [api], run: { command: [./web] } }\n";
    assert_snapshot!(refused(&Env::new(), &[("grit.yaml", text)]), @r"
    exit 2
    Error: grit.yaml cannot be used
    error[E0204]: `needs` leads back to itself: api → web → api
     --> grit.yaml:3:18
      |
    3 |   web: { needs: [api], run: { command: [./web] } }
      |                  ^^^
      |
      = help: remove one of these links
    Hint: `grit explain CODE` says more about a finding
    ");
}

#[test]
fn a_typo_in_a_workflow() {
    let text = "on: push\njobs:\n  a:\n    rusn-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";
    assert_snapshot!(refused(&Env::new(), &[(".github/workflows/b.yml", text)]), @r"
    exit 2
    Error: .github/workflows/b.yml cannot be used
    error[E0114]: the job `a` does not say `runs-on`
     --> .github/workflows/b.yml:3:3
      |
    3 |   a:
      |   ^
      |
      = help: runs-on: ubuntu-latest

    error[E0021]: unknown key `rusn-on`
     --> .github/workflows/b.yml:4:5
      |
    4 |     rusn-on: ubuntu-latest
      |     ^^^^^^^
      |
      = help: did you mean `runs-on`?
    Hint: `grit explain CODE` says more about a finding
    ");
}

#[test]
fn a_wrong_type_in_a_workflow() {
    let text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    timeout-minutes: soon\n    \
        steps: { run: 'true' }\n";
    assert_snapshot!(refused(&Env::new(), &[(".github/workflows/b.yml", text)]), @r"
    exit 2
    Error: .github/workflows/b.yml cannot be used
    error[E0120]: `soon` is not a number of minutes above 0
     --> .github/workflows/b.yml:5:22
      |
    5 |     timeout-minutes: soon
      |                      ^^^^

    error[E0020]: expected a list, found a mapping
     --> .github/workflows/b.yml:6:12
      |
    6 |     steps: { run: 'true' }
      |            ^^^^^^^^^^^^^^^
    Hint: `grit explain CODE` says more about a finding
    ");
}

#[test]
fn all_files_that_are_wrong_are_told_at_once() {
    let env = Env::new();
    let text = "on: push\njobs: {}\n";
    let files = [("grit.yaml", "service: {}\n"), (".github/workflows/b.yml", text)];
    let out = refused(&env, &files);
    assert!(out.contains("grit.yaml cannot be used"), "{out}");
    assert!(out.contains(".github/workflows/b.yml cannot be used"), "{out}");
}

#[test]
fn a_correction_that_is_not_committed_does_not_count_and_the_hint_says_so() {
    let env = Env::new();
    let (repository, mark) = repository(&env, &[("grit.yaml", "service: {}\n")]);
    std::fs::write(repository.join("grit.yaml"), "services: {}\n").unwrap();
    let out = env.grit(&repository, &["run"]).expect_code(2);
    assert_snapshot!(out.stderr.lines().last().unwrap(), @"Hint: the commit counts, not the working tree: `git commit` the correction");
    env.commit(&repository, &[], "corrected");
    env.grit(&repository, &["run"]).expect_code(0);
    assert!(mark.exists());
}

fn serve(env: &Env, repository: &Path) -> crate::env::Running {
    let any = "127.0.0.1:0";
    let args = ["up", "--listen", any, "--edge-listen", any];
    let up = env.start(env.command(GRIT, repository).args(args));
    wait_for("control process", || {
        up.stdout().contains("data ").then_some(()).ok_or_else(|| up.stderr())
    });
    up
}

#[test]
fn a_push_of_a_wrong_file_is_not_built_and_both_pusher_and_status_say_why() {
    let env = Env::new();
    let files = [("grit.yaml", "services:\n  api:\n    runn: { command: [./api] }\n")];
    let (repository, mark) = repository(&env, &files);
    let up = serve(&env, &repository);
    let push = env.run(env.command("git", &repository).args(["push", "--quiet", "grit", "main"]));
    let told: Vec<&str> = push.stderr.lines().map(str::trim_end).collect();
    let head = env.git(&repository, &["rev-parse", "--short=10", "HEAD"]);
    assert_snapshot!(told.join("\n").replace(head.trim_end(), "[HEAD]"), @r"
    remote: grit.yaml cannot be used
    remote: error[E0021]: unknown key `runn`
    remote:  --> grit.yaml:3:5
    remote:   |
    remote: 3 |     runn: { command: [./api] }
    remote:   |     ^^^^
    remote:   |
    remote:   = help: did you mean `run`?
    remote: Nothing of commit [HEAD] is built.
    ");
    let status = wait_for("the commit's problems", || {
        let out = env.grit(&repository, &["status"]).expect_code(0);
        if out.stdout.contains("unknown key") { Ok(out.stdout) } else { Err(out.stdout) }
    });
    assert!(status.contains("--> grit.yaml:3:5"), "{status}");
    assert!(!mark.exists(), "something ran");

    let files = [("grit.yaml", "services: { api: { run: { command: [./api] } } }\n")];
    env.commit(&repository, &files, "corrected");
    let push = env.run(env.command("git", &repository).args(["push", "--quiet", "grit", "main"]));
    assert_eq!(push.expect_code(0).stderr, "");
    wait_for("the job of the corrected commit", || {
        mark.exists().then_some(()).ok_or_else(|| up.stderr())
    });
    up.end(Signal::TERM).expect_code(0);
    assert_eq!(env.processes(), []);
}
