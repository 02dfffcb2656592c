use std::collections::BTreeMap;
use std::sync::Arc;

use grit_ledger::{RowQuery, StreamId};
use grit_pipeline::expr::Value;
use grit_pipeline::plan::Plan;
use grit_pipeline::run::{
    Command as RunCommand, Foreign, Refusal as RunRefusal, Request, Selection, Setting, TOKEN,
};
use grit_pipeline::schedule::Past;
use grit_pipeline::trigger::{Occurrence, starts};
use grit_types::{Actor, Principal, RunId, Timestamp, chain};

use super::Carry;
use super::payload;
use crate::aggregate::{Command, Refusal};
use crate::measured;
use crate::pipelines::{self, Found};
use crate::ports::{RepoId, RepoSettings, SourceError};
use crate::project::RUNS;
use crate::repo::{self, RunRecord, Trigger};
use crate::view::RunView;

/// So many runs say which job is to start first.
const RUNS_MAX: usize = 50;

impl Carry {
    pub(super) async fn repo(&self, effect: repo::Effect) -> Command {
        let Some(at) = RepoId::of_stream(&self.stream) else {
            return Command::Repo(repo::Command::Done);
        };
        Command::Repo(match effect {
            repo::Effect::Plan { commit, ref_name, pusher, number, at: time, before } => {
                let actor = pusher.unwrap_or_else(Principal::grit);
                let trigger = Trigger {
                    id: self.id.to_string(),
                    event: "push".to_owned(),
                    ref_name,
                    before,
                    actor,
                    ..Trigger::none(&commit)
                };
                let build = Build { trigger, number, at: time, aside: false };
                let result = self.plan(&at, &build).await;
                repo::Command::Planned { commit, result }
            }
            repo::Effect::Promote { commit, refs, at: time } => {
                let result = self.promote(&at, &commit, &refs, time).await;
                repo::Command::Promoted { commit, result }
            }
            repo::Effect::Start { trigger, number, at: time } => {
                let build = Build { trigger: *trigger, number, at: time, aside: true };
                if let Err(problems) = self.plan(&at, &build).await {
                    let (id, problems) = (&build.trigger.id, problems.join("\n"));
                    tracing::warn!(id, problems, "what was to start cannot be read");
                }
                repo::Command::Done
            }
        })
    }

