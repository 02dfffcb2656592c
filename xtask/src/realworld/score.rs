use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    list::{Matrix, Package},
    reason::Reason,
};

pub const HEAD: &str = "package                job                                            tests: Grit  by hand  result    Grit   by hand";

/// How a side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Green,
    Red,
    /// The limit came first.
    Late,
}

/// From the `test result:` lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tests {
    pub passed: u64,
    pub failed: u64,
}

impl Tests {
    /// `test result: ok. 23 passed; 0 failed; 0 ignored; …`, once for each program of tests.
    pub fn count(output: &str) -> Self {
        let mut tests = Self::default();
        for line in output.lines().filter(|line| line.contains("test result:")) {
            let number = |label: &str| {
                let before = line.split_once(label)?.0;
                before.split_whitespace().next_back()?.parse::<u64>().ok()
            };
            tests.passed += number(" passed").unwrap_or_default();
            tests.failed += number(" failed").unwrap_or_default();
        }
        tests
    }

    pub fn total(self) -> u64 {
        self.passed + self.failed
    }
}

/// One way of running a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub end: End,
    pub tests: Tests,
    pub took: Duration,
    /// What helps to see why it is red.
    pub said: String,
}

/// What became of a job.
pub enum Outcome {
    Ran { ours: Ran, hand: Ran },
    NotRun(Reason),
}

pub struct Score {
    pub job: String,
    pub outcome: Outcome,
}

impl Score {
    pub fn line(&self, package: &Package) -> String {
        let name = format!("{}-{}", package.name, package.version);
        match &self.outcome {
            Outcome::NotRun(reason) => format!("{name:<22} {:<46} not run   {reason}", self.job),
            Outcome::Ran { ours, hand } => {
                let line = format!(
                    "{name:<22} {:<46}{:>12}{:>9}  {:<7}{:>6.1} s{:>8.1} s",
                    self.job,
                    ours.tests.total(),
                    hand.tests.total(),
                    result(ours, hand),
                    ours.took.as_secs_f64(),
                    hand.took.as_secs_f64(),
                );
                if agree(ours, hand) { line } else { line + &difference(ours, hand) }
            }
        }
    }
}

/// The name of a job, with its combination as the service shows it.
pub fn named(file: &str, key: &str, matrix: &Matrix) -> String {
    let values: Vec<&str> = matrix.values().map(String::as_str).collect();
    let file = file.trim_end_matches(".yml").trim_end_matches(".yaml");
    if values.is_empty() {
        format!("{file}/{key}")
    } else {
        format!("{file}/{key} ({})", values.join(", "))
    }
}

fn agree(ours: &Ran, hand: &Ran) -> bool {
    ours.end == hand.end && ours.tests == hand.tests
}

fn result(ours: &Ran, hand: &Ran) -> &'static str {
    match (agree(ours, hand), ours.end) {
        (false, _) => "DIFFERS",
        (true, End::Green) => "green",
        (true, End::Red) => "red",
        (true, End::Late) => "late",
    }
}

fn difference(ours: &Ran, hand: &Ran) -> String {
    let side = |name: &str, ran: &Ran| {
        let lines: Vec<&str> = ran.said.trim().lines().collect();
        let tail = lines[lines.len().saturating_sub(25)..].join("\n      ");
        format!("\n    {name}: {:?}, {:?}\n      {tail}", ran.end, ran.tests)
    };
    side("Grit", ours) + &side("by hand", hand)
}

/// All jobs of all packages.
#[derive(Default)]
pub struct Summary {
    packages: u64,
    green: u64,
    red: u64,
    late: u64,
    differ: u64,
    tests: u64,
    ours: Duration,
    hand: Duration,
    not_run: BTreeMap<&'static str, (u64, BTreeMap<String, u64>)>,
}

impl Summary {
    pub fn add(&mut self, scores: Vec<Score>) {
        self.packages += 1;
        for score in scores {
            match score.outcome {
                Outcome::NotRun(reason) => self.not_run(&reason),
                Outcome::Ran { ours, hand } => self.ran(&ours, &hand),
            }
        }
    }

