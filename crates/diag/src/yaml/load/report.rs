//! Why a document could not be loaded, in our words.

use super::Offsets;
use crate::yaml::probe::{Limit, Refusal};
use crate::yaml::{DEPTH_MAX, NODES_MAX};
use crate::{Diagnostics, Span, codes};
use saphyr::ScanError;

/// Reports why a document is not loaded.
pub(super) fn refuse(refusal: Refusal, offsets: &Offsets, diagnostics: &mut Diagnostics) {
    let (limit, near) = match refusal {
        Refusal::Syntax(error) => return report(&error, offsets, diagnostics),
        Refusal::MistaggedScalar => {
            diagnostics
                .error(Span::at(0), codes::TAG_MISMATCH, "a key does not fit its tag")
                .help("remove the tag");
            return;
        }
        Refusal::Limit { limit, near } => (limit, offsets.point(near)),
    };
    match limit {
        Limit::Depth => too_deep(near, diagnostics),
        Limit::Nodes => {
            let message = format!("the file has more than {NODES_MAX} values");
            diagnostics.error(near, codes::TOO_LARGE, message);
        }
        Limit::Copies => {
            let message = "anchors and aliases expand to too much";
            diagnostics.error(near, codes::ALIAS_BUDGET, message).here("near here");
        }
    }
}

fn too_deep(span: Span, diagnostics: &mut Diagnostics) {
    let message = format!("lists and mappings are nested more than {DEPTH_MAX} levels deep");
    diagnostics.error(span, codes::TOO_DEEP, message);
}

/// Reports what saphyr says.
pub(super) fn report(error: &ScanError, offsets: &Offsets, diagnostics: &mut Diagnostics) {
    let span = offsets.point(error.marker().index());
    let info = error.info();
    if info.contains("recursion limit") {
        return too_deep(span, diagnostics);
    }
    if info.contains("alias expansion") {
        diagnostics.error(span, codes::ALIAS_BUDGET, "anchors and aliases expand to too much");
        return;
    }
    if info.contains("duplicated key") {
        diagnostics.error(span, codes::DUPLICATE_KEY, "this key is set twice in the same mapping");
        return;
    }
    if info.contains("unknown anchor") {
        diagnostics
            .error(
                span,
                codes::UNKNOWN_ALIAS,
                "no anchor of this name is defined before this place",
            )
            .help("put quotes around a value that starts with `*`");
        return;
    }
    let finding = diagnostics.error(span, codes::SYNTAX, format!("not valid YAML: {info}"));
    if let Some(help) = syntax_help(info) {
        finding.help(help);
    }
}

fn syntax_help(info: &str) -> Option<&'static str> {
    let table = [
        ("tab", "indent with spaces: YAML does not allow tabs there"),
        (
            "mapping values are not allowed",
            "put quotes around a value that contains `: `, and check the indentation",
        ),
        ("unexpected character", "put quotes around a value that starts with this character"),
        ("quoted scalar", "close the quote"),
        ("expected ',' or", "close the bracket, or put a comma between the values"),
        ("did not find expected key", "check the indentation of this line"),
        ("expected '-' indicator", "check the indentation of this line"),
        ("simple key", "put `:` and a space after the key, and check the indentation"),
    ];
    table.into_iter().find(|(part, _)| info.contains(part)).map(|(_, help)| help)
}
