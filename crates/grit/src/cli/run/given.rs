use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grit_pipeline::expr::{Object, Value};
use grit_pipeline::plan::Plan;
use grit_pipeline::run::of_environment;
use grit_pipeline::trigger::Occurrence;
use grit_types::{Entropy, RefName};
use serde::Deserialize;

use super::args::What;
use super::dotenv;
use crate::exit::{Exit, Failure};

/// No file that is given is larger than this.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What the run is told, beside the commit.
pub struct Given {
    pub occurrence: Occurrence,
    pub payload: Value,
    pub inputs: BTreeMap<String, String>,
    /// An event was named, or what it would be told.
    pub is_told: bool,
}

/// Secrets or variables, from files.
#[derive(Clone, Default)]
pub struct Settings {
    /// By name in lower case; the empty one: of every job.
    by_environment: BTreeMap<String, BTreeMap<String, String>>,
}

/// An event as a file tells it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    event: String,
    #[serde(rename = "ref", default)]
    ref_name: Option<RefName>,
    /// As the service would send it.
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    inputs: BTreeMap<String, Value>,
    /// The files that a push or a pull request changes, where that is to count.
    #[serde(default)]
    changed: Option<Vec<String>>,
}

impl Given {
    /// `branch` is what is checked out. Without an event it is a push of that branch; with inputs, a
    /// start by hand.
    pub fn read(what: &What, branch: Option<RefName>) -> Result<Self, Failure> {
        let told = match what.event.as_deref() {
            None if !what.input.is_empty() => {
                Told { event: "workflow_dispatch".to_owned(), ..Told::default() }
            }
            None => Told { event: "push".to_owned(), ..Told::default() },
            Some(name) if is_name(name) => Told { event: name.to_owned(), ..Told::default() },
            Some(file) => event(Path::new(file))?,
        };
        let mut inputs: BTreeMap<String, String> =
            told.inputs.iter().map(|(name, value)| (name.clone(), value.to_text())).collect();
        inputs.extend(pairs("--input", &what.input)?);
        Ok(Self {
            occurrence: Occurrence {
                activity: activity(&told),
                base: base(&told.payload),
                workflow: text(&told.payload, &["workflow_run", "name"]),
                schedule: text(&told.payload, &["schedule"]).filter(|_| told.event == "schedule"),
                event: told.event,
                ref_name: told.ref_name.or(branch),
                changed_paths: told.changed,
            },
            payload: told.payload,
            inputs,
            is_told: what.event.is_some() || !what.input.is_empty(),
        })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn event(path: &Path) -> Result<Told, Failure> {
    let text = read(path)?;
    serde_json::from_str(&text).map_err(|error| {
        let message = format!("{} is no event: {error}", path.display());
        Failure::new(Exit::Usage, "usage", message)
            .hint("{\"event\": \"push\", \"ref\": \"refs/heads/main\", \"payload\": {}}")
    })
}

fn member(value: &Value, name: &str) -> Value {
    let members: Option<&Object> = match value {
        Value::Object(members) => Some(members),
        _ => None,
    };
    members.and_then(|members| members.get(name)).cloned().unwrap_or_default()
}

fn text(value: &Value, path: &[&str]) -> Option<String> {
    let at = path.iter().fold(value.clone(), |at, name| member(&at, name));
    match at {
        Value::String(text) => Some(text.to_string()),
        _ => None,
    }
}

fn activity(told: &Told) -> Option<String> {
    text(&told.payload, &["action"])
}

/// The branch that a pull request is for, or that a run was of.
fn base(payload: &Value) -> Option<String> {
    let pull = text(payload, &["pull_request", "base", "ref"]);
    pull.or_else(|| text(payload, &["workflow_run", "head_branch"]))
}

impl Settings {
    /// `FILE` or `ENVIRONMENT=FILE` each, as [`dotenv::read`] takes files; the later one counts.
    pub fn read(files: &[String]) -> Result<Self, Failure> {
        let mut settings = Self::default();
        for file in files {
            let (environment, path) = match file.split_once('=') {
                Some((environment, path)) if !Path::new(file).exists() => (environment, path),
                _ => ("", file.as_str()),
            };
            let values = dotenv::read(&read(Path::new(path))?).map_err(|malformed| {
                Failure::new(Exit::Usage, "usage", format!("{path}: {malformed}"))
            })?;
            settings.by_environment.entry(environment.to_lowercase()).or_default().extend(values);
        }
        Ok(settings)
    }

    /// What every job has.
    pub fn of_all(&self) -> BTreeMap<String, String> {
        self.by_environment.get("").cloned().unwrap_or_default()
    }

    /// The secrets of a job that deploys there, as runners know them.
    pub fn secrets_of(&self, environment: Option<&str>) -> BTreeMap<String, String> {
        let mut values = self.of_all();
        let own = environment.and_then(|name| self.by_environment.get(&name.to_lowercase()));
        let own = own.into_iter().flatten();
        values.extend(own.map(|(name, value)| (of_environment(name), value.clone())));
        values
    }

    /// What environments have of their own, by their name in lower case.
    pub fn of_environments(&self) -> impl Iterator<Item = (&String, &BTreeMap<String, String>)> {
        self.by_environment.iter().filter(|(name, _)| !name.is_empty())
    }
}

/// Environments that something is given for and that no job deploys to; none where that is known only
/// once jobs run.
pub fn in_vain<'a>(
    given: [&'a Settings; 2],
    mut plans: impl Iterator<Item = &'a Plan>,
) -> BTreeSet<&'a str> {
    let mut deployed = BTreeSet::new();
    if !plans.all(|plan| environments(plan, &mut deployed)) {
        return BTreeSet::new();
    }
    let named = given.into_iter().flat_map(Settings::of_environments).map(|(name, _)| &**name);
    named.filter(|name| !deployed.contains(*name)).collect()
}

/// Adds where jobs deploy to, in lower case; `false`: not all of that is known.
fn environments(plan: &Plan, names: &mut BTreeSet<String>) -> bool {
    let mut known = plan.called.values().all(|called| environments(called, names));
    for environment in plan.jobs.values().filter_map(|job| job.environment.as_ref()) {
        let name = environment.name.as_literal();
        known &= name.is_some();
        names.extend(name.map(str::to_lowercase));
    }
    known
}

fn read(path: &Path) -> Result<String, Failure> {
    let told = |error: String| {
        let message = format!("{} cannot be read: {error}", path.display());
        Failure::new(Exit::Usage, "usage", message)
    };
    let size = path.metadata().map_err(|error| told(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(told(format!("it has {size} bytes, more than {FILE_BYTES_MAX}")));
    }
    std::fs::read_to_string(path).map_err(|error| told(error.to_string()))
}

/// What an option gives that takes NAME=VALUE.
pub fn pairs(option: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let pairs: Option<BTreeMap<String, String>> = texts.iter().map(pair).collect();
    let usage = || Failure::new(Exit::Usage, "usage", format!("`{option}` takes NAME=VALUE"));
    pairs.ok_or_else(usage)
}

/// A word that nobody can guess.
pub fn word(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
