use grit_diag::decode::{Fields, read};
use grit_diag::yaml::Node;
use grit_diag::{Diagnostics, Source, yaml};
use grit_pipeline::expr::Condition;
use grit_pipeline::plan::{ActionInput, ActionPlan, ActionRuns, Texts};
use indexmap::IndexMap;

use super::reader::Reader;
use super::{job, scope};
use crate::codes;

/// Reads an action's `action.yml`; `path` is the folder that it lies in.
///
/// No plan: the text is no YAML, or says nothing that could be run.
pub fn read_action(source: &Source, path: &str) -> (Option<ActionPlan>, Diagnostics) {
    let (root, diagnostics) = yaml::parse(source);
    let mut reader = Reader { source: source.clone(), diagnostics };
    let plan = root.as_ref().and_then(|root| action(&mut reader, root, path));
    (plan, reader.diagnostics)
}

fn action(reader: &mut Reader, root: &Node, path: &str) -> Option<ActionPlan> {
    let mut fields = reader.fields(root)?;
    let name = fields.take("name").and_then(|node| reader.scalar(node));
    for key in ["description", "author"] {
        if let Some(node) = fields.take(key) {
            reader.scalar(node);
        }
    }
    // How a market place shows it.
    fields.take("branding");
    let inputs = fields.take("inputs").map(|node| inputs(reader, node)).unwrap_or_default();
    let outputs = fields.take("outputs").map(|node| outputs(reader, node)).unwrap_or_default();
    let runs = fields.required("runs", &mut reader.diagnostics);
    let runs = runs.and_then(|node| runs_of(reader, node));
    Some(ActionPlan {
        name: name.unwrap_or_else(|| path.to_owned()),
        path: path.to_owned(),
        inputs,
        outputs,
        runs: runs?,
    })
}

fn inputs(reader: &mut Reader, node: &Node) -> IndexMap<String, ActionInput> {
    let mut inputs = IndexMap::new();
    if node.is_null() {
        return inputs;
    }
    for (name, node) in read::entries(node, &mut reader.diagnostics).unwrap_or_default() {
        let mut input = ActionInput::default();
        if !node.is_null()
            && let Some(mut fields) = reader.fields(node)
        {
            let required = fields.take("required").and_then(|node| reader.scalar(node));
            input.required = required.as_deref() == Some("true");
            input.default =
                fields.take("default").and_then(|node| reader.template(node, scope::ACTION_INPUT));
        }
        inputs.insert(name.value.to_owned(), input);
    }
    inputs
}

fn outputs(reader: &mut Reader, node: &Node) -> Texts {
    let mut outputs = Texts::new();
    if node.is_null() {
        return outputs;
    }
    for (name, node) in read::entries(node, &mut reader.diagnostics).unwrap_or_default() {
        if !node.is_null()
            && let Some(mut fields) = reader.fields(node)
            && let Some(value) = fields.take("value")
            && let Some(value) = reader.template(value, scope::ACTION_STEP)
        {
            outputs.insert(name.value.to_owned(), value);
        }
    }
    outputs
}

fn runs_of(reader: &mut Reader, node: &Node) -> Option<ActionRuns> {
    let mut fields = reader.fields(node)?;
    let using = fields.required("using", &mut reader.diagnostics)?;
    let name = reader.literal(using)?;
    match name.to_ascii_lowercase().as_str() {
        "composite" => {
            let steps = fields.required("steps", &mut reader.diagnostics)?;
            let composite = super::step::Place::Composite;
            Some(ActionRuns::Composite { steps: job::steps(reader, steps, composite) })
        }
        "docker" => docker_action(reader, &mut fields),
        node if node.starts_with("node") => node_action(reader, &mut fields),
        other => {
            let message = format!("an action cannot run by `{other}`");
            reader
                .diagnostics
                .error(using.span, codes::ACTION, message)
                .help("composite, docker, or node20 and its like");
            None
        }
    }
}

fn node_action(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<ActionRuns> {
    let main = fields.required("main", &mut reader.diagnostics)?;
    let mut program = |key| fields.take(key).and_then(|node| reader.filled(node));
    let (pre, post) = (program("pre"), program("post"));
    let mut condition = |key| {
        let written = fields.take(key).and_then(|node| reader.condition(node, scope::ACTION_IF));
        written.unwrap_or_else(Condition::always)
    };
    let (pre_if, post_if) = (condition("pre-if"), condition("post-if"));
    Some(ActionRuns::Node { pre, pre_if, main: reader.filled(main)?, post, post_if })
}

fn docker_action(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<ActionRuns> {
    let image = fields.required("image", &mut reader.diagnostics)?;
    let mut program = |key| fields.take(key).and_then(|node| reader.filled(node));
    let (entrypoint, pre, post) =
        (program("entrypoint"), program("pre-entrypoint"), program("post-entrypoint"));
    let mut condition = |key| {
        let written = fields.take(key).and_then(|node| reader.condition(node, scope::ACTION_IF));
        written.unwrap_or_else(Condition::always)
    };
    let (pre_if, post_if) = (condition("pre-if"), condition("post-if"));
    let args = fields.take("args").and_then(|node| read::list(node, &mut reader.diagnostics));
    let args = args.unwrap_or_default().iter();
    let args = args.filter_map(|node| reader.template(node, scope::ACTION_STEP)).collect();
    let env = fields.take("env").and_then(|node| reader.texts(node, scope::ACTION_STEP));
    Some(ActionRuns::Docker {
        image: reader.filled(image)?,
        entrypoint,
        pre_entrypoint: pre,
        pre_if,
        post_entrypoint: post,
        post_if,
        args,
        env: env.unwrap_or_default(),
    })
}
