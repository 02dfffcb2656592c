//! Pipelines: what is planned from a push, and a runner whose steps end as they will.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use grit_control::aggregate::Command;
use grit_control::ports::RepoId;
use grit_control::repo;
use grit_control::{group_stream, queue_stream};
use grit_ledger::StreamId;
use grit_pipeline::concurrency::{self, Word};
use grit_pipeline::plan::Plan;
use grit_pipeline::queue;
use grit_pipeline::run::{self, Concluded, Effect, Ending, Foreign, Outcome, Request, Selection};
use grit_pipeline::{Conclusion, Prepared, StepOutcome, StepSpec};
use grit_rollout::slot::{self, Trigger};
use grit_types::{Actor, CommitId, DeploymentId, EffectId, JobId, RunId, Tenant, Timestamp};
use serde_json::{Value, json};

use super::carry::Done;
use super::rng::Rng;
use super::scenario::person;
use super::world::{Asker, World};

/// How many jobs of all runs are worked on at once.
pub(super) const SLOTS: u32 = 2;

/// Remembers steps across the controller's deaths, as its folders do.
#[derive(Default)]
pub(super) struct Runner {
    under_way: BTreeMap<EffectId, (u64, JobId)>,
    done: BTreeMap<EffectId, StepOutcome>,
    /// Steps that a dead runner was at.
    interrupted: BTreeSet<EffectId>,
}

impl Runner {
    /// The controller dies, and the steps that it watched over.
    pub fn die(&mut self) {
        self.interrupted.extend(std::mem::take(&mut self.under_way).into_keys());
    }
}

impl World {
    pub(super) fn step_run(&mut self, id: u64, effect: Effect) {
        match effect {
            Effect::PrepareJob(spec) => {
                if self.stage(id) == 0 {
                    let wait = self.rng.between(10, 500);
                    return self.again(id, wait);
                }
                let failed = self.rng.chance(3);
                let result = if failed { Err("no space left".to_owned()) } else { Ok(prepared()) };
                self.finish(id, Done::Run(Outcome::Prepared { job: spec.job, result }));
            }
            Effect::StartStep(spec) => self.run_step(id, &spec),
            Effect::CancelJob { job } => {
                let running = self.runner.under_way.iter().filter(|(_, (_, of))| *of == job);
                let running: Vec<_> =
                    running.map(|(effect, (call, _))| (effect.clone(), *call)).collect();
                for (effect, call) in running {
                    self.step_ended(call, &effect, ended(Conclusion::Cancelled));
                }
                self.finish(id, Done::Run(Outcome::Done));
            }
            Effect::CleanJob { job } => {
                if self.stage(id) == 0 {
                    let wait = self.rng.between(10, 300);
                    return self.again(id, wait);
                }
                let failed = self.rng.chance(3);
                let result = if failed { Err("a process stays".to_owned()) } else { Ok(()) };
                self.finish(id, Done::Run(Outcome::Cleaned { job, result }));
            }
            Effect::WakeAt { at, timer } => {
                if self.stage(id) == 0 {
                    let wait = at.since(self.now).as_millis() as u64;
                    return self.again(id, wait);
                }
                self.finish(id, Done::Run(Outcome::Woke(timer)));
            }
            Effect::Claim { tenant, repo, group, holder } => {
                let stream = group_stream(&tenant, &repo, &group.group);
                let (cancel_in_progress, patient) = (group.cancel_in_progress, group.patient);
                self.ask_group(
                    id,
                    stream,
                    concurrency::Command::Claim { holder, cancel_in_progress, patient },
                );
            }
            Effect::Release { tenant, repo, group, holder } => {
                let stream = group_stream(&tenant, &repo, &group);
                self.ask_group(id, stream, concurrency::Command::Release { holder });
            }
            Effect::WantSlots(wish) => self.ask_queue(id, queue::Command::Ask(wish)),
            Effect::LeaveQueue { run } => self.ask_queue(id, queue::Command::Leave { run }),
            Effect::Conclude(concluded) => {
                if self.stage_of(id) > 0 {
                    return self.finish(id, Done::Run(Outcome::Done));
                }
                let (stream, command) = conclusion(&concluded);
                self.submit(stream, command, Actor::grit("run"), Asker::Call(id));
            }
        }
    }

    fn ask_group(&mut self, id: u64, stream: StreamId, command: concurrency::Command) {
        if self.stage_of(id) > 0 {
            return self.finish(id, Done::Run(Outcome::Done));
        }
        self.submit(stream, Command::Group(command), Actor::grit("run"), Asker::Call(id));
    }

