use super::function::{Function, StatusFunction};
use super::parser::{Compare, Expr, Node};
use super::value::{Object, Value, folded};
use super::{EvalError, RESULT_BYTES_MAX};

/// What expressions read.
pub trait Lookup {
    /// A context, its name in lower case; null where there is none.
    fn context(&self, name: &str) -> Value;

    /// What `success()` and its like answer; `jobs` are those that were named, if any.
    fn status(&self, function: StatusFunction, jobs: &[String]) -> bool;

    /// The digest of the files that `patterns` match, empty where none does; an error says why
    /// files cannot be read here.
    fn hash_files(&self, patterns: &[String]) -> Result<String, String>;

    /// Whether the value stands for what is known elsewhere only, or holds such: nothing here may look
    /// into it then, and an expression that would is [`EvalError::Sealed`].
    fn is_sealed(&self, _value: &Value) -> bool {
        false
    }

    /// What stands in a text for what such an expression gives; `None`: nothing may.
    fn stand_in(&self, _expr: &Expr) -> Option<String> {
        None
    }
}

/// Nothing to read: for literals.
#[derive(Clone, Copy, Debug)]
pub struct NoNames;

impl Lookup for NoNames {
    fn context(&self, _: &str) -> Value {
        Value::Null
    }

    fn status(&self, _: StatusFunction, _: &[String]) -> bool {
        false
    }

    fn hash_files(&self, _: &[String]) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}

impl Expr {
    /// The value now.
    pub fn evaluate(&self, lookup: &dyn Lookup) -> Result<Value, EvalError> {
        self.node.evaluate(lookup)
    }
}

impl Node {
    /// The value now.
    pub fn evaluate(&self, lookup: &dyn Lookup) -> Result<Value, EvalError> {
        Ok(self.reduce(lookup)?.value)
    }

    /// The value, to be looked into.
    pub(super) fn known(&self, lookup: &dyn Lookup) -> Result<Value, EvalError> {
        let value = self.evaluate(lookup)?;
        if lookup.is_sealed(&value) { Err(EvalError::Sealed) } else { Ok(value) }
    }

    fn reduce(&self, lookup: &dyn Lookup) -> Result<Reduced, EvalError> {
        Ok(Reduced::from(match self {
            Self::Literal(value) => value.clone(),
            Self::Name(name) => lookup.context(name),
            Self::Index(left, index) => {
                return Ok(left.reduce(lookup)?.index(&index.known(lookup)?));
            }
            Self::Wildcard(left) => return Ok(left.reduce(lookup)?.all()),
            Self::Not(inner) => Value::Bool(!inner.known(lookup)?.is_truthy()),
            Self::Compare(operator, left, right) => {
                let (left, right) = (left.known(lookup)?, right.known(lookup)?);
                Value::Bool(compare(*operator, &left, &right))
            }
            Self::And(nodes) => first(nodes, lookup, |value| !value.is_truthy())?,
            Self::Or(nodes) => first(nodes, lookup, Value::is_truthy)?,
            Self::Call(function, arguments) => call(*function, arguments, lookup)?,
        }))
    }
}

/// A value, and whether `.*` made it: what follows is then taken from each of its items.
struct Reduced {
    value: Value,
    filtered: bool,
}

impl From<Value> for Reduced {
    fn from(value: Value) -> Self {
        Self { value, filtered: false }
    }
}

impl Reduced {
    fn index(self, index: &Value) -> Self {
        match &self.value {
            Value::Array(items) if self.filtered => {
                let found: Vec<Value> =
                    items.iter().filter_map(|item| member(item, index)).collect();
                Self { value: found.into(), filtered: true }
            }
            value => member(value, index).unwrap_or_default().into(),
        }
    }

    fn all(self) -> Self {
        let items = match &self.value {
            Value::Array(items) if self.filtered => items.iter().flat_map(members).collect(),
            value => members(value),
        };
        Self { value: Value::from(items), filtered: true }
    }
}