    /// What ran and had no test in it is compared, but not counted.
    fn ran(&mut self, ours: &Ran, hand: &Ran) {
        let counts = ours.tests.total() + hand.tests.total() > 0;
        match (agree(ours, hand), ours.end) {
            (false, _) => self.differ += 1,
            (true, _) if !counts => return self.not_run(&Reason::Empty),
            (true, End::Green) => self.green += 1,
            (true, End::Red) => self.red += 1,
            (true, End::Late) => self.late += 1,
        }
        self.tests += ours.tests.total();
        self.ours += ours.took;
        self.hand += hand.took;
    }

    fn not_run(&mut self, reason: &Reason) {
        let (count, details) = self.not_run.entry(reason.kind()).or_default();
        *count += 1;
        if let Some(detail) = reason.detail() {
            *details.entry(detail.to_owned()).or_default() += 1;
        }
    }

    /// No job differs, and at least one was counted.
    pub fn agrees(&self) -> bool {
        self.differ == 0 && self.counted() > 0
    }

    fn counted(&self) -> u64 {
        self.green + self.red + self.late + self.differ
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not_run: u64 = self.not_run.values().map(|(count, _)| count).sum();
        let counted = self.counted();
        writeln!(
            f,
            "\n{} packages, {} jobs: {counted} run and counted, with {} tests ({:.0} s by Grit, {:.0} s by hand)",
            self.packages,
            counted + not_run,
            self.tests,
            self.ours.as_secs_f64(),
            self.hand.as_secs_f64(),
        )?;
        writeln!(f, "{:>6}  the same, green", self.green)?;
        writeln!(f, "{:>6}  the same, red", self.red)?;
        writeln!(f, "{:>6}  the same, over the limit", self.late)?;
        writeln!(f, "{:>6}  DIFFER", self.differ)?;
        writeln!(f, "{not_run} not counted:")?;
        let mut rows: Vec<_> = self.not_run.iter().collect();
        rows.sort_by_key(|(kind, (count, _))| (std::cmp::Reverse(*count), **kind));
        for (kind, (count, details)) in rows {
            let mut details: Vec<_> = details.iter().collect();
            details.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
            let most: Vec<String> =
                details.iter().take(6).map(|(name, count)| format!("{name} {count}")).collect();
            let more = if details.len() > most.len() { ", …" } else { "" };
            let colon = if most.is_empty() { "" } else { ": " };
            writeln!(f, "{count:>6}  {kind}{colon}{}{more}", most.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(end: End, passed: u64) -> Ran {
        Ran { end, tests: Tests { passed, failed: 0 }, took: Duration::ZERO, said: String::new() }
    }

    fn score(ours: Ran, hand: Ran) -> Score {
        Score { job: "ci/test".into(), outcome: Outcome::Ran { ours, hand } }
    }

    #[test]
    fn tests_are_counted_over_all_programs() {
        let tests = Tests::count(
            "running 2 tests\ntest result: ok. 23 passed; 0 failed; 1 ignored; 0 measured\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored\n",
        );
        assert_eq!(tests, Tests { passed: 26, failed: 2 });
        assert_eq!(tests.total(), 28);
    }

    #[test]
    fn a_job_without_tests_is_no_evidence() {
        let mut summary = Summary::default();
        summary.add(vec![score(ran(End::Red, 0), ran(End::Red, 0))]);
        assert!(!summary.agrees());
        assert!(summary.to_string().contains("ran, and no test was executed"), "{summary}");
        summary.add(vec![score(ran(End::Green, 3), ran(End::Green, 3))]);
        assert!(summary.agrees());
    }

    #[test]
    fn another_end_or_another_number_of_tests_differs() {
        for (ours, hand) in [
            (ran(End::Green, 3), ran(End::Red, 3)),
            (ran(End::Green, 2), ran(End::Green, 3)),
            (ran(End::Red, 0), ran(End::Green, 0)),
        ] {
            let mut summary = Summary::default();
            summary.add(vec![score(ran(End::Green, 1), ran(End::Green, 1)), score(ours, hand)]);
            assert!(!summary.agrees());
        }
    }
}
