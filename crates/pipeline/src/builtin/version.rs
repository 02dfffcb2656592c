//! Versions of tools, and which of them a workflow asks for.
//!
//! Ranges are those of npm's semver, which the setup actions share (`20.x`, `>=18 <21`, `^3.9`,
//! `18 || 20`), with each tool's own words beside them (`lts/*`, `3.13-dev`, `8.0.1xx`, `stable`).

use std::cmp::Ordering;
use std::fmt;

/// Longest text that is taken for a version or a range, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// The long-term support lines of Node and their names, as published by the Node.js release
/// working group.
const NODE_LTS: [(&str, u64); 11] = [
    ("argon", 4),
    ("boron", 6),
    ("carbon", 8),
    ("dubnium", 10),
    ("erbium", 12),
    ("fermium", 14),
    ("gallium", 16),
    ("hydrogen", 18),
    ("iron", 20),
    ("jod", 22),
    ("krypton", 24),
];

/// Lines of Node that may have come after the last one above.
const LATER_LINES: u64 = 10;

/// Whose versions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Node,
    Python,
    Java,
    Go,
    Dotnet,
    Ruby,
    Other,
}

/// A version as a tool tells it: three numbers, and what stands before a release.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    numbers: [u64; 3],
    /// `rc.1`; empty for a release.
    pre: String,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    text: String,
    range: Range,
    /// Versions before a release count as well.
    pre: bool,
    /// It is the newest that is asked for, whichever that is.
    is_newest: bool,
}

/// Any of these, each of which is all of its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range(Vec<Vec<Bound>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    op: Op,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Version {
    /// Reads `v20.1.0`, `1.22`, `3.13.0rc1`, `17.0.9+9`, `1.8.0_392`, `go1.22.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("go").unwrap_or(text);
        let part = Partial::parse(text.trim_start_matches(['v', 'V', '=']))?;
        (part.given > 0).then(|| part.low())
    }

    /// Java counted `1.8.0_392` for 8.0.392 once.
    pub fn of_java(text: &str) -> Option<Self> {
        let Some(old) = text.trim().strip_prefix("1.") else { return Self::parse(text) };
        let (numbers, update) = old.split_once('_').unwrap_or((old, "0"));
        let major = numbers.split('.').next()?;
        Self::parse(&format!("{major}.0.{}", update.split('-').next()?))
    }

    pub fn major(&self) -> u64 {
        self.numbers[0]
    }

    pub fn minor(&self) -> u64 {
        self.numbers[1]
    }

    pub fn patch(&self) -> u64 {
        self.numbers[2]
    }

    /// What stands before a release; empty for one.
    pub fn pre(&self) -> &str {
        &self.pre
    }

    fn of(numbers: [u64; 3]) -> Self {
        Self { numbers, pre: String::new() }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if self.pre.is_empty() { Ok(()) } else { write!(f, "-{}", self.pre) }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        numbers.then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => compare_pre(&self.pre, &other.pre),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By its parts, numbers as numbers.
fn compare_pre(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        let part = |part: &str| (part.parse().unwrap_or(u64::MAX), part.to_owned());
        text.split('.').map(part).collect()
    };
    parts(one).cmp(&parts(other))
}

impl Asked {
    /// Reads what stands in a workflow or a file of versions.
    ///
    /// # Errors
    /// For people: why it names no version.
    pub fn parse(tool: Tool, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || format!("`{text}` names no version");
        if text.len() > TEXT_BYTES_MAX {
            return Err("a version is longer than 200 characters".to_owned());
        }
        let lower = text.to_ascii_lowercase();
        let newest = match tool {
            Tool::Node => matches!(&*lower, "latest" | "node" | "current"),
            Tool::Go => lower == "stable",
            Tool::Ruby => lower == "ruby",
            Tool::Python | Tool::Java | Tool::Dotnet | Tool::Other => lower == "latest",
        };
        if newest {
            return Ok(Self { is_newest: true, ..Self::of(text, Range(vec![vec![]])) });
        }
        if tool == Tool::Node
            && let Some(name) = lower.strip_prefix("lts/")
        {
            return Ok(Self::of(text, lts(name).ok_or_else(wrong)?));
        }
        if tool == Tool::Dotnet
            && let Some(range) = feature_band(&lower)
        {
            return Ok(Self::of(text, range));
        }
        let (plain, pre) = match tool {
            Tool::Python => strip(&lower, "-dev"),
            Tool::Java => strip(&lower, "-ea"),
            Tool::Ruby => (lower.strip_prefix("ruby-").unwrap_or(&lower), false),
            Tool::Go => (lower.strip_prefix("go").unwrap_or(&lower), false),
            _ => (&*lower, false),
        };
        let mut range = Range::parse(plain).ok_or_else(wrong)?;
        if pre {
            range.begin_before_releases();
        }
        Ok(Self { pre, ..Self::of(text, range) })
    }

