use std::collections::BTreeMap;
use std::time::Duration;

use super::action::{self, Stage};
use super::ahead;
use super::context::{Names, default_variables};
use super::frame::{self, ACTION_DEPTH_MAX, Frame, Post};
use super::state::{Ending, JobRun, Run};
use super::{Request, TIMEOUT_MINUTES_MAX, bounded};
use crate::builtin::{Builtin, Later, builtin};
use crate::expr::{Answer, Condition, Lookup, Template, Value};
use crate::plan::{Action, ActionPlan, Defaults, Step, TIMEOUT_MINUTES_DEFAULT};
use crate::{Late, StepAction, StepSpec, seal, shell};

/// The time of a step that does not say.
pub(super) const TIMEOUT_DEFAULT: Duration =
    Duration::from_secs(TIMEOUT_MINUTES_DEFAULT as u64 * 60);

/// What becomes of the next step of a job.
pub(super) enum Next {
    /// With what is to be done after the last step.
    Start(Box<StepSpec>, Option<Box<Post>>),
    Settle {
        index: u32,
        title: String,
        ending: Ending,
        conclusion: Ending,
        note: String,
    },
}

/// The place that the next step of the job gets.
pub(super) fn place(job: &JobRun) -> u32 {
    u32::try_from(job.steps.len()).unwrap_or(u32::MAX)
}

/// Decides about `step`, the next of `job`, with all its expressions.
pub(super) fn next(run: &Run, request: &Request, job: &JobRun, step: &Step) -> Next {
    let index = place(job);
    let shared_env = shared_env(job);
    let shared = Names::of_job(run, request, job).with_env(&shared_env);
    let own = texts(&step.env, "env", &shared.sealing());
    let mut env = shared_env.clone();
    env.extend(own.clone().unwrap_or_default());
    let names = Names { env: Some(&env), ..shared };
    let sealing = names.sealing();
    let title = seal::shown(&title(step, &sealing), &request.seal);
    let settled = |ending, conclusion, note: String| Next::Settle {
        index,
        title: title.clone(),
        ending,
        conclusion,
        note: seal::shown(&note, &request.seal),
    };
    let failed = |note| {
        let tolerated = may_fail(step.continue_on_error.as_ref(), &names);
        settled(Ending::Failure, if tolerated { Ending::Success } else { Ending::Failure }, note)
    };
    if passed_over(run, request, job, step) {
        return settled(Ending::Success, Ending::Success, "counts as done".to_owned());
    }
    let condition = match step.condition.ask(&sealing) {
        Ok(Answer::Yes) => None,
        Ok(Answer::Later(deferred)) => Some(Box::new(deferred)),
        Ok(Answer::No) => return settled(Ending::Skipped, Ending::Skipped, String::new()),
        Err(error) => return failed(format!("if: {error}")),
    };
    let late = late(step, &sealing);
    let limit = || limit(step, &late, &sealing);
    let work = own.and_then(|_| Ok((limit()?, work(run, job, step, &sealing)?)));
    let (action, directory, timeout, later) = match work {
        Ok((timeout, Work::Do(action, directory, later))) => (action, directory, timeout, later),
        Ok((_, Work::Note(note))) => return settled(Ending::Success, Ending::Success, note),
        // It fails only where it is to be done.
        Err(why) if condition.is_some() => {
            (Box::new(StepAction::Refuse { why }), None, TIMEOUT_DEFAULT, None)
        }
        Err(note) => return failed(note),
    };
    let post = later.map(|later| {
        let (env, title) = (env.clone(), format!("Post {title}"));
        let Later { action, condition, unless } = *later;
        Box::new(Post { owner: index, title, condition, action, env, timeout, unless })
    });
    let mut set = env.clone();
    set.extend(image_inputs(step, &sealing));
    let spec = Box::new(StepSpec {
        job: job.id,
        run: request.run,
        index,
        title: title.clone(),
        action: *action,
        env: environment(request, step.id.as_ref().map(|id| id.as_str()), &names, set),
        path: job.path.clone(),
        working_directory: directory,
        timeout,
        condition,
        late,
    });
    match bounded(&spec, "its script and the variables that it is given") {
        Ok(()) => Next::Start(spec, post),
        Err(note) => failed(note),
    }
}