    fn ask_queue(&mut self, id: u64, command: queue::Command) {
        if self.stage_of(id) > 0 {
            return self.finish(id, Done::Run(Outcome::Done));
        }
        self.submit(queue_stream(), Command::Queue(command), Actor::grit("run"), Asker::Call(id));
    }

    /// Tells a run what it was given; one that is over leaves the queue.
    pub(super) fn step_queue(&mut self, id: u64, effect: queue::Effect) {
        let queue::Effect::Give { run, total } = effect;
        if self.stage_of(id) > 0 {
            let refused = self.calls.get(&id).is_some_and(|call| call.refused);
            let answer = if refused { queue::Command::Leave { run } } else { queue::Command::Done };
            return self.finish(id, Done::Queue(answer));
        }
        let command = Command::Run(run::Command::Slots { total });
        self.submit(run_stream(run), command, Actor::grit("queue"), Asker::Call(id));
    }

    /// The machine says how much it does at once.
    pub(super) fn resize(&mut self) {
        let command = Command::Queue(queue::Command::Resize { slots: SLOTS });
        self.submit(queue_stream(), command, Actor::grit("start"), Asker::Person);
    }

    /// Tells a run what its group says; a turn that nobody takes goes to the next.
    pub(super) fn step_group(&mut self, id: u64, effect: concurrency::Effect) {
        let concurrency::Effect::Tell { holder, word } = effect;
        if self.stage_of(id) > 0 {
            let refused = self.calls.get(&id).is_some_and(|call| call.refused);
            let answer = match word {
                Word::Granted if refused => concurrency::Command::Release { holder },
                _ => concurrency::Command::Done,
            };
            return self.finish(id, Done::Group(answer));
        }
        let command =
            Command::Run(run::Command::Group { job: holder.job, call: holder.call, word });
        self.submit(run_stream(holder.run), command, Actor::grit("group"), Asker::Call(id));
    }

    fn stage_of(&self, id: u64) -> u32 {
        self.calls.get(&id).map_or(0, |call| call.stage)
    }

    /// A step is begun once; one that a dead runner was at is never run a second time.
    fn run_step(&mut self, id: u64, spec: &StepSpec) {
        let effect = self.calls[&id].effect.id.clone();
        if self.runner.interrupted.contains(&effect) {
            let outcome = ended(Conclusion::Interrupted);
            return self.step_ended(id, &effect, outcome);
        }
        if let Some(outcome) = self.runner.done.get(&effect).cloned() {
            return self.step_ended(id, &effect, outcome);
        }
        if self.stage(id) == 0 {
            self.runner.under_way.insert(effect, (id, spec.job));
            // Some take longer than their job may.
            let long = self.rng.chance(4);
            let wait = if long { 400_000 } else { self.rng.between(100, 6_000) };
            return self.again(id, wait);
        }
        let outcome = match self.rng.below(20) {
            0 => ended(Conclusion::Exited(1)),
            1 => ended(Conclusion::TimedOut),
            2 => ended(Conclusion::Unable("no such program".to_owned())),
            _ => ended(Conclusion::Exited(0)),
        };
        self.step_ended(id, &effect, outcome);
    }

    fn step_ended(&mut self, id: u64, effect: &EffectId, outcome: StepOutcome) {
        self.runner.under_way.remove(effect);
        self.runner.done.insert(effect.clone(), outcome.clone());
        let Some(call) = self.calls.get(&id) else { return };
        if let grit_control::aggregate::Effect::Run(Effect::StartStep(spec)) = &call.body {
            let (job, index) = (spec.job, spec.index);
            self.finish(id, Done::Run(Outcome::StepDone { job, index, outcome }));
        }
    }

    pub(super) fn step_repo(&mut self, id: u64, effect: repo::Effect) {
        match effect {
            repo::Effect::Plan { commit, ref_name, number, at, .. } => {
                self.plan(id, commit, ref_name, number, at);
            }
            repo::Effect::Promote { commit, at, .. } => self.promote(id, commit, at),
            // No pipeline of these files is for it.
            repo::Effect::Start { .. } => self.finish(id, Done::Repo(repo::Command::Done)),
        }
    }

