//! Dialects: from the text of a CI system's file to a plan, with findings.
//!
//! - [`detect`]: which files of a repository are pipelines, and in which dialect.
//! - [`github`]: workflow files of GitHub Actions.
//! - [`codes`]: the findings that dialects report.
//!
//! **Everything that can be read is returned**, beside everything that was wrong: a caller decides
//! by [`grit_diag::Diagnostics::has_errors`]. What Grit does not do yet (containers, services) is no
//! error here: it is in the plan, and the run says so if that job would run.
//!
//! Nothing here reads files, runs anything, or evaluates an expression.
//!
//! ```
//! let text = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps: [{run: cargo test}]\n";
//! let (plan, diagnostics) = grit_dialect::github::read(".github/workflows/ci.yml", text);
//! assert!(diagnostics.is_empty());
//! assert_eq!(plan.unwrap().jobs.len(), 1);
//! ```
#![forbid(unsafe_code)]

pub mod codes;
mod detect;
pub mod github;

pub use detect::{Detected, detect, read};
