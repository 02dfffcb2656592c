use std::time::Duration;

use grit_types::Timestamp;

use crate::{Lease, State};

/// How far a record's time may lie ahead of this clock before the two are not compared any more.
pub const SKEW_MAX: Duration = Duration::from_secs(60);

/// How far clocks may differ, and how long a record may be on its way, without a doubt.
pub const SLACK: Duration = Duration::from_secs(2);

const GRACE_MIN: Duration = Duration::from_secs(15);

/// What the configuration of a repository says about all its locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How long after its time a lease stays its owner's; none: the longer of 15 s and a tenth of
    /// its time.
    pub grace: Option<Duration>,
}

impl Rules {
    /// The grace of a lease of `ttl`.
    pub fn grace(self, ttl: Duration) -> Duration {
        self.grace.unwrap_or_else(|| GRACE_MIN.max(ttl / 10))
    }
}

/// What one clone knows about time when it looks at a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// This machine's wall clock.
    pub now: Timestamp,
    /// For how long the lock's last record has been seen to be the last, by a clock that counts
    /// and is never set.
    pub watched: Duration,
    /// What speaks against comparing `now` with the record's times.
    pub doubt: Option<Doubt>,
}

/// Why a wall clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The record came after this clone had looked, and says it is older than that look; or the
    /// record before it is of a clock that is ahead of its writer's. Some of these clocks are wrong,
    /// and by one of them it looks expired too early.
    Disagreed,
    /// This machine's clock was set since it last looked.
    Set,
    /// The record's time is far ahead of this clock.
    Ahead,
    /// The configuration says not to.
    Untrusted,
}

/// How a lock's last record stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was ended: anybody may have the lock.
    Free,
    /// Within its time.
    Held,
    /// Its time has passed, and it is its owner's until `until`.
    Grace { until: Timestamp },
    /// Its time may have passed or not; nobody may have the lock until it was watched this long.
    Doubtful { doubt: Doubt, left: Duration },
    /// Its time and the grace have passed: anybody may have the lock.
    Over,
}

impl Standing {
    /// Whether anybody may have the lock.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Free | Self::Over)
    }
}

/// How a lock's last record stands.
pub fn standing(lease: &Lease, moment: &Moment, rules: Rules) -> Standing {
    if lease.state != State::Held {
        return Standing::Free;
    }
    let grace = rules.grace(lease.ttl);
    // Whoever holds it counts its time from before it was written, so it has run out by now.
    let enough = lease.ttl.saturating_add(grace);
    if moment.watched >= enough {
        return Standing::Over;
    }
    let ahead = (lease.at > moment.now.after(SKEW_MAX)).then_some(Doubt::Ahead);
    // Its time does not begin where its holder's did, and whoever is ahead as well sees it end first.
    let disagreed = (lease.at.since(lease.clock) > SLACK).then_some(Doubt::Disagreed);
    if let Some(doubt) = moment.doubt.or(ahead).or(disagreed) {
        return Standing::Doubtful { doubt, left: enough.saturating_sub(moment.watched) };
    }
    let until = lease.expires_at.after(grace);
    if moment.now >= until {
        Standing::Over
    } else if moment.now >= lease.expires_at {
        Standing::Grace { until }
    } else {
        Standing::Held
    }
}
