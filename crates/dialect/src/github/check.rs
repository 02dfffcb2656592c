//! What holds between the parts of a workflow.

use std::collections::HashMap;

use grit_diag::decode::Spanned;
use grit_diag::yaml::Node;
use grit_diag::{Span, suggest};
use grit_pipeline::expr::{Scope, Template};
use grit_pipeline::plan::{Defaults, Dialect, Job, JobKey, Plan};
use grit_pipeline::shell;
use indexmap::IndexMap;

use super::job::Found;
use super::reader::Reader;
use crate::codes;

/// An id of a job or a step.
pub(super) fn id(reader: &mut Reader, text: &Spanned<&str>) -> Option<Spanned<JobKey>> {
    if reader.has_expression(text, text.span) {
        return None;
    }
    match text.value.parse() {
        Ok(key) => Some(Spanned::new(key, text.span)),
        Err(grit_pipeline::plan::JobKeyError(_)) => {
            let message = format!("`{}` cannot be an id", text.value);
            reader
                .diagnostics
                .error(text.span, codes::INVALID_ID, message)
                .help("a letter or `_`, then letters, digits, `_` or `-`, at most 100 in all");
            None
        }
    }
}

/// Ids that were seen, whatever their case.
#[derive(Default)]
pub(super) struct Ids(HashMap<String, Span>);

impl Ids {
    pub(super) fn add(&mut self, reader: &mut Reader, id: &Spanned<JobKey>, what: &str) -> bool {
        match self.0.insert(id.value.as_str().to_ascii_lowercase(), id.span) {
            None => true,
            Some(first) => {
                let message = format!("there is a {what} `{}` already", id.value);
                reader
                    .diagnostics
                    .error(id.span, codes::DUPLICATE_ID, message)
                    .label(first, "the first is here");
                false
            }
        }
    }
}

/// The jobs that were read, and where they name each other.
#[derive(Default)]
pub(super) struct Jobs {
    ids: Ids,
    keys: Vec<JobKey>,
    jobs: IndexMap<JobKey, Job>,
    needs: Vec<(JobKey, Vec<Spanned<JobKey>>)>,
}

impl Jobs {
    /// A job that could not be read is still one that others may need.
    pub(super) fn add(&mut self, reader: &mut Reader, key: Spanned<JobKey>, found: Option<Found>) {
        if !self.ids.add(reader, &key, "job") {
            return;
        }
        self.keys.push(key.value.clone());
        if let Some(Found { job, needs }) = found {
            self.needs.push((key.value.clone(), needs));
            self.jobs.insert(key.value, job);
        }
    }

    pub(super) fn finish(mut self, reader: &mut Reader) -> IndexMap<JobKey, Job> {
        for (_, needs) in &mut self.needs {
            needs.retain(|need| known(reader, &self.keys, need));
        }
        for (key, needs) in &self.needs {
            if let Some(job) = self.jobs.get_mut(key) {
                job.needs = needs.iter().map(|need| need.value.clone()).collect();
            }
        }
        self.report_cycle(reader);
        self.jobs
    }

    fn report_cycle(&self, reader: &mut Reader) {
        let plan = Plan {
            dialect: Dialect::Github,
            file: String::new(),
            name: String::new(),
            triggers: Vec::new(),
            env: IndexMap::new(),
            defaults: Defaults::default(),
            jobs: self.jobs.clone(),
            permissions: None,
            concurrency: None,
            called: IndexMap::new(),
        };
        let Some(cycle) = plan.cycle() else { return };
        let place = |from: &JobKey, to: &JobKey| {
            let needs = self.needs.iter().find(|(key, _)| key == from).map(|(_, needs)| needs);
            needs.into_iter().flatten().find(|need| need.value == *to).map(|need| need.span)
        };
        let names: Vec<&str> = cycle.iter().map(JobKey::as_str).collect();
        let message = format!("jobs need each other in a circle: {}", names.join(" → "));
        let mut spans = cycle.windows(2).filter_map(|pair| place(&pair[0], &pair[1]));
        let first = spans.next().unwrap_or_default();
        let finding = reader.diagnostics.error(first, codes::CYCLE, message);
        for span in spans {
            finding.label(span, "and this");
        }
    }
}

fn known(reader: &mut Reader, keys: &[JobKey], need: &Spanned<JobKey>) -> bool {
    let known = keys.contains(&need.value);
    if !known {
        let message = format!("there is no job `{}`", need.value);
        let near = suggest(need.value.as_str(), keys.iter().map(JobKey::as_str));
        let there: Vec<&str> = keys.iter().take(20).map(JobKey::as_str).collect();
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there is {}", there.join(", ")),
        };
        reader.diagnostics.error(need.span, codes::UNKNOWN_NEED, message).help(help);
    }
    known
}

/// `owner/repo[/path]@ref`, `./path`, `docker://image`.
pub(super) fn is_action(uses: &str) -> bool {
    if let Some(image) = uses.strip_prefix("docker://") {
        return !image.is_empty();
    }
    uses.starts_with("./") || is_remote(uses, 2)
}

/// `owner/repo/.github/workflows/file.yml@ref`, `./.github/workflows/file.yml`.
pub(super) fn is_workflow(uses: &str) -> bool {
    let file = |path: &str| {
        path.contains(".github/workflows/") && (path.ends_with(".yml") || path.ends_with(".yaml"))
    };
    match uses.strip_prefix("./") {
        Some(path) => file(path),
        None => is_remote(uses, 3) && uses.split('@').next().is_some_and(file),
    }
}

fn is_remote(uses: &str, parts_min: usize) -> bool {
    let Some((path, reference)) = uses.split_once('@') else { return false };
    let name = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let parts: Vec<&str> = path.split('/').collect();
    let owner_and_repo = parts.iter().take(2).all(|part| name(part));
    parts.len() >= parts_min
        && owner_and_repo
        && parts.iter().all(|part| !part.is_empty())
        && !reference.trim().is_empty()
}

/// A shell, as far as it is written out.
pub(super) fn shell(reader: &mut Reader, node: &Node, scope: Scope<'_>) -> Option<Template> {
    let template = reader.filled_template(node, scope)?;
    if let Some(Err(shell::ShellError::NoPlace(_) | shell::ShellError::Quote(_))) =
        template.as_literal().map(|text| shell::command(Some(text)))
    {
        let message = format!("`{}` is no shell", template.source());
        reader
            .diagnostics
            .error(node.span, codes::SHELL, message)
            .help("bash, sh, python, pwsh, or a command line with {0}");
    }
    Some(template)
}
