use grit_diag::decode::{Fields, Spanned, read};
use grit_diag::{Diagnostics, codes as common, yaml::Value};
use grit_types::Environment;
use serde::{Deserialize, Serialize};

use super::{codes, value};

/// Longest label, in bytes; the tracker takes no longer one.
const LABEL_BYTES_MAX: usize = 2 << 10;

pub(super) const PIPELINE_LABELS: &[&str] = &["ci-failure"];
pub(super) const DEPLOYMENT_LABELS: &[&str] = &["deployment"];
pub(super) const ROLLED_BACK_LABELS: &[&str] = &["incident"];
pub(super) const ALERT_LABELS: &[&str] = &["alert"];
pub(super) const TEST_LABELS: &[&str] = &["test"];

/// Which events open or update issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuesConfig {
    /// A run of a pipeline failed.
    pub pipeline_failed: Option<PipelineFailed>,
    /// A deployment began: one issue for each, which follows it to its end.
    pub deployment: Option<FollowedDeployment>,
    /// A deployment went back or failed by itself: the labels of its incident.
    pub rolled_back: Option<Vec<String>>,
    /// What a hook hands to `grit issue ingest`.
    pub alert: Recurring,
    /// What a step hands to it.
    pub test_failed: Recurring,
}

/// Issues about what comes and goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurring {
    pub labels: Vec<String>,
    /// What comes back opens its issue again; else a new one is opened.
    pub reopen: bool,
    /// What is over closes its issue.
    pub close: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineFailed {
    pub per: Per,
    pub issue: Recurring,
}

/// What failures share an issue.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Those of a workflow on a branch.
    #[default]
    Branch,
    /// Those of a workflow, wherever.
    Workflow,
    /// Those of a workflow at a commit.
    Commit,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedDeployment {
    pub labels: Vec<String>,
    /// Those to these environments; none named: all.
    pub environments: Vec<Environment>,
    /// The one that succeeded closes its issue.
    pub close: bool,
}

impl Default for IssuesConfig {
    fn default() -> Self {
        Self {
            pipeline_failed: None,
            deployment: None,
            rolled_back: Some(owned(ROLLED_BACK_LABELS)),
            alert: Recurring::labelled(ALERT_LABELS),
            test_failed: Recurring::labelled(TEST_LABELS),
        }
    }
}

impl Default for PipelineFailed {
    fn default() -> Self {
        Self { per: Per::default(), issue: Recurring::labelled(PIPELINE_LABELS) }
    }
}

impl FollowedDeployment {
    /// Whether those to `environment` have an issue.
    pub fn concerns(&self, environment: &Environment) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }
}

impl Recurring {
    fn labelled(labels: &[&str]) -> Self {
        Self { labels: owned(labels), reopen: true, close: false }
    }

    fn read(fields: &mut Fields<'_>, labels: &[&str], diagnostics: &mut Diagnostics) -> Self {
        Self {
            labels: read_labels(fields, labels, diagnostics),
            reopen: flag(fields, "reopen", true, diagnostics),
            close: flag(fields, "close", false, diagnostics),
        }
    }
}

impl Per {
    /// Each with the word that is written.
    pub(super) const ALL: [(&str, Self); 3] =
        [("branch", Self::Branch), ("workflow", Self::Workflow), ("commit", Self::Commit)];
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

pub(super) fn read_all(
    root: &mut Fields<'_>,
    environments: &[&str],
    diagnostics: &mut Diagnostics,
) -> IssuesConfig {
    let default = IssuesConfig::default();
    let Some(mut fields) = root.fields("issues", diagnostics) else { return default };
    let pipeline_failed = wanted(&mut fields, "pipelineFailed", false, diagnostics);
    let deployment = wanted(&mut fields, "deployment", false, diagnostics);
    let rolled_back = wanted(&mut fields, "rolledBack", true, diagnostics);
    let alert = fields.fields("alert", diagnostics);
    let test_failed = fields.fields("testFailed", diagnostics);
    let mut recurring = |fields: Option<Fields<'_>>, default: Recurring, labels| {
        let Some(mut fields) = fields else { return default };
        let read = Recurring::read(&mut fields, labels, diagnostics);
        fields.finish(diagnostics);
        read
    };
    let config = IssuesConfig {
        alert: recurring(alert, default.alert, ALERT_LABELS),
        test_failed: recurring(test_failed, default.test_failed, TEST_LABELS),
        pipeline_failed: pipeline_failed.map(|fields| pipeline(fields, diagnostics)),
        deployment: deployment.map(|fields| followed(fields, environments, diagnostics)),
        rolled_back: rolled_back.map(|fields| incident(fields, diagnostics)),
    };
    fields.finish(diagnostics);
    config
}

