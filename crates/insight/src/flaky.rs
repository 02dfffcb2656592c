//! Tests that pass and fail without a change, and their quarantine.

use std::collections::{BTreeMap, BTreeSet};

use grit_types::Timestamp;
use serde::{Deserialize, Serialize};

/// With fewer results the rate of changes says nothing.
const RESULTS_MIN: usize = 5;
/// From this share of changes on a test is flaky, in percent.
const FLIPS_MIN_PERCENT: usize = 20;
/// A quarantine is never longer.
const QUARANTINE_DAYS_MAX: i64 = 90;

/// One result of one test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// As [`crate::suite::Case::full_name`] has it.
    pub test: String,
    pub commit: String,
    pub at: Timestamp,
    pub passed: bool,
    /// Attempts that failed before it passed.
    pub failed_before: u32,
}

/// What is known of a test's steadiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steadiness {
    pub test: String,
    pub results: usize,
    pub failures: usize,
    /// Commits at which it both passed and failed.
    pub both_ways: usize,
    /// Results that a retry made good.
    pub retried: usize,
    /// Of neighbouring results so many differ.
    pub flips: usize,
    pub is_flaky: bool,
}

/// A test whose failures are tolerated for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    pub test: String,
    pub until: Timestamp,
    pub reason: String,
}

/// Whose failures a repository tolerates: what its file says, see [`Quarantine::FILE`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    pub v: u64,
    pub tests: Vec<Quarantined>,
}

/// Each test's steadiness, the least steady first; results in any order.
pub fn steadiness(seen: &[Seen]) -> Vec<Steadiness> {
    let mut by_test: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for one in seen {
        by_test.entry(&one.test).or_default().push(one);
    }
    let mut all: Vec<Steadiness> =
        by_test.into_iter().map(|(test, of)| of_test(test, of)).collect();
    all.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.test.cmp(&b.test)));
    all
}

fn rank(of: &Steadiness) -> (bool, usize, usize, usize) {
    (of.is_flaky, of.both_ways, of.retried, of.flips)
}

fn of_test(test: &str, mut seen: Vec<&Seen>) -> Steadiness {
    seen.sort_by_key(|one| one.at);
    let mut outcomes: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for one in &seen {
        outcomes.entry(&one.commit).or_default().insert(one.passed);
    }
    let both_ways = outcomes.values().filter(|ways| ways.len() > 1).count();
    let retried = seen.iter().filter(|one| one.passed && one.failed_before > 0).count();
    let flips = seen.windows(2).filter(|pair| pair[0].passed != pair[1].passed).count();
    let (results, failures) = (seen.len(), seen.iter().filter(|one| !one.passed).count());
    // A test that broke and was mended changes twice.
    let often =
        results >= RESULTS_MIN && flips > 2 && flips * 100 >= (results - 1) * FLIPS_MIN_PERCENT;
    let is_flaky = both_ways > 0 || retried > 0 || often;
    Steadiness { test: test.to_owned(), results, failures, both_ways, retried, flips, is_flaky }
}

impl Quarantine {
    /// From the root of the working tree.
    pub const FILE: &str = ".grit/quarantine.json";
    /// Of the file that this Grit writes.
    pub const VERSION: u64 = 1;

    /// Reads the file.
    ///
    /// # Errors
    /// For people: it is none, or a newer Grit's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let held: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match held.v > Self::VERSION {
            true => Err("it is of a newer version".to_owned()),
            false => Ok(held),
        }
    }

    /// Whether failures of the test are tolerated now.
    pub fn covers(&self, test: &str, now: Timestamp) -> bool {
        self.tests.iter().any(|held| held.covers(test, now))
    }
}

impl Quarantined {
    /// # Errors
    /// For people: it would last too long.
    pub fn new(test: &str, now: Timestamp, until: Timestamp, reason: &str) -> Result<Self, String> {
        let days = until.since(now).as_secs() / 86_400;
        if days > QUARANTINE_DAYS_MAX.unsigned_abs() {
            return Err(format!("a quarantine lasts {QUARANTINE_DAYS_MAX} days at most"));
        }
        Ok(Self { test: test.to_owned(), until, reason: reason.to_owned() })
    }

    /// Whether failures of the test are tolerated: until its last moment, and not after it.
    pub fn covers(&self, test: &str, now: Timestamp) -> bool {
        self.test == test && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(commit: &str, at: i64, passed: bool, failed_before: u32) -> Seen {
        let at = Timestamp::from_millis(at);
        Seen { test: "t".into(), commit: commit.into(), at, passed, failed_before }
    }

    fn is_flaky(seen: &[Seen]) -> bool {
        steadiness(seen)[0].is_flaky
    }

    #[test]
    fn flaky_is_what_changes_without_a_change() {
        assert!(is_flaky(&[seen("a", 1, true, 0), seen("a", 2, false, 0)]));
        assert!(is_flaky(&[seen("a", 1, true, 1)]));
        assert!(!is_flaky(&[seen("a", 1, true, 0), seen("b", 2, false, 0), seen("c", 3, true, 0)]));
        let flips: Vec<Seen> = (0..6).map(|n| seen(&n.to_string(), n, n % 2 == 0, 0)).collect();
        assert!(is_flaky(&flips));
        let broken: Vec<Seen> = (0..6).map(|n| seen(&n.to_string(), n, n < 3, 0)).collect();
        assert!(!is_flaky(&broken));
    }

    #[test]
    fn a_quarantine_ends() {
        let day = |days: i64| Timestamp::from_millis(days * 86_400_000);
        let held = Quarantined::new("t", day(0), day(14), "slow network").unwrap();
        assert!(
            held.covers("t", day(13)) && !held.covers("t", day(14)) && !held.covers("u", day(1))
        );
        assert!(Quarantined::new("t", day(0), day(365), "").is_err());
    }

    #[test]
    fn what_is_in_quarantine_is_read_and_ends() {
        let day = |days: i64| Timestamp::from_millis(days * 86_400_000);
        let held = Quarantined::new("t", day(0), day(2), "slow").unwrap();
        let text = serde_json::to_string(&Quarantine { v: 1, tests: vec![held] }).unwrap();
        let read = Quarantine::parse(&text).unwrap();
        assert!(read.covers("t", day(1)) && !read.covers("t", day(2)) && !read.covers("u", day(1)));
        assert!(Quarantine::parse(&text.replace("\"v\":1", "\"v\":2")).is_err());
        assert!(Quarantine::parse("[]").is_err());
    }

    proptest! {
        #[test]
        fn the_order_of_results_does_not_matter(
            results in prop::collection::vec((0u8..3, 0i64..50, any::<bool>(), 0u32..2), 1..20),
        ) {
            let mut at = BTreeSet::new();
            let all: Vec<Seen> = results
                .into_iter()
                .filter(|(_, time, ..)| at.insert(*time))
                .map(|(commit, time, passed, before)| seen(&commit.to_string(), time, passed, before))
                .collect();
            let reversed: Vec<Seen> = all.iter().rev().cloned().collect();
            prop_assert_eq!(steadiness(&all), steadiness(&reversed));
        }
    }
}
