//! What the reports say that a step read: results of tests, and coverage.
//!
//! Sizes are bounded, because it becomes part of an event: of very many tests the tell-tale ones
//! are kept by name, and all are counted.

use serde::{Deserialize, Serialize};

/// So many tests of a step are kept by name.
pub const TESTS_MAX: usize = 2_000;
/// A longer name is cut, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// What a failure says is cut, in bytes, and kept of so many.
const TEXT_BYTES_MAX: usize = 500;
const TEXTS_MAX: usize = 50;

/// What a step measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Covered>,
}

/// The lines that can be covered, and those that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    pub covered: u64,
    pub total: u64,
}

/// Results of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tests {
    pub counts: TestCounts,
    pub results: Vec<TestResult>,
    /// How many more there were than `results` names.
    pub left_out: u64,
}

/// How many tests came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestCounts {
    pub total: u64,
    pub passed: u64,
    /// Those in quarantine among them.
    pub failed: u64,
    pub skipped: u64,
    /// Passed, and not at the first attempt.
    pub flaky: u64,
    /// Failed, and tolerated.
    pub quarantined: u64,
    pub millis: u64,
}

/// One test, all its attempts together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// What names it between runs.
    pub name: String,
    pub outcome: TestOutcome,
    pub millis: u64,
    /// Attempts that failed before the one that counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_before: u32,
    /// Its failure is tolerated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
    /// The beginning of what its failure says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    Passed,
    Failed,
    Skipped,
}

impl Measured {
    pub fn is_empty(&self) -> bool {
        self.tests.is_none() && self.coverage.is_none()
    }
}

impl Tests {
    /// All of them counted; where they are too many, those that failed, then those that passed not
    /// at once, then those that took longest are kept, in the order in which they came.
    pub fn new(all: impl IntoIterator<Item = TestResult>) -> Self {
        let mut tests = Self::default();
        for result in all {
            tests.counts.add(&result);
            tests.results.push(result);
        }
        let over = tests.results.len().saturating_sub(TESTS_MAX);
        if over > 0 {
            tests.left_out = over as u64;
            tests.results = tell_tale(tests.results);
        }
        let mut texts = 0;
        for result in &mut tests.results {
            cut(&mut result.name, NAME_BYTES_MAX);
            texts += usize::from(!result.text.is_empty());
            cut(&mut result.text, if texts > TEXTS_MAX { 0 } else { TEXT_BYTES_MAX });
        }
        tests
    }
}

impl TestCounts {
    /// Failures that nobody tolerates.
    pub fn counting(&self) -> u64 {
        self.failed.saturating_sub(self.quarantined)
    }

    fn add(&mut self, result: &TestResult) {
        self.total += 1;
        self.millis = self.millis.saturating_add(result.millis);
        match result.outcome {
            TestOutcome::Passed => self.passed += 1,
            TestOutcome::Failed => self.failed += 1,
            TestOutcome::Skipped => self.skipped += 1,
        }
        self.flaky += u64::from(result.is_flaky());
        self.quarantined += u64::from(result.outcome == TestOutcome::Failed && result.quarantined);
    }
}

impl TestResult {
    pub fn is_flaky(&self) -> bool {
        self.outcome == TestOutcome::Passed && self.failed_before > 0
    }
}

fn tell_tale(all: Vec<TestResult>) -> Vec<TestResult> {
    let rank = |result: &TestResult| match result.outcome {
        TestOutcome::Failed => 0,
        TestOutcome::Passed if result.failed_before > 0 => 1,
        TestOutcome::Passed => 2,
        TestOutcome::Skipped => 3,
    };
    let mut places: Vec<usize> = (0..all.len()).collect();
    places.sort_by_key(|at| (rank(&all[*at]), std::cmp::Reverse(all[*at].millis), *at));
    let mut kept = vec![false; all.len()];
    places.into_iter().take(TESTS_MAX).for_each(|at| kept[at] = true);
    all.into_iter().zip(kept).filter_map(|(result, kept)| kept.then_some(result)).collect()
}

fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        if bytes > 0 {
            text.push('…');
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, outcome: TestOutcome, millis: u64) -> TestResult {
        TestResult {
            name: name.to_owned(),
            outcome,
            millis,
            failed_before: 0,
            quarantined: false,
            text: String::new(),
        }
    }

    #[test]
    fn all_are_counted_and_the_tell_tale_ones_are_named() {
        let mut all: Vec<TestResult> = (0..TESTS_MAX as u64 + 10)
            .map(|n| result(&n.to_string(), TestOutcome::Passed, n))
            .collect();
        all[0].outcome = TestOutcome::Failed;
        all[0].text = "é".repeat(TEXT_BYTES_MAX);
        all[1].failed_before = 1;
        all[2] = TestResult { quarantined: true, ..result("2", TestOutcome::Failed, 0) };
        all[5].name = "n".repeat(1_000);
        let tests = Tests::new(all);
        let counts = tests.counts;
        assert_eq!((counts.total, counts.failed, counts.flaky), (TESTS_MAX as u64 + 10, 2, 1));
        assert_eq!((counts.quarantined, counts.counting()), (1, 1));
        assert_eq!((tests.results.len(), tests.left_out), (TESTS_MAX, 10));
        let names: Vec<&str> =
            tests.results.iter().take(4).map(|result| result.name.as_str()).collect();
        assert_eq!(names, ["0", "1", "2", "13"]);
        assert!(tests.results[0].text.len() <= TEXT_BYTES_MAX + '…'.len_utf8());
        assert!(serde_json::to_vec(&tests).unwrap().len() < 600 << 10);
    }

    #[test]
    fn what_is_said_is_kept_of_the_first_failures() {
        let failed = |n: usize| TestResult {
            text: format!("why {n}"),
            ..result(&n.to_string(), TestOutcome::Failed, 1)
        };
        let tests = Tests::new((0..TEXTS_MAX + 1).map(failed));
        assert_eq!(tests.results[TEXTS_MAX - 1].text, format!("why {}", TEXTS_MAX - 1));
        assert_eq!(tests.results[TEXTS_MAX].text, "");
    }

    #[test]
    fn bytes_of_before_have_nothing_measured() {
        assert!(serde_json::from_str::<Measured>("{}").unwrap().is_empty());
        let tests = Tests::new([result("a", TestOutcome::Passed, 3)]);
        let measured = Measured { tests: Some(tests), coverage: None };
        let text = serde_json::to_string(&measured).unwrap();
        assert!(text.contains(r#"[{"name":"a","outcome":"passed","millis":3}]"#), "{text}");
        assert_eq!(serde_json::from_str::<Measured>(&text).unwrap(), measured);
    }
}
