use grit_diag::decode::{Fields, Spanned};
use grit_diag::yaml::Node;
use grit_pipeline::expr::Scope;
use grit_pipeline::plan::{Action, Step};

use super::reader::Reader;
use super::{check, scope};
use crate::codes;

/// Where a step stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Job,
    Composite,
}

impl Place {
    fn scope(self) -> Scope<'static> {
        match self {
            Self::Job => scope::STEP,
            Self::Composite => scope::ACTION_STEP,
        }
    }

    fn condition(self) -> Scope<'static> {
        match self {
            Self::Job => scope::STEP_IF,
            Self::Composite => scope::ACTION_IF,
        }
    }
}

pub(super) fn step(
    reader: &mut Reader,
    node: &Node,
    at: Place,
    ids: &mut check::Ids,
) -> Option<Step> {
    let scope = at.scope();
    let mut fields = reader.fields(node)?;
    let id = id(reader, &mut fields, ids);
    let name = fields.take("name").and_then(|node| reader.template(node, scope));
    let condition = fields.take("if").and_then(|node| reader.condition(node, at.condition()));
    let env = fields.take("env").and_then(|node| reader.texts(node, scope));
    let timeout = fields.take("timeout-minutes");
    let timeout = timeout.and_then(|node| reader.minutes(node, scope));
    let may_fail = fields.take("continue-on-error");
    let may_fail = may_fail.and_then(|node| reader.flag(node, scope));
    let directory = fields.take("working-directory");
    let directory = directory.and_then(|node| reader.template(node, scope));
    let place = reader.place(node.span);
    let action = action(reader, &mut fields, at);
    let (span, errors) = (fields.span(), reader.diagnostics.error_count());
    let idle = fields.key_span("run").or_else(|| fields.key_span("uses")).is_none();
    fields.finish(&mut reader.diagnostics);
    // A key with a typing error says it already.
    if idle && errors == reader.diagnostics.error_count() {
        let message = "the step has neither `run` nor `uses`";
        reader.diagnostics.error(span, codes::NO_ACTION, message);
    }
    Some(Step {
        id,
        name,
        place,
        condition: condition.unwrap_or_default(),
        action: action?,
        env: env.unwrap_or_default(),
        working_directory: directory,
        timeout_minutes: timeout,
        continue_on_error: may_fail,
    })
}

fn id(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    ids: &mut check::Ids,
) -> Option<grit_pipeline::plan::JobKey> {
    let node = fields.take("id")?;
    let text = reader.literal(node)?;
    if text.is_empty() {
        return None;
    }
    let id = check::id(reader, &Spanned::new(text.as_str(), node.span))?;
    ids.add(reader, &id, "step");
    Some(id.value)
}

fn action(reader: &mut Reader, fields: &mut Fields<'_>, at: Place) -> Option<Action> {
    let scope = at.scope();
    let (run, uses) = (fields.take("run"), fields.take("uses"));
    let (shell, with) = (fields.take("shell"), fields.take("with"));
    match (run, uses) {
        (Some(run), Some(uses)) => {
            let (run, uses) = (run.span, uses.span);
            reader
                .diagnostics
                .error(uses, codes::USES_AND_RUN, "`uses` and `run` cannot both be set")
                .label(run, "the other is here")
                .help("split this into two steps");
            None
        }
        (None, None) => None,
        (Some(run), None) => {
            reject(reader, fields, "with", "uses");
            if at == Place::Composite && shell.is_none() {
                let message = "a `run` step of an action must say its `shell`";
                reader.diagnostics.error(run.span, codes::ACTION, message).help("shell: bash");
            }
            let shell = shell.and_then(|node| check::shell(reader, node, scope));
            let script = reader.filled_template(run, scope)?;
            Some(Action::Run { script, shell })
        }
        (None, Some(node)) => {
            for key in ["shell", "working-directory"] {
                reject(reader, fields, key, "run");
            }
            let with = with.and_then(|node| reader.texts(node, scope)).unwrap_or_default();
            let uses = reader.literal(node)?;
            if !check::is_action(&uses) {
                let message = format!("`{uses}` names no action");
                reader
                    .diagnostics
                    .error(node.span, codes::USES_SYNTAX, message)
                    .help("write owner/repo@ref, owner/repo/path@ref, ./path or docker://image");
                return None;
            }
            Some(Action::Uses { uses, with })
        }
    }
}

fn reject(reader: &mut Reader, fields: &Fields<'_>, key: &'static str, goes_with: &str) {
    if let Some(span) = fields.key_span(key) {
        let message = format!("`{key}` goes with `{goes_with}`, which this step does not have");
        reader.diagnostics.error(span, codes::WRONG_ACTION_KEY, message);
    }
}
