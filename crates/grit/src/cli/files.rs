//! What a commit says of itself, its `grit.yaml` and its workflows, and what is wrong with that.

use grit_diag::{Diagnostics, Source, render};
use grit_dialect::github;
use grit_git::Repository;
use grit_pipeline::plan::Plan;
use grit_rollout::config::{self, IssuesConfig};
use grit_types::CommitId;

use super::place::git_failure;
use crate::exit::{Exit, Failure};

/// Where GitHub's workflows are.
pub const WORKFLOWS: &str = ".github/workflows";
/// No file that is read is larger than this.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The files of a commit, read.
#[derive(Default)]
pub struct Files {
    /// Of the workflows that can be used.
    pub plans: Vec<Plan>,
    /// For people, each with its place in the file; none of them stops anything.
    pub warnings: Vec<String>,
    /// What `grit.yaml` says of issues; the defaults where it cannot be used.
    pub issues: IssuesConfig,
    unusable: Vec<Unusable>,
}

/// A file with errors.
struct Unusable {
    path: String,
    findings: String,
}

/// Reads `grit.yaml` and the workflows of a commit; `workflow` narrows them to those that end so.
pub fn read(
    repository: &Repository,
    commit: &CommitId,
    workflow: Option<&str>,
) -> Result<Files, Failure> {
    let mut files = Files::default();
    if let Some(text) = text(repository, commit, config::FILE_NAME)? {
        let (config, findings) = config::parse(&Source::new(config::FILE_NAME, text));
        files.issues = config.map(|config| config.issues).unwrap_or_default();
        files.note(config::FILE_NAME, &findings);
    }
    let listed = repository.list_dir(commit, WORKFLOWS).map_err(|error| git_failure(&error))?;
    let names = listed.unwrap_or_default().into_iter().map(|entry| entry.name);
    let paths: Vec<String> = names.map(|name| format!("{WORKFLOWS}/{name}")).collect();
    for found in grit_dialect::detect(paths.iter().map(String::as_str)) {
        if workflow.is_some_and(|wanted| !found.path.ends_with(wanted)) {
            continue;
        }
        let written = text(repository, commit, &found.path)?.unwrap_or_default();
        let (mut plan, mut findings) = grit_dialect::read(&found, &written);
        if let Some(plan) = plan.as_mut().filter(|_| !findings.has_errors()) {
            let of_commit = |path: &str| text(repository, commit, path);
            let policy = github::Policy::default();
            for called in github::link_here(plan, &mut findings, &policy, of_commit)? {
                let path = called.source().name().to_owned();
                files.note(&path, &called);
            }
        }
        files.note(&found.path, &findings);
        files.plans.extend(plan.filter(|_| !findings.has_errors()));
    }
    Ok(files)
}

/// What the `grit.yaml` of a commit says of issues; the defaults where it says nothing.
pub fn issues(repository: &Repository, commit: &CommitId) -> Result<IssuesConfig, Failure> {
    let Some(text) = text(repository, commit, config::FILE_NAME)? else {
        return Ok(IssuesConfig::default());
    };
    let (config, findings) = config::parse(&Source::new(config::FILE_NAME, text));
    let mut files = Files::default();
    files.note(config::FILE_NAME, &findings);
    match (config, files.refusal(repository)) {
        (Some(config), None) => Ok(config.issues),
        (_, refusal) => refusal.map_or(Ok(IssuesConfig::default()), Err),
    }
}

fn text(repository: &Repository, commit: &CommitId, path: &str) -> Result<Option<String>, Failure> {
    let bytes = repository.read_file(commit, path, FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| git_failure(&error))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

impl Files {
    fn note(&mut self, path: &str, findings: &Diagnostics) {
        if findings.has_errors() {
            let (path, findings) = (path.to_owned(), render::plain(findings));
            self.unusable.push(Unusable { path, findings });
        } else if !findings.is_empty() {
            self.warnings.push(render::plain(findings));
        }
    }

    /// Every file with errors, and all of them; nothing may be started where there is one.
    pub fn refusal(&self, repository: &Repository) -> Option<Failure> {
        let first = self.unusable.first()?;
        let code = if first.path == config::FILE_NAME { "bad_config" } else { "pipeline" };
        let hint = if self.unusable.iter().any(|file| file.is_corrected(repository)) {
            "the commit counts, not the working tree: `git commit` the correction"
        } else {
            "`grit explain CODE` says more about a finding"
        };
        Some(Failure::new(Exit::Usage, code, self.told()).hint(hint))
    }

    /// What is wrong, for people; empty: nothing.
    pub fn told(&self) -> String {
        let told =
            |file: &Unusable| format!("{} cannot be used\n{}", file.path, file.findings.trim_end());
        self.unusable.iter().map(told).collect::<Vec<_>>().join("\n\n")
    }
}

impl Unusable {
    /// Whether the working tree has it without errors by now.
    fn is_corrected(&self, repository: &Repository) -> bool {
        let Some(root) = repository.worktree() else { return false };
        let Ok(text) = std::fs::read_to_string(root.join(&self.path)) else { return false };
        if self.path == config::FILE_NAME {
            return !config::parse(&Source::new(config::FILE_NAME, text)).1.has_errors();
        }
        let found = grit_dialect::detect([self.path.as_str()]);
        found.first().is_some_and(|found| !grit_dialect::read(found, &text).1.has_errors())
    }
}
