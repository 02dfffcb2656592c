//! Results of tests, read from the XML of JUnit as most runners write it.
//!
//! Understood are nested suites, and what runners add for tests that were run again: surefire's and
//! nextest's `flakyFailure` and `rerunFailure`, and the same test several times in one report
//! (gotestsum, pytest-rerunfailures). Entities are the five of XML and characters by number;
//! nothing that a document declares is ever expanded, and sizes are bounded.

mod reading;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use reading::{ReadError, read};

/// One test, all its attempts together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub suite: String,
    pub class: String,
    pub name: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub outcome: Outcome,
    pub millis: u64,
    /// Attempts that failed before the one that counts.
    pub failed_before: u32,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    /// With the end of what it said.
    Failed(String),
    Skipped,
}

/// What several tests came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub total: usize,
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Passed, and not at the first attempt.
    pub flaky: usize,
    pub millis: u64,
}

impl Case {
    /// What names the test between runs: class (or suite) and name.
    pub fn full_name(&self) -> String {
        let above = if self.class.is_empty() { &self.suite } else { &self.class };
        if above.is_empty() { self.name.clone() } else { format!("{above}::{}", self.name) }
    }

    pub fn is_flaky(&self) -> bool {
        self.outcome == Outcome::Passed && self.failed_before > 0
    }

    pub fn failure(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Failed(text) => Some(text),
            Outcome::Passed | Outcome::Skipped => None,
        }
    }
}

impl Totals {
    /// Of these tests.
    pub fn of(cases: &[Case]) -> Self {
        let mut totals = Self { total: cases.len(), ..Self::default() };
        for case in cases {
            totals.millis = totals.millis.saturating_add(case.millis);
            totals.flaky += usize::from(case.is_flaky());
            match case.outcome {
                Outcome::Passed => totals.passed += 1,
                Outcome::Failed(_) => totals.failed += 1,
                Outcome::Skipped => totals.skipped += 1,
            }
        }
        totals
    }
}

/// The same tests with the attempts of each as one: it passes if the last attempt does.
pub fn attempts_as_one(cases: Vec<Case>) -> Vec<Case> {
    let mut places: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut merged: Vec<Case> = Vec::new();
    for case in cases {
        let key = (case.suite.clone(), case.class.clone(), case.name.clone());
        match places.get(&key) {
            None => {
                places.insert(key, merged.len());
                merged.push(case);
            }
            Some(at) => {
                let before = &merged[*at];
                let failed = before.failed_before + u32::from(before.failure().is_some());
                let millis = before.millis.saturating_add(case.millis);
                let failed_before = failed + case.failed_before;
                merged[*at] = Case { failed_before, millis, ..case };
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests;
