use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_pipeline::plan::ActionPlan;
use grit_pipeline::{Conclusion, RunnerError, StepAction, StepOutcome, StepSpec};
use grit_types::{EffectId, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::container::Paths;
use super::environment::{self, FILES, Variables};
use super::folder::{Folder, StepRecord, StepState, read_bounded, remove_all};
use super::job::Job;
use super::known::{self, Given};
use super::log::{self, Log};
use super::{
    NOT_PREPARED, Shared, action, artifact, blocking, cache, checkout, container, failed, hiding,
    locked, look_ahead, rust_cache, script, sweeping, tool, unseal,
};
use crate::service;
use crate::text::command::Allowed;
use crate::text::files;

/// What a step may write to each of its files.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Outputs, variables and folders of one step together, as JSON: they become part of an event.
const OUTCOME_BYTES_MAX: usize = 2 * 1024 * 1024;

const TOO_MUCH_SAID: &str =
    "The step fails: it set values of more than 1 MiB by commands such as `::set-output`.";
const TOO_MUCH_WRITTEN: &str =
    "The step fails: its outputs and variables are more than 2 MiB together.";

const INTERRUPTED: &str = "The runner was stopped while this step ran.";

/// One step that is asked for.
pub(super) struct Step {
    pub shared: Arc<Shared>,
    pub effect: EffectId,
    pub spec: StepSpec,
    pub cancel: CancellationToken,
}

/// A step that is being carried out.
pub(super) struct Attempt {
    pub shared: Arc<Shared>,
    pub spec: StepSpec,
    pub job: Arc<Job>,
    pub log: Arc<Mutex<Log>>,
    pub variables: Variables,
    /// What it comes to without being begun.
    settled: Option<Conclusion>,
    /// A failure of it counts as success.
    tolerated: bool,
    cancel: CancellationToken,
    deadline: Option<Instant>,
}

/// What we made of a step that is no process.
#[derive(Default)]
pub(super) struct Made {
    pub outputs: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// For the steps that tidy up after it.
    pub state: BTreeMap<String, String>,
    pub given: Given,
    action: Option<Box<ActionPlan>>,
    found: BTreeMap<String, Option<Box<ActionPlan>>>,
}

/// What a step wrote for the runner.
#[derive(Default)]
struct Written {
    outputs: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    path: Vec<String>,
    state: BTreeMap<String, String>,
    /// For people: which file, and what is wrong with it.
    refusals: Vec<String>,
}

impl Made {
    /// Adds it to what the step said itself; steps in a container are told the paths that it has.
    fn told(self, at: &Attempt, outcome: &mut StepOutcome) {
        let paths = Paths::of_job(&at.job.folder, &at.job.spec.repo);
        let seen = |value: String| match at.job.inside() {
            Some(_) => paths.inside(&value),
            None => value,
        };
        let all = |values: BTreeMap<String, String>| -> BTreeMap<String, String> {
            values.into_iter().map(|(name, value)| (name, seen(value))).collect()
        };
        let Given { outputs, env, path, state, measured } = self.given;
        outcome.measured = (!measured.is_empty()).then(|| Box::new(measured));
        for (to, values) in [
            (&mut outcome.outputs, [self.outputs, outputs]),
            (&mut outcome.env, [self.env, env]),
            (&mut outcome.state, [self.state, state]),
        ] {
            to.extend(values.into_iter().flat_map(all));
        }
        outcome.path.extend(path.into_iter().map(seen));
        (outcome.action, outcome.found) = (self.action, self.found);
    }
}

impl Step {
    /// What became of the effect, or becomes of it now.
    pub async fn conclude(self) -> Result<StepOutcome, RunnerError> {
        let Some(job) = self.job().await? else {
            return Ok(StepOutcome::of(Conclusion::Unable(NOT_PREPARED.to_owned())));
        };
        let begun = self.shared.config.clock.now();
        match self.started_before(&job).await? {
            None => self.carry_out(job, begun).await,
            Some(record) if record.effect != self.effect => {
                Err(other_effect(&self.spec, &record.effect))
            }
            Some(StepRecord { state: StepState::Done(outcome), .. }) => Ok(*outcome),
            Some(StepRecord { state: StepState::Started, .. }) => self.interrupted(job).await,
        }
    }

    async fn job(&self) -> Result<Option<Arc<Job>>, RunnerError> {
        if let Some(job) = locked(&self.shared.jobs).get(&self.spec.job) {
            return Ok(Some(job.clone()));
        }
        let folder = self.shared.folder(self.spec.run, self.spec.job);
        let loaded = blocking(move || Job::load(folder)).await;
        let Some(job) = loaded.map_err(|error| self.failed(error))? else { return Ok(None) };
        let mut jobs = locked(&self.shared.jobs);
        Ok(Some(jobs.entry(self.spec.job).or_insert_with(|| Arc::new(job)).clone()))
    }

    /// What is recorded of it. Of one that is new that it has started is recorded from here on.
    async fn started_before(&self, job: &Job) -> Result<Option<StepRecord>, RunnerError> {
        let (folder, index) = (job.folder.clone(), self.spec.index);
        let started = StepRecord::new(&self.effect, StepState::Started);
        let looked = self.shared.at_files(move || {
            let found = folder.step_record(index)?;
            if found.is_none() {
                folder.write_step_record(index, started)?;
            }
            Ok(found)
        });
        looked.await.map_err(|error| self.failed(error))
    }

    /// It was under way when another process of ours died.
    async fn interrupted(&self, job: Arc<Job>) -> Result<StepOutcome, RunnerError> {
        sweeping::step(&self.shared, &job.folder, self.spec.job, self.spec.index).await?;
        let said = async {
            let (of, path) = (job.clone(), self.log_path());
            let mut log = blocking(move || Log::append(of, &path)).await?;
            log.line(INTERRUPTED).await?;
            log.sync().await
        };
        said.await.map_err(|error| self.failed(error))?;
        self.end(job, StepOutcome::of(Conclusion::Interrupted)).await
    }

    async fn carry_out(&self, job: Arc<Job>, begun: Timestamp) -> Result<StepOutcome, RunnerError> {
        let attempted = async {
            let attempt = self.begin(job.clone()).await?;
            let mut made = Made::default();
            let conclusion = attempt.act(&mut made).await?;
            Ok((attempt, conclusion, made))
        };
        let (attempt, conclusion, made) = match attempted.await {
            Ok(attempted) => attempted,
            Err(error) => return Err(self.give_up(&job, error).await),
        };
        let mut outcome = attempt.gather(conclusion).await?;
        made.told(&attempt, &mut outcome);
        outcome.tolerated = attempt.tolerated;
        outcome.duration = self.shared.config.clock.now().since(begun);
        self.end(job, outcome).await
    }

    /// The outcome as it may be told, recorded.
    async fn end(&self, job: Arc<Job>, outcome: StepOutcome) -> Result<StepOutcome, RunnerError> {
        let (effect, index) = (self.effect.clone(), self.spec.index);
        let ended = self.shared.at_files(move || {
            let outcome = hiding::outcome(&job, index, outcome)?;
            let done = StepState::Done(Box::new(outcome.clone()));
            job.folder.write_step_record(index, StepRecord::new(&effect, done))?;
            Ok(outcome)
        });
        ended.await.map_err(|error| self.failed(error))
    }

    async fn begin(&self, job: Arc<Job>) -> Result<Attempt, RunnerError> {
        let secrets = (self.shared.config.secrets)(&job.spec);
        let named = (self.shared.config.named)(&job.spec);
        job.hide(&secrets);
        job.hide(&named);
        let (allowed, of) = (self.allowed(&named), job.clone());
        let (path, spec) = (self.log_path(), self.spec.clone());
        let ready = self.shared.at_files(move || -> io::Result<_> {
            create_files(&of.folder, spec.index)?;
            let log = Log::create(of.clone(), &path)?;
            let (word, folder) = (&of.spec.seal, &of.folder);
            let opener = unseal::Opener { word, secrets: &named, folder };
            Ok((log, opener.tolerates(&spec), opener.step(spec)))
        });
        let (mut log, tolerated, filled) = ready.await.map_err(|error| self.failed(error))?;
        log.allow(allowed);
        let (mut spec, settled) = match filled {
            Ok(Some(spec)) => (spec, None),
            Ok(None) => (self.spec.clone(), Some(Conclusion::Skipped)),
            Err(why) => (self.spec.clone(), Some(Conclusion::Unable(why))),
        };
        if job.inside().is_some() {
            on_machine(&mut spec, &Paths::of_job(&job.folder, &job.spec.repo));
        }
        let mut variables = self.variables(&job, &spec, &secrets);
        variables.extend(self.services(&job, &spec).await?);
        let deadline = Instant::now().checked_add(spec.timeout);
        Ok(Attempt {
            shared: self.shared.clone(),
            variables,
            spec,
            settled,
            tolerated,
            job,
            log: Arc::new(Mutex::new(log)),
            cancel: self.cancel.clone(),
            deadline,
        })
    }

    /// As the service has it: a secret or a variable of these names.
    fn allowed(&self, named: &BTreeMap<String, String>) -> Allowed {
        let is = |name: &str, value: &str| {
            let found = self.spec.env.get(name).or_else(|| named.get(name));
            found.is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        Allowed {
            debug: is("ACTIONS_STEP_DEBUG", "true") || is("RUNNER_DEBUG", "1"),
            unsecure: is("ACTIONS_ALLOW_UNSECURE_COMMANDS", "true"),
        }
    }

    /// What the step is given to reach the services: actions that bring a program all of them, as
    /// on the service, and every step that may say who it is the one that says so.
    async fn services(&self, job: &Job, spec: &StepSpec) -> Result<Variables, RunnerError> {
        let all = match &spec.action {
            StepAction::Node { .. } | StepAction::Container { .. } => true,
            action => is_cached_build(action),
        };
        let may_ask = service::may_say_who_it_is(&job.spec)
            && matches!(spec.action, StepAction::Script { .. });
        if !all && !may_ask {
            return Ok(Variables::new());
        }
        let services = self.shared.services().await.map_err(|error| self.failed(error))?;
        let service = match container::gateway(&self.shared, job, spec).await {
            None => services.own().clone(),
            Some(gateway) => match services.door(job.spec.job, gateway).await {
                Ok(service) => service,
                // Better none than one that an image is not built for.
                Err(error) => {
                    tracing::warn!(%error, address = %gateway.address, "containers find no services");
                    return Ok(Variables::new());
                }
            },
        };
        let given = service.give(&job.spec, spec, job.folder.uploads(), all);
        let hidden = given.secrets.into_iter().map(|secret| (secret.clone(), secret)).collect();
        job.hide(&hidden);
        let mut variables: Variables =
            given.variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        variables.extend(environment::server_name(spec));
        Ok(variables)
    }

    /// What we do ourselves for a job in a container uses the container's home and programs.
    fn variables(
        &self,
        job: &Job,
        spec: &StepSpec,
        secrets: &BTreeMap<String, String>,
    ) -> Variables {
        let all = self.shared.inherited.for_step(&job.folder, spec, secrets);
        let Some(inside) = job.inside() else { return all };
        let paths = Paths::of_job(&job.folder, &job.spec.repo);
        let folders: Vec<String> = spec.path.iter().map(|folder| paths.inside(folder)).collect();
        let mut all = environment::of_container(&all, spec);
        all.insert("HOME".into(), job.folder.home().into());
        all.insert("PATH".into(), environment::with_path(&folders, &inside.path));
        all
    }

    /// We failed, not the step. With all of it ended it may be asked for once more, unless it had
    /// begun: then the record that stays makes it interrupted.
    async fn give_up(&self, job: &Job, error: RunnerError) -> RunnerError {
        let (folder, index) = (job.folder.clone(), self.spec.index);
        let swept = sweeping::step(&self.shared, &job.folder, self.spec.job, index).await;
        let forgotten = blocking(move || {
            let began = folder.session(index).exists();
            if began { Ok(()) } else { folder.forget_step(index) }
        });
        let forgotten = forgotten.await.map_err(|error| self.failed(error));
        if let Err(error) = swept.and(forgotten) {
            let error = super::chain(&error);
            tracing::warn!(error, "a step that could not be run was not tidied up");
        }
        error
    }

    fn failed(&self, error: io::Error) -> RunnerError {
        failed(what(&self.spec), error)
    }

    fn log_path(&self) -> PathBuf {
        log::path(&self.shared.config.logs, self.spec.run, self.spec.job, self.spec.index)
    }
}

impl Attempt {
    /// For errors.
    pub fn action(&self) -> String {
        what(&self.spec)
    }

    /// Writes a line of ours to the log.
    pub async fn say(&self, text: &str) -> Result<(), RunnerError> {
        let said = self.log.lock().await.line(text).await;
        said.map_err(|error| failed(format!("log of {}", self.action()), error))
    }

    /// Returns when the step may not go on.
    pub async fn cut_short(&self) -> Conclusion {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Conclusion::Cancelled,
            () = self.shared.closing.cancelled() => Conclusion::Interrupted,
            () = deadline => Conclusion::TimedOut,
        }
    }

    async fn act(&self, made: &mut Made) -> Result<Conclusion, RunnerError> {
        let conclusion = if let Some(settled) = &self.settled {
            settled.clone()
        } else if self.cancel.is_cancelled() || self.shared.closing.is_cancelled() {
            self.cut_short().await
        } else {
            self.perform(made).await?
        };
        match &conclusion {
            Conclusion::Exited(_) | Conclusion::Skipped => {}
            Conclusion::TimedOut => {
                let given = grit_types::format_duration(self.spec.timeout);
                self.say(&format!("The step was ended after {given}, its timeout.")).await?;
            }
            Conclusion::Cancelled => self.say("The step was cancelled.").await?,
            Conclusion::Interrupted => self.say(INTERRUPTED).await?,
            Conclusion::Unable(reason) => self.say(reason).await?,
        }
        Ok(conclusion)
    }

    async fn perform(&self, made: &mut Made) -> Result<Conclusion, RunnerError> {
        match &self.spec.action {
            StepAction::Script { script, command } => script::run(self, script, command).await,
            StepAction::Checkout { reference, path, fetch_depth, part } => {
                let (reference, path) = (reference.as_deref(), path.as_deref());
                checkout::run(self, reference, path, *fetch_depth, part).await
            }
            StepAction::Tool { program } => tool::run(self, program).await,
            StepAction::Load { uses } => {
                let (action, conclusion) = action::load(self, uses).await?;
                made.action = action.map(|action| self.as_seen(action));
                Ok(conclusion)
            }
            StepAction::LookAhead { uses } => {
                let (found, conclusion) = look_ahead::run(self, uses).await?;
                let seen = |action: Option<Box<ActionPlan>>| action.map(|it| self.as_seen(it));
                made.found = found.into_iter().map(|(uses, it)| (uses, seen(it))).collect();
                Ok(conclusion)
            }
            StepAction::Known { name, reference, with, post } => {
                known::run(self, name, reference, with, *post, &mut made.given).await
            }
            StepAction::Node { program } => action::node(self, program).await,
            StepAction::Container { image, entrypoint, args } => {
                container::run_action(self, image, entrypoint.as_deref(), args).await
            }
            StepAction::Restore { key, restore_keys, paths, must, lookup_only } => {
                let keys = std::iter::once(key).chain(restore_keys).cloned().collect();
                let wanted = cache::Wanted { keys, paths, lookup_only: *lookup_only };
                cache::restore(self, wanted, *must, made).await
            }
            StepAction::Save { key, paths } => cache::save(self, key, paths).await,
            StepAction::Upload(spec) => artifact::upload(self, spec, made).await,
            StepAction::Download(spec) => artifact::download(self, spec, made).await,
            StepAction::Merge(spec) => artifact::merge(self, spec, made).await,
            StepAction::RustRestore(spec) => rust_cache::restore(self, spec, made).await,
            StepAction::RustSave(spec) => rust_cache::save(self, spec).await,
            StepAction::Refuse { why } => Ok(Conclusion::Unable(why.clone())),
            StepAction::Answer { texts } => {
                made.outputs.clone_from(texts);
                Ok(Conclusion::Exited(0))
            }
        }
    }

    /// The action's steps name its folder as the container has it.
    fn as_seen(&self, mut action: Box<ActionPlan>) -> Box<ActionPlan> {
        if self.job.inside().is_some() {
            let paths = Paths::of_job(&self.job.folder, &self.job.spec.repo);
            action.path = paths.inside(&action.path);
        }
        action
    }

    /// The outcome, with what the step wrote; what may not be in there fails it.
    async fn gather(&self, conclusion: Conclusion) -> Result<StepOutcome, RunnerError> {
        let (mut written, summary_bytes) = self.take_written().await?;
        let mut said = self.log.lock().await.take_said();
        if said.is_too_much {
            written.refusals.push(TOO_MUCH_SAID.to_owned());
        }
        let refused = said.refusals.iter().map(|why| format!("The step fails: {why}."));
        written.refusals.extend(refused);
        let mut outcome = StepOutcome::of(conclusion);
        outcome.outputs = said.outputs;
        outcome.outputs.append(&mut written.outputs);
        (outcome.env, outcome.path) = (said.env, said.path);
        outcome.env.append(&mut written.env);
        outcome.path.append(&mut written.path);
        outcome.state = std::mem::take(&mut said.state);
        outcome.state.append(&mut written.state);
        outcome.annotations = said.annotations;
        if serde_json::to_vec(&outcome).is_ok_and(|bytes| bytes.len() > OUTCOME_BYTES_MAX) {
            outcome = StepOutcome::of(outcome.conclusion);
            written.refusals.push(TOO_MUCH_WRITTEN.to_owned());
        }
        for refusal in &written.refusals {
            self.say(refusal).await?;
        }
        if !written.refusals.is_empty() && outcome.conclusion == Conclusion::Exited(0) {
            outcome.conclusion = Conclusion::Exited(1);
        }
        outcome.summary_bytes = summary_bytes;
        let synced = self.log.lock().await.sync().await;
        synced.map_err(|error| failed(self.action(), error))?;
        Ok(outcome)
    }

    /// What it wrote for the runner, and how long the summary is that is kept of it.
    async fn take_written(&self) -> Result<(Written, u64), RunnerError> {
        let (job, index) = (self.job.clone(), self.spec.index);
        let logs = self.shared.config.logs.clone();
        let taken = self.shared.at_files(move || {
            let written = Written::read(&job.folder.step(index));
            job.store_masks()?;
            Ok((written, store_summary(&job, &logs, index)?))
        });
        taken.await.map_err(|error: io::Error| failed(self.action(), error))
    }
}

impl Written {
    fn read(folder: &Path) -> Self {
        let mut written = Self::default();
        let outputs = written.parse(folder, "GITHUB_OUTPUT", files::entries);
        written.outputs = outputs.into_iter().collect();
        let env = written.parse(folder, "GITHUB_ENV", files::variables);
        written.env = env.into_iter().collect();
        written.path = written.parse(folder, "GITHUB_PATH", files::folders);
        let state = written.parse(folder, "GITHUB_STATE", files::entries);
        written.state = state.into_iter().collect();
        written
    }

    fn parse<T: Default, E: std::fmt::Display>(
        &mut self,
        folder: &Path,
        variable: &'static str,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> T {
        let name = FILES.into_iter().find_map(|(of, name)| (of == variable).then_some(name));
        let parsed = match read_bounded(&folder.join(name.unwrap_or_default()), FILE_MAX_BYTES) {
            Ok(Some(bytes)) if bytes.len() as u64 > FILE_MAX_BYTES => {
                Err("more than 1 MiB".to_owned())
            }
            Ok(Some(bytes)) => parse(&bytes).map_err(|error| error.to_string()),
            Ok(None) => return T::default(),
            Err(error) => Err(error.to_string()),
        };
        parsed.unwrap_or_else(|reason| {
            let refusal = format!("The step fails for what it wrote to {variable}: {reason}");
            self.refusals.push(refusal);
            T::default()
        })
    }
}

/// What we do ourselves needs the paths of this machine; scripts and programs are told those that
/// their container has.
fn on_machine(spec: &mut StepSpec, paths: &Paths) {
    let outside = |text: &mut String| match text.strip_prefix('!') {
        // A pattern that takes back.
        Some(rest) => *text = format!("!{}", paths.outside(rest)),
        None => *text = paths.outside(text),
    };
    spec.env.values_mut().for_each(outside);
    spec.working_directory.iter_mut().for_each(outside);
    match &mut spec.action {
        StepAction::Script { .. } => {}
        StepAction::Node { program } => outside(program),
        action => unseal::texts(action).into_iter().for_each(outside),
    }
}

/// Whether it builds an image with the cache that the services keep.
pub(super) fn is_cached_build(action: &StepAction) -> bool {
    let StepAction::Known { name, with, .. } = action else { return false };
    name == "docker/build-push-action" && with.values().any(|value| value.contains("type=gha"))
}

/// Two effects for one place in a job: somebody's mistake that must not run twice.
pub(super) fn other_effect(step: &StepSpec, effect: &EffectId) -> RunnerError {
    failed(what(step), format!("it was asked for by effect {effect} already"))
}

pub(super) fn what(step: &StepSpec) -> String {
    format!("run step {} of {}", step.index, step.job)
}

/// Keeps the summary as the log is kept. One that cannot be read or is too long is none: it fails
/// no step.
fn store_summary(job: &Job, logs: &Path, index: u32) -> io::Result<u64> {
    let written = read_bounded(&job.folder.step(index).join("summary"), FILE_MAX_BYTES);
    let summary = written.ok().flatten().unwrap_or_default();
    if summary.is_empty() || summary.len() as u64 > FILE_MAX_BYTES {
        return Ok(0);
    }
    let path = log::summary_path(logs, job.spec.run, job.spec.job, index);
    let masked = job.masks().apply(&summary);
    job.folder.write(&path, &masked).map(|()| masked.len() as u64)
}

/// Empty, whatever an attempt that never started left. An earlier step may have removed anything.
fn create_files(job: &Folder, index: u32) -> io::Result<()> {
    fs::create_dir_all(job.workspace())?;
    fs::create_dir_all(job.temp())?;
    let folder = job.step(index);
    remove_all(&folder)?;
    fs::create_dir(&folder)?;
    // What is written there may be secret.
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    FILES.into_iter().try_for_each(|(_, file)| options.open(folder.join(file)).map(drop))
}
