//! The templates that need no file.

use super::Template;

const CI_FAILURE: &str = "\
## Build Info
- Build: #{{build}}
- Branch: {{branch}}
- Commit: {{commit}}

## Failure
```
{{error}}
```

## Logs
[Link to full logs]({{logs}})
";

const RELEASE: &str = "\
## Pre-release
- [ ] All PRs merged
- [ ] Version bumped in Cargo.toml
- [ ] CHANGELOG.md updated
- [ ] Release notes drafted
- [ ] Security scan passed

## Release
- [ ] Tag created: {{version}}
- [ ] Binaries built
- [ ] Docker images pushed
- [ ] GitHub release published

## Post-release
- [ ] Documentation site updated
- [ ] Announcement posted
- [ ] Monitor error rates for 24h
- [ ] Close release milestone
";

const DEPLOYMENT: &str = "\
## Deployment Plan

### Stage 1: Staging
- [ ] Deploy to staging
- [ ] Run smoke tests
- [ ] QA sign-off

### Stage 2: Canary
- [ ] Deploy to 5% of {{environment}}
- [ ] Monitor metrics for 1h
- [ ] Verify no error spike

### Stage 3: Full Rollout
- [ ] Deploy to remaining 95%
- [ ] Monitor metrics for 4h
- [ ] Update status page

## Rollback Plan
If error rate >1%: `{{rollback}}`

## Contacts
- Release lead: @{{lead}}
- On-call: @{{oncall}}
";

const ONCALL: &str = "\
## Outgoing: @{{outgoing}}
## Incoming: @{{incoming}}

## Active Issues
{{issues}}

## Recent Incidents
{{incidents}}

## Upcoming Maintenance
{{maintenance}}

## Notes
{{notes}}
";

const ALERT: &str = "\
## Alert Details
- Host: {{host}}
- Metric: {{metric}}
- Started: {{started}}

## Investigation
- Checked recent deploys: {{deploys}}
- Checked traffic: {{traffic}}
- Found: {{found}}

## Resolution
{{resolution}}

## Follow-up
- [ ] {{fix}}
- [ ] {{prevention}}
";

const BREAKING_CHANGE: &str = "\
## Change
{{change}}

## Migration Guide
{{migration}}

## Consumer Status
| Consumer | Status | Contact |
|----------|--------|---------|
| {{consumer}} | Not started | {{contact}} |

## Timeline
- Deprecation notice: {{deprecation}}
- Final warning: {{warning}}
- Removal: {{removal}}
";

/// All of them, by name.
pub fn all() -> Vec<Template> {
    vec![
        template("alert", "a monitoring alert", "Alert: {{alert}}", &["alert"], ALERT),
        template(
            "breaking-change",
            "a breaking change and who has to follow it",
            "Breaking change: {{summary}}",
            &["breaking-change", "{{area}}"],
            BREAKING_CHANGE,
        ),
        template(
            "ci-failure",
            "a failed build",
            "CI Failure: {{job}} [build #{{build}}]",
            &["ci-failure"],
            CI_FAILURE,
        ),
        template(
            "deployment",
            "a deployment in stages",
            "Deploy {{version}} to {{environment}}",
            &["deployment", "{{environment}}"],
            DEPLOYMENT,
        ),
        template(
            "oncall",
            "the hand-over of on-call duty",
            "On-call handoff: Week of {{week}}",
            &["oncall", "handoff"],
            ONCALL,
        ),
        template(
            "release",
            "all that a release needs",
            "Release {{version}} checklist",
            &["release", "{{version}}"],
            RELEASE,
        ),
    ]
}

fn template(name: &str, about: &str, title: &str, labels: &[&str], body: &str) -> Template {
    Template {
        name: name.to_owned(),
        about: about.to_owned(),
        title: title.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        body: body.to_owned(),
        ..Template::default()
    }
}
