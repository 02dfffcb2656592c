use std::collections::{BTreeMap, BTreeSet};

use grit_executor::ActionRepo;
use grit_host::durable;
use grit_pipeline::StepAction;
use grit_pipeline::builtin::{Builtin, builtin};
use grit_pipeline::plan::{Action, Plan};
use serde::Serialize;

use super::args::Pin as Options;
use crate::cli::files::{self, Tree};
use crate::cli::place::Place;
use crate::compose::{ActionPlaces, Pin, Pins, lock_text};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

#[derive(Serialize)]
struct Row {
    action: String,
    commit: String,
    from: String,
    /// What it was pinned to before.
    before: Option<String>,
}

/// Writes `grit.lock`: the commits that the actions of the workflows are now.
pub fn run(options: &Options, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let repository = place.repository()?;
    let folder = repository.worktree();
    let folder =
        folder.ok_or_else(|| Failure::environment("a bare repository has no working tree"))?;
    let failed = |message: String| Failure::new(Exit::Environment, "pin", message);
    let text = lock_text(&folder).map_err(|error| failed(error.to_string()))?;
    let mut pins = Pins::read(text.as_deref()).map_err(failed)?;
    let used = used(&files::read_tree(Tree::Folder(&folder), None)?.plans);
    let wanted = wanted(options, &used, &pins)?;
    let places = ActionPlaces::find(Some(&repository));
    let mut rows = Vec::new();
    for repo in wanted {
        let key = repo.to_string();
        let (found, from) = places.ask(&repo).map_err(|error| failed(error.to_string()))?;
        let before = pins.get(&key).map(|pin| pin.commit.to_string());
        let commit = found.commit.to_string();
        rows.push(Row { action: key.clone(), commit, from: from.clone(), before });
        pins.set(&key, Pin { commit: found.commit, from });
    }
    if !rows.is_empty() {
        let written = durable::write(&folder.join(Pins::FILE), pins.text().as_bytes());
        written.map_err(|error| Failure::because("grit.lock cannot be written", &error))?;
    }
    ui.data(&rows, |rows| {
        let row = |row: &Row| vec![row.action.clone(), row.commit.clone(), row.from.clone()];
        table(&["ACTION", "COMMIT", "FROM"], &rows.iter().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}

/// Those that are named; else those that are not pinned yet, or all.
fn wanted(
    options: &Options,
    used: &BTreeMap<String, ActionRepo>,
    pins: &Pins,
) -> Result<Vec<ActionRepo>, Failure> {
    if options.actions.is_empty() {
        let is_wanted = |key: &&String| options.update || pins.get(key).is_none();
        return Ok(used.keys().filter(is_wanted).map(|key| used[key].clone()).collect());
    }
    let one = |text: &String| {
        let found = ActionRepo::parse(text).map(|(repo, _)| repo);
        found.ok_or_else(|| {
            Failure::new(Exit::Usage, "usage", format!("`{text}` is no OWNER/REPO@REF"))
        })
    };
    options.actions.iter().map(one).collect()
}

/// The actions of others that the workflows name themselves.
fn used(plans: &[Plan]) -> BTreeMap<String, ActionRepo> {
    let called = plans.iter().flat_map(|plan| plan.called.values());
    let jobs = plans.iter().chain(called).flat_map(|plan| plan.jobs.values());
    let uses: BTreeSet<&String> = jobs
        .flat_map(|job| &job.steps)
        .filter_map(|step| match &step.action {
            Action::Uses { uses, .. } => Some(uses),
            Action::Run { .. } => None,
        })
        .collect();
    let is_foreign = |uses: &&&String| {
        matches!(builtin(uses, &BTreeMap::new()), Builtin::Run(StepAction::Load { .. }))
    };
    let parsed = uses.iter().filter(is_foreign).filter_map(|uses| ActionRepo::parse(uses));
    parsed.map(|(repo, _)| (repo.to_string(), repo)).collect()
}