/// `true` is a mapping in which nothing is written.
enum Wanted<'n> {
    Plain,
    With(Fields<'n>),
}

/// `None`: such issues are not wanted.
fn wanted<'n>(
    fields: &mut Fields<'n>,
    name: &'static str,
    default: bool,
    diagnostics: &mut Diagnostics,
) -> Option<Wanted<'n>> {
    let yes = |wanted: bool| wanted.then_some(Wanted::Plain);
    let Some(node) = fields.take(name) else { return yes(default) };
    match node.value {
        Value::Bool(wanted) => yes(wanted),
        _ if node.as_mapping().is_some() => Fields::of(node, diagnostics).map(Wanted::With),
        _ => read::expected("`true`, `false` or a mapping", node, diagnostics),
    }
}

fn pipeline(wanted: Wanted<'_>, diagnostics: &mut Diagnostics) -> PipelineFailed {
    let Wanted::With(mut fields) = wanted else { return PipelineFailed::default() };
    let per = fields.string("per", diagnostics).and_then(|word| read_per(word, diagnostics));
    let issue = Recurring::read(&mut fields, PIPELINE_LABELS, diagnostics);
    fields.finish(diagnostics);
    PipelineFailed { per: per.unwrap_or_default(), issue }
}

fn read_per(word: Spanned<&str>, diagnostics: &mut Diagnostics) -> Option<Per> {
    let known = Per::ALL.iter().find(|(name, _)| *name == word.value);
    if known.is_none() {
        let message =
            format!("issues are opened per branch, workflow or commit, not `{}`", word.value);
        let finding = diagnostics.error(word.span, common::INVALID_VALUE, message);
        finding.help(value::did_you_mean(word.value, Per::ALL.iter().map(|(name, _)| *name)));
    }
    known.map(|(_, per)| *per)
}

fn followed(
    wanted: Wanted<'_>,
    known: &[&str],
    diagnostics: &mut Diagnostics,
) -> FollowedDeployment {
    let Wanted::With(mut fields) = wanted else {
        let labels = owned(DEPLOYMENT_LABELS);
        return FollowedDeployment { labels, environments: vec![], close: true };
    };
    let names = fields.strings("environments", diagnostics).unwrap_or_default();
    let mut environments = Vec::new();
    for name in names {
        let Some(name) = value::parsed::<Environment>(name, diagnostics) else { continue };
        if !known.contains(&name.as_str()) {
            let message = format!("there is no environment `{}`", name.value);
            let finding = diagnostics.error(name.span, codes::UNKNOWN_ENVIRONMENT, message);
            finding.help(value::did_you_mean(name.as_str(), known.iter().copied()));
        }
        environments.push(name.value);
    }
    let labels = read_labels(&mut fields, DEPLOYMENT_LABELS, diagnostics);
    let close = flag(&mut fields, "close", true, diagnostics);
    fields.finish(diagnostics);
    FollowedDeployment { labels, environments, close }
}

fn incident(wanted: Wanted<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let Wanted::With(mut fields) = wanted else { return owned(ROLLED_BACK_LABELS) };
    let labels = read_labels(&mut fields, ROLLED_BACK_LABELS, diagnostics);
    fields.finish(diagnostics);
    labels
}

fn flag(
    fields: &mut Fields<'_>,
    name: &'static str,
    default: bool,
    diagnostics: &mut Diagnostics,
) -> bool {
    fields.boolean(name, diagnostics).map_or(default, |flag| flag.value)
}

fn read_labels(
    fields: &mut Fields<'_>,
    default: &[&str],
    diagnostics: &mut Diagnostics,
) -> Vec<String> {
    let Some(labels) = fields.strings("labels", diagnostics) else { return owned(default) };
    let mut read = Vec::new();
    for label in labels {
        let text = label.value;
        if text.trim().is_empty() || text.len() > LABEL_BYTES_MAX || text.contains(char::is_control)
        {
            let message = "a label is a line of up to 2048 bytes";
            diagnostics.error(label.span, common::INVALID_VALUE, message);
        }
        read.push(text.to_owned());
    }
    read
}
