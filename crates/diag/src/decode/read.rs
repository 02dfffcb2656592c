//! One node to one value. Each function reports a wrong type at the node and returns `None` then.

use super::Spanned;
use crate::{
    Diagnostics, codes,
    yaml::{Node, Value},
};
use std::time::Duration;

/// Any scalar that is not null, as its text: `3.10` gives `3.10`, and so does `"3.10"`.
pub fn string<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<Spanned<&'n str>> {
    match node.text().filter(|_| !node.is_null()) {
        Some(text) => Some(Spanned::new(text, node.span)),
        None => expected("a string", node, diagnostics),
    }
}

/// `true` or `false`, not quoted.
pub fn boolean(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<bool>> {
    match node.value {
        Value::Bool(value) => Some(Spanned::new(value, node.span)),
        _ => expected("`true` or `false`", node, diagnostics),
    }
}

/// A whole number, not quoted.
pub fn integer(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<i64>> {
    match node.value {
        Value::Int(value) => Some(Spanned::new(value, node.span)),
        _ => expected("a whole number", node, diagnostics),
    }
}

/// A whole number within a range, which the report names.
pub fn integer_in(
    node: &Node,
    range: std::ops::RangeInclusive<i64>,
    diagnostics: &mut Diagnostics,
) -> Option<Spanned<i64>> {
    let found = integer(node, diagnostics)?;
    if range.contains(&found.value) {
        return Some(found);
    }
    let message = format!(
        "expected a whole number from {} to {}, found {}",
        range.start(),
        range.end(),
        found.value
    );
    diagnostics.error(node.span, codes::INVALID_VALUE, message);
    None
}

/// A finite number, whole or not, not quoted.
pub fn number(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<f64>> {
    match node.value {
        Value::Int(value) => Some(Spanned::new(value as f64, node.span)),
        Value::Float(value) if value.is_finite() => Some(Spanned::new(value, node.span)),
        _ => expected("a number", node, diagnostics),
    }
}

pub fn list<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<&'n [Node]> {
    node.as_sequence().or_else(|| expected("a list", node, diagnostics))
}

/// A list of its items, or a single item that stands for a list of one. Nothing is reported here,
/// except for a value that was left out.
pub fn one_or_many<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<&'n [Node]> {
    match &node.value {
        Value::Sequence(items) => Some(items),
        Value::Null => expected("a value or a list", node, diagnostics),
        _ => Some(std::slice::from_ref(node)),
    }
}

/// Every item of [`one_or_many`] that is a string; the others are reported.
pub fn strings<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<Vec<Spanned<&'n str>>> {
    let items = one_or_many(node, diagnostics)?;
    Some(items.iter().filter_map(|item| string(item, diagnostics)).collect())
}

/// The pairs of a mapping whose keys are names chosen by people. Keys that are lists or mappings
/// are reported and left out.
pub fn entries<'n>(
    node: &'n Node,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<(Spanned<&'n str>, &'n Node)>> {
    let Some(pairs) = node.as_mapping() else {
        return expected("a mapping", node, diagnostics);
    };
    let named = pairs.iter().filter_map(|(key, value)| Some((string(key, diagnostics)?, value)));
    Some(named.collect())
}

/// A [`parse_duration`], quoted or not.
pub fn duration(node: &Node, diagnostics: &mut Diagnostics) -> Option<Spanned<Duration>> {
    let text = match node.value {
        Value::Int(_) | Value::Float(_) | Value::String(..) => node.text().unwrap_or_default(),
        _ => return expected("a duration such as `30s`", node, diagnostics),
    };
    if let Some(found) = parse_duration(text) {
        return Some(Spanned::new(found, node.span));
    }
    diagnostics
        .error(node.span, codes::INVALID_VALUE, format!("`{text}` is not a duration"))
        .help("write a whole number and a unit: `500ms`, `30s`, `15m`, `2h`, `1d`");
    None
}

/// A whole number and one of the units `ms`, `s`, `m`, `h`, `d`; without a unit it counts seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(count)),
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    count.checked_mul(seconds).map(Duration::from_secs)
}

/// Reports that a node is not `what`, which is named with its article.
pub fn expected<T>(what: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<T> {
    diagnostics.error(
        node.span,
        codes::WRONG_TYPE,
        format!("expected {what}, found {}", node.kind()),
    );
    None
}