    /// Starts a run of every pipeline of the commit that the event triggers.
    async fn plan(&self, at: &RepoId, build: &Build) -> Result<Vec<RunRecord>, Vec<String>> {
        let attempt = || {
            let (at, build) = (at.clone(), build.clone());
            self.blocking(move |ports| Ground::read(ports, &at, &build))
        };
        let ground = self.until_done("reading pipelines", attempt).await;
        let known = self.known(at, build).await;
        let runs = self.runs(at).await;
        let mut records = Vec::new();
        for plan in build.triggered(&ground)? {
            if known.contains(&plan.name) {
                continue;
            }
            let past = measured::past(&runs, &plan.name);
            let request = Arc::new(self.request(at, build, &ground, (plan, past)));
            records.push(RunRecord {
                run: request.run,
                name: request.plan.name.clone(),
                succeeded: None,
                jobs: BTreeMap::new(),
            });
            let command = || Command::Run(RunCommand::Plan(request.clone()));
            let via = Actor::grit(build.trigger.event.clone());
            let asked = self.submit(run_stream(request.run), command, via).await;
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

    /// The pipelines that a commit ran already, where another ref of it was pushed.
    async fn known(&self, at: &RepoId, build: &Build) -> Vec<String> {
        if !build.aside || build.trigger.event != "push" {
            return Vec::new();
        }
        let view = self.commit_view(at, &build.trigger.commit).await;
        let runs = view.map(|view| view.state.runs).unwrap_or_default();
        runs.into_values().map(|record| record.name).collect()
    }

    /// The newest runs of the repository.
    async fn runs(&self, at: &RepoId) -> Vec<RunView> {
        let query = RowQuery {
            table: RUNS.to_owned(),
            tenant: Some(at.tenant.clone()),
            scope: Some(at.repo.to_string()),
            limit: RUNS_MAX,
            ..RowQuery::default()
        };
        let rows = self.until_done("reading runs", || self.ports.journal.rows(&query)).await;
        rows.into_iter().filter_map(|row| serde_json::from_value(row.body).ok()).collect()
    }

    fn request(
        &self,
        at: &RepoId,
        build: &Build,
        ground: &Ground,
        (plan, past): (Plan, BTreeMap<String, Past>),
    ) -> Request {
        let trigger = &build.trigger;
        let seed = format!("{}/{}", trigger.id, plan.file);
        let run = trigger.run.unwrap_or_else(|| RunId::derived(build.at, seed.as_bytes()));
        let mut env = self.ports.job_env.clone();
        env.insert("GRIT_RUN_ID".to_owned(), run.to_string());
        let RepoSettings { mut secrets, vars, environments } = ground.settings.clone();
        secrets.insert(TOKEN.to_owned());
        let payload = serde_json::from_value(ground.payload.clone()).unwrap_or(Value::Null);
        Request {
            run,
            tenant: at.tenant.clone(),
            repo: at.repo.clone(),
            number: build.number,
            plan,
            event: trigger.event.clone(),
            commit: trigger.commit.clone(),
            ref_name: trigger.ref_name.clone(),
            actor: trigger.actor.clone(),
            inputs: trigger.inputs.clone(),
            payload,
            vars,
            env,
            slots: 1,
            only: Selection::default(),
            os: "Linux".to_owned(),
            foreign: Foreign::Refuse,
            serves: Vec::new(),
            runners: ground.found.runners.clone(),
            secrets,
            seal: self.word(),
            setting: Setting {
                environments,
                grouped: true,
                queued: true,
                depth: trigger.depth,
                aside: build.aside,
                past,
                ..Setting::default()
            },
        }
    }

    /// Nobody can guess it. That of the request that was recorded is the one that counts.
    fn word(&self) -> String {
        let mut bytes = [0; 16];
        self.ports.entropy.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is to be started.
#[derive(Clone)]
struct Build {
    trigger: Trigger,
    number: u64,
    at: Timestamp,
    /// It is not what the commit is built by.
    aside: bool,
}

/// What a start reads.
struct Ground {
    found: Found,
    changed: Option<Vec<String>>,
    settings: RepoSettings,
    payload: serde_json::Value,
}

impl Ground {
    fn read(ports: &super::Ports, at: &RepoId, build: &Build) -> Result<Self, SourceError> {
        let source = ports.source.as_ref();
        let trigger = &build.trigger;
        let default = source.default_branch(at)?;
        let mut found = pipelines::read(source, at, &trigger.commit)?;
        let mut settings = ports.settings.of(at);
        // What protects an environment is not for whoever pushes a branch to say.
        let said_at = default.as_ref().map_or(&trigger.commit, |(_, commit)| commit);
        for (name, protection) in pipelines::protections(source, at, said_at)? {
            settings.environment(&name).protection = protection;
        }
        pipelines::only_trusted_at(source, at, said_at, &mut found.runners)?;
        let push = payload::Push { source, at, trigger, default: default.as_ref() };
        let (changed, payload) = match trigger.event.as_str() {
            "push" => (push.changed()?, push.payload()?),
            _ => (None, payload::with_repository(at, trigger, default.as_ref())),
        };
        Ok(Self { found, changed, settings, payload })
    }
}

impl Build {
    /// The plans that it starts, or what is wrong with the files.
    fn triggered(&self, ground: &Ground) -> Result<Vec<Plan>, Vec<String>> {
        let Found { plans, problems, .. } = &ground.found;
        if !problems.is_empty() {
            return Err(problems.clone());
        }
        let trigger = &self.trigger;
        let occurrence = Occurrence {
            event: trigger.event.clone(),
            ref_name: trigger.ref_name.clone(),
            activity: trigger.activity.clone(),
            base: trigger.branch.clone(),
            changed_paths: ground.changed.clone(),
            workflow: trigger.workflow.clone(),
            schedule: trigger.schedule.clone(),
        };
        let meant = |plan: &&Plan| trigger.file.as_ref().is_none_or(|file| plan.file == *file);
        let started = plans.iter().filter(meant).filter(|plan| starts(plan, &occurrence));
        Ok(started.cloned().collect())
    }
}

/// The stream of a run.
pub fn run_stream(run: RunId) -> StreamId {
    // A run id holds what a stream's parts may hold.
    format!("run/{run}").parse().expect("a run id is valid in a stream")
}
