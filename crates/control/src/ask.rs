//! What people ask of pipelines: to start one by hand, to answer for a job, to run once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use grit_pipeline::plan::Plan;
use grit_pipeline::run::{Command as RunCommand, Ending, Request, Run, inputs_of};
use grit_types::{Actor, CommitId, JobId, RefName, Role, RunId, Version};
use serde_json::{Value, json};

use crate::aggregate::{Command, State};
use crate::carry::plan::run_stream;
use crate::control::{Control, ControlError};
use crate::pipelines::{self, Found};
use crate::ports::RepoId;
use crate::reactor::Receipt;
use crate::repo::{self, Trigger};

/// A pipeline that somebody starts by hand.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Its path, or the end of it.
    pub file: String,
    /// A branch or a tag; none: the default branch.
    pub reference: Option<String>,
    pub inputs: BTreeMap<String, String>,
}

/// An answer for a job that waits for an approval.
#[derive(Clone, Debug)]
pub struct Review {
    pub run: RunId,
    pub job: JobId,
    pub approved: bool,
    pub roles: Vec<Role>,
    pub comment: String,
}

impl Control {
    /// Starts a pipeline by hand (`workflow_dispatch`); what is wrong with the wish is said at once.
    pub async fn dispatch(
        &self,
        at: &RepoId,
        wish: Dispatch,
        actor: Actor,
    ) -> Result<RunId, ControlError> {
        let (name, commit) = self.meant(at, wish.reference).await?;
        let plan = self.pipeline(at, &commit, &wish.file).await?;
        let trigger = plan.trigger("workflow_dispatch").ok_or_else(|| {
            let why =
                format!("{} is not started by hand: it has no `workflow_dispatch`", plan.file);
            ControlError::Refused(why)
        })?;
        inputs_of(&trigger.inputs, &wish.inputs)
            .map_err(|refusal| ControlError::Refused(refusal.to_string()))?;
        let run = RunId::new(self.clock.now(), self.entropy.as_ref());
        let trigger = Trigger {
            id: format!("dispatch/{run}"),
            event: "workflow_dispatch".to_owned(),
            ref_name: Some(name),
            actor: actor.principal.clone(),
            file: Some(plan.file.clone()),
            inputs: wish.inputs,
            run: Some(run),
            ..Trigger::none(&commit)
        };
        let command = Command::Repo(repo::Command::Trigger(Box::new(trigger)));
        self.submit(at.stream(), command, actor).await?;
        Ok(run)
    }

    /// Tells that something happened elsewhere (`repository_dispatch`).
    pub async fn happened(
        &self,
        at: &RepoId,
        kind: String,
        payload: Value,
        actor: Actor,
    ) -> Result<Receipt, ControlError> {
        let (name, commit) = self.meant(at, None).await?;
        let id = RunId::new(self.clock.now(), self.entropy.as_ref());
        let told = json!({ "action": kind, "branch": name.short(), "client_payload": payload });
        let trigger = Trigger {
            id: format!("repository_dispatch/{id}"),
            event: "repository_dispatch".to_owned(),
            activity: Some(kind),
            ref_name: Some(name),
            actor: actor.principal.clone(),
            payload: told,
            ..Trigger::none(&commit)
        };
        let command = Command::Repo(repo::Command::Trigger(Box::new(trigger)));
        self.submit(at.stream(), command, actor).await
    }

    /// Answers for a job that waits.
    pub async fn review(&self, review: Review, actor: Actor) -> Result<Receipt, ControlError> {
        let Review { run, job, approved, roles, comment } = review;
        let command = RunCommand::Review { job, approved, roles, comment };
        self.submit(run_stream(run), Command::Run(command), actor).await
    }

