use grit_diag::decode::{Fields, read};
use grit_diag::yaml::{Node, Value};
use grit_diag::{Diagnostics, Source, Span, suggest};
use grit_pipeline::expr::{Condition, ExprError, Function, Problem, Scope, Template};
use grit_pipeline::plan::{Data, Place, Texts};

use super::locate::locate;
use crate::codes;

const CORE_TAGS: &[&str] = &["str", "int", "float", "bool", "null", "seq", "map"];

/// A source and the findings so far.
pub(super) struct Reader {
    pub(super) source: Source,
    pub(super) diagnostics: Diagnostics,
}

impl Reader {
    pub(super) fn place(&self, span: Span) -> Place {
        let (line, column) = self.source.position(span);
        Place { line, column }
    }

    pub(super) fn fields<'n>(&mut self, node: &'n Node) -> Option<Fields<'n>> {
        self.known_tag(node);
        Fields::of(node, &mut self.diagnostics)
    }

    /// The text of a scalar: numbers as GitHub writes them, nothing as the empty text.
    pub(super) fn scalar(&mut self, node: &Node) -> Option<String> {
        self.known_tag(node);
        match &node.value {
            Value::Null => Some(String::new()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => {
                let text = grit_pipeline::expr::Value::Number(*number).to_text();
                self.check_number(node, &text);
                Some(text)
            }
            Value::String(text, _) => Some(text.clone()),
            Value::Sequence(_) | Value::Mapping(_) => {
                read::expected("a string", node, &mut self.diagnostics)
            }
        }
    }

    fn known_tag(&mut self, node: &Node) {
        // The long form of the core schema's tags says the same as the short one.
        let core = |tag: &str| {
            let name = tag.strip_prefix("tag:yaml.org,2002:");
            name.is_some_and(|name| CORE_TAGS.contains(&name))
        };
        if let Some(tag) = node.tag.as_deref().filter(|tag| !core(tag)) {
            let message = format!("the tag `{tag}` is not known in workflows");
            self.diagnostics.error(node.span, codes::TAG, message);
        }
    }

    fn check_number(&mut self, node: &Node, text: &str) {
        let written = node.text().unwrap_or_default();
        if written.contains('.') && written.ends_with('0') && written.trim_end_matches('0') == text
        {
            self.diagnostics
                .warning(node.span, codes::NUMBER, format!("`{written}` is the number {text}"))
                .help(format!("write \"{written}\" in quotes for the text"));
        }
    }

    /// A scalar that must say something.
    pub(super) fn filled(&mut self, node: &Node) -> Option<String> {
        let text = self.scalar(node)?;
        if text.is_empty() {
            return read::expected("a string", node, &mut self.diagnostics);
        }
        Some(text)
    }

    /// A scalar without expressions.
    pub(super) fn literal(&mut self, node: &Node) -> Option<String> {
        let text = self.scalar(node)?;
        if self.has_expression(&text, node.span) { None } else { Some(text) }
    }

    /// Reports an expression where none may stand.
    pub(super) fn has_expression(&mut self, text: &str, span: Span) -> bool {
        let found = text.contains("${{");
        if found {
            let message = "an expression is not allowed here";
            self.diagnostics.error(span, codes::NO_EXPRESSION, message);
        }
        found
    }

    /// Text with expressions.
    pub(super) fn template(&mut self, node: &Node, scope: Scope<'_>) -> Option<Template> {
        let text = self.scalar(node)?;
        match Template::parse(&text, scope) {
            Ok(template) => Some(template.at(self.place(node.span))),
            Err(error) => self.expression_error(node, &error, scope),
        }
    }

    /// The same, and it must say something.
    pub(super) fn filled_template(&mut self, node: &Node, scope: Scope<'_>) -> Option<Template> {
        self.filled(node)?;
        self.template(node, scope)
    }

    /// `true`, `false`, or an expression.
    pub(super) fn flag(&mut self, node: &Node, scope: Scope<'_>) -> Option<Template> {
        let is_expression = node.as_str().is_some_and(|text| text.contains("${{"));
        if !is_expression && !matches!(node.value, Value::Bool(_)) {
            return read::expected("`true`, `false` or an expression", node, &mut self.diagnostics);
        }
        self.template(node, scope)
    }

    /// A number above 0, or an expression.
    pub(super) fn minutes(&mut self, node: &Node, scope: Scope<'_>) -> Option<Template> {
        let template = self.template(node, scope)?;
        let Some(text) = template.as_literal() else { return Some(template) };
        if text.parse().is_ok_and(|minutes: f64| minutes.is_finite() && minutes > 0.0) {
            return Some(template);
        }
        let message = format!("`{text}` is not a number of minutes above 0");
        self.diagnostics.error(node.span, codes::TIMEOUT, message);
        None
    }

    /// What stands under `if`.
    pub(super) fn condition(&mut self, node: &Node, scope: Scope<'_>) -> Option<Condition> {
        let text = self.scalar(node)?;
        match Condition::parse(&text, scope) {
            Ok(condition) => {
                if condition.is_mixed() {
                    self.diagnostics
                        .warning(node.span, codes::ALWAYS_TRUE, "this condition is always true")
                        .help("write all of it as one expression");
                }
                Some(condition.at(self.place(node.span)))
            }
            Err(error) => self.expression_error(node, &error, scope),
        }
    }

    /// Names to texts with expressions.
    pub(super) fn texts(&mut self, node: &Node, scope: Scope<'_>) -> Option<Texts> {
        if node.is_null() {
            return Some(Texts::new());
        }
        let mut texts = Texts::new();
        for (name, value) in read::entries(node, &mut self.diagnostics)? {
            if self.has_expression(&name, name.span) {
                continue;
            }
            if let Some(template) = self.template(value, scope) {
                texts.insert(name.value.to_owned(), template);
            }
        }
        Some(texts)
    }

    /// A value of any shape.
    pub(super) fn data(&mut self, node: &Node, scope: Scope<'_>) -> Option<Data> {
        if matches!(node.value, Value::Sequence(_) | Value::Mapping(_)) {
            self.known_tag(node);
        }
        Some(match &node.value {
            Value::Null => Data::Null(()),
            Value::Bool(truth) => Data::Bool(*truth),
            Value::Int(number) => Data::Number(*number as f64),
            Value::Float(number) if number.is_finite() => {
                self.scalar(node)?;
                Data::Number(*number)
            }
            Value::Float(_) | Value::String(..) => Data::Text(self.template(node, scope)?),
            Value::Sequence(items) => {
                Data::List(items.iter().filter_map(|item| self.data(item, scope)).collect())
            }
            Value::Mapping(_) => {
                let mut map = indexmap::IndexMap::new();
                for (name, value) in read::entries(node, &mut self.diagnostics)? {
                    if let Some(value) = self.data(value, scope) {
                        map.insert(name.value.to_owned(), value);
                    }
                }
                Data::Map { map }
            }
        })
    }

    fn expression_error<T>(
        &mut self,
        node: &Node,
        error: &ExprError,
        scope: Scope<'_>,
    ) -> Option<T> {
        let raw = self.source.slice(node.span).to_owned();
        let span = locate(node, &raw, error.offset, error.length);
        let (code, help) = match &error.problem {
            Problem::NotHere(name) if name == "secrets" && scope.contexts.contains(&"env") => {
                (codes::NOT_HERE, Some(THROUGH_ENV.to_owned()))
            }
            Problem::NotHere(_) => (codes::NOT_HERE, Some(allowed(scope))),
            Problem::UnknownName(name) => {
                let near = suggest(name, scope.contexts.iter().copied());
                (codes::EXPRESSION, Some(near.map_or_else(|| allowed(scope), did_you_mean)))
            }
            Problem::UnknownFunction(name) => {
                let names = Function::ALL.map(Function::name);
                (codes::EXPRESSION, suggest(name, names).map(did_you_mean))
            }
            _ => (codes::EXPRESSION, None),
        };
        let finding = self.diagnostics.error(span, code, error.problem.to_string());
        if let Some(help) = help {
            finding.help(help);
        }
        None
    }
}

const THROUGH_ENV: &str =
    "let a variable hold it, `env: { TOKEN: ${{ secrets.TOKEN }} }`, and ask for `env.TOKEN != ''`";

fn did_you_mean(near: &str) -> String {
    format!("did you mean `{near}`?")
}

fn allowed(scope: Scope<'_>) -> String {
    format!("here can be used: {}", scope.contexts.join(", "))
}
