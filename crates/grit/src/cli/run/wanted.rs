//! What of the commit's workflows is run: what a push would start, or what is asked for.

use grit_git::Repository;
use grit_pipeline::expr::{Object, Value};
use grit_pipeline::plan::{Plan, Protection};
use grit_pipeline::runners::RunnerRule;
use grit_pipeline::trigger::starts;
use grit_rollout::config::IssuesConfig;
use grit_types::{CommitId, RefName};

use super::args::What;
use super::given::{self, Given};
use crate::cli::files::{self, WORKFLOWS};
use crate::cli::pipeline::trigger;
use crate::cli::place::git_failure;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Where the default branch of a remote is looked for.
const DEFAULT_BRANCHES: [&str; 3] = ["HEAD", "main", "master"];

/// A workflow that is to be run, and by which event.
#[derive(Clone)]
pub struct Chosen {
    pub plan: Plan,
    pub event: String,
}

/// What is to be run, and what it is told.
pub struct Wanted {
    pub chosen: Vec<Chosen>,
    pub plans: Vec<Plan>,
    pub given: Given,
    pub issues: IssuesConfig,
    pub runners: Vec<RunnerRule>,
    pub protections: Vec<(String, Protection)>,
}

/// Reads the commit's files; what is wrong with one stops all of it before anything starts.
pub fn wanted(
    what: &What,
    repository: &Repository,
    commit: &CommitId,
    ui: &Ui,
) -> Result<Wanted, Failure> {
    let files = files::read(repository, commit, what.workflow.as_deref())?;
    if let Some(refusal) = files.refusal(repository) {
        return Err(refusal);
    }
    files.warnings().iter().for_each(|warning| ui.status(warning));
    if files.plans.is_empty() {
        return Err(no_pipeline(what));
    }
    let branch = repository.head().map_err(|error| git_failure(&error))?.branch;
    let mut given = Given::read(what, branch)?;
    if !given.is_told {
        let pushed = Pushed::of(repository, commit, given.occurrence.ref_name.as_ref())?;
        given.occurrence.changed_paths = pushed.changed;
        given.payload = payload(repository, commit, pushed.before.as_ref(), &given)?;
    }
    let chosen = choose(what, &files.plans, &given)?;
    let named = what.workflow.is_some() || !what.jobs.is_empty() || given.is_told;
    if let Some(words) = skips(repository, commit)?.filter(|_| !named) {
        ui.status(format!("Nothing is started: the commit's message says `{words}`"));
        return Ok(Wanted::of(files, Vec::new(), given));
    }
    if chosen.is_empty() {
        nothing_starts(&files.plans, &given, ui);
    }
    Ok(Wanted::of(files, chosen, given))
}

impl Wanted {
    fn of(files: files::Files, chosen: Vec<Chosen>, given: Given) -> Self {
        let plans = chosen.iter().map(|chosen| chosen.plan.clone()).collect();
        let (issues, runners, protections) = (files.issues, files.runners, files.protections);
        Self { chosen, plans, given, issues, runners, protections }
    }
}

fn no_pipeline(what: &What) -> Failure {
    let message = match &what.workflow {
        Some(name) => format!("no workflow of the current commit ends with `{name}`"),
        None => format!("no pipeline in {WORKFLOWS} of the current commit"),
    };
    Failure::new(Exit::NotFound, "no_pipeline", message)
        .hint("commit a workflow file; `grit init --example shop` makes a repository with one")
}

/// A file or a job that is named is run whatever starts it, unless an event is named as well.
fn choose(what: &What, plans: &[Plan], given: &Given) -> Result<Vec<Chosen>, Failure> {
    let named = what.workflow.is_some() || !what.jobs.is_empty();
    let event = |plan: &Plan| given.event_of(plan, named && !given.is_told);
    let started = |plan: &Plan| {
        if given.is_told || !named { given.starts(plan) } else { is_runnable(plan) }
    };
    let of_event = plans.iter().filter(|plan| started(plan));
    let mut chosen: Vec<Chosen> =
        of_event.map(|plan| Chosen { plan: plan.clone(), event: event(plan) }).collect();
    if !what.jobs.is_empty() && !chosen.is_empty() {
        let has = |plan: &Plan, job: &String| plan.jobs.keys().any(|key| key.as_str() == job);
        let somewhere = |job: &&String| chosen.iter().any(|chosen| has(&chosen.plan, job));
        if let Some(missing) = what.jobs.iter().find(|job| !somewhere(job)) {
            return Err(no_job(missing, &chosen));
        }
        chosen.retain(|chosen| what.jobs.iter().any(|job| has(&chosen.plan, job)));
    }
    Ok(chosen)
}

fn no_job(job: &str, chosen: &[Chosen]) -> Failure {
    let keys = chosen.iter().flat_map(|chosen| chosen.plan.jobs.keys());
    let there: Vec<&str> = keys.map(|key| key.as_str()).collect();
    let message = format!("no workflow has a job `{job}`; there is {}", there.join(", "));
    let failure = Failure::new(Exit::Usage, "usage", message);
    match grit_diag::suggest(job, there) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`grit pipeline list` shows them"),
    }
}

/// What in a commit's message keeps a push of it from starting anything.
///
/// Source: GitHub's "Skipping workflow runs".
fn skips(repository: &Repository, commit: &CommitId) -> Result<Option<&'static str>, Failure> {
    let words = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
    let info = repository.commit_info(commit).map_err(|error| git_failure(&error))?;
    Ok(words.into_iter().find(|words| info.subject.contains(words)))
}

