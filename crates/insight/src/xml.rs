//! What reports in XML have in common: bounded names, and nothing that is expanded.

use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;

/// Longest value of an attribute that is kept, in bytes.
const NAME_BYTES_MAX: usize = 4 << 10;

/// Why a file is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} column {column}: {problem}")]
pub struct ReadError {
    pub line: usize,
    pub column: usize,
    pub problem: String,
}

impl ReadError {
    /// At this byte of the text.
    pub(crate) fn at(text: &str, at: usize, problem: impl Into<String>) -> Self {
        let before = &text[..text.floor_char_boundary(at)];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            problem: problem.into(),
        }
    }
}

/// A document may name its type; what is declared in it is never read.
pub(crate) fn refuse_declarations(doctype: &str) -> Result<(), String> {
    match doctype.contains('[') {
        false => Ok(()),
        true => Err("what a document declares is not read".to_owned()),
    }
}

pub(crate) fn attribute(tag: &BytesStart<'_>, wanted: &str) -> Result<Option<String>, String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_ref() == wanted {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| error.to_string())?;
            return Ok(Some(clipped(&value, NAME_BYTES_MAX)));
        }
    }
    Ok(None)
}

pub(crate) fn clipped(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}
