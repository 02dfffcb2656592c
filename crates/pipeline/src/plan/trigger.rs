use indexmap::IndexMap;
use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use super::{Place, Texts};

/// What starts a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// `push`, `pull_request`, `workflow_dispatch`, `schedule`, …
    pub event: String,
    pub place: Place,
    pub filters: Filters,
    /// What may be given when it is started by hand. In JSON: a list of pairs.
    #[serde(with = "serde_seq")]
    pub inputs: IndexMap<String, Input>,
    /// Cron lines, UTC.
    pub schedule: Vec<String>,
    /// `workflow_call`: the secrets that a caller gives, and whether it must.
    #[serde(default, with = "serde_seq")]
    pub secrets: IndexMap<String, bool>,
    /// `workflow_call`: what a caller gets.
    #[serde(default, with = "serde_seq")]
    pub outputs: Texts,
}

/// Which of these events. `None`: the key is not written; patterns are in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    pub branches: Option<Vec<String>>,
    pub branches_ignore: Option<Vec<String>>,
    pub tags: Option<Vec<String>>,
    pub tags_ignore: Option<Vec<String>>,
    pub paths: Option<Vec<String>>,
    pub paths_ignore: Option<Vec<String>>,
    pub types: Option<Vec<String>>,
    /// `workflow_run`: of which pipelines, by name.
    #[serde(default)]
    pub workflows: Option<Vec<String>>,
}

/// A value that is given by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    pub kind: InputKind,
    pub description: Option<String>,
    pub required: bool,
    pub default: Option<String>,
    /// What may be chosen, where the kind is a choice.
    pub options: Vec<String>,
}

/// What an input is read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    #[default]
    String,
    Boolean,
    Number,
    Choice,
    Environment,
}
