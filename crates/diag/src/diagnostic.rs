//! Findings, and their collection.

use crate::{Code, Source, Span};

/// How many findings of one source are kept; further ones are only counted.
pub const DIAGNOSTICS_MAX: usize = 200;

/// What a finding means for whoever asked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What was read must not be used.
    Error,
    /// It can be used, and probably does not do what was meant.
    Warning,
}

/// A place and what is said about it; an empty text only marks the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One finding. It is its own builder: [`Diagnostics::error`] hands it out to be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: &'static Code,
    pub message: String,
    pub primary: Label,
    pub secondary: Vec<Label>,
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn new(
        severity: Severity,
        span: Span,
        code: &'static Code,
        message: impl Into<String>,
    ) -> Self {
        let primary = Label { span, text: String::new() };
        Self { severity, code, message: message.into(), primary, secondary: Vec::new(), help: None }
    }

    /// Says something at the place of the finding itself.
    pub fn here(&mut self, text: impl Into<String>) -> &mut Self {
        self.primary.text = text.into();
        self
    }

    /// Marks another place.
    pub fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do about it.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }
}

/// The findings about one source.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    source: Source,
    items: Vec<Diagnostic>,
    /// Takes what the caller adds to a finding that is only counted.
    uncounted: Option<Box<Diagnostic>>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    pub fn new(source: &Source) -> Self {
        Self { source: source.clone(), items: Vec::new(), uncounted: None, errors: 0, warnings: 0 }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    pub fn error(
        &mut self,
        span: Span,
        code: &'static Code,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Diagnostic::new(Severity::Error, span, code, message))
    }

    pub fn warning(
        &mut self,
        span: Span,
        code: &'static Code,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Diagnostic::new(Severity::Warning, span, code, message))
    }

    /// Adds a finding; its place is moved inside the text if it is not.
    pub fn push(&mut self, mut diagnostic: Diagnostic) -> &mut Diagnostic {
        diagnostic.primary.span = self.source.clamp(diagnostic.primary.span);
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.items.len() >= DIAGNOSTICS_MAX {
            return self.uncounted.insert(Box::new(diagnostic));
        }
        let at = self.items.len();
        self.items.push(diagnostic);
        &mut self.items[at]
    }

    /// Takes over the findings of `other`, which must be about the same source.
    pub fn append(&mut self, other: Self) {
        let (errors, warnings) = (self.errors + other.errors, self.warnings + other.warnings);
        for diagnostic in other.items {
            self.push(diagnostic);
        }
        (self.errors, self.warnings) = (errors, warnings);
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors were found, those beyond [`DIAGNOSTICS_MAX`] included.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// How many warnings were found, those beyond [`DIAGNOSTICS_MAX`] included.
    pub fn warning_count(&self) -> usize {
        self.warnings
    }

    /// How many findings were counted and not kept.
    pub fn omitted(&self) -> usize {
        (self.errors + self.warnings).saturating_sub(self.items.len())
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The kept findings by position; those at one place in the order in which they were found.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<_> = self.items.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.primary.span);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn findings_come_out_by_position() {
        let mut diagnostics = Diagnostics::new(&Source::new("a.yml", "abc"));
        diagnostics.warning(Span::new(2, 3), codes::SYNTAX, "late");
        diagnostics
            .error(Span::new(0, 1), codes::SYNTAX, "early")
            .help("do")
            .label(Span::at(1), "there");
        diagnostics.warning(Span::new(0, 1), codes::SYNTAX, "early too");
        let messages: Vec<_> = diagnostics.sorted().iter().map(|d| d.message.as_str()).collect();
        assert_eq!(messages, ["early", "early too", "late"]);
        assert_eq!(diagnostics.sorted()[0].help.as_deref(), Some("do"));
    }

    #[test]
    fn warnings_are_not_errors() {
        let mut diagnostics = Diagnostics::new(&Source::new("a.yml", ""));
        diagnostics.warning(Span::at(0), codes::SYNTAX, "hm");
        assert!(!diagnostics.has_errors() && !diagnostics.is_empty());
    }

    #[test]
    fn findings_beyond_the_limit_are_counted() {
        let mut diagnostics = Diagnostics::new(&Source::new("a.yml", ""));
        for _ in 0..DIAGNOSTICS_MAX + 7 {
            diagnostics.error(Span::at(0), codes::SYNTAX, "again").help("no");
        }
        let mut joined = diagnostics.clone();
        joined.append(diagnostics.clone());
        assert_eq!((diagnostics.omitted(), diagnostics.sorted().len()), (7, DIAGNOSTICS_MAX));
        assert_eq!(joined.error_count(), 2 * (DIAGNOSTICS_MAX + 7));
        assert_eq!(joined.sorted().len(), DIAGNOSTICS_MAX);
    }
}
