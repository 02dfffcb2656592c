//! Test reports in the XML of JUnit, as most test runners write it.
//!
//! Entities are the five of XML and characters by number; a document with a type of its own is
//! refused, so that nothing in it is ever expanded.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use grit_issues::Draft;
use grit_issues::report::{Condition, Report, clipped};
use grit_types::Digest;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

const TESTS_MAX: usize = 200_000;
const DEPTH_MAX: usize = 64;
/// Longest end of a failure's text, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 1 << 10;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Test {
    pub suite: String,
    pub class: String,
    pub name: String,
    /// `None`: it was skipped.
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed(String),
}

/// What was tested.
pub struct Build {
    pub commit: Option<String>,
    pub branch: Option<String>,
    pub url: Option<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} column {column}: {problem}")]
pub struct JunitError {
    pub line: usize,
    pub column: usize,
    problem: String,
}

pub fn read(text: &str) -> Result<Vec<Test>, JunitError> {
    let mut reader = Reader::from_str(text);
    let mut state = State::default();
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let refused = |problem: String| refused(text, at, problem);
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
            self::refused(text, at, error.to_string())
        })?;
        match event {
            Event::Start(tag) => state.open(&tag, false).map_err(refused)?,
            Event::Empty(tag) => state.open(&tag, true).map_err(refused)?,
            Event::End(_) => state.close(),
            Event::Text(words) => state.say(&words.xml10_content()),
            Event::CData(words) => state.say(&words.xml10_content()),
            Event::GeneralRef(name) => {
                let known = resolve_predefined_entity(&name).map(str::to_owned);
                let by_number = || name.resolve_char_ref().ok().flatten().map(String::from);
                let word = known.or_else(by_number).ok_or_else(|| {
                    refused(format!("the entity `&{};` is not known", clipped(&name, 40)))
                })?;
                state.say(&word);
            }
            Event::DocType(_) => {
                return Err(refused("a document type is not read, nor what it declares".into()));
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof if state.depth() > 0 => {
                return Err(refused(format!("`<{}>` is never closed", state.innermost())));
            }
            Event::Eof if !state.is_report => {
                return Err(refused("there is no `<testsuite>` in it".into()));
            }
            Event::Eof => return Ok(state.tests),
        }
    }
}

fn refused(text: &str, at: usize, problem: String) -> JunitError {
    let (line, column) = place(text, at);
    JunitError { line, column, problem }
}

/// Line and column of a byte, both from 1 on.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// How far a document was read.
#[derive(Default)]
struct State {
    tests: Vec<Test>,
    /// The elements around, outermost first.
    inside: Vec<String>,
    suites: Vec<String>,
    test: Option<Test>,
    /// The text of a failure, while one is read.
    failure: Option<String>,
    is_report: bool,
}

impl State {
    fn depth(&self) -> usize {
        self.inside.len()
    }

    fn innermost(&self) -> &str {
        self.inside.last().map_or("", String::as_str)
    }

    fn open(&mut self, tag: &BytesStart<'_>, is_empty: bool) -> Result<(), String> {
        if self.depth() >= DEPTH_MAX {
            return Err(format!("elements are nested more than {DEPTH_MAX} deep"));
        }
        let name = tag.local_name().as_ref().to_owned();
        match name.as_str() {
            "testsuite" => {
                self.is_report = true;
                self.suites.push(attribute(tag, "name")?.unwrap_or_default());
            }
            "testsuites" => self.is_report = true,
            "testcase" => self.begin(tag)?,
            "skipped" => {
                if let Some(test) = &mut self.test {
                    test.outcome = None;
                }
            }
            "failure" | "error" if self.innermost() == "testcase" => {
                let kind = attribute(tag, "type")?;
                let message = attribute(tag, "message")?;
                let words: Vec<String> = [kind, message].into_iter().flatten().collect();
                self.failure = Some(words.join(": "));
            }
            _ => {}
        }
        self.inside.push(name);
        if is_empty {
            self.close();
        }
        Ok(())
    }

    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        if self.tests.len() >= TESTS_MAX {
            return Err(format!("more than {TESTS_MAX} tests are not read"));
        }
        let name = attribute(tag, "name")?.ok_or("a test has no name")?;
        self.test = Some(Test {
            suite: self.suites.last().cloned().unwrap_or_default(),
            class: attribute(tag, "classname")?.unwrap_or_default(),
            name,
            outcome: Some(Outcome::Passed),
        });
        Ok(())
    }

    fn close(&mut self) {
        match self.inside.pop().as_deref() {
            Some("testsuite") => {
                self.suites.pop();
            }
            Some("testcase") => self.tests.extend(self.test.take()),
            Some("failure" | "error") => {
                if let (Some(test), Some(text)) = (&mut self.test, self.failure.take()) {
                    // Of several, the first says why.
                    if !matches!(test.outcome, Some(Outcome::Failed(_))) {
                        test.outcome = Some(Outcome::Failed(text));
                    }
                }
            }
            _ => {}
        }
    }

    /// Nothing is kept but what failures say.
    fn say(&mut self, words: &str) {
        let Some(text) = &mut self.failure else { return };
        if !text.is_empty() && !text.contains('\n') && !words.trim().is_empty() {
            text.push('\n');
        }
        let room = TEXT_BYTES_MAX.saturating_sub(text.len());
        text.push_str(&clipped(words, room));
    }
}

