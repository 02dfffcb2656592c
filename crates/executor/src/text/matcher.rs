//! Problem matchers: patterns by which lines of a step's output become annotations.
//!
//! Source: actions/toolkit, "Problem Matchers", and the rules of the service's runner: patterns are
//! tried from the last to the first, each but the first only where the one before it has matched; a
//! last pattern with `loop` may match again and again below the same beginning. Patterns are of the
//! `regex` crate: no look-around and no back references.

use std::sync::Arc;

use grit_pipeline::{Annotation, AnnotationLevel};
use regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

/// A file of matchers is never longer than this.
pub(crate) const FILE_MAX_BYTES: u64 = 256 << 10;
/// So many matchers are in use at once in a job.
pub(crate) const MATCHERS_MAX: usize = 50;
/// A matcher has at most so many patterns.
const PATTERNS_MAX: usize = 10;
/// A compiled pattern takes no more memory than this.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// A longer line is not looked at.
const LINE_MAX: usize = 16 << 10;

/// The patterns of one owner.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub owner: String,
    level: Option<AnnotationLevel>,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    groups: Groups,
    looped: bool,
}

/// Which group of a pattern gives what.
#[derive(Clone, Copy, Debug)]
struct Groups {
    file: Option<usize>,
    from_path: Option<usize>,
    line: Option<usize>,
    column: Option<usize>,
    severity: Option<usize>,
    code: Option<usize>,
    message: Option<usize>,
}

#[derive(Deserialize)]
struct FileOf {
    #[serde(rename = "problemMatcher")]
    matchers: Vec<MatcherOf>,
}

#[derive(Deserialize)]
struct MatcherOf {
    owner: String,
    #[serde(default)]
    severity: Option<String>,
    pattern: Vec<PatternOf>,
}

#[derive(Deserialize)]
struct PatternOf {
    regexp: String,
    #[serde(rename = "loop", default)]
    looped: bool,
    #[serde(default)]
    file: Option<usize>,
    #[serde(rename = "fromPath", default)]
    from_path: Option<usize>,
    #[serde(default)]
    line: Option<usize>,
    #[serde(default)]
    column: Option<usize>,
    #[serde(default)]
    severity: Option<usize>,
    #[serde(default)]
    code: Option<usize>,
    #[serde(default)]
    message: Option<usize>,
}

/// The matchers of a file; the error is for people.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Arc<Matcher>>, String> {
    let file: FileOf = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    file.matchers.into_iter().map(|matcher| matcher.compiled().map(Arc::new)).collect()
}

impl MatcherOf {
    fn compiled(self) -> Result<Matcher, String> {
        let of = |why: String| format!("`{}`: {why}", self.owner);
        let count = self.pattern.len();
        if self.owner.is_empty() || count == 0 || count > PATTERNS_MAX {
            let why = format!("a matcher has an owner and up to {PATTERNS_MAX} patterns");
            return Err(of(why));
        }
        let level = match self.severity.as_deref() {
            None | Some("") => None,
            Some(word) => Some(
                AnnotationLevel::named(word).ok_or_else(|| of(format!("no severity `{word}`")))?,
            ),
        };
        if self.pattern.iter().all(|pattern| pattern.message.is_none()) {
            return Err(of("no pattern gives the message".to_owned()));
        }
        let looped =
            |(at, pattern): (usize, &PatternOf)| pattern.looped && (at + 1 != count || count == 1);
        if self.pattern.iter().enumerate().any(looped) {
            return Err(of("only the last of several patterns may loop".to_owned()));
        }
        let patterns: Result<Vec<Pattern>, String> =
            self.pattern.iter().map(PatternOf::compiled).collect();
        let patterns = patterns.map_err(of)?;
        Ok(Matcher { owner: self.owner, level, patterns })
    }
}

impl PatternOf {
    fn compiled(&self) -> Result<Pattern, String> {
        let regex = RegexBuilder::new(&self.regexp).size_limit(REGEX_BYTES_MAX).build();
        let groups = Groups {
            file: self.file,
            from_path: self.from_path,
            line: self.line,
            column: self.column,
            severity: self.severity,
            code: self.code,
            message: self.message,
        };
        // The library's message shows the pattern, with the place that it stumbles at.
        let regex = regex.map_err(|error| error.to_string())?;
        Ok(Pattern { regex, groups, looped: self.looped })
    }
}

