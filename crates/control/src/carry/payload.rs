//! What `github.event` is, as the service would send it.

use grit_types::{CommitId, RefName};
use serde_json::{Value, json};

use crate::ports::{Logged, RepoId, Source, SourceError};
use crate::repo::Trigger;

/// Commits that a payload names at most.
const COMMITS_MAX: usize = 100;
/// With more commits than this the paths are not looked at: pipelines are started.
const COMMITS_COUNTED_MAX: usize = 1_000;
/// Of more files than this only the first are looked at.
const FILES_MAX: usize = 300;
/// What stands for no commit.
const NONE: &str = "0000000000000000000000000000000000000000";

type Default<'a> = Option<&'a (RefName, CommitId)>;

/// A push whose payload is wanted.
pub(super) struct Push<'a> {
    pub source: &'a dyn Source,
    pub at: &'a RepoId,
    pub trigger: &'a Trigger,
    pub default: Default<'a>,
}

impl Push<'_> {
    /// The files that differ between what was there and what is: of a new branch, since it left the
    /// default branch. `None`: unknown, and all count.
    pub fn changed(&self) -> Result<Option<Vec<String>>, SourceError> {
        let Some(from) = self.base()? else { return Ok(None) };
        let to = &self.trigger.commit;
        let commits = self.source.changes(self.at, Some(&from), to, COMMITS_COUNTED_MAX + 1)?;
        if commits.len() > COMMITS_COUNTED_MAX {
            return Ok(None);
        }
        let mut files = self.source.changed(self.at, &from, to)?;
        if let Some(files) = &mut files {
            files.truncate(FILES_MAX);
        }
        Ok(files)
    }

    fn base(&self) -> Result<Option<CommitId>, SourceError> {
        if let Some(before) = &self.trigger.before {
            return Ok(Some(before.clone()));
        }
        match self.default {
            Some((name, tip)) if self.trigger.ref_name.as_ref() != Some(name) => {
                self.source.merge_base(self.at, tip, &self.trigger.commit)
            }
            _ => Ok(None),
        }
    }

    pub fn payload(&self) -> Result<Value, SourceError> {
        let trigger = self.trigger;
        let base = self.base()?;
        let logged = self.source.log(self.at, base.as_ref(), &trigger.commit, COMMITS_MAX)?;
        let head = self.source.log(self.at, None, &trigger.commit, 1)?;
        let id = |commit: Option<&CommitId>| commit.map_or(NONE, CommitId::as_str).to_owned();
        let name = trigger.ref_name.as_ref().map_or("", |name| name.as_str());
        let mut payload = with_repository(self.at, trigger, self.default);
        let own = json!({
            "ref": name,
            "before": id(trigger.before.as_ref()),
            "after": trigger.commit.as_str(),
            "created": trigger.before.is_none(),
            "deleted": false,
            "forced": false,
            "base_ref": null,
            "compare": "",
            "commits": logged.iter().map(commit).collect::<Vec<_>>(),
            "head_commit": head.last().map(commit),
            "pusher": { "name": trigger.actor.as_str(), "email": "" },
        });
        merge(&mut payload, own);
        Ok(payload)
    }
}

fn merge(payload: &mut Value, more: Value) {
    if let (Some(members), Value::Object(more)) = (payload.as_object_mut(), more) {
        members.extend(more);
    }
}

fn commit(logged: &Logged) -> Value {
    let person = json!({ "name": logged.author, "email": "", "username": logged.author });
    json!({
        "id": logged.commit.as_str(),
        "tree_id": logged.tree.as_str(),
        "distinct": true,
        "message": logged.subject,
        "timestamp": logged.at.to_string(),
        "url": "",
        "author": person,
        "committer": person,
    })
}

/// What was told, with the repository and who caused it.
pub(super) fn with_repository(at: &RepoId, trigger: &Trigger, default: Default<'_>) -> Value {
    let branch = default.map_or("main", |(name, _)| name.short());
    let actor = trigger.actor.as_str();
    let mut payload = json!({
        "repository": {
            "name": at.repo.as_str(),
            "full_name": format!("{}/{}", at.tenant, at.repo),
            "owner": { "login": at.tenant.as_str(), "name": at.tenant.as_str() },
            "default_branch": branch,
            "private": true,
            "fork": false,
        },
        "sender": { "login": actor, "type": "User" },
    });
    if trigger.event == "workflow_dispatch" {
        let name = trigger.ref_name.as_ref().map_or("", |name| name.as_str());
        merge(
            &mut payload,
            json!({ "inputs": trigger.inputs, "ref": name, "workflow": trigger.file }),
        );
    }
    merge(&mut payload, trigger.payload.clone());
    payload
}
