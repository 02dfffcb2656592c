use std::collections::BTreeMap;

use grit_diag::decode::{Fields, Spanned, read};
use grit_diag::{Diagnostics, codes as common, yaml::Node};
use grit_types::{Environment, Role};

use super::strategy::{BUILT_IN, built_in};
use super::{EnvironmentConfig, Glob, ProtectionConfig, When, codes, keys, value};
use crate::{Approval, Gate, Strategy};

/// Where an environment's name is written, and which comes before it.
pub(super) struct Order {
    pub name: Spanned<Environment>,
    pub after: Option<Spanned<Environment>>,
}

/// The strategy of an environment that does not say.
pub(super) const DEFAULT_STRATEGY: &str = "rolling";

/// Who may approve where a gate does not say; an Owner counts as an Admin.
pub(super) const DEFAULT_ROLES: [Role; 1] = [Role::Admin];

/// Whether an approval must be somebody else's, where a gate does not say.
pub(super) const DEFAULT_DISTINCT: bool = true;

pub(super) fn read_all(
    root: &mut Fields<'_>,
    strategies: &BTreeMap<String, Option<Strategy>>,
    diagnostics: &mut Diagnostics,
) -> (Vec<EnvironmentConfig>, Vec<Order>) {
    let entries = value::named(root, "environments", diagnostics);
    let read = |(name, node): (Spanned<&str>, &Node)| {
        let name = value::parsed::<Environment>(name, diagnostics)?;
        Some(environment(name, Fields::of(node, diagnostics)?, strategies, diagnostics))
    };
    entries.into_iter().filter_map(read).unzip()
}

fn environment(
    name: Spanned<Environment>,
    mut fields: Fields<'_>,
    strategies: &BTreeMap<String, Option<Strategy>>,
    diagnostics: &mut Diagnostics,
) -> (EnvironmentConfig, Order) {
    let when = fields.fields("when", diagnostics).map(|when| read_when(when, diagnostics));
    let after = fields.string("after", diagnostics);
    let after = after.and_then(|after| value::parsed::<Environment>(after, diagnostics));
    let gates = value::items(&mut fields, "gates", diagnostics).unwrap_or_default();
    let verify = value::items(&mut fields, "verify", diagnostics).unwrap_or_default();
    let config = EnvironmentConfig {
        name: name.value.clone(),
        when,
        after: after.as_ref().map(|after| after.value.clone()),
        gates: gates.iter().filter_map(|node| gate(node, diagnostics)).collect(),
        verify: verify.iter().filter_map(|node| check(node, diagnostics)).collect(),
        strategy: strategy(&mut fields, strategies, diagnostics),
        warm: keys::ROLLBACK_WINDOW.read(&mut fields, diagnostics),
        replicas: keys::REPLICAS.given(&mut fields, diagnostics),
        protection: fields.fields("protection", diagnostics).map(|f| protection(f, diagnostics)),
    };
    fields.finish(diagnostics);
    (config, Order { name, after })
}

