use std::collections::BTreeMap;

use grit_types::{CommitId, Principal, RefName, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something other than the first push of a commit that may start pipelines of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Names it: what it starts is started once, however often it is told.
    pub id: String,
    /// `schedule`, `workflow_dispatch`, `push` of another ref.
    pub event: String,
    /// What kind of it: `completed`; what a `repository_dispatch` is called.
    #[serde(default)]
    pub activity: Option<String>,
    pub commit: CommitId,
    pub ref_name: Option<RefName>,
    /// Of a push: what the ref pointed at.
    #[serde(default)]
    pub before: Option<CommitId>,
    pub actor: Principal,
    /// Only the pipeline of that file.
    #[serde(default)]
    pub file: Option<String>,
    /// Only pipelines with that cron line.
    #[serde(default)]
    pub schedule: Option<String>,
    /// The pipeline whose run it is about.
    #[serde(default)]
    pub workflow: Option<String>,
    /// The branch that it is about.
    #[serde(default)]
    pub branch: Option<String>,
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    #[serde(default)]
    pub payload: Value,
    /// What the one run is called that it starts.
    #[serde(default)]
    pub run: Option<RunId>,
    /// Through how many runs it came, one after the other.
    #[serde(default)]
    pub depth: u32,
}

impl Trigger {
    /// Of that commit, and nothing said of it.
    pub fn none(commit: &CommitId) -> Self {
        Self {
            id: String::new(),
            event: String::new(),
            activity: None,
            commit: commit.clone(),
            ref_name: None,
            before: None,
            actor: Principal::grit(),
            file: None,
            schedule: None,
            workflow: None,
            branch: None,
            inputs: BTreeMap::new(),
            payload: Value::Null,
            run: None,
            depth: 0,
        }
    }
}
