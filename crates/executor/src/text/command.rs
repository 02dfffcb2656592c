//! Workflow commands: lines such as `::add-mask::VALUE` among a step's output.
//!
//! Source: GitHub's "Workflow commands for GitHub Actions". Lines that are honoured are taken out;
//! annotations, groups and what is said for debugging stand in the log as `##[error]` and the like,
//! as in the service's own. Every other line is text like any other.

use std::io::BufRead as _;
use std::mem;

use grit_pipeline::{Annotation, AnnotationLevel};

/// A longer line is text, whatever it begins with.
const LINE_MAX: usize = 64 * 1024;

/// A part of the output, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    AddMask(String),
    SetOutput {
        name: String,
        value: String,
    },
    SaveState {
        name: String,
        value: String,
    },
    SetEnv {
        name: String,
        value: String,
    },
    AddPath(String),
    Annotate(Box<Annotation>),
    /// The file of problem matchers.
    AddMatcher(String),
    /// The owner of one.
    RemoveMatcher(String),
    /// A command that is switched off.
    Disabled(&'static str),
}

/// What is honoured beyond the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// What is said for debugging is shown (`ACTIONS_STEP_DEBUG`).
    pub debug: bool,
    /// `set-env` and `add-path` (`ACTIONS_ALLOW_UNSECURE_COMMANDS`).
    pub unsecure: bool,
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
    /// Commands are shown, too.
    echo: bool,
    allowed: Allowed,
}

impl Filter {
    pub fn new(allowed: Allowed) -> Self {
        Self { echo: allowed.debug, allowed, ..Self::default() }
    }

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
        let echo = self.echo;
        let data = || unescape(parsed.data);
        match parsed.name {
            "add-mask" => {
                pieces.0.push(Piece::AddMask(data()));
                return true;
            }
            "error" | "warning" | "notice" => {
                let Some(level) = AnnotationLevel::named(parsed.name) else { return false };
                pieces.marked(parsed.name, &data());
                pieces.0.push(Piece::Annotate(Box::new(parsed.annotation(level))));
                return true;
            }
            "group" | "endgroup" => {
                pieces.marked(parsed.name, &data());
                return true;
            }
            "debug" => {
                if self.allowed.debug {
                    pieces.marked("debug", &data());
                }
                return true;
            }
            "echo" => match parsed.data.trim().to_ascii_lowercase().as_str() {
                "on" => self.echo = true,
                "off" => self.echo = false,
                _ => return false,
            },
            "set-output" | "save-state" | "set-env" => {
                let Some(piece) = self.named(parsed) else { return false };
                pieces.0.push(piece);
            }
            "add-path" if self.allowed.unsecure => pieces.0.push(Piece::AddPath(data())),
            "add-path" => pieces.0.push(Piece::Disabled("add-path")),
            "add-matcher" if !parsed.data.is_empty() => pieces.0.push(Piece::AddMatcher(data())),
            "remove-matcher" => match parsed.property("owner") {
                Some(owner) => pieces.0.push(Piece::RemoveMatcher(owner)),
                None => return false,
            },
            "stop-commands" if !parsed.data.is_empty() => {
                self.resume = Some(parsed.data.to_owned());
            }
            _ => return false,
        }
        if echo {
            pieces.text(format!("{}\n", parsed.line).as_bytes());
        }
        true
    }

    /// A command that gives a name a value.
    fn named(&self, parsed: &Parsed<'_>) -> Option<Piece> {
        let name = parsed.property("name").filter(|name| !name.is_empty())?;
        let value = unescape(parsed.data);
        Some(match parsed.name {
            "set-output" => Piece::SetOutput { name, value },
            "save-state" => Piece::SaveState { name, value },
            _ if self.allowed.unsecure => Piece::SetEnv { name, value },
            _ => Piece::Disabled("set-env"),
        })
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

    /// A line as the service's log marks it.
    fn marked(&mut self, mark: &str, text: &str) {
        self.text(format!("##[{mark}]{text}\n").as_bytes());
    }
}