    /// Runs once more what a run was, as it was asked for; `failed`: only what did not succeed, and
    /// what comes after it.
    pub async fn rerun(
        &self,
        run: RunId,
        failed: bool,
        actor: Actor,
    ) -> Result<RunId, ControlError> {
        let state = self.folded(run).await?;
        let request = state.request.clone().filter(|_| state.ending().is_some());
        let Some(request) = request else {
            let known = self.run(run).await?;
            return Err(match known {
                Some(_) => ControlError::Refused(format!("run {run} is not over")),
                None => ControlError::NotFound(format!("there is no run {run}")),
            });
        };
        let next = RunId::new(self.clock.now(), self.entropy.as_ref());
        let mut again: Request = (*request).clone();
        again.run = next;
        again.seal = self.word();
        again.env.insert("GRIT_RUN_ID".to_owned(), next.to_string());
        again.setting.reruns += 1;
        again.setting.queued = true;
        again.setting.rerun_of = Some(run);
        again.setting.done = if failed { done(&state) } else { BTreeMap::new() };
        let command = Command::Run(RunCommand::Plan(Arc::new(again)));
        self.submit(run_stream(next), command, actor).await?;
        Ok(next)
    }

    /// A run as its events make it.
    async fn folded(&self, run: RunId) -> Result<Run, ControlError> {
        let stream = run_stream(run);
        let unreadable = |_| ControlError::Refused(format!("run {run} cannot be read"));
        let mut state = State::empty(&stream).map_err(unreadable)?;
        for recorded in self.journal.read(&stream, Version::ZERO).await? {
            let event = recorded.event;
            state = state.fold(&stream, &event.kind, &event.data).map_err(unreadable)?;
        }
        match state {
            State::Run(run) => Ok(run),
            State::Slot(_) | State::Repo(_) | State::Group(_) | State::Queue(_) => {
                Ok(Run::default())
            }
        }
    }

    fn word(&self) -> String {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The ref that is named, and where it is.
    async fn meant(
        &self,
        at: &RepoId,
        reference: Option<String>,
    ) -> Result<(RefName, CommitId), ControlError> {
        let (place, wanted) = (at.clone(), reference.clone());
        let found = self
            .blocking(move |source| {
                let Some(text) = wanted else { return source.default_branch(&place) };
                let full = |prefix: &str| format!("{prefix}{text}").parse::<RefName>().ok();
                for name in ["", "refs/heads/", "refs/tags/"].into_iter().filter_map(full) {
                    let known = name.branch().or(name.tag()).is_some();
                    if let Some(commit) = source.resolve(&place, name.as_str())?.filter(|_| known) {
                        return Ok(Some((name, commit)));
                    }
                }
                Ok(None)
            })
            .await?;
        found.ok_or_else(|| {
            ControlError::NotFound(match reference {
                Some(name) => format!("there is no branch and no tag `{name}`"),
                None => "nothing was pushed yet".to_owned(),
            })
        })
    }

    async fn pipeline(
        &self,
        at: &RepoId,
        commit: &CommitId,
        file: &str,
    ) -> Result<Plan, ControlError> {
        let (place, wanted) = (at.clone(), commit.clone());
        let Found { plans, problems, .. } =
            self.blocking(move |source| pipelines::read(source, &place, &wanted)).await?;
        let named = |plan: &&Plan| {
            plan.file == file || plan.file.ends_with(&format!("/{file}")) || plan.name == file
        };
        if let Some(plan) = plans.iter().find(named) {
            return Ok(plan.clone());
        }
        if !problems.is_empty() {
            return Err(ControlError::Refused(problems.join("\n")));
        }
        let known = plans.into_iter().map(|plan| plan.file).collect();
        Err(ControlError::UnknownPipeline { name: file.to_owned(), known })
    }
}

/// The jobs that succeeded, with what they gave.
fn done(run: &Run) -> BTreeMap<grit_pipeline::plan::JobKey, BTreeMap<String, String>> {
    let own = run.groups.iter().filter(|group| group.scope == 0);
    let succeeded = own.filter(|group| group.ending() == Some(Ending::Success));
    succeeded.map(|group| (group.key.clone(), group.outputs.clone())).collect()
}
