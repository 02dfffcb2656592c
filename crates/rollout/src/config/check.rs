//! What only shows when services and environments are looked at together.

use std::collections::BTreeMap;

use grit_diag::decode::Spanned;
use grit_diag::{Diagnostics, Span};

use super::environment::Order;
use super::service::Wiring;
use super::{ServiceConfig, codes, value};

pub(super) fn services(
    services: &[ServiceConfig],
    wiring: &[Wiring],
    diagnostics: &mut Diagnostics,
) {
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    shared_images(wiring, diagnostics);
    for need in wiring.iter().flat_map(|wiring| &wiring.needs) {
        if !names.contains(&need.as_str()) {
            let message = format!("there is no service `{}`", need.value);
            let finding = diagnostics.error(need.span, codes::UNKNOWN_SERVICE, message);
            finding.help(value::did_you_mean(need.as_str(), names.iter().copied()));
        }
    }
    let graph = wiring.iter().map(|wiring| {
        let needs = wiring.needs.iter().map(|need| (need.as_str(), need.span));
        (wiring.name.as_str(), needs.collect())
    });
    cycles("needs", &graph.collect(), diagnostics);
}

pub(super) fn environments(order: &[Order], diagnostics: &mut Diagnostics) {
    let names: Vec<&str> = order.iter().map(|order| order.name.as_str()).collect();
    for after in order.iter().filter_map(|order| order.after.as_ref()) {
        if !names.contains(&after.as_str()) {
            let message = format!("there is no environment `{}`", after.value);
            let finding = diagnostics.error(after.span, codes::UNKNOWN_ENVIRONMENT, message);
            finding.help(value::did_you_mean(after.as_str(), names.iter().copied()));
        }
    }
    let graph = order.iter().map(|order| {
        let after = order.after.iter().map(|after| (after.as_str(), after.span));
        (order.name.as_str(), after.collect())
    });
    cycles("after", &graph.collect(), diagnostics);
}

fn shared_images(wiring: &[Wiring], diagnostics: &mut Diagnostics) {
    let mut first: BTreeMap<&str, &Spanned<String>> = BTreeMap::new();
    for Wiring { image, .. } in wiring {
        if let Some(other) = first.get(image.as_str()) {
            let message = format!("the image `{}` belongs to another service", image.value);
            let finding = diagnostics.error(image.span, codes::SHARED_IMAGE, message);
            finding.label(other.span, "that one has it here");
            finding.help("give each service an image of its own");
        } else {
            first.insert(image.as_str(), image);
        }
    }
}

/// From each name to those that come before it, and where that is written.
type Graph<'a> = BTreeMap<&'a str, Vec<(&'a str, Span)>>;

/// Reports each cycle once, at the link that closes it.
fn cycles(key: &str, graph: &Graph<'_>, diagnostics: &mut Diagnostics) {
    let mut done = Vec::new();
    for name in graph.keys() {
        walk(key, graph, &mut vec![name], &mut done, diagnostics);
    }
}

/// Depth first; as deep as there are names, which are few.
fn walk<'a>(
    key: &str,
    graph: &Graph<'a>,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
    diagnostics: &mut Diagnostics,
) {
    let Some(name) = path.last().copied().filter(|name| !done.contains(name)) else { return };
    for (next, span) in graph.get(name).into_iter().flatten() {
        if let Some(start) = path.iter().position(|on_path| on_path == next) {
            let cycle: Vec<&str> = path[start..].iter().copied().chain([*next]).collect();
            let message = format!("`{key}` leads back to itself: {}", cycle.join(" → "));
            let finding = diagnostics.error(*span, codes::CYCLE, message);
            finding.help("remove one of these links");
        } else {
            path.push(next);
            walk(key, graph, path, done, diagnostics);
            path.pop();
        }
    }
    done.push(name);
}