    fn plan(
        &mut self,
        id: u64,
        commit: CommitId,
        ref_name: Option<grit_types::RefName>,
        number: u64,
        at: Timestamp,
    ) {
        let effect = self.calls[&id].effect.id.to_string();
        // The same commit holds the same files, however often they are read.
        let mut rng = Rng::new(self.seed.wrapping_add(number));
        if rng.chance(8) {
            let result = Err(vec!["ci.yml:3:1: unknown key `job`".to_owned()]);
            return self.finish(id, Done::Repo(repo::Command::Planned { commit, result }));
        }
        let run = RunId::derived(at, effect.as_bytes());
        if self.stage_of(id) > 0 {
            let name = "CI".to_owned();
            let record = repo::RunRecord { run, name, succeeded: None, jobs: BTreeMap::new() };
            let result = Ok(vec![record]);
            return self.finish(id, Done::Repo(repo::Command::Planned { commit, result }));
        }
        let mut request = request(run, plan(&mut rng), commit, number);
        request.ref_name = ref_name;
        let command = Command::Run(run::Command::Plan(Arc::new(request)));
        self.submit(run_stream(run), command, Actor::grit("push"), Asker::Call(id));
    }

    /// Requests a deployment in every lane, one after the other.
    fn promote(&mut self, id: u64, commit: CommitId, at: Timestamp) {
        let Some(release) = self.scenario.releases().find(|r| r.commit == commit).cloned() else {
            let result = Err("grit.yaml: there is none".to_owned());
            return self.finish(id, Done::Repo(repo::Command::Promoted { commit, result }));
        };
        let stage = self.stage_of(id) as usize;
        let Some(lane) = self.scenario.lanes.get(stage) else {
            let promoted = self.calls[&id].promoted.clone();
            let result = Ok(promoted);
            return self.finish(id, Done::Repo(repo::Command::Promoted { commit, result }));
        };
        let seed = format!("{}/{}", self.calls[&id].effect.id, lane.slot);
        let deployment = DeploymentId::derived(at, seed.as_bytes());
        // Carried out again, the effect asks for the same.
        let mut rng = Rng::new(u64::from_str_radix(&release.artifact.hex()[..15], 16).unwrap_or(0));
        let request =
            self.scenario.request(lane, &release, deployment, Trigger::Push, at, &mut rng);
        let promoted = repo::Promoted {
            environment: lane.slot.environment.clone(),
            service: lane.slot.service.clone(),
            deployment,
        };
        let stream = lane.slot.stream();
        if let Some(call) = self.calls.get_mut(&id)
            && !call.promoted.contains(&promoted)
        {
            call.promoted.push(promoted);
        }
        let command = Command::Slot(slot::Command::Request(Box::new(request)));
        self.submit(stream, command, Actor::grit("promotion"), Asker::Call(id));
    }
}

pub(super) fn run_stream(run: RunId) -> StreamId {
    format!("run/{run}").parse().expect("a run id is valid in a stream")
}

pub(super) fn shop() -> RepoId {
    RepoId { tenant: Tenant::local(), repo: "shop".parse().expect("a name") }
}

fn conclusion(concluded: &Concluded) -> (StreamId, Command) {
    let succeeded = |ending: Ending| matches!(ending, Ending::Success | Ending::Skipped);
    let jobs = concluded.jobs.iter();
    let command = repo::Command::Concluded {
        commit: concluded.commit.clone(),
        run: concluded.run,
        succeeded: concluded.ending == Ending::Success,
        replaces: concluded.rerun_of,
        jobs: jobs.map(|job| (job.key.to_string(), succeeded(job.ending))).collect(),
    };
    (shop().stream(), Command::Repo(command))
}

fn prepared() -> Prepared {
    Prepared {
        workspace: "/jobs/w".to_owned(),
        temp: "/jobs/t".to_owned(),
        os: "Linux".to_owned(),
        arch: "X64".to_owned(),
        containers: Default::default(),
    }
}

fn ended(conclusion: Conclusion) -> StepOutcome {
    StepOutcome { duration: Duration::from_millis(5), ..StepOutcome::of(conclusion) }
}

pub(super) fn request(run: RunId, plan: Plan, commit: CommitId, number: u64) -> Request {
    Request {
        run,
        tenant: Tenant::local(),
        repo: shop().repo,
        number,
        plan,
        event: "push".to_owned(),
        commit,
        ref_name: None,
        actor: person("alice"),
        inputs: BTreeMap::new(),
        payload: Default::default(),
        vars: BTreeMap::new(),
        env: BTreeMap::new(),
        slots: 2,
        only: Selection::default(),
        os: "Linux".to_owned(),
        foreign: Foreign::Refuse,
        serves: Vec::new(),
        runners: Vec::new(),
        secrets: Default::default(),
        seal: "w0rd".to_owned(),
        setting: run::Setting { grouped: true, queued: true, ..Default::default() },
    }
}

