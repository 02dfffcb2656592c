//! The tracker: what happens to issues, what it adds up to, and what may happen next.
//!
//! An issue is called by the event that created it; people type a unique prefix of that id.
//! Nothing here writes anywhere or asks what time it is: [`Event`]s are appended by whoever has a
//! ledger, and [`Issues`] says what they add up to, in whatever order and however often they came.
//!
//! **Merging.** What has one value at a time (a title, the state, a comment's text, an item of a
//! checklist) is a [`Register`]: a write names those that it replaces, of those that stand the
//! latest shows, the others are kept as [`Conflict`]s. So no clock, however wrong, beats an edit
//! that has seen its work. What has many (labels, assignees, links) is an [`AddWins`] set. A body
//! and the checks of its items are merged apart: checking one while another rewrites the text
//! loses neither.
//!
//! - [`Event`], [`Draft`]: what is written. [`Record`]: all that is known of one issue, a row for
//!   an index. [`Issue`]: what people see of it. [`Issues`]: all of them.
//! - [`decide`], [`create`], [`save_query`]: what a [`Command`] needs to be appended, or why not.
//! - [`query`]: asking for issues. [`items`], [`mentions`]: what is read from texts.
//! - [`report`]: what machines tell of, one issue for as long as it lasts.
//! - [`exchange`]: issues of other trackers, and ours in a form that stays.
//! - [`template`]: texts to begin with. [`history`]: what happened, line by line. [`shown`]: hostile
//!   text on a terminal. [`far_ahead`]: events from clocks that are ahead.
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

mod add_wins;
mod ahead;
mod checklist;
mod command;
mod depend;
mod event;
pub mod exchange;
mod history;
mod input;
mod issue;
mod issues;
mod lookup;
mod markdown;
mod mention;
mod pairs;
pub mod query;
mod record;
mod register;
pub mod report;
mod save;
mod saved;
mod shown;
pub mod template;
mod value;

pub use add_wins::AddWins;
pub use ahead::{AHEAD_MAX, Ahead, far_ahead};
pub use checklist::{Item, Progress, items, progress};
pub use command::{Command, Creation, Decision, Refusal, create, decide, decide_each};
pub use depend::{Dependencies, Order};
pub use event::{Draft, Event, Ids, Imported, ReadError, Subject};
pub use history::{Fate, Line, history};
pub use input::{
    ATTACHMENT_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, TITLE_BYTES_MAX,
};
pub use issue::{Closed, Comment, Conflict, Edited, Field, Issue, State};
pub use issues::{Applied, Issues};
pub use lookup::{LookupError, PREFIX_MIN, lookup};
pub use mention::mentions;
pub use query::{Names, Query, QueryError};
pub use record::{RECORD_VERSION, Record};
pub use register::{Register, Write};
pub use save::{remove_query, save_query};
pub use saved::SavedQueries;
pub use shown::{shown, shown_block};
pub use value::{
    Attachment, Date, Dependency, DependencyKind, ItemRef, Link, Priority, ValueError,
};
