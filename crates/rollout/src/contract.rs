//! What every router and every target promises, as tests that each implementation runs.
//!
//! They panic where a promise is broken; an implementation calls them from a `#[test]`. None of
//! them has a deadline: how long is too long is for the caller to say, who has the clock.

mod router;
mod target;

pub use router::{guard, router};
pub use target::{Revisions, target};

use grit_types::BoxFuture;

/// Something that the caller does or waits for, each time it is asked.
pub type Turn<'a> = &'a (dyn Fn() -> BoxFuture<'a, ()> + Sync);
