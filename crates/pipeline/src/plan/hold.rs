use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grit_types::Role;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::expr::Template;

/// What a job deploys to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentPlan {
    pub name: Template,
    pub url: Option<Template>,
    /// Of the key's value.
    pub place: Place,
}

/// Of which group only one runs at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConcurrencyPlan {
    pub group: Template,
    /// `false` where nothing is written.
    pub cancel_in_progress: Option<Template>,
    /// `single` where nothing is written; `max`: many may wait.
    #[serde(default)]
    pub queue: Option<Template>,
    /// Of the key's value.
    pub place: Place,
}

/// A concurrency group as a run or a job names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Without regard to case.
    pub group: String,
    /// What runs is ended for it.
    pub cancel_in_progress: bool,
    /// It waits behind others, and takes nobody's place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub patient: bool,
}

impl Concurrency {
    /// Whether both name one group.
    pub fn is_same(&self, other: &Self) -> bool {
        self.group.to_lowercase() == other.group.to_lowercase()
    }
}

/// What is known of an environment that jobs may name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentSpec {
    /// In place of those that all jobs have.
    pub vars: BTreeMap<String, String>,
    /// The names of its secrets.
    pub secrets: BTreeSet<String>,
    pub protection: Protection,
}

/// What a job that deploys somewhere waits for. The default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Protection {
    /// How many different people must agree.
    pub approvals: u32,
    /// Each includes those above it.
    pub roles: Vec<Role>,
    /// Whoever started the run does not count.
    pub distinct: bool,
    pub wait: Duration,
    /// Patterns of branches and tags that may deploy there; empty: all.
    pub refs: Vec<String>,
}
