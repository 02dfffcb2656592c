use crate::command::Refusal;

/// Why nothing of a document was taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Of a text: lines and columns from 1.
    #[error("line {line}, column {column}: {message}")]
    Text { line: usize, column: usize, message: String },
    /// Of something that has no lines: an object in git, an event.
    #[error("{place}: {message}")]
    Thing { place: String, message: String },
    /// It says of an issue what no issue here may say.
    #[error("{key} cannot be taken in")]
    Refused {
        key: String,
        #[source]
        source: Refusal,
    },
}

impl ImportError {
    /// About something that has no lines.
    pub fn thing(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Thing { place: crate::shown(&place.into(), 200), message: message.into() }
    }

    /// At the byte `offset` of `text`.
    pub(crate) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Self::Text { line, column, message: message.into() }
    }

    pub(crate) fn json(error: &serde_json::Error, before: usize) -> Self {
        let (line, column) = (error.line() + before, error.column().max(1));
        let text = error.to_string();
        // Its own words for the place follow ours.
        let end = text.rfind(" at line ").unwrap_or(text.len());
        let message = crate::shown(&text[..end], 300);
        Self::Text { line: line.max(1), column, message }
    }
}
