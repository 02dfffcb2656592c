//! DORA's keys: how often, how fast, how safely a team brings changes to production, and how soon
//! it recovers. The wording is that of dora.dev; an incident is linked to a deployment by Apache
//! DevLake's rule, and percentiles are interpolated, as SQL's `PERCENTILE_CONT`.

mod compute;
mod level;
mod report;
#[cfg(test)]
mod tests;

use grit_types::{Environment, Service, Timestamp};

pub use compute::keys;
pub use level::{Level, Levels, Targets};
pub use report::{Keys, Row};

/// The environment that counts.
pub const PRODUCTION: &str = "production";

const DAY_MILLIS: i64 = 86_400_000;

/// What a commit, a deployment or an incident is called where it comes from; only ever compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl<T: Into<String>> From<T> for Key {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// What the keys are computed from, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    pub commits: Vec<Commit>,
    pub deployments: Vec<Deployment>,
    pub incidents: Vec<Incident>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub sha: Key,
    pub at: Timestamp,
}

/// A deployment that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub id: Key,
    pub service: Service,
    pub environment: Environment,
    pub outcome: Outcome,
    pub finished_at: Timestamp,
    /// The commits that it brought.
    pub commits: Vec<Key>,
    /// It was made because something was broken, and not because something was ready.
    pub unplanned: bool,
}

/// How a deployment ended. One that was called off changed nothing, and is no deployment here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Succeeded,
    Failed,
    RolledBack,
}

/// Something that hurt users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    pub id: Key,
    /// Without one, only `deployment` can link it.
    pub service: Option<Service>,
    /// The deployment that is known to have caused it; the rule is then not asked.
    pub deployment: Option<Key>,
    pub opened_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
}

/// A span of time, its start within it and its end without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    /// `[from, to)`; nothing unless `from` comes before `to`.
    pub fn new(from: Timestamp, to: Timestamp) -> Option<Self> {
        (from < to).then_some(Self { from, to })
    }

    /// The `days` (at least 1) before `now`, and `now` itself.
    pub fn last_days(days: u32, now: Timestamp) -> Self {
        let to = Timestamp::from_millis(now.millis().saturating_add(1));
        let length = i64::from(days.max(1)) * DAY_MILLIS;
        Self { from: Timestamp::from_millis(to.millis().saturating_sub(length)), to }
    }

    pub fn from(self) -> Timestamp {
        self.from
    }

    pub fn to(self) -> Timestamp {
        self.to
    }

    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Its length in days of 24 hours.
    pub fn days(self) -> f64 {
        (self.to.millis().saturating_sub(self.from.millis())) as f64 / DAY_MILLIS as f64
    }
}
