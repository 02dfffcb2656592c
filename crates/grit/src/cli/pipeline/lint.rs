use std::collections::BTreeMap;

use grit_diag::render::{Colour, render};
use grit_diag::{Diagnostics, JsonDiagnostic, Severity};
use grit_dialect::github;
use serde::Serialize;

use super::args::Lint;
use super::{Origin, sarif};
use crate::cli::files::{self, WORKFLOWS};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// What was found, for programs.
#[derive(Serialize)]
pub struct Found {
    /// Everything that was looked at.
    pub files: Vec<String>,
    pub errors: usize,
    pub warnings: usize,
    pub findings: Vec<JsonDiagnostic>,
}

/// Ends with 2 where a file cannot be used; what is only dangerous ends with 0.
pub fn run(options: &Lint, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let origin = Origin::of(place, options.at.as_deref())?;
    let files = files::read_tree(origin.tree(), options.workflow.as_deref())?;
    let all = together(files.findings);
    let found = Found {
        files: all.iter().map(|findings| findings.source().name().to_owned()).collect(),
        errors: all.iter().map(Diagnostics::error_count).sum(),
        warnings: all.iter().map(Diagnostics::warning_count).sum(),
        findings: all.iter().flat_map(Diagnostics::to_json).collect(),
    };
    if options.sarif {
        ui.raw(sarif::document(&found).as_bytes());
    } else {
        let colour = if ui.is_coloured() { Colour::On } else { Colour::Off };
        ui.data(&found, |_| {
            let told = all.iter().filter(|findings| !findings.is_empty());
            told.map(|findings| render(findings, colour)).collect::<Vec<_>>().join("\n")
        });
    }
    ui.status(summary(&found));
    Ok(if found.errors > 0 { Exit::Usage } else { Exit::Done })
}

/// One for each file, with what is dangerous in it; a workflow that others call was read for each.
fn together(read: Vec<Diagnostics>) -> Vec<Diagnostics> {
    let mut by_name: BTreeMap<String, Diagnostics> = BTreeMap::new();
    for findings in read {
        let name = findings.source().name().to_owned();
        match by_name.get_mut(&name) {
            Some(there) if there.error_count() >= findings.error_count() => {}
            _ => drop(by_name.insert(name, findings)),
        }
    }
    let mut all: Vec<Diagnostics> = by_name.into_values().collect();
    for findings in &mut all {
        if findings.source().name().starts_with(WORKFLOWS) {
            let dangerous = github::lint(findings.source());
            findings.append(dangerous);
        }
    }
    all
}

fn summary(found: &Found) -> String {
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let files = many(found.files.len(), "file");
    if found.findings.is_empty() {
        return format!("{files}: nothing is wrong");
    }
    let (errors, warnings) = (many(found.errors, "error"), many(found.warnings, "warning"));
    format!("{files}: {errors}, {warnings}; `grit explain CODE` says more about one")
}

/// The word that SARIF and others have for it.
pub fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