/// What only other workflows call is never run by itself.
fn is_runnable(plan: &Plan) -> bool {
    plan.triggers.is_empty() || plan.triggers.iter().any(|it| it.event != "workflow_call")
}

fn nothing_starts(plans: &[Plan], given: &Given, ui: &Ui) {
    let event = &given.occurrence.event;
    let of = given.occurrence.ref_name.as_ref().map(|name| format!(" of {}", name.short()));
    ui.status(format!("Nothing is started by {event}{}:", of.unwrap_or_default()));
    for plan in plans {
        let triggers: Vec<String> = plan.triggers.iter().map(trigger).collect();
        ui.status(format!("  {}: {}", plan.file, triggers.join("; ")));
    }
    if let Some(plan) = plans.iter().find(|plan| is_runnable(plan)) {
        let file = plan.file.rsplit('/').next().unwrap_or(&plan.file);
        ui.status(format!(
            "`grit run -W {file}` runs one all the same, `--event NAME` what that starts"
        ));
    }
}

/// What a push of the branch would bring.
struct Pushed {
    before: Option<CommitId>,
    /// `None`: all of it is new.
    changed: Option<Vec<String>>,
}

impl Pushed {
    /// Against where the remote's branch stands; a new branch against where it leaves the remote's
    /// default one; what is pushed already as its last commit.
    fn of(
        repository: &Repository,
        commit: &CommitId,
        branch: Option<&RefName>,
    ) -> Result<Self, Failure> {
        let failed = |error: grit_git::GitError| git_failure(&error);
        let nothing = Self { before: None, changed: None };
        let Some(branch) = branch.and_then(RefName::branch) else { return Ok(nothing) };
        let before = match upstream(repository, branch)? {
            Some(tip) if tip == *commit => {
                repository.commit_info(commit).map_err(failed)?.parents.first().cloned()
            }
            Some(tip) => Some(tip),
            None => match default_branch(repository)? {
                Some(tip) => repository.merge_base(&tip, commit).map_err(failed)?,
                None => None,
            },
        };
        let Some(before) = before else { return Ok(nothing) };
        let changed = repository.changed_paths(&before, commit).map_err(failed)?;
        Ok(Self { before: Some(before), changed: Some(changed) })
    }
}

/// Where the branch stands at its remote, as far as this clone knows.
fn upstream(repository: &Repository, branch: &str) -> Result<Option<CommitId>, Failure> {
    let failed = |error: grit_git::GitError| git_failure(&error);
    let setting =
        |name: &str| repository.setting(&format!("branch.{branch}.{name}")).map_err(failed);
    let remote = setting("remote")?.unwrap_or_else(|| "origin".to_owned());
    let merged = setting("merge")?;
    let theirs = merged.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
    let name = format!("refs/remotes/{remote}/{}", theirs.unwrap_or(branch));
    if remote == "." {
        return Ok(None);
    }
    repository.resolve(&name).map_err(failed)
}

fn default_branch(repository: &Repository) -> Result<Option<CommitId>, Failure> {
    for name in DEFAULT_BRANCHES {
        let found = repository.resolve(&format!("refs/remotes/origin/{name}"));
        if let Some(found) = found.map_err(|error| git_failure(&error))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What the service tells of a push, as far as a clone knows it.
fn payload(
    repository: &Repository,
    commit: &CommitId,
    before: Option<&CommitId>,
    given: &Given,
) -> Result<Value, Failure> {
    if given.occurrence.event != "push" {
        return Ok(given.payload.clone());
    }
    let info = repository.commit_info(commit).map_err(|error| git_failure(&error))?;
    let zeros = "0".repeat(commit.as_str().len());
    let head = Object::new()
        .with("id", commit.as_str())
        .with("message", info.subject.as_str())
        .with("author", Object::new().with("name", info.author.as_str()));
    let ref_name = given.occurrence.ref_name.as_ref().map_or("", |name| name.as_str());
    Ok(Object::new()
        .with("ref", ref_name)
        .with("before", before.map_or(zeros.as_str(), |before| before.as_str()))
        .with("after", commit.as_str())
        .with("created", before.is_none())
        .with("deleted", false)
        .with("forced", false)
        .with("head_commit", head)
        .into())
}

impl Given {
    /// Whether what is given starts it.
    pub fn starts(&self, plan: &Plan) -> bool {
        // Whose branch is not known is asked for its event alone.
        if self.occurrence.event == "push" && self.occurrence.ref_name.is_none() {
            return plan.trigger("push").is_some();
        }
        starts(plan, &self.occurrence)
    }

    /// By which event a plan is run: that which is given, or where the plan itself is named, the first
    /// that it knows of a push, a start by hand and a pull request.
    fn event_of(&self, plan: &Plan, named: bool) -> String {
        let usual = ["push", "workflow_dispatch", "pull_request"];
        let own = usual.iter().find(|event| plan.trigger(event).is_some()).map(ToString::to_string);
        let any = || plan.triggers.first().map(|trigger| trigger.event.clone());
        match named {
            true => own.or_else(any).unwrap_or_else(|| self.occurrence.event.clone()),
            false => self.occurrence.event.clone(),
        }
    }
}

/// What `--matrix` gives: NAME:VALUE, or NAME=VALUE.
pub fn matrix(texts: &[String]) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let equal: Vec<String> = texts
        .iter()
        .map(|text| match (text.find(':'), text.find('=')) {
            (Some(colon), equals) if equals.is_none_or(|equals| colon < equals) => {
                format!("{}={}", &text[..colon], &text[colon + 1..])
            }
            _ => text.clone(),
        })
        .collect();
    given::pairs("--matrix", &equal)
}
