//! What every journal and every ledger promises, as tests that each implementation runs.
//!
//! They panic where a promise is broken; an implementation calls them from a `#[test]`.

mod journal;
mod ledger;

pub use journal::journal;
pub use ledger::ledger;

use grit_types::{Actor, Tenant};
use serde_json::json;

use crate::{Event, Hlc};

/// An event that differs by its number.
fn event(number: u32) -> Event {
    Event {
        kind: "contract.happened".to_owned(),
        tenant: Tenant::local(),
        repo: tests_repo(),
        subject: format!("thing/{number}"),
        actor: Actor::grit("contract"),
        hlc: Hlc { millis: 1_000 + i64::from(number), count: 0 },
        cause: None,
        data: json!({ "number": number, "text": "ü\n\"" }),
    }
}

fn tests_repo() -> grit_types::Repo {
    "contract".parse().expect("a valid name")
}
