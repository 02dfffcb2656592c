//! Reading what a commit says of itself: its pipelines, and its `grit.yaml`.

use grit_diag::{Diagnostics, Source as Text, render};
use grit_dialect::github;
use grit_pipeline::plan::{Plan, Protection};
use grit_pipeline::runners::{RunnerKind, RunnerRule};
use grit_rollout::config::{self, Config, IssuesConfig};
use grit_types::CommitId;

use crate::ports::{RepoId, Source, SourceError};

/// Where GitHub's workflows are.
const WORKFLOWS: &str = ".github/workflows";
/// What is deployed where and how.
pub const CONFIG: &str = "grit.yaml";

/// The pipelines of a commit, and what is wrong with its files.
#[derive(Debug, Default)]
pub struct Found {
    pub plans: Vec<Plan>,
    /// What runs which jobs, as `grit.yaml` has it.
    pub runners: Vec<RunnerRule>,
    /// Rendered for people.
    pub problems: Vec<String>,
}

/// Reads every pipeline of a commit. What is wrong with its `grit.yaml` is found as well: nothing
/// is built that could not be deployed.
pub fn read(source: &dyn Source, at: &RepoId, commit: &CommitId) -> Result<Found, SourceError> {
    let mut found = Found::default();
    match configuration(source, at, commit)? {
        Some(Ok(config)) => found.runners = runners(&config),
        Some(Err(problems)) => found.problems.push(problems),
        None => {}
    }
    for name in source.list(at, commit, WORKFLOWS)? {
        if !name.ends_with(".yml") && !name.ends_with(".yaml") {
            continue;
        }
        let path = format!("{WORKFLOWS}/{name}");
        let Some(bytes) = source.read(at, commit, &path)? else { continue };
        let text = Text::new(path, String::from_utf8_lossy(&bytes).into_owned());
        let (mut plan, mut diagnostics) = github::read_source(&text);
        if let Some(plan) = plan.as_mut().filter(|_| !diagnostics.has_errors()) {
            let policy = github::Policy::default();
            let called = github::link_here(plan, &mut diagnostics, &policy, |path| {
                let bytes = source.read(at, commit, path)?;
                Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
            })?;
            found.problems.extend(called.iter().filter(|d| d.has_errors()).map(rendered));
        }
        match plan {
            Some(plan) if !diagnostics.has_errors() => found.plans.push(plan),
            _ => found.problems.push(rendered(&diagnostics)),
        }
    }
    Ok(found)
}

/// Reads the `grit.yaml` of a commit: `Ok(None)` where it has none, the problems where it cannot
/// be used.
pub fn configuration(
    source: &dyn Source,
    at: &RepoId,
    commit: &CommitId,
) -> Result<Option<Result<Config, String>>, SourceError> {
    let Some(bytes) = source.read(at, commit, CONFIG)? else { return Ok(None) };
    let text = Text::new(CONFIG, String::from_utf8_lossy(&bytes).into_owned());
    let (config, diagnostics) = config::parse(&text);
    Ok(Some(match config {
        Some(config) if !diagnostics.has_errors() => Ok(config),
        _ => Err(rendered(&diagnostics)),
    }))
}

/// What the `grit.yaml` of a commit says of jobs that deploy; nothing where it cannot be used.
pub fn protections(
    source: &dyn Source,
    at: &RepoId,
    commit: &CommitId,
) -> Result<Vec<(String, Protection)>, SourceError> {
    let config = configuration(source, at, commit)?.and_then(Result::ok).unwrap_or_default();
    Ok(protections_of(&config))
}

/// The same, of one that was read.
pub fn protections_of(config: &Config) -> Vec<(String, Protection)> {
    let of = |environment: &config::EnvironmentConfig| {
        let name = environment.name.to_string();
        let said = environment.protection.as_ref()?;
        let approval = said.approval.as_ref();
        let protection = Protection {
            approvals: approval.map_or(0, |approval| approval.min),
            roles: approval.map(|approval| approval.roles.clone()).unwrap_or_default(),
            distinct: approval.is_some_and(|approval| approval.distinct),
            wait: said.wait,
            refs: said.refs.iter().map(ToString::to_string).collect(),
        };
        Some((name, protection))
    };
    config.environments.iter().filter_map(of).collect()
}

/// Takes back the trust in runners that the `grit.yaml` of `said_at` does not say as well: it is not
/// for whoever pushes a branch to say.
pub fn only_trusted_at(
    source: &dyn Source,
    at: &RepoId,
    said_at: &CommitId,
    rules: &mut [RunnerRule],
) -> Result<(), SourceError> {
    if !rules.iter().any(|rule| rule.trusted) {
        return Ok(());
    }
    let config = configuration(source, at, said_at)?.and_then(Result::ok).unwrap_or_default();
    for rule in rules {
        rule.trusted &=
            config.runners.iter().any(|said| said.trusted && said.labels == rule.labels);
    }
    Ok(())
}

/// What the `grit.yaml` of a commit says of issues; the defaults where it cannot be used.
pub fn issues(
    source: &dyn Source,
    at: &RepoId,
    commit: &CommitId,
) -> Result<IssuesConfig, SourceError> {
    let config = configuration(source, at, commit)?;
    Ok(config.and_then(Result::ok).map(|config| config.issues).unwrap_or_default())
}

/// What `grit.yaml` says of the labels of `runs-on`, as a run wants it.
pub fn runners(config: &Config) -> Vec<RunnerRule> {
    let rule = |rule: &config::RunnerConfig| RunnerRule {
        labels: rule.labels.clone(),
        on: match &rule.on {
            config::RunnerOn::Host => RunnerKind::Host,
            config::RunnerOn::Container(image) => RunnerKind::Container(image.clone()),
        },
        trusted: rule.trusted,
    };
    config.runners.iter().map(rule).collect()
}

fn rendered(diagnostics: &Diagnostics) -> String {
    render::plain(diagnostics)
}

#[cfg(test)]
mod tests {
    use grit_types::Tenant;

    use super::*;
    use crate::relay::tests::OnlyALedger;

    #[test]
    fn a_branch_cannot_say_by_itself_that_a_runner_is_trusted() {
        let at = RepoId { tenant: Tenant::local(), repo: "shop".parse().unwrap() };
        let commit = CommitId::try_from("1".repeat(40)).unwrap();
        let left = |said: &'static str| {
            let source = OnlyALedger(Default::default(), said);
            let rule = |labels: &str, trusted| RunnerRule {
                labels: labels.to_owned(),
                on: RunnerKind::Host,
                trusted,
            };
            let mut rules = [rule("ours", true), rule("big", true), rule("plain", false)];
            only_trusted_at(&source, &at, &commit, &mut rules).unwrap();
            rules.map(|rule| rule.trusted)
        };
        assert_eq!(left(""), [false; 3]);
        let said = "runners: { ours: { trusted: true }, big: host, plain: { trusted: true } }\n";
        assert_eq!(left(said), [true, false, false]);
    }
}
