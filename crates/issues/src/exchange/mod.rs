//! Issues that come from elsewhere, and those of here in a form that stays.
//!
//! Whatever a tracker calls its own becomes a [`Foreign`]: [`github`], [`gitlab`] and [`gitea`]
//! read the JSON of their APIs, [`markdown`] files that people edit, [`native`], [`bugs`] and
//! [`grite`] what other trackers keep in git. [`plan`] says which events bring in what is new in
//! them: nothing that is here already, and nothing over what was changed here since. [`document`]
//! is Grit's own form, which holds the events themselves: it comes back as what it was.
//!
//! Readers are bounded and total: hostile text is an [`ImportError`] that says where.

pub mod bugs;
mod cbor;
pub mod document;
mod error;
mod forge;
pub mod gitea;
pub mod github;
pub mod gitlab;
pub mod grite;
mod json;
pub mod markdown;
pub mod native;
mod person;
mod plan;

use std::collections::BTreeSet;

use grit_types::{Principal, Timestamp};

use crate::{Date, DependencyKind, Link, Priority, State};

pub use error::ImportError;
pub use person::person;
pub use plan::{Plan, Planned, VIA, plan};

/// An issue as another tracker has it. `None` where a document does not speak of something, which
/// then stays what it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What it is called there, and known again by: `github:OWNER/REPO#12`.
    pub key: String,
    /// The idempotency key that a new issue gets.
    pub create_under: Option<String>,
    pub title: String,
    pub body: Option<String>,
    pub author: Principal,
    pub created_at: Timestamp,
    pub state: State,
    /// Of one that is closed, where that is known.
    pub closed: Option<ForeignClosed>,
    pub labels: Option<BTreeSet<String>>,
    pub assignees: Option<BTreeSet<Principal>>,
    pub milestone: Option<Option<String>>,
    pub priority: Option<Option<Priority>>,
    pub due: Option<Option<Date>>,
    pub links: BTreeSet<Link>,
    /// By the key of the other issue.
    pub dependencies: Vec<(DependencyKind, String)>,
    /// In the order in which they were made. One that is here and not among them stays.
    pub comments: Vec<ForeignComment>,
}

/// How an issue was closed elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignClosed {
    pub by: Principal,
    pub at: Timestamp,
    pub reason: String,
}

/// A comment as another tracker has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignComment {
    /// What it is called there: `github:OWNER/REPO#comment-34`.
    pub key: String,
    pub author: Principal,
    pub at: Timestamp,
    pub body: String,
}

/// What a reader found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub issues: Vec<Foreign>,
    /// What was left out, in words for people.
    pub left_out: Vec<String>,
}

impl Foreign {
    /// An open issue of which only this is known.
    pub fn new(key: String, title: String, author: Principal, created_at: Timestamp) -> Self {
        Self {
            key,
            create_under: None,
            title,
            body: None,
            author,
            created_at,
            state: State::Open,
            closed: None,
            labels: None,
            assignees: None,
            milestone: None,
            priority: None,
            due: None,
            links: BTreeSet::new(),
            dependencies: Vec::new(),
            comments: Vec::new(),
        }
    }
}

/// A label or a milestone as it may be written here: on one line, without white space around it.
fn word(text: &str) -> Option<String> {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() || crate::shown::is_bidi_control(c) { ' ' } else { c })
        .collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
