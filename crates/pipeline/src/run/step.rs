use std::collections::BTreeMap;
use std::time::Duration;

use super::context::{Names, default_variables};
use super::state::{Ending, JobRun, Run};
use super::{Request, TIMEOUT_MINUTES_MAX, bounded};
use crate::builtin::{Builtin, builtin};
use crate::expr::{Lookup, Template};
use crate::plan::{Action, Defaults, Step, TIMEOUT_MINUTES_DEFAULT};
use crate::{StepAction, StepSpec, seal, shell};

/// What becomes of the next step of a job.
pub(super) enum Next {
    Start(Box<StepSpec>),
    Settle { index: u32, title: String, ending: Ending, conclusion: Ending, note: String },
}

/// Decides about `step`, the next of `job`, with all its expressions.
pub(super) fn next(run: &Run, request: &Request, job: &JobRun, step: &Step) -> Next {
    let index = u32::try_from(job.steps.len()).unwrap_or(u32::MAX);
    let shared = Names::of_job(run, request, job).with_env(&job.env);
    let own = texts(&step.env, "env", &shared.sealing());
    let mut env = job.env.clone();
    env.extend(own.clone().unwrap_or_default());
    let names = Names { env: Some(&env), ..shared };
    let title = seal::shown(&title(step, &names), &request.seal);
    let settled = |ending, conclusion, note: String| Next::Settle {
        index,
        title: title.clone(),
        ending,
        conclusion,
        note,
    };
    let failed = |note| {
        let tolerated = may_fail(step.continue_on_error.as_ref(), &names);
        settled(Ending::Failure, if tolerated { Ending::Success } else { Ending::Failure }, note)
    };
    match step.condition.holds(&names) {
        Ok(true) => {}
        Ok(false) => return settled(Ending::Skipped, Ending::Skipped, String::new()),
        Err(error) => return failed(format!("if: {error}")),
    }
    let work = own.and_then(|_| work(run, job, request, step, &names.sealing()));
    let (action, directory, timeout) = match work {
        Ok(Work::Do(action, directory, timeout)) => (action, directory, timeout),
        Ok(Work::Note(note)) => return settled(Ending::Success, Ending::Success, note),
        Err(note) => return failed(note),
    };
    let spec = Box::new(StepSpec {
        job: job.id,
        run: request.run,
        index,
        title: title.clone(),
        action,
        env: environment(request, step, &names, env.clone()),
        path: job.path.clone(),
        working_directory: directory,
        timeout,
    });
    match bounded(&spec, "its script and the variables that it is given") {
        Ok(()) => Next::Start(spec),
        Err(note) => failed(note),
    }
}

enum Work {
    Do(StepAction, Option<String>, Duration),
    Note(String),
}

fn work(
    run: &Run,
    job: &JobRun,
    request: &Request,
    step: &Step,
    names: &Names<'_>,
) -> Result<Work, String> {
    let planned = run.planned(&run.groups[job.group]);
    let defaults: Vec<&Defaults> =
        planned.map(|job| &job.defaults).into_iter().chain([&request.plan.defaults]).collect();
    let timeout = timeout(step.timeout_minutes.as_ref(), names)?;
    let action = match &step.action {
        Action::Run { script, shell } => {
            let shell = first(shell.as_ref(), &defaults, |defaults| &defaults.shell);
            let shell = text(shell, "shell", names)?;
            let command = shell::command(shell.as_deref()).map_err(|error| error.to_string())?;
            let script = script.text(names).map_err(|error| format!("run: {error}"))?;
            let directory = first(step.working_directory.as_ref(), &defaults, |defaults| {
                &defaults.working_directory
            });
            let directory = text(directory, "working-directory", names)?;
            return Ok(Work::Do(StepAction::Script { script, command }, directory, timeout));
        }
        Action::Uses { uses, with } => {
            // Its inputs may not be to be had (`hashFiles`), and do not matter then.
            if let Builtin::Note(note) = builtin(uses, &BTreeMap::new()) {
                return Ok(Work::Note(note));
            }
            builtin(uses, &texts(with, "with", names)?)
        }
    };
    match action {
        Builtin::Run(action) => Ok(Work::Do(action, None, timeout)),
        Builtin::Note(note) => Ok(Work::Note(note)),
        Builtin::Refused(why) => Err(why),
    }
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

fn texts(
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
        return Ok(Duration::from_secs(u64::from(TIMEOUT_MINUTES_DEFAULT) * 60));
    };
    let value = template.value(lookup).map_err(|error| format!("timeout-minutes: {error}"))?;
    let minutes = value.to_number();
    if minutes.is_nan() || minutes <= 0.0 {
        let text = value.to_text();
        return Err(format!("timeout-minutes must be a number above 0, and is `{text}`"));
    }
    Ok(Duration::from_secs_f64(minutes.min(f64::from(TIMEOUT_MINUTES_MAX)) * 60.0))
}

/// Whether `continue-on-error` says so.
pub(super) fn may_fail(template: Option<&Template>, lookup: &dyn Lookup) -> bool {
    let flag = |template: &Template| template.value(lookup).ok().and_then(|value| value.to_flag());
    template.and_then(flag).unwrap_or(false)
}

fn title(step: &Step, names: &Names<'_>) -> String {
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
fn environment(
    request: &Request,
    step: &Step,
    names: &Names<'_>,
    set: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([("CI".to_owned(), "true".to_owned())]);
    env.extend(set);
    env.extend(request.env.clone());
    env.extend(default_variables(names));
    let action = step.id.as_ref().map_or("__run", |id| id.as_str());
    env.insert("GITHUB_ACTION".to_owned(), action.to_owned());
    env
}