/// A run that cannot be planned.
pub(super) fn odd_request(run: RunId, rng: &mut Rng) -> Request {
    let commit: CommitId = "e".repeat(40).parse().expect("a commit id");
    let one = |needs: &str| plan_of(&[job("job0", &[needs.to_owned()], false, &mut Rng::new(1))]);
    let plain = || plan_of(&[job("job0", &[], false, &mut Rng::new(1))]);
    let request = |plan| request(run, plan, commit.clone(), 1);
    let dispatched = |mut request: Request, inputs: &[(&str, &str)]| {
        request.event = "workflow_dispatch".to_owned();
        let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        request.inputs = inputs.collect();
        request
    };
    match rng.below(8) {
        0 => request(plan_of(&[])),
        1 => request(one("job0")),
        2 => request(one("elsewhere")),
        3 => dispatched(request(plain()), &[]),
        4 => dispatched(request(plain()), &[("count", "many")]),
        5 => dispatched(request(plain()), &[("colour", "red")]),
        6 => {
            let mut large = request(plain());
            large.env.insert("LARGE".to_owned(), "x".repeat(4 << 20));
            large
        }
        _ => {
            let mut partial = request(plain());
            partial.only.jobs = vec!["elsewhere".parse().expect("a job key")];
            partial
        }
    }
}

/// One to three jobs, in a row or side by side; now and then all of it is skipped.
fn plan(rng: &mut Rng) -> Plan {
    let none = rng.chance(8);
    let count = rng.between(1, 3);
    let chained = rng.chance(50);
    let jobs: Vec<Value> = (0..count)
        .map(|n| {
            let needs = if chained && n > 0 { vec![format!("job{}", n - 1)] } else { vec![] };
            job(&format!("job{n}"), &needs, none || rng.chance(8), rng)
        })
        .collect();
    let mut plan = plan_of(&jobs);
    if rng.chance(30) {
        plan.concurrency = serde_json::from_value(group("deploy", rng.chance(50))).ok();
    }
    plan
}

fn group(name: &str, cancel: bool) -> Value {
    json!({"group": name, "cancel_in_progress": cancel.to_string(), "place": place()})
}

pub(super) fn plan_of(jobs: &[Value]) -> Plan {
    let input = |kind, required| json!({"kind": kind, "description": null, "required": required, "default": null, "options": []});
    let dispatch = json!({
        "event": "workflow_dispatch", "place": place(),
        "filters": {"branches": null, "branches_ignore": null, "tags": null, "tags_ignore": null,
            "paths": null, "paths_ignore": null, "types": null},
        "inputs": [["count", input("number", true)]], "schedule": [],
    });
    let document = json!({
        "dialect": "github", "file": ".github/workflows/ci.yml", "name": "CI",
        "triggers": [dispatch], "env": [],
        "defaults": {"shell": null, "working_directory": null}, "jobs": jobs,
    });
    serde_json::from_value(document).expect("a plan")
}

fn place() -> Value {
    json!({"line": 1, "column": 1})
}

pub(super) fn job(key: &str, needs: &[String], skipped: bool, rng: &mut Rng) -> Value {
    let matrix = rng.chance(30).then(
        || json!({"given": {"vectors": [["os", ["a", "b"]]], "include": null, "exclude": null}}),
    );
    let concurrency =
        rng.chance(30).then(|| group(&format!("shared{}", rng.below(2)), rng.chance(40)));
    let steps: Vec<Value> = (0..rng.between(1, 3)).map(|_| step(rng.chance(20))).collect();
    json!({
        "key": key, "name": null, "place": place(), "needs": needs,
        "if": if skipped { "false" } else { "" },
        "matrix": matrix, "fail_fast": null, "max_parallel": null, "env": [],
        "defaults": {"shell": null, "working_directory": null}, "runs_on": ["ubuntu-latest"],
        "outputs": [], "timeout_minutes": "1", "continue_on_error": null,
        "steps": steps, "unsupported": [], "concurrency": concurrency,
    })
}

fn step(skipped: bool) -> Value {
    json!({
        "id": null, "name": null, "place": place(), "if": if skipped { "false" } else { "" },
        "action": {"run": {"script": "true", "shell": null}}, "env": [],
        "working_directory": null, "timeout_minutes": null, "continue_on_error": null,
    })
}
