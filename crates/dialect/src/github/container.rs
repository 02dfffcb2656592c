//! The containers of a job.

use grit_diag::codes::INVALID_VALUE;
use grit_diag::decode::{Fields, read};
use grit_diag::yaml::{Node, Value};
use grit_pipeline::expr::Template;
use grit_pipeline::plan::{ContainerKeys, ContainerPlan, ServicesPlan, Texts};
use indexmap::IndexMap;

use super::reader::Reader;
use super::scope;

pub(super) fn services(reader: &mut Reader, node: &Node) -> Option<ServicesPlan> {
    if node.as_str().is_some_and(|text| text.contains("${{")) {
        return reader.template(node, scope::JOB).map(ServicesPlan::Whole);
    }
    let mut services = IndexMap::new();
    for (name, service) in read::entries(node, &mut reader.diagnostics).unwrap_or_default() {
        if let Some(plan) = container(reader, service) {
            services.insert(name.value.to_owned(), plan);
        }
    }
    Some(ServicesPlan::Each(services))
}

/// A container of a job or a service.
pub(super) fn container(reader: &mut Reader, node: &Node) -> Option<ContainerPlan> {
    if node.as_mapping().is_none() {
        if node.is_null() {
            reader.diagnostics.error(node.span, INVALID_VALUE, "the container has no image");
            return None;
        }
        return reader.template(node, scope::JOB).map(ContainerPlan::Whole);
    }
    let mut fields = reader.fields(node)?;
    let image = match fields.required("image", &mut reader.diagnostics) {
        Some(image) if image.is_null() => {
            reader.diagnostics.error(image.span, INVALID_VALUE, "the container has no image");
            None
        }
        Some(image) => reader.template(image, scope::JOB),
        None => None,
    };
    let env = fields.take("env").and_then(|env| reader.texts(env, scope::CONTAINER_ENV));
    let ports = list(reader, &mut fields, "ports");
    let volumes = list(reader, &mut fields, "volumes");
    let mut text = |key| fields.take(key).and_then(|node| reader.template(node, scope::JOB));
    let (options, command, entrypoint) = (text("options"), text("command"), text("entrypoint"));
    let credentials = credentials(reader, &mut fields);
    fields.finish(&mut reader.diagnostics);
    Some(ContainerPlan::Keys(Box::new(ContainerKeys {
        image: image?,
        credentials,
        env: env.unwrap_or_default(),
        ports,
        volumes,
        options,
        entrypoint,
        command,
    })))
}

fn list(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Vec<Template> {
    let Some(node) = fields.take(key) else { return Vec::new() };
    let items = read::one_or_many(node, &mut reader.diagnostics).unwrap_or_default();
    let items = items.iter().filter(|item| !matches!(item.value, Value::Mapping(_)));
    items.filter_map(|item| reader.template(item, scope::JOB)).collect()
}

fn credentials(reader: &mut Reader, fields: &mut Fields<'_>) -> Texts {
    let mut texts = Texts::new();
    let Some(node) = fields.take("credentials") else { return texts };
    let Some(mut credentials) = reader.fields(node) else { return texts };
    for key in ["username", "password"] {
        let text = credentials.take(key);
        if let Some(text) = text.and_then(|node| reader.template(node, scope::CREDENTIALS)) {
            texts.insert(key.to_owned(), text);
        }
    }
    credentials.finish(&mut reader.diagnostics);
    texts
}
