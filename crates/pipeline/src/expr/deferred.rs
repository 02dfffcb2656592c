use serde::{Deserialize, Serialize};

use super::eval::{Lookup, member};
use super::function::{Function, StatusFunction};
use super::parser::{Expr, Scope};
use super::value::{Object, Value};

/// An expression that is evaluated elsewhere, with what it reads here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deferred {
    /// Without `${{` and `}}`.
    pub expression: String,
    /// As much of each context as it reads.
    pub contexts: Value,
    /// The status functions that hold, where it asks for one: `success`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
}

/// What a text is where it is known, or why it is not.
pub type Known<'a> = &'a dyn Fn(&str) -> Result<String, String>;
/// The digest of files, as [`Lookup::hash_files`].
pub type Digests<'a> = &'a dyn Fn(&[String]) -> Result<String, String>;

impl Deferred {
    /// Takes with it what the expression reads now.
    pub fn of(expr: &Expr, lookup: &dyn Lookup) -> Self {
        let mut places = Vec::new();
        expr.node.places(&mut places);
        let mut contexts = Object::new();
        for place in &places {
            let Some((context, below)) = place.split_first() else { continue };
            let found = below.iter().try_fold(lookup.context(context), |value, name| {
                member(&value, &Value::from(name))
            });
            match found {
                None | Some(Value::Null) => {}
                Some(value) => put(&mut contexts, place, value),
            }
        }
        let asks = expr.node.asks_for_status();
        let holds = STATUS.into_iter().filter(|status| asks && lookup.status(*status, &[]));
        let holds = holds.map(|status| Function::Status(status).name().to_owned()).collect();
        Self { expression: expr.text.clone(), contexts: contexts.into(), holds }
    }

    /// What it gives.
    ///
    /// # Errors
    /// For people: what is not known, or why the expression has no value.
    pub fn evaluate(&self, known: Known<'_>, digests: Digests<'_>) -> Result<Value, String> {
        let expr = Expr::parse(&self.expression, Scope::ANY).map_err(|error| error.to_string())?;
        let contexts = opened(&self.contexts, known)?;
        let names = Answers { contexts, holds: &self.holds, digests };
        expr.evaluate(&names).map_err(|error| error.to_string())
    }
}

const STATUS: [StatusFunction; 4] = [
    StatusFunction::Success,
    StatusFunction::Failure,
    StatusFunction::Always,
    StatusFunction::Cancelled,
];

fn put(into: &mut Object, place: &[String], value: Value) {
    match place {
        [] => {}
        [name] => into.insert(name, value),
        [name, below @ ..] => {
            let mut inner = match into.get(name) {
                Some(Value::Object(members)) => (**members).clone(),
                _ => Object::new(),
            };
            put(&mut inner, below, value);
            into.insert(name, inner);
        }
    }
}

fn opened(value: &Value, known: Known<'_>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => known(text)?.into(),
        Value::Array(items) => {
            let items = items.iter().map(|item| opened(item, known));
            items.collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Object(members) => {
            let mut all = Object::new();
            for (name, value) in members.iter() {
                all.insert(name, opened(value, known)?);
            }
            all.into()
        }
        plain => plain.clone(),
    })
}

struct Answers<'a> {
    contexts: Value,
    holds: &'a [String],
    digests: Digests<'a>,
}

impl Lookup for Answers<'_> {
    fn context(&self, name: &str) -> Value {
        member(&self.contexts, &Value::from(name)).unwrap_or_default()
    }

    fn status(&self, function: StatusFunction, _: &[String]) -> bool {
        let name = Function::Status(function).name();
        self.holds.iter().any(|held| held == name)
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        (self.digests)(patterns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Object {
        let text = r#"{"github": {"ref": "refs/heads/main", "event": {"big": "payload", "n": [1, 2]}},
            "steps": {"a": {"outputs": {"x": "<T>"}}}, "matrix": {"name": "T"},
            "secrets": {"T": "<T>", "OTHER": "<O>"}}"#;
        match serde_json::from_str(text).unwrap() {
            Value::Object(members) => (*members).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_takes_with_it_what_it_reads_and_no_more() {
        let read = |text: &str| {
            let expr = Expr::parse(text, Scope::ANY).unwrap();
            serde_json::to_string(&Deferred::of(&expr, &contexts()).contexts).unwrap()
        };
        assert_eq!(
            read("secrets.T != '' && github['ref'] == github.none"),
            r#"{"secrets":{"T":"<T>"},"github":{"ref":"refs/heads/main"}}"#
        );
        assert_eq!(
            read("secrets[matrix.name] == 'x'"),
            r#"{"secrets":{"T":"<T>","OTHER":"<O>"},"matrix":{"name":"T"}}"#
        );
        assert_eq!(
            read("contains(steps.*.outputs.x, 'y') || github.event.n[1] == 2"),
            r#"{"steps":{"a":{"outputs":{"x":"<T>"}}},"github":{"event":{"n":[1.0,2.0]}}}"#
        );
    }

    #[test]
    fn it_gives_elsewhere_what_it_would_give_here() {
        let known = |text: &str| Ok(text.replace("<T>", "token").replace("<O>", ""));
        let digests = |patterns: &[String]| Ok(format!("of {}", patterns.join("+")));
        let answer = |text: &str| {
            let expr = Expr::parse(text, Scope::ANY).unwrap();
            Deferred::of(&expr, &contexts()).evaluate(&known, &digests)
        };
        let text = |text: &str| answer(text).unwrap().to_text();
        assert_eq!(text("secrets.T == 'TOKEN' && secrets.OTHER == '' && success()"), "true");
        assert_eq!(text("failure() || cancelled()"), "false");
        assert_eq!(text("format('{0}/{1}', steps.A.outputs.x, secrets.T)"), "token/token");
        assert_eq!(text("hashFiles('a', 'b')"), "of a+b");
        assert_eq!(text("github.event.n[1] == 2"), "true");
        assert!(answer("fromJSON(secrets.T)").unwrap_err().starts_with("fromJSON: "));
        let unknown = |_: &str| Err("it is gone".to_owned());
        let expr = Expr::parse("secrets.T", Scope::ANY).unwrap();
        let answer = Deferred::of(&expr, &contexts()).evaluate(&unknown, &digests);
        assert_eq!(answer, Err("it is gone".to_owned()));
    }
}
