//! What is said while a run goes on, and at its end.

use std::collections::BTreeSet;

use grit_control::view::RunView;
use grit_executor::HostRunner;
use grit_pipeline::Annotations;
use grit_pipeline::plan::{Action, Plan};
use grit_pipeline::run::{Ending, JobView, StepView};
use grit_types::Timestamp;
use serde_json::{Value, json};

use super::LOG_BYTES;
use super::args::Run;
use super::clean::{self, Cleaner};
use super::live::Live;
use crate::ui::Ui;

/// So much of the end of a log is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 256 << 10;
/// What brings the files of the commit into a job.
const CHECKOUT: &str = "actions/checkout";
/// What programs say of files that are not there, in lower case.
const MISSING: [&str; 5] =
    ["no such file", "not found", "could not find", "does not exist", "not a git repository"];

/// Says what happens, in the form that is wanted.
pub struct Teller<'a> {
    ui: &'a Ui,
    plan: &'a Plan,
    form: Form,
    live: Option<Live>,
    all_logs: bool,
    /// What this run was told, for the command that runs a part of it again.
    given: String,
    steps: BTreeSet<(String, u32, bool)>,
    jobs: BTreeSet<(String, bool)>,
    /// What was said of jobs that wait.
    waits: BTreeSet<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Lines,
    Silent,
}

impl<'a> Teller<'a> {
    pub fn new(options: &Run, plan: &'a Plan, ui: &'a Ui) -> Self {
        let form = if options.json_lines { Form::Lines } else { Form::Plain };
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let live = ui.can_redraw() && form == Form::Plain && !dumb && options.shell.is_none();
        let (live, given) = (live.then(Live::default), given(options));
        Self { live, form, given, ..Self::silent(plan, ui) }
    }

    /// Says nothing.
    pub fn silent(plan: &'a Plan, ui: &'a Ui) -> Self {
        Self {
            ui,
            plan,
            form: Form::Silent,
            live: None,
            all_logs: std::env::var_os("GRIT_VERBOSE").is_some(),
            given: String::new(),
            steps: BTreeSet::new(),
            jobs: BTreeSet::new(),
            waits: BTreeSet::new(),
        }
    }

    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Takes away what is drawn.
    pub fn clear(&mut self) {
        if let Some(live) = &mut self.live {
            self.ui.paint(&live.erase());
        }
    }

    pub async fn tell(&mut self, view: &RunView, host: Option<&HostRunner>, now: Timestamp) {
        match self.form {
            Form::Silent => {}
            Form::Lines => self.lines(view),
            Form::Plain => self.plain(view, host).await,
        }
        if let Some(live) = &mut self.live {
            let drawn =
                if view.completed_at.is_some() { live.erase() } else { live.draw(view, now) };
            self.ui.paint(&drawn);
        }
    }

    async fn plain(&mut self, view: &RunView, host: Option<&HostRunner>) {
        for job in &view.jobs {
            self.waiting(view, job);
            for step in job.steps.iter().filter(|step| step.ending.is_some()) {
                if self.steps.insert((job.name.clone(), step.index, true)) {
                    self.clear();
                    self.step(view, job, step, host).await;
                }
            }
            if let Some(ending) = job.ending
                && self.jobs.insert((job.name.clone(), true))
            {
                self.clear();
                let why = job.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                self.ui.status(shown_line(&format!(
                    "{} job {}{why}",
                    mark(Some(ending)),
                    job.name
                )));
                annotations(&job.annotations).iter().for_each(|line| self.ui.status(line));
            }
        }
    }

    /// What a job waits for, and how somebody answers.
    fn waiting(&mut self, view: &RunView, job: &JobView) {
        let Some(waiting) = &job.waiting else { return };
        if !self.waits.insert((job.name.clone(), waiting.clone())) {
            return;
        }
        self.clear();
        self.ui.status(shown_line(&format!("Waiting: {} {waiting}", job.name)));
        if job.approvals_missing > 0 {
            let target = target(view, job);
            self.ui.status(shown_line(&format!(
                "  In another terminal: `grit approve {target}`, or with `--reject REASON`"
            )));
        }
    }

    /// The log of a step that failed is shown; of one that passed, only that it did.
    async fn step(
        &self,
        view: &RunView,
        job: &JobView,
        step: &StepView,
        host: Option<&HostRunner>,
    ) {
        let note = if step.note.is_empty() { String::new() } else { format!(" - {}", step.note) };
        let line = format!("  {} {} / {}{note}", mark(step.ending), job.name, step.title);
        self.ui.status(shown_line(&line));
        let failed = step.ending == Some(Ending::Failure);
        let log = match (job.job, host) {
            (Some(id), Some(host)) if failed || self.all_logs => {
                self.log(view, id, step, host).await
            }
            _ => String::new(),
        };
        annotations(&step.annotations).iter().for_each(|line| self.ui.status(line));
        if failed && !job.steps.iter().any(|other| other.index < step.index && is_failure(other)) {
            let again = again(self.plan, job, step);
            self.ui.status(format!("  Again: {again}{}", self.given));
            if let Some(hint) = self.missing_checkout(job, &log) {
                self.ui.status(hint);
            }
        }
    }

