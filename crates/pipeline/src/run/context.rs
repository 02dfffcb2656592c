use std::collections::BTreeMap;

use super::frame::Frame;
use super::state::{Ending, Group, JobRun, Phase, Run, Scope};
use super::{Cell, Request, TOKEN, allow};
use crate::expr::{Deferred, Expr, Lookup, Object, StatusFunction, Value};
use crate::seal::{Sealed, is_sealed_in};
use crate::{JobSpec, PreparedService};

/// What the expressions of a job or a step read.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) run: &'a Run,
    pub(super) request: &'a Request,
    pub(super) group: &'a Group,
    pub(super) cell: Option<CellNames<'a>>,
    pub(super) job: Option<&'a JobRun>,
    pub(super) env: Option<&'a BTreeMap<String, String>>,
    /// What is not known yet may stand as a mark: it goes to the runner, and is not decided on.
    pub(super) sealing: bool,
}

/// What one combination of a matrix adds.
#[derive(Clone, Copy)]
pub(super) struct CellNames<'a> {
    pub(super) matrix: &'a indexmap::IndexMap<String, Value>,
    pub(super) index: u32,
    pub(super) total: u32,
    pub(super) fail_fast: bool,
    pub(super) max_parallel: Option<u32>,
}

impl<'a> Names<'a> {
    /// Before it is expanded.
    pub(super) fn of_group(run: &'a Run, request: &'a Request, group: &'a Group) -> Self {
        Self { run, request, group, cell: None, job: None, env: None, sealing: false }
    }

    pub(super) fn of_job(run: &'a Run, request: &'a Request, job: &'a JobRun) -> Self {
        let group = &*run.groups[job.group];
        let Cell { matrix, index, total, .. } = &*job.cell;
        let cell = CellNames {
            matrix,
            index: *index,
            total: *total,
            fail_fast: group.fail_fast,
            max_parallel: group.max_parallel,
        };
        Self { run, request, group, cell: Some(cell), job: Some(job), env: None, sealing: false }
    }

    pub(super) fn with_env(self, env: &'a BTreeMap<String, String>) -> Self {
        Self { env: Some(env), ..self }
    }

    pub(super) fn sealing(self) -> Self {
        Self { sealing: true, ..self }
    }

    pub(super) fn with_cell(self, cell: CellNames<'a>) -> Self {
        Self { cell: Some(cell), ..self }
    }

    fn github(&self) -> Object {
        let request = self.request;
        let ref_name = request.ref_name.as_ref();
        let repository = format!("{}/{}", request.tenant, request.repo);
        let attempt = self.job.map_or(1, |job| job.attempt) + request.setting.reruns;
        let mut github = Object::new()
            .with("actor", request.actor.as_str())
            .with("triggering_actor", request.actor.as_str())
            .with("event_name", request.event.as_str())
            .with("event", Self::event(request))
            .with("sha", request.commit.as_str())
            .with("ref", ref_name.map_or("", |name| name.as_str()))
            .with("ref_name", ref_name.map_or("", |name| name.short()))
            .with("ref_type", ref_type(request))
            .with("ref_protected", false)
            .with("head_ref", pull_request_ref(request, "head"))
            .with("base_ref", pull_request_ref(request, "base"))
            .with("repository", repository)
            .with("repository_owner", request.tenant.as_str())
            .with("run_id", request.run.to_string())
            .with("run_number", request.number.to_string())
            .with("run_attempt", attempt.to_string())
            .with("workflow", request.plan.name.as_str())
            .with("workflow_sha", request.commit.as_str())
            .with("job", self.group.key.as_str())
            .with("server_url", server_url(request))
            .with("token", self.job.map_or_else(String::new, |_| self.token()));
        if let Some(prepared) = self.job.and_then(|job| job.prepared.as_ref()) {
            github.insert("workspace", &prepared.workspace);
            github.insert("event_path", event_path(&prepared.temp));
        }
        if let Some(action) = self.frame().and_then(|frame| frame.action.as_ref()) {
            github.insert("action_path", action.path.as_str());
        }
        github
    }

    /// The payload, with the inputs of a start by hand as they were typed.
    pub(super) fn event(request: &Request) -> Value {
        if request.inputs.is_empty() && request.payload != Value::Null {
            return request.payload.clone();
        }
        let mut event: Object = match &request.payload {
            Value::Object(members) => (**members).clone(),
            _ => Object::new(),
        };
        if !request.inputs.is_empty() {
            event.insert("inputs", request.inputs.iter().collect::<Object>());
        }
        event.into()
    }

