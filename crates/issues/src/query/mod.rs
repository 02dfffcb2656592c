//! Asking for issues: `is:open label:ci-failure,flaky -assignee:bob updated:<7d "timed out"`.
//!
//! [`parse`] turns text into a [`Query`], a plain tree that [`Query::matches`] asks of an issue in
//! memory and that an index can translate. Parts stand side by side when all must hold, `OR` or a
//! comma between values means any of them, `-` turns a part around, parentheses group.
//!
//! | part | holds for |
//! |---|---|
//! | `is:open`, `is:closed`, `is:overdue` | its state; open past its due day |
//! | `label:a,b`, `milestone:v2` | these, in any case |
//! | `assignee:alice`, `author:@me`, `mentions:bob`, `commenter:bob` | people |
//! | `priority:high`, `priority:>=high` | `low` < `medium` < `high` < `critical` |
//! | `created:`, `updated:`, `closed:` | `<7d` less than seven days ago, `>7d` longer ago, `7d` within; `>=2026-12-01`, `2026-12-01..2026-12-24` |
//! | `due:` | `<7d` in less than seven days or past, `>7d` later; days as above |
//! | `no:assignee`, `has:due` | `assignee`, `label`, `milestone`, `priority`, `due`, `comment`, `checklist`, `link`, `attachment`, `dependency` |
//! | `key:`, `template:`, `fingerprint:` | exactly these |
//! | `id:abcd` | the beginning of its id |
//! | `word`, `"some words"` | title, body or a comment says it; also `title:`, `body:`, `comment:` |
//! | `@name` | what the saved query of that name holds for |
//! | `sort:updated-desc` | no part: `created`, `updated`, `priority`, `due`, `title`, `comments` |

mod error;
mod matching;
mod parse;
mod time;
mod words;

use grit_types::Timestamp;

pub use error::QueryError;
pub use parse::{Names, QUERY_BYTES_MAX, parse};
pub use time::{Interval, Moment, Relation};
pub use words::{Phrase, words};

use crate::issue::{Issue, State};
use crate::value::Priority;

/// What to find, and in which order to show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub filter: Filter,
    /// The first decides, the next among equals; at last, and when there is none, the newest first.
    pub sort: Vec<Sort>,
}

/// What must hold for an issue.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of them; with none, everything.
    All(Vec<Filter>),
    /// At least one of them.
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Test(Test),
}

/// One thing to look at. Names and labels are compared without regard to the case of ASCII letters.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    State(State),
    /// Open past its due day.
    Overdue,
    Label(String),
    Assignee(String),
    Author(String),
    Mentions(String),
    Commenter(String),
    Milestone(String),
    /// Never holds for an issue without priority.
    Priority(Relation, Priority),
    Created(Moment),
    Updated(Moment),
    /// Of an issue that is closed: when it was.
    Closed(Moment),
    /// Of an issue that is due on a day: its first millisecond.
    Due(Moment),
    /// Has none of these.
    Without(Attribute),
    Key(String),
    Template(String),
    Fingerprint(String),
    /// The beginning of the id, in lower case.
    Id(String),
    /// Said in that place, or anywhere. A phrase does not run from one text into another.
    Text(Option<Place>, Phrase),
}

/// What an issue has or has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    Assignee,
    Label,
    Milestone,
    Priority,
    Due,
    Comment,
    Checklist,
    Link,
    Attachment,
    Dependency,
}

/// Where text is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Title,
    Body,
    Comment,
}

/// What decides on the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    pub key: SortKey,
    /// The greatest, latest, most pressing first. What has no value comes last either way.
    pub descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    Created,
    Updated,
    Priority,
    Due,
    /// Without regard to the case of ASCII letters.
    Title,
    /// How many there are.
    Comments,
}

impl Query {
    /// Finds everything, the newest first.
    pub fn everything() -> Self {
        Self { filter: Filter::All(Vec::new()), sort: Vec::new() }
    }

    /// Does it ask for `issue`?
    pub fn matches(&self, issue: &Issue, now: Timestamp) -> bool {
        matching::holds(&self.filter, issue, now)
    }

    /// Those that it asks for, in its order.
    pub fn select<'a>(
        &self,
        issues: impl IntoIterator<Item = &'a Issue>,
        now: Timestamp,
    ) -> Vec<&'a Issue> {
        let mut found: Vec<&Issue> =
            issues.into_iter().filter(|issue| self.matches(issue, now)).collect();
        found.sort_by(|a, b| matching::compare(&self.sort, a, b));
        found
    }
}
