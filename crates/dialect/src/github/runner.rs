//! What a job is run in and with; read to be checked.

use grit_diag::decode::{Spanned, read};
use grit_diag::suggest;
use grit_diag::yaml::Node;
use grit_pipeline::expr::{Scope, Template};
use grit_pipeline::plan::{
    Access, ConcurrencyPlan, EnvironmentPlan, PERMISSION_SCOPES, Permissions,
};

use super::reader::Reader;
use super::scope;
use crate::codes;

/// What a key `permissions` gives; nothing where it cannot be used.
pub(super) fn permissions(reader: &mut Reader, node: &Node) -> Option<Permissions> {
    let mut permissions = Permissions { place: reader.place(node.span), ..Permissions::default() };
    if let Some(text) = node.as_str() {
        permissions.all = match text {
            "read-all" => Some(Access::Read),
            "write-all" => Some(Access::Write),
            _ => {
                let message = format!("`{text}` is no set of permissions");
                reader
                    .diagnostics
                    .error(node.span, codes::PERMISSION, message)
                    .help("read-all, write-all, or a mapping of scopes");
                return None;
            }
        };
        return Some(permissions);
    }
    if node.is_null() {
        return Some(permissions);
    }
    for (name, value) in read::entries(node, &mut reader.diagnostics).unwrap_or_default() {
        known_permission(reader, name);
        let access = reader.scalar(value).unwrap_or_default();
        match Access::named(&access) {
            Some(access) => drop(permissions.scopes.insert(name.value.to_owned(), access)),
            None => {
                let message = format!("`{access}` is no access");
                reader
                    .diagnostics
                    .error(value.span, codes::PERMISSION, message)
                    .help("read, write or none");
            }
        }
    }
    Some(permissions)
}

fn known_permission(reader: &mut Reader, name: Spanned<&str>) {
    if PERMISSION_SCOPES.contains(&name.value) {
        return;
    }
    let message = format!("no permission is called `{}`", name.value);
    let near = suggest(&name, PERMISSION_SCOPES.iter().copied());
    let finding = reader.diagnostics.error(name.span, codes::PERMISSION, message);
    if let Some(near) = near {
        finding.help(format!("did you mean `{near}`?"));
    }
}

/// What a key `concurrency` gives.
pub(super) fn concurrency(
    reader: &mut Reader,
    node: &Node,
    scope: Scope<'_>,
) -> Option<ConcurrencyPlan> {
    let place = reader.place(node.span);
    if node.as_mapping().is_none() {
        let group = reader.filled_template(node, scope)?;
        return Some(ConcurrencyPlan { group, cancel_in_progress: None, queue: None, place });
    }
    let mut fields = reader.fields(node)?;
    let group = fields.required("group", &mut reader.diagnostics);
    let group = group.and_then(|group| reader.filled_template(group, scope));
    let cancel = fields.take("cancel-in-progress").and_then(|flag| reader.flag(flag, scope));
    let queue =
        fields.take("queue").and_then(|queue| queued(reader, queue, cancel.as_ref(), scope));
    fields.finish(&mut reader.diagnostics);
    Some(ConcurrencyPlan { group: group?, cancel_in_progress: cancel, queue, place })
}

/// How many may wait: `single`, or `max`, which goes with no `cancel-in-progress`.
fn queued(
    reader: &mut Reader,
    node: &Node,
    cancel: Option<&Template>,
    scope: Scope<'_>,
) -> Option<Template> {
    let queue = reader.filled_template(node, scope)?;
    match queue.as_literal() {
        Some("max") if cancel.and_then(Template::as_literal) == Some("true") => {
            let message = "`queue: max` and `cancel-in-progress: true` shut each other out";
            reader
                .diagnostics
                .error(node.span, codes::CONCURRENCY, message)
                .help("leave one of the two out");
        }
        Some("single" | "max") | None => {}
        Some(other) => {
            let message = format!("`{other}` is no queue");
            reader
                .diagnostics
                .error(node.span, codes::CONCURRENCY, message)
                .help("single: of those that wait only the last runs; max: one after the other");
        }
    }
    Some(queue)
}

/// What a key `environment` gives.
pub(super) fn environment(reader: &mut Reader, node: &Node) -> Option<EnvironmentPlan> {
    let place = reader.place(node.span);
    if node.as_mapping().is_none() {
        let name = reader.template(node, scope::JOB)?;
        return Some(EnvironmentPlan { name, url: None, place });
    }
    let mut fields = reader.fields(node)?;
    let name = fields.required("name", &mut reader.diagnostics);
    let name = name.and_then(|name| reader.filled_template(name, scope::JOB));
    let url = fields.take("url").and_then(|url| reader.template(url, scope::ENVIRONMENT_URL));
    if let Some(flag) = fields.take("deployment") {
        reader.flag(flag, scope::JOB);
    }
    fields.finish(&mut reader.diagnostics);
    Some(EnvironmentPlan { name: name?, url, place })
}
