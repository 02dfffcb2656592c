use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::{Refusal, Request};
use crate::expr::Value;
use crate::plan::{Input, InputKind};

/// The inputs as their kinds want them, those not given with their defaults.
pub(super) fn inputs(request: &Request) -> Result<BTreeMap<String, Value>, Refusal> {
    let declared = match request.plan.trigger(&request.event) {
        Some(trigger) => &trigger.inputs,
        None => return Ok(BTreeMap::new()),
    };
    values(declared, &request.inputs)
}

/// The inputs that are declared, from those that are given, as their kinds want them.
pub fn values(
    declared: &IndexMap<String, Input>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, Refusal> {
    if let Some(name) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(Refusal::UnknownInput { name: name.clone() });
    }
    let mut values = BTreeMap::new();
    for (name, input) in declared {
        let text = match (given.get(name), &input.default) {
            (Some(given), _) => given.clone(),
            (None, Some(default)) => default.clone(),
            (None, None) if input.required => {
                return Err(Refusal::MissingInput { name: name.clone() });
            }
            (None, None) => unset(input),
        };
        values.insert(name.clone(), value(name, input, &text)?);
    }
    Ok(values)
}

fn unset(input: &Input) -> String {
    match input.kind {
        InputKind::Boolean => "false".to_owned(),
        InputKind::Number => "0".to_owned(),
        InputKind::String | InputKind::Choice | InputKind::Environment => String::new(),
    }
}

fn value(name: &str, input: &Input, text: &str) -> Result<Value, Refusal> {
    let wrong = |wanted: String| Refusal::WrongInput {
        name: name.to_owned(),
        value: text.to_owned(),
        wanted,
    };
    match input.kind {
        InputKind::String | InputKind::Environment => Ok(Value::from(text)),
        InputKind::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong("true or false".to_owned())),
        },
        InputKind::Number => match Value::from(text).to_number() {
            number if number.is_finite() => Ok(Value::Number(number)),
            _ => Err(wrong("a number".to_owned())),
        },
        InputKind::Choice if text.is_empty() || input.options.iter().any(|o| o == text) => {
            Ok(Value::from(text))
        }
        InputKind::Choice => Err(wrong(format!("one of {}", input.options.join(", ")))),
    }
}
