//! The words that every room shares: ids, names, time, digests, weights, actors.
//!
//! A value of one of these types is valid by construction: it is parsed once, at the edge, and
//! never checked again. Nothing here reads a clock, a file, the environment or the network; time
//! and randomness come in through [`Clock`] and [`Entropy`], which only shells hold.
//!
//! ```
//! use grit_types::{Service, Weight};
//! let api: Service = "api".parse().unwrap();
//! assert_eq!(Weight::from_percent(5).unwrap().complement().percent(), 95.0);
//! assert_eq!(api.as_str(), "api");
//! ```
#![forbid(unsafe_code)]

mod actor;
mod chain;
mod clock;
mod digest;
mod duration;
mod future;
mod id;
mod name;
mod number;
mod time;

pub use actor::{Actor, Principal, Role};
pub use chain::chain;
pub use clock::{Clock, Entropy};
pub use digest::{CommitId, Digest, Digester, ObjectId};
pub use duration::{DurationError, format_duration, parse_duration};
pub use future::BoxFuture;
pub use id::{
    DeploymentId, EffectId, EventId, IdError, InstanceId, IssueId, JobId, LeaseId, RunId, TokenId,
};
pub use name::{Environment, NameError, RefName, Repo, Service, Tenant};
pub use number::{Fence, Revision, Sequence, Version, Weight};
pub use time::Timestamp;