    fn of(text: &str, range: Range) -> Self {
        Self { text: text.to_owned(), range, pre: false, is_newest: false }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The newest is asked for, whichever that is: what is published elsewhere is not looked at.
    pub fn is_newest(&self) -> bool {
        self.is_newest
    }

    /// Whether that version is one of those that are asked for.
    pub fn admits(&self, version: &Version) -> bool {
        self.range.0.iter().any(|bounds| {
            let fits = bounds.iter().all(|bound| bound.holds(version));
            // As semver has it: what is not released yet must be named.
            let named = |bound: &Bound| {
                !bound.version.pre.is_empty() && bound.version.numbers == version.numbers
            };
            fits && (version.pre.is_empty() || self.pre || bounds.iter().any(named))
        })
    }

    /// The highest of `there` that is admitted.
    pub fn pick<'v>(&self, there: impl IntoIterator<Item = &'v Version>) -> Option<&'v Version> {
        there.into_iter().filter(|version| self.admits(version)).max()
    }
}

fn strip<'t>(text: &'t str, suffix: &str) -> (&'t str, bool) {
    text.strip_suffix(suffix).map_or((text, false), |text| (text, true))
}

/// `*`: the newest line that is known here or a later one; `-1`: the one before; or a name.
fn lts(name: &str) -> Option<Range> {
    let (_, newest) = NODE_LTS[NODE_LTS.len() - 1];
    if name == "*" {
        // Lines with an odd number never get long-term support.
        let lines = (0..LATER_LINES).flat_map(|later| major_line(newest + 2 * later).0);
        return Some(Range(lines.collect()));
    }
    let back = name.strip_prefix('-').and_then(|back| back.parse::<usize>().ok());
    let line = match back {
        Some(back) => NODE_LTS.len().checked_sub(back + 1).map(|at| NODE_LTS[at].1),
        None => NODE_LTS.iter().find(|(known, _)| *known == name).map(|(_, line)| *line),
    };
    line.map(major_line)
}

fn major_line(major: u64) -> Range {
    Range(vec![between([major, 0, 0], [major + 1, 0, 0])])
}

/// `8.0.1xx`: the releases of an SDK's feature band.
fn feature_band(text: &str) -> Option<Range> {
    let (numbers, band) = text.strip_suffix("xx")?.rsplit_once('.')?;
    let (major, minor) = numbers.split_once('.')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    let band: u64 = band.parse::<u64>().ok()?.checked_mul(100)?;
    Some(Range(vec![between([major, minor, band], [major, minor, band + 100])]))
}

fn between(low: [u64; 3], high: [u64; 3]) -> Vec<Bound> {
    let low = Bound { op: Op::GreaterOrEqual, version: Version::of(low) };
    // What comes before a release of the end is not in it.
    let high = Bound { op: Op::Less, version: Version { numbers: high, pre: "0".to_owned() } };
    vec![low, high]
}

impl Bound {
    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.op {
            Op::Less => order.is_lt(),
            Op::LessOrEqual => order.is_le(),
            Op::Equal => order.is_eq(),
            Op::GreaterOrEqual => order.is_ge(),
            Op::Greater => order.is_gt(),
        }
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        text.split("||").map(str::trim).map(all_of).collect::<Option<_>>().map(Self)
    }
}

impl Range {
    /// `3.13` from its first alpha on.
    fn begin_before_releases(&mut self) {
        let is_begin =
            |bound: &&mut Bound| bound.op == Op::GreaterOrEqual && bound.version.pre.is_empty();
        for bound in self.0.iter_mut().flatten().filter(is_begin) {
            bound.version.pre = "0".to_owned();
        }
    }
}

/// Bounds that stand beside each other; `A - B` is from A to B.
fn all_of(text: &str) -> Option<Vec<Bound>> {
    if let Some((low, high)) = text.split_once(" - ") {
        let mut bounds = one(&format!(">={}", low.trim()))?;
        bounds.extend(one(&format!("<={}", high.trim()))?);
        return Some(bounds);
    }
    let mut bounds = Vec::new();
    let mut op = String::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        if word.chars().all(|c| "<>=^~".contains(c)) {
            op.push_str(word);
            continue;
        }
        bounds.extend(one(&format!("{}{word}", std::mem::take(&mut op)))?);
    }
    (op.is_empty() && !text.is_empty()).then_some(bounds)
}

