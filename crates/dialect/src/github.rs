//! GitHub Actions workflows.
//!
//! What is known of each key, its type and the contexts it may use, follows GitHub's published
//! schema (`workflow-v1.0.json` of actions/languageservices).

mod action;
mod check;
mod container;
mod events;
mod job;
mod link;
mod lint;
mod locate;
mod reader;
mod runner;
mod scope;
mod step;
mod strategy;
mod workflow;

use grit_diag::{Diagnostics, Source, yaml};
use grit_pipeline::plan::Plan;

pub use action::read_action;
pub use link::{CALL_DEPTH_MAX, Called, Policy, link, link_here};
pub use lint::lint;

/// Reads a workflow; `path` is what findings call it, and its name where it has none.
///
/// No plan: the text is no YAML, or no mapping with jobs.
pub fn read(path: &str, text: &str) -> (Option<Plan>, Diagnostics) {
    read_source(&Source::new(path, text))
}

/// The same, from a source.
pub fn read_source(source: &Source) -> (Option<Plan>, Diagnostics) {
    let (root, diagnostics) = yaml::parse(source);
    let mut reader = reader::Reader { source: source.clone(), diagnostics };
    let plan = root.as_ref().and_then(|root| workflow::workflow(&mut reader, root));
    (plan, reader.diagnostics)
}
