//! What a commit, or the working tree, says of itself: its `grit.yaml` and its workflows, and what is
//! wrong with that.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use grit_diag::{Diagnostics, Source, Span, codes, render};
use grit_dialect::github;
use grit_git::{GitError, Repository};
use grit_pipeline::plan::{Plan, Protection};
use grit_pipeline::runners::RunnerRule;
use grit_rollout::config::{self, IssuesConfig};
use grit_types::CommitId;

use super::place::git_failure;
use crate::exit::{Exit, Failure};

/// Where GitHub's workflows are.
pub const WORKFLOWS: &str = ".github/workflows";
/// No file that is read is larger than this.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where files are read from.
#[derive(Clone, Copy)]
pub enum Tree<'a> {
    Commit(&'a Repository, &'a CommitId),
    /// The folder of a working tree.
    Folder(&'a Path),
}

/// What is read of a file.
enum Text {
    Found(String),
    /// So many bytes, which are not read.
    TooLarge(u64),
    Missing,
}

/// The files of a tree, read.
#[derive(Default)]
pub struct Files {
    /// Of the workflows that can be used.
    pub plans: Vec<Plan>,
    /// What `grit.yaml` says of issues; the defaults where it cannot be used.
    pub issues: IssuesConfig,
    /// What runs which jobs, as it says.
    pub runners: Vec<RunnerRule>,
    /// What jobs wait for that deploy somewhere, as it says.
    pub protections: Vec<(String, Protection)>,
    /// Of every file that was read, in order; of most of them there is nothing to say.
    pub findings: Vec<Diagnostics>,
}

/// Reads `grit.yaml` and the workflows of a commit; `workflow` narrows them to those that end so.
pub fn read(
    repository: &Repository,
    commit: &CommitId,
    workflow: Option<&str>,
) -> Result<Files, Failure> {
    read_tree(Tree::Commit(repository, commit), workflow)
}

/// The same, of any tree.
pub fn read_tree(tree: Tree<'_>, workflow: Option<&str>) -> Result<Files, Failure> {
    let mut files = Files::default();
    match tree.text(config::FILE_NAME)? {
        Text::Found(text) => {
            let (config, findings) = config::parse(&Source::new(config::FILE_NAME, text));
            files.runners =
                config.as_ref().map(grit_control::pipelines::runners).unwrap_or_default();
            files.protections =
                config.as_ref().map(grit_control::pipelines::protections_of).unwrap_or_default();
            files.issues = config.map(|config| config.issues).unwrap_or_default();
            files.findings.push(findings);
        }
        Text::TooLarge(bytes) => files.findings.push(too_large(config::FILE_NAME, bytes)),
        Text::Missing => {}
    }
    let paths: Vec<String> =
        tree.names(WORKFLOWS)?.into_iter().map(|name| format!("{WORKFLOWS}/{name}")).collect();
    for found in grit_dialect::detect(paths.iter().map(String::as_str)) {
        if workflow.is_some_and(|wanted| !found.path.ends_with(wanted)) {
            continue;
        }
        let written = match tree.text(&found.path)? {
            Text::Found(text) => text,
            Text::Missing => String::new(),
            Text::TooLarge(bytes) => {
                files.findings.push(too_large(&found.path, bytes));
                continue;
            }
        };
        let (mut plan, mut findings) = grit_dialect::read(&found, &written);
        if let Some(plan) = plan.as_mut().filter(|_| !findings.has_errors()) {
            let of_tree = |path: &str| match tree.text(path)? {
                Text::Found(text) => Ok(Some(text)),
                Text::TooLarge(_) | Text::Missing => Ok::<_, Failure>(None),
            };
            let policy = github::Policy::default();
            files.findings.extend(github::link_here(plan, &mut findings, &policy, of_tree)?);
        }
        files.plans.extend(plan.filter(|_| !findings.has_errors()));
        files.findings.push(findings);
    }
    Ok(files)
}

/// What the `grit.yaml` of a commit says of issues; the defaults where it says nothing.
pub fn issues(repository: &Repository, commit: &CommitId) -> Result<IssuesConfig, Failure> {
    let Text::Found(text) = Tree::Commit(repository, commit).text(config::FILE_NAME)? else {
        return Ok(IssuesConfig::default());
    };
    let (config, findings) = config::parse(&Source::new(config::FILE_NAME, text));
    let files = Files { findings: vec![findings], ..Files::default() };
    match (config, files.refusal(repository)) {
        (Some(config), None) => Ok(config.issues),
        (_, refusal) => refusal.map_or(Ok(IssuesConfig::default()), Err),
    }
}

