use std::collections::BTreeMap;

use grit_diag::{Source, render};
use grit_issues::template::{Template, builtin, find, parse};
use grit_issues::{items, progress};

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_built_in_ones_are_the_shapes_of_the_seed() {
    let filled = |name: &str, pairs: &[(&str, &str)]| {
        let filled = find(name, &[]).unwrap().fill(&values(pairs));
        assert!(filled.missing_in_title.is_empty(), "{filled:?}");
        filled.draft
    };
    let failure = filled(
        "ci-failure",
        &[
            ("job", "test_integration_auth"),
            ("build", "1234"),
            ("branch", "feature/oauth"),
            ("commit", "abc123"),
            ("error", "test_integration_auth::test_login_success FAILED"),
            ("logs", "https://ci.example.com/1234"),
        ],
    );
    assert_eq!(failure.title, "CI Failure: test_integration_auth [build #1234]");
    assert!(failure.body.starts_with("## Build Info\n- Build: #1234\n- Branch: feature/oauth\n"));
    let release = filled("release", &[("version", "v2.0.0")]);
    assert_eq!(release.title, "Release v2.0.0 checklist");
    assert_eq!(release.labels, ["release".to_owned(), "v2.0.0".to_owned()].into());
    assert_eq!(release.template.as_deref(), Some("release"));
    let sections = |body: &str| -> Vec<String> {
        items(body)
            .into_iter()
            .map(|item| format!("{}: {}", item.section.unwrap(), item.text))
            .collect()
    };
    insta::assert_snapshot!(sections(&release.body).join("\n"), @r"
    Pre-release: All PRs merged
    Pre-release: Version bumped in Cargo.toml
    Pre-release: CHANGELOG.md updated
    Pre-release: Release notes drafted
    Pre-release: Security scan passed
    Release: Tag created: v2.0.0
    Release: Binaries built
    Release: Docker images pushed
    Release: GitHub release published
    Post-release: Documentation site updated
    Post-release: Announcement posted
    Post-release: Monitor error rates for 24h
    Post-release: Close release milestone
    ");
    let deployment = filled("deployment", &[("version", "v2.0.0"), ("environment", "production")]);
    assert_eq!(deployment.title, "Deploy v2.0.0 to production");
    assert_eq!(deployment.labels, ["deployment".to_owned(), "production".to_owned()].into());
    insta::assert_snapshot!(sections(&deployment.body).join("\n"), @r"
    Stage 1: Staging: Deploy to staging
    Stage 1: Staging: Run smoke tests
    Stage 1: Staging: QA sign-off
    Stage 2: Canary: Deploy to 5% of production
    Stage 2: Canary: Monitor metrics for 1h
    Stage 2: Canary: Verify no error spike
    Stage 3: Full Rollout: Deploy to remaining 95%
    Stage 3: Full Rollout: Monitor metrics for 4h
    Stage 3: Full Rollout: Update status page
    ");
    let oncall =
        filled("oncall", &[("week", "2024-01-15"), ("outgoing", "alice"), ("incoming", "bob")]);
    assert_eq!(oncall.title, "On-call handoff: Week of 2024-01-15");
    assert!(oncall.body.starts_with("## Outgoing: @alice\n## Incoming: @bob\n"));
    let alert = filled("alert", &[("alert", "High CPU on prod-api-3")]);
    assert_eq!(alert.title, "Alert: High CPU on prod-api-3");
    let change = filled("Breaking-Change", &[("summary", "API v1 deprecation"), ("area", "api")]);
    assert_eq!(change.labels, ["breaking-change".to_owned(), "api".to_owned()].into());
    assert_eq!(change.title, "Breaking change: API v1 deprecation");
}

#[test]
fn nothing_is_missing_once_every_placeholder_has_a_value() {
    for template in builtin::all() {
        let names = template.placeholders();
        let all = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let filled = template.fill(&all);
        assert!(
            filled.missing.is_empty() && !filled.draft.body.contains("{{"),
            "{}",
            template.name
        );
        assert!(grit_issues::create(filled.draft, None).is_ok());
        let empty = template.fill(&BTreeMap::new());
        assert_eq!(empty.missing.len(), names.len());
        assert_eq!(
            progress(&items(&empty.draft.body)).map(|progress| progress.done).unwrap_or(0),
            0
        );
    }
}

fn read(text: &str) -> (Option<Template>, String) {
    let (template, diagnostics) = parse("bug", &Source::new(".grit/templates/bug.md", text));
    let told = render::plain(&diagnostics);
    (template, told)
}

#[test]
fn a_repository_brings_its_own() {
    let text = "---\nname: Bug report\nabout: something is broken\ntitle: \"Bug: {{what}}\"\nlabels: bug, {{area}}\nassignees: [\"@alice\", bob]\nmilestone: v2\npriority: high\n---\n\n## Steps\n- [ ] reproduce ${{ github.sha }}\n";
    let (template, told) = read(text);
    assert_eq!(told, "");
    let template = template.unwrap();
    assert_eq!(template.name, "Bug report");
    assert_eq!(template.labels, ["bug", "{{area}}"]);
    assert_eq!(template.body, "## Steps\n- [ ] reproduce ${{ github.sha }}\n");
    let people: Vec<&str> = template.assignees.iter().map(|name| name.as_str()).collect();
    assert_eq!(people, ["alice", "bob"]);
    assert_eq!(find("bug REPORT", std::slice::from_ref(&template)).unwrap(), template);
    let filled = template.fill(&values(&[("what", "it leaks"), ("area", "api")])).draft;
    assert_eq!((filled.title.as_str(), filled.milestone.as_deref()), ("Bug: it leaks", Some("v2")));
}

#[test]
fn a_template_of_its_own_comes_before_the_built_in_one() {
    let own = Template { name: "release".into(), title: "ours".into(), ..Template::default() };
    assert_eq!(find("release", &[own]).unwrap().title, "ours");
    let told = |name: &str| find(name, &[]).unwrap_err().to_string();
    insta::assert_snapshot!(told("relaese"), @"there is no template `relaese`; did you mean `release`?");
    insta::assert_snapshot!(told("x"), @"there is no template `x`; there are `alert`, `breaking-change`, `ci-failure`, `deployment`, `oncall`, `release`");
}

#[test]
fn a_template_may_have_no_head_or_an_empty_one() {
    for text in ["just text\n", "---\n---\njust text\n", "---\r\n# nothing\r\n---\r\njust text\n"] {
        let (template, told) = read(text);
        assert_eq!(
            (template.unwrap().body.as_str(), told.as_str()),
            ("just text\n", ""),
            "{text:?}"
        );
    }
    assert_eq!(read("x").0.unwrap().name, "bug");
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_its_place() {
    let texts = [
        "---\ntitle: x\n",
        "---\ntitel: x\n---\nbody",
        "---\ntitle: [x\n---\nbody",
        "---\npriority: soon\nassignees: [a b]\nname: ''\nlabels: {a: b}\n---\nbody",
        "---\n- x\n---\nbody",
        "---\nname: x\n---\n",
        "body {{Name}}\n{{ok}} {{",
    ];
    let told: Vec<String> = texts.iter().map(|text| read(text).1).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    error[E0301]: the head that begins here never ends
     --> .grit/templates/bug.md:1:1
      |
    1 | ---
      | ^^^
      |
      = help: write a line `---` behind it

    error[E0021]: unknown key `titel`
     --> .grit/templates/bug.md:2:1
      |
    2 | titel: x
      | ^^^^^
      |
      = help: did you mean `title`?

    error[E0001]: not valid YAML: while parsing a flow sequence, expected ',' or ']'
     --> .grit/templates/bug.md:2:10
      |
    2 | title: [x
      |          ^
      |
      = help: close the bracket, or put a comma between the values

    error[E0023]: `soon` is not a priority: `low`, `medium`, `high` or `critical`
     --> .grit/templates/bug.md:2:11
      |
    2 | priority: soon
      |           ^^^^

    error[E0023]: principal `a b` contains ' ', which is not allowed there
     --> .grit/templates/bug.md:3:13
      |
    3 | assignees: [a b]
      |             ^^^

    error[E0023]: the name is empty
     --> .grit/templates/bug.md:4:7
      |
    4 | name: ''
      |       ^^

    error[E0020]: expected a string, found a mapping
     --> .grit/templates/bug.md:5:9
      |
    5 | labels: {a: b}
      |         ^^^^^^

    error[E0020]: expected a mapping, found a list
     --> .grit/templates/bug.md:2:1
      |
    2 | - x
      | ^^^

    error[E0303]: the template has neither a title nor a body
     --> .grit/templates/bug.md:1:1
      |
    1 | ---
      | ^

    warning[W0302]: `{{` begins no placeholder here
     --> .grit/templates/bug.md:1:6
      |
    1 | body {{Name}}
      |      ^^
      |
      = help: a placeholder is written `{{version}}`

    warning[W0302]: `{{` begins no placeholder here
     --> .grit/templates/bug.md:2:8
      |
    2 | {{ok}} {{
      |        ^^
      |
      = help: a placeholder is written `{{version}}`
    ");
    let is_read: Vec<bool> = texts.iter().map(|text| read(text).0.is_some()).collect();
    assert_eq!(is_read, [false, false, false, false, false, false, true]);
}
