use grit_diag::Span;
use grit_diag::decode::{Fields, Spanned, read};
use grit_diag::yaml::{Node, Value};
use grit_pipeline::expr::{Condition, Template};
use grit_pipeline::plan::{Call, Job, JobKey, STEPS_PER_JOB_MAX, Step, Texts, Unsupported};

use super::reader::Reader;
use super::workflow::{defaults, is_nothing};
use super::{check, container, runner, scope, step, strategy};
use crate::codes;

/// A job, and where its needs are named.
pub(super) struct Found {
    pub(super) job: Job,
    pub(super) needs: Vec<Spanned<JobKey>>,
}

pub(super) fn job(reader: &mut Reader, key: &Spanned<JobKey>, node: &Node) -> Option<Found> {
    let mut fields = reader.fields(node)?;
    let mut job = empty(reader, key);
    common(reader, &mut fields, &mut job);
    let needs = needs(reader, &mut fields);
    if fields.key_span("uses").is_some() {
        called(reader, &mut fields, &mut job);
    } else {
        with_steps(reader, &mut fields, &mut job, key.span);
    }
    fields.finish(&mut reader.diagnostics);
    job.needs = needs.iter().map(|need| need.value.clone()).collect();
    Some(Found { job, needs })
}

fn empty(reader: &Reader, key: &Spanned<JobKey>) -> Job {
    Job {
        key: key.value.clone(),
        name: None,
        place: reader.place(key.span),
        needs: Vec::new(),
        condition: Condition::success(),
        matrix: None,
        fail_fast: None,
        max_parallel: None,
        env: Texts::new(),
        defaults: Default::default(),
        runs_on: Vec::new(),
        outputs: Texts::new(),
        timeout_minutes: None,
        continue_on_error: None,
        steps: Vec::new(),
        unsupported: Vec::new(),
        call: None,
        permissions: None,
        environment: None,
        concurrency: None,
        container: None,
        services: None,
    }
}

/// What jobs with steps and jobs that call a workflow both have.
fn common(reader: &mut Reader, fields: &mut Fields<'_>, job: &mut Job) {
    job.name = fields.take("name").and_then(|node| reader.template(node, scope::JOB));
    let condition = fields.take("if").and_then(|node| reader.condition(node, scope::JOB_IF));
    job.condition = condition.unwrap_or_default();
    job.permissions = fields.take("permissions").and_then(|n| runner::permissions(reader, n));
    if let Some(node) = fields.take("strategy").filter(|node| !is_nothing(node)) {
        strategy::strategy(reader, node, job);
    }
    if let Some(node) = fields.take("concurrency") {
        job.concurrency = runner::concurrency(reader, node, scope::JOB);
    }
}

fn unsupported(
    reader: &Reader,
    fields: &Fields<'_>,
    job: &mut Job,
    key: &'static str,
    stops: bool,
) {
    let place = reader.place(fields.key_span(key).unwrap_or(fields.span()));
    job.unsupported.push(Unsupported { key: key.to_owned(), place, stops });
}

