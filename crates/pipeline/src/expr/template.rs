use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{ExprError, Problem};
use super::eval::Lookup;
use super::parser::{Expr, Scope};
use super::{EvalError, RESULT_BYTES_MAX, Value};
use crate::plan::Place;

/// Text with `${{ expressions }}` in it.
///
/// Serialised as the text; read back, its place is unknown.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
    /// Where the text begins in its file.
    pub place: Place,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Expr(Expr),
}

impl Template {
    /// Reads `text`; an error's offset counts from its beginning.
    pub fn parse(text: &str, scope: Scope<'_>) -> Result<Self, ExprError> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find("${{") {
            if open > 0 {
                pieces.push(Piece::Text(text[at..at + open].to_owned()));
            }
            let start = at + open + 3;
            let end = closing(&text[start..])
                .ok_or_else(|| ExprError::new(Problem::NotClosed, at + open, 3))?;
            let inner = &text[start..start + end];
            let leading = inner.len() - inner.trim_start().len();
            let expr = Expr::parse(inner.trim(), scope);
            pieces.push(Piece::Expr(expr.map_err(|error| error.shifted(start + leading))?));
            at = start + end + 2;
        }
        if at < text.len() {
            pieces.push(Piece::Text(text[at..].to_owned()));
        }
        Ok(Self { text: text.to_owned(), pieces, place: Place::default() })
    }

    /// Text that is taken as it is, `${{` included.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        let pieces = vec![Piece::Text(text.clone())];
        Self { text, pieces, place: Place::default() }
    }

    /// The same, found there.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// As it is written.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// The text, where no expression is in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The expressions in it, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Expr(expr) => Some(expr),
            Piece::Text(_) => None,
        })
    }

    /// The one expression that is all of the text.
    pub(super) fn sole(&self) -> Option<&Expr> {
        match self.pieces.as_slice() {
            [Piece::Expr(expr)] => Some(expr),
            _ => None,
        }
    }

    /// The value: of any kind where one expression is all of the text, else a string.
    pub fn value(&self, lookup: &dyn Lookup) -> Result<Value, EvalError> {
        match self.sole() {
            Some(expr) => expr.evaluate(lookup),
            None => self.text(lookup).map(Value::from),
        }
    }

    /// The text with the values put in.
    pub fn text(&self, lookup: &dyn Lookup) -> Result<String, EvalError> {
        let mut out = String::with_capacity(self.text.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Expr(expr) => out.push_str(&text_of(expr, lookup)?),
            }
            if out.len() > RESULT_BYTES_MAX {
                return Err(EvalError::TooLarge);
            }
        }
        Ok(out)
    }
}

fn text_of(expr: &Expr, lookup: &dyn Lookup) -> Result<String, EvalError> {
    match expr.evaluate(lookup) {
        Err(EvalError::Sealed) => lookup.stand_in(expr).ok_or(EvalError::Sealed),
        value => Ok(value?.to_text()),
    }
}

/// Where `}}` stands, not counting those within quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| {
        quoted ^= bytes[at] == b'\'';
        !quoted && bytes[at..].starts_with(b"}}")
    })
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, Scope::ANY).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{NoNames, Object};

    #[test]
    fn quoted_braces_do_not_close() {
        let template = Template::parse("a ${{ format('{0}}}', '}}') }} b", Scope::ANY);
        let template = template.unwrap();
        assert_eq!(template.expressions().count(), 1);
        assert_eq!(template.expressions().next().unwrap().text, "format('{0}}}', '}}')");
    }

    #[test]
    fn errors_point_into_the_text() {
        let error = Template::parse("echo ${{ nosuch.x }}", Scope::ANY).unwrap_err();
        assert_eq!((error.offset, error.length), (9, 6));
        let error = Template::parse("echo ${{ github", Scope::ANY).unwrap_err();
        assert_eq!((error.offset, error.problem), (5, Problem::NotClosed));
    }

    #[test]
    fn one_expression_keeps_its_kind() {
        let value = |text| Template::parse(text, Scope::ANY).unwrap().value(&NoNames).unwrap();
        assert_eq!(value("${{ 1 }}"), Value::from(1.0));
        assert_eq!(value(" ${{ 1 }}"), Value::from(" 1"));
        assert_eq!(value("${{ fromJSON('{}') }}"), Value::from(Object::new()));
    }
}