/// A script before the step that the job is to begin at.
fn passed_over(run: &Run, request: &Request, job: &JobRun, step: &Step) -> bool {
    let [frame] = job.frames.as_slice() else { return false };
    let group = &run.groups[job.group];
    let is_script = matches!(step.action, Action::Run { .. });
    is_script && group.scope == 0 && request.only.passes_over(&group.key, frame.next)
}

/// What a step that uses an image gives to it.
fn image_inputs(step: &Step, names: &Names<'_>) -> Values {
    match &step.action {
        Action::Uses { uses, with } if uses.starts_with("docker://") => {
            // What cannot be evaluated has failed the step already.
            input_variables(texts(with, "with", names).unwrap_or_default().iter())
        }
        Action::Uses { .. } | Action::Run { .. } => Values::new(),
    }
}

/// What the job and the actions that it is in give to every step.
pub(super) fn shared_env(job: &JobRun) -> BTreeMap<String, String> {
    let mut env = job.env.clone();
    if let Some(frame) = job.frames.last() {
        env.extend(frame.env.clone());
    }
    env
}

/// Names to values.
type Values = BTreeMap<String, String>;

/// The inputs and the variables of the action that the step the job is at uses.
pub(super) fn entered(
    run: &Run,
    request: &Request,
    job: &JobRun,
    action: &ActionPlan,
) -> Result<(Values, Values), String> {
    if job.frames.len() > ACTION_DEPTH_MAX {
        return Err(format!("actions are used more than {ACTION_DEPTH_MAX} deep"));
    }
    let step = job.frames.last().and_then(|top| frame::current(run, job, top));
    let step = step.ok_or("no step uses the action")?;
    let shared = shared_env(job);
    let names = Names::of_job(run, request, job).sealing();
    let own = texts(&step.env, "env", &names.with_env(&shared))?;
    let mut env = job.frames.last().map(|top| top.env.clone()).unwrap_or_default();
    env.extend(own.clone());
    let mut seen = shared.clone();
    seen.extend(own);
    let names = names.with_env(&seen);
    let given = match &step.action {
        Action::Uses { with, .. } => texts(with, "with", &names)?,
        Action::Run { .. } => BTreeMap::new(),
    };
    let inputs = inputs(action, &given, &names)?;
    if action.programs().is_empty() {
        return Ok((inputs, env));
    }
    env.extend(input_variables(given.iter().chain(&inputs)));
    Ok((inputs, env))
}

/// What the action declares: as it is given, else its default, else empty.
fn inputs(
    action: &ActionPlan,
    given: &BTreeMap<String, String>,
    names: &Names<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let value = |(name, input): (&String, &crate::plan::ActionInput)| {
        let found = given.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        let value = match (found, &input.default) {
            (Some((_, value)), _) => value.clone(),
            (None, Some(default)) => {
                default.text(names).map_err(|error| format!("input `{name}`: {error}"))?
            }
            (None, None) => String::new(),
        };
        Ok((name.clone(), value))
    };
    action.inputs.iter().map(value).collect()
}

/// As the toolkit reads them.
fn input_variables<'a>(
    inputs: impl Iterator<Item = (&'a String, &'a String)>,
) -> BTreeMap<String, String> {
    let variable = |name: &str| format!("INPUT_{}", name.replace(' ', "_").to_uppercase());
    inputs.map(|(name, value)| (variable(name), value.clone())).collect()
}