    async fn log(
        &self,
        view: &RunView,
        job: grit_types::JobId,
        step: &StepView,
        host: &HostRunner,
    ) -> String {
        let (mut tail, mut offset) = (Vec::new(), 0);
        while let Ok(Some(bytes)) = host.read_log(view.id, job, step.index, offset, LOG_BYTES).await
            && !bytes.is_empty()
        {
            offset += bytes.len() as u64;
            tail.extend_from_slice(&bytes);
            let over = tail.len().saturating_sub(SHOWN_BYTES_MAX);
            tail.drain(..over);
        }
        let left_out = offset - tail.len() as u64;
        if left_out > 0 {
            self.ui.status(format!("({left_out} bytes before this; `--logs FOLDER` keeps them)"));
        }
        let mut cleaner = Cleaner::new(self.ui.is_coloured());
        let mut shown = cleaner.push(&tail);
        shown.push_str(&cleaner.finish());
        if !shown.trim().is_empty() && shown.trim() != step.note.trim() {
            self.ui.status(shown.trim_end());
        }
        shown
    }

    /// A job begins in an empty folder, as on the service.
    fn missing_checkout(&self, job: &JobView, log: &str) -> Option<String> {
        let log = log.to_ascii_lowercase();
        if !MISSING.iter().any(|words| log.contains(words)) {
            return None;
        }
        let planned = self.plan.jobs.get(&job.key)?;
        let checks_out = planned.steps.iter().any(|step| match &step.action {
            Action::Uses { uses, .. } => uses.to_ascii_lowercase().starts_with(CHECKOUT),
            Action::Run { .. } => false,
        });
        (!checks_out).then(|| {
            "  Hint: the job has no `uses: actions/checkout@v4`, so the files of the commit are not there"
                .to_owned()
        })
    }

    fn lines(&mut self, view: &RunView) {
        if self.jobs.is_empty() {
            self.jobs.insert((String::new(), false));
            self.line("run.started", view, json!({}));
        }
        for job in &view.jobs {
            let of_job = json!({ "job": job.name, "key": job.key });
            if let Some(waiting) = &job.waiting
                && self.waits.insert((job.name.clone(), waiting.clone()))
            {
                let mut data = of_job.clone();
                data["waiting"] = json!(waiting);
                if job.approvals_missing > 0 {
                    data["approve"] = json!(format!("grit approve {}", target(view, job)));
                }
                self.line("job.waiting", view, data);
            }
            if job.started.is_some() && self.jobs.insert((job.name.clone(), false)) {
                self.line("job.started", view, of_job.clone());
            }
            for step in &job.steps {
                let of_step = json!({ "job": job.name, "key": job.key, "step": step });
                if self.steps.insert((job.name.clone(), step.index, false)) {
                    self.line("step.started", view, of_step.clone());
                }
                let over = step.ending.is_some();
                if over && self.steps.insert((job.name.clone(), step.index, true)) {
                    self.line("step.finished", view, of_step);
                }
            }
            if let Some(ending) = job.ending
                && self.jobs.insert((job.name.clone(), true))
            {
                let mut data = of_job;
                (data["ending"], data["why"]) = (json!(ending), json!(job.why));
                data["annotations"] = json!(job.annotations);
                self.line("job.finished", view, data);
            }
        }
        if view.completed_at.is_some() {
            self.line("run.finished", view, json!({ "status": view.status }));
        }
    }

    fn line(&self, event: &str, view: &RunView, data: Value) {
        let line = json!({
            "schema": 1, "event": event, "run": view.id, "workflow": view.name,
            "file": self.plan.file, "data": data,
        });
        self.ui.raw(format!("{line}\n").as_bytes());
    }
}

/// How a job is named where it is answered for.
fn target(view: &RunView, job: &JobView) -> String {
    format!("{}/{}", view.id, job.key)
}

fn is_failure(step: &StepView) -> bool {
    step.ending == Some(Ending::Failure)
}

fn shown_line(line: &str) -> String {
    clean::text(line.as_bytes(), false).replace('\n', " ")
}