    /// The steps that the job is in.
    fn frame(&self) -> Option<&'a Frame> {
        self.job.and_then(|job| job.frames.last())
    }

    fn scope(&self) -> Option<&'a Scope> {
        self.run.scopes.get(self.group.scope).map(|scope| &**scope)
    }

    fn inputs(&self) -> Object {
        match self.frame().filter(|frame| frame.action.is_some()) {
            Some(frame) => frame.inputs.iter().collect(),
            None => {
                let inputs = self.scope().map(|scope| &scope.inputs).into_iter().flatten();
                inputs.map(|(name, value)| (name, value.clone())).collect()
            }
        }
    }

    fn steps(&self) -> Object {
        let indexes = self.frame().map(|frame| frame.steps.as_slice()).unwrap_or_default();
        let at = |index: &u32| self.job.and_then(|job| job.steps.get(*index as usize));
        let mut object = Object::new();
        for step in indexes.iter().filter_map(at) {
            let (Some(id), Some(ending)) = (&step.id, step.ending) else { continue };
            let conclusion = step.conclusion.unwrap_or(ending);
            let value = Object::new()
                .with("outputs", step.outputs.iter().collect::<Object>())
                .with("outcome", ending.as_str())
                .with("conclusion", conclusion.as_str());
            object.insert(id.as_str(), value);
        }
        object
    }

    fn needs(&self) -> Object {
        let mut object = Object::new();
        for need in &self.group.needs {
            let need = &self.run.groups[*need];
            let result = need.ending().map_or("", Ending::as_str);
            let outputs: Object = need.outputs.iter().collect();
            let value = Object::new().with("result", result).with("outputs", outputs);
            object.insert(need.key.as_str(), value);
        }
        object
    }

    fn strategy(&self) -> Object {
        let Some(cell) = self.cell else { return Object::new() };
        let at_once = cell.max_parallel.unwrap_or(cell.total);
        Object::new()
            .with("fail-fast", cell.fail_fast)
            .with("job-index", cell.index)
            .with("job-total", cell.total)
            .with("max-parallel", at_once)
    }

    fn runner(&self) -> Object {
        let mut runner =
            Object::new().with("name", "grit").with("environment", "self-hosted").with("debug", "");
        if let Some(prepared) = self.job.and_then(|job| job.prepared.as_ref()) {
            runner.insert("os", &prepared.os);
            runner.insert("arch", &prepared.arch);
            runner.insert("temp", &prepared.temp);
            runner.insert("tool_cache", tool_cache(&prepared.temp));
        }
        runner
    }

    /// No value is known here: events hold what expressions give.
    fn secrets(&self) -> Object {
        let secrets = self.scope().map(|scope| &scope.secrets).into_iter().flatten();
        let mut secrets: Object = secrets.collect();
        let environment = allow::environment_secrets(self.request, self.environment());
        for (name, mark) in &environment {
            secrets.insert(name, mark.as_str());
        }
        if secrets.get(TOKEN).is_none() {
            secrets.insert(TOKEN, self.token());
        }
        secrets
    }

    /// A mark; empty where no job has one.
    fn token(&self) -> String {
        let known = self.request.secrets.contains(TOKEN) && !self.request.seal.is_empty();
        let mark = || Sealed::Secret(TOKEN.to_owned()).mark(&self.request.seal);
        if known { mark() } else { String::new() }
    }

    /// What the job deploys to.
    fn environment(&self) -> Option<&'a str> {
        self.job.and_then(|job| job.cell.environment.as_deref())
    }

    /// Those of the environment in place of others.
    fn vars(&self) -> Object {
        let mut vars: Object = self.request.vars.iter().collect();
        let known = self.environment().and_then(|name| self.request.setting.environment(name));
        for (name, value) in known.map(|spec| &spec.vars).into_iter().flatten() {
            vars.insert(name, value.as_str());
        }
        vars
    }

    /// How the steps that the job is in go.
    fn status_of(&self, job: &JobRun) -> Ending {
        match self.frame().filter(|frame| frame.action.is_some()) {
            Some(frame) if job.status != Ending::Cancelled => frame.status,
            _ => job.status,
        }
    }

    fn cancelled(&self) -> bool {
        match self.job {
            Some(job) => job.status == Ending::Cancelled,
            None => self.run.phase == Phase::Cancelling,
        }
    }

    /// The needs that were named, else all of them.
    fn above(&self, jobs: &[String]) -> impl Iterator<Item = &'a Group> {
        let named = |group: &&Group| {
            let key = group.key.as_str();
            jobs.is_empty() || jobs.iter().any(|job| job.eq_ignore_ascii_case(key))
        };
        let needs: Vec<&Group> =
            self.group.needs.iter().map(|need| &*self.run.groups[*need]).filter(named).collect();
        needs.into_iter()
    }
}

