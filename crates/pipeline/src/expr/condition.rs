use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::deferred::Deferred;
use super::error::ExprError;
use super::eval::Lookup;
use super::function::{Function, StatusFunction};
use super::parser::{Expr, Node, Scope};
use super::template::Template;
use super::{EvalError, Value};
use crate::plan::Place;

/// Whether a condition holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Yes,
    No,
    /// Whoever knows what is sealed here can tell.
    Later(Deferred),
}

/// What stands under `if`: an expression, with or without `${{ }}`.
///
/// Unless it asks for the status itself, it holds only where everything before succeeded.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    test: Test,
    asks_for_status: bool,
    /// Where the text begins in its file.
    pub place: Place,
}

#[derive(Clone, Debug)]
enum Test {
    Expr(Expr),
    /// An expression with text around it is text, and text is true.
    Mixed(Template),
}

impl Condition {
    /// What holds where nothing is written: `success()`.
    pub fn success() -> Self {
        let test = Test::Expr(status(StatusFunction::Success));
        Self { text: String::new(), test, asks_for_status: true, place: Place::default() }
    }

    /// What holds whatever was before: `always()`.
    pub fn always() -> Self {
        let expr = status(StatusFunction::Always);
        let (text, place) = (expr.text.clone(), Place::default());
        Self { text, test: Test::Expr(expr), asks_for_status: true, place }
    }

    /// Reads `text`; an error's offset counts from its beginning.
    pub fn parse(text: &str, scope: Scope<'_>) -> Result<Self, ExprError> {
        if text.trim().is_empty() {
            return Ok(Self::success());
        }
        let leading = text.len() - text.trim_start().len();
        let shift = |error: ExprError| error.shifted(leading);
        let test = if text.contains("${{") {
            let template = Template::parse(text.trim(), scope).map_err(shift)?;
            match template.sole() {
                Some(expr) => Test::Expr(expr.clone()),
                None => Test::Mixed(template),
            }
        } else {
            Test::Expr(Expr::parse(text.trim(), scope).map_err(shift)?)
        };
        let asks_for_status = match &test {
            Test::Expr(expr) => expr.node.asks_for_status(),
            Test::Mixed(template) => template.expressions().any(|e| e.node.asks_for_status()),
        };
        Ok(Self { text: text.to_owned(), test, asks_for_status, place: Place::default() })
    }

    /// The same, found there.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// As it is written; empty where it is not.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// Whether it calls a status function, so that success is not implied.
    pub fn asks_for_status(&self) -> bool {
        self.asks_for_status && !self.text.is_empty()
    }

    /// An expression with text around it: always true, which is never what was meant.
    pub fn is_mixed(&self) -> bool {
        matches!(self.test, Test::Mixed(_))
    }

    /// Whether it holds now.
    pub fn holds(&self, lookup: &dyn Lookup) -> Result<bool, EvalError> {
        if !self.asks_for_status && !lookup.status(StatusFunction::Success, &[]) {
            return Ok(false);
        }
        match &self.test {
            Test::Expr(expr) => expr.node.known(lookup).map(|value| value.is_truthy()),
            Test::Mixed(template) => template.value(lookup).map(|value: Value| value.is_truthy()),
        }
    }

    /// Whether it holds, as far as that is known here.
    pub fn ask(&self, lookup: &dyn Lookup) -> Result<Answer, EvalError> {
        match (self.holds(lookup), &self.test) {
            (Err(EvalError::Sealed), Test::Expr(expr)) => {
                Ok(Answer::Later(Deferred::of(expr, lookup)))
            }
            (holds, _) => holds.map(|holds| if holds { Answer::Yes } else { Answer::No }),
        }
    }
}

fn status(function: StatusFunction) -> Expr {
    let function = Function::Status(function);
    let node = Node::Call(function, Vec::new());
    Expr { text: format!("{}()", function.name()), node }
}

impl Default for Condition {
    fn default() -> Self {
        Self::success()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, Scope::ANY).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Value;

    struct After(StatusFunction);

    impl Lookup for After {
        fn context(&self, _: &str) -> Value {
            Value::Null
        }

        fn status(&self, function: StatusFunction, _: &[String]) -> bool {
            function == self.0 || function == StatusFunction::Always
        }

        fn hash_files(&self, _: &[String]) -> Result<String, String> {
            Ok(String::new())
        }
    }

    #[test]
    fn success_is_implied_unless_the_status_is_asked_for() {
        let holds = |text, status| {
            Condition::parse(text, Scope::ANY).unwrap().holds(&After(status)).unwrap()
        };
        assert!(holds("", StatusFunction::Success));
        assert!(!holds("", StatusFunction::Failure));
        assert!(!holds("true", StatusFunction::Failure));
        assert!(holds("always()", StatusFunction::Failure));
        assert!(holds("${{ !success() }}", StatusFunction::Failure));
        assert!(!holds("${{ false }} ", StatusFunction::Success));
        assert!(holds("${{ false }} x", StatusFunction::Success));
    }
}
