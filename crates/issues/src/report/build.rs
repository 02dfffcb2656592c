use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Condition, Report, clipped};
use crate::event::Draft;

/// Longest end of a log in an issue, in bytes.
const LOG_BYTES_MAX: usize = 32 << 10;
/// Steps that are told of.
const STEPS_MAX: usize = 20;

/// A run of a pipeline that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    pub workflow: String,
    /// What people know it by: a number, or an id.
    pub number: String,
    /// Or a tag.
    pub branch: Option<String>,
    pub commit: String,
    /// Where the whole log is: an address, or what to type.
    pub logs: Option<String>,
    /// What failed, in order.
    pub failed: Vec<FailedStep>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedStep {
    pub job: String,
    /// None: the job failed outside of its steps, or nobody knows in which.
    pub step: Option<String>,
    /// The end of its log, or why it failed; may be empty.
    pub log: String,
}

/// What failures of builds share an issue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// Those of a workflow on a branch.
    #[default]
    Branch,
    /// Those of a workflow, wherever.
    Workflow,
    /// Those of a workflow at a commit.
    Commit,
}

impl Build {
    /// Failed or not, as its issue gets to know of it. A retry of the same commit that fails at the
    /// same place is the same failure.
    pub fn report(&self, per: Per, labels: &BTreeSet<String>) -> Report {
        let condition = match self.failed.is_empty() {
            true => Condition::Right,
            false => Condition::Wrong,
        };
        Report {
            fingerprint: self.fingerprint(per),
            occurrence: Some(format!("{} at {}", self.place(), clipped(&self.commit, 12))),
            condition,
            draft: Draft {
                title: self.title(),
                body: self.body(),
                labels: labels.clone(),
                template: Some("ci-failure".to_owned()),
                ..Draft::default()
            },
            note: match condition {
                Condition::Right => format!("Build {} passed.", self.named()),
                _ => self.body(),
            },
        }
    }

    fn fingerprint(&self, per: Per) -> String {
        let of = match per {
            Per::Branch => self.branch.as_deref().unwrap_or(&self.commit),
            Per::Workflow => "",
            Per::Commit => &self.commit,
        };
        clipped(&format!("build/{}/{of}", self.workflow), crate::NAME_BYTES_MAX)
    }

    /// A number as people write it.
    fn named(&self) -> String {
        match self.number.chars().all(|c| c.is_ascii_digit()) {
            true => format!("#{}", self.number),
            false => self.number.clone(),
        }
    }

    fn place(&self) -> String {
        let named = |failed: &FailedStep| match &failed.step {
            Some(step) => format!("{} / {step}", failed.job),
            None => failed.job.clone(),
        };
        match self.failed.first() {
            Some(first) => clipped(&named(first), 500),
            None => format!("passed {}", self.named()),
        }
    }

    fn title(&self) -> String {
        let job = self.failed.first().map_or("", |failed| failed.job.as_str());
        clipped(&format!("CI Failure: {job} [build {}]", self.named()), 500)
    }

    /// In the form of the template `ci-failure`.
    fn body(&self) -> String {
        let mut text = format!("## Build Info\n- Build: {}\n", self.named());
        let mut fact = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "- {name}: {value}");
            }
        };
        fact("Workflow", Some(&self.workflow));
        fact("Branch", self.branch.as_deref());
        fact("Commit", Some(&self.commit));
        text.push_str("\n## Failure\n");
        for failed in self.failed.iter().take(STEPS_MAX) {
            let step = failed.step.as_deref().map(|step| format!(" / {step}")).unwrap_or_default();
            let _ = writeln!(text, "{}{step}", failed.job);
            if !failed.log.trim().is_empty() {
                let log = end(&failed.log, LOG_BYTES_MAX / self.failed.len().min(STEPS_MAX));
                let fence = fence(log);
                let _ = writeln!(text, "{fence}\n{log}\n{fence}");
            }
        }
        if self.failed.len() > STEPS_MAX {
            let _ = writeln!(text, "… and {} more", self.failed.len() - STEPS_MAX);
        }
        if let Some(logs) = &self.logs {
            let _ = write!(text, "\n## Logs\n{logs}\n");
        }
        text
    }
}

/// The last so many bytes, from the beginning of a line on where there is one.
fn end(log: &str, bytes: usize) -> &str {
    let log = log.trim_end();
    if log.len() <= bytes {
        return log;
    }
    let tail = &log[log.ceil_char_boundary(log.len() - bytes)..];
    tail.split_once('\n').map_or(tail, |(_, lines)| lines)
}

/// A fence for a block of code that nothing in the text ends.
pub fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(3.max(longest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_no_fence_and_is_bounded() {
        let failed = |log: &str| FailedStep { job: "a".into(), step: None, log: log.into() };
        let build = |log: &str| Build { failed: vec![failed(log)], ..Build::default() };
        assert!(build("x\n```\n# not a heading").body().contains("````\nx\n```\n# not"));
        let long = "a line\n".repeat(100_000);
        let body = build(&long).body();
        assert!(body.len() < LOG_BYTES_MAX + 1_000, "{}", body.len());
        assert!(body.contains("```\na line\n"));
        let many = Build { failed: vec![failed(&long); 1_000], ..Build::default() };
        assert!(many.body().len() < LOG_BYTES_MAX + 2_000, "{}", many.body().len());
    }
}
