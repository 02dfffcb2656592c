//! Findings for machines.

use crate::{Diagnostic, Diagnostics, Severity, Source, Span};
use serde::{Deserialize, Serialize, Serializer};

/// Characters of the offending line that are passed on.
const SNIPPET_CHARS_MAX: usize = 240;

/// One finding as JSON: lines and columns from 1, columns in characters, ends exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonDiagnostic {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
    pub code: String,
    pub severity: Severity,
    pub message: String,
    pub help: Option<String>,
    /// The line that the finding starts on; of a long line the part around it.
    pub snippet: String,
    pub labels: Vec<JsonLabel>,
}

/// Another place that a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonLabel {
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
    pub message: String,
}

impl Diagnostics {
    /// The kept findings by position, in the form for machines.
    pub fn to_json(&self) -> Vec<JsonDiagnostic> {
        self.sorted()
            .into_iter()
            .map(|diagnostic| JsonDiagnostic::new(self.source(), diagnostic))
            .collect()
    }
}

/// Serialises as the list that [`Diagnostics::to_json`] gives.
impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl JsonDiagnostic {
    pub fn new(source: &Source, diagnostic: &Diagnostic) -> Self {
        let span = diagnostic.primary.span;
        let (line, column) = source.position(span);
        let (end_line, end_column) = source.end_position(span);
        Self {
            file: source.name().to_owned(),
            line,
            column,
            end_line,
            end_column,
            code: diagnostic.code.id.to_owned(),
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            snippet: snippet(source, line, column),
            labels: diagnostic
                .secondary
                .iter()
                .map(|label| json_label(source, label.span, &label.text))
                .collect(),
        }
    }
}

fn json_label(source: &Source, span: Span, text: &str) -> JsonLabel {
    let (line, column) = source.position(span);
    let (end_line, end_column) = source.end_position(span);
    JsonLabel { line, column, end_line, end_column, message: text.to_owned() }
}

fn snippet(source: &Source, line: u32, column: u32) -> String {
    let text = source.line_span(line).map_or("", |span| source.slice(span));
    let skipped = (column as usize).saturating_sub(SNIPPET_CHARS_MAX / 2);
    let skipped = if column as usize <= SNIPPET_CHARS_MAX { 0 } else { skipped };
    text.chars().skip(skipped).take(SNIPPET_CHARS_MAX).collect()
}
