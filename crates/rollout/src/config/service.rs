use std::collections::BTreeMap;

use grit_diag::decode::{Fields, Spanned, read};
use grit_diag::{Diagnostics, codes as common, yaml::Node};
use grit_types::Service;

use super::{ServiceConfig, codes, keys, value};
use crate::{Health, Limits, RunSpec};

/// Where a service's name, image and needs are written, for what is checked across services.
pub(super) struct Wiring {
    pub name: Spanned<Service>,
    pub image: Spanned<String>,
    pub needs: Vec<Spanned<Service>>,
}

/// What an instance's environment may not set, because Grit does.
const RESERVED: [&str; 1] = ["PORT"];

pub(super) fn read_all(
    root: &mut Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> (Vec<ServiceConfig>, Vec<Wiring>) {
    let entries = value::named(root, "services", diagnostics);
    let read = |(name, node): (Spanned<&str>, &Node)| {
        let name = value::parsed::<Service>(name, diagnostics)?;
        service(name, Fields::of(node, diagnostics)?, diagnostics)
    };
    entries.into_iter().filter_map(read).unzip()
}

fn service(
    name: Spanned<Service>,
    mut fields: Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<(ServiceConfig, Wiring)> {
    let source = fields
        .strings("source", diagnostics)
        .map(|paths| paths.into_iter().filter_map(|path| value::path(path, diagnostics)).collect());
    let image = fields.string("image", diagnostics).and_then(|t| value::image(t, diagnostics));
    let image = image.unwrap_or_else(|| name.clone().map(|name| name.to_string()));
    let needs = fields.strings("needs", diagnostics).unwrap_or_default();
    let needs: Vec<Spanned<Service>> =
        needs.into_iter().filter_map(|need| value::parsed(need, diagnostics)).collect();
    let run = run(&name, fields.fields("run", diagnostics), diagnostics);
    fields.finish(diagnostics);
    let config = ServiceConfig {
        name: name.value.clone(),
        source: source.unwrap_or_else(|| vec![".".to_owned()]),
        image: image.value.clone(),
        needs: needs.iter().map(|need| need.value.clone()).collect(),
        run,
    };
    Some((config, Wiring { name, image, needs }))
}

fn run(name: &Service, fields: Option<Fields<'_>>, diagnostics: &mut Diagnostics) -> RunSpec {
    let mut spec = default_run(name);
    let Some(mut fields) = fields else { return spec };
    if let Some(command) = command(&mut fields, diagnostics) {
        spec.command = command;
    }
    spec.replicas = keys::REPLICAS.read(&mut fields, diagnostics);
    spec.env = env(&mut fields, diagnostics);
    if let Some(health) = fields.fields("health", diagnostics) {
        spec.health = read_health(health, diagnostics);
    }
    spec.request_timeout = keys::REQUEST_TIMEOUT.read(&mut fields, diagnostics);
    spec.drain = keys::DRAIN.read(&mut fields, diagnostics);
    if let Some(mut limits) = fields.fields("limits", diagnostics) {
        spec.limits = Limits {
            memory_bytes: keys::MEMORY.given(&mut limits, diagnostics).map(|size| size.0),
            open_files: keys::OPEN_FILES.given(&mut limits, diagnostics),
        };
        limits.finish(diagnostics);
    }
    fields.finish(diagnostics);
    spec
}

/// How a service is run of which nothing is said.
fn default_run(name: &Service) -> RunSpec {
    RunSpec {
        command: vec![format!("./{name}")],
        replicas: keys::REPLICAS.default,
        env: BTreeMap::new(),
        health: default_health(),
        request_timeout: keys::REQUEST_TIMEOUT.default,
        drain: keys::DRAIN.default,
        limits: Limits::default(),
    }
}

/// The path that is asked unless another is written.
pub(super) const HEALTH_PATH: &str = "/health";

fn default_health() -> Health {
    Health {
        path: HEALTH_PATH.to_owned(),
        interval: keys::HEALTH_INTERVAL.default,
        timeout: keys::HEALTH_TIMEOUT.default,
        healthy_threshold: keys::HEALTHY.default,
        unhealthy_threshold: keys::UNHEALTHY.default,
        deadline: keys::DEADLINE.default,
    }
}

/// A list: what a shell would make of one string differs from machine to machine.
fn command(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Vec<String>> {
    let span = fields.key_span("command").unwrap_or(fields.span());
    let node = fields.take("command")?;
    if let Some(text) = node.as_str() {
        let words: Vec<&str> = text.split_whitespace().collect();
        let finding = diagnostics.error(
            node.span,
            common::WRONG_TYPE,
            "expected a list of arguments, found a string",
        );
        finding.help(format!("write `[{}]`, or `[sh, -c, \"…\"]` for a shell", words.join(", ")));
        return None;
    }
    let errors = diagnostics.error_count();
    let command = value::texts(node, diagnostics)?;
    if command.first().is_none_or(String::is_empty) && diagnostics.error_count() == errors {
        diagnostics.error(span, common::INVALID_VALUE, "the command is empty");
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        diagnostics.error(span, common::INVALID_VALUE, "an argument contains a zero character");
    }
    Some(command)
}

fn env(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (name, node) in value::named(fields, "env", diagnostics) {
        if let Some(problem) = variable_problem(name.value) {
            let message = format!("`{}` {problem}", name.value);
            diagnostics.error(name.span, codes::BAD_NAME, message);
        }
        if let Some(text) = read::string(node, diagnostics) {
            if text.contains('\0') {
                let message = "the value contains a zero character";
                diagnostics.error(text.span, common::INVALID_VALUE, message);
            }
            env.insert(name.value.to_owned(), text.value.to_owned());
        }
    }
    env
}

fn variable_problem(name: &str) -> Option<&'static str> {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(is_first) || !name.chars().all(|c| is_first(c) || c.is_ascii_digit()) {
        return Some("cannot be the name of an environment variable");
    }
    RESERVED.contains(&name).then_some("is set by Grit: it tells an instance where to listen")
}

fn read_health(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> Health {
    let path = fields.string("path", diagnostics);
    if let Some(path) = path.filter(|path| !is_request_path(path)) {
        let message = format!("`{}` is not the path of a request", path.value);
        diagnostics.error(path.span, common::INVALID_VALUE, message).help("begin it with `/`");
    }
    let health = Health {
        path: path.map_or_else(|| HEALTH_PATH.to_owned(), |path| path.value.to_owned()),
        interval: keys::HEALTH_INTERVAL.read(&mut fields, diagnostics),
        timeout: keys::HEALTH_TIMEOUT.read(&mut fields, diagnostics),
        healthy_threshold: keys::HEALTHY.read(&mut fields, diagnostics),
        unhealthy_threshold: keys::UNHEALTHY.read(&mut fields, diagnostics),
        deadline: keys::DEADLINE.read(&mut fields, diagnostics),
    };
    fields.finish(diagnostics);
    health
}

/// Visible ASCII only, so that it cannot end the request's line.
fn is_request_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 1_024 && path.bytes().all(|b| b.is_ascii_graphic())
}
