//! Workflow commands: lines such as `::add-mask::VALUE` among a step's output.
//!
//! Source: GitHub's "Workflow commands for GitHub Actions". Honoured are `add-mask`, `set-output`
//! and `stop-commands`; those lines are taken out. Every other one is text like any other.

use std::io::BufRead as _;
use std::mem;

/// A longer line is text, whatever it begins with.
const LINE_MAX: usize = 64 * 1024;

/// A part of the output, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    AddMask(String),
    SetOutput { name: String, value: String },
}

/// Takes commands out of a stream. Text is passed on at once, unless its line may be a command yet.
#[derive(Default)]
pub(crate) struct Filter {
    /// What there is of a line that may be a command.
    line: Vec<u8>,
    /// The line at hand is none.
    is_text: bool,
    /// What must be said before commands are commands again.
    resume: Option<String>,
}

impl Filter {
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Pieces::default();
        while !bytes.is_empty() {
            let mut rest = bytes;
            // Reading from memory does not fail.
            let len = rest.skip_until(b'\n').unwrap_or(bytes.len());
            self.part(&bytes[..len], &mut pieces);
            bytes = rest;
        }
        pieces.0
    }

    /// What was held back, at the end of the output.
    pub fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Pieces::default();
        if !self.line.is_empty() {
            self.line_ends(&mut pieces);
        }
        pieces.0
    }

    /// `part` has at most one line feed, as its last byte.
    fn part(&mut self, part: &[u8], pieces: &mut Pieces) {
        let ends = part.last() == Some(&b'\n');
        if self.is_text || (self.line.is_empty() && !may_be_command(part)) {
            pieces.text(part);
            self.is_text = !ends;
            return;
        }
        self.line.extend_from_slice(part);
        if ends {
            self.line_ends(pieces);
        } else if !may_be_command(&self.line) {
            pieces.text(&mem::take(&mut self.line));
            self.is_text = true;
        }
    }

    fn line_ends(&mut self, pieces: &mut Pieces) {
        let line = mem::take(&mut self.line);
        let parsed = std::str::from_utf8(&line).ok().and_then(Parsed::of);
        if !parsed.is_some_and(|parsed| self.obey(&parsed, pieces)) {
            pieces.text(&line);
        }
    }

    /// Whether the line was a command that is honoured.
    fn obey(&mut self, parsed: &Parsed<'_>, pieces: &mut Pieces) -> bool {
        if let Some(resume) = &self.resume {
            let resumed = parsed.name == resume;
            self.resume.take_if(|_| resumed);
            return resumed;
        }
        match parsed.name {
            "add-mask" => pieces.0.push(Piece::AddMask(unescape(parsed.data))),
            "set-output" => match parsed.property("name") {
                Some(name) if !name.is_empty() => {
                    pieces.0.push(Piece::SetOutput { name, value: unescape(parsed.data) });
                }
                _ => return false,
            },
            "stop-commands" if !parsed.data.is_empty() => {
                self.resume = Some(parsed.data.to_owned());
            }
            _ => return false,
        }
        true
    }
}

#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn text(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.extend_from_slice(bytes),
            _ => self.0.push(Piece::Text(bytes.to_owned())),
        }
    }
}

fn may_be_command(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    line.len() <= LINE_MAX && (text.starts_with(b"::") || b"::".starts_with(text))
}

/// `::NAME KEY=VALUE,KEY=VALUE::DATA`.
struct Parsed<'l> {
    name: &'l str,
    properties: &'l str,
    data: &'l str,
}

impl<'l> Parsed<'l> {
    fn of(line: &'l str) -> Option<Self> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        (!name.is_empty()).then_some(Self { name, properties, data })
    }

    fn property(&self, wanted: &str) -> Option<String> {
        let mut pairs = self.properties.split(',').filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.find_map(|(name, value)| (name == wanted).then_some(value))?;
        Some(unescape(&value.replace("%3A", ":").replace("%2C", ",")))
    }
}

fn unescape(data: &str) -> String {
    data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(chunks: &[&[u8]]) -> Vec<Piece> {
        let mut filter = Filter::default();
        let mut all = Pieces::default();
        let mut take = |pieces: Vec<Piece>| {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => all.text(&text),
                    command => all.0.push(command),
                }
            }
        };
        for chunk in chunks {
            take(filter.push(chunk));
        }
        take(filter.finish());
        all.0
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.as_bytes().to_owned())
    }

    #[test]
    fn takes_commands_out() {
        let output = b"one\n::add-mask::a%25b%0Ac\n  ::set-output name=x::1::2\r\ntwo";
        let value = "1::2".to_owned();
        let expected = vec![
            text("one\n"),
            Piece::AddMask("a%b\nc".into()),
            Piece::SetOutput { name: "x".into(), value },
            text("two"),
        ];
        assert_eq!(pieces(&[output]), expected);
    }

    #[test]
    fn leaves_the_rest_as_it_is() {
        for plain in ["::", "::error::x\n", ":: ::\n", "a ::add-mask::x\n", "::set-output::v\n"] {
            assert_eq!(pieces(&[plain.as_bytes()]), [text(plain)], "{plain}");
        }
    }

    #[test]
    fn stops_until_resumed() {
        let output = b"::stop-commands::tok\n::add-mask::x\n::tok::\n::add-mask::y\n";
        assert_eq!(pieces(&[output]), [text("::add-mask::x\n"), Piece::AddMask("y".into())]);
    }

    #[test]
    fn text_without_a_line_feed_is_passed_on_at_once() {
        assert_eq!(Filter::default().push(b"Password: "), [text("Password: ")]);
        assert_eq!(Filter::default().push(b" :"), []);
    }

    #[test]
    fn an_endless_line_is_text() {
        let mut filter = Filter::default();
        let long = [b"::add-mask::".to_vec(), vec![b'x'; LINE_MAX]].concat();
        assert_eq!(filter.push(&long), [Piece::Text(long)]);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            lines in prop::collection::vec(
                prop::sample::select(vec!["::add-mask::m", "x", "", "  ::set-output name=a::b", "::"]),
                0..6,
            ),
            cut in 0usize..60,
        ) {
            let output = lines.join("\n").into_bytes();
            let (head, tail) = output.split_at(cut.min(output.len()));
            prop_assert_eq!(pieces(&[head, tail]), pieces(&[&output]));
        }
    }
}