/// What a matcher made of a line, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    file: Option<String>,
    /// The file is named from where this one lies.
    pub from_path: Option<String>,
    line: Option<String>,
    column: Option<String>,
    severity: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl Found {
    /// What was found before wins.
    fn and(mut self, captures: &Captures<'_>, groups: Groups) -> Self {
        let text = |group: Option<usize>| {
            let text = captures.get(group?)?.as_str();
            (!text.is_empty()).then(|| text.to_owned())
        };
        for (own, group) in [
            (&mut self.file, groups.file),
            (&mut self.from_path, groups.from_path),
            (&mut self.line, groups.line),
            (&mut self.column, groups.column),
            (&mut self.severity, groups.severity),
            (&mut self.code, groups.code),
            (&mut self.message, groups.message),
        ] {
            if own.is_none() {
                *own = text(group);
            }
        }
        self
    }

    /// Nothing without a message, or with a severity that is none.
    fn annotation(self, default: Option<AnnotationLevel>) -> Option<(Annotation, Option<String>)> {
        let level = match self.severity.as_deref() {
            None => default.unwrap_or(AnnotationLevel::Error),
            Some(word) => AnnotationLevel::named(word)?,
        };
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse().ok());
        let mut annotation = Annotation::new(level, self.message?);
        annotation.file = self.file;
        annotation.line = number(self.line);
        annotation.column = number(self.column);
        annotation.code = self.code;
        Some((annotation, self.from_path))
    }
}

/// Matches lines that come in parts of any size.
#[derive(Default)]
pub(crate) struct Matching {
    matchers: Vec<Arc<Matcher>>,
    /// Of each matcher, what all but its last pattern found last.
    found: Vec<Vec<Option<Found>>>,
    line: Vec<u8>,
    is_too_long: bool,
}

impl Matching {
    /// From now on these; what others were in the middle of is forgotten.
    pub fn set(&mut self, matchers: Vec<Arc<Matcher>>) {
        let none = |matcher: &Arc<Matcher>| vec![None; matcher.patterns.len().saturating_sub(1)];
        self.found = matchers.iter().map(none).collect();
        self.matchers = matchers;
    }

    /// What the lines that end in `bytes` came to, with where their files are named from.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<(Annotation, Option<String>)> {
        let mut annotations = Vec::new();
        if self.matchers.is_empty() {
            return annotations;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.is_too_long |= self.line.len() + part.len() > LINE_MAX;
            if !self.is_too_long {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                annotations.extend(self.line_ends());
            }
        }
        annotations
    }

    /// The last line, which may have no end.
    pub fn finish(&mut self) -> Option<(Annotation, Option<String>)> {
        if self.line.is_empty() { None } else { self.line_ends() }
    }

    fn line_ends(&mut self) -> Option<(Annotation, Option<String>)> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_too_long) || line.starts_with(b"##[") {
            return None;
        }
        let text = plain(&String::from_utf8_lossy(&line));
        let text = text.trim_end_matches(['\n', '\r']);
        for at in 0..self.matchers.len() {
            let matcher = self.matchers[at].clone();
            if let Some(found) = matched(&matcher, &mut self.found[at], text) {
                self.forget_others(at);
                if let Some(annotation) = found.annotation(matcher.level) {
                    return Some(annotation);
                }
            }
        }
        None
    }

    fn forget_others(&mut self, at: usize) {
        let others = self.found.iter_mut().enumerate().filter(|(other, _)| *other != at);
        others.for_each(|(_, found)| found.fill(None));
    }
}

/// From the last pattern to the first; `before` holds what those before the last have found.
fn matched(matcher: &Matcher, before: &mut [Option<Found>], line: &str) -> Option<Found> {
    let last = matcher.patterns.len() - 1;
    for at in (0..=last).rev() {
        let above = match at.checked_sub(1) {
            None => Found::default(),
            Some(above) => match before[above].clone() {
                Some(found) => found,
                None => continue,
            },
        };
        let pattern = &matcher.patterns[at];
        let Some(captures) = pattern.regex.captures(line) else {
            // A line that does not go on breaks what was begun.
            let begun = if at == last { at.checked_sub(1) } else { Some(at) };
            if let Some(begun) = begun {
                before[begun] = None;
            }
            continue;
        };
        let found = above.clone().and(&captures, pattern.groups);
        if at < last {
            before[at] = Some(found);
            continue;
        }
        before.fill(None);
        if pattern.looped {
            before[at - 1] = Some(above);
        }
        return Some(found);
    }
    None
}

