use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use super::{Case, Outcome, attempts_as_one};
use crate::xml::{self, attribute, clipped};

pub use crate::xml::ReadError;

const TESTS_MAX: usize = 200_000;
const DEPTH_MAX: usize = 64;
/// Longest part of a failure's text that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Reads a report.
///
/// # Errors
/// It is no report, with line and column.
pub fn read(text: &str) -> Result<Vec<Case>, ReadError> {
    let mut reader = Reader::from_str(text);
    let mut state = State::default();
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let refused = |problem: String| ReadError::at(text, at, problem);
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
            ReadError::at(text, at, error.to_string())
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
            Event::DocType(words) => {
                xml::refuse_declarations(&words.xml10_content()).map_err(refused)?
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof if !state.inside.is_empty() => {
                let name = state.inside.last().map_or("", String::as_str);
                return Err(refused(format!("`<{name}>` is never closed")));
            }
            Event::Eof if !state.is_report => {
                return Err(refused("there is no `<testsuite>` in it".into()));
            }
            Event::Eof => return Ok(attempts_as_one(state.cases)),
        }
    }
}

/// How far a document was read.
#[derive(Default)]
struct State {
    cases: Vec<Case>,
    /// The elements around, outermost first.
    inside: Vec<String>,
    suites: Vec<String>,
    case: Option<Case>,
    /// The text of a failure, while one is read.
    failure: Option<String>,
    is_report: bool,
}

impl State {
    fn open(&mut self, tag: &BytesStart<'_>, is_empty: bool) -> Result<(), String> {
        if self.inside.len() >= DEPTH_MAX {
            return Err(format!("elements are nested more than {DEPTH_MAX} deep"));
        }
        let name = tag.local_name().as_ref().to_owned();
        let within = self.inside.last().map_or("", String::as_str);
        match (name.as_str(), within) {
            ("testsuite", _) => {
                self.is_report = true;
                self.suites.push(attribute(tag, "name")?.unwrap_or_default());
            }
            ("testsuites", _) => self.is_report = true,
            ("testcase", _) => self.begin(tag)?,
            ("skipped" | "disabled", "testcase") => self.end_as(Outcome::Skipped),
            ("failure" | "error", "testcase") => self.fail(tag)?,
            // What breaks a suite before its tests is a failure of its own.
            ("failure" | "error", "testsuite") => {
                self.case = Some(self.new_case("(suite)".to_owned()));
                self.fail(tag)?;
            }
            ("flakyFailure" | "flakyError", "testcase") => self.failed_once(),
            // The first attempt is told by a failure of its own.
            ("rerunFailure" | "rerunError", "testcase") => self.failed_once(),
            _ => {}
        }
        self.inside.push(name);
        if is_empty {
            self.close();
        }
        Ok(())
    }

    fn new_case(&self, name: String) -> Case {
        Case {
            suite: self.suites.last().cloned().unwrap_or_default(),
            class: String::new(),
            name,
            file: None,
            line: None,
            outcome: Outcome::Passed,
            millis: 0,
            failed_before: 0,
        }
    }

    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        if self.cases.len() >= TESTS_MAX {
            return Err(format!("more than {TESTS_MAX} tests are not read"));
        }
        let name = attribute(tag, "name")?.ok_or("a test has no name")?;
        let mut case = self.new_case(name);
        case.class = attribute(tag, "classname")?.unwrap_or_default();
        case.file = attribute(tag, "file")?;
        case.line = attribute(tag, "line")?.and_then(|line| line.parse().ok());
        case.millis = millis(&attribute(tag, "time")?.unwrap_or_default());
        // GoogleTest has no element for these.
        let marks = [attribute(tag, "status")?, attribute(tag, "result")?];
        let is_left_out = |mark: &String| {
            matches!(&*mark.to_ascii_lowercase(), "notrun" | "skipped" | "suppressed" | "disabled")
        };
        if marks.iter().flatten().any(is_left_out) {
            case.outcome = Outcome::Skipped;
        }
        self.case = Some(case);
        Ok(())
    }

    fn end_as(&mut self, outcome: Outcome) {
        if let Some(case) = &mut self.case {
            case.outcome = outcome;
        }
    }

    fn fail(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        let words = [attribute(tag, "type")?, attribute(tag, "message")?];
        let words: Vec<String> = words.into_iter().flatten().filter(|it| !it.is_empty()).collect();
        self.failure = Some(words.join(": "));
        Ok(())
    }

    fn failed_once(&mut self) {
        if let Some(case) = &mut self.case {
            case.failed_before = case.failed_before.saturating_add(1);
        }
    }

    fn close(&mut self) {
        let closed = self.inside.pop().unwrap_or_default();
        match closed.as_str() {
            "testsuite" => {
                self.suites.pop();
            }
            "testcase" => self.cases.extend(self.case.take()),
            "failure" | "error" => {
                let Some(text) = self.failure.take() else { return };
                let within_suite = self.inside.last().is_some_and(|above| above == "testsuite");
                if let Some(case) = &mut self.case
                    // Of several, the first says why.
                    && case.failure().is_none()
                {
                    case.outcome = Outcome::Failed(text);
                }
                if within_suite {
                    self.cases.extend(self.case.take());
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

/// Seconds as runners write them: `1.5`, and `1,234.5` where some have a thousand of them.
fn millis(text: &str) -> u64 {
    let seconds: f64 = text.replace(',', "").parse().unwrap_or(0.0);
    if seconds.is_finite() && seconds > 0.0 {
        (seconds * 1000.0).round().min(1e15) as u64
    } else {
        0
    }
}