impl Tree<'_> {
    fn text(self, path: &str) -> Result<Text, Failure> {
        let bytes = match self {
            Self::Commit(repository, commit) => {
                match repository.read_file(commit, path, FILE_BYTES_MAX) {
                    Err(GitError::TooLarge { bytes, .. }) => return Ok(Text::TooLarge(bytes)),
                    found => found.map_err(|error| git_failure(&error))?,
                }
            }
            Self::Folder(folder) => match of_folder(&folder.join(path)) {
                Ok(found) if found.as_ref().is_some_and(|(_, size)| *size > FILE_BYTES_MAX) => {
                    return Ok(Text::TooLarge(found.map_or(0, |(_, size)| size)));
                }
                Ok(found) => found.map(|(bytes, _)| bytes),
                Err(error) => {
                    return Err(Failure::because(&format!("{path} cannot be read"), &error));
                }
            },
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(bytes.map_or(Text::Missing, |bytes| Text::Found(text(bytes))))
    }

    /// What a folder holds, by name.
    fn names(self, path: &str) -> Result<Vec<String>, Failure> {
        match self {
            Self::Commit(repository, commit) => {
                let listed = repository.list_dir(commit, path);
                let listed = listed.map_err(|error| git_failure(&error))?.unwrap_or_default();
                Ok(listed.into_iter().map(|entry| entry.name).collect())
            }
            Self::Folder(folder) => {
                let Ok(entries) = std::fs::read_dir(folder.join(path)) else {
                    return Ok(Vec::new());
                };
                let names =
                    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
                let mut names: Vec<String> = names.collect();
                names.sort();
                Ok(names)
            }
        }
    }
}

/// The bytes of a file, no more than are read, and its size. A link is no file, as in a commit.
fn of_folder(path: &Path) -> io::Result<Option<(Vec<u8>, u64)>> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(Some((bytes, metadata.len())))
}

fn too_large(path: &str, bytes: u64) -> Diagnostics {
    let mut findings = Diagnostics::new(&Source::new(path, ""));
    let message = format!("the file has {bytes} bytes; up to {FILE_BYTES_MAX} are read");
    findings.error(Span::at(0), codes::TOO_LARGE, message);
    findings
}

impl Files {
    /// For people, each with its place in the file; none of them stops anything.
    pub fn warnings(&self) -> Vec<String> {
        let harmless = |findings: &&Diagnostics| !findings.has_errors() && !findings.is_empty();
        self.findings.iter().filter(harmless).map(render::plain).collect()
    }

    fn unusable(&self) -> impl Iterator<Item = &Diagnostics> {
        self.findings.iter().filter(|findings| findings.has_errors())
    }

    /// Every file with errors, and all of them; nothing may be started where there is one.
    pub fn refusal(&self, repository: &Repository) -> Option<Failure> {
        let first = self.unusable().next()?.source().name();
        let code = if first == config::FILE_NAME { "bad_config" } else { "pipeline" };
        let hint = if self.unusable().any(|findings| is_corrected(findings, repository)) {
            "the commit counts, not the working tree: `git commit` the correction"
        } else {
            "`grit explain CODE` says more about a finding"
        };
        Some(Failure::new(Exit::Usage, code, self.told()).hint(hint))
    }

    /// What is wrong, for people; empty: nothing.
    pub fn told(&self) -> String {
        let told = |findings: &Diagnostics| {
            let said = render::plain(findings);
            format!("{} cannot be used\n{}", findings.source().name(), said.trim_end())
        };
        self.unusable().map(told).collect::<Vec<_>>().join("\n\n")
    }
}

/// Whether the working tree has it right already.
fn is_corrected(findings: &Diagnostics, repository: &Repository) -> bool {
    let name = findings.source().name();
    let path = repository.worktree().map(|folder| folder.join(name));
    let Some(Ok(text)) = path.map(std::fs::read_to_string) else { return false };
    if name == config::FILE_NAME {
        return !config::parse(&Source::new(config::FILE_NAME, text)).1.has_errors();
    }
    let found = grit_dialect::detect([name]);
    found.first().is_some_and(|found| !grit_dialect::read(found, &text).1.has_errors())
}