/// Without the escape sequences that colour it.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        text.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find(|c: char| !(c.is_ascii_digit() || c == ';'));
        let Some(end) = end.filter(|end| after[*end..].starts_with(['m', 'K'])) else {
            text.push_str(&rest[at..at + 2]);
            rest = after;
            continue;
        };
        rest = &after[end + 1..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESLINT: &str = r#"{"problemMatcher": [{"owner": "eslint-stylish", "pattern": [
        {"regexp": "^([^\\s].*)$", "file": 1},
        {"regexp": "^\\s+(\\d+):(\\d+)\\s+(error|warning|info)\\s+(.*)\\s\\s+(.*)$",
         "line": 1, "column": 2, "severity": 3, "message": 4, "code": 5, "loop": true}]}]}"#;

    fn of(matchers: &str, text: &str) -> Vec<Annotation> {
        let mut matching = Matching::default();
        matching.set(read(matchers.as_bytes()).unwrap());
        let mut found = Vec::new();
        for chunk in text.as_bytes().chunks(7) {
            found.extend(matching.push(chunk));
        }
        found.extend(matching.finish());
        found.into_iter().map(|(annotation, _)| annotation).collect()
    }

    #[test]
    fn one_pattern() {
        let gcc = r#"{"problemMatcher": [{"owner": "gcc", "severity": "warning", "pattern": [
            {"regexp": "^(.+):(\\d+):(\\d+): (?:(error|warning): )?(.*)$",
             "file": 1, "line": 2, "column": 3, "severity": 4, "message": 5}]}]}"#;
        let found = of(gcc, "a.c:3:7: \u{1b}[31merror\u{1b}[0m: no x\nplain\nb.c:1:2: odd");
        let places: Vec<String> = found.iter().map(Annotation::place).collect();
        assert_eq!(places, ["a.c:3:7", "b.c:1:2"]);
        assert_eq!(found[0].level, AnnotationLevel::Error);
        assert_eq!(found[1].level, AnnotationLevel::Warning);
        assert_eq!(found[1].message, "odd");
    }

    #[test]
    fn a_loop_goes_on_below_one_beginning_until_a_line_breaks_it() {
        let text = "test.js\n  1:0   error  Missing \"use strict\"  strict\n  5:10  warning  'addOne' unused  no-unused\n\n  9:9  error  lost  rule\nother.js\n  2:1  error  there  rule\n";
        let found = of(ESLINT, text);
        let places: Vec<String> = found.iter().map(Annotation::place).collect();
        assert_eq!(places, ["test.js:1:0", "test.js:5:10", "other.js:2:1"]);
        assert_eq!(found[1].level, AnnotationLevel::Warning);
        assert_eq!(found[0].code.as_deref(), Some("strict"));
    }

    #[test]
    fn what_is_no_matcher_is_named() {
        let error = |text: &str| read(text.as_bytes()).unwrap_err();
        assert!(error("{}").contains("problemMatcher"));
        let one = |pattern: &str| {
            error(&format!(r#"{{"problemMatcher":[{{"owner":"o","pattern":[{pattern}]}}]}}"#))
        };
        assert!(one(r#"{"regexp": "a(?=b)", "message": 1}"#).contains("look-around"));
        assert!(one(r#"{"regexp": "a"}"#).contains("message"));
        assert!(one(r#"{"regexp": "(a)", "message": 1, "loop": true}"#).contains("loop"));
        assert!(one("").contains("patterns"));
    }

    #[test]
    fn an_endless_line_is_passed_over() {
        let any = r#"{"problemMatcher": [{"owner": "o", "pattern": [{"regexp": "^(.*)$", "message": 1}]}]}"#;
        let found = of(any, &format!("{}\nshort\n", "x".repeat(LINE_MAX + 1)));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "short");
    }
}