fn read_when(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> When {
    let mut glob = |key, diagnostics: &mut Diagnostics| {
        let text = fields.string(key, diagnostics)?;
        value::parsed::<Glob>(text, diagnostics).map(|glob| glob.value)
    };
    let errors = diagnostics.error_count();
    let when = When { branch: glob("branch", diagnostics), tag: glob("tag", diagnostics) };
    let span = fields.span();
    fields.finish(diagnostics);
    if when.branch.is_none() && when.tag.is_none() && diagnostics.error_count() == errors {
        let message = "`when` names neither a branch nor a tag";
        let finding = diagnostics.error(span, codes::EMPTY_WHEN, message);
        finding.help("write `branch: main` or `tag: \"v*\"`, or leave `when` out");
    }
    when
}

fn gate(node: &Node, diagnostics: &mut Diagnostics) -> Option<Gate> {
    if node.get("lock").is_some() {
        let message = "a lock as a gate is not there yet";
        let finding = diagnostics.error(node.span, codes::LOCK_GATE, message);
        finding.help(
            "named locks come with the issue tracker; remove this gate, or ask for an approval: \
             `approval: { min: 1 }`",
        );
        return None;
    }
    match value::one_of(node, &["checks", "approval"], diagnostics)? {
        ("checks", node) => checks(node, diagnostics).map(Gate::Checks),
        (_, node) => approval(Fields::of(node, diagnostics)?, diagnostics).map(Gate::Approval),
    }
}

fn protection(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> ProtectionConfig {
    let asked = fields.fields("approval", diagnostics);
    let refs = fields.strings("refs", diagnostics).unwrap_or_default();
    let glob = |text| value::parsed::<Glob>(text, diagnostics).map(|glob| glob.value);
    let refs = refs.into_iter().filter_map(glob).collect();
    let protection = ProtectionConfig {
        approval: asked.and_then(|fields| approval(fields, diagnostics)),
        wait: keys::WAIT.read(&mut fields, diagnostics),
        refs,
    };
    fields.finish(diagnostics);
    protection
}

fn checks(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<String>> {
    if node.as_sequence().is_some_and(<[Node]>::is_empty) {
        diagnostics.error(node.span, common::INVALID_VALUE, "no check is named");
    }
    value::texts(node, diagnostics)
}

fn approval(mut fields: Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Approval> {
    let at = fields.key_span("roles");
    let roles = fields.strings("roles", diagnostics);
    if let (Some(at), Some([])) = (at, roles.as_deref()) {
        diagnostics.error(at, common::INVALID_VALUE, "no role is named, so nobody could approve");
    }
    let roles = roles.map(|roles| {
        roles.into_iter().filter_map(|text| role(text, diagnostics)).collect::<Vec<_>>()
    });
    let approval = Approval {
        min: keys::APPROVALS.read(&mut fields, diagnostics),
        roles: roles.unwrap_or_else(|| DEFAULT_ROLES.to_vec()),
        distinct: fields.boolean("distinct", diagnostics).map_or(DEFAULT_DISTINCT, |b| b.value),
    };
    fields.finish(diagnostics);
    Some(approval)
}

fn role(text: Spanned<&str>, diagnostics: &mut Diagnostics) -> Option<Role> {
    let found = Role::parse(text.value);
    if found.is_none() {
        let message = format!("there is no role `{}`", text.value);
        let finding = diagnostics.error(text.span, codes::UNKNOWN_ROLE, message);
        finding.help(value::did_you_mean(text.value, Role::ALL.into_iter().map(Role::as_str)));
    }
    found
}

fn check(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let mut fields = Fields::of(node, diagnostics)?;
    let run = read::string(fields.required("run", diagnostics)?, diagnostics)?;
    fields.finish(diagnostics);
    if run.value.trim().is_empty() || run.value.contains('\0') {
        diagnostics.error(run.span, common::INVALID_VALUE, "this is not a command");
    }
    Some(run.value.to_owned())
}

fn strategy(
    fields: &mut Fields<'_>,
    declared: &BTreeMap<String, Option<Strategy>>,
    diagnostics: &mut Diagnostics,
) -> Strategy {
    let default = || {
        built_in(DEFAULT_STRATEGY)
            .expect("the strategy of environments that do not say is built in")
    };
    let Some(name) = fields.string("strategy", diagnostics) else { return default() };
    if let Some(strategy) = built_in(name.value) {
        return strategy;
    }
    if let Some(strategy) = declared.get(name.value) {
        return strategy.clone().unwrap_or_else(default);
    }
    let message = format!("there is no strategy `{}`", name.value);
    let known = declared.keys().map(String::as_str).chain(BUILT_IN);
    let finding = diagnostics.error(name.span, codes::UNKNOWN_STRATEGY, message);
    finding.help(value::did_you_mean(name.value, known));
    default()
}
