//! Issues, folded from a ledger.
//!
//! An issue is called by the event that created it; people type a unique prefix of that id.
//! Nothing here writes anywhere: [`Event`]s are appended by whoever has a ledger, and
//! [`Issues::fold`] says what they add up to, in whatever order they came.
//!
//! ```
//! use grit_issues::{Event, Issues};
//! use grit_ledger::{Hlc, split};
//! use grit_types::{Actor, Tenant};
//! let (kind, data) = split(&Event::created("CI fails", "see the log", ["ci"])).unwrap();
//! let event = grit_ledger::Event {
//!     kind,
//!     data,
//!     tenant: Tenant::local(),
//!     repo: "shop".parse().unwrap(),
//!     subject: "issue".into(),
//!     actor: Actor::grit("example"),
//!     hlc: Hlc::default(),
//!     cause: None,
//! };
//! let issues = Issues::fold(&[event]);
//! assert_eq!(issues.all().next().unwrap().title, "CI fails");
//! ```
#![forbid(unsafe_code)]

mod event;
mod issue;

pub use event::Event;
pub use issue::{Comment, Issue, Issues, LookupError, State};