fn needs(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<Spanned<JobKey>> {
    let Some(node) = fields.take("needs").filter(|node| !is_nothing(node)) else {
        return Vec::new();
    };
    let named = read::strings(node, &mut reader.diagnostics).unwrap_or_default();
    named.iter().filter_map(|name| check::id(reader, name)).collect()
}

fn called(reader: &mut Reader, fields: &mut Fields<'_>, job: &mut Job) {
    let span = fields.key_span("uses").unwrap_or(fields.span());
    for other in ["runs-on", "steps"] {
        if let Some(place) = fields.key_span(other) {
            let message = format!("`uses` and `{other}` cannot both be set");
            reader
                .diagnostics
                .error(span, codes::CALL_AND_STEPS, message)
                .label(place, "the job has this already");
            fields.take(other);
        }
    }
    let with = fields.take("with").and_then(|node| reader.texts(node, scope::JOB_ENV));
    let secrets = fields.take("secrets");
    let inherit = secrets.is_some_and(|node| node.as_str() == Some("inherit"));
    let secrets = secrets.filter(|_| !inherit).and_then(|n| reader.texts(n, scope::JOB_ENV));
    let Some(node) = fields.take("uses") else { return };
    let Some(uses) = reader.literal(node) else { return };
    if !check::is_workflow(&uses) {
        let message = format!("`{uses}` names no workflow");
        reader.diagnostics.error(node.span, codes::USES_SYNTAX, message).help(
            "write owner/repo/.github/workflows/file.yml@ref or ./.github/workflows/file.yml",
        );
    }
    let place = reader.place(node.span);
    let (with, secrets) = (with.unwrap_or_default(), secrets.unwrap_or_default());
    job.call = Some(Call { uses, place, with, inherit, secrets });
}

fn with_steps(reader: &mut Reader, fields: &mut Fields<'_>, job: &mut Job, key: Span) {
    match fields.take("runs-on") {
        Some(node) => job.runs_on = runs_on(reader, node),
        None => {
            let message = format!("the job `{}` does not say `runs-on`", job.key);
            reader.diagnostics.error(key, codes::NO_RUNNER, message).help("runs-on: ubuntu-latest");
        }
    }
    job.env = fields.take("env").and_then(|n| reader.texts(n, scope::JOB_ENV)).unwrap_or_default();
    job.defaults = defaults(reader, fields, scope::JOB_DEFAULTS);
    let outputs = fields.take("outputs").and_then(|node| reader.texts(node, scope::OUTPUTS));
    job.outputs = outputs.unwrap_or_default();
    job.timeout_minutes =
        fields.take("timeout-minutes").and_then(|node| reader.minutes(node, scope::JOB));
    if let Some(node) = fields.take("cancel-timeout-minutes") {
        reader.minutes(node, scope::JOB);
    }
    job.continue_on_error =
        fields.take("continue-on-error").and_then(|node| reader.flag(node, scope::JOB));
    if let Some(node) = fields.take("environment") {
        job.environment = runner::environment(reader, node);
    }
    if let Some(node) = fields.take("container") {
        job.container = container::container(reader, node);
    }
    if let Some(node) = fields.take("services") {
        job.services = container::services(reader, node);
    }
    if fields.take("snapshot").is_some() {
        unsupported(reader, fields, job, "snapshot", false);
    }
    job.steps =
        fields.take("steps").map(|node| steps(reader, node, step::Place::Job)).unwrap_or_default();
    if job.steps.is_empty() && !reader.diagnostics.has_errors() {
        let message = format!("the job `{}` has no steps", job.key);
        reader.diagnostics.warning(key, codes::NO_STEPS, message);
    }
}

fn runs_on(reader: &mut Reader, node: &Node) -> Vec<Template> {
    match &node.value {
        Value::Sequence(items) => {
            items.iter().filter_map(|item| reader.filled_template(item, scope::JOB)).collect()
        }
        Value::Mapping(_) => {
            let Some(mut fields) = reader.fields(node) else { return Vec::new() };
            if let Some(group) = fields.take("group") {
                reader.filled_template(group, scope::JOB);
            }
            let labels = fields.take("labels").map(|labels| runs_on(reader, labels));
            fields.finish(&mut reader.diagnostics);
            labels.unwrap_or_default()
        }
        _ => reader.filled_template(node, scope::JOB).into_iter().collect(),
    }
}

pub(super) fn steps(reader: &mut Reader, node: &Node, at: step::Place) -> Vec<Step> {
    let items = read::list(node, &mut reader.diagnostics).unwrap_or_default();
    if items.len() > STEPS_PER_JOB_MAX {
        let message = format!("{} steps; a job has at most {STEPS_PER_JOB_MAX}", items.len());
        reader.diagnostics.error(node.span, codes::TOO_MANY, message);
        return Vec::new();
    }
    let mut ids = check::Ids::default();
    items.iter().filter_map(|item| step::step(reader, item, at, &mut ids)).collect()
}
