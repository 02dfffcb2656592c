//! `grit export` and `grit import`: the tracker as a document, and the documents of others.

pub mod args;
mod export;
mod import;
mod refs;

pub use export::run as export;
pub use import::run as import;

use grit_ledger::{Event, Ledger};

use super::place::Place;
use crate::exit::Failure;

/// All that this clone has; `grit sync` is the exchange with others.
fn events(place: &Place) -> Result<Vec<Event>, Failure> {
    let read = place.ledger()?.read();
    read.map_err(|error| Failure::because("the ledger cannot be read", &error))
}
