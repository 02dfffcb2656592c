//! Expressions whose answer only the runner knows: secrets, and files of the workspace.

use crate::env::Env;

const CI: &str = ".github/workflows/ci.yml";

const WORKFLOW: &str = r#"
on: push
env: { HAS: "${{ secrets.TOKEN != '' }}", NONE: '${{ secrets.NONE }}' }
jobs:
  a:
    runs-on: ubuntu-latest
    env: { TOKEN: '${{ secrets.TOKEN }}', EMPTY: '${{ secrets.EMPTY }}' }
    outputs:
      has: ${{ secrets.TOKEN != '' }}
      told: ${{ secrets.TOKEN || 'none' }}
    steps:
      - { name: before, if: "hashFiles('Cargo.lock') != ''", run: 'true' }
      - uses: actions/checkout@v4
      - { name: locked, if: "hashFiles('**/Cargo.lock') != ''", run: 'true' }
      - { name: has, if: "env.HAS == 'true'", run: 'true' }
      - { name: token, if: "env.TOKEN != ''", run: 'true' }
      - { name: empty, if: env.EMPTY, run: 'true' }
      - { name: none, if: "env.NONE != ''", run: 'true' }
      - { name: wrong, if: "fromJSON(env.TOKEN).x", continue-on-error: true, run: 'true' }
      - name: values
        env:
          KEY: ${{ fromJSON(secrets.DATA).keys[1] }}
          ALL: ${{ toJSON(secrets) }}
          PICK: ${{ github.ref == 'refs/heads/main' && secrets.TOKEN || 'other' }}
        run: |
          test "$KEY" = "it's"
          test "$PICK" = "$TOKEN"
          test "$(printf %s "$ALL" | jq -r .TOKEN)" = "$TOKEN"
          test "${{ startsWith(secrets.TOKEN, 'TOK') }} ${{ contains(env.TOKEN, 'x') }}" = "true false"
          echo "cut=${TOKEN#tok}" >> "$GITHUB_OUTPUT"; echo "::add-mask::${TOKEN#tok}"
        id: values
      - { name: given, if: "endsWith(steps.values.outputs.cut, '-0123')", run: 'true' }
      - uses: ./action
        with: { key: "${{ secrets.TOKEN && 'there' }}", none: '${{ secrets.NONE }}' }
  b:
    needs: a
    runs-on: ubuntu-latest
    if: needs.a.outputs.has == 'true'
    steps: [{ name: other, if: "needs.a.outputs.told == ''", run: 'true' }]
"#;

const ACTION: &str = r#"
name: an action
inputs: { key: {}, none: {} }
runs:
  using: composite
  steps:
    - { name: inner, if: "inputs.key == 'there'", shell: sh, run: 'true' }
    - { name: unwanted, if: "inputs.none != ''", shell: sh, run: 'true' }
"#;

const SECRETS: &str = "TOKEN=token-0123\nEMPTY=\nDATA={\"keys\": [\"x\", \"it's\"]}\n";

#[test]
fn the_runner_answers_what_only_it_knows() {
    let env = Env::new();
    let files = [(CI, WORKFLOW), ("action/action.yml", ACTION), ("sub/Cargo.lock", "x\n")];
    let repository = env.repository("repo", &files);
    std::fs::write(env.path("secrets"), SECRETS).unwrap();
    let secrets = env.path("secrets").display().to_string();
    let out = env.grit(&repository, &["run", "--json", "--secrets", &secrets]).expect_code(0);
    let document = out.document();
    let jobs = document["data"][0]["jobs"].as_array().unwrap();
    let steps = jobs.iter().flat_map(|job| job["steps"].as_array().unwrap());
    let ended: Vec<String> = steps
        .map(|step| {
            format!("{}: {}", step["title"].as_str().unwrap(), step["ending"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        ended,
        [
            "before: skipped",
            "Run actions/checkout@v4: success",
            "locked: success",
            "has: success",
            "token: success",
            "empty: skipped",
            "none: skipped",
            "wrong: failure",
            "values: success",
            "given: success",
            "Run ./action: success",
            "inner: success",
            "unwanted: skipped",
            "Complete job: success",
            "other: success",
        ]
    );
    let note = jobs[0]["steps"][7]["note"].as_str().unwrap();
    assert!(note.starts_with("if: fromJSON: ") && !note.contains("token-0123"), "{note}");
    let said = jobs[0]["annotations"]["kept"][0]["message"].as_str().unwrap();
    assert!(said.contains("`told`"), "{said}");
}

const LATE: &str = r#"
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    env: { KEY: "${{ secrets.KEY }}" }
    steps:
      - { id: one, run: 'exit 1', continue-on-error: "${{ env.KEY == 'yes' }}" }
      - id: two
        run: sleep 60
        timeout-minutes: ${{ fromJSON(secrets.MINUTES) }}
        continue-on-error: ${{ secrets.KEY != '' }}
      - run: |
          echo "${{ steps.one.outcome }} ${{ steps.one.conclusion }}"
          echo "${{ steps.two.outcome }} ${{ steps.two.conclusion }}"
        id: three
        timeout-minutes: ${{ secrets.KEY }}
        continue-on-error: ${{ contains(secrets.KEY, 'e') }}
      - { run: 'echo "${{ toJSON(steps) }}" > SEEN' }
      - { run: 'exit 1', continue-on-error: "${{ env.KEY == 'no' }}" }
"#;

#[test]
fn how_long_a_step_may_take_and_whether_it_may_fail_can_be_secret() {
    let env = Env::new();
    let workflow = LATE.replace("SEEN", &env.path("seen").display().to_string());
    let repository = env.repository("repo", &[(CI, &*workflow)]);
    std::fs::write(env.path("secrets"), "KEY=yes\nMINUTES=0.005\n").unwrap();
    let secrets = env.path("secrets").display().to_string();
    let out = env.grit(&repository, &["run", "--secrets", &secrets]).expect_code(1);
    let seen = std::fs::read_to_string(env.path("seen")).unwrap();
    let times = |what: &str| seen.matches(what).count();
    assert_eq!((times("outcome: failure"), times("conclusion: success")), (3, 3), "{seen}");
    assert!(out.stderr.contains("FAILED  a / Run exit 1"), "{out:?}");
    assert!(!out.stderr.contains("is `yes`"), "{out:?}");
}
