use grit_diag::decode::{Fields, read};
use grit_diag::yaml::{Node, Value};
use grit_pipeline::plan::{Defaults, Dialect, JOBS_MAX, Plan, Texts};
use indexmap::IndexMap;

use super::reader::Reader;
use super::{check, events, job, runner, scope};
use crate::codes;

pub(super) fn workflow(reader: &mut Reader, root: &Node) -> Option<Plan> {
    let mut fields = reader.fields(root)?;
    let name = fields.take("name").and_then(|node| reader.literal(node));
    if let Some(node) = fields.take("run-name") {
        reader.template(node, scope::WORKFLOW);
    }
    if let Some(node) = fields.take("description") {
        reader.literal(node);
    }
    let triggers = fields.required("on", &mut reader.diagnostics);
    let triggers = triggers.map(|node| events::triggers(reader, node)).unwrap_or_default();
    let permissions = fields.take("permissions").and_then(|node| runner::permissions(reader, node));
    let env = fields.take("env").and_then(|node| reader.texts(node, scope::WORKFLOW_ENV));
    let defaults = defaults(reader, &mut fields, scope::WORKFLOW);
    let concurrency = fields.take("concurrency");
    let concurrency = concurrency.and_then(|n| runner::concurrency(reader, n, scope::WORKFLOW));
    let jobs = fields.required("jobs", &mut reader.diagnostics);
    fields.finish(&mut reader.diagnostics);
    let jobs = jobs_of(reader, jobs?)?;
    let file = reader.source.name().to_owned();
    Some(Plan {
        dialect: Dialect::Github,
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| file.clone()),
        file,
        triggers,
        env: env.unwrap_or_else(Texts::new),
        defaults,
        jobs,
        permissions,
        concurrency,
        called: IndexMap::new(),
    })
}

fn jobs_of(
    reader: &mut Reader,
    node: &Node,
) -> Option<IndexMap<grit_pipeline::plan::JobKey, grit_pipeline::plan::Job>> {
    let is_empty = node.is_null() || node.as_mapping().is_some_and(<[_]>::is_empty);
    if is_empty {
        reader.diagnostics.error(node.span, codes::NO_JOBS, "the workflow has no jobs");
        return None;
    }
    let entries = read::entries(node, &mut reader.diagnostics)?;
    if entries.len() > JOBS_MAX {
        let message = format!("{} jobs; a workflow has at most {JOBS_MAX}", entries.len());
        reader.diagnostics.error(node.span, codes::TOO_MANY, message);
        return None;
    }
    let mut jobs = check::Jobs::default();
    for (key, node) in entries {
        if let Some(key) = check::id(reader, &key) {
            let found = job::job(reader, &key, node);
            jobs.add(reader, key, found);
        }
    }
    Some(jobs.finish(reader))
}

/// `defaults: {run: {shell, working-directory}}`.
pub(super) fn defaults(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    scope: grit_pipeline::expr::Scope<'_>,
) -> Defaults {
    let mut defaults = Defaults::default();
    let Some(node) = fields.take("defaults").filter(|node| !is_nothing(node)) else {
        return defaults;
    };
    let Some(mut outer) = reader.fields(node) else { return defaults };
    if let Some(mut run) = outer.take("run").and_then(|node| reader.fields(node)) {
        defaults.shell = run.take("shell").and_then(|node| check::shell(reader, node, scope));
        defaults.working_directory =
            run.take("working-directory").and_then(|node| reader.filled_template(node, scope));
        run.finish(&mut reader.diagnostics);
    }
    outer.finish(&mut reader.diagnostics);
    defaults
}

/// A key that is there with nothing after it.
pub(super) fn is_nothing(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}
