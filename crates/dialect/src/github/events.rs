use grit_diag::decode::{Fields, Spanned, read};
use grit_diag::yaml::{Node, Value};
use grit_diag::{Span, suggest};
use grit_pipeline::expr::Template;
use grit_pipeline::plan::{Filters, Input, InputKind, Texts, Trigger};
use grit_pipeline::trigger::{Cron, Pattern};
use indexmap::IndexMap;

use super::reader::Reader;
use super::scope;
use crate::codes;

const EVENTS: &[&str] = &[
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "grit_deployment",
    "grit_issue",
    "grit_lock",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "project",
    "project_card",
    "project_column",
    "public",
    "pull_request",
    "pull_request_comment",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "push",
    "registry_package",
    "release",
    "repository_dispatch",
    "schedule",
    "status",
    "watch",
    "workflow_call",
    "workflow_dispatch",
    "workflow_run",
];

/// `on`, in all its forms.
pub(super) fn triggers(reader: &mut Reader, node: &Node) -> Vec<Trigger> {
    match &node.value {
        Value::Sequence(items) => {
            items.iter().filter_map(|item| named(reader, item)).collect::<Vec<_>>()
        }
        Value::Mapping(_) => {
            let entries = read::entries(node, &mut reader.diagnostics).unwrap_or_default();
            entries.iter().filter_map(|(name, node)| configured(reader, *name, node)).collect()
        }
        _ => named(reader, node).into_iter().collect(),
    }
}

fn named(reader: &mut Reader, node: &Node) -> Option<Trigger> {
    let name = reader.filled(node)?;
    known(reader, &name, node.span).then(|| trigger(reader, &name, node.span))
}

fn trigger(reader: &Reader, event: &str, span: Span) -> Trigger {
    Trigger {
        event: event.to_owned(),
        place: reader.place(span),
        filters: Filters::default(),
        inputs: IndexMap::new(),
        schedule: Vec::new(),
        secrets: IndexMap::new(),
        outputs: Texts::new(),
    }
}

fn known(reader: &mut Reader, name: &str, span: Span) -> bool {
    if reader.has_expression(name, span) {
        return false;
    }
    let known = EVENTS.contains(&name);
    if !known {
        let message = format!("no event is called `{name}`");
        let finding = reader.diagnostics.error(span, codes::UNKNOWN_EVENT, message);
        if let Some(near) = suggest(name, EVENTS.iter().copied()) {
            finding.help(format!("did you mean `{near}`?"));
        }
    }
    known
}

fn configured(reader: &mut Reader, name: Spanned<&str>, node: &Node) -> Option<Trigger> {
    if !known(reader, &name, name.span) {
        return None;
    }
    let mut trigger = trigger(reader, &name, name.span);
    if node.is_null() {
        return Some(trigger);
    }
    if name.value == "schedule" {
        trigger.schedule = schedule(reader, node);
        return Some(trigger);
    }
    let mut fields = reader.fields(node)?;
    match name.value {
        "workflow_dispatch" => {
            if let Some(node) = fields.take("inputs").filter(|node| !node.is_null()) {
                trigger.inputs = inputs(reader, node);
            }
        }
        "workflow_call" => call(reader, &mut fields, &mut trigger),
        _ => trigger.filters = filters(reader, &mut fields),
    }
    if name.value == "workflow_call" {
        fields.finish(&mut reader.diagnostics);
        return Some(trigger);
    }
    // Beyond what is known GitHub ignores keys here, and so do we, but not silently.
    let mut findings = grit_diag::Diagnostics::new(&reader.source);
    fields.finish(&mut findings);
    for finding in findings.sorted() {
        let span = finding.primary.span;
        let warning = reader.diagnostics.warning(span, codes::EVENT_KEY, finding.message.clone());
        if let Some(help) = &finding.help {
            warning.help(help.clone());
        }
    }
    Some(trigger)
}

