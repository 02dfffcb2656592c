//! The programs of an action that is not composite: by Node, or in containers.

use std::collections::BTreeMap;

use super::context::Names;
use super::frame::Frame;
use super::step::texts;
use crate::expr::Condition;
use crate::plan::{ActionPlan, ActionRuns};
use crate::{ActionImage, StepAction, shell};

/// Which of its programs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Pre,
    Main,
    Post,
}

/// Whether it has a program that comes before the first step of the job.
pub(super) fn has_pre(action: &ActionPlan) -> bool {
    matches!(
        &action.runs,
        ActionRuns::Node { pre: Some(_), .. } | ActionRuns::Docker { pre_entrypoint: Some(_), .. }
    )
}

/// When that is run.
pub(super) fn pre_if(action: &ActionPlan) -> Condition {
    match &action.runs {
        ActionRuns::Node { pre_if, .. } | ActionRuns::Docker { pre_if, .. } => pre_if.clone(),
        ActionRuns::Composite { .. } => Condition::always(),
    }
}

/// When what tidies up after the action is run; `None`: it has no such program.
pub(super) fn post_if(action: &ActionPlan) -> Option<&Condition> {
    match &action.runs {
        ActionRuns::Node { post: Some(_), post_if, .. }
        | ActionRuns::Docker { post_entrypoint: Some(_), post_if, .. } => Some(post_if),
        ActionRuns::Node { .. } | ActionRuns::Docker { .. } | ActionRuns::Composite { .. } => None,
    }
}

/// What the action does at that stage.
pub(super) fn stage(
    action: &ActionPlan,
    frame: &Frame,
    stage: Stage,
    names: &Names<'_>,
) -> Result<StepAction, String> {
    match &action.runs {
        ActionRuns::Node { pre, main, post, .. } => {
            let program = match stage {
                Stage::Pre => pre.as_deref(),
                Stage::Main => Some(main.as_str()),
                Stage::Post => post.as_deref(),
            };
            let program = program.ok_or("the action has no such program")?;
            Ok(StepAction::Node { program: format!("{}/{program}", action.path) })
        }
        ActionRuns::Docker { .. } => docker(action, frame, stage, names),
        ActionRuns::Composite { .. } => Err("the action is composite".to_owned()),
    }
}

/// `with.entrypoint` and `with.args` win over what the action says itself.
fn docker(
    action: &ActionPlan,
    frame: &Frame,
    stage: Stage,
    names: &Names<'_>,
) -> Result<StepAction, String> {
    let ActionRuns::Docker { image, entrypoint, pre_entrypoint, post_entrypoint, args, .. } =
        &action.runs
    else {
        return Err("the action has no image".to_owned());
    };
    let given = |name: &str| frame.env.get(name).filter(|text| !text.is_empty());
    let image = match image.strip_prefix("docker://") {
        Some(name) => ActionImage::Named(name.to_owned()),
        None => ActionImage::Built { folder: action.path.clone(), dockerfile: image.clone() },
    };
    let entrypoint = match stage {
        Stage::Pre => pre_entrypoint.clone(),
        Stage::Post => post_entrypoint.clone(),
        Stage::Main => given("INPUT_ENTRYPOINT").or(entrypoint.as_ref()).cloned(),
    };
    let args = match (stage, given("INPUT_ARGS")) {
        (Stage::Pre | Stage::Post, _) => Vec::new(),
        (Stage::Main, Some(line)) => shell::arguments(line).map_err(|error| error.to_string())?,
        (Stage::Main, None) => {
            let text = |arg: &crate::expr::Template| {
                arg.text(&names.sealing()).map_err(|error| format!("args: {error}"))
            };
            args.iter().map(text).collect::<Result<_, _>>()?
        }
    };
    Ok(StepAction::Container { image, entrypoint, args })
}

/// What the action's own file sets for its containers.
pub(super) fn env(
    action: &ActionPlan,
    names: &Names<'_>,
) -> Result<BTreeMap<String, String>, String> {
    match &action.runs {
        ActionRuns::Docker { env, .. } => texts(env, "env", &names.sealing()),
        ActionRuns::Node { .. } | ActionRuns::Composite { .. } => Ok(BTreeMap::new()),
    }
}