/// One bound with its operator.
fn one(text: &str) -> Option<Vec<Bound>> {
    let ops = ["^", "~>", "~=", "~", ">=", "<=", ">", "<", "==", "="];
    let op = ops.into_iter().find(|op| text.starts_with(op)).unwrap_or_default();
    let part = Partial::parse(text[op.len()..].trim_start_matches(['v', 'V']))?;
    let is_whole = part.given == 3;
    let bound = |op, version| vec![Bound { op, version }];
    let below = |numbers| Bound { op: Op::Less, version: Version { numbers, pre: "0".into() } };
    let from = Bound { op: Op::GreaterOrEqual, version: part.low() };
    Some(match op {
        "" | "=" | "==" if is_whole => bound(Op::Equal, part.low()),
        _ if part.given == 0 => Vec::new(),
        "" | "=" | "==" => vec![from, below(part.next(part.given))],
        "^" => vec![from, below(part.next(part.first_that_counts()))],
        "~" | "~>" => vec![from, below(part.next(part.given.min(2)))],
        // Python's: all but the last part are fixed.
        "~=" => vec![from, below(part.next(part.given.saturating_sub(1).max(1)))],
        ">" if is_whole => bound(Op::Greater, part.low()),
        ">" => bound(Op::GreaterOrEqual, Version::of(part.next(part.given))),
        "<=" if is_whole => bound(Op::LessOrEqual, part.low()),
        "<=" => vec![below(part.next(part.given))],
        "<" => bound(Op::Less, part.low()),
        _ => vec![from],
    })
}

