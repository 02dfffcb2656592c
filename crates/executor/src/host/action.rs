use std::fs;
use std::path::{Path, PathBuf};

use grit_diag::{Source, render};
use grit_dialect::github;
use grit_pipeline::plan::{ActionPlan, ActionRuns};
use grit_pipeline::{Conclusion, RunnerError};

use super::environment::find_program;
use super::folder::read_bounded;
use super::process::{self, Command};
use super::step::Attempt;
use super::{blocking, tool};

/// An action's file is never longer than this.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Where a repository keeps the actions of others, by `OWNER/REPO@REF`.
const KEPT: &str = ".grit/actions";

/// Finds what `uses` names; the second is what the step comes to.
pub(super) async fn load(at: &Attempt, uses: &str) -> (Option<Box<ActionPlan>>, Conclusion) {
    let (workspace, uses) = (at.job.folder.workspace(), uses.to_owned());
    match blocking(move || find(&workspace, &uses)).await {
        Ok(action) => (Some(Box::new(action)), Conclusion::Exited(0)),
        Err(why) => (None, Conclusion::Unable(why)),
    }
}

/// Runs a program of an action by Node.
pub(super) async fn node(at: &Attempt, program: &str) -> Result<Conclusion, RunnerError> {
    if find_program("node", &at.variables).is_none() {
        return Ok(Conclusion::Unable(tool::not_installed("node")));
    }
    let words = vec!["node".to_owned(), program.to_owned()];
    let cwd = at.job.folder.workspace();
    process::run(at, Command { words, cwd, variables: at.variables.clone() }).await
}

fn find(workspace: &Path, uses: &str) -> Result<ActionPlan, String> {
    let folder = folder(workspace, uses)?;
    for name in ["action.yml", "action.yaml"] {
        let path = folder.join(name);
        let bytes = read_bounded(&path, FILE_MAX_BYTES);
        match bytes.map_err(|error| format!("{}: {error}", path.display()))? {
            None => {}
            Some(bytes) if bytes.len() as u64 > FILE_MAX_BYTES => {
                return Err(format!("`{uses}`: its {name} is longer than 1 MiB"));
            }
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return read(uses, name, text, &folder);
            }
        }
    }
    Err(format!("`{uses}`: there is no action.yml in {}", folder.display()))
}

/// The folder that the action lies in, which is below the workspace whatever links there are.
fn folder(workspace: &Path, uses: &str) -> Result<PathBuf, String> {
    let wanted = match uses.strip_prefix("./") {
        Some(path) => workspace.join(path),
        None => kept(workspace, uses)?,
    };
    let missing = |_| match uses.starts_with("./") {
        true => format!(
            "there is no `{uses}` in the workspace; is `actions/checkout` missing before it?"
        ),
        false => format!("`{uses}` is not built in, and not kept in {KEPT} of the workspace"),
    };
    let found = wanted.canonicalize().map_err(missing)?;
    let root = workspace.canonicalize().map_err(|error| error.to_string())?;
    if found.starts_with(root) {
        return Ok(found);
    }
    Err(format!("`{uses}` leads out of the workspace"))
}

/// `owner/repo/path@ref` lies in `owner/repo@ref/path`.
fn kept(workspace: &Path, uses: &str) -> Result<PathBuf, String> {
    let wrong = || format!("`{uses}` names no action");
    let (path, reference) = uses.split_once('@').ok_or_else(wrong)?;
    let mut parts = path.splitn(3, '/');
    let (owner, repo) = parts.next().zip(parts.next()).ok_or_else(wrong)?;
    let folder = workspace.join(KEPT).join(owner).join(format!("{repo}@{reference}"));
    Ok(folder.join(parts.next().unwrap_or_default()))
}

fn read(uses: &str, name: &str, text: String, folder: &Path) -> Result<ActionPlan, String> {
    let source = Source::new(format!("{}/{name}", uses.trim_end_matches('/')), text);
    let (plan, findings) = github::read_action(&source, &folder.to_string_lossy());
    let plan = plan.filter(|_| !findings.has_errors());
    let plan = plan.ok_or_else(|| render::plain(&findings).trim_end().to_owned())?;
    match &plan.runs {
        ActionRuns::Docker { .. } => {
            Err(format!("`{uses}`: container actions are not run by this version"))
        }
        ActionRuns::Node { post, .. } => {
            let programs = plan.programs().into_iter().chain(post.as_deref());
            programs.into_iter().try_for_each(|program| inside(uses, folder, program))?;
            Ok(plan)
        }
        ActionRuns::Composite { .. } => Ok(plan),
    }
}

fn inside(uses: &str, folder: &Path, program: &str) -> Result<(), String> {
    let found = fs::canonicalize(folder.join(program));
    let found = found.map_err(|error| format!("`{uses}`: {program}: {error}"))?;
    // An action's programs may lie beside it, as long as they are its repository's.
    if found.is_file() { Ok(()) } else { Err(format!("`{uses}`: {program} is no file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn actions_are_found_where_they_are_kept() {
        let composite = "runs:\n  using: composite\n  steps: [{run: x, shell: sh}]\n";
        let node = "name: n\nruns: {using: node20, main: m.js}\n";
        let world = world(&[
            ("a/action.yml", composite),
            (".grit/actions/o/r@v1/deep/action.yaml", node),
            (".grit/actions/o/r@v1/deep/m.js", ""),
            ("broken/action.yml", "runs:\n  using: composite\n  steps: [{run: x}]\n"),
        ]);
        assert_eq!(find(world.path(), "./a").unwrap().steps().len(), 1);
        assert_eq!(find(world.path(), "o/r/deep@v1").unwrap().programs(), ["m.js"]);
        let error = |uses| find(world.path(), uses).unwrap_err();
        assert!(error("./none").contains("actions/checkout"));
        assert!(error("o/r@v2").contains("not built in"));
        assert!(error("./broken").contains("shell"));
        assert!(error("./../..").contains("out of the workspace"));
    }
}
