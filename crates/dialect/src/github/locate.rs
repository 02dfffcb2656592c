use grit_diag::Span;
use grit_diag::yaml::{Node, Style, Value};

/// Where in the file a part of a scalar's text stands, `offset` and `length` being bytes of the
/// text. `raw` is what the node's span covers.
///
/// Quotes, escapes, indentation and folding make the text differ from what is written; the two are
/// walked side by side, and what stands in the file alone is passed over.
pub(super) fn locate(node: &Node, raw: &str, offset: usize, length: usize) -> Span {
    let Value::String(text, style) = &node.value else { return node.span };
    let skip = usize::from(matches!(style, Style::SingleQuoted | Style::DoubleQuoted));
    let Some(body) = raw.get(skip..) else { return node.span };
    let (Some(from), Some(to)) =
        (raw_offset(body, text, offset), raw_offset(body, text, offset + length.max(1) - 1))
    else {
        return node.span;
    };
    let end = if length == 0 { from } else { to + 1 };
    node.span.part(from + skip, end + skip)
}

/// The byte of `raw` that became the byte `offset` of `text`.
fn raw_offset(raw: &str, text: &str, offset: usize) -> Option<usize> {
    let (raw, text) = (raw.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    while read < offset {
        if at >= raw.len() || read >= text.len() {
            return None;
        }
        (at, read) = step(raw, text, at, read);
    }
    // What is in the file alone before the byte that is looked for.
    while at < raw.len() && read < text.len() && raw[at] != text[read] && raw[at] != b'\\' {
        at += 1;
    }
    (at < raw.len()).then_some(at)
}

fn step(raw: &[u8], text: &[u8], at: usize, read: usize) -> (usize, usize) {
    let blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    if raw[at] == text[read] {
        return (at + 1, read + 1);
    }
    match raw[at] {
        // An escape: two bytes for one (longer ones realign at the next byte that is the same).
        b'\\' if raw.get(at + 1) == Some(&text[read]) => (at + 2, read + 1),
        b'\\' => (at + 2, read + 1),
        // A line break that became a space, with the indentation after it.
        b'\n' if text[read] == b' ' => (at + 1, read + 1),
        byte if blank(byte) || byte == b'\'' => (at + 1, read),
        _ if blank(text[read]) => (at, read + 1),
        _ => (at + 1, read),
    }
}
