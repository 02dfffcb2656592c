use std::collections::{BTreeMap, BTreeSet, VecDeque};

use grit_types::{
    CommitId, DeploymentId, Digest, Environment, Principal, RefName, RunId, Service, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{Heard, Hearing, Trigger};

/// A repository, folded from its stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// How many builds there have been: a run's number.
    pub builds: u64,
    pub commits: BTreeMap<CommitId, Commit>,
    /// What was last told that may start pipelines: by these names it is known when told again.
    #[serde(default)]
    pub told: VecDeque<String>,
    #[serde(default)]
    pub heard: Heard,
}

/// A commit that was pushed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    pub refs: BTreeSet<RefName>,
    pub pushers: BTreeSet<Principal>,
    pub pushed_at: Timestamp,
    /// Number of its build.
    pub build: Option<u64>,
    pub planned: bool,
    /// Refs that were pushed before its pipelines were read: what they alone start is yet to be
    /// started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    pub runs: BTreeMap<RunId, RunRecord>,
    /// By image name.
    pub artifacts: BTreeMap<String, Digest>,
    /// What is wrong with its files, rendered for people.
    pub problems: Vec<String>,
}

impl Commit {
    /// All its runs are over and none failed.
    pub fn succeeded(&self) -> bool {
        self.planned
            && !self.runs.is_empty()
            && self.runs.values().all(|run| run.succeeded == Some(true))
    }

    /// Whether these jobs succeeded; `None` as long as one of them is not over.
    pub fn checks(&self, wanted: &[String]) -> Option<Result<(), String>> {
        if !self.planned {
            return None;
        }
        for job in wanted {
            let mut results = self.runs.values().filter_map(|run| run.jobs.get(job));
            match results.next() {
                Some(true) => {}
                Some(false) => return Some(Err(format!("job `{job}` did not succeed"))),
                None if self.is_over() => {
                    return Some(Err(format!("the commit's run has no job `{job}`")));
                }
                None => return None,
            }
        }
        Some(Ok(()))
    }

    pub(super) fn is_over(&self) -> bool {
        self.planned && self.runs.values().all(|run| run.succeeded.is_some())
    }
}

/// A run of a commit's pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    pub run: RunId,
    /// The pipeline's name.
    pub name: String,
    pub succeeded: Option<bool>,
    /// Jobs by name, all of a matrix under one.
    pub jobs: BTreeMap<String, bool>,
}

impl RunRecord {
    pub(super) fn unnamed(run: RunId) -> Self {
        Self { run, name: String::new(), succeeded: None, jobs: BTreeMap::new() }
    }
}

/// A ref that moved; no new commit: it was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    pub name: RefName,
    pub old: Option<CommitId>,
    pub new: Option<CommitId>,
}

/// A ref that points somewhere now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedRef {
    pub name: RefName,
    pub commit: CommitId,
    pub old: Option<CommitId>,
}

/// A ref that was pushed to a commit beside the one that the commit is built for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    pub pushed: PushedRef,
    pub pusher: Principal,
}

/// A deployment that a promotion requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    pub environment: Environment,
    pub service: Service,
    pub deployment: DeploymentId,
}

/// What can be asked of a repository.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The actor pushed.
    Push { updates: Vec<RefUpdate> },
    /// The commit's pipelines were read: their runs, or what is wrong with them.
    Planned { commit: CommitId, result: Result<Vec<RunRecord>, Vec<String>> },
    /// A job pushed an artifact.
    Publish { commit: CommitId, image: String, artifact: Digest, run: Option<RunId> },
    /// A run is over.
    Concluded {
        commit: CommitId,
        run: RunId,
        succeeded: bool,
        jobs: BTreeMap<String, bool>,
        /// The run that it took the place of.
        replaces: Option<RunId>,
    },
    /// Something happened that may start pipelines.
    Trigger(Box<Trigger>),
    /// Several such things.
    Triggers(Vec<Trigger>),
    /// What a look at the ledger found, and what it may start.
    Heard { hearing: Hearing, triggers: Vec<Trigger> },
    /// The deployments that a commit leads to were requested, or why not.
    Promoted { commit: CommitId, result: Result<Vec<Promoted>, String> },
    /// What only had to be done.
    Done,
}

/// What happened in a repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    #[serde(rename = "push.received")]
    Pushed { pusher: Principal, refs: Vec<PushedRef>, at: Timestamp },
    #[serde(rename = "commit.build_requested")]
    BuildRequested {
        commit: CommitId,
        ref_name: Option<RefName>,
        number: u64,
        at: Timestamp,
        /// What the ref pointed at.
        #[serde(default)]
        before: Option<CommitId>,
    },
    /// What these refs start is started once it is known what the commit is built by.
    #[serde(rename = "commit.refs_held")]
    Held { commit: CommitId, refs: Vec<Beside> },
    /// How far the ledger was listened to.
    #[serde(rename = "ledger.heard")]
    Heard { hearing: Hearing, at: Timestamp },
    #[serde(rename = "pipeline.triggered")]
    Triggered { trigger: Box<Trigger>, number: u64, at: Timestamp },
    #[serde(rename = "commit.planned")]
    Planned { commit: CommitId, runs: Vec<RunRecord> },
    #[serde(rename = "commit.rejected")]
    Rejected { commit: CommitId, problems: Vec<String> },
    #[serde(rename = "artifact.published")]
    Published { commit: CommitId, image: String, artifact: Digest, run: Option<RunId> },
    #[serde(rename = "commit.run_concluded")]
    Concluded {
        commit: CommitId,
        run: RunId,
        succeeded: bool,
        jobs: BTreeMap<String, bool>,
        #[serde(default)]
        replaces: Option<RunId>,
    },
    #[serde(rename = "promotion.requested")]
    PromotionRequested { commit: CommitId, refs: Vec<RefName>, at: Timestamp },
    #[serde(rename = "promotion.made")]
    Promoted { commit: CommitId, result: Result<Vec<Promoted>, String> },
}

/// What must be done for a repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Read the commit's pipelines and start a run of each that the ref triggers.
    Plan {
        commit: CommitId,
        ref_name: Option<RefName>,
        pusher: Option<Principal>,
        number: u64,
        at: Timestamp,
        /// What the ref pointed at.
        #[serde(default)]
        before: Option<CommitId>,
    },
    /// Start what that triggers.
    Start { trigger: Box<Trigger>, number: u64, at: Timestamp },
    /// Request the deployments that these refs lead to.
    Promote { commit: CommitId, refs: Vec<RefName>, at: Timestamp },
}

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("commit {commit} was never pushed here")]
    UnknownCommit { commit: CommitId },
}