fn attribute(tag: &BytesStart<'_>, wanted: &str) -> Result<Option<String>, String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_ref() == wanted {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| error.to_string())?;
            return Ok(Some(clipped(&value, NAME_BYTES_MAX)));
        }
    }
    Ok(None)
}

/// One of each test that was not skipped. The document itself is the occurrence: taken in once
/// more, by a retry, it says nothing new.
pub fn reports(
    tests: &[Test],
    build: &Build,
    text: &str,
    labels: &BTreeSet<String>,
) -> Vec<Report> {
    let document = Digest::of(text.as_bytes()).short();
    let told = |test: &Test| {
        let outcome = test.outcome.as_ref()?;
        let at = build.at();
        let (condition, note) = match outcome {
            Outcome::Passed => (Condition::Right, format!("It passes{at}.")),
            Outcome::Failed(text) => {
                (Condition::Wrong, format!("It fails{at}.\n\n{}", fenced(text)))
            }
        };
        Some(Report {
            fingerprint: test.fingerprint(),
            occurrence: Some(format!("test report {document}")),
            condition,
            draft: Draft {
                title: format!("Test failure: {}", test.full_name()),
                body: test.body(build),
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

impl Test {
    fn fingerprint(&self) -> String {
        let parts = [&self.suite, &self.class, &self.name];
        // Lengths, so that no two tests make the same text.
        let text: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
        format!("test/{}", Digest::of(text.as_bytes()))
    }

    fn full_name(&self) -> String {
        match self.class.as_str() {
            "" => self.name.clone(),
            class => format!("{class}::{}", self.name),
        }
    }

    fn body(&self, build: &Build) -> String {
        let mut text = "## Test\n".to_owned();
        let facts = [
            ("Suite", Some(&self.suite).filter(|suite| !suite.is_empty())),
            ("Class", Some(&self.class).filter(|class| !class.is_empty())),
            ("Name", Some(&self.name)),
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
        if let Some(Outcome::Failed(failure)) = &self.outcome {
            let _ = write!(text, "\n## Failure\n{}\n", fenced(failure));
        }
        text
    }
}

fn fenced(text: &str) -> String {
    let fence = grit_issues::report::fence(text);
    format!("{fence}\n{}\n{fence}", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<?xml version="1.0"?>
<testsuites><testsuite name="auth">
  <testcase classname="login" name="test_login_success"><failure message="not 200" type="E">at &lt;x&gt;
<![CDATA[line & 2]]></failure></testcase>
  <testcase classname="login" name="passes"/>
  <testcase name="skipped"><skipped/></testcase>
  <testcase name="broken"><error/></testcase>
</testsuite></testsuites>"#;

    #[test]
    fn tests_are_read() {
        let tests = read(REPORT).unwrap();
        let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["test_login_success", "passes", "skipped", "broken"]);
        let failed = "E: not 200\nat <x>\nline & 2".to_owned();
        assert_eq!(tests[0].outcome, Some(Outcome::Failed(failed)));
        assert_eq!((tests[0].suite.as_str(), tests[0].class.as_str()), ("auth", "login"));
        assert_eq!(tests[1].outcome, Some(Outcome::Passed));
        assert_eq!(tests[2].outcome, None);
        assert_eq!(tests[3].outcome, Some(Outcome::Failed(String::new())));
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_place() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]>\n<testsuite/>";
        let unknown =
            "<testsuite>\n<testcase name='a'><failure>&a;</failure></testcase></testsuite>";
        let in_name = "<testsuite>\n <testcase name='&a;'/></testsuite>";
        let deep = format!("<testsuite>{}", "<a>".repeat(100));
        for (text, place, word) in [
            ("<html></html>", (1, 14), "testsuite"),
            ("", (1, 1), "testsuite"),
            ("<testsuite>\n <testcase name='a'", (2, 1), ""),
            ("<testsuite>\n</testcase>", (2, 1), "testsuite"),
            ("<testsuite>\n", (2, 1), "never closed"),
            ("<testsuite>\n <testcase/></testsuite>", (2, 2), "no name"),
            (bomb, (1, 1), "document type"),
            (unknown, (2, 29), "&a;"),
            (in_name, (2, 2), "a"),
            (&deep, (1, 201), "nested"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert_eq!(error.line, place.0, "{text}: {error}");
        }
    }

    #[test]
    fn names_that_are_cut_elsewhere_are_other_tests() {
        let test = |suite: &str, class: &str| {
            Test { suite: suite.into(), class: class.into(), ..Test::default() }.fingerprint()
        };
        assert_ne!(test("a", "b"), test("ab", ""));
        assert_ne!(test("", "ab"), test("ab", ""));
    }
}
