//! Actions of others, before the first step: which of them have something to do then.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use grit_pipeline::builtin::is_elsewhere;
use grit_pipeline::plan::{Action, ActionPlan, ActionRuns};
use grit_pipeline::{CheckoutPart, Conclusion, RunnerError};

use super::action::{self, KEPT, kept_at};
use super::fetching::ActionRepo;
use super::folder::remove_all;
use super::step::Attempt;
use super::{blocking, checkout};

/// So many actions are looked at for one job.
const ACTIONS_MAX: usize = 500;

/// Actions use actions at most this deep.
const DEPTH_MAX: usize = 10;

/// By what `uses` says.
type Found = BTreeMap<String, Option<Box<ActionPlan>>>;

/// Looks for the actions, and for those that their steps use. One that is not there fails its own
/// step, if that is run.
pub(super) async fn run(at: &Attempt, uses: &[String]) -> Result<(Found, Conclusion), RunnerError> {
    let looked = tokio::select! {
        biased;
        conclusion = at.cut_short() => return Ok((Found::new(), conclusion)),
        looked = look(at, uses) => looked?,
    };
    Ok((worth(&looked), Conclusion::Exited(0)))
}

async fn look(at: &Attempt, uses: &[String]) -> Result<BTreeMap<String, ActionPlan>, RunnerError> {
    let mut waiting: VecDeque<String> = uses.iter().cloned().collect();
    let (mut there, mut seen) = (BTreeMap::new(), waiting.clone());
    let kept = kept(at).await;
    while let Some(uses) = waiting.pop_front() {
        if let (Some(kept), Some((wanted, _))) = (&kept, ActionRepo::parse(&uses)) {
            bring(at, kept, &wanted).await;
        }
        match action::found(at, &uses).await? {
            Ok(action) => {
                for nested in used_by(&action) {
                    if !seen.contains(nested) && seen.len() < ACTIONS_MAX {
                        seen.push_back(nested.clone());
                        waiting.push_back(nested.clone());
                    }
                }
                there.insert(uses, action);
            }
            Err(why) => {
                at.say(&format!("Not found, so the step that uses it fails: {why}")).await?
            }
        }
    }
    if let Some(kept) = kept {
        // What stays goes with the job.
        blocking(move || drop(remove_all(&kept))).await;
    }
    Ok(there)
}

fn used_by(action: &ActionPlan) -> impl Iterator<Item = &String> {
    action.steps().iter().filter_map(|step| match &step.action {
        Action::Uses { uses, .. } if is_elsewhere(uses) => Some(uses),
        Action::Uses { .. } | Action::Run { .. } => None,
    })
}

/// Actions that the repository keeps itself are in no workspace yet: a checkout of them alone.
async fn kept(at: &Attempt) -> Option<PathBuf> {
    let sparse = vec![KEPT.to_owned()];
    let part = CheckoutPart { sparse, cone: true, ..CheckoutPart::default() };
    match checkout::aside(at, None, 1, &part).await {
        Ok(folder) => Some(folder),
        Err(error) => {
            tracing::info!(job = %at.spec.job, error, "no actions of the repository's own are known");
            None
        }
    }
}

/// Puts it where those are that are fetched.
async fn bring(at: &Attempt, kept: &Path, wanted: &ActionRepo) {
    let (from, to) = (kept.join(kept_at(wanted)), at.job.folder.actions().join(wanted.to_string()));
    let moved = blocking(move || {
        if !from.is_dir() || to.exists() {
            return Ok(());
        }
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::rename(from, to)
    });
    if let Err(error) = moved.await {
        tracing::warn!(%error, %wanted, "an action of the repository's own cannot be used ahead");
    }
}

/// Those that have something to do ahead, or that use one which has.
fn worth(there: &BTreeMap<String, ActionPlan>) -> Found {
    let found = there.iter().map(|(uses, action)| {
        let is_worth = has_ahead(action, there, DEPTH_MAX);
        (uses.clone(), is_worth.then(|| Box::new(action.clone())))
    });
    found.collect()
}

fn has_ahead(action: &ActionPlan, there: &BTreeMap<String, ActionPlan>, depth: usize) -> bool {
    match &action.runs {
        ActionRuns::Node { pre, .. } => pre.is_some(),
        ActionRuns::Docker { pre_entrypoint, .. } => pre_entrypoint.is_some(),
        ActionRuns::Composite { .. } if depth == 0 => false,
        ActionRuns::Composite { .. } => used_by(action)
            .filter_map(|uses| there.get(uses))
            .any(|used| has_ahead(used, there, depth - 1)),
    }
}
