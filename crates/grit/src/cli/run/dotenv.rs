//! Files of names and values, as people keep them beside a project.

use std::collections::BTreeMap;

/// What is wrong with a file. Nothing of the line is told: it may hold a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}")]
pub struct Malformed {
    /// From 1.
    line: usize,
    what: &'static str,
}

/// Lines `NAME=VALUE`; empty ones and those that begin with `#` say nothing. A value is taken as it
/// stands, up to the end of its line; but for one that begins with a quote: that one goes on to the
/// closing quote, over several lines if need be, and within `"` a `\n`, `\r`, `\t`, `\"` or `\\` is what it
/// is in most languages.
pub fn read(text: &str) -> Result<BTreeMap<String, String>, Malformed> {
    let mut lines = Lines { lines: text.lines(), number: 0 };
    let mut settings = BTreeMap::new();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let malformed = Malformed { line: lines.number, what: "is not NAME=VALUE" };
        let (name, value) = line.split_once('=').ok_or(malformed)?;
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let begun = value.trim_start();
        let value = match begun.strip_prefix(['"', '\'']) {
            Some(rest) => lines.quoted(begun.starts_with('"'), rest)?,
            None => value.to_owned(),
        };
        settings.insert(name.to_owned(), value);
    }
    Ok(settings)
}

struct Lines<'t> {
    lines: std::str::Lines<'t>,
    /// Of the line given last, from 1.
    number: usize,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> Option<&'t str> {
        self.number += 1;
        self.lines.next()
    }

    /// What stands from `line` on up to the closing quote.
    fn quoted(&mut self, double: bool, mut line: &'t str) -> Result<String, Malformed> {
        let opened = self.number;
        let mut value = String::new();
        loop {
            if let Some(rest) = closed(line, double, &mut value) {
                let rest = rest.trim();
                let fine = rest.is_empty() || rest.starts_with('#');
                let what = "goes on after its closing quote";
                return if fine { Ok(value) } else { Err(Malformed { line: self.number, what }) };
            }
            value.push('\n');
            let what = "opens a quote that nothing closes";
            line = self.next().ok_or(Malformed { line: opened, what })?;
        }
    }
}

/// What follows the closing quote, if it is in this line; what stands before it goes to `value`.
fn closed<'t>(line: &'t str, double: bool, value: &mut String) -> Option<&'t str> {
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if double => return Some(chars.as_str()),
            '\'' if !double => return Some(chars.as_str()),
            '\\' if double => match chars.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\')) => value.push(c),
                other => value.extend(['\\'].into_iter().chain(other)),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_as_they_are_or_in_quotes() {
        let text = "# two\n\nA=1 # 2\nB = x=\"y\" \nexport C=\"a\\n\\\"b\\\"\\\\\\d\"  # said\n\
                    KEY='-----BEGIN-----\n\\n\n-----END-----\n'\r\nD=\"one\ntwo\"\nE=\nF={\"k\":1}";
        let expected = [
            ("A", "1 # 2"),
            ("B", " x=\"y\" "),
            ("C", "a\n\"b\"\\\\d"),
            ("KEY", "-----BEGIN-----\n\\n\n-----END-----\n"),
            ("D", "one\ntwo"),
            ("E", ""),
            ("F", "{\"k\":1}"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read(text), Ok(expected.into()));
    }

    #[test]
    fn what_is_wrong_names_its_line_and_no_value() {
        let told = |text| read(text).unwrap_err().to_string();
        assert_eq!(told("A=1\nhunter2"), "line 2 is not NAME=VALUE");
        assert_eq!(told("A=1\nB=\"x\ny"), "line 2 opens a quote that nothing closes");
        assert_eq!(told("A='x\ny' z"), "line 2 goes on after its closing quote");
    }
}
