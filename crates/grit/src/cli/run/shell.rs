//! A shell in the surroundings of a step: its variables, its folder, its workspace.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use grit_executor::HostRunner;
use grit_pipeline::{
    Conclusion, JobSpec, Prepared, Runner, RunnerError, StepAction, StepOutcome, StepSpec,
};
use grit_types::{BoxFuture, EffectId, EventId, JobId};

use crate::exit::{Exit, Failure};

/// The variable that the step that gets a shell is marked with, in its plan.
pub const MARK: &str = "GRIT_SHELL_HERE";
pub const MARK_VALUE: &str = "1";

/// A place among the steps of a job that none of its own takes.
const PLACE: u32 = u32::MAX - 1;

/// Which shell is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// In place of the step, and not once it has failed.
    pub before: bool,
    pub step: String,
}

/// Somebody must be there to type.
pub fn check_terminal() -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "no_terminal", "`--shell` needs a terminal to open a shell on"))
}

/// A runner that opens a shell at one step.
pub struct ShellRunner {
    inner: Arc<HostRunner>,
    wish: Wish,
    shell: PathBuf,
}

impl ShellRunner {
    pub fn new(inner: Arc<HostRunner>, wish: Wish) -> Result<Self, Failure> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &str| {
            std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
        };
        let shell = find("bash").or_else(|| find("sh"));
        let missing = || Failure::environment("there is no shell on the PATH");
        Ok(Self { inner, wish, shell: shell.ok_or_else(missing)? })
    }

    async fn step(&self, effect: &EffectId, step: &StepSpec) -> Result<StepOutcome, RunnerError> {
        let mut step = step.clone();
        if step.env.remove(MARK).is_none() {
            return self.inner.run(effect, &step).await;
        }
        if self.wish.before {
            let status = self.open(&step, "It is opened in place of the step").await?;
            return Ok(StepOutcome::of(Conclusion::Exited(status)));
        }
        let outcome = self.inner.run(effect, &step).await?;
        if outcome.conclusion != Conclusion::Exited(0)
            && outcome.conclusion != Conclusion::Cancelled
        {
            self.open(&step, "The step has failed").await?;
        }
        Ok(outcome)
    }

    /// Opens a shell, and answers how it was left.
    async fn open(&self, step: &StepSpec, why: &str) -> Result<i32, RunnerError> {
        let (variables, folder) = self.surroundings(step).await?;
        let name = &self.wish.step;
        let failed = |source: std::io::Error| RunnerError {
            action: format!("open a shell at `{name}`"),
            source: source.into(),
        };
        let banner = format!("{why}: {name}. `exit` goes on.");
        let prompt = format!("({}) \\w \\$ ", name.replace(['\\', '$', '`', '!'], ""));
        let mut command = tokio::process::Command::new(&self.shell);
        if self.shell.file_name() == Some(OsStr::new("bash")) {
            command.args(["--noprofile", "--norc"]);
        }
        command
            .arg("-i")
            .env_clear()
            .envs(variables)
            .env("TERM", std::env::var_os("TERM").unwrap_or_else(|| "dumb".into()))
            .env("PS1", prompt)
            .current_dir(&folder)
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        crate::ui::Ui::new(false, false).status(banner);
        let status = command.status().await.map_err(failed)?;
        Ok(status.code().unwrap_or(1))
    }

    /// What the step's own processes would find: a script in its place writes it down.
    async fn surroundings(
        &self,
        step: &StepSpec,
    ) -> Result<(BTreeMap<OsString, OsString>, PathBuf), RunnerError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| RunnerError {
            action: format!("look at the surroundings of `{}`", self.wish.step),
            source,
        };
        let folder = tempfile::tempdir().map_err(|error| failed(error.into()))?;
        let (env, at) = (folder.path().join("env"), folder.path().join("at"));
        let script = format!("env -0 >'{}'; pwd >'{}'", env.display(), at.display());
        let command = ["sh", "-e", "{0}"].map(str::to_owned).to_vec();
        let look = StepSpec {
            index: PLACE,
            action: StepAction::Script { script, command },
            condition: None,
            ..step.clone()
        };
        let effect = EffectId { event: EventId::of(MARK.as_bytes()), index: u16::MAX };
        let looked = self.inner.run(&effect, &look).await?;
        if looked.conclusion != Conclusion::Exited(0) {
            return Err(failed(format!("it ended as {:?}", looked.conclusion).into()));
        }
        let bytes = std::fs::read(&env).map_err(|error| failed(error.into()))?;
        let place = std::fs::read(&at).map_err(|error| failed(error.into()))?;
        let place = place.strip_suffix(b"\n").unwrap_or(&place);
        Ok((variables(&bytes), Path::new(OsStr::from_bytes(place)).to_owned()))
    }
}

fn variables(bytes: &[u8]) -> BTreeMap<OsString, OsString> {
    let pair = |entry: &[u8]| {
        let equals = entry.iter().position(|byte| *byte == b'=')?;
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        Some((text(&entry[..equals]), text(&entry[equals + 1..])))
    };
    bytes.split(|byte| *byte == 0).filter_map(pair).collect()
}

impl Runner for ShellRunner {
    fn prepare(
        &self,
        effect: &EffectId,
        job: &JobSpec,
    ) -> BoxFuture<'_, Result<Prepared, RunnerError>> {
        self.inner.prepare(effect, job)
    }

    fn run(
        &self,
        effect: &EffectId,
        step: &StepSpec,
    ) -> BoxFuture<'_, Result<StepOutcome, RunnerError>> {
        let (effect, step) = (effect.clone(), step.clone());
        Box::pin(async move { self.step(&effect, &step).await })
    }

    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        self.inner.cancel(job)
    }

    fn clean(&self, effect: &EffectId, job: JobId) -> BoxFuture<'_, Result<(), RunnerError>> {
        self.inner.clean(effect, job)
    }
}
