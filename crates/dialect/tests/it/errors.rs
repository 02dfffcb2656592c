use grit_dialect::github;

/// `LINE:COLUMN CODE MESSAGE (HELP)` of every finding.
fn findings(text: &str) -> Vec<String> {
    let (_, diagnostics) = github::read("ci.yml", text);
    let line = |finding: &grit_diag::Diagnostic| {
        let (line, column) = diagnostics.source().position(finding.primary.span);
        let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{line}:{column} {} {}{help}", finding.code.id, finding.message)
    };
    diagnostics.sorted().into_iter().map(line).collect()
}

fn job(body: &str) -> String {
    format!("on: push\njobs:\n  a:\n    runs-on: x\n{body}")
}

#[test]
fn a_typing_error_is_told_with_what_was_meant() {
    let text = "on: psuh\njobs:\n  a:\n    run-on: x\n    steps:\n      - rnu: make\n";
    assert_eq!(
        findings(text),
        [
            "1:5 E0104 no event is called `psuh` (did you mean `push`?)",
            "3:3 E0114 the job `a` does not say `runs-on` (runs-on: ubuntu-latest)",
            "4:5 E0021 unknown key `run-on` (did you mean `runs-on`?)",
            "6:9 E0021 unknown key `rnu` (did you mean `run`?)",
        ]
    );
}

#[test]
fn a_condition_asks_for_a_secret_through_a_variable() {
    let text = job("    steps:\n      - if: secrets.A != ''\n        run: x\n");
    let [found] = &*findings(&text) else { panic!("{:?}", findings(&text)) };
    assert!(
        found.contains("E0102 `secrets` is not available here (let a variable hold it"),
        "{found}"
    );
}

#[test]
fn expressions_are_pointed_into() {
    let text =
        job("    if: matrix.os == 'x'\n    steps:\n      - name: \"a ${{ gihub.ref }}\"\n        \
         run: |\n          echo one\n            echo ${{ env.A }} ${{ nope(1) }}\n      \
         - run: echo ${{ github.ref\n      - if: github.ref = 'x'\n        run: |-\n          \
         ${{ secrets.A }}\n      - if: always( && true\n        run: x\n");
    assert_eq!(
        findings(&text),
        [
            "5:9 E0102 `matrix` is not available here (here can be used: github, needs, vars, inputs)",
            "7:22 E0101 unrecognized named-value `gihub` (did you mean `github`?)",
            "10:35 E0101 unrecognized function `nope`",
            "11:19 E0101 `${{` is not closed with `}}`",
            "12:24 E0101 unexpected `=` in the expression",
            "15:21 E0101 unexpected `&&` in the expression",
        ]
    );
}

#[test]
fn needs_must_be_there_and_lead_to_an_end() {
    let text = "on: push\njobs:\n  build: {runs-on: x, needs: [deploy], steps: [{run: a}]}\n  \
                test: {runs-on: x, needs: biuld, steps: [{run: a}]}\n  \
                deploy: {runs-on: x, needs: [build], steps: [{run: a}]}\n";
    assert_eq!(
        findings(text),
        [
            "3:31 E0113 jobs need each other in a circle: build → deploy → build",
            "4:29 E0112 there is no job `biuld` (did you mean `build`?)",
        ]
    );
}

#[test]
fn ids_are_unique_and_well_formed() {
    let text = "on: push\njobs:\n  a.b: {runs-on: x, steps: [{run: a}]}\n  Test: {runs-on: x, \
                steps: [{run: a, id: s}, {run: b, id: S}]}\n  test: {runs-on: x, steps: [{run: a}]}\n";
    let ids = "a letter or `_`, then letters, digits, `_` or `-`, at most 100 in all";
    assert_eq!(
        findings(text),
        [
            format!("3:3 E0110 `a.b` cannot be an id ({ids})").as_str(),
            "4:60 E0111 there is a step `S` already",
            "5:3 E0111 there is a job `test` already",
        ]
    );
}

#[test]
fn a_step_does_one_thing() {
    let text = job(
        "    steps:\n      - { run: a, uses: b/c@v1 }\n      - { run: a, with: { x: 1 } }\n      \
         - { uses: nonsense, shell: bash }\n      - { run: a, shell: zorp, timeout-minutes: -1 }\n      \
         - { name: idle }\n",
    );
    assert_eq!(
        findings(&text),
        [
            "6:25 E0116 `uses` and `run` cannot both be set (split this into two steps)",
            "7:19 E0118 `with` goes with `uses`, which this step does not have",
            "8:17 E0119 `nonsense` names no action (write owner/repo@ref, owner/repo/path@ref, \
             ./path or docker://image)",
            "8:27 E0118 `shell` goes with `run`, which this step does not have",
            "9:26 E0125 `zorp` is no shell (bash, sh, python, pwsh, or a command line with {0})",
            "9:49 E0120 `-1` is not a number of minutes above 0",
            "10:9 E0117 the step has neither `run` nor `uses`",
        ]
    );
}

#[test]
fn matrices_filters_and_the_rest() {
    let text = "on:\n  push: { branches: ['!x'], tags: [v1], tags-ignore: ['a['] }\n  schedule: \
                [{ cron: '* *' }]\njobs:\n  a:\n    runs-on: x\n    strategy: { matrix: { a: [], b: c }, \
                fail-fast: maybe }\n    permissions: { content: read }\n    steps: [{ run: 'a' }]\n  \
                b:\n    runs-on: x\n    uses: ./.github/workflows/x.yml\n";
    assert_eq!(
        findings(text),
        [
            "2:21 E0107 `branches` has only patterns that leave something out (begin with \"**\", \
             or use `branches-ignore`)",
            "2:54 E0105 `tags` and `tags-ignore` cannot both be set",
            "2:55 E0106 `[` is not closed",
            "3:22 E0108 `* *` is no cron line of five fields",
            "7:30 E0121 `a` is empty: there is nothing to run",
            "7:53 E0020 expected `true`, `false` or an expression, found a string",
            "8:20 E0122 no permission is called `content` (did you mean `contents`?)",
            "12:5 E0115 `uses` and `runs-on` cannot both be set",
        ]
    );
}

#[test]
fn warnings_do_not_stop_anything() {
    let text = job(
        "    strategy: { matrix: { v: [3.10] } }\n    steps:\n      - if: ${{ false }} == true\n        \
         run: a\n  b: { runs-on: x }\n",
    );
    let (plan, diagnostics) = github::read("ci.yml", &text);
    assert!(plan.is_some() && !diagnostics.has_errors());
    assert_eq!(
        findings(&text),
        [
            "5:31 W0101 `3.10` is the number 3.1 (write \"3.10\" in quotes for the text)",
            "7:13 W0102 this condition is always true (write all of it as one expression)",
            "9:3 W0103 the job `b` has no steps",
        ]
    );
}

#[test]
fn no_jobs_is_no_plan() {
    for (text, expected) in [
        ("on: push\njobs:\n", "2:5 E0109 the workflow has no jobs"),
        ("on: push\n", "1:1 E0022 the key `jobs` is missing in this mapping"),
        ("- a\n", "1:1 E0020 expected a mapping, found a list"),
    ] {
        assert!(github::read("ci.yml", text).0.is_none());
        assert_eq!(findings(text), [expected]);
    }
}
