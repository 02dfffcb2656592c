use std::time::Duration;

use grit_types::{Timestamp, parse_duration};

use crate::value::Date;

/// How two values stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// When something was or is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Whatever now is.
    Within(Interval),
    /// How long before now; [`Relation::Equal`] is read as at most.
    Ago(Relation, Duration),
    /// How long after now; what is past counts as less than anything.
    Ahead(Relation, Duration),
}

/// From the first millisecond to before the last; open where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Relation {
    /// The relation that `text` begins with, and the rest.
    pub(crate) fn split(text: &str) -> (Option<Self>, &str) {
        let signs = [
            (">=", Self::GreaterOrEqual),
            ("<=", Self::LessOrEqual),
            (">", Self::Greater),
            ("<", Self::Less),
            ("=", Self::Equal),
        ];
        let found = signs.into_iter().find_map(|(sign, relation)| {
            text.strip_prefix(sign).map(|rest| (Some(relation), rest))
        });
        found.unwrap_or((None, text))
    }

    /// Does `value` stand so to `other`?
    pub fn holds<T: PartialOrd>(self, value: &T, other: &T) -> bool {
        match self {
            Self::Less => value < other,
            Self::LessOrEqual => value <= other,
            Self::Equal => value == other,
            Self::GreaterOrEqual => value >= other,
            Self::Greater => value > other,
        }
    }
}

impl Interval {
    pub fn contains(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}

impl Moment {
    /// What it means at `now`.
    pub fn interval(self, now: Timestamp) -> Interval {
        let millis = |by: Duration| i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let at = |millis: i64| Some(Timestamp::from_millis(millis));
        let (from, until) = match self {
            Self::Within(interval) => return interval,
            Self::Ago(relation, by) => {
                let then = now.millis().saturating_sub(millis(by));
                let next = then.saturating_add(1);
                match relation {
                    Relation::Less => (at(next), None),
                    Relation::LessOrEqual | Relation::Equal => (at(then), None),
                    Relation::GreaterOrEqual => (None, at(next)),
                    Relation::Greater => (None, at(then)),
                }
            }
            Self::Ahead(relation, by) => {
                let then = now.millis().saturating_add(millis(by));
                let next = then.saturating_add(1);
                match relation {
                    Relation::Less => (None, at(then)),
                    Relation::LessOrEqual | Relation::Equal => (None, at(next)),
                    Relation::GreaterOrEqual => (at(then), None),
                    Relation::Greater => (at(next), None),
                }
            }
        };
        Interval { from, until }
    }
}

/// Reads `<7d`, `>=2026-12-01`, `2026-12-01..2026-12-24`; a distance counts from now into the past,
/// or into the future where `is_ahead`. `None` where it is nothing of that.
pub(crate) fn moment(text: &str, is_ahead: bool) -> Option<Moment> {
    if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (span(from)?, span(to)?);
        return Some(Moment::Within(Interval { from: Some(from.0), until: Some(to.1) }));
    }
    let (relation, rest) = Relation::split(text);
    if let Some((start, end)) = span(rest) {
        let (from, until) = match relation.unwrap_or(Relation::Equal) {
            Relation::Less => (None, Some(start)),
            Relation::LessOrEqual => (None, Some(end)),
            Relation::Equal => (Some(start), Some(end)),
            Relation::GreaterOrEqual => (Some(start), None),
            Relation::Greater => (Some(end), None),
        };
        return Some(Moment::Within(Interval { from, until }));
    }
    let by = distance(rest)?;
    let relation = relation.unwrap_or(Relation::LessOrEqual);
    Some(if is_ahead { Moment::Ahead(relation, by) } else { Moment::Ago(relation, by) })
}

/// The first millisecond of a day or a time, and the first one after it.
fn span(text: &str) -> Option<(Timestamp, Timestamp)> {
    if let Ok(date) = text.parse::<Date>() {
        return Some((date.start(), date.end()));
    }
    let time = Timestamp::parse_rfc3339(text)?;
    Some((time, time.after(Duration::from_millis(1))))
}

/// `30m`, `7d`, `2w`; a number without unit is none.
fn distance(text: &str) -> Option<Duration> {
    if let Some(weeks) = text.strip_suffix('w') {
        let weeks: u32 = weeks.parse().ok()?;
        return Some(Duration::from_secs(u64::from(weeks) * 7 * 86_400));
    }
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    has_unit.then(|| parse_duration(text).ok()).flatten()
}
