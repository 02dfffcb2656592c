use grit_dialect::github;
use grit_pipeline::plan::{Action, InputKind, Matrix, Plan};

fn read(text: &str) -> Plan {
    let (plan, diagnostics) = github::read(".github/workflows/ci.yml", text);
    assert!(diagnostics.is_empty(), "{}", grit_diag::render::plain(&diagnostics));
    plan.expect("a plan")
}

const WORKFLOW: &str = r#"
name: CI
on:
  push:
    branches: [main, 'releases/**']
    paths-ignore: docs/**
  workflow_dispatch:
    inputs:
      level: { type: choice, options: [low, high], default: low }
env: { A: 1, ON: on, NOTHING: , FLAG: true }
defaults:
  run: { shell: bash }
jobs:
  lint:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: { fetch-depth: 0 }
      - run: |
          cargo fmt --check
          cargo clippy
  test:
    name: test ${{ matrix.os }}
    needs: lint
    runs-on: ${{ matrix.os }}
    timeout-minutes: 10
    strategy:
      fail-fast: false
      max-parallel: 2
      matrix:
        os: [ubuntu-latest, macos-latest]
        include:
          - { os: ubuntu-latest, extra: true }
    env: { B: "${{ matrix.os }}" }
    outputs: { v: "${{ steps.s.outputs.v }}" }
    steps:
      - id: s
        if: github.ref == 'refs/heads/main'
        continue-on-error: true
        working-directory: sub
        run: echo v=1 >> "$GITHUB_OUTPUT"
"#;

#[test]
fn everything_written_is_in_the_plan() {
    let plan = read(WORKFLOW);
    assert_eq!(plan.name, "CI");
    let push = plan.trigger("push").unwrap();
    let branches = push.filters.branches.as_ref().unwrap();
    assert_eq!(branches, &["main", "releases/**"]);
    assert_eq!(push.filters.paths_ignore.as_ref().unwrap(), &["docs/**"]);
    assert_eq!(plan.trigger("workflow_dispatch").unwrap().inputs["level"].kind, InputKind::Choice);
    let env: Vec<_> = plan.env.iter().map(|(name, text)| (name.as_str(), text.source())).collect();
    assert_eq!(env, [("A", "1"), ("ON", "on"), ("NOTHING", ""), ("FLAG", "true")]);
    let keys: Vec<&str> = plan.jobs.keys().map(|key| key.as_str()).collect();
    assert_eq!(keys, ["lint", "test"]);
    let test = &plan.jobs[1];
    assert_eq!((test.place.line, test.place.column), (22, 3));
    assert_eq!(test.needs[0].as_str(), "lint");
    assert_eq!(test.fail_fast.as_ref().unwrap().source(), "false");
    assert!(
        matches!(&test.matrix, Some(Matrix::Given { vectors, include: Some(_), exclude: None })
        if vectors.len() == 1)
    );
    let step = &test.steps[0];
    assert_eq!(step.id.as_ref().unwrap().as_str(), "s");
    assert_eq!(step.condition.source(), "github.ref == 'refs/heads/main'");
    assert_eq!(step.working_directory.as_ref().unwrap().source(), "sub");
    let Action::Run { script, shell: None } = &plan.jobs[0].steps[1].action else {
        panic!("a script")
    };
    assert_eq!(script.source(), "cargo fmt --check\ncargo clippy\n");
}

#[test]
fn a_plan_survives_its_json() {
    let plan = read(WORKFLOW);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn what_is_not_done_yet_is_in_the_plan() {
    let plan = read(
        "on: push\njobs:\n  a:\n    runs-on: x\n    services: { db: postgres }\n    \
         concurrency: one\n    steps: [{ run: a }]\n  b:\n    uses: ./.github/workflows/b.yml\n",
    );
    let unsupported = |key: usize| {
        let all = plan.jobs[key].unsupported.iter();
        all.map(|u| (u.key.clone(), u.stops, u.place.line)).collect::<Vec<_>>()
    };
    assert_eq!(unsupported(0), []);
    assert!(plan.jobs[0].services.is_some());
    assert_eq!(plan.jobs[0].concurrency.as_ref().unwrap().group.source(), "one");
    assert_eq!(unsupported(1), []);
    let call = plan.jobs[1].call.as_ref().unwrap();
    assert_eq!((call.uses.as_str(), call.place.line), ("./.github/workflows/b.yml", 9));
}
