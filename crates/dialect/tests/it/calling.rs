use grit_dialect::github::{self, Policy};

/// The findings about a caller of `./.github/workflows/r.yml`, whose text is `called`.
fn findings(job: &str, called: &str) -> Vec<String> {
    let text = format!("on: push\njobs:\n  a:\n    uses: ./.github/workflows/r.yml\n{job}");
    let (plan, mut findings) = github::read("ci.yml", &text);
    let mut plan = plan.expect("a plan");
    let mut load = |uses: &str| Some(github::read(uses, called));
    github::link(&mut plan, &mut findings, &Policy::default(), &mut load);
    let line = |finding: &grit_diag::Diagnostic| {
        let (line, column) = findings.source().position(finding.primary.span);
        format!("{line}:{column} {} {}", finding.code.id, finding.message)
    };
    findings.sorted().into_iter().map(line).collect()
}

const STEPS: &str = "    runs-on: x\n    steps: [{run: make}]\n";

#[test]
fn what_does_not_fit_is_told_at_the_caller() {
    let called = format!(
        "on:\n  workflow_call:\n    inputs:\n      who: {{type: string, required: true}}\n\
         \x20     loud: {{type: boolean}}\n    secrets: {{TOK: {{required: true}}}}\njobs:\n  w:\n{STEPS}"
    );
    assert_eq!(
        findings("    with: {wo: x, loud: maybe}\n", &called),
        [
            "4:11 E0126 the input `who` of `./.github/workflows/r.yml` is required",
            "4:11 E0126 the secret `TOK` of `./.github/workflows/r.yml` is required",
            "5:16 E0126 `./.github/workflows/r.yml` has no input `wo`",
            "5:25 E0126 the input `loud` of `a` must be true or false",
        ]
    );
    assert_eq!(findings("    with: {WHO: x}\n    secrets: inherit\n", &called), [""; 0]);
    let other = format!("on: push\njobs:\n  w:\n{STEPS}");
    assert_eq!(findings("", &other).len(), 1);
}

#[test]
fn nobody_gets_more_than_the_caller_has() {
    let called =
        format!("on: workflow_call\njobs:\n  w:\n    permissions: {{contents: write}}\n{STEPS}");
    assert_eq!(
        findings("    permissions: {contents: read}\n", &called),
        ["3:3 E0127 its job `w` asks for `contents: write` (it has read)"]
    );
    assert_eq!(findings("    permissions: {contents: write}\n", &called), [""; 0]);
}

#[test]
fn a_circle_of_calls_is_an_error() {
    let called = "on: workflow_call\njobs:\n  w: {uses: ./.github/workflows/r.yml}\n";
    let text = "on: push\njobs:\n  a:\n    uses: ./.github/workflows/r.yml\n";
    let (plan, mut findings) = github::read("ci.yml", text);
    let mut load = |uses: &str| Some(github::read(uses, called));
    let policy = Policy::default();
    let others = github::link(&mut plan.expect("a plan"), &mut findings, &policy, &mut load);
    assert_eq!(others.iter().map(grit_diag::Diagnostics::error_count).sum::<usize>(), 1);
}
