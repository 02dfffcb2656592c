//! Machines that tell of something again and again: one issue for as long as it lasts.

mod alert;
mod build;

pub use alert::{Alerts, AlertsError, read as alerts};
pub use build::{Build, FailedStep, Per, fence};

use grit_types::IssueId;

use crate::command::{Command, Refusal, create, decide};
use crate::depend::Dependencies;
use crate::event::{Draft, Event};
use crate::input::{NAME_BYTES_MAX, TEXT_BYTES_MAX, TITLE_BYTES_MAX};
use crate::issue::{Issue, State};
use crate::record::Record;
use crate::{Creation, LABELS_MAX};

/// So often an issue says that it happened again; after that it is known.
pub const AGAIN_MAX: usize = 20;

/// What such a comment begins with.
const AGAIN: &str = "Again (";

/// What a comment begins with that says that it is right again, where that closes nothing.
const OVER: &str = "Over: ";

/// What a machine tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is recognised by.
    pub fingerprint: String,
    /// Which time it is: told once more, by a retry or a hook that repeats itself, nothing changes.
    /// It is a part of what is said, where people see it, too.
    /// None: its event is the same whenever it is written, which is as good.
    pub occurrence: Option<String>,
    pub condition: Condition,
    /// The issue, where there is none.
    pub draft: Draft,
    /// What is said where there is one.
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    Wrong,
    /// No longer.
    Right,
    /// It goes on: something to say about an issue that is there.
    Underway,
}

/// What may become of an issue without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What comes back opens its issue again; else a new one is opened.
    pub reopen: bool,
    /// What is right again closes its issue; else that is only said.
    pub close: bool,
}

/// What a report comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// To be appended, in this order.
    pub events: Vec<Event>,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    Opened,
    Reopened,
    Commented,
    Closed,
    /// It was told before, or concerns nobody.
    #[default]
    Unchanged,
}

impl Fate {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Commented => "commented",
            Self::Closed => "closed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Decides on a report; `known` is the issue with its fingerprint, an open one before a closed one
/// and then the latest, as [`crate::Issues::by_fingerprint`] has it.
///
/// # Errors
/// A text of the report is longer than an issue may have it, and shortening it did not help.
pub fn report(
    report: &Report,
    policy: Policy,
    known: Option<&Record>,
) -> Result<Reported, Refusal> {
    let shown = known.and_then(|record| Some((record, record.issue()?)));
    let Some((record, issue)) = shown else {
        return match report.condition {
            Condition::Wrong => opened(report),
            Condition::Right | Condition::Underway => Ok(Reported::default()),
        };
    };
    if was_told(report, &issue) {
        return Ok(Reported::default());
    }
    let (commands, fate) = match (report.condition, issue.state) {
        (Condition::Wrong, State::Closed) if !policy.reopen => return opened(report),
        (Condition::Wrong, State::Closed) => {
            (vec![Command::Reopen, Command::Comment(said(report))], Fate::Reopened)
        }
        (Condition::Wrong, State::Open) => match again(report, &issue) {
            Some(text) => (vec![Command::Comment(text)], Fate::Commented),
            None => return Ok(Reported::default()),
        },
        (Condition::Underway, State::Open) => {
            (vec![Command::Comment(said(report))], Fate::Commented)
        }
        (Condition::Right, State::Open) if policy.close => {
            (vec![Command::Close { reason: said(report) }], Fate::Closed)
        }
        // Everything that goes well would say so otherwise, every time.
        (Condition::Right, State::Open) if is_said_to_be_over(&issue) => {
            return Ok(Reported::default());
        }
        (Condition::Right, State::Open) => {
            (vec![Command::Comment(format!("{OVER}{}", said(report)))], Fate::Commented)
        }
        (Condition::Right | Condition::Underway, State::Closed) => return Ok(Reported::default()),
    };
    let events = decide(record, &commands, &Dependencies::default())?.events;
    Ok(Reported { events, fate })
}

/// The issue that a report is about after it, where its events got these ids.
pub fn subject(known: Option<&IssueId>, events: &[Event], ids: &[IssueId]) -> Option<IssueId> {
    let created = events.iter().zip(ids).find(|(event, _)| matches!(event, Event::Created(_)));
    created.map(|(_, id)| id.clone()).or_else(|| known.cloned())
}

fn opened(report: &Report) -> Result<Reported, Refusal> {
    let mut draft = report.draft.clone();
    draft.fingerprint = Some(report.fingerprint.clone());
    draft.title = clipped(&draft.title, TITLE_BYTES_MAX);
    draft.body = marked(&draft.body, report.occurrence.as_deref());
    draft.labels.retain(|label| crate::input::label(label).is_ok());
    while draft.labels.len() > LABELS_MAX {
        draft.labels.pop_last();
    }
    // Without a key it is always a new one.
    match create(draft, None)? {
        Creation::New(event) => Ok(Reported { events: vec![event], fate: Fate::Opened }),
        Creation::Existing(_) => Ok(Reported::default()),
    }
}

fn was_told(report: &Report, issue: &Issue) -> bool {
    let Some(occurrence) = &report.occurrence else { return false };
    let mark = mark(occurrence);
    let closing = issue.closed.as_ref().map(|closed| closed.reason.as_str());
    let comments = issue.comments.iter().map(|comment| comment.body.as_str());
    let mut texts = [issue.body.as_str()].into_iter().chain(closing).chain(comments);
    texts.any(|text| text.contains(&mark))
}

fn is_said_to_be_over(issue: &Issue) -> bool {
    issue.comments.last().is_some_and(|comment| comment.body.starts_with(OVER))
}

fn said(report: &Report) -> String {
    marked(&report.note, report.occurrence.as_deref())
}

/// Nothing once it was said often enough.
fn again(report: &Report, issue: &Issue) -> Option<String> {
    let before = issue.comments.iter().filter(|comment| comment.body.starts_with(AGAIN)).count();
    let last = match before + 1 {
        AGAIN_MAX => "\n\nNothing more is said here as long as it goes on.",
        number if number > AGAIN_MAX => return None,
        _ => "",
    };
    let text = format!("{AGAIN}{}): {}{last}", before + 2, report.note);
    Some(marked(&text, report.occurrence.as_deref()))
}

/// Ends with the mark, so that none is the beginning of another.
fn mark(occurrence: &str) -> String {
    let line: String = occurrence.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("({})", clipped(&line, NAME_BYTES_MAX))
}

fn marked(text: &str, occurrence: Option<&str>) -> String {
    let Some(occurrence) = occurrence else { return clipped(text.trim_end(), TEXT_BYTES_MAX) };
    let mark = mark(occurrence);
    let text = clipped(text.trim_end(), TEXT_BYTES_MAX - mark.len() - 2);
    format!("{text}\n\n{mark}")
}

/// At most so many bytes, cut between characters.
pub fn clipped(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

#[cfg(test)]
mod tests;
