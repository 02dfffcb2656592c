//! `grit export` and `grit import`: the tracker as a document, and the documents of others.

pub mod args;
mod export;
mod files;
mod import;
mod refs;

pub use export::run as export;
pub use import::run as import;

use grit_git::GitLedger;
use grit_ledger::{Changes, Cut, Ledger};

use crate::exit::Failure;

/// All that this clone has; `grit sync` is the exchange with others.
fn everything(ledger: &GitLedger) -> Result<Changes, Failure> {
    let read = ledger.since(&Cut::new());
    read.map_err(|error| Failure::because("the ledger cannot be read", &error))
}
