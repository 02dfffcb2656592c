//! As much of Markdown as tells text from code (CommonMark 0.31, sections 4.4, 4.5 and 5.2).

/// A line of prose or of a list; those of code are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it begins in the text, in bytes.
    pub start: usize,
    /// Without its line break.
    pub text: &'a str,
    /// Columns of white space before it; a tab goes to the next multiple of four.
    pub indent: usize,
    /// How many lists it stands in, its own marker included.
    pub lists: usize,
    /// What follows a list marker, in bytes from the beginning of the line.
    pub item: Option<usize>,
}

/// The lines of `text` outside code blocks.
pub fn prose(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut blocks = Blocks::default();
    let mut start = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let at = start;
        start += line.len();
        blocks.line(at, line.trim_end_matches(['\n', '\r']))
    })
}

#[derive(Default)]
struct Blocks {
    fence: Option<(char, usize)>,
    /// The columns at which the text of the lists around begins.
    lists: Vec<(usize, usize)>,
}

impl Blocks {
    fn line<'a>(&mut self, start: usize, text: &'a str) -> Option<Line<'a>> {
        let trimmed = text.trim_start();
        if let Some((mark, length)) = self.fence {
            let (found, rest) = run(trimmed, mark);
            if found >= length && rest.trim().is_empty() {
                self.fence = None;
            }
            return None;
        }
        let indent = columns(&text[..text.len() - trimmed.len()]);
        if trimmed.is_empty() {
            return None;
        }
        let content = content(trimmed);
        self.lists.retain(|(marker, _)| marker + 2 <= indent);
        if indent >= 4 && self.lists.is_empty() {
            return None;
        }
        let past = self.lists.last().map_or(0, |(_, text)| *text);
        if indent >= past + 4 {
            return None;
        }
        if let Some(fence) = fence(content.map_or(trimmed, |at| trimmed[at..].trim_start())) {
            self.fence = Some(fence);
            return None;
        }
        let item = content.map(|at| {
            self.lists.push((indent, indent + at));
            text.len() - trimmed.len() + at
        });
        Some(Line { start, text, indent, lists: self.lists.len(), item })
    }
}

fn columns(white: &str) -> usize {
    white.chars().fold(0, |column, c| if c == '\t' { (column / 4 + 1) * 4 } else { column + 1 })
}

/// How often `text` begins with `mark`, and what follows.
fn run(text: &str, mark: char) -> (usize, &str) {
    let rest = text.trim_start_matches(mark);
    (text.len() - rest.len(), rest)
}

fn fence(text: &str) -> Option<(char, usize)> {
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let (length, info) = run(text, mark);
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, length))
}

/// Where the text of a list item begins, behind `- `, `* `, `+ `, `1. ` or `1) `.
fn content(line: &str) -> Option<usize> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let marker = match line.as_bytes().get(digits)? {
        b'-' | b'*' | b'+' if digits == 0 => 1,
        b'.' | b')' if (1..=9).contains(&digits) => digits + 1,
        _ => return None,
    };
    let rest = &line[marker..];
    let white = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    match white {
        0 => rest.is_empty().then_some(marker),
        // More than four columns begin a code block in the item.
        1..=4 => Some(marker + white),
        _ => Some(marker + 1),
    }
}

/// The parts of a line outside `code spans`, each with its place in it, in bytes.
pub fn outside_code(line: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(open) = line[at..].find('`').map(|found| at + found) {
        let (length, rest) = run(&line[open..], '`');
        let inside = open + length;
        match closing(rest, length) {
            Some(end) => {
                parts.push((from, &line[from..open]));
                from = inside + end + length;
                at = from;
            }
            None => at = inside,
        }
    }
    parts.push((from, &line[from..]));
    parts
}

/// Where the run of exactly `length` backticks that closes a code span begins.
fn closing(text: &str, length: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`').map(|found| at + found) {
        let (run, _) = run(&text[found..], '`');
        if run == length {
            return Some(found);
        }
        at = found + run;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<&str> {
        prose(text).map(|line| line.text.trim()).collect()
    }

    #[test]
    fn code_is_left_out() {
        let text = "a\n```sh\nb\n~~~\n``\n````\nc\n~~~ x`y\nd\n~~~\ne\n\n    f\n- g\n\n    h\n\n          i\n```\nj";
        assert_eq!(texts(text), ["a", "c", "e", "- g", "h"]);
    }

    #[test]
    fn a_shorter_fence_does_not_close_a_longer_one() {
        assert_eq!(texts("````\n```\na\n`````\nb"), ["b"]);
    }

    #[test]
    fn a_fence_in_a_list_is_a_fence() {
        assert_eq!(
            texts("- a\n  ```\n  - [ ] b\n  ```\n- c\n1. ```\n   d\n   ```\ne"),
            ["- a", "- c", "e"]
        );
    }

    #[test]
    fn code_spans_are_cut_out_of_lines() {
        assert_eq!(
            outside_code("a `b` c ``d ` e`` f ` g"),
            [(0, "a "), (5, " c "), (17, " f ` g")]
        );
        assert_eq!(outside_code("``` x"), [(0, "``` x")]);
    }

    proptest! {
        #[test]
        fn lines_stand_where_they_say(text in "([-*`~1. \\[\\]\txäé]|\n|\r\n){0,80}") {
            for line in prose(&text) {
                prop_assert_eq!(&text[line.start..line.start + line.text.len()], line.text);
                if let Some(at) = line.item {
                    prop_assert!(line.text.is_char_boundary(at));
                }
                for (at, part) in outside_code(line.text) {
                    prop_assert_eq!(&line.text[at..at + part.len()], part);
                }
            }
        }
    }
}
