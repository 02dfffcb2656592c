//! What a job is run in and with; read to be checked.

use grit_diag::codes::INVALID_VALUE;
use grit_diag::decode::read;
use grit_diag::suggest;
use grit_diag::yaml::{Node, Value};
use grit_pipeline::expr::Scope;

use super::reader::Reader;
use super::scope;
use crate::codes;

const PERMISSIONS: &[&str] = &[
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "id-token",
    "issues",
    "models",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
];

pub(super) fn permissions(reader: &mut Reader, node: &Node) {
    if let Some(text) = node.as_str() {
        if !matches!(text, "read-all" | "write-all") {
            let message = format!("`{text}` is no set of permissions");
            reader
                .diagnostics
                .error(node.span, codes::PERMISSION, message)
                .help("read-all, write-all, or a mapping of scopes");
        }
        return;
    }
    if node.is_null() {
        return;
    }
    for (name, value) in read::entries(node, &mut reader.diagnostics).unwrap_or_default() {
        if !PERMISSIONS.contains(&name.value) {
            let message = format!("no permission is called `{}`", name.value);
            let near = suggest(&name, PERMISSIONS.iter().copied());
            let finding = reader.diagnostics.error(name.span, codes::PERMISSION, message);
            if let Some(near) = near {
                finding.help(format!("did you mean `{near}`?"));
            }
        }
        let access = reader.scalar(value).unwrap_or_default();
        if !matches!(access.as_str(), "read" | "write" | "none") {
            let message = format!("`{access}` is no access");
            reader
                .diagnostics
                .error(value.span, codes::PERMISSION, message)
                .help("read, write or none");
        }
    }
}

pub(super) fn concurrency(reader: &mut Reader, node: &Node, scope: Scope<'_>) {
    if node.as_mapping().is_none() {
        reader.filled_template(node, scope);
        return;
    }
    let Some(mut fields) = reader.fields(node) else { return };
    if let Some(group) = fields.required("group", &mut reader.diagnostics) {
        reader.filled_template(group, scope);
    }
    if let Some(flag) = fields.take("cancel-in-progress") {
        reader.flag(flag, scope);
    }
    if let Some(queue) = fields.take("queue") {
        reader.filled_template(queue, scope);
    }
    fields.finish(&mut reader.diagnostics);
}

pub(super) fn environment(reader: &mut Reader, node: &Node) {
    if node.as_mapping().is_none() {
        reader.template(node, scope::JOB);
        return;
    }
    let Some(mut fields) = reader.fields(node) else { return };
    if let Some(name) = fields.required("name", &mut reader.diagnostics) {
        reader.filled_template(name, scope::JOB);
    }
    if let Some(url) = fields.take("url") {
        reader.template(url, scope::ENVIRONMENT_URL);
    }
    if let Some(flag) = fields.take("deployment") {
        reader.flag(flag, scope::JOB);
    }
    fields.finish(&mut reader.diagnostics);
}

pub(super) fn services(reader: &mut Reader, node: &Node) {
    if node.as_str().is_some_and(|text| text.contains("${{")) {
        reader.template(node, scope::JOB);
        return;
    }
    for (_, service) in read::entries(node, &mut reader.diagnostics).unwrap_or_default() {
        container(reader, service);
    }
}

/// A container of a job or a service.
pub(super) fn container(reader: &mut Reader, node: &Node) {
    if node.as_mapping().is_none() {
        if node.is_null() {
            reader.diagnostics.error(node.span, INVALID_VALUE, "the container has no image");
            return;
        }
        reader.template(node, scope::JOB);
        return;
    }
    let Some(mut fields) = reader.fields(node) else { return };
    match fields.required("image", &mut reader.diagnostics) {
        Some(image) if image.is_null() => {
            reader.diagnostics.error(image.span, INVALID_VALUE, "the container has no image");
        }
        Some(image) => {
            reader.template(image, scope::JOB);
        }
        None => {}
    }
    if let Some(env) = fields.take("env") {
        reader.texts(env, scope::CONTAINER_ENV);
    }
    for key in ["ports", "volumes"] {
        if let Some(list) = fields.take(key) {
            let items = read::one_or_many(list, &mut reader.diagnostics).unwrap_or_default();
            for item in items.iter().filter(|item| !matches!(item.value, Value::Mapping(_))) {
                reader.template(item, scope::JOB);
            }
        }
    }
    for key in ["options", "command", "entrypoint"] {
        if let Some(text) = fields.take(key) {
            reader.template(text, scope::JOB);
        }
    }
    if let Some(mut credentials) = fields.take("credentials").and_then(|node| reader.fields(node)) {
        for key in ["username", "password"] {
            if let Some(text) = credentials.take(key) {
                reader.template(text, scope::CREDENTIALS);
            }
        }
        credentials.finish(&mut reader.diagnostics);
    }
    fields.finish(&mut reader.diagnostics);
}
