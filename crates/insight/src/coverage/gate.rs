use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{Coverage, Share};

/// So many lines that are not covered are named.
const SHOWN_MAX: usize = 20;

/// From 0 to 100, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Percent(u32);

/// What coverage must come to.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    pub overall: Option<Percent>,
    /// Files below a folder, or that match `*` and `**`.
    pub critical: Vec<(String, Percent)>,
    pub new: Option<Percent>,
}

/// What became of one demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `overall`, `critical src/pay`, `new lines`.
    pub what: String,
    pub wanted: Percent,
    pub share: Share,
    pub passed: bool,
    /// Places that are not covered, `FILE:LINE`, the first of them.
    pub missing: Vec<String>,
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: f64 = text.trim_end_matches('%').trim().parse().unwrap_or(f64::NAN);
        match (0.0..=100.0).contains(&number) {
            true => Ok(Self((number * 100.0).round() as u32)),
            false => Err(format!("`{text}` is not a percentage from 0 to 100")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 100.0)
    }
}

impl Percent {
    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// No line at all is not enough of them.
    fn is_reached(self, share: Share) -> bool {
        let (covered, total) = (u128::from(share.covered), u128::from(share.total));
        total > 0 && covered * 10_000 >= total * u128::from(self.0)
    }
}

impl Gate {
    /// Holds what was measured against each demand. `new`: the lines that a change adds, by file;
    /// a change that adds no line that could be measured passes.
    pub fn judge(
        &self,
        measured: &Coverage,
        new: &BTreeMap<String, BTreeSet<u32>>,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        if let Some(wanted) = self.overall {
            verdicts.push(verdict(measured, "overall".to_owned(), wanted, |_, _| true));
        }
        for (pattern, wanted) in &self.critical {
            let what = format!("critical {pattern}");
            verdicts.push(verdict(measured, what, *wanted, |file, _| is_below(pattern, file)));
        }
        if let Some(wanted) = self.new {
            let is_new =
                |file: &str, line| new.get(file).is_some_and(|lines| lines.contains(&line));
            let mut judged = verdict(measured, "new lines".to_owned(), wanted, is_new);
            judged.passed |= judged.share.total == 0 && !measured.files.is_empty();
            verdicts.push(judged);
        }
        verdicts
    }
}

fn verdict(
    measured: &Coverage,
    what: String,
    wanted: Percent,
    counts: impl Fn(&str, u32) -> bool,
) -> Verdict {
    let share = measured.share_where(&counts);
    let passed = wanted.is_reached(share);
    let mut missing = Vec::new();
    if !passed {
        let open = measured.files.iter().flat_map(|(file, lines)| {
            let open = lines.iter().filter(|(line, hits)| **hits == 0 && counts(file, **line));
            open.map(move |(line, _)| format!("{file}:{line}"))
        });
        missing = open.take(SHOWN_MAX).collect();
    }
    Verdict { what, wanted, share, passed, missing }
}

/// `*` within a part of a path, `**` for any number of parts; a folder stands for what is in it.
fn is_below(pattern: &str, file: &str) -> bool {
    let pattern: Vec<&str> =
        pattern.trim_start_matches("./").trim_end_matches('/').split('/').collect();
    let file: Vec<&str> = file.split('/').collect();
    parts(&pattern, &file)
}

fn parts(pattern: &[&str], file: &[&str]) -> bool {
    match (pattern.split_first(), file.split_first()) {
        (None, _) => true,
        (Some((&"**", rest)), _) => (0..=file.len()).any(|skipped| parts(rest, &file[skipped..])),
        (Some((part, rest)), Some((name, below))) => word(part, name) && parts(rest, below),
        (Some(_), None) => false,
    }
}

fn word(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|at| word(after, &rest[at..]))
}

/// The lines that a unified diff adds, by file; what `git diff --unified=0` writes.
pub fn added_lines(diff: &str) -> BTreeMap<String, BTreeSet<u32>> {
    let mut added: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let (mut file, mut next, mut left) = (None, 0_u32, (0_u32, 0_u32));
    for line in diff.lines() {
        if left != (0, 0) {
            match line.as_bytes().first() {
                Some(b'+') => {
                    if let Some(file) = &file {
                        added.entry(String::clone(file)).or_default().insert(next);
                    }
                    (next, left.1) = (next.saturating_add(1), left.1.saturating_sub(1));
                }
                Some(b'-') => left.0 = left.0.saturating_sub(1),
                Some(b'\\') => {}
                _ => {
                    next = next.saturating_add(1);
                    left = (left.0.saturating_sub(1), left.1.saturating_sub(1));
                }
            }
        } else if let Some(path) = line.strip_prefix("+++ ") {
            let path = path.trim_end_matches('\t');
            file = path.strip_prefix("b/").map(str::to_owned);
        } else if let Some(hunk) = line.strip_prefix("@@ ") {
            let mut ranges = hunk.split(' ');
            let old = range(ranges.next().unwrap_or_default());
            let new = range(ranges.next().unwrap_or_default());
            (next, left) = (new.0, (old.1, new.1));
        }
    }
    added
}

/// `-12,3`, `+12`.
fn range(text: &str) -> (u32, u32) {
    let text = text.trim_start_matches(['-', '+']);
    let (start, count) = text.split_once(',').unwrap_or((text, "1"));
    (start.parse().unwrap_or(0), count.parse().unwrap_or(0))
}