/// `error src/a.rs:3: message`, one for each.
fn annotations(annotations: &Annotations) -> Vec<String> {
    let one = |annotation: &grit_pipeline::Annotation| {
        let place = annotation.place();
        let place = if place.is_empty() { String::new() } else { format!(" {place}") };
        let title = annotation.title.as_ref().map(|title| format!(" {title}:")).unwrap_or_default();
        let message = annotation.message.trim_end();
        shown_line(&format!("    {}{place}:{title} {message}", annotation.level.as_str()))
    };
    let mut lines: Vec<String> = annotations.kept.iter().map(one).collect();
    if annotations.left_out > 0 {
        lines.push(format!("    and {} more annotations", annotations.left_out));
    }
    lines
}

/// What runs only this again.
fn again(plan: &Plan, job: &JobView, step: &StepView) -> String {
    let file = plan.file.rsplit('/').next().unwrap_or(&plan.file);
    let mut words =
        vec!["grit run -W".to_owned(), quoted(file), "-j".to_owned(), quoted(job.key.as_str())];
    for (name, value) in &job.matrix {
        words.push(format!("--matrix {}", quoted(&format!("{name}:{value}"))));
    }
    if let Some(from) = super::begin::name_of(plan, &job.key, step) {
        words.push(format!("--from {}", quoted(&from)));
    }
    words.join(" ")
}

/// The options that say what a run is told, each after a space.
fn given(options: &Run) -> String {
    let mut words = Vec::new();
    let mut add = |name: &str, value: &str| words.push(format!(" {name} {}", quoted(value)));
    options.what.event.iter().for_each(|event| add("--event", event));
    options.what.input.iter().for_each(|input| add("--input", input));
    options.here.iter().for_each(|label| add("--here", label));
    options.secrets.iter().for_each(|file| add("--secrets", file));
    options.vars.iter().for_each(|file| add("--vars", file));
    if options.uncommitted || options.watch {
        words.push(" --uncommitted".to_owned());
    }
    words.concat()
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// How something ended, for people; nothing: it is not over.
pub fn mark(ending: Option<Ending>) -> &'static str {
    match ending {
        Some(Ending::Success) => "ok     ",
        Some(Ending::Failure) => "FAILED ",
        Some(Ending::Cancelled) => "ended  ",
        Some(Ending::Skipped) => "skipped",
        None => "running",
    }
}

/// What a step wrote as its summary.
pub struct Summary {
    run: grit_types::RunId,
    job: String,
    index: u32,
    step: String,
    text: String,
}

/// All that the steps of these runs wrote.
pub async fn summaries(views: &[RunView], host: &HostRunner) -> Vec<Summary> {
    let mut found = Vec::new();
    for view in views {
        for job in &view.jobs {
            for step in job.steps.iter().filter(|step| step.summary_bytes > 0) {
                let Some(id) = job.job else { continue };
                let Ok(Some(bytes)) = host.read_summary(view.id, id, step.index).await else {
                    continue;
                };
                found.push(Summary {
                    run: view.id,
                    job: job.name.clone(),
                    index: step.index,
                    step: step.title.clone(),
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                });
            }
        }
    }
    found
}

/// For people, as they are written.
pub fn shown(summaries: &[Summary]) -> String {
    let one = |summary: &Summary| {
        let head = shown_line(&format!("{} / {}", summary.job, summary.step));
        format!("\n{head}\n\n{}", clean::text(summary.text.as_bytes(), false).trim_end())
    };
    summaries.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// The runs for programs, with their summaries at the steps that wrote them.
pub fn documents(views: &[RunView], summaries: &[Summary]) -> Vec<Value> {
    let one = |view: &RunView| {
        let mut document = serde_json::to_value(view).unwrap_or_default();
        for summary in summaries.iter().filter(|summary| summary.run == view.id) {
            let jobs = document["jobs"].as_array_mut().into_iter().flatten();
            let job = jobs.into_iter().find(|job| job["name"] == summary.job.as_str());
            let steps = job.and_then(|job| job["steps"].as_array_mut()).into_iter().flatten();
            for step in steps.into_iter().filter(|step| step["index"] == summary.index) {
                step["summary"] = json!(summary.text);
            }
        }
        document
    };
    views.iter().map(one).collect()
}

/// What a run came to, in a line.
pub fn summary(view: &RunView) -> String {
    let count = |ending: Ending| {
        let matches = view.jobs.iter().filter(|job| job.ending == Some(ending));
        matches.count()
    };
    let millis = view.completed_at.map_or(0, |end| end.since(view.started_at).as_millis());
    let cancelled = match count(Ending::Cancelled) {
        0 => String::new(),
        some => format!(", {some} cancelled"),
    };
    format!(
        "{}: {} in {:.1} s - {} succeeded, {} failed, {} skipped{cancelled}\n",
        view.name,
        view.status,
        millis as f64 / 1000.0,
        count(Ending::Success),
        count(Ending::Failure),
        count(Ending::Skipped)
    )
}
