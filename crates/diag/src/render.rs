//! Findings for people: message, code, place, the line with a caret, labels, help.

use crate::{Diagnostic, Diagnostics, Label, Severity, Source, Span};
use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet,
    normalize_untrusted_str,
};

/// Lines between two labels up to which they are shown in one excerpt.
const GAP_LINES_MAX: u32 = 20;
/// Column from which on the start of a line is left out.
const COLUMN_MAX: usize = 1_000;
/// Characters shown before and after a label on such a line, and of lines without a label.
const AROUND_CHARS: usize = 200;
/// Characters of a message, label or help text that are shown.
const TEXT_CHARS_MAX: usize = 2_000;

/// All findings by position, without colour. Empty when there are none; ends with a line break
/// otherwise.
pub fn plain(diagnostics: &Diagnostics) -> String {
    render(diagnostics, Colour::Off)
}

/// All findings by position, with ANSI colours.
pub fn coloured(diagnostics: &Diagnostics) -> String {
    render(diagnostics, Colour::On)
}

/// Whether ANSI escape sequences are written. They never carry meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    On,
    Off,
}

pub fn render(diagnostics: &Diagnostics, colour: Colour) -> String {
    let source = diagnostics.source();
    let mut parts: Vec<_> = diagnostics
        .sorted()
        .into_iter()
        .map(|finding| render_one(source, finding, colour))
        .collect();
    if diagnostics.omitted() > 0 {
        parts.push(format!("{} more not shown\n", diagnostics.omitted()));
    }
    parts.join("\n")
}

/// One finding about `source`, ending with a line break.
pub fn render_one(source: &Source, diagnostic: &Diagnostic, colour: Colour) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let renderer = match colour {
        Colour::On => Renderer::styled(),
        Colour::Off => Renderer::plain(),
    };
    let mut group =
        Group::with_title(level.primary_title(shown(&diagnostic.message)).id(diagnostic.code.id));
    for excerpt in excerpts(source, diagnostic) {
        group = group.elements(excerpt.elements(source.name()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(shown(help)));
    }
    renderer.render(&[group]) + "\n"
}

/// Text from outside, cut, and with what would steer a terminal made visible.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(TEXT_CHARS_MAX).filter(|c| *c != '\r').collect();
    normalize_untrusted_str(&cut)
}

/// A label on one line; a span over several lines is shown by its first.
struct Mark<'a> {
    line: u32,
    span: Span,
    text: &'a str,
    primary: bool,
}

/// Some neighbouring lines of the source, as they are shown.
struct Excerpt {
    first_line: u32,
    text: String,
    annotations: Vec<(std::ops::Range<usize>, String, bool)>,
    /// Where the primary label really is, when the start of its line is left out.
    origin: Option<(u32, u32)>,
}

fn excerpts(source: &Source, diagnostic: &Diagnostic) -> Vec<Excerpt> {
    let secondary = diagnostic.secondary.iter().map(|label| mark(source, label, false));
    let mut marks: Vec<_> = secondary.chain([mark(source, &diagnostic.primary, true)]).collect();
    marks.sort_by_key(|mark| (mark.line, mark.span));
    let mut clusters: Vec<_> = marks.chunk_by(|a, b| b.line - a.line <= GAP_LINES_MAX).collect();
    clusters.sort_by_key(|cluster| !cluster.iter().any(|mark| mark.primary));
    clusters.into_iter().map(|cluster| Excerpt::new(source, cluster)).collect()
}

fn mark<'a>(source: &Source, label: &'a Label, primary: bool) -> Mark<'a> {
    let span = source.clamp(label.span);
    let (line, _) = source.position(span);
    let line_end = source.line_span(line).unwrap_or(span).end;
    let span = if span.start > line_end {
        Span::at(line_end)
    } else {
        Span::new(span.start, span.end.min(line_end))
    };
    Mark { line, span, text: &label.text, primary }
}

impl Excerpt {
    /// `marks` are sorted by place and not empty.
    fn new(source: &Source, marks: &[Mark<'_>]) -> Self {
        let lines =
            marks.first().map_or(1, |mark| mark.line)..=marks.last().map_or(1, |mark| mark.line);
        let mut excerpt = Self {
            first_line: *lines.start(),
            text: String::new(),
            annotations: Vec::new(),
            origin: None,
        };
        for line in lines {
            let on_line: Vec<_> = marks.iter().filter(|mark| mark.line == line).collect();
            excerpt.add_line(source, line, &on_line);
        }
        excerpt
    }

    fn add_line(&mut self, source: &Source, line: u32, marks: &[&Mark<'_>]) {
        let whole = source.line_span(line).unwrap_or_default();
        let window = window(source, whole, marks);
        let is_cut = window.start > whole.start;
        let base = self.text.len() + if is_cut { "...".len() } else { 0 };
        self.text.push_str(if is_cut { "..." } else { "" });
        self.text.push_str(source.slice(window));
        self.text.push('\n');
        for mark in marks {
            let inside =
                |at: u32| base + (at.clamp(window.start, window.end) - window.start) as usize;
            self.annotations.push((
                inside(mark.span.start)..inside(mark.span.end),
                label_text(mark.text),
                mark.primary,
            ));
            if is_cut && mark.primary {
                self.origin = Some(source.position(mark.span));
            }
        }
    }

    fn elements<'a>(self, name: &str) -> Vec<Element<'a>> {
        let annotations = self
            .annotations
            .into_iter()
            .map(|(range, text, primary)| annotation(range, text, primary));
        let snippet = Snippet::source(self.text)
            .line_start(self.first_line as usize)
            .fold(true)
            .annotations(annotations);
        let name = shown(name);
        match self.origin {
            None => vec![snippet.path(name).into()],
            Some((line, column)) => {
                vec![
                    Origin::path(name).line(line as usize).char_column(column as usize).into(),
                    snippet.into(),
                ]
            }
        }
    }
}

/// The part of a line that is shown: all of it, unless it is endless.
fn window(source: &Source, line: Span, marks: &[&Mark<'_>]) -> Span {
    let Some(first) = marks.first() else {
        return advance(source, line.start, line.end, AROUND_CHARS);
    };
    let before = source.slice(Span::new(line.start, first.span.start));
    let start = match before.char_indices().rev().nth(AROUND_CHARS) {
        Some((at, _)) if before.len() > COLUMN_MAX => line.start + at as u32,
        _ => line.start,
    };
    let last = marks.iter().map(|mark| mark.span.end).max().unwrap_or(start);
    let end = advance(
        source,
        last.min(start.saturating_add(2 * COLUMN_MAX as u32)),
        line.end,
        AROUND_CHARS,
    )
    .end;
    source.clamp(Span::new(start, end))
}

/// The span of the next `chars` characters from `from`, not beyond `end`.
fn advance(source: &Source, from: u32, end: u32, chars: usize) -> Span {
    let rest = source.slice(Span::new(from, end));
    let bytes = rest.char_indices().nth(chars).map_or(rest.len(), |(at, _)| at);
    Span::new(from, from + bytes as u32)
}

fn label_text(text: &str) -> String {
    shown(&text.replace('\n', " "))
}

fn annotation<'a>(range: std::ops::Range<usize>, text: String, primary: bool) -> Annotation<'a> {
    let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let annotation = kind.span(range);
    if text.is_empty() { annotation } else { annotation.label(text) }
}
