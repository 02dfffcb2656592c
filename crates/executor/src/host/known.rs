//! Actions that Grit does itself, without anybody's code: toolchains that are on the machine, the
//! machine's Docker, reports, and what is said instead of being sent.
//!
//! None of them installs another version than is asked for, and none says that something was
//! published that was not.

mod cached;
mod docker;
mod images;
mod java;
mod places;
mod probe;
mod publish;
mod python;
mod results;
mod rust;
mod scan;
mod script;
mod setup;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use grit_pipeline::builtin::version::Tool;
use grit_pipeline::{Conclusion, Measured, RunnerError};

use super::blocking;
use super::folder::read_bounded;
use super::process::{self, Command};
use super::step::Attempt;

/// A file that an action is told to read is never longer than this.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// What an action leaves for later steps.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub outputs: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    pub path: Vec<String>,
    /// For what tidies up after it.
    pub state: BTreeMap<String, String>,
    pub measured: Measured,
}

impl Given {
    fn output(&mut self, name: &str, value: impl Into<String>) {
        self.outputs.insert(name.to_owned(), value.into());
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.insert(name.to_owned(), value.into());
    }
}

/// Why an action does not go on.
enum Stop {
    /// For people.
    Refused(String),
    Runner(RunnerError),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<RunnerError> for Stop {
    fn from(error: RunnerError) -> Self {
        Self::Runner(error)
    }
}

/// Does what the action of this name does; `post`: what it does after the job's last step.
pub(super) async fn run(
    at: &Attempt,
    name: &str,
    reference: &str,
    with: &BTreeMap<String, String>,
    post: bool,
    given: &mut Given,
) -> Result<Conclusion, RunnerError> {
    let inputs = Inputs(with);
    let done = if post {
        afterwards(at, name, &inputs).await
    } else {
        main(at, name, reference, &inputs, given).await
    };
    match done {
        Ok(conclusion) => Ok(conclusion),
        Err(Stop::Refused(why)) => Ok(Conclusion::Unable(why)),
        Err(Stop::Runner(error)) => Err(error),
    }
}

async fn afterwards(at: &Attempt, name: &str, inputs: &Inputs<'_>) -> Result<Conclusion, Stop> {
    match name {
        "docker/login-action" | "docker/setup-buildx-action" => {
            docker::post(at, name, inputs).await
        }
        _ => cached::save(at).await.map(|()| Conclusion::Exited(0)),
    }
}

async fn main(
    at: &Attempt,
    name: &str,
    reference: &str,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let conclusion = perform(at, name, reference, inputs, given).await?;
    if conclusion == Conclusion::Exited(0) {
        cached::restore(at, name, inputs, given).await?;
    }
    Ok(conclusion)
}

async fn perform(
    at: &Attempt,
    name: &str,
    reference: &str,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    match name {
        "actions/setup-node" => setup::run(at, Tool::Node, inputs, given).await,
        "actions/setup-python" => python::run(at, inputs, given).await,
        "actions/setup-go" => setup::run(at, Tool::Go, inputs, given).await,
        "actions/setup-dotnet" => setup::dotnet(at, inputs, given).await,
        "ruby/setup-ruby" => setup::run(at, Tool::Ruby, inputs, given).await,
        "actions/setup-java" => java::run(at, inputs, given).await,
        "dtolnay/rust-toolchain"
        | "actions-rs/toolchain"
        | "actions-rust-lang/setup-rust-toolchain"
        | "moonrepo/setup-rust" => rust::run(at, name, reference, inputs, given).await,
        "actions/github-script" => script::run(at, inputs).await,
        "docker/login-action" => docker::login(at, inputs, given).await,
        "docker/metadata-action" => images::metadata(at, inputs, given).await,
        "docker/setup-qemu-action" => docker::qemu(at, inputs, given).await,
        "docker/setup-buildx-action" => docker::buildx(at, inputs, given).await,
        "docker/build-push-action" => images::build(at, inputs, given).await,
        "codecov/codecov-action" => results::codecov(at, inputs, given).await,
        "dorny/test-reporter"
        | "mikepenz/action-junit-report"
        | "enricomi/publish-unit-test-result-action" => {
            results::tests(at, name, inputs, given).await
        }
        "github/codeql-action/upload-sarif" => results::sarif(at, inputs, given).await,
        "aquasecurity/trivy-action" => scan::trivy(at, inputs).await,
        "softprops/action-gh-release"
        | "actions/create-release"
        | "slackapi/slack-github-action"
        | "8398a7/action-slack" => publish::run(at, name, inputs, given).await,
        _ => setup::other(at, name, reference, inputs, given).await,
    }
}

/// The evaluated inputs of an action.
struct Inputs<'i>(&'i BTreeMap<String, String>);