impl Lookup for Names<'_> {
    fn context(&self, name: &str) -> Value {
        match name {
            "github" => self.github().into(),
            "env" => self.env.into_iter().flatten().collect::<Object>().into(),
            "vars" => self.vars().into(),
            "job" => match self.job {
                Some(job) => job_context(job).into(),
                None => Value::Null,
            },
            "steps" => self.steps().into(),
            "runner" => self.runner().into(),
            "secrets" => self.secrets().into(),
            "strategy" => self.strategy().into(),
            "matrix" => match self.cell {
                Some(cell) if !cell.matrix.is_empty() => {
                    let members = cell.matrix.iter().map(|(name, value)| (name, value.clone()));
                    members.collect::<Object>().into()
                }
                _ => Value::Null,
            },
            "needs" => self.needs().into(),
            "inputs" => self.inputs().into(),
            _ => Value::Null,
        }
    }

    fn status(&self, function: StatusFunction, jobs: &[String]) -> bool {
        match (function, self.job) {
            (StatusFunction::Always, _) => true,
            (StatusFunction::Cancelled, _) => self.cancelled(),
            (StatusFunction::Success, Some(job)) => self.status_of(job) == Ending::Success,
            (StatusFunction::Failure, Some(job)) => self.status_of(job) == Ending::Failure,
            (StatusFunction::Success, None) => {
                !self.cancelled() && self.above(jobs).all(|need| need.all_good)
            }
            (StatusFunction::Failure, None) => self.above(jobs).any(|need| need.any_failed),
        }
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        if self.sealing && !self.request.seal.is_empty() {
            return Ok(Sealed::Files(patterns.to_vec()).mark(&self.request.seal));
        }
        Err("files of the workspace cannot be read here".to_owned())
    }

    fn is_sealed(&self, value: &Value) -> bool {
        is_sealed_in(value, &self.request.seal)
    }

    fn stand_in(&self, expr: &Expr) -> Option<String> {
        let mark = || Sealed::Expression(Box::new(Deferred::of(expr, self)));
        self.sealing.then(|| mark().mark(&self.request.seal))
    }
}

fn job_context(job: &JobRun) -> Object {
    let mut context = Object::new().with("status", job.status.as_str());
    let Some(containers) = job.prepared.as_ref().map(|prepared| &prepared.containers) else {
        return context;
    };
    let network = containers.network.as_str();
    if let Some(id) = &containers.job {
        let container = Object::new().with("id", id.as_str()).with("network", network);
        context.insert("container", container);
    }
    if !containers.services.is_empty() {
        let service = |(name, service): (&String, &PreparedService)| {
            let ports: Object = service.ports.iter().collect();
            let value = Object::new().with("id", service.id.as_str());
            (name.clone(), value.with("network", network).with("ports", ports))
        };
        let services = containers.services.iter().map(service);
        let services = services.fold(Object::new(), |all, (name, value)| all.with(name, value));
        context.insert("services", services);
    }
    context
}

/// The variables that every step has, whatever its file sets.
pub(super) fn default_variables(names: &Names<'_>) -> BTreeMap<String, String> {
    let Value::Object(github) = names.context("github") else { return BTreeMap::new() };
    let mut variables = BTreeMap::from([
        ("GITHUB_ACTIONS".to_owned(), "true".to_owned()),
        ("RUNNER_NAME".to_owned(), "grit".to_owned()),
        ("RUNNER_ENVIRONMENT".to_owned(), "self-hosted".to_owned()),
    ]);
    let secret_or_large = ["token", "event", "ref_protected"];
    for (name, value) in github.iter().filter(|(name, _)| !secret_or_large.contains(name)) {
        variables.insert(format!("GITHUB_{}", name.to_uppercase()), value.to_text());
    }
    if let Some(prepared) = names.job.and_then(|job| job.prepared.as_ref()) {
        for (name, value) in [
            ("RUNNER_OS", prepared.os.clone()),
            ("RUNNER_ARCH", prepared.arch.clone()),
            ("RUNNER_TEMP", prepared.temp.clone()),
            ("RUNNER_TOOL_CACHE", tool_cache(&prepared.temp)),
        ] {
            variables.insert(name.to_owned(), value);
        }
    }
    variables
}

fn event_path(temp: &str) -> String {
    format!("{temp}/{}", JobSpec::EVENT_FILE)
}

/// The branch that a pull request comes from, or is for; empty for every other event.
fn pull_request_ref(request: &Request, side: &str) -> String {
    let member = |value: &Value, name: &str| match value {
        Value::Object(members) => members.get(name).cloned().unwrap_or_default(),
        _ => Value::Null,
    };
    member(&member(&member(&request.payload, "pull_request"), side), "ref").to_text()
}

fn ref_type(request: &Request) -> &'static str {
    match &request.ref_name {
        Some(name) if name.tag().is_some() => "tag",
        Some(_) => "branch",
        None => "",
    }
}

fn server_url(request: &Request) -> &str {
    request.env.get("GRIT_SERVER").map_or("", String::as_str)
}

fn tool_cache(temp: &str) -> String {
    format!("{temp}/tool-cache")
}
