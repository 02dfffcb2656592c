use grit_diag::decode::read;
use grit_diag::yaml::{Node, Value};
use grit_pipeline::plan::{Data, Job, MATRIX_MAX, Matrix};
use indexmap::IndexMap;

use super::reader::Reader;
use super::scope::STRATEGY;
use crate::codes;

pub(super) fn strategy(reader: &mut Reader, node: &Node, job: &mut Job) {
    let Some(mut fields) = reader.fields(node) else { return };
    job.fail_fast = fields.take("fail-fast").and_then(|node| reader.flag(node, STRATEGY));
    job.max_parallel = fields.take("max-parallel").and_then(|node| reader.minutes(node, STRATEGY));
    let matrix = fields.take("matrix").filter(|node| !node.is_null());
    job.matrix = matrix.and_then(|node| self::matrix(reader, node));
    fields.finish(&mut reader.diagnostics);
}

fn matrix(reader: &mut Reader, node: &Node) -> Option<Matrix> {
    if node.as_str().is_some() {
        return reader.filled_template(node, STRATEGY).map(Matrix::Computed);
    }
    let mut vectors = IndexMap::new();
    let (mut include, mut exclude) = (None, None);
    let mut combinations = 1_usize;
    for (name, node) in read::entries(node, &mut reader.diagnostics)? {
        if reader.has_expression(&name, name.span) {
            continue;
        }
        let Some(data) = reader.data(node, STRATEGY) else { continue };
        match name.value {
            "include" => include = entries(reader, node).then_some(data),
            "exclude" => exclude = entries(reader, node).then_some(data),
            vector => {
                combinations = combinations.saturating_mul(length(reader, vector, node, &data)?);
                vectors.insert(vector.to_owned(), data);
            }
        }
    }
    if combinations > MATRIX_MAX {
        let message =
            format!("the matrix has {combinations} combinations, and at most {MATRIX_MAX} are run");
        reader.diagnostics.error(node.span, codes::MATRIX, message);
    }
    Some(Matrix::Given { vectors, include, exclude })
}

/// How many values a vector has, as far as it is known; 1 where an expression gives them.
fn length(reader: &mut Reader, name: &str, node: &Node, data: &Data) -> Option<usize> {
    let message = match data {
        Data::List(items) if !items.is_empty() => return Some(items.len()),
        Data::Text(template) if template.as_literal().is_none() => return Some(1),
        Data::List(_) => format!("`{name}` is empty: there is nothing to run"),
        _ => format!("`{name}` must be a list of values"),
    };
    reader.diagnostics.error(node.span, codes::MATRIX, message);
    None
}

/// Whether it is a list of mappings, or an expression.
fn entries(reader: &mut Reader, node: &Node) -> bool {
    if node.as_str().is_some_and(|text| text.contains("${{")) {
        return true;
    }
    let Some(items) = read::list(node, &mut reader.diagnostics) else { return false };
    for item in items {
        let computed = item.as_str().is_some_and(|text| text.contains("${{"));
        if !computed && !matches!(item.value, Value::Mapping(_)) {
            read::expected::<()>("a mapping", item, &mut reader.diagnostics);
        }
    }
    true
}
