//! Named locks: what they are called, what a lease says, and every decision about them.
//!
//! A lock is a chain of records, one behind the other, of which the last one counts. Whoever wants
//! something reads the last record and asks [`decide`] what to put behind it; the store then puts
//! it there only if the record that was read is still the last. Everything that makes a lock
//! exclusive follows from that compare-and-swap; time only says when a lease that nobody gave back
//! may be taken.
//!
//! **Fences** number the grants of a lock and never go back: not by a release, not by expiry, not
//! by clean-up, because the record of an ended lease stays and keeps the number.
//!
//! **Clocks** are not trusted further than they must be. Every record is later than the one before
//! it, whatever the writer's clock said. A lease is over when its time and a grace have passed by a
//! clock that nothing speaks against, or when it was watched for its whole time and the grace
//! without changing ([`Moment`]). A wrong clock may make somebody wait; it does not make two
//! holders, as long as something speaks against it.
//!
//! It deliberately does no IO: the clock, the random ids and the store are arguments, and
//! `grit-git` is the store. It knows nothing of repositories, processes or the command line.
//!
//! Main types: [`Resource`] (a name, and what it conflicts with), [`Lease`] (a record),
//! [`Wish`], [`Decision`] and [`Refusal`], [`Standing`].
//!
//! ```
//! use grit_locks::Resource;
//! let release: Resource = "repo:release".parse().unwrap();
//! let deploy: Resource = "deploy:production".parse().unwrap();
//! assert!(release.conflicts_with(&deploy, false), "another clone's work is stopped");
//! assert!(!release.conflicts_with(&deploy, true), "one's own goes on beneath it");
//! ```
#![forbid(unsafe_code)]

mod decide;
mod lease;
mod resource;
mod standing;

pub use decide::{Decision, Refusal, Wish, decide};
pub use lease::{
    DecodeError, FENCE_MAX, LEASE_BYTES_MAX, LEASE_VERSION, Lease, Owner, REASON_CHARS_MAX, State,
    TTL_MAX, TTL_MIN,
};
pub use resource::{Resource, ResourceError};
pub use standing::{Doubt, Moment, Rules, SKEW_MAX, SLACK, Standing, standing};
