use std::collections::BTreeMap;
use std::sync::Arc;

use grit_ledger::StreamId;
use grit_pipeline::expr::Value;
use grit_pipeline::plan::Plan;
use grit_pipeline::run::{
    Command as RunCommand, Foreign, Refusal as RunRefusal, Request, SLOTS_DEFAULT, Selection,
};
use grit_pipeline::runners::RunnerRule;
use grit_pipeline::trigger::{PushEvent, triggers_on};
use grit_types::{Actor, CommitId, Principal, RefName, RunId, Timestamp, chain};

use super::Carry;
use crate::aggregate::{Command, Refusal};
use crate::pipelines::{self, Found};
use crate::ports::RepoId;
use crate::repo::{self, RunRecord};

impl Carry {
    pub(super) async fn repo(&self, effect: repo::Effect) -> Command {
        let Some(at) = RepoId::of_stream(&self.stream) else {
            return Command::Repo(repo::Command::Done);
        };
        Command::Repo(match effect {
            repo::Effect::Plan { commit, ref_name, pusher, number, at: time } => {
                let build = Build { commit: commit.clone(), ref_name, pusher, number, at: time };
                let result = self.plan(&at, &build).await;
                repo::Command::Planned { commit, result }
            }
            repo::Effect::Promote { commit, refs, at: time } => {
                let result = self.promote(&at, &commit, &refs, time).await;
                repo::Command::Promoted { commit, result }
            }
        })
    }

    /// Starts a run of every pipeline of the commit that the ref triggers.
    async fn plan(&self, at: &RepoId, build: &Build) -> Result<Vec<RunRecord>, Vec<String>> {
        let attempt = || {
            let (at, commit) = (at.clone(), build.commit.clone());
            self.blocking(move |ports| pipelines::read(ports.source.as_ref(), &at, &commit))
        };
        let found = self.until_done("reading pipelines", attempt).await;
        let mut records = Vec::new();
        let runners = found.runners.clone();
        for plan in triggered(found, build.ref_name.as_ref())? {
            let request = Arc::new(self.request(at, build, plan, &runners));
            records.push(RunRecord {
                run: request.run,
                name: request.plan.name.clone(),
                succeeded: None,
                jobs: BTreeMap::new(),
            });
            let command = || Command::Run(RunCommand::Plan(request.clone()));
            let asked = self.submit(run_stream(request.run), command, Actor::grit("push")).await;
            // A refusal of a run that is there already: this effect was carried out before.
            let there = |refusal: &Refusal| {
                matches!(refusal, Refusal::Run(RunRefusal::Planned | RunRefusal::Finished))
            };
            if let Err(refusal) = asked
                && !there(&refusal)
            {
                return Err(vec![chain(refusal.as_ref())]);
            }
        }
        Ok(records)
    }

    fn request(&self, at: &RepoId, build: &Build, plan: Plan, runners: &[RunnerRule]) -> Request {
        let seed = format!("{}/{}", self.id, plan.file);
        let run = RunId::derived(build.at, seed.as_bytes());
        let mut env = self.ports.job_env.clone();
        env.insert("GRIT_RUN_ID".to_owned(), run.to_string());
        Request {
            run,
            tenant: at.tenant.clone(),
            repo: at.repo.clone(),
            number: build.number,
            plan,
            event: "push".to_owned(),
            commit: build.commit.clone(),
            ref_name: build.ref_name.clone(),
            actor: build.pusher.clone().unwrap_or_else(Principal::grit),
            inputs: BTreeMap::new(),
            payload: Value::Null,
            vars: BTreeMap::new(),
            env,
            slots: SLOTS_DEFAULT,
            only: Selection::default(),
            os: "Linux".to_owned(),
            foreign: Foreign::Refuse,
            serves: Vec::new(),
            runners: runners.to_vec(),
            secrets: Default::default(),
            seal: run.to_string(),
            setting: Default::default(),
        }
    }
}

/// A commit that is to be built.
struct Build {
    commit: CommitId,
    ref_name: Option<RefName>,
    pusher: Option<Principal>,
    number: u64,
    at: Timestamp,
}

/// The stream of a run.
pub fn run_stream(run: RunId) -> StreamId {
    // A run id holds what a stream's parts may hold.
    format!("run/{run}").parse().expect("a run id is valid in a stream")
}

/// The plans that a push of the ref starts, or what is wrong with the files.
fn triggered(found: Found, ref_name: Option<&RefName>) -> Result<Vec<Plan>, Vec<String>> {
    if !found.problems.is_empty() {
        return Err(found.problems);
    }
    let starts = |plan: &Plan| {
        ref_name.is_some_and(|name| {
            triggers_on(plan, &PushEvent { ref_name: name.clone(), changed_paths: None })
        })
    };
    Ok(found.plans.into_iter().filter(starts).collect())
}
