//! Text that somebody else wrote, made safe for a terminal.

/// Marks written above one letter; more of them climb over the lines around it.
const MARKS_MAX: usize = 3;

/// `text` on one terminal line, at most `max` characters wide.
///
/// Control characters (C0, C1, DEL), line separators and the controls of bidirectional text are
/// written as escapes (`\n`, `\u{202e}`), so that no title moves the cursor, breaks a table, or
/// turns what stands beside it around. What does not fit ends in `…`, and a letter keeps its
/// accents. The stored text is never changed.
///
/// ```
/// assert_eq!(grit_issues::shown("two\nlines", 80), "two\\nlines");
/// assert_eq!(grit_issues::shown("a long title", 7), "a long…");
/// ```
pub fn shown(text: &str, max: usize) -> String {
    if text.len() <= max && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut pieces = pieces(text, false);
    let mut line = String::new();
    let mut width = 0;
    while let Some(piece) = pieces.next() {
        let ellipsis = usize::from(pieces.peek().is_some());
        if width + piece.width + ellipsis > max {
            line.push_str(if max > 0 { "…" } else { "" });
            break;
        }
        width += piece.width;
        line.push_str(&piece.text);
    }
    line
}

/// `text` as several terminal lines: as [`shown`], but line breaks and tabs stay.
pub fn shown_block(text: &str) -> String {
    pieces(text, true).map(|piece| piece.text).collect()
}

/// Controls that reorder what stands around them (Unicode 16, property `Bidi_Control`).
pub(crate) fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What is shown together: a character and the marks above it, or an escape.
struct Piece {
    text: String,
    width: usize,
}

fn pieces(text: &str, is_block: bool) -> std::iter::Peekable<impl Iterator<Item = Piece>> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        let first = chars.next()?;
        let mut text = match first {
            '\r' if is_block && chars.peek() == Some(&'\n') => String::new(),
            '\n' | '\t' if is_block => first.to_string(),
            _ if must_escape(first) => first.escape_default().to_string(),
            _ => first.to_string(),
        };
        let width = text.chars().count();
        let mut marks = 0;
        while let Some(mark) = chars.next_if(|c| is_mark(*c)) {
            marks += 1;
            if marks <= MARKS_MAX {
                text.push(mark);
            }
        }
        Some(Piece { text, width })
    })
    .peekable()
}

fn must_escape(c: char) -> bool {
    c.is_control()
        || is_bidi_control(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Combining marks that have no width of their own (the blocks made of nothing else).
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        for (text, safe) in [
            ("plain", "plain"),
            ("two\r\nlines\tand a tab", "two\\r\\nlines\\tand a tab"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"),
            ("a\u{202e}gpj.exe", "a\\u{202e}gpj.exe"),
            ("\u{2066}x\u{2069}\u{200f}", "\\u{2066}x\\u{2069}\\u{200f}"),
            ("x\u{2028}y", "x\\u{2028}y"),
            ("\u{e0041}", "\\u{e0041}"),
            ("שלום, 世界 🦀", "שלום, 世界 🦀"),
        ] {
            assert_eq!(shown(text, 80), safe);
        }
    }

    #[test]
    fn long_text_is_cut_between_letters() {
        assert_eq!(shown("abcd", 4), "abcd");
        assert_eq!(shown("abcde", 4), "abc…");
        assert_eq!(shown("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(shown("ab\n", 3), "ab…");
        assert_eq!(shown("abc", 0), "");
        assert_eq!(shown(&"x".repeat(10_000), 50).chars().count(), 50);
        let tower = format!("a{}", "\u{301}".repeat(500));
        assert_eq!(shown(&tower, 10), "a\u{301}\u{301}\u{301}");
    }

    #[test]
    fn a_block_keeps_its_lines() {
        assert_eq!(shown_block("a\r\n\tb\u{1b}[2J\rc"), "a\n\tb\\u{1b}[2J\\rc");
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_of_bounded_width(text: String, max in 0usize..40) {
            let line = shown(&text, max);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_bidi_control(c)));
            prop_assert!(line.chars().filter(|c| !is_mark(*c)).count() <= max);
        }
    }
}
