//! What steps have written, as it may stand on a terminal.

/// A longer line is shown in parts.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Makes text from outside fit to be shown, part by part.
///
/// Of what steers a terminal only colours are kept, and those only where they are wanted; all else
/// is made visible: cursor movements, links, the clipboard (OSC 52), overwriting by carriage
/// returns, and characters that turn the direction of writing.
pub struct Cleaner {
    colours: bool,
    held: Vec<u8>,
}

impl Cleaner {
    pub fn new(colours: bool) -> Self {
        Self { colours, held: Vec::new() }
    }

    /// Whole lines of what came so far.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let end = self.held.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let end = end.unwrap_or(if self.held.len() > LINE_BYTES_MAX { self.held.len() } else { 0 });
        let rest = self.held.split_off(end);
        let whole = std::mem::replace(&mut self.held, rest);
        text(&whole, self.colours)
    }

    /// What was held back.
    pub fn finish(&mut self) -> String {
        text(&std::mem::take(&mut self.held), self.colours)
    }
}

/// All of a text at once.
pub fn text(bytes: &[u8], colours: bool) -> String {
    let source = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        one(line, colours, &mut out);
    }
    out
}

fn one(line: &str, colours: bool, out: &mut String) {
    let (body, end) = match line.strip_suffix('\n') {
        Some(body) => (body.strip_suffix('\r').unwrap_or(body), "\n"),
        None => (line, ""),
    };
    let Some(body) = marked(body) else { return };
    let mut coloured = false;
    let mut rest = body.as_str();
    while let Some(c) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            if colours {
                out.push_str(&rest[..length]);
                coloured = true;
            }
            rest = &rest[length..];
            continue;
        }
        visible(c, out);
        rest = &rest[c.len_utf8()..];
    }
    if coloured {
        out.push_str("\u{1b}[0m");
    }
    out.push_str(end);
}

/// A line as people read it that the log marks as the service's does; none: it only ends a group.
fn marked(body: &str) -> Option<String> {
    let Some((mark, text)) = body.strip_prefix("##[").and_then(|rest| rest.split_once(']')) else {
        return Some(body.to_owned());
    };
    let word = match mark {
        "error" => "Error: ",
        "warning" => "Warning: ",
        "notice" => "Notice: ",
        "debug" => "Debug: ",
        "group" => "",
        "endgroup" => return None,
        _ => return Some(body.to_owned()),
    };
    Some(format!("{word}{text}"))
}

/// The length of a colour (SGR, ECMA-48) that `text` begins with.
fn colour(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let end = inner.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    inner[end..].starts_with('m').then_some(2 + end + 1)
}

fn visible(c: char, out: &mut String) {
    match c {
        '\t' => out.push(c),
        '\u{7f}' => out.push('\u{2421}'),
        c if (c as u32) < 0x20 => {
            // The control pictures stand in the order of the controls.
            out.extend(char::from_u32(0x2400 + c as u32));
        }
        '\u{80}'..='\u{9f}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{061c}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        let cases: [(&[u8], &str); 9] = [
            (b"\x1b]52;c;aGk=\x07", "\u{241b}]52;c;aGk=\u{2407}"),
            (b"\x1b]8;;javascript:x\x1b\\y", "\u{241b}]8;;javascript:x\u{241b}\\y"),
            (b"\x1b[2Jgone", "\u{241b}[2Jgone"),
            (b"good\rbad", "good\u{240d}bad"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            (b"\0", "\u{2400}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"a\tb\r\n", "a\tb\n"),
        ];
        for (written, shown) in cases {
            assert_eq!(text(written, true), shown);
        }
    }

    #[test]
    fn colours_are_kept_where_they_are_wanted_and_end_with_their_line() {
        let written = b"\x1b[1;31mred\nplain\n";
        assert_eq!(text(written, true), "\u{1b}[1;31mred\u{1b}[0m\nplain\n");
        assert_eq!(text(written, false), "red\nplain\n");
    }

    #[test]
    fn parts_make_no_difference() {
        let written = "é\u{1b}[31mred\u{1b}[0m\n##[error]no\n##[endgroup]\nlast".as_bytes();
        for size in 1..written.len() {
            let mut cleaner = Cleaner::new(false);
            let mut shown: String = written.chunks(size).map(|part| cleaner.push(part)).collect();
            shown.push_str(&cleaner.finish());
            assert_eq!(shown, "éred\nError: no\nlast", "{size}");
        }
    }
}
