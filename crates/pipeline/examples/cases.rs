//! Runs conformance suites: `cases SUITE… FOLDER`, with suites `expressions`, `interpolation`,
//! `filters`, and the folder that holds `SUITE.json`.
//!
//! Prints each failure with expected and seen, and a line `SUITE: P passed, F failed, S skipped`
//! per suite. Exit 1 where something failed or a suite could not be read.
#![allow(clippy::print_stdout, reason = "the result is what this program is for")]

use std::path::Path;
use std::process::ExitCode;

use grit_pipeline::expr::{Expr, ExprError, Object, Scope, Template, Value};
use grit_pipeline::trigger::{all_ignored, included};

fn main() -> ExitCode {
    let mut suites: Vec<String> = std::env::args().skip(1).collect();
    let folder = suites.pop().unwrap_or_default();
    let mut good = !suites.is_empty();
    if suites.is_empty() {
        println!("usage: cases expressions|interpolation|filters … FOLDER");
    }
    for suite in &suites {
        good &= match run(suite, Path::new(&folder)) {
            Ok(failed) => failed == 0,
            Err(error) => {
                println!("{suite}: NOT RUN: {error}");
                false
            }
        };
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

type Check = fn(&Object) -> Result<(), String>;

fn run(suite: &str, folder: &Path) -> Result<usize, String> {
    let check: Check = match suite {
        "expressions" => expression,
        "interpolation" => interpolation,
        "filters" => filter,
        other => return Err(format!("there is no suite `{other}`")),
    };
    let path = folder.join(format!("{suite}.json"));
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let cases = match member(&document, "cases") {
        Value::Array(cases) if !cases.is_empty() => cases,
        _ => return Err(format!("{} holds no cases", path.display())),
    };
    let (mut passed, mut failed) = (0, 0);
    for (index, case) in cases.iter().enumerate() {
        let Value::Object(case) = case else { return Err(format!("case {index} is no object")) };
        match check(case) {
            Ok(()) => passed += 1,
            Err(problem) => {
                failed += 1;
                println!("{suite} {index}: {problem}");
            }
        }
    }
    println!("{suite}: {passed} passed, {failed} failed, 0 skipped");
    Ok(failed)
}

fn member(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(members) => members.get(name).cloned().unwrap_or_default(),
        _ => Value::Null,
    }
}

fn get(case: &Object, name: &str) -> Value {
    case.get(name).cloned().unwrap_or_default()
}

fn contexts(case: &Object) -> Object {
    match get(case, "contexts") {
        Value::Object(contexts) => {
            contexts.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect()
        }
        _ => Object::new(),
    }
}

fn expression(case: &Object) -> Result<(), String> {
    let text = get(case, "expr").to_text();
    let contexts = contexts(case);
    let names: Vec<&str> = contexts.iter().map(|(name, _)| name).collect();
    let scope = Scope { contexts: &names, functions: &[] };
    let expect = get(case, "expect");
    let seen = match Expr::parse(&text, scope) {
        Ok(expr) => expr.evaluate(&contexts).map_err(|error| error.to_string()),
        Err(error) => return parse_error(&text, &expect, &error),
    };
    let wanted_error = member(&expect, "error_kind").to_text();
    match seen {
        Ok(_) if !wanted_error.is_empty() => {
            Err(format!("`{text}`: expected a {wanted_error} error, seen a value"))
        }
        Err(_) if wanted_error == "evaluation" => Ok(()),
        Err(error) => Err(format!("`{text}`: expected {expect:?}, seen error: {error}")),
        Ok(seen) if same(&seen, &member(&expect, "kind").to_text(), &member(&expect, "value")) => {
            Ok(())
        }
        Ok(seen) => Err(format!("`{text}`: expected {expect:?}, seen {seen:?}")),
    }
}

/// Where the peer says where, the place must be the same.
fn parse_error(text: &str, expect: &Value, error: &ExprError) -> Result<(), String> {
    let kind = member(expect, "error_kind").to_text();
    if !matches!(kind.as_str(), "parsing" | "lexing") {
        return Err(format!("`{text}`: expected {expect:?}, seen error: {error}"));
    }
    let message = member(expect, "error_contains").to_text();
    let position = message.split("Located at position ").nth(1).and_then(|rest| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse::<usize>().ok())
    });
    match position {
        Some(position) if error.position(text) != position => {
            Err(format!("`{text}`: expected {message}, seen position {}", error.position(text)))
        }
        _ => Ok(()),
    }
}

fn same(seen: &Value, kind: &str, value: &Value) -> bool {
    let seen_kind = match seen {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Object",
    };
    let equal = match (seen, value) {
        (Value::Number(seen), Value::Number(wanted)) => seen == wanted,
        (Value::Number(_), Value::String(wanted)) => seen.to_text() == **wanted,
        _ => seen == value,
    };
    seen_kind == kind && equal
}

fn interpolation(case: &Object) -> Result<(), String> {
    let text = get(case, "template").to_text();
    let template = Template::parse(&text, Scope::ANY).map_err(|e| format!("`{text}`: {e}"))?;
    let seen = template.text(&contexts(case)).map_err(|e| format!("`{text}`: {e}"))?;
    let wanted = get(case, "expect").to_text();
    if seen == wanted {
        Ok(())
    } else {
        Err(format!("`{text}`: expected {wanted:?}, seen {seen:?}"))
    }
}

fn filter(case: &Object) -> Result<(), String> {
    let texts = |name: &str| match get(case, name) {
        Value::Array(items) => items.iter().map(Value::to_text).collect(),
        _ => Vec::new(),
    };
    let (patterns, inputs) = (texts("patterns"), texts("inputs"));
    let seen = (included(&patterns, &inputs), !all_ignored(&patterns, &inputs));
    let flag = |name: &str| get(case, name).is_truthy();
    let wanted = (flag("run_if_include_filter"), flag("run_if_ignore_filter"));
    if seen == wanted {
        return Ok(());
    }
    Err(format!("{patterns:?} on {inputs:?}: expected (include, ignore) {wanted:?}, seen {seen:?}"))
}