fn may_be_command(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    line.len() <= LINE_MAX && (text.starts_with(b"::") || b"::".starts_with(text))
}

/// `::NAME KEY=VALUE,KEY=VALUE::DATA`.
struct Parsed<'l> {
    line: &'l str,
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
        (!name.is_empty()).then_some(Self { line, name, properties, data })
    }

    fn property(&self, wanted: &str) -> Option<String> {
        let mut pairs = self.properties.split(',').filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.find_map(|(name, value)| (name == wanted).then_some(value))?;
        Some(unescape(&value.replace("%3A", ":").replace("%2C", ",")))
    }

    fn annotation(&self, level: AnnotationLevel) -> Annotation {
        let text = |name: &str| self.property(name).filter(|value| !value.is_empty());
        let number = |name: &str| text(name).and_then(|value| value.trim().parse().ok());
        let mut annotation = Annotation::new(level, unescape(self.data));
        annotation.title = text("title");
        annotation.file = text("file");
        annotation.line = number("line");
        annotation.end_line = number("endLine");
        annotation.column = number("col");
        annotation.end_column = number("endColumn");
        annotation
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
        for plain in ["::", "::errors::x\n", ":: ::\n", "a ::add-mask::x\n", "::set-output::v\n"] {
            assert_eq!(pieces(&[plain.as_bytes()]), [text(plain)], "{plain}");
        }
    }

    #[test]
    fn stops_until_resumed() {
        let output = b"::stop-commands::tok\n::add-mask::x\n::tok::\n::add-mask::y\n";
        assert_eq!(pieces(&[output]), [text("::add-mask::x\n"), Piece::AddMask("y".into())]);
    }

    #[test]
    fn annotations_know_their_place_and_are_marked_in_the_log() {
        let output =
            b"::warning file=a%2Cb.rs,line=3,endLine=4,col=7,title=T%3A 1::one%0Atwo\n::error::x";
        let found = pieces(&[output]);
        assert_eq!(found[0], text("##[warning]one\ntwo\n"));
        let Piece::Annotate(annotation) = &found[1] else { panic!("{found:?}") };
        assert_eq!(annotation.place(), "a,b.rs:3:7");
        assert_eq!(annotation.title.as_deref(), Some("T: 1"));
        assert_eq!((annotation.end_line, annotation.end_column), (Some(4), None));
        assert_eq!(annotation.message, "one\ntwo");
        assert_eq!(found[2], text("##[error]x\n"));
    }

    #[test]
    fn debugging_and_echo_are_shown_when_asked_for() {
        let output = b"::debug::d\n::group::g\n::endgroup::\n::echo::on\n::set-output name=a::1\n::add-mask::m\n";
        let of = |allowed| {
            let mut filter = Filter::new(allowed);
            let pieces = filter.push(output).into_iter();
            let texts = pieces.filter_map(|piece| match piece {
                Piece::Text(text) => Some(String::from_utf8(text).unwrap()),
                _ => None,
            });
            texts.collect::<String>()
        };
        let quiet = "##[group]g\n##[endgroup]\n::set-output name=a::1\n";
        assert_eq!(of(Allowed::default()), quiet);
        let debug = Allowed { debug: true, unsecure: false };
        assert_eq!(
            of(debug),
            "##[debug]d\n##[group]g\n##[endgroup]\n::echo::on\n::set-output name=a::1\n"
        );
    }

    #[test]
    fn what_was_switched_off_is_off_unless_it_is_allowed() {
        let output = b"::set-env name=A::1\n::add-path::/x\n::save-state name=s::v\n";
        let of = |unsecure| Filter::new(Allowed { debug: false, unsecure }).push(output);
        let state = Piece::SaveState { name: "s".into(), value: "v".into() };
        assert_eq!(of(false)[..2], [Piece::Disabled("set-env"), Piece::Disabled("add-path")]);
        let env = Piece::SetEnv { name: "A".into(), value: "1".into() };
        assert_eq!(of(true), [env, Piece::AddPath("/x".into()), state]);
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
