//! YAML 1.2 as a tree in which everything knows its place.
//!
//! [`parse`] reads one document with the core schema: `on`, `yes` and `no` are strings, `010` is
//! ten. A scalar keeps the text it was written as ([`Node::text`]), so that `3.10` does not become
//! `3.1`. Aliases are resolved within a budget, merge keys (`<<`) are applied, duplicate keys are
//! reported with both places and the first one kept.
//!
//! saphyr does the parsing. It offers a finished tree and neither its events nor a limit on depth,
//! so the text is read twice: [`probe`] drives saphyr's loader with a node type that only counts,
//! and cuts the input off where a limit is passed; what passed is then loaded by [`load`].
//!
//! A file with a syntax error gives no tree at all.

mod load;
mod probe;
mod scalar;

use crate::{Diagnostics, Source, Span, codes};
use std::borrow::Cow;

/// Size of a text up to which it is read, in bytes.
pub const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Levels of nested lists and mappings.
pub const DEPTH_MAX: usize = 100;
/// Values in one document, copies made for anchors and aliases included.
pub const NODES_MAX: u64 = 100_000;
/// Bytes that anchors, aliases and complex keys may make the parser copy or compare.
pub const COPIED_BYTES_MAX: u64 = 16 << 20;

/// How a string was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// `|` or `>`. The node's span covers the content, without the indicator.
    Block,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    Bool(bool),
    /// Integers beyond 64 bits become [`Value::Float`]; the text stays.
    Int(i64),
    Float(f64),
    String(String, Style),
    Sequence(Vec<Node>),
    /// In the order of the file; merged keys come first. Keys are unique, but not always strings.
    Mapping(Vec<(Node, Node)>),
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What was written, without anchor and tag; of an alias the alias itself. Empty where a value
    /// was left out.
    pub span: Span,
    pub value: Value,
    /// A tag that is not one of the core schema, as it was written or resolved: `!reference`.
    pub tag: Option<Box<str>>,
    /// The text of a scalar that is not a string.
    pub(crate) raw: Option<Box<str>>,
}

impl Node {
    pub(crate) fn null(span: Span) -> Self {
        Self { span, value: Value::Null, tag: None, raw: None }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text, _) => Some(text),
            _ => None,
        }
    }

    /// The text of a string, or what a number, boolean or null was written as: `3.10`, `0x1F`, `~`.
    ///
    /// `None` for lists, mappings, and values that were left out.
    pub fn text(&self) -> Option<&str> {
        self.as_str().or(self.raw.as_deref())
    }

    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Mapping(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The value of a key of a mapping, compared by [`Node::text`].
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What people call it, with its article: `a list`.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "a number",
            Value::Float(_) => "a decimal number",
            Value::String(..) => "a string",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// Reads a document. An empty file is an empty null; `None` comes with an error that says why.
pub fn parse(source: &Source) -> (Option<Node>, Diagnostics) {
    let mut diagnostics = Diagnostics::new(source);
    let is_fit =
        is_small(source.text().len(), &mut diagnostics) && is_printable(source, &mut diagnostics);
    let root = if is_fit { load::load(source, &mut diagnostics) } else { None };
    (root, diagnostics)
}

/// Reads a document from bytes as they were stored. What is not UTF-8 is an error with its place.
pub fn parse_bytes(name: &str, bytes: &[u8]) -> (Option<Node>, Diagnostics) {
    let head = &bytes[..bytes.len().min(SOURCE_BYTES_MAX + 1)];
    let text = String::from_utf8_lossy(head);
    let invalid_at = std::str::from_utf8(head).err().map(|error| error.valid_up_to());
    let source = Source::new(name, text.as_ref());
    if bytes.len() > SOURCE_BYTES_MAX {
        let mut diagnostics = Diagnostics::new(&source);
        is_small(bytes.len(), &mut diagnostics);
        return (None, diagnostics);
    }
    match (text, invalid_at) {
        (Cow::Owned(_), Some(at)) => {
            let mut diagnostics = Diagnostics::new(&source);
            let span = Span::new(crate::source::offset(at), crate::source::offset(at + 1));
            diagnostics
                .error(span, codes::INVALID_CHARACTER, "the file is not UTF-8 text")
                .help("save the file as UTF-8");
            (None, diagnostics)
        }
        _ => parse(&source),
    }
}

fn is_small(bytes: usize, diagnostics: &mut Diagnostics) -> bool {
    if bytes > SOURCE_BYTES_MAX {
        let message = format!("the file has {bytes} bytes; up to {SOURCE_BYTES_MAX} are read");
        diagnostics.error(Span::at(0), codes::TOO_LARGE, message);
    }
    bytes <= SOURCE_BYTES_MAX
}

/// Whether there are only characters of the production `c-printable` (YAML 1.2.2, 5.1).
fn is_printable(source: &Source, diagnostics: &mut Diagnostics) -> bool {
    let is_allowed = |c: char| match c {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    };
    let Some((at, found)) = source.text().char_indices().find(|(_, c)| !is_allowed(*c)) else {
        return true;
    };
    let span = Span::new(crate::source::offset(at), crate::source::offset(at + found.len_utf8()));
    let message = format!("the character U+{:04X} is not allowed in YAML", u32::from(found));
    diagnostics
        .error(span, codes::INVALID_CHARACTER, message)
        .help("remove it, or write it as an escape inside double quotes");
    false
}
