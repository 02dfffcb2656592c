//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format).

use grit_diag::{Code, JsonDiagnostic};
use serde_json::{Value, json};

use super::lint::{Found, level};
use crate::cli::explain::code;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// What begins a help that names the text to write instead.
const SUGGESTION: (&str, &str) = ("did you mean `", "`?");

/// The document, with a line break at its end.
pub fn document(found: &Found) -> String {
    let mut codes: Vec<&'static Code> =
        found.findings.iter().filter_map(|finding| code(&finding.code)).collect();
    codes.sort_by_key(|code| code.id);
    codes.dedup_by_key(|code| code.id);
    let results: Vec<Value> =
        found.findings.iter().map(|finding| result(finding, &codes)).collect();
    let artifacts: Vec<Value> =
        found.files.iter().map(|path| json!({ "location": place(path) })).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "grit",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts,
            "results": results,
        }],
    });
    format!("{document}\n")
}

fn rule(code: &Code) -> Value {
    let severity = if code.id.starts_with('E') { "error" } else { "warning" };
    json!({
        "id": code.id,
        "shortDescription": { "text": code.title },
        "fullDescription": { "text": code.explanation },
        "help": { "text": code.explanation },
        "defaultConfiguration": { "level": severity },
    })
}

fn result(finding: &JsonDiagnostic, codes: &[&Code]) -> Value {
    let help = finding.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    let region = region(finding);
    let mut marked = region.clone();
    marked["snippet"] = json!({ "text": finding.snippet });
    let mut result = json!({
        "ruleId": finding.code,
        "level": level(finding.severity),
        "message": { "text": format!("{}{help}", finding.message) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": place(&finding.file),
            "region": marked,
        }}],
    });
    if let Some(index) = codes.iter().position(|code| code.id == finding.code) {
        result["ruleIndex"] = json!(index);
    }
    if !finding.labels.is_empty() {
        let related = finding.labels.iter().map(|label| {
            json!({
                "message": { "text": label.message },
                "physicalLocation": {
                    "artifactLocation": place(&finding.file),
                    "region": {
                        "startLine": label.line, "startColumn": label.column,
                        "endLine": label.end_line, "endColumn": label.end_column,
                    },
                },
            })
        });
        result["relatedLocations"] = related.collect();
    }
    if let Some(text) = suggestion(finding) {
        result["fixes"] = json!([{
            "description": { "text": finding.help },
            "artifactChanges": [{
                "artifactLocation": place(&finding.file),
                "replacements": [{
                    "deletedRegion": region,
                    "insertedContent": { "text": text },
                }],
            }],
        }]);
    }
    result
}

fn region(finding: &JsonDiagnostic) -> Value {
    json!({
        "startLine": finding.line, "startColumn": finding.column,
        "endLine": finding.end_line, "endColumn": finding.end_column,
    })
}

/// From the root of the repository, as a relative URI reference (RFC 3986).
fn place(path: &str) -> Value {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    json!({ "uri": uri, "uriBaseId": "%SRCROOT%" })
}

/// The text that should stand in place of what is marked.
fn suggestion(finding: &JsonDiagnostic) -> Option<&str> {
    let (begin, end) = SUGGESTION;
    let text = finding.help.as_deref()?.strip_prefix(begin)?.strip_suffix(end)?;
    let marked = (finding.line, finding.column) != (finding.end_line, finding.end_column);
    marked.then_some(text)
}
