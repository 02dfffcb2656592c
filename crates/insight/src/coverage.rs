//! Coverage of lines: reports of test runs, merged, and held against what is wanted.
//!
//! Read are Cobertura and JaCoCo (XML), LCOV, and the JSON that llvm-cov exports.

mod gate;
mod llvm;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use gate::{Gate, Percent, Verdict, added_lines};
pub use reading::{CoverageError, read};

/// Lines that can be run, and how often they were, by file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    pub files: BTreeMap<String, BTreeMap<u32, u64>>,
}

/// Of so many lines so many were run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub covered: u64,
    pub total: u64,
}

impl Coverage {
    /// Together with another shard of the same tests: a line was run as often as in both.
    pub fn merge(&mut self, other: Self) {
        for (file, lines) in other.files {
            let own = self.files.entry(file).or_default();
            for (line, hits) in lines {
                let all = own.entry(line).or_default();
                *all = all.saturating_add(hits);
            }
        }
    }

    /// Of all lines.
    pub fn share(&self) -> Share {
        self.share_where(|_, _| true)
    }

    /// Of the lines that are wanted.
    pub fn share_where(&self, wanted: impl Fn(&str, u32) -> bool) -> Share {
        let mut share = Share::default();
        for (file, lines) in &self.files {
            for (_, hits) in lines.iter().filter(|(line, _)| wanted(file, **line)) {
                share.total += 1;
                share.covered += u64::from(*hits > 0);
            }
        }
        share
    }

    /// Reports name files from where they stood: each becomes the one file of the repository that
    /// it can be, by the end of its path; what can be several stays as it is.
    pub fn resolve(&mut self, known: &BTreeSet<String>) {
        let mut by_name: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for path in known {
            by_name.entry(last(path)).or_default().push(path);
        }
        let files = std::mem::take(&mut self.files);
        for (file, lines) in files {
            let plain = file.trim_start_matches("./").replace('\\', "/");
            let none = Vec::new();
            let candidates = by_name.get(last(&plain)).unwrap_or(&none);
            let ends = |path: &&&String| ends_with(path, &plain) || ends_with(&plain, path);
            let mut fitting = candidates.iter().filter(ends);
            let found = match (known.contains(&plain), fitting.next(), fitting.next()) {
                (false, Some(only), None) => (*only).clone(),
                _ => plain,
            };
            let one = Self { files: BTreeMap::from([(found, lines)]) };
            self.merge(one);
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// By whole parts of the path.
fn ends_with(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

impl Share {
    /// Nothing, where there is nothing to cover.
    pub fn percent(self) -> Option<f64> {
        (self.total > 0).then(|| self.covered as f64 * 100.0 / self.total as f64)
    }
}

impl std::fmt::Display for Share {
    /// Never rounded up: 79.999 is not 80.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { covered, total } = self;
        match total {
            0 => f.write_str("no line"),
            _ => {
                let tenths = covered * 1000 / total;
                write!(f, "{}.{} % ({covered} of {total} lines)", tenths / 10, tenths % 10)
            }
        }
    }
}

#[cfg(test)]
mod tests;
