use grit_diag::Span;

/// Text that is no query: where, what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}{}", .help.as_deref().map(|help| format!("; {help}")).unwrap_or_default())]
pub struct QueryError {
    /// In bytes of the text.
    pub span: Span,
    /// Of its beginning: characters, from 1.
    pub column: usize,
    pub message: String,
    pub help: Option<String>,
}

impl QueryError {
    /// About the bytes from `start` to `end` of `text`.
    pub(crate) fn new(text: &str, start: usize, end: usize, message: impl Into<String>) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let column = text.get(..start).map_or(0, |before| before.chars().count()) + 1;
        let span = Span::new(offset(start), offset(end));
        // Saved queries quote what others wrote.
        let message = crate::shown_block(&message.into());
        Self { span, column, message, help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(crate::shown_block(&help.into()));
        self
    }
}
