//! What steps say about places in files: `::error file=a.rs,line=3::why`, and what problem matchers
//! find in their output.
//!
//! Source: GitHub's "Workflow commands for GitHub Actions", and its limits: ten of each level for a
//! step, fifty for a job. What is beyond them is counted.

use serde::{Deserialize, Serialize};

/// So many of each level are kept of a step.
pub const STEP_LEVEL_MAX: usize = 10;
/// So many are kept of a job.
pub const JOB_MAX: usize = 50;
/// A longer message is cut, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// A longer title or path is cut, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationLevel {
    Error,
    Warning,
    Notice,
}

impl AnnotationLevel {
    /// The command's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }

    /// The level of that word, whatever its case.
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Error, Self::Warning, Self::Notice];
        all.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word))
    }
}

/// Something said about a place, or about the step where it names none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    pub level: AnnotationLevel,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// From the root of the repository where it lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1, as are all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u32>,
    /// The code of a finding, where a matcher found one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Annotation {
    /// Without a place.
    pub fn new(level: AnnotationLevel, message: impl Into<String>) -> Self {
        Self {
            level,
            message: message.into(),
            title: None,
            file: None,
            line: None,
            end_line: None,
            column: None,
            end_column: None,
            code: None,
        }
    }

    /// Every text in it as `change` makes it.
    #[must_use]
    pub fn map_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        self.message = change(&self.message);
        for text in [&mut self.title, &mut self.file, &mut self.code] {
            *text = text.as_deref().map(&change);
        }
        self
    }

    /// `src/a.rs:3:7`; nothing where it names no file.
    pub fn place(&self) -> String {
        let mut place = self.file.clone().unwrap_or_default();
        let numbers = [self.line, self.column.filter(|_| self.line.is_some())];
        if !place.is_empty() {
            numbers.into_iter().flatten().for_each(|number| place.push_str(&format!(":{number}")));
        }
        place
    }
}

/// The annotations of a step, as far as they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotations {
    pub kept: Vec<Annotation>,
    /// How many more there were.
    pub left_out: u32,
}

impl Annotations {
    /// Keeps it where there is room for one of its level.
    pub fn add(&mut self, annotation: Annotation) {
        if !self.has_room(annotation.level) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let mut annotation = annotation;
        cut(&mut annotation.message, MESSAGE_BYTES_MAX);
        for text in [&mut annotation.title, &mut annotation.file, &mut annotation.code] {
            text.iter_mut().for_each(|text| cut(text, NAME_BYTES_MAX));
        }
        self.kept.push(annotation);
    }

    /// Whether another of this level would be kept.
    pub fn has_room(&self, level: AnnotationLevel) -> bool {
        self.kept.iter().filter(|kept| kept.level == level).count() < STEP_LEVEL_MAX
    }

    /// The first `room` of them; the rest is counted.
    #[must_use]
    pub fn limited(mut self, room: usize) -> Self {
        let over = self.kept.len().saturating_sub(room);
        self.kept.truncate(room);
        self.left_out = self.left_out.saturating_add(u32::try_from(over).unwrap_or(u32::MAX));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.left_out == 0
    }
}

fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_of_a_level_are_kept_and_the_rest_is_counted() {
        let mut all = Annotations::default();
        for number in 0..13 {
            all.add(Annotation::new(AnnotationLevel::Error, number.to_string()));
        }
        all.add(Annotation::new(AnnotationLevel::Notice, "é".repeat(MESSAGE_BYTES_MAX)));
        assert_eq!((all.kept.len(), all.left_out), (11, 3));
        assert!(all.kept[10].message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
        let few = all.limited(4);
        assert_eq!((few.kept.len(), few.left_out), (4, 10));
    }

    #[test]
    fn a_place_is_as_much_as_is_known() {
        let mut annotation = Annotation::new(AnnotationLevel::Warning, "m");
        assert_eq!(annotation.place(), "");
        (annotation.file, annotation.column) = (Some("a.rs".to_owned()), Some(7));
        assert_eq!(annotation.place(), "a.rs");
        annotation.line = Some(3);
        assert_eq!(annotation.place(), "a.rs:3:7");
    }
}