fn members(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Object(members) => members.iter().map(|(_, member)| member.clone()).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn member(value: &Value, index: &Value) -> Option<Value> {
    match value {
        Value::Object(members) if index.is_primitive() => members.get(&index.to_text()).cloned(),
        Value::Array(items) => {
            let number = index.to_number().floor();
            // Not below the length: negative, too large and NaN alike.
            if !(0.0..items.len() as f64).contains(&number) {
                return None;
            }
            items.get(number as usize).cloned()
        }
        _ => None,
    }
}

fn compare(operator: Compare, left: &Value, right: &Value) -> bool {
    let ordering = || left.loosely_compared(right);
    match operator {
        Compare::Equal => left.loosely_equals(right),
        Compare::NotEqual => !left.loosely_equals(right),
        Compare::Less => ordering().is_some_and(|o| o.is_lt()),
        Compare::Greater => ordering().is_some_and(|o| o.is_gt()),
        Compare::LessOrEqual => left.loosely_equals(right) || ordering().is_some_and(|o| o.is_lt()),
        Compare::GreaterOrEqual => {
            left.loosely_equals(right) || ordering().is_some_and(|o| o.is_gt())
        }
    }
}

/// The first operand that decides, or the last.
fn first(
    nodes: &[Node],
    lookup: &dyn Lookup,
    decides: impl Fn(&Value) -> bool,
) -> Result<Value, EvalError> {
    let Some((last, before)) = nodes.split_last() else { return Ok(Value::Null) };
    for node in before {
        let value = node.known(lookup)?;
        if decides(&value) {
            return Ok(value);
        }
    }
    last.evaluate(lookup)
}

fn call(function: Function, nodes: &[Node], lookup: &dyn Lookup) -> Result<Value, EvalError> {
    let argument = |index: usize| match nodes.get(index) {
        Some(node) => node.known(lookup),
        None => Ok(Value::Null),
    };
    Ok(match function {
        Function::Contains => Value::Bool(contains(&argument(0)?, &argument(1)?)),
        Function::StartsWith => {
            Value::Bool(affix(&argument(0)?, &argument(1)?, |text, part| text.starts_with(part)))
        }
        Function::EndsWith => {
            Value::Bool(affix(&argument(0)?, &argument(1)?, |text, part| text.ends_with(part)))
        }
        Function::Format => format(&argument(0)?.to_text(), &nodes[1..], lookup)?.into(),
        Function::Join => {
            let separator = if nodes.len() > 1 { Some(argument(1)?) } else { None };
            join(&argument(0)?, separator.as_ref())?.into()
        }
        Function::ToJson => bounded(argument(0)?.to_json())?.into(),
        Function::FromJson => from_json(&argument(0)?.to_text())?,
        Function::HashFiles => {
            lookup.hash_files(&texts(nodes, lookup)?).map_err(EvalError::HashFiles)?.into()
        }
        Function::Case => case(nodes, lookup)?,
        Function::Status(status) => Value::Bool(lookup.status(status, &texts(nodes, lookup)?)),
    })
}

fn texts(nodes: &[Node], lookup: &dyn Lookup) -> Result<Vec<String>, EvalError> {
    nodes.iter().map(|node| Ok(node.known(lookup)?.to_text())).collect()
}

fn contains(within: &Value, wanted: &Value) -> bool {
    match within {
        Value::Array(items) => items.iter().any(|item| item.loosely_equals(wanted)),
        Value::Object(_) => false,
        _ => affix(within, wanted, |text, part| text.contains(part)),
    }
}

fn affix(text: &Value, part: &Value, holds: impl Fn(&str, &str) -> bool) -> bool {
    let primitive = text.is_primitive() && part.is_primitive();
    primitive && holds(&folded(&text.to_text()), &folded(&part.to_text()))
}

/// `{0}` and its like; `{{` and `}}` are braces.
fn format(pattern: &str, nodes: &[Node], lookup: &dyn Lookup) -> Result<String, EvalError> {
    let invalid = || EvalError::Format(pattern.to_owned());
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(brace) = rest.find(['{', '}']) {
        text.push_str(&rest[..brace]);
        let after = &rest[brace + 1..];
        let opening = rest.as_bytes()[brace];
        if after.as_bytes().first() == Some(&opening) {
            text.push(char::from(opening));
            rest = &after[1..];
            continue;
        }
        let close = after.find('}').filter(|_| opening == b'{').ok_or_else(invalid)?;
        let digits = &after[..close];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let index: usize = digits.parse().map_err(|_| invalid())?;
        let node =
            nodes.get(index).ok_or_else(|| EvalError::FormatArguments(pattern.to_owned()))?;
        text.push_str(&node.evaluate(lookup)?.to_text());
        rest = &after[close + 1..];
        if text.len() > RESULT_BYTES_MAX {
            return Err(EvalError::TooLarge);
        }
    }
    text.push_str(rest);
    bounded(text)
}

fn bounded(text: String) -> Result<String, EvalError> {
    if text.len() > RESULT_BYTES_MAX { Err(EvalError::TooLarge) } else { Ok(text) }
}

fn join(items: &Value, separator: Option<&Value>) -> Result<String, EvalError> {
    let separator = match separator {
        Some(value) if value.is_primitive() => value.to_text(),
        _ => ",".to_owned(),
    };
    let Value::Array(items) = items else {
        return Ok(if items.is_primitive() { items.to_text() } else { String::new() });
    };
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(&separator);
        }
        text.push_str(&item.to_text());
        if text.len() > RESULT_BYTES_MAX {
            return Err(EvalError::TooLarge);
        }
    }
    Ok(text)
}