/// The next program of an action that is not composite, and what comes after its last.
pub(super) fn program(
    run: &Run,
    request: &Request,
    job: &JobRun,
    frame: &Frame,
    action: &ActionPlan,
) -> Option<Next> {
    let programs = action.programs();
    // What comes before the main program was done before the first step, or is not done.
    let at =
        if frame.done_ahead { programs.len().checked_sub(1)? + frame.next } else { frame.next };
    let program = *programs.get(at)?;
    let (index, first) = (place(job), ahead::of_program(job));
    let title = format!("{} {program}", action.name);
    let is_main = at + 1 == programs.len();
    let shared = shared_env(job);
    let names = Names::of_job(run, request, job).with_env(&shared);
    let timeout = owner_timeout(run, request, job);
    let planned = stages(action, frame, is_main, &names);
    let (done, then, own) = match planned {
        Ok(planned) => planned,
        Err(note) => {
            let (ending, conclusion) = (Ending::Failure, Ending::Failure);
            return Some(Next::Settle { index, title, ending, conclusion, note });
        }
    };
    // Where something came ahead, what tidies up is known since then.
    let then = then.filter(|_| first.is_none());
    let post = then.map(|(condition, action_after)| {
        let mut env = frame.env.clone();
        env.extend(own.clone());
        Box::new(Post {
            owner: index,
            title: format!("Post {}", action.name),
            condition,
            action: action_after,
            env,
            timeout,
            unless: None,
        })
    });
    let mut set = shared.clone();
    set.extend(own);
    let mut env = environment(request, None, &names, set);
    env.extend(states(job, frame.steps.last().copied().or(first)));
    let spec = Box::new(StepSpec {
        job: job.id,
        run: request.run,
        index,
        title,
        action: done,
        env,
        path: job.path.clone(),
        working_directory: None,
        timeout,
        condition: None,
        late: Late::default(),
    });
    Some(Next::Start(spec, post))
}

/// What is done now, what after the last step of the job and when, and what both are given.
type Stages = (StepAction, Option<(Condition, StepAction)>, Values);

fn stages(
    action: &ActionPlan,
    frame: &Frame,
    is_main: bool,
    names: &Names<'_>,
) -> Result<Stages, String> {
    let stage = if is_main { Stage::Main } else { Stage::Pre };
    let now = action::stage(action, frame, stage, names)?;
    let post = action::post_if(action).filter(|_| is_main);
    let post = post.map(|condition| {
        let after = action::stage(action, frame, Stage::Post, names)?;
        Ok::<_, String>((condition.clone(), after))
    });
    Ok((now, post.transpose()?, action::env(action, names)?))
}

/// What a program of the action left for those after it.
fn states(job: &JobRun, step: Option<u32>) -> BTreeMap<String, String> {
    let step = step.and_then(|step| job.steps.get(step as usize));
    let state = step.map(|step| step.state.clone()).unwrap_or_default();
    state.into_iter().map(|(name, value)| (format!("STATE_{name}"), value)).collect()
}

fn owner_timeout(run: &Run, request: &Request, job: &JobRun) -> Duration {
    let above = job.frames.len().checked_sub(2).and_then(|at| job.frames.get(at));
    let step = above.and_then(|frame| frame::current(run, job, frame));
    let names = Names::of_job(run, request, job);
    timeout(step.and_then(|step| step.timeout_minutes.as_ref()), &names).unwrap_or(TIMEOUT_DEFAULT)
}

/// What is done after the steps of the job.
pub(super) fn post(run: &Run, request: &Request, job: &JobRun, post: &Post) -> Next {
    let index = place(job);
    let names = Names::of_job(run, request, job).with_env(&job.env);
    let settle = |ending, note| Next::Settle {
        index,
        title: post.title.clone(),
        ending,
        conclusion: ending,
        note,
    };
    let owner = job.steps.get(post.owner as usize);
    let gave = |(name, value): &(String, String)| {
        owner.is_some_and(|owner| owner.outputs.get(name) == Some(value))
    };
    let condition = match post.condition.ask(&names.sealing()) {
        Ok(Answer::No) => return settle(Ending::Skipped, String::new()),
        Ok(_) if post.unless.as_ref().is_some_and(gave) => {
            return settle(Ending::Skipped, String::new());
        }
        Ok(Answer::Yes) => None,
        Ok(Answer::Later(deferred)) => Some(Box::new(deferred)),
        Err(error) => return settle(Ending::Failure, format!("post-if: {error}")),
    };
    let mut set = job.env.clone();
    set.extend(post.env.clone());
    set.extend(states(job, Some(post.owner)));
    let spec = StepSpec {
        job: job.id,
        run: request.run,
        index,
        title: post.title.clone(),
        action: post.action.clone(),
        env: environment(request, None, &names, set),
        path: job.path.clone(),
        working_directory: None,
        timeout: post.timeout,
        condition,
        late: Late::default(),
    };
    match bounded(&spec, "what it is given") {
        Ok(()) => Next::Start(Box::new(spec), None),
        Err(note) => settle(Ending::Failure, note),
    }
}

