use std::collections::BTreeMap;

use grit_diag::decode::{Fields, read};
use grit_diag::{Diagnostics, codes as common, yaml::Node};
use grit_types::Weight;

use super::{codes, keys, value};
use crate::{Analysis, Canary, Guard, Metric, Rolling, Step, Strategy};

/// Strategies that need no declaration.
pub(super) const BUILT_IN: [&str; 2] = ["rolling", "canary"];

/// Metric names, and the percentile of those that are latencies.
pub(super) const METRICS: [(&str, Option<u8>); 4] = [
    ("success-rate", None),
    ("latency-p50", Some(50)),
    ("latency-p95", Some(95)),
    ("latency-p99", Some(99)),
];

/// The word that turns a guard off.
pub(super) const OFF: &str = "off";

/// The strategy that a built-in name stands for.
pub(super) fn built_in(name: &str) -> Option<Strategy> {
    match name {
        "rolling" => Some(Strategy::Rolling(Rolling {
            batch: keys::BATCH.default,
            guard: Some(default_guard()),
            soak: keys::SOAK.default,
        })),
        "canary" => {
            let pause = Step::Pause(Some(std::time::Duration::from_secs(600)));
            let weight = |percent| Weight::from_percent(percent).map(Step::SetWeight);
            let steps = [5, 20, 50].into_iter().filter_map(weight);
            Some(Strategy::Canary(Canary {
                steps: steps.flat_map(|weight| [weight, pause.clone()]).collect(),
                analysis: Some(default_analysis()),
                guard: Some(default_guard()),
                soak: keys::SOAK.default,
            }))
        }
        _ => None,
    }
}

fn default_guard() -> Guard {
    Guard {
        error_rate: keys::ERROR_RATE.default.weight(),
        window: keys::GUARD_WINDOW.default,
        min_requests: keys::GUARD_REQUESTS.default,
    }
}

fn default_analysis() -> Analysis {
    Analysis {
        metrics: default_metrics(),
        interval: keys::INTERVAL.default,
        count: None,
        failure_limit: keys::FAILURE_LIMIT.default,
        inconclusive_limit: keys::INCONCLUSIVE_LIMIT.default,
        min_requests: keys::MIN_REQUESTS.default,
    }
}

/// What an analysis looks at that does not say so: at most one request in a hundred fails.
fn default_metrics() -> Vec<Metric> {
    vec![Metric::SuccessRate { min: keys::SUCCESS_MIN.default.weight() }]
}

