use std::str::FromStr;

use grit_types::{Digest, IssueId, Timestamp};
use serde::{Deserialize, Serialize};

/// How soon something must be looked at. The text form is the lower-case name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    Low,
    Medium,
    High,
    Critical,
}

/// Text that is no value of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct ValueError {
    pub text: String,
    pub wanted: &'static str,
}

impl Priority {
    /// All of them, the least pressing first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for Priority {
    type Err = ValueError;

    /// The name in any case, or `p0` (critical) to `p3` (low).
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wanted = "a priority: `low`, `medium`, `high` or `critical`";
        match text.to_ascii_lowercase().as_str() {
            "low" | "p3" => Ok(Self::Low),
            "medium" | "p2" => Ok(Self::Medium),
            "high" | "p1" => Ok(Self::High),
            "critical" | "urgent" | "p0" => Ok(Self::Critical),
            _ => Err(ValueError { text: text.to_owned(), wanted }),
        }
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A day of the calendar, in UTC: `2026-12-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(Timestamp);

const DAY_MILLIS: i64 = 86_400_000;

impl Date {
    /// The day that `time` falls on; `None` outside the years 0 to 9999.
    pub fn of(time: Timestamp) -> Option<Self> {
        let start = time.millis().div_euclid(DAY_MILLIS).checked_mul(DAY_MILLIS)?;
        let date = Self(Timestamp::from_millis(start));
        date.to_string().parse().ok()
    }

    /// Its first millisecond.
    pub fn start(self) -> Timestamp {
        self.0
    }

    /// The first millisecond after it.
    pub fn end(self) -> Timestamp {
        Timestamp::from_millis(self.0.millis() + DAY_MILLIS)
    }
}

impl FromStr for Date {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError { text: text.to_owned(), wanted: "a date such as `2026-12-01`" };
        let in_shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !in_shape {
            return Err(error());
        }
        Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).map(Self).ok_or_else(error)
    }
}

impl TryFrom<String> for Date {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.rfc3339();
        f.write_str(text.split('T').next().unwrap_or(&text))
    }
}

/// Something elsewhere that belongs to an issue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link {
    pub url: String,
    /// What people see instead; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

/// Bytes that belong to an issue; they lie beside the event, under their digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// As its author called it; a hostile event can say anything here: see
    /// [`Attachment::file_name`].
    pub name: String,
    pub media_type: String,
    /// In bytes.
    pub size: u64,
    pub digest: Digest,
}

impl Attachment {
    /// Describes `bytes`; refused where the name is no plain file name, the media type none, or
    /// the bytes are more than [`crate::ATTACHMENT_BYTES_MAX`].
    pub fn new(name: String, media_type: String, bytes: &[u8]) -> Result<Self, crate::Refusal> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let attachment = Self { name, media_type, size, digest: Digest::of(bytes) };
        crate::input::attachment(&attachment)?;
        Ok(attachment)
    }

    /// A name that is safe in a folder: the attachment's own where it is a plain file name, else
    /// one made from its digest.
    pub fn file_name(&self) -> String {
        if is_file_name(&self.name) {
            self.name.clone()
        } else {
            format!("attachment-{}", self.digest.short())
        }
    }
}

/// Is it one visible name in a folder on every system?
pub(crate) fn is_file_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['.', ' ', '-'])
        && !name.ends_with(['.', ' '])
        && !name.contains(forbidden)
        && !name.chars().any(crate::shown::is_bidi_control)
}

/// How one issue stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyKind {
    /// The other one cannot be done before this one.
    Blocks,
    /// This one cannot be done before the other one.
    DependsOn,
    /// Worth knowing of each other.
    Related,
}

impl DependencyKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Blocks, Self::DependsOn, Self::Related];

    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::DependsOn => "depends-on",
            Self::Related => "related",
        }
    }
}

impl FromStr for DependencyKind {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wanted = "a dependency: `blocks`, `depends-on` or `related`";
        let found = Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| ValueError { text: text.to_owned(), wanted })
    }
}

impl std::fmt::Display for DependencyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One issue's relation to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dependency {
    pub kind: DependencyKind,
    pub on: IssueId,
}

/// An item of a checklist, whatever else the body says: its text, and which of those with the same
/// text it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemRef {
    pub text: String,
    /// From 1; 1 is not written.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub ordinal: u32,
}

fn first() -> u32 {
    1
}

fn is_first(ordinal: &u32) -> bool {
    *ordinal == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_back_and_hold_a_day() {
        let date: Date = "2024-02-29".parse().unwrap();
        assert_eq!(date.to_string(), "2024-02-29");
        assert_eq!(Date::of(Timestamp::from_millis(date.end().millis() - 1)), Some(date));
        assert_eq!(Date::of(date.end()).unwrap().to_string(), "2024-03-01");
        for text in
            ["2023-02-29", "2024-2-29", "2024-02-29T00:00:00Z", "", "20240229", "٢٠٢٤-01-01"]
        {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_leave_their_folder_are_not_used() {
        let named = |name: &str| Attachment {
            name: name.to_owned(),
            media_type: "text/plain".to_owned(),
            size: 0,
            digest: Digest::of(b""),
        };
        assert_eq!(named("a report.txt").file_name(), "a report.txt");
        for name in ["../x", "a/b", "", ".ssh", "x\0", "con:", "a\u{202e}gpj.exe", "-rf"] {
            assert_eq!(named(name).file_name(), "attachment-e3b0c44298fc", "{name:?}");
        }
    }

    #[test]
    fn priorities_are_ordered_and_read_back() {
        for pair in Priority::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for priority in Priority::ALL {
            assert_eq!(priority.to_string().parse(), Ok(priority));
        }
        assert_eq!("P0".parse(), Ok(Priority::Critical));
        assert!("important".parse::<Priority>().is_err());
    }
}