fn filters(reader: &mut Reader, fields: &mut Fields<'_>) -> Filters {
    let mut list = |name| {
        let node: &Node = fields.take(name)?;
        let items = read::strings(node, &mut reader.diagnostics)?;
        Some(Listed {
            span: node.span,
            items: items.iter().map(|item| item.map(str::to_owned)).collect(),
        })
    };
    let (branches, branches_ignore) = (list("branches"), list("branches-ignore"));
    let (tags, tags_ignore) = (list("tags"), list("tags-ignore"));
    let (paths, paths_ignore) = (list("paths"), list("paths-ignore"));
    let types = list("types");
    let workflows = list("workflows");
    list("names");
    for (name, only, ignore) in [
        ("branches", &branches, &branches_ignore),
        ("tags", &tags, &tags_ignore),
        ("paths", &paths, &paths_ignore),
    ] {
        patterns(reader, name, only.as_ref(), ignore.as_ref());
    }
    let values = |list: Option<Listed>| {
        list.map(|list| list.items.into_iter().map(|item| item.value).collect())
    };
    Filters {
        branches: values(branches),
        branches_ignore: values(branches_ignore),
        tags: values(tags),
        tags_ignore: values(tags_ignore),
        paths: values(paths),
        paths_ignore: values(paths_ignore),
        types: values(types),
        workflows: values(workflows),
    }
}

struct Listed {
    span: Span,
    items: Vec<Spanned<String>>,
}

fn patterns(reader: &mut Reader, name: &str, only: Option<&Listed>, ignore: Option<&Listed>) {
    for item in only.into_iter().chain(ignore).flat_map(|list| &list.items) {
        let pattern = item.value.strip_prefix('!').unwrap_or(&item.value);
        if let Err(error) = pattern.parse::<Pattern>() {
            reader.diagnostics.error(item.span, codes::PATTERN, error.to_string());
        }
    }
    if let (Some(only), Some(ignore)) = (only, ignore) {
        let message = format!("`{name}` and `{name}-ignore` cannot both be set");
        reader
            .diagnostics
            .error(ignore.span, codes::BOTH_FILTERS, message)
            .label(only.span, "the other is here");
    }
    if let Some(only) = only {
        let negative = |item: &Spanned<String>| item.value.starts_with('!');
        if !only.items.is_empty() && only.items.iter().all(negative) {
            let message = format!("`{name}` has only patterns that leave something out");
            reader
                .diagnostics
                .error(only.span, codes::ONLY_NEGATIVE, message)
                .help(format!("begin with \"**\", or use `{name}-ignore`"));
        }
    }
}

fn schedule(reader: &mut Reader, node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for item in read::list(node, &mut reader.diagnostics).unwrap_or_default() {
        let Some(mut fields) = reader.fields(item) else { continue };
        let cron = fields.required("cron", &mut reader.diagnostics);
        if let Some(node) = fields.take("timezone") {
            reader.literal(node);
        }
        fields.finish(&mut reader.diagnostics);
        let Some(node) = cron else { continue };
        let Some(line) = reader.filled(node) else { continue };
        if is_cron(&line) {
            lines.push(line);
        } else {
            let message = format!("`{line}` is no cron line of five fields");
            reader.diagnostics.error(node.span, codes::CRON, message);
        }
    }
    lines
}

fn is_cron(line: &str) -> bool {
    line.parse::<Cron>().is_ok()
}

fn inputs(reader: &mut Reader, node: &Node) -> IndexMap<String, Input> {
    let mut inputs = IndexMap::new();
    for (name, node) in read::entries(node, &mut reader.diagnostics).unwrap_or_default() {
        if let Some(input) = input(reader, node, DISPATCH_KINDS) {
            inputs.insert(name.value.to_owned(), input);
        }
    }
    inputs
}

type Kinds = &'static [(&'static str, InputKind)];