/// A version of which the last parts may be left open.
struct Partial {
    numbers: [u64; 3],
    /// So many of the numbers are said.
    given: usize,
    pre: String,
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let mut part = Self { numbers: [0; 3], given: 0, pre: String::new() };
        let mut rest = text;
        loop {
            if let Some(open) = rest.strip_prefix(['x', 'X', '*']) {
                // After what is open nothing more is said: `1.x.x`.
                let more = open.chars().all(|c| matches!(c, '.' | 'x' | 'X' | '*'));
                return more.then_some(part);
            }
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            part.numbers[part.given] = rest[..end].parse().ok()?;
            part.given += 1;
            rest = &rest[end..];
            match rest.strip_prefix('.') {
                Some(next) if part.given < 3 => rest = next,
                _ => break,
            }
        }
        let rest = rest.split('+').next().unwrap_or_default();
        let pre = rest.strip_prefix('-').unwrap_or(rest);
        let is_more = pre.starts_with(['.', '_']);
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !pre.chars().all(known) || rest == "-" {
            return None;
        }
        part.pre = if is_more { String::new() } else { pre.to_owned() };
        Some(part)
    }

    fn low(&self) -> Version {
        Version { numbers: self.numbers, pre: self.pre.clone() }
    }

    /// The first version whose first `count` numbers are others.
    fn next(&self, count: usize) -> [u64; 3] {
        let mut numbers = [0; 3];
        let last = count.clamp(1, 3) - 1;
        numbers[..=last].copy_from_slice(&self.numbers[..=last]);
        numbers[last] = numbers[last].saturating_add(1);
        numbers
    }

    /// As `^` has it: up to the first number that is not zero.
    fn first_that_counts(&self) -> usize {
        let found = self.numbers[..self.given].iter().position(|number| *number > 0);
        found.map_or(self.given, |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admits(tool: Tool, asked: &str, version: &str) -> bool {
        Asked::parse(tool, asked).unwrap().admits(&Version::parse(version).unwrap())
    }

    #[test]
    fn ranges_are_those_of_semver() {
        for (asked, inside, outside) in [
            ("20", &["20.0.0", "20.20.2"][..], &["19.9.9", "21.0.0", "20.1.0-rc.1"][..]),
            ("20.x", &["20.3.1"], &["21.0.0"]),
            ("v20.3", &["20.3.9"], &["20.4.0"]),
            ("20.3.1", &["20.3.1"], &["20.3.2"]),
            (">=18", &["18.0.0", "22.1.0"], &["17.9.9"]),
            (">= 18 < 21", &["20.9.0"], &["21.0.0"]),
            (">18", &["19.0.0"], &["18.9.0"]),
            ("<=18", &["18.9.0", "4.0.0"], &["19.0.0"]),
            ("^0.3.1", &["0.3.9"], &["0.4.0", "0.3.0"]),
            ("^3.9", &["3.9.0", "3.14.1"], &["4.0.0", "3.8.9"]),
            ("~3.9", &["3.9.9"], &["3.10.0"]),
            ("18 || 20.1.x", &["18.4.0", "20.1.1"], &["20.2.0", "19.0.0"]),
            ("18 - 20", &["18.0.0", "20.9.9"], &["21.0.0"]),
            ("*", &["1.0.0"], &["1.0.0-beta"]),
            ("20.0.0-rc.1", &["20.0.0-rc.1"], &["20.0.0"]),
            (">=20.0.0-rc.1", &["20.0.0-rc.2", "20.0.0"], &["20.1.0-rc.1"]),
        ] {
            for version in inside {
                assert!(admits(Tool::Other, asked, version), "{asked} has {version}");
            }
            for version in outside {
                assert!(!admits(Tool::Other, asked, version), "{asked} has not {version}");
            }
        }
    }

    #[test]
    fn tools_have_words_of_their_own() {
        assert!(
            admits(Tool::Node, "lts/iron", "20.9.0") && !admits(Tool::Node, "lts/iron", "22.0.0")
        );
        assert!(admits(Tool::Node, "lts/*", "24.1.0") && admits(Tool::Node, "lts/*", "26.0.0"));
        assert!(!admits(Tool::Node, "lts/*", "22.1.0") && !admits(Tool::Node, "lts/*", "25.0.0"));
        assert!(admits(Tool::Node, "lts/-1", "22.1.0"));
        assert!(Asked::parse(Tool::Node, "lts/nonsense").is_err());
        assert!(admits(Tool::Python, "3.13-dev", "3.13.0rc1"));
        assert!(!admits(Tool::Python, "3.13", "3.13.0rc1"));
        assert!(admits(Tool::Python, ">=3.9,<3.12", "3.11.7"));
        assert!(admits(Tool::Python, "~=3.9", "3.11.7") && !admits(Tool::Python, "~=3.9", "4.0.0"));
        assert!(admits(Tool::Dotnet, "8.0.1xx", "8.0.104"));
        assert!(!admits(Tool::Dotnet, "8.0.1xx", "8.0.204"));
        assert!(admits(Tool::Go, "1.22", "go1.22.7") && !admits(Tool::Go, "1.2", "1.22.7"));
        assert!(admits(Tool::Ruby, "ruby-3.2", "3.2.2"));
        assert_eq!(Version::of_java("1.8.0_392"), Version::parse("8.0.392"));
        assert_eq!(Version::of_java("17.0.9+9-LTS"), Version::parse("17.0.9"));
    }

    #[test]
    fn what_names_no_version_is_refused() {
        for text in ["", "x.y", "1.2.3-", "pypy3.10", "head", "1..2", ">=", "20;rm -rf", "$(x)"] {
            assert!(Asked::parse(Tool::Python, text).is_err(), "{text}");
        }
        assert!(Asked::parse(Tool::Other, &"1".repeat(300)).is_err());
    }

    #[test]
    fn the_highest_is_picked() {
        let there: Vec<_> = ["18.2.0", "20.1.0", "20.10.0", "21.0.0"]
            .map(|text| Version::parse(text).unwrap())
            .into();
        let asked = Asked::parse(Tool::Node, "20.x").unwrap();
        assert_eq!(asked.pick(&there).unwrap().to_string(), "20.10.0");
        assert_eq!(Asked::parse(Tool::Node, "16").unwrap().pick(&there), None);
    }

    proptest! {
        #[test]
        fn an_exact_version_admits_itself_alone(a in 0u64..30, b in 0u64..30, c in 0u64..30, d in 0u64..30) {
            let asked = format!("{a}.{b}.{c}");
            prop_assert!(admits(Tool::Other, &asked, &asked));
            prop_assert_eq!(admits(Tool::Other, &asked, &format!("{a}.{b}.{d}")), c == d);
            let line = format!("{a}.{b}");
            prop_assert!(admits(Tool::Other, &line, &asked));
            let next = format!("{a}.{}.{c}", b + 1);
            prop_assert!(!admits(Tool::Other, &line, &next));
        }

        #[test]
        fn no_text_is_a_surprise(text in "[0-9x.<>=^~|v \\-a-c]{0,20}") {
            let _ = Asked::parse(Tool::Node, &text);
            let _ = Version::parse(&text);
        }
    }
}
