//! What a step writes to `GITHUB_ENV`, `GITHUB_OUTPUT` and `GITHUB_PATH`.
//!
//! Source: GitHub's "Workflow commands for GitHub Actions", environment files. An entry is
//! `NAME=VALUE`, or `NAME<<DELIMITER`, lines, and `DELIMITER` alone on a line.

use std::fmt;

/// How much of a malformed line is shown.
const SHOWN_MAX: usize = 80;

/// A file that is not of that form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// From 1.
    line: usize,
    reason: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// The entries, in order; of two with one name both are given.
pub(crate) fn entries(bytes: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    let text = decode(bytes)?;
    let mut lines = Lines { rest: text, number: 0 };
    let mut entries = Vec::new();
    while let Some(line) = lines.next() {
        if !line.is_empty() {
            entries.push(entry(line, &mut lines)?);
        }
    }
    Ok(entries)
}

/// As [`entries`], each allowed to be set for later steps.
pub(crate) fn variables(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let entries = entries(bytes).map_err(|malformed| malformed.to_string())?;
    match entries.iter().find(|(name, _)| is_reserved(name)) {
        Some((name, _)) => Err(format!(
            "`{name}` may not be set by a step: it would run code in every later one, or say who is \
             running"
        )),
        None => Ok(entries),
    }
}

/// The folders, in the order in which they were written.
pub(crate) fn folders(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let text = decode(bytes)?;
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// What the service refuses, `NODE_OPTIONS`, and beyond it what the loader of every program reads,
/// and our own. `PATH` and `BASH_ENV` may be set there, and so may they here; the service's own
/// variables (`GITHUB_SHA`) are given anew to every step, whatever is written.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with("LD_") || name.starts_with("GRIT_") || name == "NODE_OPTIONS"
}

fn entry(line: &str, lines: &mut Lines<'_>) -> Result<(String, String), Malformed> {
    let number = lines.number;
    let at = |reason: String| Malformed { line: number, reason };
    let equals = line.find('=').unwrap_or(usize::MAX);
    let heredoc = line.find("<<").unwrap_or(usize::MAX);
    if equals == usize::MAX && heredoc == usize::MAX {
        let line = shown(line);
        return Err(at(format!("`{line}` is neither NAME=VALUE nor NAME<<DELIMITER")));
    }
    let name = &line[..equals.min(heredoc)];
    if name.is_empty() {
        return Err(at(format!("`{}` has no name", shown(line))));
    }
    if equals < heredoc {
        return Ok((name.to_owned(), line[equals + 1..].to_owned()));
    }
    let delimiter = &line[heredoc + 2..];
    if delimiter.is_empty() {
        return Err(at(format!("`{}` has no delimiter", shown(line))));
    }
    let value = lines.until(delimiter);
    let value = value.ok_or_else(|| at(format!("no line with `{}` follows", shown(delimiter))));
    Ok((name.to_owned(), value?.to_owned()))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

/// NUL has no place in an environment.
fn decode(bytes: &[u8]) -> Result<&str, Malformed> {
    let line_of = |at: usize| 1 + bytes[..at].iter().filter(|&&b| b == b'\n').count();
    let text = std::str::from_utf8(bytes).map_err(|error| Malformed {
        line: line_of(error.valid_up_to()),
        reason: "not UTF-8".to_owned(),
    })?;
    match bytes.iter().position(|&b| b == 0) {
        Some(at) => Err(Malformed { line: line_of(at), reason: "a NUL byte".to_owned() }),
        None => Ok(text),
    }
}

struct Lines<'t> {
    rest: &'t str,
    /// Of the line given last, from 1.
    number: usize,
}

impl<'t> Lines<'t> {
    /// Without its end, `\n` or `\r\n`.
    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.number += 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// Everything before the line that is `delimiter`, its own line ends kept but the last.
    fn until(&mut self, delimiter: &str) -> Option<&'t str> {
        let (all, mut len) = (self.rest, 0);
        while let Some(line) = self.next() {
            if line == delimiter {
                let value = all[..len].strip_suffix('\n').unwrap_or(&all[..len]);
                return Some(value.strip_suffix('\r').unwrap_or(value));
            }
            len = all.len() - self.rest.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn values_and_heredocs() {
        let text = "A=1\n\nB=x=y<<z\nC<<END\none\n\nEND \nEND\nD<<E\nE\nF=\n";
        let expected =
            pairs(&[("A", "1"), ("B", "x=y<<z"), ("C", "one\n\nEND "), ("D", ""), ("F", "")]);
        assert_eq!(entries(text.as_bytes()).unwrap(), expected);
        let crlf = "A=1\r\nC<<END\r\none\r\ntwo\r\nEND\r\n";
        assert_eq!(entries(crlf.as_bytes()).unwrap(), pairs(&[("A", "1"), ("C", "one\r\ntwo")]));
    }

    #[test]
    fn malformed_names_its_line() {
        let line = |bytes: &[u8]| entries(bytes).unwrap_err().line;
        assert_eq!(line(b"A=1\nnonsense\n"), 2);
        assert_eq!(line(b"A=1\n\n=1\n"), 3);
        assert_eq!(line(b"A<<END\none\n"), 1);
        assert_eq!(line(b"A<<\none\n"), 1);
        assert_eq!(line(b"A=1\nB=\xff\n"), 2);
        assert_eq!(line(b"A=1\nB=\0\n"), 2);
        let error = entries(b"oops\n").unwrap_err().to_string();
        assert_eq!(error, "line 1: `oops` is neither NAME=VALUE nor NAME<<DELIMITER");
    }

    #[test]
    fn reserved_names_are_refused() {
        for name in ["GRIT_TOKEN", "NODE_OPTIONS", "LD_PRELOAD", "LD_LIBRARY_PATH"] {
            let refusal = variables(format!("{name}=x").as_bytes()).unwrap_err();
            assert!(
                refusal.starts_with(&format!("`{name}` may not be set by a step: ")),
                "{refusal}"
            );
        }
        let fine = variables(b"PATH=/x\nBASH_ENV=/y\nGITHUB_X=1\nCI=false").unwrap();
        assert_eq!(fine.len(), 4);
    }

    #[test]
    fn folders_one_a_line() {
        assert_eq!(folders(b"/a b\n\r\n/c\r\n").unwrap(), ["/a b", "/c"]);
        assert_eq!(folders(b"/a\n\xff").unwrap_err().line, 2);
    }

    proptest! {
        #[test]
        fn a_heredoc_gives_back_any_text(value in "[a-z=<\\n ]{0,40}") {
            let text = format!("N<<_END_\n{value}\n_END_\nM=1\n");
            prop_assert_eq!(entries(text.as_bytes()).unwrap(), pairs(&[("N", &value), ("M", "1")]));
        }
    }
}
