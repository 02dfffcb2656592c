use grit_diag::decode::{Fields, Spanned};
use grit_diag::yaml::Node;
use grit_pipeline::plan::{Action, Step};

use super::reader::Reader;
use super::{check, scope};
use crate::codes;

pub(super) fn step(reader: &mut Reader, node: &Node, ids: &mut check::Ids) -> Option<Step> {
    let mut fields = reader.fields(node)?;
    let id = id(reader, &mut fields, ids);
    let name = fields.take("name").and_then(|node| reader.template(node, scope::STEP));
    let condition = fields.take("if").and_then(|node| reader.condition(node, scope::STEP_IF));
    let env = fields.take("env").and_then(|node| reader.texts(node, scope::STEP));
    let timeout = fields.take("timeout-minutes");
    let timeout = timeout.and_then(|node| reader.minutes(node, scope::STEP));
    let may_fail = fields.take("continue-on-error");
    let may_fail = may_fail.and_then(|node| reader.flag(node, scope::STEP));
    let directory = fields.take("working-directory");
    let directory = directory.and_then(|node| reader.template(node, scope::STEP));
    let place = reader.place(node.span);
    let action = action(reader, &mut fields);
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

fn action(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Action> {
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
            let shell = shell.and_then(|node| check::shell(reader, node, scope::STEP));
            let script = reader.filled_template(run, scope::STEP)?;
            Some(Action::Run { script, shell })
        }
        (None, Some(node)) => {
            for key in ["shell", "working-directory"] {
                reject(reader, fields, key, "run");
            }
            let with = with.and_then(|node| reader.texts(node, scope::STEP)).unwrap_or_default();
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
