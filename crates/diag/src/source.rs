//! A named text, and places in it.

use std::sync::Arc;

/// A half-open range of byte offsets into one [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// `end` is raised to `start` if it lies before it.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end: end.max(start) }
    }

    /// The empty span before the byte at `offset`.
    pub fn at(offset: u32) -> Self {
        Self { start: offset, end: offset }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Length in bytes.
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The empty span after the last byte.
    pub fn tail(self) -> Self {
        Self::at(self.end)
    }

    /// The part of this span from byte `from` to byte `to`, both counted from its start and kept
    /// inside it.
    ///
    /// For pointing into a scalar whose text stands in the file as it is.
    pub fn part(self, from: usize, to: usize) -> Self {
        let inside = |n: usize| self.start.saturating_add(offset(n)).min(self.end);
        Self::new(inside(from), inside(to))
    }
}

/// A named text with its line index. Cloning shares the text.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    line_starts: Arc<[u32]>,
}

impl Source {
    /// `name` is what people see: a path from the root of the repository, or something like
    /// `<stdin>`.
    ///
    /// Lines end at `\n`. Offsets are 32 bits wide: what lies beyond 4 GiB counts as being at 4
    /// GiB.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let after_breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| offset(at + 1));
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { name: name.into(), text, line_starts }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn line_count(&self) -> u32 {
        offset(self.line_starts.len())
    }

    /// The span moved inside the text and outward to character boundaries.
    pub fn clamp(&self, span: Span) -> Span {
        let length = self.text.len();
        let start = self.text.floor_char_boundary((span.start as usize).min(length));
        let end = self.text.ceil_char_boundary((span.end as usize).min(length));
        Span::new(offset(start), offset(end))
    }

    /// The text under `span`, after [`Source::clamp`].
    pub fn slice(&self, span: Span) -> &str {
        let span = self.clamp(span);
        &self.text[span.start as usize..span.end as usize]
    }

    /// Line and column, both from 1, of the start of `span`; columns count characters.
    pub fn position(&self, span: Span) -> (u32, u32) {
        self.position_of(self.clamp(span).start)
    }

    /// Line and column, both from 1, just after the end of `span`; columns count characters.
    pub fn end_position(&self, span: Span) -> (u32, u32) {
        self.position_of(self.clamp(span).end)
    }

    /// The byte offset of a line and column as [`Source::position`] gives them. A column past the
    /// end of its line is not there.
    pub fn offset_of(&self, line: u32, column: u32) -> Option<u32> {
        let span = self.line_span(line)?;
        let rest = &self.text[span.start as usize..];
        let skipped = column.checked_sub(1)? as usize;
        let bytes = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(skipped)?;
        let found = span.start + offset(bytes);
        (self.position_of(found) == (line, column)).then_some(found)
    }

    /// The span of a line (from 1) without its line break.
    pub fn line_span(&self, line: u32) -> Option<Span> {
        let index = line.checked_sub(1)? as usize;
        let start = *self.line_starts.get(index)?;
        let end =
            self.line_starts.get(index + 1).map_or(self.text.len(), |next| *next as usize - 1);
        let text = self.text.get(start as usize..end)?;
        Some(Span::new(start, start + offset(text.strip_suffix('\r').unwrap_or(text).len())))
    }

    fn position_of(&self, at: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[line - 1] as usize;
        let column = self.text[start..at as usize].chars().count() + 1;
        (offset(line), offset(column))
    }
}

/// A position in memory as a 32-bit offset; positions past 4 GiB stay at 4 GiB.
pub(crate) fn offset(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = Source::new("a.yml", "é: ü\r\nb: 日本\n");
        assert_eq!(source.position(Span::at(0)), (1, 1));
        assert_eq!(source.position(Span::at(4)), (1, 4));
        assert_eq!(source.position(Span::new(11, 14)), (2, 4));
        assert_eq!(source.end_position(Span::new(11, 14)), (2, 5));
        assert_eq!(source.slice(Span::new(11, 14)), "日");
        assert_eq!(source.position(Span::at(999)), (3, 1));
    }

    #[test]
    fn spans_off_a_boundary_are_moved_outward() {
        let source = Source::new("a.yml", "日本");
        assert_eq!(source.clamp(Span::new(1, 4)), Span::new(0, 6));
        assert_eq!(source.clamp(Span { start: 9, end: 2 }), Span::new(6, 6));
    }

    #[test]
    fn an_empty_text_has_one_empty_line() {
        let source = Source::new("a.yml", "");
        assert_eq!(source.line_count(), 1);
        assert_eq!(source.line_span(1), Some(Span::at(0)));
        assert_eq!(source.line_span(2), None);
        assert_eq!(source.line_span(0), None);
    }

    #[test]
    fn a_line_is_without_its_break() {
        let source = Source::new("a.yml", "a\r\n\nb");
        let lines: Vec<_> =
            (1..=3).filter_map(|n| source.line_span(n)).map(|s| source.slice(s)).collect();
        assert_eq!(lines, ["a", "", "b"]);
    }

    #[test]
    fn a_part_stays_inside_its_span() {
        assert_eq!(Span::new(10, 20).part(2, 4), Span::new(12, 14));
        assert_eq!(Span::new(10, 20).part(8, 400), Span::new(18, 20));
    }
}