/// What an action gives to the step that used it.
pub(super) fn given_back(
    run: &Run,
    request: &Request,
    job: &JobRun,
    frame: &Frame,
    action: &ActionPlan,
) -> Result<BTreeMap<String, String>, String> {
    if !action.programs().is_empty() {
        let last = frame.steps.last().and_then(|index| job.steps.get(*index as usize));
        return Ok(last.map(|step| step.outputs.clone()).unwrap_or_default());
    }
    let env = shared_env(job);
    let names = Names::of_job(run, request, job).with_env(&env).sealing();
    let outputs = texts(&action.outputs, "output", &names)?;
    bounded(&outputs, "its outputs").map(|()| outputs)
}

enum Work {
    Do(Box<StepAction>, Option<String>, Option<Box<Later>>),
    Note(String),
}

fn work(run: &Run, job: &JobRun, step: &Step, names: &Names<'_>) -> Result<Work, String> {
    let group = &run.groups[job.group];
    let in_action = job.frames.last().is_some_and(|frame| frame.action.is_some());
    let plan = run.plan_of(group).filter(|_| !in_action);
    let own = run.planned(group).filter(|_| !in_action);
    let defaults: Vec<&Defaults> =
        own.map(|job| &job.defaults).into_iter().chain(plan.map(|plan| &plan.defaults)).collect();
    let action = match &step.action {
        Action::Run { script, shell } => {
            let shell = first(shell.as_ref(), &defaults, |defaults| &defaults.shell);
            let shell = text(shell, "shell", names)?;
            let shell = shell.or_else(|| in_container(job).then(|| "sh".to_owned()));
            let command = shell::command(shell.as_deref()).map_err(|error| error.to_string())?;
            let script = script.text(names).map_err(|error| format!("run: {error}"))?;
            let directory = first(step.working_directory.as_ref(), &defaults, |defaults| {
                &defaults.working_directory
            });
            let directory = text(directory, "working-directory", names)?;
            let action = Box::new(StepAction::Script { script, command });
            return Ok(Work::Do(action, directory, None));
        }
        Action::Uses { uses, with } => builtin(uses, &texts(with, "with", names)?),
    };
    match action {
        Builtin::Run(action) => Ok(Work::Do(Box::new(action), None, None)),
        Builtin::RunThen(action, later) => Ok(Work::Do(Box::new(action), None, Some(later))),
        Builtin::Note(note) => Ok(Work::Note(note)),
        Builtin::Refused(why) => Err(why),
    }
}

/// Where nothing is written, a script is one of `sh` there.
fn in_container(job: &JobRun) -> bool {
    job.prepared.as_ref().is_some_and(|prepared| prepared.containers.job.is_some())
}

fn first<'a>(
    own: Option<&'a Template>,
    defaults: &[&'a Defaults],
    of: impl Fn(&'a Defaults) -> &'a Option<Template>,
) -> Option<&'a Template> {
    own.or_else(|| defaults.iter().find_map(|defaults| of(defaults).as_ref()))
}

