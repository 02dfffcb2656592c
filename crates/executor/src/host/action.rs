use std::fs;
use std::path::{Path, PathBuf};

use grit_diag::{Source, render};
use grit_dialect::github;
use grit_pipeline::plan::{ActionPlan, ActionRuns};
use grit_pipeline::{Conclusion, RunnerError};

use super::environment::find_program;
use super::fetching::ActionRepo;
use super::folder::{read_bounded, remove_all};
use super::process::{self, Command};
use super::step::Attempt;
use super::{blocking, chain, tool};

/// An action's file is never longer than this.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Where a repository keeps the actions of others, by `OWNER/REPO@REF`.
pub(super) const KEPT: &str = ".grit/actions";

/// Finds what `uses` names; the second is what the step comes to.
pub(super) async fn load(
    at: &Attempt,
    uses: &str,
) -> Result<(Option<Box<ActionPlan>>, Conclusion), RunnerError> {
    Ok(match found(at, uses).await? {
        Ok(action) => (Some(Box::new(action)), Conclusion::Exited(0)),
        Err(why) => (None, Conclusion::Unable(why)),
    })
}

/// The action, or why there is none, for people.
pub(super) async fn found(
    at: &Attempt,
    uses: &str,
) -> Result<Result<ActionPlan, String>, RunnerError> {
    let root = match root(at, uses).await? {
        Ok(root) => root,
        Err(why) => return Ok(Err(why)),
    };
    let uses = uses.to_owned();
    Ok(blocking(move || find(&root, &uses)).await)
}

/// Where a repository keeps an action of others, below its root.
pub(super) fn kept_at(wanted: &ActionRepo) -> PathBuf {
    Path::new(KEPT).join(&wanted.owner).join(format!("{}@{}", wanted.repo, wanted.reference))
}

/// What an action must lie in.
struct Root {
    folder: PathBuf,
    /// Of the action in it.
    path: PathBuf,
}

/// The workspace for what is in it; else the action's own repository, which is fetched for the job
/// once.
async fn root(at: &Attempt, uses: &str) -> Result<Result<Root, String>, RunnerError> {
    let workspace = at.job.folder.workspace();
    if let Some(path) = uses.strip_prefix("./") {
        return Ok(Ok(Root { folder: workspace, path: path.into() }));
    }
    let Some((wanted, path)) = ActionRepo::parse(uses) else {
        return Ok(Err(format!("`{uses}` names no action")));
    };
    let kept = kept_at(&wanted);
    if workspace.join(&kept).is_dir() {
        return Ok(Ok(Root { folder: workspace, path: kept.join(path) }));
    }
    let folder = at.job.folder.actions().join(wanted.to_string());
    let root = Root { folder: folder.clone(), path: path.into() };
    if folder.is_dir() {
        return Ok(Ok(root));
    }
    let (job, actions) = (at.job.spec.clone(), at.shared.config.actions.clone());
    let index = at.spec.index;
    let fetched = blocking(move || {
        let above = folder.parent().unwrap_or(&folder);
        fs::create_dir_all(above)?;
        // Whole or not at all: a fetch that was cut short leaves nothing by that name.
        let draft = above.join(format!(".draft-{index}"));
        remove_all(&draft)?;
        let said = actions.fetch(&job, &wanted, &draft)?;
        fs::rename(&draft, &folder)?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(said)
    });
    match fetched.await {
        Ok(said) => at.say(&said).await.map(|()| Ok(root)),
        Err(error) => Ok(Err(chain(error.as_ref()))),
    }
}

/// Runs a program of an action by Node.
pub(super) async fn node(at: &Attempt, program: &str) -> Result<Conclusion, RunnerError> {
    if at.job.inside().is_none() && find_program("node", &at.variables).is_none() {
        return Ok(Conclusion::Unable(tool::not_installed("node")));
    }
    let words = vec!["node".to_owned(), program.to_owned()];
    let cwd = at.job.folder.workspace();
    process::run(at, Command { words, cwd, variables: at.variables.clone() }).await
}

fn find(root: &Root, uses: &str) -> Result<ActionPlan, String> {
    let folder = folder(root, uses)?;
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

/// The folder that the action lies in, which is below its root whatever links there are.
fn folder(root: &Root, uses: &str) -> Result<PathBuf, String> {
    let missing = |_| match uses.starts_with("./") {
        true => format!(
            "there is no `{uses}` in the workspace; is `actions/checkout` missing before it?"
        ),
        false => format!("`{uses}`: there is no such folder in its repository"),
    };
    let found = root.folder.join(&root.path).canonicalize().map_err(missing)?;
    let above = root.folder.canonicalize().map_err(|error| error.to_string())?;
    if found.starts_with(above) {
        return Ok(found);
    }
    Err(format!(
        "`{uses}` leads out of {}",
        if uses.starts_with("./") { "the workspace" } else { "its repository" }
    ))
}

fn read(uses: &str, name: &str, text: String, folder: &Path) -> Result<ActionPlan, String> {
    let source = Source::new(format!("{}/{name}", uses.trim_end_matches('/')), text);
    let (plan, findings) = github::read_action(&source, &folder.to_string_lossy());
    let plan = plan.filter(|_| !findings.has_errors());
    let plan = plan.ok_or_else(|| render::plain(&findings).trim_end().to_owned())?;
    match &plan.runs {
        ActionRuns::Node { post, .. } => {
            let programs = plan.programs().into_iter().chain(post.as_deref());
            programs.into_iter().try_for_each(|program| inside(uses, folder, program))?;
            Ok(plan)
        }
        ActionRuns::Docker { image, .. } if !image.starts_with("docker://") => {
            inside(uses, folder, image).map(|()| plan)
        }
        ActionRuns::Composite { .. } | ActionRuns::Docker { .. } => Ok(plan),
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
        let find = |uses: &str| {
            let folder = world.path().to_owned();
            let path = match uses.strip_prefix("./") {
                Some(path) => path.into(),
                None => Path::new(KEPT).join("o/r@v1").join("deep"),
            };
            super::find(&Root { folder, path }, uses)
        };
        assert_eq!(find("./a").unwrap().steps().len(), 1);
        assert_eq!(find("o/r/deep@v1").unwrap().programs(), ["m.js"]);
        let error = |uses| find(uses).unwrap_err();
        assert!(error("./none").contains("actions/checkout"));
        assert!(error("./broken").contains("shell"));
        assert!(error("./../..").contains("out of the workspace"));
    }
}
