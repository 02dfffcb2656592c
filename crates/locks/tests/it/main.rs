//! The bytes of every version of a record, and what holds for any sequence of wishes by clones
//! with wrong clocks.
#![forbid(unsafe_code)]

mod deciding;
mod golden;
mod history;

use std::time::Duration;

use grit_locks::{Doubt, Lease, Moment, Owner, Wish};
use grit_types::{LeaseId, Timestamp};

const NOW: i64 = 1_767_323_045_000;

fn owner(clone: &str) -> Owner {
    Owner {
        actor: "ada".parse().unwrap(),
        clone: clone.to_owned(),
        host: "build-7".to_owned(),
        run_url: None,
    }
}

fn lease_id(number: u64) -> LeaseId {
    LeaseId::derived(Timestamp::from_millis(NOW), &number.to_le_bytes())
}

fn at(millis: i64) -> Moment {
    Moment { now: Timestamp::from_millis(NOW + millis), watched: Duration::ZERO, doubt: None }
}

fn doubtful(millis: i64, watched: Duration) -> Moment {
    Moment { watched, doubt: Some(Doubt::Set), ..at(millis) }
}

fn acquire(number: u64, ttl: Duration) -> Wish {
    Wish::Acquire {
        resource: "deploy:production".parse().unwrap(),
        lease: lease_id(number),
        owner: owner("c1"),
        ttl,
        reason: "release 2.0".to_owned(),
    }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// What is written, or the test fails.
#[track_caller]
fn written(decision: Result<grit_locks::Decision, grit_locks::Refusal>) -> Lease {
    match decision {
        Ok(grit_locks::Decision::Write(lease)) => lease,
        other => panic!("{other:?}"),
    }
}