/// The declared strategies; `None` for one that has been reported.
pub(super) fn read_all(
    root: &mut Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, Option<Strategy>> {
    let mut strategies = BTreeMap::new();
    for (name, node) in value::named(root, "strategies", diagnostics) {
        if BUILT_IN.contains(&name.value) {
            let message = format!("`{}` is built in", name.value);
            let finding = diagnostics.error(name.span, codes::BUILT_IN_NAME, message);
            finding.help("give this strategy another name");
        }
        strategies.insert(name.value.to_owned(), strategy(node, diagnostics));
    }
    strategies
}

fn strategy(node: &Node, diagnostics: &mut Diagnostics) -> Option<Strategy> {
    match value::one_of(node, &["canary", "rolling"], diagnostics)? {
        ("canary", node) => canary(Fields::of(node, diagnostics)?, diagnostics),
        (_, node) => rolling(Fields::of(node, diagnostics)?, diagnostics),
    }
}

fn rolling(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Strategy> {
    let rolling = Rolling {
        batch: keys::BATCH.read(&mut fields, diagnostics),
        guard: guard(&mut fields, diagnostics),
        soak: keys::SOAK.read(&mut fields, diagnostics),
    };
    fields.finish(diagnostics);
    Some(Strategy::Rolling(rolling))
}

fn canary(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Strategy> {
    let steps = steps(&mut fields, diagnostics);
    let analysis = fields.fields("analysis", diagnostics);
    let analysis = analysis.map(|fields| rollout_analysis(fields, diagnostics));
    let guard = guard(&mut fields, diagnostics);
    let soak = keys::SOAK.read(&mut fields, diagnostics);
    fields.finish(diagnostics);
    Some(Strategy::Canary(Canary { steps, analysis, guard, soak }))
}

fn steps(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<Step> {
    let at = fields.key_span("steps").unwrap_or(fields.span());
    let written = fields.take("steps");
    let Some(nodes) = written.map_or(Some(&[][..]), |node| read::list(node, diagnostics)) else {
        return vec![];
    };
    if nodes.is_empty() {
        let finding = diagnostics.error(at, codes::NO_STEPS, "the canary has no step");
        finding.help("begin with a small share of the traffic: `steps: [{ setWeight: 5 }]`");
    }
    let mut is_weighed = false;
    let mut steps = Vec::new();
    for node in value::bounded(nodes, diagnostics) {
        let read = step(node, diagnostics);
        match &read {
            Some(Step::SetWeight(weight)) => is_weighed |= *weight > Weight::ZERO,
            Some(Step::Analysis(_)) if !is_weighed => {
                let message = "there is nothing to measure before the first `setWeight`";
                diagnostics.error(node.span, codes::NOTHING_TO_MEASURE, message);
            }
            Some(Step::Analysis(_) | Step::Pause(_)) => {}
            // What it should have been is not known: nothing after it is to be blamed.
            None => is_weighed = true,
        }
        steps.extend(read);
    }
    steps
}

fn step(node: &Node, diagnostics: &mut Diagnostics) -> Option<Step> {
    match value::one_of(node, &["setWeight", "pause", "analysis"], diagnostics)? {
        ("setWeight", node) => {
            keys::WEIGHT.of(node, diagnostics).map(|share| Step::SetWeight(share.weight()))
        }
        ("pause", node) if node.is_null() => Some(Step::Pause(None)),
        ("pause", node) => {
            let mut fields = Fields::of(node, diagnostics)?;
            let duration = keys::PAUSE.given(&mut fields, diagnostics);
            fields.finish(diagnostics);
            Some(Step::Pause(duration))
        }
        (_, node) => {
            let fields = Fields::of(node, diagnostics)?;
            Some(Step::Analysis(step_analysis(fields, diagnostics)))
        }
    }
}

/// It ends with the rollout, so that it has no `count`.
fn rollout_analysis(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> Analysis {
    let analysis = analysis(&mut fields, diagnostics);
    fields.finish(diagnostics);
    analysis
}

fn step_analysis(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> Analysis {
    let count = Some(keys::COUNT.read(&mut fields, diagnostics));
    let analysis = analysis(&mut fields, diagnostics);
    fields.finish(diagnostics);
    Analysis { count, ..analysis }
}

fn analysis(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Analysis {
    Analysis {
        metrics: metrics(fields, diagnostics),
        interval: keys::INTERVAL.read(fields, diagnostics),
        count: None,
        failure_limit: keys::FAILURE_LIMIT.read(fields, diagnostics),
        inconclusive_limit: keys::INCONCLUSIVE_LIMIT.read(fields, diagnostics),
        min_requests: keys::MIN_REQUESTS.read(fields, diagnostics),
    }
}

fn metrics(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<Metric> {
    let at = fields.key_span("metrics").unwrap_or(fields.span());
    let Some(nodes) = value::items(fields, "metrics", diagnostics) else {
        return default_metrics();
    };
    if nodes.is_empty() {
        let message = "an analysis without a metric never says anything";
        diagnostics.error(at, common::INVALID_VALUE, message);
    }
    nodes.iter().filter_map(|node| metric(node, diagnostics)).collect()
}

fn metric(node: &Node, diagnostics: &mut Diagnostics) -> Option<Metric> {
    let mut fields = Fields::of(node, diagnostics)?;
    let name = read::string(fields.required("name", diagnostics)?, diagnostics)?;
    let Some((_, percentile)) = METRICS.into_iter().find(|(known, _)| *known == name.value) else {
        let message = format!("there is no metric `{}`", name.value);
        let names = METRICS.into_iter().map(|(known, _)| known);
        let finding = diagnostics.error(name.span, codes::UNKNOWN_METRIC, message);
        finding.help(value::did_you_mean(name.value, names));
        return None;
    };
    let metric = match percentile {
        None => keys::SUCCESS_MIN
            .required(&mut fields, diagnostics)
            .map(|min| Metric::SuccessRate { min: min.weight() }),
        Some(percentile) => keys::LATENCY_MAX
            .required(&mut fields, diagnostics)
            .map(|max| Metric::Latency { percentile, max }),
    };
    fields.finish(diagnostics);
    metric
}

/// The guard is there unless it is turned off in so many words.
fn guard(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Guard> {
    let Some(node) = fields.take("guard") else { return Some(default_guard()) };
    if node.as_str() == Some(OFF) {
        return None;
    }
    if node.as_mapping().is_none() {
        read::expected::<()>("a mapping or `off`", node, diagnostics);
        return None;
    }
    let mut fields = Fields::of(node, diagnostics)?;
    let guard = Guard {
        error_rate: keys::ERROR_RATE.read(&mut fields, diagnostics).weight(),
        window: keys::GUARD_WINDOW.read(&mut fields, diagnostics),
        min_requests: keys::GUARD_REQUESTS.read(&mut fields, diagnostics),
    };
    fields.finish(diagnostics);
    Some(guard)
}