impl Inputs<'_> {
    /// Without the space around it; nothing where it is empty.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    fn or<'s>(&'s self, name: &str, default: &'s str) -> &'s str {
        self.get(name).unwrap_or(default)
    }

    fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = self.get(name).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// Lines, or words between commas.
    fn list(&self, name: &str) -> Vec<String> {
        let words = self.get(name).unwrap_or_default().split([',', '\n']).map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

impl Attempt {
    fn variable(&self, name: &str) -> &str {
        let value = self.variables.get(std::ffi::OsStr::new(name));
        value.and_then(|value| value.to_str()).unwrap_or_default()
    }

    fn home(&self) -> PathBuf {
        PathBuf::from(self.variable("HOME"))
    }

    /// A path of an action's input, which stays below the workspace.
    fn inside(&self, path: &str) -> Result<PathBuf, String> {
        let workspace = self.job.folder.workspace();
        let leads_out = || format!("`{path}` leads out of the workspace");
        let root = workspace.canonicalize().map_err(|error| error.to_string())?;
        match workspace.join(path).canonicalize() {
            Ok(found) if found.starts_with(&root) => Ok(found),
            Ok(_) => Err(leads_out()),
            Err(_) => Err(format!("there is no `{path}` in the workspace")),
        }
    }

    /// A file of the workspace, or nothing where it is not there.
    async fn text_of(&self, path: &str) -> Result<Option<String>, String> {
        let Ok(file) = self.inside(path) else { return Ok(None) };
        let bytes = blocking(move || read_bounded(&file, FILE_BYTES_MAX)).await;
        match bytes.map_err(|error| format!("`{path}`: {error}"))? {
            Some(bytes) if bytes.len() as u64 > FILE_BYTES_MAX => {
                Err(format!("`{path}` is longer than {} MiB", FILE_BYTES_MAX >> 20))
            }
            bytes => Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
        }
    }

    /// Runs a program of the machine in the workspace to its end.
    async fn execute(
        &self,
        words: Vec<String>,
        extra: &[(&str, String)],
    ) -> Result<Conclusion, RunnerError> {
        let mut variables = self.variables.clone();
        variables.extend(extra.iter().map(|(name, value)| (name.into(), value.into())));
        let cwd = self.job.folder.workspace();
        process::run(self, Command { words, cwd, variables }).await
    }

    /// A line that tells people of what an action found, as `::warning::` does.
    async fn announce(&self, level: &str, title: &str, text: &str) -> Result<(), RunnerError> {
        let escape =
            |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let title = escape(title).replace(':', "%3A").replace(',', "%2C");
        let line = format!("::{level} title={title}::{}\n", escape(text));
        self.emit(&line).await
    }

    /// Text that is taken as if a process of the step had written it: masked, and read for commands.
    async fn emit(&self, text: &str) -> Result<(), RunnerError> {
        let said = self.log.lock().await.output(text.as_bytes()).await;
        said.map_err(|error| super::failed(format!("log of {}", self.action()), error))
    }

    /// Adds to the step's summary.
    async fn summarise(&self, text: &str) -> Result<(), RunnerError> {
        let file = self.job.folder.step(self.spec.index).join("summary");
        let text = text.to_owned();
        let written = blocking(move || {
            use std::io::Write;
            std::fs::File::options().append(true).open(file)?.write_all(text.as_bytes())
        });
        written.await.map_err(|error| super::failed(self.action(), error))
    }
}

/// The names of a path's files that match, relative to the workspace and sorted; bounded.
async fn matching(at: &Attempt, patterns: Vec<String>) -> Result<Vec<String>, String> {
    let workspace = at.job.folder.workspace();
    let found = blocking(move || files(&workspace, &patterns)).await;
    found.map_err(|error| error.to_string())
}

/// So many entries of a workspace are looked at.
const ENTRIES_MAX: usize = 1_000_000;

fn files(workspace: &Path, patterns: &[String]) -> std::io::Result<Vec<String>> {
    let (mut found, mut stack, mut seen) = (Vec::new(), vec![String::new()], 0_usize);
    let root = format!("{}/", workspace.display());
    let below = |pattern: &String| pattern.replacen(&root, "", 1);
    let patterns: Vec<String> = patterns.iter().map(below).collect();
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(workspace.join(&folder))? {
            let entry = entry?;
            seen += 1;
            if seen > ENTRIES_MAX {
                return Err(std::io::Error::other("there are more than a million files"));
            }
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if path != ".git" {
                    stack.push(path);
                }
            } else if kind.is_file() && crate::text::glob::selects(&patterns, &path) {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}