const DISPATCH_KINDS: Kinds = &[
    ("string", InputKind::String),
    ("boolean", InputKind::Boolean),
    ("number", InputKind::Number),
    ("choice", InputKind::Choice),
    ("environment", InputKind::Environment),
];
const CALL_KINDS: Kinds = &[
    ("string", InputKind::String),
    ("boolean", InputKind::Boolean),
    ("number", InputKind::Number),
];

fn input(reader: &mut Reader, node: &Node, kinds: Kinds) -> Option<Input> {
    let mut input = Input {
        kind: InputKind::String,
        description: None,
        required: false,
        default: None,
        options: Vec::new(),
    };
    if node.is_null() {
        return Some(input);
    }
    let mut fields = reader.fields(node)?;
    if let Some(node) = fields.take("type") {
        let name = reader.scalar(node).unwrap_or_default();
        match kinds.iter().find(|(kind, _)| *kind == name) {
            Some((_, kind)) => input.kind = *kind,
            None => {
                let kinds: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
                let message = format!("`{name}` is no type of an input");
                reader
                    .diagnostics
                    .error(node.span, grit_diag::codes::INVALID_VALUE, message)
                    .help(format!("one of {}", kinds.join(", ")));
            }
        }
    }
    input.description = fields.take("description").and_then(|node| reader.scalar(node));
    if let Some(required) = fields.boolean("required", &mut reader.diagnostics) {
        input.required = required.value;
    }
    let default = fields.take("default");
    input.default = default
        .and_then(|node| reader.template(node, scope::WORKFLOW))
        .map(|text| text.source().to_owned());
    if let Some(node) = fields.take("deprecationMessage") {
        reader.scalar(node);
    }
    if let Some(node) = fields.take("options") {
        let options = read::strings(node, &mut reader.diagnostics).unwrap_or_default();
        input.options = options.iter().map(|option| option.value.to_owned()).collect();
    }
    fields.finish(&mut reader.diagnostics);
    Some(input)
}

/// `workflow_call`: what a caller gives and takes.
fn call(reader: &mut Reader, fields: &mut Fields<'_>, trigger: &mut Trigger) {
    for (name, node) in described(reader, fields.take("inputs")) {
        if node.get("type").is_none() {
            let message = format!("the input `{}` must say its type", name.value);
            reader.diagnostics.error(name.span, grit_diag::codes::MISSING_KEY, message);
        }
        if let Some(input) = input(reader, node, CALL_KINDS) {
            trigger.inputs.insert(name.value.to_owned(), input);
        }
    }
    for (name, node) in described(reader, fields.take("secrets")) {
        let required = secret(reader, node);
        trigger.secrets.insert(name.value.to_owned(), required);
    }
    for (name, node) in described(reader, fields.take("outputs")) {
        if let Some(value) = output(reader, node) {
            trigger.outputs.insert(name.value.to_owned(), value);
        }
    }
}

fn described<'n>(reader: &mut Reader, node: Option<&'n Node>) -> Vec<(Spanned<&'n str>, &'n Node)> {
    let entries = node.filter(|node| !node.is_null()).and_then(|node| {
        let entries = read::entries(node, &mut reader.diagnostics)?;
        Some(entries.into_iter().collect())
    });
    entries.unwrap_or_default()
}

/// Whether a secret must be given.
fn secret(reader: &mut Reader, node: &Node) -> bool {
    if node.is_null() {
        return false;
    }
    let Some(mut fields) = reader.fields(node) else { return false };
    if let Some(node) = fields.take("description") {
        reader.scalar(node);
    }
    let required = fields.boolean("required", &mut reader.diagnostics);
    fields.finish(&mut reader.diagnostics);
    required.is_some_and(|required| required.value)
}

fn output(reader: &mut Reader, node: &Node) -> Option<Template> {
    if node.is_null() {
        return None;
    }
    let mut fields = reader.fields(node)?;
    if let Some(node) = fields.take("description") {
        reader.scalar(node);
    }
    let value = fields.take("value").and_then(|node| reader.template(node, scope::CALL_OUTPUT));
    fields.finish(&mut reader.diagnostics);
    value
}
