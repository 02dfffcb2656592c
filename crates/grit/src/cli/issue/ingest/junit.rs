//! What a report of tests says of each of them, for the issues that are about tests.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use grit_insight::suite::{Case, Outcome};
use grit_issues::Draft;
use grit_issues::report::{Condition, Report, clipped};
use grit_types::Digest;

/// What was tested.
pub struct Build {
    pub commit: Option<String>,
    pub branch: Option<String>,
    pub url: Option<String>,
}

/// One of each test that was not skipped. The document itself is the occurrence: taken in once
/// more, by a retry, it says nothing new.
pub fn reports(
    tests: &[Case],
    build: &Build,
    text: &str,
    labels: &BTreeSet<String>,
) -> Vec<Report> {
    let document = Digest::of(text.as_bytes()).short();
    let told = |test: &Case| {
        let at = build.at();
        let (condition, note) = match &test.outcome {
            Outcome::Skipped => return None,
            Outcome::Passed => (Condition::Right, format!("It passes{at}.")),
            Outcome::Failed(text) => {
                (Condition::Wrong, format!("It fails{at}.\n\n{}", fenced(text)))
            }
        };
        Some(Report {
            fingerprint: fingerprint(test),
            occurrence: Some(format!("test report {document}")),
            condition,
            draft: Draft {
                title: format!("Test failure: {}", test.full_name()),
                body: body(test, build),
                labels: labels.clone(),
                ..Draft::default()
            },
            note,
        })
    };
    tests.iter().filter_map(told).collect()
}

impl Build {
    fn at(&self) -> String {
        let commit = self.commit.as_deref().map(|commit| format!(" at {}", clipped(commit, 12)));
        let branch = self.branch.as_deref().map(|branch| format!(" on {branch}"));
        let url = self.url.as_deref().map(|url| format!(", {url}"));
        [commit, branch, url].into_iter().flatten().collect()
    }
}

fn fingerprint(test: &Case) -> String {
    let parts = [&test.suite, &test.class, &test.name];
    // Lengths, so that no two tests make the same text.
    let text: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    format!("test/{}", Digest::of(text.as_bytes()))
}

fn body(test: &Case, build: &Build) -> String {
    let mut text = "## Test\n".to_owned();
    let facts = [
        ("Suite", Some(&test.suite).filter(|suite| !suite.is_empty())),
        ("Class", Some(&test.class).filter(|class| !class.is_empty())),
        ("Name", Some(&test.name)),
        ("Branch", build.branch.as_ref()),
        ("Commit", build.commit.as_ref()),
        ("Run", build.url.as_ref()),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "- {name}: {value}");
        }
    }
    if let Some(failure) = test.failure() {
        let _ = write!(text, "\n## Failure\n{}\n", fenced(failure));
    }
    text
}

fn fenced(text: &str) -> String {
    let fence = grit_issues::report::fence(text);
    format!("{fence}\n{}\n{fence}", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_cut_elsewhere_are_other_tests() {
        let read = |suite: &str, class: &str| {
            let case = format!("<testcase classname=\"{class}\" name=\"n\"/>");
            let text = format!("<testsuite name=\"{suite}\">{case}</testsuite>");
            fingerprint(&grit_insight::suite::read(&text).unwrap()[0])
        };
        assert_ne!(read("a", "b"), read("ab", ""));
        assert_ne!(read("", "ab"), read("ab", ""));
    }
}
