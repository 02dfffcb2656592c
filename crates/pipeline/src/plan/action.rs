use indexmap::IndexMap;
use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use super::{Condition, Step, Texts};
use crate::expr::Template;

/// An action as its own file describes it, found when the step that uses it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionPlan {
    pub name: String,
    /// The folder that it lies in: an absolute path where it is to run.
    pub path: String,
    #[serde(with = "serde_seq")]
    pub inputs: IndexMap<String, ActionInput>,
    /// What a composite action gives, from what its steps gave.
    #[serde(with = "serde_seq")]
    pub outputs: Texts,
    pub runs: ActionRuns,
}

/// A value that an action takes; always text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionInput {
    pub required: bool,
    pub default: Option<Template>,
}

/// What an action does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionRuns {
    Composite {
        steps: Vec<Step>,
    },
    /// Programs for Node, named from the action's folder.
    Node {
        pre: Option<String>,
        /// When `pre` is run; `always()` where nothing is written.
        #[serde(default = "always")]
        pre_if: Condition,
        main: String,
        post: Option<String>,
        /// When `post` is run; `always()` where nothing is written.
        post_if: Condition,
    },
    /// In a container of that image, or of its `Dockerfile`.
    Docker {
        image: String,
        #[serde(default)]
        entrypoint: Option<String>,
        #[serde(default)]
        pre_entrypoint: Option<String>,
        /// When `pre_entrypoint` is run; `always()` where nothing is written.
        #[serde(default = "always")]
        pre_if: Condition,
        #[serde(default)]
        post_entrypoint: Option<String>,
        /// When `post_entrypoint` is run; `always()` where nothing is written.
        #[serde(default = "always")]
        post_if: Condition,
        #[serde(default)]
        args: Vec<Template>,
        #[serde(default, with = "serde_seq")]
        env: Texts,
    },
}

impl ActionPlan {
    /// The steps of a composite action.
    pub fn steps(&self) -> &[Step] {
        match &self.runs {
            ActionRuns::Composite { steps } => steps,
            ActionRuns::Node { .. } | ActionRuns::Docker { .. } => &[],
        }
    }

    /// The programs of an action that is not composite and that come before its end, in order.
    pub fn programs(&self) -> Vec<&str> {
        match &self.runs {
            ActionRuns::Node { pre, main, .. } => {
                pre.iter().chain([main]).map(String::as_str).collect()
            }
            ActionRuns::Docker { pre_entrypoint, entrypoint, image, .. } => {
                let main = entrypoint.as_ref().unwrap_or(image);
                pre_entrypoint.iter().chain([main]).map(String::as_str).collect()
            }
            ActionRuns::Composite { .. } => Vec::new(),
        }
    }
}

fn always() -> Condition {
    Condition::always()
}