fn text(
    template: Option<&Template>,
    key: &str,
    names: &Names<'_>,
) -> Result<Option<String>, String> {
    let evaluate = |template: &Template| template.text(names);
    let text = template.map(evaluate).transpose().map_err(|error| format!("{key}: {error}"))?;
    Ok(text.filter(|text| !text.is_empty()))
}

pub(super) fn texts(
    templates: &crate::plan::Texts,
    key: &str,
    names: &Names<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let one = |(name, template): (&String, &Template)| {
        let value = template.text(names).map_err(|error| format!("{key} `{name}`: {error}"))?;
        Ok((name.clone(), value))
    };
    templates.iter().map(one).collect()
}

/// The time that `timeout-minutes` gives.
pub(super) fn timeout(
    template: Option<&Template>,
    lookup: &dyn Lookup,
) -> Result<Duration, String> {
    let Some(template) = template else {
        return Ok(TIMEOUT_DEFAULT);
    };
    let value = template.value(lookup).map_err(|error| format!("timeout-minutes: {error}"))?;
    if lookup.is_sealed(&value) {
        return Err("timeout-minutes cannot be what only the runner knows".to_owned());
    }
    timeout_of(&value)
}

/// The time that a value of `timeout-minutes` stands for.
pub fn timeout_of(value: &Value) -> Result<Duration, String> {
    let minutes = value.to_number();
    if minutes.is_nan() || minutes <= 0.0 {
        let text = value.to_text();
        return Err(format!("timeout-minutes must be a number above 0, and is `{text}`"));
    }
    Ok(Duration::from_secs_f64(minutes.min(f64::from(TIMEOUT_MINUTES_MAX)) * 60.0))
}

/// What of a step only the runner can tell.
fn late(step: &Step, lookup: &dyn Lookup) -> Late {
    let text = |template: Option<&Template>| {
        let text = template?.text(lookup).ok()?;
        lookup.is_sealed(&Value::from(&text)).then_some(text)
    };
    Late {
        timeout_minutes: text(step.timeout_minutes.as_ref()),
        continue_on_error: text(step.continue_on_error.as_ref()),
    }
}

/// The time that a step has, as far as that is known here.
fn limit(step: &Step, late: &Late, lookup: &dyn Lookup) -> Result<Duration, String> {
    match late.timeout_minutes {
        Some(_) => Ok(TIMEOUT_DEFAULT),
        None => timeout(step.timeout_minutes.as_ref(), lookup),
    }
}

/// Whether `continue-on-error` says so.
pub(super) fn may_fail(template: Option<&Template>, lookup: &dyn Lookup) -> bool {
    let flag = |template: &Template| template.value(lookup).ok().and_then(|value| value.to_flag());
    template.and_then(flag).unwrap_or(false)
}

pub(super) fn title(step: &Step, names: &Names<'_>) -> String {
    if let Some(name) = &step.name {
        return name.text(names).unwrap_or_else(|_| name.source().to_owned());
    }
    match &step.action {
        Action::Run { script, .. } => {
            let script = script.text(names).unwrap_or_else(|_| script.source().to_owned());
            format!("Run {}", script.trim_start().lines().next().unwrap_or_default())
        }
        Action::Uses { uses, .. } => format!("Run {uses}"),
    }
}

/// Everything a step's process is given: what Grit and GitHub promise wins over what files set.
pub(super) fn environment(
    request: &Request,
    id: Option<&str>,
    names: &Names<'_>,
    set: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([("CI".to_owned(), "true".to_owned())]);
    env.extend(set);
    for (name, value) in &request.env {
        // Files and steps may set it, as on the service; what is ours is found behind theirs.
        if name != "PATH" || !env.contains_key("PATH") {
            env.insert(name.clone(), value.clone());
        }
    }
    if request.vars.get("ACTIONS_STEP_DEBUG").is_some_and(|debug| debug == "true") {
        env.insert("RUNNER_DEBUG".to_owned(), "1".to_owned());
    }
    env.extend(default_variables(names));
    env.insert("GITHUB_ACTION".to_owned(), id.unwrap_or("__run").to_owned());
    env
}
