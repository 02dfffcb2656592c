use std::fmt::Debug;

use crate::cases::Score;

/// What was checked, and how it came out.
#[derive(Default)]
pub struct Report {
    pub score: Score,
    /// Which block is run, and how.
    pub at: String,
    pub failures: Vec<String>,
}

impl Report {
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, expected: &T, seen: &T) {
        self.holds(what, expected == seen, &format!("{expected:?}"), &format!("{seen:?}"));
    }

    pub fn holds(&mut self, what: &str, holds: bool, expected: &str, seen: &str) {
        if holds {
            self.score.passed += 1;
            return;
        }
        self.score.failed += 1;
        let failure = format!("{}: {what}: expected {expected}, seen {seen}", self.at);
        println!("FAILED {failure}");
        self.failures.push(failure);
    }
}
