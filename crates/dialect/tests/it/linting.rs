//! What is sound and dangerous is told, with its place, and stops nothing.

use grit_diag::Source;
use grit_dialect::github;

/// `CODE LINE:COLUMN` of everything that is found.
fn found(text: &str) -> Vec<String> {
    let source = Source::new("a.yml", text);
    let (_, errors) = github::read_source(&source);
    assert!(!errors.has_errors(), "{}", grit_diag::render::plain(&errors));
    let found = github::lint(&source);
    assert!(!found.has_errors(), "a lint never blocks");
    let place = |finding: &grit_diag::JsonDiagnostic| {
        format!("{} {}:{}", finding.code, finding.line, finding.column)
    };
    found.to_json().iter().map(place).collect()
}

fn steps(on: &str, steps: &str) -> String {
    format!("on: {on}\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}")
}

#[test]
fn values_that_anybody_may_write_are_no_part_of_a_script() {
    let script = "      - run: |\n          make\n          echo ${{ github.event.issue.title }}\n";
    assert_eq!(found(&steps("issues", script)), ["W0110 8:20"]);
    for value in [
        "github.head_ref",
        "github['event']['pull_request']['title']",
        "github.event.commits[0].message",
        "github.event.commits.*.author.name",
        "toJSON(github.event)",
        "format('{0}', github.ref_name)",
        "github.event.comment.body || 'none'",
    ] {
        let script = format!("      - run: \"echo ${{{{ {value} }}}}\"\n");
        assert_eq!(found(&steps("push", &script)), ["W0110 6:24"], "{value}");
    }
    let script = "      - uses: actions/github-script@v7\n        with:\n          script: 'x = `${{ github.head_ref }}`'\n";
    assert_eq!(found(&steps("push", script)), ["W0110 8:29"]);
}

#[test]
fn what_is_only_compared_or_well_known_is_fine() {
    for value in [
        "github.sha",
        "github.event.number",
        "github.head_ref == 'main'",
        "contains(github.event.issue.title, 'x')",
        "github.event.pull_request.head.sha",
    ] {
        let script = format!("      - run: \"echo ${{{{ {value} }}}}\"\n");
        assert_eq!(found(&steps("push", &script)), [""; 0], "{value}");
    }
    let given =
        "      - env: { TITLE: '${{ github.event.issue.title }}' }\n        run: test \"$TITLE\"\n";
    assert_eq!(found(&steps("issues", given)), [""; 0]);
}

#[test]
fn code_of_a_pull_request_stays_where_no_secrets_are() {
    let checkout = "      - uses: actions/checkout@v4\n        with: { ref: '${{ github.event.pull_request.head.sha }}' }\n";
    assert_eq!(found(&steps("pull_request_target", checkout)), ["W0111 7:27"]);
    assert_eq!(found(&steps("pull_request", checkout)), [""; 0]);
    let guarded = steps("pull_request_target", checkout)
        .replace("runs-on: x", "runs-on: x\n    environment: e");
    assert_eq!(found(&guarded), [""; 0]);
}

#[test]
fn what_forks_do_not_get_is_told_once() {
    let uses = "      - run: \"echo ${{ secrets.A && '1' }}\"\n      - env: { B: '${{ secrets.B }}' }\n        run: x\n";
    assert_eq!(found(&steps("pull_request", uses)), ["W0112 6:24"]);
    assert_eq!(found(&steps("push", uses)), [""; 0]);
    let rights =
        format!("permissions: write-all\n{}", steps("[push, pull_request]", "      - run: x\n"));
    assert_eq!(found(&rights), ["W0112 1:14"]);
    let id = format!(
        "permissions: {{ id-token: write }}\n{}",
        steps("pull_request", "      - run: x\n")
    );
    assert_eq!(found(&id), ["W0112 1:26"]);
}

#[test]
fn containers_that_get_the_machine_are_named() {
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    container:\n      image: i\n      options: --cpus 1 --privileged\n      volumes: ['/:/host', '/var/run/docker.sock:/s', 'cache:/c']\n    services:\n      db: { image: i, options: '--pid=host' }\n    steps: [{run: x}]\n";
    assert_eq!(found(text), ["W0113 7:16", "W0113 8:17", "W0113 8:28", "W0113 10:32"]);
}

#[test]
fn variables_that_are_refused_are_named_before_the_step_fails() {
    let script = "      - run: |\n          echo \"PATH=/x\" >> \"$GITHUB_ENV\"\n          echo \"LD_PRELOAD=/x.so\" >> $GITHUB_ENV\n";
    assert_eq!(found(&steps("push", script)), ["W0114 8:11"]);
}

#[test]
fn text_from_outside_is_not_printed_where_commands_are_read() {
    let step = |script: &str| {
        format!(
            "      - env: {{ BODY: '${{{{ github.event.issue.body }}}}' }}\n        run: {script}\n"
        )
    };
    assert_eq!(found(&steps("issues", &step("echo \"$BODY\""))), ["W0115 7:14"]);
    for fine in ["echo \"$BODYGUARD\"", "echo \"$BODY\" > file", "grep -q x <<< \"$BODY\""] {
        assert_eq!(found(&steps("issues", &step(fine))), [""; 0], "{fine}");
    }
}
