//! Where in a job a run begins, and where a shell is opened.

use grit_pipeline::expr::Template;
use grit_pipeline::plan::{Action, Job, JobKey, Plan, Step};
use grit_pipeline::run::{Selection, StepView};

use super::args::Run;
use super::shell::{self, Wish};
use super::wanted::Chosen;
use crate::exit::{Exit, Failure};

/// What `--from` and `--shell` ask for.
#[derive(Default)]
pub struct Begin {
    from: Option<(String, JobKey, usize)>,
    pub shell: Option<Wish>,
}

impl Begin {
    /// Finds the steps that are named; only the workflow and the job of such a step are left, and the
    /// step that gets a shell is marked.
    pub fn find(options: &Run, chosen: &mut Vec<Chosen>) -> Result<Self, Failure> {
        let mut begin = Self::default();
        if let Some(name) = &options.from {
            let (file, job, index) = find(chosen, &options.what.jobs, name)?;
            chosen.retain(|chosen| chosen.plan.file == file);
            begin.from = Some((file, job, index));
        }
        if let Some(name) = &options.shell {
            let (before, name) = match name.strip_prefix("before:") {
                Some(name) => (true, name),
                None => (false, name.as_str()),
            };
            shell::check_terminal()?;
            let (file, job, index) = find(chosen, &options.what.jobs, name)?;
            chosen.retain(|chosen| chosen.plan.file == file);
            let planned = chosen.iter_mut().find_map(|chosen| chosen.plan.jobs.get_mut(&job));
            let step = planned.and_then(|planned| planned.steps.get_mut(index));
            let mark = Template::literal(shell::MARK_VALUE);
            step.into_iter()
                .for_each(|step| drop(step.env.insert(shell::MARK.to_owned(), mark.clone())));
            begin.shell = Some(Wish { before, step: name.to_owned() });
            begin.from.get_or_insert((file, job, 0));
        }
        Ok(begin)
    }

    /// Only that job, from that step on.
    pub fn narrow(&self, plan: &Plan, only: &mut Selection) {
        let Some((file, job, index)) = &self.from else { return };
        if plan.file != *file {
            return;
        }
        only.jobs = vec![job.clone()];
        only.from.insert(job.clone(), *index);
    }
}

/// The file, the job and the place of the one step of that id, name or number.
fn find(
    chosen: &[Chosen],
    jobs: &[String],
    name: &str,
) -> Result<(String, JobKey, usize), Failure> {
    let wanted = |job: &&Job| jobs.is_empty() || jobs.iter().any(|key| key == job.key.as_str());
    let mut found = Vec::new();
    let mut names = Vec::new();
    for plan in chosen.iter().map(|chosen| &chosen.plan) {
        for job in plan.jobs.values().filter(wanted) {
            names.extend(job.steps.iter().map(title));
            let at = place(job, name);
            found.extend(at.map(|at| (plan.file.clone(), job.key.clone(), at)));
        }
    }
    let usage = |message: String| Failure::new(Exit::Usage, "usage", message);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            let failure = usage(format!("no job has a step `{name}`"));
            let near = grit_diag::suggest(name, names.iter().map(String::as_str));
            Err(match near {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("`grit run --dry-run` shows the steps"),
            })
        }
        _ => {
            let of: Vec<String> =
                found.iter().map(|(file, job, _)| format!("{job} of {file}")).collect();
            Err(usage(format!("several jobs have a step `{name}`: {}", of.join(", ")))
                .hint("`--job JOB` and `-W FILE` say which is meant"))
        }
    }
}

/// An id first, then what people see, then its number from 1.
fn place(job: &Job, name: &str) -> Option<usize> {
    let by = |test: &dyn Fn(&Step) -> bool| job.steps.iter().position(test);
    by(&|step| step.id.as_ref().is_some_and(|id| id.as_str() == name))
        .or_else(|| by(&|step| title(step) == name))
        .or_else(|| by(&|step| title(step).eq_ignore_ascii_case(name)))
        .or_else(|| name.parse().ok().and_then(|number: usize| number.checked_sub(1)))
        .filter(|at| *at < job.steps.len())
}

/// What people see, as far as it is written out.
fn title(step: &Step) -> String {
    if let Some(name) = &step.name {
        return name.source().to_owned();
    }
    match &step.action {
        Action::Run { script, .. } => {
            format!("Run {}", script.source().trim_start().lines().next().unwrap_or_default())
        }
        Action::Uses { uses, .. } => format!("Run {uses}"),
    }
}

/// By which name the step that is shown is found again; none: it is a part of an action.
pub fn name_of(plan: &Plan, job: &JobKey, step: &StepView) -> Option<String> {
    let job = plan.jobs.get(job)?;
    let root = |title: &str| job.steps.iter().position(|step| self::title(step) == title);
    let at = root(&step.title).filter(|_| step.depth == 0)?;
    let id = job.steps[at].id.as_ref().map(|id| id.as_str().to_owned());
    Some(id.unwrap_or_else(|| step.title.clone()))
}