fn from_json(text: &str) -> Result<Value, EvalError> {
    if text.len() > RESULT_BYTES_MAX {
        return Err(EvalError::TooLarge);
    }
    serde_json::from_str(text).map_err(|error| EvalError::Json(error.to_string()))
}

fn case(nodes: &[Node], lookup: &dyn Lookup) -> Result<Value, EvalError> {
    let (pairs, default) = nodes.split_at(nodes.len() - 1);
    for pair in pairs.chunks_exact(2) {
        match pair[0].known(lookup)? {
            Value::Bool(true) => return pair[1].evaluate(lookup),
            Value::Bool(false) => {}
            _ => return Err(EvalError::CasePredicate),
        }
    }
    default[0].evaluate(lookup)
}

/// Contexts of plain JSON, and every status function true: what a test needs.
impl Lookup for Object {
    fn context(&self, name: &str) -> Value {
        self.get(name).cloned().unwrap_or_default()
    }

    fn status(&self, function: StatusFunction, _: &[String]) -> bool {
        matches!(function, StatusFunction::Success | StatusFunction::Always)
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        NoNames.hash_files(patterns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Scope;

    fn value(text: &str) -> Value {
        let contexts: Object =
            serde_json::from_str::<Value>(r#"{"github": {"ref": "refs/heads/main", "n": [1, 2]}}"#)
                .ok()
                .and_then(|value| match value {
                    Value::Object(object) => Some((*object).clone()),
                    _ => None,
                })
                .unwrap();
        Expr::parse(text, Scope::ANY).unwrap().evaluate(&contexts).unwrap()
    }

    #[test]
    fn operators_give_their_operands() {
        assert_eq!(value("github.nothing || 'x'"), Value::from("x"));
        assert_eq!(value("github.ref == 'REFS/heads/MAIN' && 1"), Value::from(1.0));
        assert_eq!(value("github['n'][1]"), Value::from(2.0));
    }

    #[test]
    fn a_result_that_grows_without_bound_is_refused() {
        let mut text = "'0123456789'".to_owned();
        for _ in 0..8 {
            text = format!("format('{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}', {text})");
        }
        let error = Expr::parse(&text, Scope::ANY).unwrap().evaluate(&NoNames).unwrap_err();
        assert_eq!(error, EvalError::TooLarge);
    }

    #[test]
    fn nesting_is_bounded_before_it_is_built() {
        for text in [
            format!("{}1{}", "(".repeat(9_000), ")".repeat(9_000)),
            format!("{}1", "!".repeat(9_000)),
            format!("1{}", "==1".repeat(6_000)),
            format!("github{}", "[1]".repeat(6_000)),
        ] {
            assert!(Expr::parse(&text, Scope::ANY).is_err());
        }
    }
}
